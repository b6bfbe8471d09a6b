"""From a segment's summed pattern to its orientation: candidates in, one dynamical answer out.

A template's tilt is off by a degree or two. So the answer is looked for in a wide library first,
simulated with few beams; the node that it falls on then gives the precise one. A candidate is taken
if its library explains the pattern, otherwise the next one is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.grain_models import FINE, WIDE, GrainModels, ModelKey
from pyxem_mlmaps.mapping.grain_solution import Solution, angle_between, better_of, merge_fits
from pyxem_mlmaps.mapping.template_match import Camera, Candidates
from pyxem_mlmaps.models.grain import GrainModel
from pyxem_mlmaps.models.pattern_fit import Optics, PatternFit
from pyxem_mlmaps.simulation.orientation_nodes import canonical, node_of, relative_to_node

__all__ = ["DEEP", "SHALLOW", "Depth", "Solver"]

Float = NDArray[np.floating]

STARTS = 10
"""Answers of a search that are fitted."""
MOVES = 3
"""Times that an answer at the border of its library is taken to the next node."""
SETTLED = 0.2
"""Share of the excess of what counts as explained, below which an answer is beyond doubt."""
FIRST_GOOD = 0.05
"""Share of the way from 1 to what counts as explained."""
RUNG = 1.25
"""nm between starts."""
RIVAL = 0.02
"""Candidates whose score is that close to the best are tried though another explains a pattern:
crystals in twin orientation share most of their disks."""
CLEARLY = 0.8
"""Ratio of chi-squares below which a candidate replaces one that ranks before it, if neither
explains the pattern: sums across a sub-grain boundary are like that."""
SURE, HOPELESS = 2.0, 4.0
"""Chi-square of a place against that of the best one, beyond which it is not looked at: when the
best one has explained the pattern, and when it has not."""
SURE_TILT = 1.4
"""The same for other tilts of the crystal that has explained the pattern: a weak scatterer has
tilts that look nearly alike."""
LENT = 1.2
"""Degrees from its node up to which a wide model serves candidates that it was not made for."""
TURNS = np.array([-0.6, 0.0, 0.6])
"""Degrees about the beam by which a ranked candidate may still be off."""
ONE = np.zeros(1, dtype=np.int64)


class Depth(NamedTuple):
    """``answers`` of a wide library that are fitted, and ``places`` among them, a tenth of a degree
    and more apart, that are refined in fine libraries."""

    answers: int
    places: int


SHALLOW, DEEP = Depth(3, 4), Depth(24, 12)
"""Patterns with few disks have valleys of tilts that a wide library, with its few beams, likes as
much as the right one: they are searched deeply if they are not explained."""


class _Place(NamedTuple):
    """An orientation, and how well the wide library explains a pattern there."""

    chi_square: float
    key: ModelKey
    matrix: Float


@dataclass(frozen=True, eq=False)
class Solver:
    """Finds orientations of single patterns.

    Parameters
    ----------
    models
        Libraries of all orientations.
    operations
        For each phase its (n, 3, 3) proper rotations.
    camera, optics
        Where the disks are, and what they look like.
    good
        Reduced chi-square below which a bright pattern is explained.
    """

    models: GrainModels
    operations: list[Float]
    camera: Camera
    optics: Optics
    good: float = 2.0

    def key_of(self, phase: int, matrix: Float, grid=FINE) -> tuple[ModelKey, Float]:
        """Model that serves an orientation, and the equivalent orientation it is for."""
        turned = canonical(matrix, self.operations[phase])
        return ModelKey(phase, node_of(turned[2], grid.spacing), grid), turned

    def near(self, key: ModelKey, matrix: Float, thickness: float, origin: Float) -> Float:
        """(6,) where to look for an orientation with the model of ``key``."""
        tilt_x, tilt_y, turn = relative_to_node(matrix, key.node)
        return np.array([tilt_x, tilt_y, thickness, turn, *origin])

    def beam_angle(self, phase: int, one: Float, other: Float) -> float:
        """Degrees between the beam's directions in two crystals, the smallest of all equivalents:
        orientations that differ by a turn about the beam are served by the same model."""
        turned = self.operations[phase] @ one[2]
        return float(np.degrees(np.arccos(np.clip(np.max(turned @ other[2]), -1, 1))))

    def solve(
        self,
        pattern: Float,
        candidates: Candidates,
        gain: float,
        shared: Sequence[ModelKey] = (),
        most: int = 4,
        depth: Depth = SHALLOW,
    ) -> Solution | None:
        """The candidate that explains the pattern best.

        Parameters
        ----------
        pattern
            (ky, kx) sum of the patterns of a segment.
        candidates
            Best first.
        gain
            Counts for one electron.
        shared
            Wide models that are there already, and serve candidates about them; if they lead to
            nothing, a candidate's own is made.
        most
            Candidates that are tried.
        depth
            How many tilts about a candidate are looked at.
        """
        best: Solution | None = None
        lowest = np.inf
        number = min(len(candidates.score), most)
        close = [k for k in range(number) if candidates.score[k] >= candidates.score[0] - RIVAL]
        others = [[k] for k in range(number) if k not in close]
        for group in [close, *others]:
            phases = [int(candidates.phase[k]) for k in group]
            matrices = [candidates.matrix[k] for k in group]
            found, lowest = self._try_all(
                pattern, phases, matrices, gain, shared, best, lowest, depth
            )
            best = self.preferred(best, found)
            if self.settled(best):
                break
        return best

    def try_near(
        self,
        pattern: Float,
        phase: int,
        matrix: Float,
        gain: float,
        shared: Sequence[ModelKey] = (),
    ) -> Solution | None:
        """The orientation within two degrees of another one that explains a pattern best."""
        return self._try_all(pattern, [phase], [matrix], gain, shared)[0]

    def _try_all(
        self,
        pattern: Float,
        phases: Sequence[int],
        matrices: Sequence[Float],
        gain: float,
        shared: Sequence[ModelKey],
        rival: Solution | None = None,
        lowest: float = np.inf,
        depth: Depth = SHALLOW,
    ) -> tuple[Solution | None, float]:
        """The best of candidates that compete, with shared models, then with their own; and the
        lowest chi-square of a place so far.

        ``rival`` has been found before: only places that may explain more are looked at then.
        """
        own = [self.key_of(p, m, WIDE)[0] for p, m in zip(phases, matrices, strict=True)]
        lent = [self._lent(m, key, shared) for m, key in zip(matrices, own, strict=True)]
        best: Solution | None = None
        for keys in [lent, own] if lent != own else [own]:
            places = [
                place
                for m, key in zip(matrices, keys, strict=True)
                for place in self._places(pattern, m, key, gain, depth.answers)
            ]
            lowest = min([lowest, *(place.chi_square for place in places)])
            found = self._best_of(pattern, places, gain, rival, lowest, depth.places)
            best = better_of(best, found)
            if self.settled(best):
                break
        return best, lowest

    def _lent(self, matrix: Float, own: ModelKey, shared: Sequence[ModelKey]) -> ModelKey:
        """The nearest of the shared models that holds an orientation, or its own."""
        if own in shared:
            return own
        beam = canonical(matrix, self.operations[own.phase])[2]
        near = [
            (float(np.degrees(np.arccos(np.clip(beam @ key.node.direction, -1, 1)))), key)
            for key in shared
            if key.phase == own.phase
        ]
        angle, key = min(near, default=(np.inf, own))
        return key if angle < LENT else own

    def _best_of(
        self,
        pattern: Float,
        places: list[_Place],
        gain: float,
        rival: Solution | None,
        lowest: float,
        most: int,
    ) -> Solution | None:
        """Precise answers of places, the likeliest first, until one is beyond doubt."""
        best: Solution | None = None
        places = sorted(places, key=lambda place: place.chi_square)[:most]
        for place in places:
            explained = self.explains(better_of(best, rival))
            if place.chi_square > (SURE if explained else HOPELESS) * lowest:
                break
            far = place.chi_square > SURE_TILT * lowest
            if self.settled(best) and far and _same_tilts(best, place):
                continue
            found = self.refine(pattern, place.key.phase, place.matrix, self.camera.origin, gain)
            best = better_of(best, found)
        return best

    def _places(
        self, pattern: Float, matrix: Float, key: ModelKey, gain: float, n: int
    ) -> list[_Place]:
        """Orientations within the error of a template that a wide library likes best."""
        turned = canonical(matrix, self.operations[key.phase])
        model = self.models[key]
        near = self.near(key, turned, float(np.mean(self.models.thickness)), self.camera.origin)
        near = near[None] + np.zeros((len(TURNS), 6))
        near[:, 3] += TURNS
        patterns = np.repeat(pattern[None], len(near), 0)
        values, _ = model.search(patterns, near, self.optics, n=n)
        if not np.isfinite(values).all():
            return []
        start = np.repeat(near[:, None], n, axis=1)
        start[..., :3] = values
        start = start.reshape(-1, 6)
        fit = model.fit(np.repeat(pattern[None], len(start), 0), start, self.optics, gain)
        kept: list[tuple[float, Float]] = []
        for n in np.argsort(np.nan_to_num(fit.chi_square, nan=np.inf), kind="stable"):
            place = fit.values[n]
            if np.isfinite(fit.chi_square[n]) and all(
                np.abs(place[:2] - other[:2]).max() > 0.1 for _, other in kept
            ):
                kept.append((float(fit.chi_square[n]), place))
        return [
            _Place(chi_square, key, model.matrices(place[None])[0])
            for chi_square, place in kept[:n]
        ]

    def refine(
        self, pattern: Float, phase: int, matrix: Float, origin: Float, gain: float
    ) -> Solution | None:
        """Precise orientation near ``matrix``, from node to node if need be."""
        best: Solution | None = None
        for _ in range(MOVES):
            key, turned = self.key_of(phase, matrix)
            if best is not None and key == best.key:
                break
            model = self.models[key]
            near = self.near(key, turned, float(np.mean(self.models.thickness)), origin)
            fit = self._from_tilt(model, pattern, near, gain)
            if not fit.chi_square[0] <= self.first_good:
                other = self.fit(model, pattern[None], near[None], gain, STARTS)
                if np.isfinite(other.values).all():
                    other = merge_fits(
                        other, self._from_tilt(model, pattern, other.values[0], gain), ONE
                    )
                fit = merge_fits(fit, other, ONE)
            found = Solution.of(key, model, fit, gain)
            if found is None:
                break
            matrix = found.matrix
            best = better_of(best, found)
            if not fit.at_border[0]:
                break
        return best

    def _from_tilt(self, model: GrainModel, pattern: Float, near: Float, gain: float) -> PatternFit:
        """The best fit from a tilt and all thicknesses: a bright sum has a minimum every few nm."""
        thickness = np.arange(model.low[2], model.high[2] + RUNG / 2, RUNG)
        start = np.repeat(near[None], len(thickness), axis=0)
        start[:, 2] = thickness
        fits = model.fit(np.repeat(pattern[None], len(start), 0), start, self.optics, gain)
        best = int(np.argmin(np.nan_to_num(fits.chi_square, nan=np.inf)))
        return PatternFit(*(field[[best]] for field in fits))

    def refine_solution(self, pattern: Float, solution: Solution, gain: float) -> Solution:
        """A solution fitted again, with other optics than before."""
        model = self.models[solution.key]
        start = solution.values[None].copy()
        start[0, 4:6] = self.camera.origin
        fit = model.fit(pattern[None], start, self.optics, gain)
        return Solution.of(solution.key, model, fit, gain) or solution

    def fit(
        self,
        model: GrainModel,
        patterns: Float,
        near: Float,
        gain: float,
        n: int,
        around: tuple[float, float] | None = None,
        within: float = 0.0,
        enough: float = 0.0,
    ) -> PatternFit:
        """Search, then fit from the ``n`` best starts as long as chi-square is above ``enough``."""
        values, _ = model.search(patterns, near, self.optics, around, within, n)
        known = np.isfinite(values).all(axis=2)
        start = near.copy()
        start[:, :3] = np.where(known[:, :1], values[:, 0], near[:, :3])
        best = model.fit(patterns, start, self.optics, gain)
        for rank in range(1, n):
            poor = np.flatnonzero(~(best.chi_square <= enough) & known[:, rank])
            if not len(poor):
                break
            start = near[poor].copy()
            start[:, :3] = values[poor, rank]
            best = merge_fits(best, model.fit(patterns[poor], start, self.optics, gain), poor)
        return best

    def fit_near(
        self,
        model: GrainModel,
        patterns: Float,
        near: Float,
        gain: float,
        n: int,
        around: tuple[float, float],
        within: float,
    ) -> PatternFit:
        """Fits from ``near`` itself; where that does not do, the better of it and of fits from the
        ``n`` best starts within a square of tilts."""
        fit = model.fit(patterns, near, self.optics, gain)
        poor = np.flatnonzero(~(fit.chi_square <= self.first_good) | fit.at_border)
        if not len(poor):
            return fit
        other = self.fit(
            model, patterns[poor], near[poor], gain, n, around, within, self.first_good
        )
        return merge_fits(fit, other, poor)

    def preferred(self, best: Solution | None, other: Solution | None) -> Solution | None:
        """The one that explains more; ``other`` has to be clearly better if neither does."""
        if best is None or other is None or self.explains(best) or self.explains(other):
            return better_of(best, other)
        return other if other.chi_square < CLEARLY * best.chi_square else best

    def explains(self, solution: Solution | None) -> bool:
        """Whether a solution is one."""
        return solution is not None and solution.excess <= self.good - 1

    def settled(self, solution: Solution | None) -> bool:
        """Whether no other need be looked for: a weak scatterer is explained by several."""
        return solution is not None and solution.excess <= SETTLED * (self.good - 1)

    @property
    def first_good(self) -> float:
        """Chi-square at which no other start is tried: well below what counts as explained."""
        return 1 + FIRST_GOOD * (self.good - 1)


def _same_tilts(one: Solution, other: _Place) -> bool:
    """Whether a place is the solution's crystal, tilted by no more than a wide library holds."""
    near = angle_between(one.matrix, other.matrix) < 2 * WIDE.tilt_range
    return one.key.phase == other.key.phase and near
