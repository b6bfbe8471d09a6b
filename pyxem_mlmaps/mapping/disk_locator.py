"""All disks of a stack of patterns: predicted, measured, fitted with a lattice, measured again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.disk_fit import predict_displacements
from pyxem_mlmaps.mapping.disk_kernels import coarse_shifts, sum_disks
from pyxem_mlmaps.mapping.intensity import MARGIN
from pyxem_mlmaps.specs import DiskLattice

__all__ = ["ABSENT", "COLUMNS", "PRESENT", "UNREADABLE", "DiskLocator"]

Float = NDArray[np.floating]

COLUMNS = ("y", "x", "intensity", "sigma_y", "sigma_x", "misfit", "status")
PRESENT, ABSENT, UNREADABLE = 0.0, 1.0, 2.0
"""Status of a disk: measured; not there or off the detector; with pixels that are no numbers."""

RECENTRE = 0.25
"""A window that is farther than so many radii from its disk is moved and looked at again."""
PASSES = 4
FIRST_DISKS = 13
"""The innermost disks of a pattern tell where the others are, if to within ``NEARLY`` radii or px,
whichever is less: well within what is read of an edge."""
NEARLY = 0.08, 0.64
COARSE_DISKS = 13
"""The innermost disks tell the coarse shift: strain and rotation move them least."""
LARGEST_SIGMA = 0.5
"""A disk that is less certain than half its radius has not been measured."""
DEVIATION = (1.5, 0.15)
"""px, radii: a disk may be so far from its lattice, plus four standard deviations."""
LARGEST_PIXEL = 1e15
"""Counts beyond which a pixel is no number: its square must not overflow single precision."""
ABSURD = 3.0
"""Times ``max_strain`` beyond which disks are none of this lattice, as in an amorphous halo."""
ABSURD_MISFIT = 2.0
STACK_BYTES = 2**25


@dataclass(frozen=True, eq=False)
class DiskLocator:
    """Finds the disks of a lattice in stacks of patterns; pure, and the same for every block.

    Parameters
    ----------
    model
        Anything with the ``locate`` of a ``DiskModel``.
    lattice
        The expected disks; those that are off the detector count as absent.
    min_presence
        Probability below which a disk counts as absent.
    max_strain
        Strain or rotation (radians) up to which disks are followed.
    batch_size
        Disks that are given to the model at once.
    saturation
        Counts of a saturated pixel.
    edge
        Standard deviation of the disks' blurred edge, px; 0: not known.
    """

    model: Any
    lattice: DiskLattice
    min_presence: float = 0.9
    max_strain: float = 0.05
    batch_size: int = 2048
    saturation: float = np.inf
    edge: float = 0.0

    @property
    def half_window(self) -> float:
        """px from the expected centre that are looked at: little of the neighbouring disks."""
        radius = self.lattice.radius
        return min(2 * radius, max(self.lattice.smallest_distance - radius, 1.5 * radius))

    def __call__(self, block: NDArray, shifts: NDArray | None = None) -> NDArray[np.float64]:
        """(scan block, n_disk, 7) with :data:`COLUMNS` of a block (scan block, ky, kx).

        ``shifts`` (n, 2) are known shifts of the patterns, px; empty, they are measured on the
        direct beam; None, on all disks.
        """
        stack = block.reshape(-1, *block.shape[-2:])
        table = np.empty((len(stack), len(self.lattice), len(COLUMNS)))
        bytes_each = 4 * max(1, int(np.prod(stack.shape[1:])))
        step = max(1, min(self.batch_size // len(self.lattice), STACK_BYTES // bytes_each))
        for start in range(0, len(stack), step):
            part = slice(start, start + step)
            known = None if shifts is None or shifts.size == 0 else shifts[part]
            table[part] = self._locate(stack[part], known, shifts is not None and known is None)
        return table.reshape(*block.shape[:-2], *table.shape[1:])

    def _locate(self, raw: NDArray, known: Float | None, on_direct_beam: bool) -> Float:
        with np.errstate(over="ignore"):
            patterns = np.ascontiguousarray(raw, dtype=np.float32)
        windows = _Windows(patterns, self.lattice.radius, self.half_window)
        patterns = windows.patterns
        if known is None:
            known = self._coarse(patterns, on_direct_beam)
        expected = self.lattice.positions + np.asarray(known, dtype=float)[:, None, :]
        found = self._passes(windows, expected)
        y, x, sigma_y, sigma_x, misfit, predicted = found
        measured = np.stack([y, x], axis=2)
        unreadable = windows.unreadable(predicted)
        with np.errstate(invalid="ignore"):
            present = np.maximum(sigma_y, sigma_x) <= LARGEST_SIGMA * self.lattice.radius
            present &= windows.on_detector(measured) & ~unreadable
        status = np.where(present, PRESENT, np.where(unreadable, UNREADABLE, ABSENT))
        places = np.where(present[..., None], measured, predicted)
        places[unreadable | ~windows.on_detector(places)] = np.nan
        sums = np.empty(status.shape)
        reach = min(self.lattice.radius + MARGIN, self.lattice.smallest_distance / 2)
        sum_disks(patterns, places, reach, self.saturation, sums)
        y, x, sigma_y, sigma_x = (np.where(present, v, np.nan) for v in found[:4])
        return np.stack([y, x, sums, sigma_y, sigma_x, misfit, status], axis=2)

    def _coarse(self, patterns: Float, on_direct_beam: bool) -> NDArray[np.int64]:
        """Whole-pixel shift of each pattern; small ones are left to the model."""
        shifts = np.zeros((len(patterns), 2), dtype=np.int64)
        lattice, apart = self.lattice, self.lattice.smallest_distance
        gap = float(np.clip(apart / 2 - lattice.radius, 1.5, 0.4 * lattice.radius + 2))
        if on_direct_beam:
            centres, reach = np.array([lattice.origin]), apart
        else:
            order = np.argsort(np.hypot(*(lattice.indices @ lattice.basis).T), kind="stable")
            centres, reach = lattice.positions[order[:COARSE_DISKS]], apart / 2
        coarse_shifts(patterns, centres, lattice.radius, gap, reach, shifts)
        shifts[np.hypot(*shifts.T) <= RECENTRE * lattice.radius] = 0
        return shifts

    def _passes(self, windows: _Windows, expected: Float) -> tuple[Float, ...]:
        """Measured y, x, σ_y, σ_x, misfit (n, m), NaN where not seen, and predicted (n, m, 2)."""
        radius = self.lattice.radius
        points = self.lattice.indices @ self.lattice.basis
        values = np.full((6, *expected.shape[:2]), np.nan)  # with presence as the last
        centres = np.full(expected.shape, np.nan)
        predicted, spread = expected, np.full(expected.shape[:2], np.inf)
        first, others = np.split(np.argsort(np.hypot(*points.T), kind="stable"), [FIRST_DISKS])
        few = getattr(self.model, "takes_near", False) and len(points) > 1.5 * FIRST_DISKS
        for turn in range(PASSES + few):
            wanted = windows.on_detector(predicted) & ~windows.unreadable(predicted)
            off = np.hypot(*np.moveaxis(predicted - centres, 2, 0))
            todo = wanted & ~(off <= RECENTRE * radius)
            if few and turn == 0:  # of each pattern for itself: its neighbours must not matter
                enough = todo[:, first].sum(axis=1) > FIRST_DISKS / 2
                todo[np.ix_(enough, others)] = False
            values[:, ~wanted], centres[~wanted] = np.nan, np.nan
            if not todo.any():
                break
            near = (spread <= min(NEARLY[0] * radius, NEARLY[1])) & np.isnan(centres[..., 0])
            centres[todo] = predicted[todo]
            values[:, todo] = self._ask(windows.patterns, todo, centres, points, near)
            doubtful = todo & near & (values[5] >= 0.5) & (values[4] > 1)
            if doubtful.any():
                values[:, doubtful] = self._ask(windows.patterns, doubtful, centres, points)
            seen = np.isfinite(values).all(axis=0) & (values[5] >= self.min_presence)
            sigma = np.moveaxis(values[2:4] * np.maximum(values[4], 1), 0, 2)
            moved = np.moveaxis(values[:2], 0, 2) - expected
            fitted, spread, gradient = predict_displacements(
                points, moved, sigma, seen, radius, self.max_strain
            )
            predicted = expected + fitted
        else:
            wanted = windows.on_detector(predicted) & ~windows.unreadable(predicted)
        y, x, sigma_y, sigma_x, misfit, presence = values
        if np.isfinite(presence).any():
            deviation = np.hypot(y - predicted[..., 0], x - predicted[..., 1])
            allowed = max(DEVIATION[0], DEVIATION[1] * radius)
            allowed = allowed + 4 * np.sqrt(np.maximum(sigma_y, sigma_x) ** 2 + spread**2)
            misfit = np.fmax(misfit, deviation / allowed)
            absurd = np.abs(gradient).max(axis=(1, 2)) > ABSURD * self.max_strain
            misfit[np.ix_(absurd, np.any(points != 0, axis=1))] += ABSURD_MISFIT
        seen = wanted & (presence >= self.min_presence)
        y, x = np.where(seen, y, np.nan), np.where(seen, x, np.nan)
        return y, x, sigma_y, sigma_x, misfit, predicted

    def _ask(
        self,
        patterns: Float,
        todo: NDArray[np.bool_],
        centres: Float,
        points: Float,
        near: NDArray[np.bool_] | None = None,
    ) -> Float:
        """(6, k) of the model for the disks ``todo`` (n, m) at ``centres`` (n, m, 2), some of them
        ``near`` (n, m); ``batch_size`` windows at once."""
        pattern_of, disk = np.nonzero(todo)
        places, g = centres[todo], points[disk]
        close = np.zeros(len(disk), dtype=bool) if near is None else near[todo]
        answers = []
        known: dict[str, Any] = {"edge": self.edge} if self.edge > 0 else {}
        for start in range(0, len(disk), self.batch_size):
            part = slice(start, start + self.batch_size)
            if close[part].any():
                known["near"] = close[part]
            p = self.model.locate(
                patterns, pattern_of[part], places[part], self.lattice.radius, self.half_window,
                g_vectors=g[part], **known,
            )  # fmt: skip
            known.pop("near", None)
            answers.append(np.stack([p.y, p.x, p.sigma_y, p.sigma_x, p.misfit, p.presence]))
        return np.concatenate(answers, axis=1)


class _Windows:
    """Finite patterns, and which places on them can be looked at."""

    def __init__(self, patterns: Float, radius: float, half_window: float) -> None:
        self.shape, self.radius, self.half = patterns.shape[1:], radius, half_window
        self.sums = None
        self.patterns = patterns
        with np.errstate(over="ignore", invalid="ignore"):
            clean = abs(patterns.sum()) < LARGEST_PIXEL  # not so for NaN
        if not clean:
            bad = ~(np.abs(patterns) < LARGEST_PIXEL)
            self.patterns = np.where(bad, np.float32(0), patterns)
            self.sums = np.pad(bad.cumsum(1, np.int32).cumsum(2), ((0, 0), (1, 0), (1, 0)))

    def on_detector(self, places: Float) -> NDArray[np.bool_]:
        """(n, m): is the whole disk at ``places`` (n, m, 2) on the detector?"""
        room = np.array(self.shape) - 0.5 - self.radius
        with np.errstate(invalid="ignore"):
            return np.all((places >= self.radius - 0.5) & (places <= room), axis=2)

    def unreadable(self, places: Float) -> NDArray[np.bool_]:
        """(n, m): is there a NaN or infinite pixel in the window at ``places`` (n, m, 2)?"""
        if self.sums is None:
            return np.zeros(places.shape[:2], dtype=bool)
        limits = np.array(self.shape)
        known = np.nan_to_num(places, nan=-1e9)
        low = np.clip(np.ceil(known - self.half), 0, limits).astype(np.int64)
        high = np.clip(np.floor(known + self.half) + 1, 0, limits).astype(np.int64)
        high = np.maximum(high, low)
        n = np.arange(len(places))[:, None]
        corner = self.sums
        count = corner[n, high[..., 0], high[..., 1]] - corner[n, low[..., 0], high[..., 1]]
        count += corner[n, low[..., 0], low[..., 1]] - corner[n, high[..., 0], low[..., 1]]
        return count > 0
