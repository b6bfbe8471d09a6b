"""Kernels on one diffraction pattern: where are disks of a given radius, how bright are they.

Positions are (y, x) in pixels, radii in pixels; arrays in, arrays out.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import (
    distance_transform_edt,
    gaussian_filter,
    map_coordinates,
    rank_filter,
)
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

__all__ = [
    "background",
    "clean_pattern",
    "disk_map",
    "disk_sums",
    "find_disks",
]

Floats = NDArray[np.float64]


def clean_pattern(pattern: ArrayLike) -> Floats:
    """A finite, non-negative copy without single hot pixels.

    Parameters
    ----------
    pattern
        (ky, kx) counts in any scale. NaN and infinite pixels take their nearest neighbour's value.

    Returns
    -------
    ndarray
        (ky, kx) float64. A pixel four times above all its neighbours, and comparable with the
        brightest extended feature, gets the value of the highest neighbour.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_disks import clean_pattern
    >>> pattern = np.ones((5, 5))
    >>> pattern[2, 2], pattern[0, 0] = 1e6, np.nan
    >>> bool(np.all(clean_pattern(pattern) == 1))
    True
    """
    image = np.array(pattern, dtype=float)
    bad = ~np.isfinite(image)
    if bad.any() and not bad.all():
        nearest = distance_transform_edt(bad, return_distances=False, return_indices=True)
        image = image[tuple(nearest)]
    image = np.clip(np.nan_to_num(image), 0, None)
    second = rank_filter(image, rank=-2, size=3)
    hot = (image > 4 * second) & (image > 0.25 * second.max())
    return np.where(hot, second, image)


def disk_map(image: Floats, radius: float) -> tuple[Floats, Floats]:
    """Correlation of an image with the edge of a disk: a bright ring inside a dark one.

    The rings are ``max(2, 0.4 radius)`` px wide, so that contrast in the middle of a disk does
    not count. Pass the square root of the counts: it makes Poisson noise uniform.

    Parameters
    ----------
    image
        (ky, kx) square root of counts.
    radius
        Disk radius in pixels.

    Returns
    -------
    correlation
        (ky, kx) normalised correlation, -1 to 1: independent of a disk's brightness.
    step
        (ky, kx) mean over the inner ring minus mean over the outer ring, in units of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_disks import disk_map
    >>> y, x = np.indices((64, 64))
    >>> correlation, step = disk_map((np.hypot(y - 30, x - 40) < 8).astype(float), 8)
    >>> [int(i) for i in np.unravel_index(np.argmax(correlation), (64, 64))]
    [30, 40]
    """
    ring = max(2.0, 0.4 * radius)
    half = int(np.ceil(radius + ring))
    distance = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    inner, upto, outer = (
        np.clip(r + 0.5 - distance, 0, 1) for r in (max(radius - ring, 0.0), radius, radius + ring)
    )
    inside, outside = upto - inner, outer - upto
    if radius <= ring:
        inside = upto
    inside, outside = inside / inside.sum(), outside / outside.sum()
    support = (inside + outside) / 2
    padded = np.pad(image - image.mean(), half, mode="edge")

    def correlate(a: Floats, kernel: Floats) -> Floats:
        return fftconvolve(a, kernel, mode="valid")

    mean_inside, mean_outside = correlate(padded, inside), correlate(padded, outside)
    mean = (mean_inside + mean_outside) / 2
    variance = np.clip(correlate(padded**2, support) - mean**2, 0, None)
    floor = 1e-6 * max(float(image.var()), np.finfo(float).tiny)
    step = mean_inside - mean_outside
    return step / 2 / np.sqrt(variance + floor), step


def find_disks(image: Floats, radius: float, threshold: float = 0.45) -> tuple[Floats, Floats]:
    """Disks of one radius, the highest edge first.

    Parameters
    ----------
    image
        (ky, kx) square root of counts.
    radius
        Disk radius in pixels.
    threshold
        Least normalised correlation with the edge template.

    Returns
    -------
    positions
        (n, 2) whole pixels (y, x); disks cut by the detector's border are left out.
    steps
        (n,) height of the edge, in units of the image.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_disks import find_disks
    >>> y, x = np.indices((64, 64))
    >>> find_disks((np.hypot(y - 30, x - 40) < 8).astype(float), 8)[0]
    array([[30., 40.]])
    """
    correlation, step = disk_map(image, radius)
    peaks = peak_local_max(
        correlation,
        min_distance=max(1, int(1.2 * radius)),
        threshold_abs=threshold,
        exclude_border=max(1, int(radius)),
    )
    steps = step[tuple(peaks.T)]
    order = np.argsort(-steps, kind="stable")
    return peaks[order].astype(float), steps[order]


def disk_sums(pattern: Floats, positions: ArrayLike, radius: float, gap: float = 4.0) -> Floats:
    """Counts in disks above the local background (25th percentile of a ring round the disk).

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    positions
        (n, 2) disk centres (y, x) in pixels.
    radius
        Disk radius in pixels.
    gap
        Free pixels between neighbouring disks: the ring is half as wide, at least 1.5 px.

    Returns
    -------
    ndarray
        (n,) counts; pixels beyond the border count as the background.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_disks import disk_sums
    >>> abs(disk_sums(np.ones((32, 32)), [(16, 16)], radius=5)) < 1e-9
    array([ True])
    """
    offsets = np.stack(np.mgrid[-40:41, -40:41], axis=-1).reshape(-1, 2) * (radius + 4) / 40
    distance = np.hypot(*offsets.T)
    outer = radius + 1 + float(np.clip(gap / 2, 1.5, 0.3 * radius + 2))
    disk, ring = offsets[distance <= radius], offsets[(distance > radius + 1) & (distance <= outer)]
    centres = np.atleast_2d(np.asarray(positions, dtype=float))[:, None]

    def sample(grid: NDArray) -> Floats:
        where = np.moveaxis(centres + grid, -1, 0)
        return map_coordinates(pattern, where, order=1, mode="constant", cval=np.nan)

    with warnings.catch_warnings():  # disks off the pattern are NaN, silently
        warnings.simplefilter("ignore", RuntimeWarning)
        background = np.nan_to_num(np.nanpercentile(sample(ring), 25, axis=1, keepdims=True))
        return np.pi * radius**2 * np.nanmean(sample(disk) - background, axis=1)


def background(pattern: Floats, positions: ArrayLike, radius: float) -> Floats:
    """The pattern between the disks, carried on smoothly under them.

    Without it, a sloping background pulls the edges of weak disks towards the direct beam.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    positions
        (n, 2) disk centres (y, x) in pixels.
    radius
        Disk radius in pixels; 2 px more are left out, or less where disks are close.

    Returns
    -------
    ndarray
        (ky, kx) counts: a Gaussian mean, one radius wide, of the pixels outside all disks.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_disks import background
    >>> y, x = np.indices((32, 32))
    >>> disk = 5.0 * (np.hypot(y - 16, x - 16) < 5)
    >>> bool(np.allclose(background(disk + 2, [(16, 16)], 5), 2))
    True
    """
    distance = cKDTree(np.atleast_2d(positions)).query(
        np.argwhere(np.ones(pattern.shape)), distance_upper_bound=radius + 3
    )[0]
    for margin in (2.0, 1.0):
        free = (distance.reshape(pattern.shape) > radius + margin).astype(float)
        if free.mean() > 0.05:
            break
    weight = gaussian_filter(free, radius, mode="constant", truncate=6)
    level = gaussian_filter(free * pattern, radius, mode="constant", truncate=6)
    return np.where(weight > 1e-9, level / np.maximum(weight, 1e-9), 0.0)
