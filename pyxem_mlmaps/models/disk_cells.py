"""Disks cut into cells: what a search compares, since sums over whole disks are ambiguous.

A disk is a centre and six sectors round it. The counts of a cell are the plane-wave map averaged
over the same part of the aperture, so a library of maps gives the cells of every tilt by moving
averages.

Square roots are compared, whose noise is the same for bright and dark cells, by their cosine, which
knows no scale: with an electron or less in most cells nothing else was as sure to have the right
tilt among its best answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.spline import PackedSpline

__all__ = ["CELLS", "CellSearch", "cell_counts", "cell_templates"]

Float = NDArray[np.floating]

CELLS = 7
INNER, OUTER = 0.45, 0.9
"""Radii that bound the sectors, in disk radii: the rim is left out, where the edge is blurred."""
LARGEST = 2**25
"""Comparisons held in memory at once."""


@numba.njit(nogil=True, cache=True)
def cell_counts(patterns, places, turn, radius, out, flat):  # pragma: no cover - compiled
    """Mean counts per pixel of the cells of each disk, less a flat background.

    Parameters
    ----------
    patterns
        (n, ky, kx).
    places
        (n, n_disk, 2) centres (y, x) px.
    turn
        (n,) degrees from kx towards ky by which the pattern is turned: cells turn with it.
    radius
        Of the disks, px.
    out
        (n, n_disk, 7); NaN for disks that leave the detector.
    flat
        (n,) the background that was taken off: mean of pixels two px and more outside all disks.
    """
    n, height, width = patterns.shape
    total = np.empty(7)
    count = np.empty(7)
    free = np.empty((height, width), dtype=np.bool_)
    away = radius + 2.0
    for m in range(n):
        free[:, :] = True
        for d in range(places.shape[1]):
            cy, cx = places[m, d, 0], places[m, d, 1]
            if not (math.isfinite(cy) and math.isfinite(cx)):
                continue
            for y in range(max(int(cy - away), 0), min(int(cy + away) + 2, height)):
                for x in range(max(int(cx - away), 0), min(int(cx + away) + 2, width)):
                    if (y - cy) ** 2 + (x - cx) ** 2 <= away * away:
                        free[y, x] = False
        background = 0.0
        pixels = 0
        for y in range(height):
            for x in range(width):
                if free[y, x] and math.isfinite(patterns[m, y, x]):
                    background += patterns[m, y, x]
                    pixels += 1
        background /= max(pixels, 1)
        flat[m] = background
        c, s = math.cos(math.radians(turn[m])), math.sin(math.radians(turn[m]))
        for d in range(places.shape[1]):
            cy, cx = places[m, d, 0], places[m, d, 1]
            inside = cy >= radius and cx >= radius
            inside = inside and cy <= height - 1 - radius and cx <= width - 1 - radius
            if not inside:  # also where it is NaN
                out[m, d, :] = np.nan
                continue
            total[:] = 0
            count[:] = 0
            for y in range(int(cy - radius), int(cy + radius) + 2):
                for x in range(int(cx - radius), int(cx + radius) + 2):
                    if y >= height or x >= width:
                        continue
                    uy, ux = y - cy, x - cx
                    r = math.sqrt(uy * uy + ux * ux) / radius
                    if r > OUTER:
                        continue
                    k = 0
                    if r > INNER:
                        angle = math.atan2(c * uy - s * ux, c * ux + s * uy)
                        k = 1 + min(int((angle + math.pi) / (math.pi / 3)), 5)
                    total[k] += patterns[m, y, x]
                    count[k] += 1
            for k in range(7):
                out[m, d, k] = total[k] / count[k] - background if count[k] else np.nan


def cell_templates(
    maps: PackedSpline, aperture: float, tilt_x: Float, tilt_y: Float, every: int
) -> NDArray[np.float32]:
    """Square roots of the cells of the library at tilts on its grid, (n_x, n_y, n_t, n_disk, 7).

    Parameters
    ----------
    maps
        Spline through the plane-wave maps.
    aperture
        Convergence semi-angle in degrees.
    tilt_x, tilt_y
        Evenly spaced tilts of the maps' grid, degrees.
    every
        Thicknesses are taken every so many steps.
    """
    step = maps.step[:2]
    i = int(np.round((tilt_x[0] - maps.start[0]) / step[0]))
    j = int(np.round((tilt_y[0] - maps.start[1]) / step[1]))
    stride = int(np.round((tilt_x[-1] - tilt_x[0]) / step[0] / max(len(tilt_x) - 1, 1)))
    depth = np.arange(0, maps.size[2], every)
    stencils = [_stencil(points, aperture, step) for points in _quadrature()]
    taps = np.array(sorted({key for stencil in stencils for key in stencil}))
    weights = np.array([[s.get(tuple(t), 0.0) for t in taps.tolist()] for s in stencils])
    out = np.empty(
        (len(tilt_x), len(tilt_y), len(depth), maps.coefficients.shape[3], CELLS), np.float32
    )
    _moving_averages(
        maps.at_depth(depth), i + 1, j + 1, stride, taps, weights.astype(np.float32), out
    )
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def _moving_averages(
    values, first_i, first_j, stride, taps, weights, out
):  # pragma: no cover - compiled
    n_x, n_y, n_t, n_disk, n_cell = out.shape
    line = np.empty((n_cell, n_disk), dtype=np.float32)
    for i in range(n_x):
        for j in range(n_y):
            for t in range(n_t):
                line[:, :] = 0
                for k in range(len(taps)):
                    x = first_i + stride * i + taps[k, 0]
                    row = values[x, first_j + stride * j + taps[k, 1], t]
                    for c in range(n_cell):
                        w = weights[c, k]
                        if w != 0:
                            for d in range(n_disk):
                                line[c, d] += w * row[d]
                for d in range(n_disk):
                    for c in range(n_cell):
                        out[i, j, t, d, c] = math.sqrt(max(line[c, d], np.float32(0)))


def _quadrature() -> list[Float]:
    """Points (x, y) in radii over which the map is averaged for each cell."""
    corners = np.radians([30, 150, 270])
    cells = [np.stack([0.25 * np.cos(corners), 0.25 * np.sin(corners)], axis=1)]
    for k in range(6):
        angles = -np.pi + (k + 0.5) * np.pi / 3 + np.radians([-14, 14])
        cells.append(np.stack([0.67 * np.cos(angles), 0.67 * np.sin(angles)], axis=1))
    return cells


def _stencil(points: Float, aperture: float, step: Float) -> dict[tuple[int, int], float]:
    """Weights of spline coefficients around a grid point whose sum is the mean over a cell."""
    weights: dict[tuple[int, int], float] = {}
    for x, y in points:
        u, v = -aperture * x / step[0], -aperture * y / step[1]
        i, wi = _cubic(u)
        j, wj = _cubic(v)
        for a in range(4):
            for b in range(4):
                key = (i + a - 1, j + b - 1)
                weights[key] = weights.get(key, 0.0) + wi[a] * wj[b] / len(points)
    return weights


def _cubic(u: float) -> tuple[int, Float]:
    cell = int(np.floor(u))
    x = u - cell
    y = 1 - x
    weight = np.array([y**3, 4 - 6 * x * x + 3 * x**3, 4 - 6 * y * y + 3 * y**3, x**3]) / 6
    return cell, weight


@dataclass(frozen=True, eq=False)
class CellSearch:
    """Templates on a grid of tilt and thickness, compared with patterns by one matrix product.

    Parameters
    ----------
    axes
        Tilt x, tilt y (degrees) and thickness (nm) of the templates.
    roots
        (n_template, n_feature) square roots, the last axis of the grid fastest.
    """

    axes: tuple[Float, Float, Float]
    roots: NDArray[np.float32]

    @classmethod
    def of(cls, axes: tuple[Float, Float, Float], roots: Float) -> CellSearch:
        """From square roots (n_x, n_y, n_t, n_disk, 7)."""
        return cls(axes, roots.reshape(-1, roots.shape[-2] * roots.shape[-1]))

    def ranked(self, counts: Float, n: int) -> Iterator[tuple[Float, Float]]:
        """The best templates of each pattern, apart from one another, best first.

        Parameters
        ----------
        counts
            (n_pattern, n_disk, 7); NaN features are left out.
        n
            How many.

        Yields
        ------
        values
            (n_pattern, 3) tilt x, tilt y, thickness.
        cosine
            (n_pattern,) of the angle between the square roots.
        """
        flat = counts.reshape(len(counts), -1)
        known = np.isfinite(flat)
        roots = np.sqrt(np.maximum(np.nan_to_num(flat), 0), dtype=np.float32)
        shape = tuple(len(axis) for axis in self.axes)
        values, cosines = np.empty((n, len(flat), 3)), np.empty((n, len(flat)))
        block = max(1, LARGEST // len(self.roots))
        for first in range(0, len(flat), block):
            part = slice(first, first + block)
            cosine = self._cosine(roots[part], known[part]).reshape(-1, *shape)
            for rank in range(n):
                table = cosine.reshape(len(cosine), -1)
                where = np.argmax(table, axis=1)
                cosines[rank, part] = table[np.arange(len(table)), where]
                best = np.unravel_index(where, shape)
                values[rank, part] = np.stack(
                    [axis[i] for axis, i in zip(self.axes, best, strict=True)], axis=-1
                )
                if rank < n - 1:
                    x, y, t = (
                        np.abs(np.arange(size) - i[:, None]) <= reach
                        for size, i, reach in zip(shape, best, (1, 1, 0), strict=True)
                    )
                    cosine[x[:, :, None, None] & y[:, None, :, None] & t[:, None, None]] = -1
        yield from zip(values, cosines, strict=True)

    def _cosine(self, roots: NDArray[np.float32], known: NDArray[np.bool_]) -> Float:
        product = roots @ self.roots.T
        length = np.linalg.norm(roots, axis=1)[:, None]
        disks = known.reshape(len(known), -1, CELLS)
        whole = disks.all(axis=2)
        if (disks.any(axis=2) == whole).all():
            other = whole.astype(np.float32) @ self.squares.T
        else:
            other = known.astype(np.float32) @ (self.roots**2).T
        return product / np.maximum(length * np.sqrt(other), 1e-12)

    @cached_property
    def squares(self) -> NDArray[np.float32]:
        """(n_template, n_disk) sums of squares over the cells of a disk."""
        cells = self.roots.reshape(len(self.roots), -1, CELLS)
        return np.einsum("tdc,tdc->td", cells, cells)
