"""How well counts can tell tilt, thickness and strain: Cramér-Rao bounds, pure functions of arrays.

No unbiased estimate scatters less than its bound (Cramér 1946, §32.3; van Trees 1968, §2.4): with
the expected counts λ_i and their derivatives to the unknowns, Poisson noise gives the information
Σ_i ∂λ_i ∂λ_iᵀ / λ_i, and its inverse is the smallest covariance. What else is unknown is an unknown
too, and so takes its part of the information.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["strain_bound", "tilt_bound"]

Float = NDArray[np.floating]

SINGULAR = 1e12
"""Condition of an information matrix above which some unknown cannot be told at all."""


def tilt_bound(values: Float, gradient: Float, background: ArrayLike = 0.0) -> Float:
    """Smallest standard deviations of tilt x, tilt y and thickness from the sums of disks.

    The scale of the pattern is unknown as well; the background under each disk is known.

    Parameters
    ----------
    values
        (n, n_disk) expected counts of the disks of n patterns.
    gradient
        (n, 3, n_disk) their derivatives to tilt x, tilt y (degrees) and thickness (nm).
    background
        (n_disk,) expected counts under each disk.

    Returns
    -------
    sigma
        (n, 3): degrees, degrees, nm. NaN where the disks do not tell all three.

    Examples
    --------
    Two disks of 10⁴ counts that change by 10⁴ a degree in opposite directions, and so on for the
    other unknowns: σ is 1/√(2 · 10⁴).

    >>> import numpy as np
    >>> from pyxem_mlmaps.planning.bounds import tilt_bound
    >>> values = np.full((1, 6), 1e4)
    >>> gradient = 1e4 * np.kron(np.eye(3), [1, -1])[None]
    >>> tilt_bound(values, gradient).round(5)
    array([[0.00707, 0.00707, 0.00707]])
    """
    values = np.maximum(np.asarray(values, dtype=float), 0)
    jacobian = np.concatenate([np.asarray(gradient, dtype=float), values[:, None]], axis=1)
    variance = np.maximum(values + np.asarray(background, dtype=float), 1e-30)
    information = np.einsum("nad,nbd->nab", jacobian / variance[:, None], jacobian)
    return _standard_deviations(information)[:, :3]


def strain_bound(positions: Float, sigma: Float) -> Float:
    """Smallest standard deviations of strain and rotation from a weighted fit of a lattice.

    Each disk lies at origin + (1 + D) p; origin and D are unknown, and the strain of the crystal
    is minus the symmetric part of D.

    Parameters
    ----------
    positions
        (n_disk, 2) from the direct beam, (y, x) px.
    sigma
        (..., n_disk) standard deviation of each disk's centre on each axis, px.

    Returns
    -------
    sigma
        (..., 4) of e_xx, e_yy, e_xy (x along kx) and of the rotation in radians. NaN with fewer
        than three disks, or with all of them on one line.

    Examples
    --------
    Five disks in a cross of 100 px, each known to 0.1 px: 0.1 / (√2 · 100).

    >>> from pyxem_mlmaps.planning.bounds import strain_bound
    >>> cross = [(0, 0), (100, 0), (-100, 0), (0, 100), (0, -100)]
    >>> strain_bound(cross, [0.1] * 5).round(6)
    array([0.000707, 0.000707, 0.0005  , 0.0005  ])
    """
    y, x = np.asarray(positions, dtype=float).reshape(-1, 2).T
    weights = 1 / np.asarray(sigma, dtype=float) ** 2
    design = np.stack([np.ones_like(x), x, y], axis=-1)  # of either coordinate
    scale = max(float(np.hypot(y, x).max(initial=0)), 1e-12)
    design[:, 1:] /= scale
    information = np.einsum("...d,da,db->...ab", weights, design, design)
    covariance = _inverse(information)[..., 1:, 1:] / scale**2
    along_x, along_y = covariance[..., 0, 0], covariance[..., 1, 1]
    # D_xy and D_yx come from different coordinates of the disks: they are independent.
    half_sum = np.sqrt(along_x + along_y) / 2
    return np.stack([np.sqrt(along_x), np.sqrt(along_y), half_sum, half_sum], axis=-1)


def _standard_deviations(information: Float) -> Float:
    return np.sqrt(np.einsum("...aa->...a", _inverse(information)))


def _inverse(information: Float) -> Float:
    """Inverse of (..., n, n) information; NaN where it is singular, whatever the units."""
    diagonal = np.einsum("...aa->...a", information)
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-300))
    scaled = information * scale[..., :, None] * scale[..., None, :]
    values, vectors = np.linalg.eigh(scaled)
    known = values[..., 0] > values[..., -1] / SINGULAR
    inverse = np.einsum(
        "...ia,...a,...ja->...ij", vectors, 1 / np.where(values > 0, values, np.nan), vectors
    )
    inverse *= scale[..., :, None] * scale[..., None, :]
    return np.where(known[..., None, None], inverse, np.nan)
