"""Segments solved, points fitted, and again for what is left.

Soft boundaries do not always part segments: then one place of a segment tells the orientation of
some of its points, and the others are left over. They are made segments of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute, compute_here
from pyxem_mlmaps.mapping.grain_candidates import DEEP, SHALLOW, Solver
from pyxem_mlmaps.mapping.grain_points import (
    PointFits,
    Starts,
    across_borders,
    fit_points,
    neighbour_starts,
)
from pyxem_mlmaps.mapping.grain_result import (
    BRIGHTNESS,
    explained_limit,
    is_explained,
    unsure_limit,
)
from pyxem_mlmaps.mapping.grain_solution import Solution
from pyxem_mlmaps.mapping.segment_solving import LARGE, SegmentPatterns, solve_segments
from pyxem_mlmaps.mapping.segments import FEWEST, Segments, representatives
from pyxem_mlmaps.mapping.template_match import Candidates

__all__ = ["Rounds", "points_of", "sums_of"]

Float = NDArray[np.floating]
Labels = NDArray[np.int64]

MOST_SEGMENTS = 1000
BATCH = 64
ROUNDS = 3
SHARP = 4
PASSES = 4


@dataclass
class Rounds:
    """What is known of a scan so far.

    Parameters
    ----------
    scan
        Has ``data`` (ny, nx, ky, kx), dask or NumPy.
    solver
        Finds orientations; with measured optics after the first round.
    segments
        With labels; those that are made of left-over points get new numbers.
    candidates
        Coarse orientations of sums (n, ky, kx) at scan points (n,).
    bars
        ``show_progressbar`` and ``num_workers``.
    """

    scan: Any
    solver: Solver
    segments: Segments
    candidates: Callable[[Float, NDArray[np.int64]], list[Candidates]]
    bars: dict[str, Any]
    solutions: list[Solution | None] = field(default_factory=list)
    fits: PointFits = field(init=False)
    limit: float = field(default=1.25, init=False)
    _sure: list[NDArray[np.int64]] = field(default_factory=list, init=False)
    _closed: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.fits = PointFits.empty(self.segments.labels.size)

    def run(self, points: NDArray[np.int64], first: Float, measure: bool) -> None:
        """All rounds.

        Parameters
        ----------
        points
            (n, m) of the segments, from :func:`points_of`.
        first
            Sums of the first batch of them.
        measure
            Whether to measure the optics.
        """
        labels = np.where(self.segments.labels < len(points), self.segments.labels, -1)
        self.segments = self.segments._replace(labels=labels)
        for turn in range(ROUNDS):
            self._solve(labels, points, first if turn == 0 else None, measure and turn == 0)
            self._fit(labels)
            left = self._left_over()
            if left.max(initial=-1) < 0:
                break
            points = representatives(left, self.segments.together, self.segments.rough)
            number = len(self.solutions)
            merged = np.where(left >= 0, left + number, self.segments.labels)
            self.segments = self.segments._replace(labels=merged)
            labels = np.where(left >= 0, left + number, -1)

    @property
    def sure(self) -> NDArray[np.int64]:
        """Numbers of the points whose sums are explained."""
        return np.concatenate([*self._sure, np.empty(0, dtype=np.int64)])

    def _solve(
        self, labels: Labels, points: NDArray[np.int64], first: Float | None, measure: bool
    ) -> None:
        """Solutions of the segments that are labelled from ``len(self.solutions)`` on."""
        number = len(self.solutions)
        own = labels - number * (labels >= 0)
        sizes = np.bincount(own[own >= 0], minlength=len(points))
        gain = self.segments.gain

        def batches() -> Iterator[SegmentPatterns]:
            for start in range(0, len(points), BATCH):
                part = slice(start, start + BATCH)
                known = first is not None and start == 0
                sums = first if known else sums_of(self.scan, points[part], self.bars)
                candidates = self.candidates(sums, points[part, 0])
                yield SegmentPatterns(sums, points[part], sizes[part], candidates, gain)

        self.solver, solutions, mixed = solve_segments(
            self.solver, batches(), len(points), own, measure, **self.bars
        )
        solutions = self._sharper(solutions, mixed, points, sizes)
        for row, solution in enumerate(solutions):
            if self.solver.explains(solution) and row not in mixed:
                self._sure.append(np.unique(points[row]))
            else:
                self._closed.add(number + row)
        self.solutions += solutions

    def _sharper(
        self,
        solutions: list[Solution | None],
        mixed: set[int],
        points: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> list[Solution | None]:
        """Solutions of sums of ``SHARP`` points where those of more are not explained: thickness
        may vary too much over them, or the right tilt be one of many."""
        poor = [
            row
            for row, s in enumerate(solutions)
            if s is not None and not self.solver.explains(s) and row not in mixed
        ]
        few = points[poor][:, :SHARP]
        sums = sums_of(self.scan, few, self.bars)
        if not len(few):
            return solutions
        shared = self.solver.models.wide_keys()
        candidates, gain = self.candidates(sums, few[:, 0]), self.segments.gain
        tasks = []
        for row, pattern, each in zip(poor, sums, candidates, strict=True):
            solve = partial(self.solver.solve, depth=DEEP if sizes[row] >= LARGE else SHALLOW)
            tasks.append((solve, pattern, each, gain, shared))
        better = list(solutions)
        found = compute_here(tasks, self.bars.get("num_workers"))
        for row, solution in zip(poor, found, strict=True):
            if solution is not None and solution.excess < solutions[row].excess:
                better[row] = solution
        return better

    def _fit(self, labels: Labels) -> None:
        """Points with their segment's model, then what is not explained with its neighbours'."""
        fits, gain = self.fits, self.segments.gain
        shape = self.segments.labels.shape
        label = labels.ravel()
        solved = np.array([s is not None for s in self.solutions] + [False], dtype=bool)
        inside = (label >= 0) & (label < len(self.solutions))
        points = np.flatnonzero(inside & solved[np.where(inside, label, -1)])
        source = label[points]
        numbers = [-1 if s is None else fits.number(s.key) for s in self.solutions]
        values = [self.solutions[n].values for n in source]
        starts = Starts.of(points, [numbers[n] for n in source], source, values, True)
        fit_points(self.scan, self.solver, fits, starts, gain, text="Fitting points", **self.bars)
        self.limit = explained_limit(fits, self.sure)
        unsure = unsure_limit(fits, self.sure)
        readable = self.segments.usable.ravel()
        new = np.ones(len(readable), dtype=bool)
        for turn in range(PASSES):
            poor = (~(fits.chi_square <= unsure) | fits.at_border) & readable
            around = neighbour_starts(fits, shape, poor.reshape(shape), new.reshape(shape))
            starts = across_borders(fits, self.solver) + around
            before = fits.chi_square.copy()
            text = f"Unexplained points, pass {turn + 1}"
            fit_points(self.scan, self.solver, fits, starts, gain, text=text, **self.bars)
            new = fits.chi_square < before * 0.999
            if not new.any():
                break

    def _left_over(self) -> Labels:
        """(ny, nx) regions from 0 of points that are not explained, -1 elsewhere.

        Boundaries, and segments that were tried in vain, are left out.
        """
        from scipy.ndimage import binary_opening
        from skimage.measure import label

        labels = self.segments.labels
        fine = is_explained(self.fits, self.limit, self.sure, BRIGHTNESS) | self.fits.at_border
        poor = ~fine.reshape(labels.shape) & self.segments.usable
        poor &= ~np.isin(labels, list(self._closed))
        side = [min(3, n) for n in labels.shape]
        regions = label(binary_opening(poor, np.ones(side)), connectivity=1) - 1
        size = np.bincount(regions[regions >= 0], minlength=1)
        order = np.argsort(-size, kind="stable")
        rank = np.full(len(size) + 1, -1)
        large = order[size[order] >= FEWEST][:BATCH]
        rank[large] = np.arange(len(large))
        return rank[regions]


def points_of(segments: Segments) -> NDArray[np.int64]:
    """(n, m) points of the segments that are solved, the largest ones."""
    points = representatives(segments.labels, segments.together, segments.rough)
    if len(points) > MOST_SEGMENTS:
        size = int(np.sum(segments.labels == MOST_SEGMENTS))
        warnings.warn(
            f"the scan has {len(points)} pieces of one orientation; the {MOST_SEGMENTS} largest "
            f"are solved, the others (of at most {size} points) only if a neighbour's orientation "
            "explains them. Map it in parts (s.inav) to have them all.",
            stacklevel=4,
        )
    return points[:MOST_SEGMENTS]


def sums_of(scan: Any, points: NDArray[np.int64], bars: dict[str, Any]) -> Float:
    """(n_segment, ky, kx) sums of the points of each segment; every point counts once."""
    if not len(points):
        return np.empty((0, *scan.data.shape[2:]))
    wanted, inverse = np.unique(points, return_inverse=True)
    y, x = np.divmod(wanted, scan.data.shape[1])
    if hasattr(scan.data, "dask"):
        (patterns,) = compute(scan.data.vindex[y, x], text="Reading segments", **bars)
    else:
        patterns = scan.data[y, x]
    patterns = np.asarray(patterns, dtype=np.float64)
    inverse = inverse.reshape(points.shape)
    return np.stack([patterns[np.unique(row)].sum(axis=0) for row in inverse])
