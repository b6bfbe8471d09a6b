"""Kernels on the edges of diffraction disks: sub-pixel position and radius.

Positions are (y, x) in pixels, radii in pixels; arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.special import erfc
from skimage.feature import peak_local_max

from pyxem_mlmaps.mapping.lattice_disks import disk_map, find_disks

__all__ = ["edge_shifts", "measure_radius"]

Floats = NDArray[np.float64]


def edge_shifts(
    pattern: Floats, positions: ArrayLike, radius: float, reach: float, width: float = 0.8
) -> tuple[Floats, Floats, Floats]:
    """Sub-pixel shifts of disks from the position of their edge, whatever the contrast inside.

    Along every direction a soft edge is fitted whose height, outer level and inner slope are
    free; the common shift and change of radius of a disk follow by least squares. Linearised:
    repeat with the corrected positions.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    positions
        (n, 2) assumed disk centres (y, x) in pixels.
    radius
        Assumed disk radius in pixels.
    reach
        How far from the edge the pattern is looked at, in pixels: half the gap between disks.
    width
        Standard deviation of the edge's blur in pixels; at most half of ``reach`` is used.

    Returns
    -------
    shifts
        (n, 2) true minus assumed position, (y, x) in pixels.
    radius_shifts
        (n,) true minus assumed radius in pixels.
    sigmas
        (n,) standard error of a shift, from the scatter round the edge; inf without an edge.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.disk_edges import edge_shifts
    >>> y, x = np.indices((64, 64))
    >>> disk = np.clip(10.5 - np.hypot(y - 30.3, x - 31.8), 0, 1)
    >>> shifts, _, _ = edge_shifts(disk, [(30, 32)], radius=10, reach=3)
    >>> bool(np.all(np.abs(shifts - (0.3, -0.2)) < 0.1))
    True
    """
    positions = np.atleast_2d(np.asarray(positions, dtype=float))
    angles = np.linspace(0, 2 * np.pi, int(np.clip(2 * np.pi * radius, 24, 180)), endpoint=False)
    normals = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    u = np.linspace(-min(reach, 0.8 * radius), reach, int(np.clip(4 * reach, 10, 40)))
    points = positions[:, None, None] + normals[:, None] * (radius + u)[:, None]
    profiles = map_coordinates(pattern, np.moveaxis(points, -1, 0), order=1, mode="nearest")

    width = min(width, 0.5 * reach)  # wider, and edge, shift and slope look alike
    edge = 0.5 * erfc(u / (np.sqrt(2) * width))
    slope = -np.exp(-0.5 * (u / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    design = np.stack([np.ones_like(u), edge, edge * u, slope], axis=1)
    coefficients = profiles @ np.linalg.pinv(design).T
    height = np.clip(coefficients[..., 1], 0, None)
    moved = np.where(height > 0, -coefficients[..., 3], 0.0)  # height times shift of the edge

    a = height[..., None] * np.concatenate([normals, np.ones((len(angles), 1))], axis=1)
    normal_matrix = np.einsum("nai,naj->nij", a, a)
    usable = np.linalg.matrix_rank(normal_matrix, hermitian=True) == 3
    normal_matrix[~usable] = np.eye(3)
    inverse = np.linalg.inv(normal_matrix)
    solution = np.einsum("nij,naj,na->ni", inverse, a, moved)
    residual = moved - np.einsum("nai,ni->na", a, solution)
    scatter = np.sum(residual**2, axis=1) / (len(angles) - 3)
    sigmas = np.sqrt(scatter * (inverse[:, 0, 0] + inverse[:, 1, 1]) / 2)
    return solution[:, :2], solution[:, 2], np.where(usable, sigmas, np.inf)


def measure_radius(pattern: Floats, low: float = 2.0, high: float | None = None) -> float | None:
    """The disk radius at which the edges of the brightest disks are sharpest.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    low, high
        Radii in pixels to look at; ``high=None`` is a quarter of the detector's short side.

    Returns
    -------
    float or None
        Radius in pixels; None when nothing like a disk is there.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.disk_edges import measure_radius
    >>> y, x = np.indices((64, 64))
    >>> radius = measure_radius(np.clip(9.2 + 0.5 - np.hypot(y - 30, x - 40), 0, 1))
    >>> abs(radius - 9.2) < 0.3
    True
    """
    image = np.sqrt(pattern)
    high = min(pattern.shape) / 4 if high is None else high
    radii = np.geomspace(low, max(high, low * 1.01), max(2, int(np.log(high / low) / 0.06) + 1))
    scores = []
    for radius in radii:
        correlation, step = disk_map(image, radius)
        border = int(radius)
        peaks = peak_local_max(
            np.clip(correlation, 0, None) * step,
            min_distance=max(1, int(1.2 * radius)),
            exclude_border=max(1, border),
            num_peaks=4,
        )
        where = tuple(peaks.T)
        scores.append(
            np.mean((np.clip(correlation, 0, None) ** 2 * step)[where]) if len(peaks) else 0
        )
    best = int(np.argmax(scores))
    positions, steps = find_disks(image, radii[best])
    if scores[best] <= 0 or len(positions) == 0:
        return None
    positions, radius = positions[:9], float(radii[best])
    for width in (1.5, 1.0, 0.8, 0.8):
        shifts, growth, sigmas = edge_shifts(
            pattern, positions, radius, max(2.0, 0.3 * radius), width
        )
        good = np.isfinite(sigmas)
        if not good.any():
            return None
        limit = 0.2 * radius
        positions = positions + np.where(good[:, None], np.clip(shifts, -limit, limit), 0)
        radius += float(np.clip(np.median(growth[good]), -limit, limit))
    return radius
