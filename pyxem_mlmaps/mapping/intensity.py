"""Disk intensities of patterns: sums over pixel windows, read in place."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.specs import DiskLattice

__all__ = [
    "Pixels",
    "Windows",
    "disk_intensities",
    "disk_windows",
    "find_shifts",
    "pixel_intensities",
]

Float = NDArray[np.floating]

MARGIN = 2.0
"""Pixels that a window reaches beyond the disk. Counts of a blurred edge that are cut off depend on
the contrast at the rim: with an edge of 1 px, 1 px cut off 3 % and biased tilts by 0.4 m°, 2 px by
0.06 m° (``benchmarks/README.md``)."""


class Windows(NamedTuple):
    """Pixels of n_disk windows as runs along rows.

    ``first`` (n_disk + 1,) tells which runs belong to a disk; each run is pixels ``left`` to
    ``right`` - 1 of ``row``. ``area`` (n_disk,) counts the pixels.
    """

    first: NDArray[np.int64]
    row: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    area: NDArray[np.int64]


def disk_windows(lattice: DiskLattice, shape: tuple[int, int]) -> tuple[Windows, Windows]:
    """Windows over the disks, and rings around them for the local background.

    A window reaches :data:`MARGIN` beyond the disk's radius, where the blurred edge ends, but no
    farther than half way to the next disk. A ring is what lies within a further 40 % of the
    radius (at least 2 px) and outside every window of the whole lattice.

    Parameters
    ----------
    lattice
        Disks, radius in pixels.
    shape
        (ky, kx) of the patterns.
    """
    half_way = lattice.smallest_distance / 2
    inner = min(lattice.radius + MARGIN, half_way)
    outer = inner + max(2.0, 0.4 * lattice.radius)
    everywhere = np.array([(i, j) for i in range(-60, 61) for j in range(-60, 61)])
    centres = np.asarray(lattice.origin) + everywhere @ lattice.basis
    near = np.all((centres > -outer) & (centres < np.array(shape) + outer), axis=1)
    occupied = np.zeros(shape, dtype=bool)
    for centre in centres[near]:
        rows, columns = _box(centre, inner, shape)
        occupied[rows, columns] |= _inside(centre, inner, rows, columns)
    masks, rings = [], []
    for centre in lattice.positions:
        rows, columns = _box(centre, outer, shape)
        masks.append((rows, columns, _inside(centre, inner, rows, columns)))
        ring = _inside(centre, outer, rows, columns) & ~occupied[rows, columns]
        rings.append((rows, columns, ring))
    return _runs(masks), _runs(rings)


def _box(centre: Float, radius: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    low = np.maximum(np.floor(centre - radius).astype(int), 0)
    high = np.minimum(np.ceil(centre + radius).astype(int) + 1, shape)
    return slice(low[0], max(high[0], low[0])), slice(low[1], max(high[1], low[1]))


def _inside(centre: Float, radius: float, rows: slice, columns: slice) -> NDArray[np.bool_]:
    y = np.arange(rows.start, rows.stop)[:, None] - centre[0]
    x = np.arange(columns.start, columns.stop)[None, :] - centre[1]
    return y**2 + x**2 <= radius**2


def _runs(masks: list[tuple[slice, slice, NDArray[np.bool_]]]) -> Windows:
    first, row, left, right, area = [0], [], [], [], []
    for rows, columns, mask in masks:
        edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        starts, stops = np.argwhere(edges == 1), np.argwhere(edges == -1)
        row.extend(starts[:, 0] + rows.start)
        left.extend(starts[:, 1] + columns.start)
        right.extend(stops[:, 1] + columns.start)
        first.append(len(row))
        area.append(int(mask.sum()))
    return Windows(*(np.array(v, dtype=np.int64) for v in (first, row, left, right, area)))


def disk_intensities(
    patterns: NDArray,
    shifts: NDArray[np.int64],
    first: NDArray[np.int64],
    row: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    saturation: float,
    sums: Float,
) -> None:
    """Sum the windows of each pattern into ``sums`` (n, n_disk).

    ``shifts`` (n, 2) moves the windows of a pattern by whole pixels (y, x). A window that leaves
    the detector, holds a pixel at or above ``saturation`` or one that is no number makes its sum
    NaN. Integers are added up as integers.
    """
    look = math.isfinite(saturation)
    zero = _zero(patterns)
    _sum_windows(patterns, shifts, first, row, left, right, zero, saturation, look, sums)


def _zero(patterns: NDArray) -> np.generic:
    """What sums of such pixels start from."""
    return {"u": np.uint64(0), "i": np.int64(0)}.get(patterns.dtype.kind, np.float64(0))


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _sum_windows(
    patterns, shifts, first, row, left, right, zero, saturation, look, sums
):  # pragma: no cover - compiled
    """Flat unsigned indices: no test for negative ones keeps the loop from being vectorised."""
    n, height, width = patterns.shape
    for m in range(n):
        dy, dx = shifts[m, 0], shifts[m, 1]
        flat = patterns[m].ravel()
        for d in range(len(first) - 1):
            total = zero
            largest = flat.dtype.type(0)
            bad = False
            for r in range(first[d], first[d + 1]):
                y = row[r] + dy
                x0 = left[r] + dx
                x1 = right[r] + dx
                if y < 0 or y >= height or x0 < 0 or x1 > width:
                    bad = True
                    break
                start, stop = np.uint64(y * width + x0), np.uint64(y * width + x1)
                if look:
                    for x in range(start, stop):
                        total += flat[x]
                        largest = max(largest, flat[x])
                else:
                    for x in range(start, stop):
                        total += flat[x]
            sums[m, d] = float(total)
            if bad or (look and largest >= saturation) or not math.isfinite(sums[m, d]):
                sums[m, d] = np.nan


class Pixels(NamedTuple):
    """Pixels of n_disk windows one by one, for windows whose runs are short, as those of rings.

    ``first`` (n_disk + 1,) tells which belong to a disk, ``at`` their numbers in a flat pattern;
    ``ends`` (n_disk, 4) are the first and last row, first and last column.
    """

    first: NDArray[np.int64]
    at: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, windows: Windows, shape: tuple[int, int]) -> Pixels:
        """The pixels of windows on patterns of ``shape`` (ky, kx)."""
        first, at, ends = [0], [], []
        for disk in range(len(windows.area)):
            part = slice(windows.first[disk], windows.first[disk + 1])
            rows, lefts, rights = windows.row[part], windows.left[part], windows.right[part]
            for y, left, right in zip(rows, lefts, rights, strict=True):
                at.append(y * shape[1] + np.arange(left, right))
            first.append(first[-1] + int(windows.area[disk]))
            empty = not len(rows)
            limits = (
                (rows.min(), rows.max(), lefts.min(), rights.max() - 1) if not empty else [0] * 4
            )
            ends.append(limits)
        flat = np.concatenate(at) if at else np.empty(0, dtype=np.int64)
        return cls(np.array(first), flat.astype(np.int64), np.array(ends, dtype=np.int64))


def pixel_intensities(
    patterns: NDArray,
    shifts: NDArray[np.int64],
    pixels: Pixels,
    saturation: float,
    sums: Float,
) -> None:
    """:func:`disk_intensities` of windows that are given by their pixels."""
    _sum_pixels(
        patterns, shifts, *pixels, _zero(patterns), saturation, math.isfinite(saturation), sums
    )


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _sum_pixels(
    patterns, shifts, first, at, ends, zero, saturation, look, sums
):  # pragma: no cover - compiled
    n, height, width = patterns.shape
    for m in range(n):
        dy, dx = shifts[m, 0], shifts[m, 1]
        flat = patterns[m].ravel()
        move = dy * width + dx
        for d in range(len(first) - 1):
            bad = ends[d, 0] + dy < 0 or ends[d, 1] + dy >= height
            bad = bad or ends[d, 2] + dx < 0 or ends[d, 3] + dx >= width
            total = zero
            largest = flat.dtype.type(0)
            if not bad:
                for k in range(first[d], first[d + 1]):
                    value = flat[np.uint64(at[k] + move)]
                    total += value
                    if look:
                        largest = max(largest, value)
            sums[m, d] = float(total)
            if bad or (look and largest >= saturation) or not math.isfinite(sums[m, d]):
                sums[m, d] = np.nan


@numba.njit(nogil=True, cache=True)
def find_shifts(patterns, centre, radius, reach):  # pragma: no cover - compiled
    """Whole-pixel shift (n, 2) of the direct beam from ``centre``, within ± ``reach`` pixels.

    At the right place a window of the disk's size holds the most counts compared with the ring
    around it; contrast inside the disk does not matter, its edge does.
    """
    n, height, width = patterns.shape
    shifts = np.zeros((n, 2), dtype=np.int64)
    outer = radius + 2.5
    size = int(np.ceil(outer))
    for m in range(n):
        best = -np.inf
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                inside = 0.0
                n_inside = 0
                around = 0.0
                n_around = 0
                y0 = centre[0] + dy
                x0 = centre[1] + dx
                for y in range(int(np.floor(y0)) - size, int(np.floor(y0)) + size + 2):
                    if y < 0 or y >= height:
                        continue
                    for x in range(int(np.floor(x0)) - size, int(np.floor(x0)) + size + 2):
                        if x < 0 or x >= width:
                            continue
                        squared = (y - y0) ** 2 + (x - x0) ** 2
                        if squared <= radius * radius:
                            inside += patterns[m, y, x]
                            n_inside += 1
                        elif squared <= outer * outer:
                            around += patterns[m, y, x]
                            n_around += 1
                if n_inside == 0 or n_around == 0:
                    continue
                score = inside / n_inside - around / n_around
                if score > best:
                    best = score
                    shifts[m, 0] = dy
                    shifts[m, 1] = dx
    return shifts
