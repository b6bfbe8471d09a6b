"""Every point of a scan fitted with the model of its segment, then with those of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_models import ModelKey
from pyxem_mlmaps.mapping.grain_solution import merge_fits
from pyxem_mlmaps.models.pattern_fit import PatternFit

__all__ = ["PointFits", "Starts", "across_borders", "blocks_of", "fit_points", "neighbour_starts"]

Float = NDArray[np.floating]

COLUMNS = 6 + 36 + 3
CELL, WITHIN = 0.1, 0.2
"""Degrees: points are searched within that of the middle of the square of tilts that their start
lies in. Points of one square share the search, whatever block they are read with."""
STARTS = 4
"""Answers of a search that are fitted."""
FEW = 4
"""Steps from a neighbour's answer, after which only fits that may explain the point go on: most of
these points are mixtures of two crystals."""


RANKS = 3
"""Neighbours whose answers a point tries."""
ANOTHER = 0.02
"""Degrees of tilt beyond which an answer is another one."""


class Starts(NamedTuple):
    """Where fits begin: ``points`` (n,) flat numbers of scan points, a point any number of times;
    ``model`` (n,) numbers of models; ``source`` (n,) segments they come from; ``values`` (n, 6);
    ``search`` (n,) whether to look around as well."""

    points: NDArray[np.int64]
    model: NDArray[np.int64]
    source: NDArray[np.int64]
    values: Float
    search: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        points: Sequence[int] | NDArray,
        model: Sequence[int] | NDArray,
        source: Sequence[int] | NDArray,
        values: Sequence[Float] | Float,
        search: bool,
    ) -> Starts:
        points = np.asarray(points, dtype=np.int64)
        return cls(
            points,
            np.asarray(model, dtype=np.int64),
            np.asarray(source, dtype=np.int64),
            np.asarray(values, dtype=float).reshape(-1, 6),
            np.full(len(points), search),
        )

    def __add__(self, other: Starts) -> Starts:  # type: ignore[override]
        return Starts(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))


@dataclass
class PointFits:
    """Fits of all points, flat over the scan: ``model`` numbers ``keys``, ``source`` the segments
    that answers began with; -1 where there is none.

    ``values`` (n, 6), ``covariance`` (n, 6, 6), ``chi_square``, ``at_border``, ``amplitude`` (n,).
    """

    keys: list[ModelKey]
    model: NDArray[np.int64]
    source: NDArray[np.int64]
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
            source=np.full(n, -1),
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

    def update(self, starts: Starts, table: Float) -> None:
        """Take what explains its point better: ``table`` (n, 45) are the fits of ``starts``."""
        chi_square = np.where(np.isfinite(table[:, 42]), table[:, 42], np.inf)
        order = np.argsort(chi_square, kind="stable")
        _, first = np.unique(starts.points[order], return_index=True)
        best = order[first]
        best = best[chi_square[best] < self.chi_square[starts.points[best]]]
        rows, table = starts.points[best], table[best]
        self.model[rows] = starts.model[best]
        self.source[rows] = starts.source[best]
        self.values[rows] = table[:, :6]
        self.covariance[rows] = table[:, 6:42].reshape(-1, 6, 6)
        self.chi_square[rows] = table[:, 42]
        self.at_border[rows] = table[:, 43] > 0
        self.amplitude[rows] = table[:, 44]


def fit_points(
    signal: Any,
    solver: Solver,
    fits: PointFits,
    starts: Starts,
    gain: float,
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
    starts
        Of the fits.
    gain
        Counts for one electron.
    """
    import dask

    place = np.stack(np.divmod(starts.points, signal.data.shape[1]))
    tasks, rows = [], []
    for block, (down, across) in blocks_of(signal):
        low = np.array([[down.start], [across.start]])
        high = np.array([[down.stop], [across.stop]])
        inside = np.flatnonzero(np.all((place >= low) & (place < high), axis=0))
        if not len(inside):
            continue
        rows.append(inside)
        part = Starts(*(column[inside] for column in starts))
        here = place[:, inside] - low
        fit = partial(
            _fit_block, place=here, keys=list(fits.keys), starts=part, solver=solver, gain=gain
        )
        tasks.append(dask.delayed(fit, pure=False)(block))
    if not tasks:
        return
    tables = compute(*tasks, show_progressbar=show_progressbar, num_workers=num_workers, text=text)
    table = np.full((len(starts.points), COLUMNS), np.nan)
    table[np.concatenate(rows)] = np.concatenate(tables)
    fits.update(starts, table)


def blocks_of(signal: Any) -> list[tuple[Any, tuple[slice, slice]]]:
    """Blocks of whole patterns, delayed or views, and the part of the scan that each covers."""
    from pyxem_mlmaps.mapping.blocks import rows_of_block, whole_patterns

    if not hasattr(signal.data, "dask"):
        ny, nx = signal.data.shape[:2]
        rows = rows_of_block(signal.data)
        parts = [slice(y, min(y + rows, ny)) for y in range(0, ny, rows)]
        return [(signal.data[part], (part, slice(0, nx))) for part in parts]
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
    *,
    place: NDArray[np.int64],
    keys: Sequence[ModelKey],
    starts: Starts,
    solver: Solver,
    gain: float,
) -> Float:
    """(n, 45) fits of patterns at ``place`` (2, n) in a block, model by model."""
    block = np.asarray(block)
    start = starts.values
    table = np.full((len(start), COLUMNS), np.nan)
    groups: dict[tuple[ModelKey, bool], list[int]] = {}
    for row, (number, wide) in enumerate(zip(starts.model, starts.search, strict=True)):
        groups.setdefault((keys[number], bool(wide)), []).append(row)
    for (key, wide), members in groups.items():
        rows = np.array(members)
        grain = solver.models[key]
        stack = block[tuple(place[:, rows])].astype(np.float32)
        if wide:
            for around, part in _alike(start[rows, :2]):
                near = start[rows[part]]
                fit = solver.fit_near(grain, stack[part], near, gain, STARTS, around, WITHIN)
                table[rows[part]] = _row(fit)
        else:
            fit = grain.fit(stack, start[rows], solver.optics, gain, FEW)
            likely = np.flatnonzero(fit.chi_square <= solver.good)
            more = grain.fit(stack[likely], fit.values[likely], solver.optics, gain)
            table[rows] = _row(merge_fits(fit, more, likely))
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
    fits: PointFits, shape: tuple[int, int], poor: NDArray[np.bool_], new: NDArray[np.bool_]
) -> Starts:
    """Starts for points that are not explained, from explained ones around them.

    Parameters
    ----------
    fits
        Of all points.
    shape
        (ny, nx).
    poor
        (ny, nx) points to explain: each tries the nearest neighbours, up to two points away, whose
        answers (model, or tilts) differ.
    new
        (ny, nx) points whose answers have not been tried.
    """
    ny, nx = shape
    good = ~poor & new & (fits.model.reshape(shape) >= 0)
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
            if len(found[k]) < RANKS and good[v[k], u[k]]:
                another = all(
                    fits.model[other] != fits.model[seen]
                    or np.abs(fits.values[other, :2] - fits.values[seen, :2]).max() > ANOTHER
                    for seen in found[k]
                )
                if another:
                    found[k].append(int(other))
    from_ = np.array([n for near in found for n in near], dtype=np.int64)
    to = np.repeat(points, [len(near) for near in found])
    return Starts.of(to, fits.model[from_], fits.source[from_], fits.values[from_], False)


def across_borders(fits: PointFits, solver: Solver) -> Starts:
    """Starts in the next library for points that were held at the border of theirs."""
    model, start, kept = [], [], []
    for point in np.flatnonzero(fits.at_border & (fits.model >= 0)):
        key = fits.keys[fits.model[point]]
        values = fits.values[point]
        grain = solver.models[key]
        matrix = grain.matrices(values[None])[0]
        other, turned = solver.key_of(key.phase, matrix)
        if other == key:
            continue
        start.append(solver.near(other, turned, values[2], values[4:6]))
        model.append(fits.number(other))
        kept.append(int(point))
    return Starts.of(kept, model, fits.source[kept] if kept else [], start, True)
