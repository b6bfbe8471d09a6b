"""Diffraction disks found as peaks, and drawn as spots: what template matching can read.

Templates are points. A disk several pixels wide correlates with wrong templates almost as well as
with the right one, and a few bright disks outweigh all others; small spots of compressed intensity
do neither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spots", "draw_spots", "find_spots"]

Float = NDArray[np.floating]

SIGNIFICANT = 5.0
"""Standard deviations above its surroundings that make a peak a disk."""


class Spots(NamedTuple):
    """Disks of one pattern: ``positions`` (n, 2) as (y, x) px and ``counts`` (n,)."""

    positions: Float
    counts: Float


def find_spots(
    pattern: Float, radius: float, gain: float = 1.0, significant: float = SIGNIFICANT
) -> Spots:
    """Disks of a pattern by correlation with a disk, less the ring around it.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    radius
        Of the disks, px.
    gain
        Counts for one electron: it tells what is noise.
    significant
        Standard deviations that a disk must rise above its surroundings.

    Returns
    -------
    Spots
        Brightest first, centres by a parabola through the peak of the correlation.
    """
    from scipy.signal import fftconvolve
    from skimage.feature import peak_local_max

    pattern = np.nan_to_num(np.asarray(pattern, dtype=float), posinf=0.0, neginf=0.0)
    kernel = _disk_less_ring(radius)
    # beyond the border the pattern goes on as its mirror image: zeros would make edges there
    wide = np.pad(pattern, len(kernel) // 2, mode="symmetric")
    net = fftconvolve(wide, kernel, mode="valid")
    variance = gain * np.maximum(fftconvolve(wide, kernel**2, mode="valid"), 1e-12)
    wanted = np.where(net > significant * np.sqrt(variance), net, 0)
    apart = max(int(round(radius)), 1)
    peaks = peak_local_max(wanted, min_distance=apart, exclude_border=False)
    if not len(peaks):
        return Spots(np.empty((0, 2)), np.empty(0))
    counts = net[tuple(peaks.T)]
    return Spots(_parabola(net, peaks), counts)


def draw_spots(
    spots: Spots, shape: tuple[int, int], power: float, sigma: float, skip: Float | None = None
) -> Float:
    """(ky, kx) pattern of Gaussian spots whose height is counts ** power, the largest 1.

    Parameters
    ----------
    spots
        What to draw.
    shape
        (ky, kx).
    power
        Compression of intensities.
    sigma
        Of the spots, px.
    skip
        (n,) mask of spots that are left out.
    """
    drawn = np.zeros(shape)
    keep = np.ones(len(spots.counts), bool) if skip is None else ~np.asarray(skip)
    if not keep.any():
        return drawn
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    height = (spots.counts[keep] / spots.counts[keep].max()) ** power
    for (cy, cx), value in zip(spots.positions[keep], height, strict=True):
        drawn += (
            value
            * np.exp(-((y - cy) ** 2) / (2 * sigma**2))
            * np.exp(-((x - cx) ** 2) / (2 * sigma**2))
        )
    return drawn


def _disk_less_ring(radius: float) -> Float:
    reach = int(np.ceil(1.9 * radius + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    r = np.hypot(y, x)
    disk = np.clip(radius + 0.5 - r, 0, 1)
    ring = ((r > 1.25 * radius + 0.5) & (r <= 1.9 * radius + 0.5)).astype(float)
    return disk - ring * disk.sum() / ring.sum()


def _parabola(values: Float, peaks: NDArray[np.integer]) -> Float:
    """Peaks moved to the top of the parabola through their neighbours along each axis."""
    moved = peaks.astype(float)
    for axis in (0, 1):
        inside = (peaks[:, axis] > 0) & (peaks[:, axis] < values.shape[axis] - 1)
        step = np.eye(2, dtype=int)[axis]
        here = values[tuple(peaks[inside].T)]
        before = values[tuple((peaks[inside] - step).T)]
        after = values[tuple((peaks[inside] + step).T)]
        curve = np.maximum(2 * here - before - after, 1e-12)
        moved[inside, axis] += np.clip(0.5 * (after - before) / curve, -0.5, 0.5)
    return moved
