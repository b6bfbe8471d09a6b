"""How well the centre of a disk can be told, given that what it shows inside is not known.

Where a disk shows fringes its edge is harder to place: they pass for a shift. So the contrast is an
unknown too, with a Gaussian prior: the mean and covariance of the crystal's own simulated disks, in
principal components (as in ``benchmarks/disk_bound.py``, which averages over single disks).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc

from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["DiskNodes", "contrast_modes", "disk_nodes", "disk_position_bound"]

Float = NDArray[np.floating]

SPAN = 5.0
"""Blurs on each side of a disk's edge that are summed finely."""
AZIMUTHS = 24
COMPONENTS = 60
SAMPLES = 400
"""Disks that the covariance is taken from."""


class DiskNodes(NamedTuple):
    """Points of a disk's image, dense where its edge is: ``y``, ``x`` (n,) px from the centre,
    ``area`` (n,) px² that each stands for, ``aperture`` (n,) how much of the disk is there,
    ``slope`` (n,) its fall per px outwards; ``radius`` px."""

    y: Float
    x: Float
    area: Float
    aperture: Float
    slope: Float
    radius: float


def disk_nodes(radius: float, edge: float) -> DiskNodes:
    """Polar quadrature over a disk.

    Parameters
    ----------
    radius
        px.
    edge
        Standard deviation of its blurred edge, px. The pixel's own width is added to it.
    """
    blur = float(np.sqrt(edge**2 + 1 / 12))
    inner = max(radius - SPAN * blur, 0.0)
    parts = [np.linspace(inner, radius + SPAN * blur, 31)]
    if inner > 0:
        parts.insert(0, np.linspace(0, inner, 9))
    r = np.concatenate([(p[1:] + p[:-1]) / 2 for p in parts])
    dr = np.concatenate([np.diff(p) for p in parts])
    phi = 2 * np.pi * np.arange(AZIMUTHS) / AZIMUTHS
    r, phi = (v.ravel() for v in np.meshgrid(r, phi, indexing="ij"))
    area = r * np.repeat(dr, AZIMUTHS) * 2 * np.pi / AZIMUTHS
    away = (r - radius) / blur
    aperture = 0.5 * erfc(away / np.sqrt(2))
    slope = np.exp(-(away**2) / 2) / (np.sqrt(2 * np.pi) * blur)
    return DiskNodes(r * np.sin(phi), r * np.cos(phi), area, aperture, slope, radius)


def contrast_modes(
    spline: LibrarySpline, points: Float, convergence_angle: float, nodes: DiskNodes
) -> Float:
    """What disks of mean 1 may show inside: principal components times their deviation.

    Parameters
    ----------
    spline
        Through plane-wave maps.
    points
        (n, 3) tilt x, tilt y (degrees) and thickness (nm) of the disks that are looked at.
    convergence_angle
        Semi-angle, mrad: the radius of the nodes.
    nodes
        Where the contrast is wanted. Beyond the aperture it is that of the rim.

    Returns
    -------
    modes
        (n_component, n_node).
    """
    r = np.hypot(nodes.y, nodes.x)
    inside = np.degrees(convergence_angle * 1e-3) / np.maximum(r, nodes.radius)
    away = np.stack([-nodes.x * inside, -nodes.y * inside, np.zeros_like(r)], axis=-1)
    where = (np.asarray(points, dtype=float)[:, None] + away).reshape(-1, 3)
    values = np.maximum(spline(where), 0).reshape(len(points), len(r), -1)
    values = np.moveaxis(values, 2, 1).reshape(-1, len(r)).astype(float)
    weight = nodes.area * nodes.aperture
    mean = values @ weight / weight.sum()
    values = values[mean > 0] / mean[mean > 0, None]
    values = values[:: max(1, len(values) // SAMPLES)]
    values -= values.mean(axis=0)
    scaled = values * np.sqrt(weight / len(values))
    _, vectors = np.linalg.eigh(scaled @ scaled.T)  # ascending; there are fewer disks than nodes
    modes = vectors[:, ::-1].T[:COMPONENTS] @ scaled
    return modes / np.sqrt(np.maximum(weight, 1e-12))


def disk_position_bound(
    counts: ArrayLike, nodes: DiskNodes, background: ArrayLike = 0.0, modes: Float | None = None
) -> Float:
    """Smallest standard deviation of the centres of disks, px on each axis.

    A disk of N counts is λ = n c A + B counts a pixel: n = N/πR², c its contrast of mean 1, A the
    blurred aperture, B the background. Unknown are the centre, n, B and c, the latter with the
    prior that ``modes`` are. Without them it is that of an evenly filled disk, (b R / 0.92 N)^½
    with b the blur, where there is no background.

    Parameters
    ----------
    counts
        (n,) of whole disks.
    nodes
        Of :func:`disk_nodes`.
    background
        (n,) counts a pixel.
    modes
        Of :func:`contrast_modes`. None: what the disk shows is known to be even.

    Returns
    -------
    sigma
        (n,).

    Examples
    --------
    >>> from pyxem_mlmaps.planning.positions import disk_nodes, disk_position_bound
    >>> disk_position_bound([1e4, 1e6], disk_nodes(radius=30, edge=1.0)).round(4)
    array([0.0581, 0.0058])
    """
    counts, background = np.broadcast_arrays(
        np.asarray(counts, dtype=float), np.asarray(background, dtype=float)
    )
    r = np.maximum(np.hypot(nodes.y, nodes.x), 1e-9)
    modes = np.zeros((0, len(r))) if modes is None else modes
    columns = np.concatenate(
        [
            np.stack([nodes.slope * nodes.y / r, nodes.slope * nodes.x / r, nodes.aperture]),
            modes * nodes.aperture,
        ]
    )
    level = np.maximum(counts, 1e-12) / (np.pi * nodes.radius**2)
    prior = np.concatenate([np.zeros(3), np.ones(len(modes))])
    sigma = np.empty(counts.shape)
    for i in np.ndindex(counts.shape):
        variance = level[i] * nodes.aperture + max(background[i], 1e-6 * level[i])
        weighted = columns * (level[i] * np.sqrt(nodes.area / variance))
        information = weighted @ weighted.T + np.diag(prior)
        rest = np.linalg.solve(information[2:, 2:], information[2:, :2])
        centre = information[:2, :2] - information[:2, 2:] @ rest
        sigma[i] = np.sqrt(np.trace(np.linalg.inv(centre)) / 2)
    return sigma
