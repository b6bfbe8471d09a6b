"""Where the disks of a pattern must be, given those that are surely seen: a strained lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["predict_displacements"]

Float = NDArray[np.floating]

FLOOR = 0.05
"""Added to σ, in radii: what an affine lattice leaves open (lens distortion, model errors)."""
CAUCHY = (8.0, 4.0, 3.0, 3.0, 3.0)
"""Cauchy scale of each iteration, in σ: wide at first, so that no start value is needed."""


def predict_displacements(
    points: Float,
    moved: Float,
    sigma: Float,
    usable: NDArray[np.bool_],
    radius: float,
    max_strain: float,
) -> tuple[Float, Float, Float]:
    """Fit shift and affine deformation of a lattice to its disks, and say where all disks are.

    Bayesian: displacement = shift + points @ gradient with Gaussian priors of ``radius`` on the
    shift and ``max_strain`` on each component of the gradient. One disk gives a shift, two fix the
    strain between them, many leave nothing of the prior; without disks nothing moves. Iteratively
    reweighted with Cauchy weights, so that a few wrong disks do not count.

    Parameters
    ----------
    points
        (m, 2) places of the disks from the direct beam, (y, x) in pixels.
    moved
        (n, m, 2) measured displacement of each disk in each of n patterns, px.
    sigma
        (n, m, 2) its standard uncertainty, px.
    usable
        (n, m) which displacements count; the others may hold anything.
    radius
        Of the disks, px.
    max_strain
        Strain or rotation (radians) that is expected at most.

    Returns
    -------
    predicted
        (n, m, 2) displacements of all disks, px.
    spread
        (n, m) the larger of the two standard uncertainties of ``predicted``, px.
    gradient
        (n, 2, 2) of the displacement: strain and rotation of each pattern.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.disk_fit import predict_displacements
    >>> points = np.array([(0, 0), (0, 40), (40, 0), (0, -40), (-40, 0)])
    >>> moved = np.array([1, 2]) + 0.02 * points
    >>> usable = np.array([[True, True, True, True, False]])
    >>> predicted, _, gradient = predict_displacements(
    ...     points, moved[None], np.full((1, 5, 2), 0.1), usable, 8, 0.05
    ... )
    >>> bool(np.abs(predicted - moved).max() < 0.1)
    True
    """
    n, m = usable.shape
    design = np.concatenate([np.ones((m, 1)), points], axis=1)
    prior = np.diag([radius**-2.0, max_strain**-2.0, max_strain**-2.0])
    products = (design[:, :, None] * design[:, None, :]).reshape(m, 9)
    values = np.where(usable[..., None], moved, 0.0)
    precision = 1 / (np.where(usable[..., None], sigma, 1.0) ** 2 + (FLOOR * radius) ** 2)
    base = precision * usable[..., None]
    weights = base
    for scale in CAUCHY:
        by_axis = np.moveaxis(weights, 2, 1)  # (n, 2, m)
        inverse = np.linalg.inv((by_axis @ products).reshape(n, 2, 3, 3) + prior)
        right = (by_axis * np.moveaxis(values, 2, 1)) @ design
        solution = np.einsum("naij,naj->nai", inverse, right)
        predicted = np.moveaxis(solution @ design.T, 1, 2)
        squared = np.sum((values - predicted) ** 2 * precision, axis=2)
        weights = base / (1 + squared / scale**2)[..., None]
    variance = inverse.reshape(n, 2, 9) @ products.T
    return predicted, np.sqrt(variance.max(axis=1)), solution[..., 1:]
