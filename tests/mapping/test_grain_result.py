"""What counts as explained: the spread of chi-square decides, and the segment's sum."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pyxem_mlmaps.mapping.grain_points import PointFits, Starts, neighbour_starts
from pyxem_mlmaps.mapping.grain_result import (
    HIGHEST,
    LEAST,
    MOST,
    explained_limit,
    supported,
    unsure_limit,
)

PIXELS = 3000


def fits_of(chi_square, amplitude=1e5):
    fits = PointFits.empty(len(chi_square))
    fits.chi_square[:] = chi_square
    fits.amplitude[:] = amplitude
    fits.model[:] = 0
    fits.source[:] = 0
    return fits


SURE = np.arange(60)


def noise(n, level=1.0, seed=0):
    """Reduced chi-squares of patterns that are explained."""
    return level * np.random.default_rng(seed).chisquare(PIXELS, n) / PIXELS


class TestLimit:
    @pytest.mark.parametrize("level", [0.7, 1.0, 1.4])
    def test_keeps_what_is_noise(self, level):
        """Nearly all explained patterns, whatever the gain or a common error of simulation."""
        chi_square = noise(2000, level)
        limit = explained_limit(fits_of(chi_square), SURE)
        assert (chi_square <= limit).mean() > 0.999
        assert LEAST * 0.95 < limit / level < MOST

    @pytest.mark.parametrize("level", [0.7, 1.0, 1.4])
    def test_leaves_out_chance(self, level):
        """A fifth of boundary patterns, whose chi-square is a quarter larger, does not move it."""
        good, mixed = noise(1600, level), noise(400, 1.25 * level, 1)
        limit = explained_limit(fits_of(np.concatenate([good, mixed])), SURE)
        assert (good <= limit).mean() > 0.99
        assert (mixed <= limit).mean() < 0.03

    def test_nothing_is_explained(self):
        """Patterns of another crystal all look alike, and none is explained."""
        chi_square = noise(500, 8.0)
        assert not (chi_square <= explained_limit(fits_of(chi_square), SURE)).any()

    def test_vacuum_does_not_count(self):
        """Half of the scan without a crystal, fitted by faint patterns of any."""
        chi_square = np.concatenate([noise(500), noise(500, 0.5, 1)])
        amplitude = np.repeat([1e5, 1e2], 500)
        with_vacuum = explained_limit(fits_of(chi_square, amplitude), SURE)
        alone = explained_limit(fits_of(chi_square[:500]), SURE)
        assert with_vacuum == pytest.approx(alone, rel=0.05)

    def test_no_fits(self):
        fits, none = PointFits.empty(5), np.empty(0, dtype=int)
        assert 1 < unsure_limit(fits, none) <= explained_limit(fits, none) < HIGHEST

    def test_unsure_are_fewer_than_unexplained(self):
        fits = fits_of(noise(2000))
        assert unsure_limit(fits, SURE) <= explained_limit(fits, SURE)


class TestSupport:
    """A point is precise only if the sum of its segment is explained, too."""

    def points(self, source):
        fits = fits_of(np.ones(len(source)))
        fits.source[:] = source
        return fits

    def solutions(self, *chi_square):
        return [None if c is None else SimpleNamespace(excess=c - 1) for c in chi_square]

    def test_sums(self):
        """A weak scatterer in the wrong tilt: chi-square 0.9 in each pattern, 8 in the sum."""
        found = supported(self.points([0, 1, 2, -1]), self.solutions(1.0, 8.4, None))
        assert list(found) == [True, False, False, False]

    def test_errors_of_the_simulation_are_common(self):
        """Where all sums have 3, that is the simulation's; 6 is too much in any case."""
        found = supported(self.points([0, 1, 2, 3]), self.solutions(2.8, 2.4, 3.1, 6.5))
        assert list(found) == [True, True, True, False]
        assert not supported(self.points([0]), self.solutions(9.0)).any()

    def test_no_solution(self):
        assert not supported(self.points([0, -1]), self.solutions(None)).any()


class TestStarts:
    def test_the_best_of_several_is_kept(self):
        """A point that is tried three times keeps the best, with its model and source."""
        fits = PointFits.empty(3)
        starts = Starts.of([1, 1, 1, 2], [4, 5, 6, 7], [0, 1, 2, 3], np.zeros((4, 6)), False)
        table = np.zeros((4, 45))
        table[:, 0] = [10, 20, 30, 40]
        table[:, 42] = [1.5, 0.9, np.nan, np.nan]
        fits.update(starts, table)
        assert list(fits.model) == [-1, 5, -1] and list(fits.source) == [-1, 1, -1]
        assert fits.values[1, 0] == 20 and np.isinf(fits.chi_square[[0, 2]]).all()
        worse = table.copy()
        worse[:, 42] = 1.0
        fits.update(starts, worse)
        assert fits.model[1] == 5 and fits.model[2] == 7

    def test_neighbours(self):
        """The nearest first, each answer once, from points that are explained and new."""
        fits = fits_of([0.9, 0.9, 5.0, 0.9, 0.9])
        fits.model[:] = [0, 1, 0, 1, 2]
        fits.source[:] = [10, 11, 12, 13, 14]
        fits.values[:] = 0
        fits.values[3, 0] = 0.3
        poor = np.array([[False, False, True, False, False]])
        every = np.ones((1, 5), dtype=bool)
        starts = neighbour_starts(fits, (1, 5), poor, every)
        assert list(starts.points) == [2, 2, 2]
        assert list(starts.source) == [11, 13, 10]
        only = np.array([[False, False, False, False, True]])
        assert list(neighbour_starts(fits, (1, 5), poor, only).source) == [14]
        assert not len(neighbour_starts(fits, (1, 5), poor, ~every).points)
