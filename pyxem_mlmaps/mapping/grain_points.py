"""Every point of a scan fitted with the model of its segment, then with those of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_models import ModelKey
from pyxem_mlmaps.models.pattern_fit import PatternFit

__all__ = ["PointFits", "fit_points", "neighbour_starts"]

Float = NDArray[np.floating]

COLUMNS = 6 + 36 + 3
CELL, WITHIN = 0.1, 0.2
"""Degrees: points are searched within that of the middle of the square of tilts that their start
lies in. Points of one square share the search, whatever block they are read with."""
STARTS = 4


@dataclass
class PointFits:
    """Fits of all points, flat over the scan: ``model`` numbers ``keys``, -1 where there is none.

    ``values`` (n, 6), ``covariance`` (n, 6, 6), ``chi_square``, ``at_border``, ``amplitude`` (n,).
    """

    keys: list[ModelKey]
    model: NDArray[np.int64]
    values: Float
    covariance: Float
    chi_square: Float
    at_border: NDArray[np.bool_]
    amplitude: Float

    @classmethod
    def empty(cls, n: int) -> PointFits:
        return cls(
            keys=[],
            model=np.full(n, -1),
            values=np.full((n, 6), np.nan),
            covariance=np.full((n, 6, 6), np.nan),
            chi_square=np.full(n, np.inf),
            at_border=np.zeros(n, dtype=bool),
            amplitude=np.full(n, np.nan),
        )

    def number(self, key: ModelKey) -> int:
        """Number of a model, new ones at the end."""
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)

    def update(self, points: NDArray, model: NDArray, table: Float) -> None:
        """Take the rows of ``table`` (n, 45) that explain their points better."""
        chi_square = np.where(np.isfinite(table[:, 42]), table[:, 42], np.inf)
        better = chi_square < self.chi_square[points]
        rows = points[better]
        table = table[better]
        self.model[rows] = model[better]
        self.values[rows] = table[:, :6]
        self.covariance[rows] = table[:, 6:42].reshape(-1, 6, 6)
        self.chi_square[rows] = table[:, 42]
        self.at_border[rows] = table[:, 43] > 0
        self.amplitude[rows] = table[:, 44]


def fit_points(
    signal: Any,
    solver: Solver,
    fits: PointFits,
    points: NDArray[np.int64],
    model: NDArray[np.int64],
    start: Float,
    gain: float,
    search: bool,
    show_progressbar: bool | None,
    num_workers: int | None,
    text: str,
) -> None:
    """Fit points of the scan, block by block as they are stored, and keep what is better.

    Parameters
    ----------
    signal
        Diffraction2D over two scan axes, lazy or not.
    solver
        Fits.
    fits
        Changed in place.
    points
        (n,) flat numbers of scan points, each at most once.
    model
        (n,) numbers of models.
    start
        (n, 6) where to start.
    gain
        Counts for one electron.
    search
        Whether to search around the start first, or fit from the start itself.
    """
    import dask

    shape = signal.data.shape[:2]
    wanted = np.full(shape, -1)
    wanted.ravel()[points] = np.arange(len(points))
    tasks, rows = [], []
    for block, where in blocks_of(signal):
        local = wanted[where]
        if not (local >= 0).any():
            continue
        chosen = local[local >= 0]
        rows.append(chosen)
        keys = [fits.keys[m] for m in model[chosen]]
        tasks.append(
            dask.delayed(_fit_block, pure=False)(
                block, local >= 0, keys, start[chosen], solver, gain, search
            )
        )
    if not tasks:
        return
    tables = compute(*tasks, show_progressbar=show_progressbar, num_workers=num_workers, text=text)
    order = np.concatenate(rows)
    fits.update(points[order], model[order], np.concatenate(tables))


def blocks_of(signal: Any) -> list[tuple[Any, tuple[slice, slice]]]:
    """Blocks of whole patterns, delayed, and the part of the scan that each covers."""
    from pyxem_mlmaps.mapping.blocks import whole_patterns

    data = whole_patterns(signal)
    delayed = data.to_delayed().reshape(data.numblocks[:2])
    edges = [np.concatenate([[0], np.cumsum(c)]) for c in data.chunks[:2]]
    return [
        (delayed[i, j], (slice(edges[0][i], edges[0][i + 1]), slice(edges[1][j], edges[1][j + 1])))
        for i in range(delayed.shape[0])
        for j in range(delayed.shape[1])
    ]


def _fit_block(
    block: NDArray,
    chosen: NDArray[np.bool_],
    keys: Sequence[ModelKey],
    start: Float,
    solver: Solver,
    gain: float,
    search: bool,
) -> Float:
    """(n, 45) fits of the chosen patterns of a block, model by model."""
    patterns = np.asarray(block)[chosen]
    table = np.full((len(patterns), COLUMNS), np.nan)
    groups: dict[ModelKey, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    for key, members in groups.items():
        rows = np.array(members)
        grain = solver.models[key]
        stack = patterns[rows].astype(np.float32)
        if search:
            for around, part in _alike(start[rows, :2]):
                near = start[rows[part]]
                fit = solver.fit_near(grain, stack[part], near, gain, STARTS, around, WITHIN)
                table[rows[part]] = _row(fit)
        else:
            table[rows] = _row(grain.fit(stack, start[rows], solver.optics, gain))
    return table


def _alike(tilt: Float) -> list[tuple[tuple[float, float], NDArray[np.int64]]]:
    """Middles of the squares that tilts lie in, and the rows of each."""
    squares, label = np.unique(np.floor(tilt / CELL), axis=0, return_inverse=True)
    middles = CELL * (squares + 0.5)
    label = label.ravel()
    return [((float(x), float(y)), np.flatnonzero(label == k)) for k, (x, y) in enumerate(middles)]


def _row(fit: PatternFit) -> Float:
    return np.column_stack(
        [
            fit.values,
            fit.covariance.reshape(len(fit.values), 36),
            fit.chi_square,
            fit.at_border,
            fit.amplitude,
        ]
    )


def neighbour_starts(
    fits: PointFits, shape: tuple[int, int], poor: NDArray[np.bool_], rank: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """Starts for points that are not explained, from explained ones around them.

    Parameters
    ----------
    fits
        Of all points.
    shape
        (ny, nx).
    poor
        (ny, nx) points to explain.
    rank
        Which of the neighbours, best explained first; only neighbours with another answer (model,
        or tilts more than 0.02° away) count.

    Returns
    -------
    points, model, start
        For :func:`fit_points`.
    """
    ny, nx = shape
    good = ~poor & (fits.model.reshape(shape) >= 0)
    points = np.flatnonzero(poor.ravel())
    y, x = np.divmod(points, nx)
    offsets = [(i, j) for i in (-2, -1, 0, 1, 2) for j in (-2, -1, 0, 1, 2) if (i, j) != (0, 0)]
    offsets.sort(key=lambda o: o[0] ** 2 + o[1] ** 2)
    found: list[list[int]] = [[] for _ in points]
    for dy, dx in offsets:
        v, u = y + dy, x + dx
        inside = (v >= 0) & (v < ny) & (u >= 0) & (u < nx)
        for k in np.flatnonzero(inside):
            other = v[k] * nx + u[k]
            if len(found[k]) <= rank and good[v[k], u[k]]:
                new = all(
                    fits.model[other] != fits.model[seen]
                    or np.abs(fits.values[other, :2] - fits.values[seen, :2]).max() > 0.02
                    for seen in found[k]
                )
                if new:
                    found[k].append(int(other))
    have = np.array([len(f) > rank for f in found], dtype=bool)
    source = np.array([f[rank] for f in found if len(f) > rank], dtype=np.int64)
    return points[have], fits.model[source], fits.values[source].copy()


def across_borders(
    fits: PointFits, solver: Solver
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """Starts in the next library for points that were held at the border of theirs."""
    points = np.flatnonzero(fits.at_border & (fits.model >= 0))
    model, start, kept = [], [], []
    for point in points:
        key = fits.keys[fits.model[point]]
        values = fits.values[point]
        grain = solver.models[key]
        matrix = grain.matrices(values[None])[0]
        other, turned = solver.key_of(key.phase, matrix)
        if other == key:
            continue
        start.append(solver.near(other, turned, values[2], values[4:6]))
        model.append(fits.number(other))
        kept.append(point)
    return (
        np.array(kept, dtype=np.int64),
        np.array(model, dtype=np.int64),
        np.array(start).reshape(-1, 6),
    )
