"""Orientations of all segments: the large ones first, since what they take the others can use.

Simulation is the cost, so segments go in waves. Those of one wave look unlike each other; those
that look like one of them wait, and find its libraries made. Segments that are sums of their
neighbours are not searched at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute_here, progress_bar
from pyxem_mlmaps.mapping.grain_camera import measure_optics
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_result import DIMMEST
from pyxem_mlmaps.mapping.grain_solution import Solution, angle_between, better_of
from pyxem_mlmaps.mapping.mixtures import adjacent, mixture_of
from pyxem_mlmaps.mapping.segments import FEWEST
from pyxem_mlmaps.mapping.template_match import Candidates

__all__ = ["LARGE", "SegmentPatterns", "solve_segments"]

Float = NDArray[np.floating]

LARGE = 25
"""Points of a segment that is matched with templates before its neighbours' answers are tried."""
FIRST = 6
"""Segments that the optics are measured on, and that count as large whatever their size."""
UNMEASURED = 3.0
"""Factor on what counts as explained before the optics are measured."""
WAVE = 8
"""Segments that are solved side by side."""
ALIKE = 4.0
"""Degrees: segments whose best candidates are closer than this wait for each other."""
AROUND = 3
"""Neighbours whose orientations are tried for a segment that templates did not explain."""


class SegmentPatterns(NamedTuple):
    """``sums`` (n, ky, kx) summed patterns of segments; ``points`` (n, m) their scan points, flat;
    ``sizes`` (n,) points of each segment; ``candidates`` of each; ``gain`` counts for an
    electron."""

    sums: Float
    points: NDArray[np.int64]
    sizes: NDArray[np.integer]
    candidates: Sequence[Candidates]
    gain: float


def solve_segments(
    solver: Solver,
    batches: Iterable[SegmentPatterns],
    n: int,
    labels: NDArray[np.integer],
    measure: bool,
    show_progressbar: bool | None,
    num_workers: int | None,
) -> tuple[Solver, list[Solution | None], set[int]]:
    """The solver with the optics that were measured on the way, solutions of all segments, and
    which of them are sums of their neighbours: they get the solution of the one with the largest
    share.

    Parameters
    ----------
    solver
        With the optics as far as they are known.
    batches
        Of segments, largest first.
    n
        Segments in all.
    labels
        (ny, nx) numbers of the segments.
    measure
        Whether to measure the optics on the first segments.
    """
    solutions: list[Solution | None] = []
    places: list[Float] = []
    parts = _Mixtures(adjacent(labels))
    with progress_bar("Finding orientations", show_progressbar, n) as bar:
        for batch in batches:
            first = len(solutions)
            places += list(np.stack(np.divmod(batch.points[:, 0], labels.shape[1]), axis=1))
            mixed = parts.find(batch.sums, batch.gain)
            bar(int(mixed.sum()))
            large = (batch.sizes >= min([LARGE, *batch.sizes[:FIRST]])) & ~mixed
            begun: list[Solution | None] = [None] * len(large)
            if first == 0 and measure:
                few = large & (np.cumsum(large) <= FIRST)
                lenient = replace(solver, good=UNMEASURED * solver.good)
                begun = _in_waves(lenient, batch, few, num_workers)
                solver = measure_optics(solver, batch.sums, begun, batch.gain)
                begun = [
                    s if s is None else solver.refine_solution(p, s, batch.gain)
                    for p, s in zip(batch.sums, begun, strict=True)
                ]
            open_ = large & np.array([not solver.settled(s) for s in begun], dtype=bool)
            bar(int((large & ~open_).sum()))
            found = _in_waves(solver, batch, open_, num_workers, bar)
            found = [better_of(one, two) for one, two in zip(begun, found, strict=True)]
            solutions += found
            poor = np.array([not solver.explains(s) for s in found], dtype=bool) & ~mixed
            solutions[first:] = _from_others(
                solver, batch, solutions, first, poor, places, num_workers
            )
            poor = np.array([not solver.explains(s) for s in solutions[first:]], dtype=bool)
            small = ~large & poor & ~mixed & (batch.sizes >= FEWEST)
            bar(int((~large & ~mixed & ~small).sum()))
            found = _in_waves(solver, batch, small, num_workers, bar)
            solutions[first:] = [
                solver.preferred(one, two)
                for one, two in zip(solutions[first:], found, strict=True)
            ]
    for part, main in parts.main.items():
        solutions[part] = solutions[main]
    return solver, solutions, set(parts.main)


class _Mixtures:
    """Segments that are sums of larger ones beside them; ``main``: the largest part of each."""

    def __init__(self, around: list[NDArray[np.int64]]) -> None:
        self.around = around
        self.kept: list[NDArray[np.float32] | None] = []
        self.main: dict[int, int] = {}

    def find(self, sums: Float, gain: float) -> NDArray[np.bool_]:
        """Which of the next segments are."""
        mixed = np.zeros(len(sums), dtype=bool)
        for row, pattern in enumerate(sums):
            number = len(self.kept)
            near = [k for k in self.around[number] if k < number and self.kept[k] is not None]
            found = mixture_of(pattern, [self.kept[k] for k in near], gain)
            mixed[row] = found is not None
            if found is not None:
                self.main[number] = int(near[int(np.argmax(found.shares))])
            self.kept.append(None if mixed[row] else pattern.astype(np.float32))
        return mixed


def _in_waves(
    solver: Solver,
    batch: SegmentPatterns,
    wanted: NDArray[np.bool_],
    num_workers: int | None,
    bar: Callable[[int], Any] | None = None,
) -> list[Solution | None]:
    """Solutions of the wanted segments from their candidates, None for the others."""
    found: list[Solution | None] = [None] * len(wanted)
    waiting = [int(n) for n in np.flatnonzero(wanted)]
    while waiting:
        wave: list[int] = []
        for n in waiting:
            if len(wave) < WAVE and not any(_alike(solver, batch.candidates, n, m) for m in wave):
                wave.append(n)
        shared = solver.models.wide_keys()
        tasks = [
            (solver.solve, batch.sums[n], batch.candidates[n], batch.gain, shared) for n in wave
        ]
        for n, solution in zip(wave, compute_here(tasks, num_workers), strict=True):
            found[n] = solution
        waiting = [n for n in waiting if n not in wave]
        if bar is not None:
            bar(len(wave))
    return found


def _alike(solver: Solver, candidates: Sequence[Candidates], one: int, other: int) -> bool:
    a, b = candidates[one], candidates[other]
    if not len(a.score) or not len(b.score) or a.phase[0] != b.phase[0]:
        return False
    return solver.beam_angle(int(a.phase[0]), a.matrix[0], b.matrix[0]) < ALIKE


def _from_others(
    solver: Solver,
    batch: SegmentPatterns,
    solutions: list[Solution | None],
    first: int,
    wanted: NDArray[np.bool_],
    places: list[Float],
    num_workers: int | None,
) -> list[Solution | None]:
    """Those from ``first`` on: the wanted ones tried with the orientations around them."""
    where = np.array(places).reshape(-1, 2)
    mine = solutions[first:]
    good = [n for n, s in enumerate(solutions) if solver.explains(s)]
    poor = [int(n) for n in np.flatnonzero(wanted)]
    tasks: list[tuple[Any, ...]] = []
    for n in poor:
        distance = np.sum((where[good] - where[first + n]) ** 2, axis=1)
        kept: list[Solution] = []
        for other in np.array(good, dtype=int)[np.argsort(distance, kind="stable")]:
            s = solutions[other]
            if all(
                k.key.phase != s.key.phase or angle_between(k.matrix, s.matrix) > 1.5 for k in kept
            ):
                kept.append(s)
            if len(kept) == AROUND:
                break
        tasks.append((_best_of, solver, batch.sums[n], kept, batch.gain))
    result = list(mine)
    electrons = np.median([solutions[n].electrons for n in good]) if good else 0.0
    for n, solution in zip(poor, compute_here(tasks, num_workers), strict=True):
        dimmest = DIMMEST * electrons * len(np.unique(batch.points[n])) / batch.points.shape[1]
        if solution is not None and solution.electrons > dimmest:
            result[n] = solver.preferred(result[n], solution)
    return result


def _best_of(
    solver: Solver, pattern: Float, around: list[Solution], gain: float
) -> Solution | None:
    best: Solution | None = None
    shared = solver.models.wide_keys()
    for s in around:
        best = better_of(best, solver.try_near(pattern, s.key.phase, s.matrix, gain, shared))
        if solver.explains(best):
            break
    return best
