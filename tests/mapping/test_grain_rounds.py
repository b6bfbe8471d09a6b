"""What is left over is made segments, and what explains a sum depends on its electrons."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_rounds import Rounds, sums_of
from pyxem_mlmaps.mapping.grain_solution import Solution
from pyxem_mlmaps.mapping.segments import Segments

SHAPE = (20, 24)


@pytest.fixture
def rounds():
    """Two segments side by side, all points of which are explained."""
    labels = np.zeros(SHAPE, dtype=int)
    labels[:, 12:] = 1
    usable, rough = np.ones(SHAPE, dtype=bool), np.ones(SHAPE, dtype=np.float32)
    segments = Segments(labels, 1.0, usable, 6e4, rough)
    scan = SimpleNamespace(data=np.zeros((*SHAPE, 4, 4)))
    found = Rounds(scan, None, segments, None, {})
    found.limit = 1.1
    found.fits.chi_square[:] = 1.0
    found.fits.amplitude[:] = 1e5
    found.fits.model[:] = 0
    found._sure = [np.arange(9)]
    return found


class TestLeftOver:
    def test_nothing(self, rounds):
        assert rounds._left_over().max() == -1

    def test_a_sub_grain_that_was_not_parted(self, rounds):
        """The larger region first."""
        poor = rounds.fits.chi_square.reshape(SHAPE)
        poor[2:6, 1:6] = 1.4
        poor[8:18, 14:22] = 1.4
        left = rounds._left_over()
        assert np.all(left[8:18, 14:22] == 0) and np.all(left[2:6, 1:6] == 1)
        assert (left >= 0).sum() == 80 + 20

    def test_boundaries_are_left_out(self, rounds):
        """Points that mix two grains lie in strips of two."""
        rounds.fits.chi_square.reshape(SHAPE)[:, 11:13] = 2.0
        assert rounds._left_over().max() == -1

    def test_tried_in_vain(self, rounds):
        """A segment without an explanation is not searched again."""
        rounds.fits.chi_square.reshape(SHAPE)[:, 12:] = np.inf
        assert rounds._left_over().max() == 0
        rounds._closed.add(1)
        assert rounds._left_over().max() == -1

    def test_another_crystal_in_a_fainter_beam(self, rounds):
        """As well explained as the others, but with 0.6 of their beam."""
        rounds.fits.amplitude.reshape(SHAPE)[3:9, 3:9] = 6e4
        left = rounds._left_over()
        assert np.all(left[3:9, 3:9] == 0) and (left >= 0).sum() == 36

    def test_bad_patterns_are_no_grain(self, rounds):
        rounds.fits.chi_square.reshape(SHAPE)[3:9, 3:9] = np.inf
        rounds.segments.usable[3:9, 3:9] = False
        assert rounds._left_over().max() == -1


class TestExplained:
    SOLVER = Solver(None, [], None, None)

    def solution(self, chi_square, electrons):
        return Solution(None, np.zeros(6), chi_square, np.eye(3), electrons)

    def test_the_same_error_in_bright_and_faint_sums(self):
        """An error of the model adds to chi-square in proportion to the electrons."""
        bright, faint = self.solution(1.5, 5e5), self.solution(1.1, 1e5)
        assert bright.excess == pytest.approx(faint.excess)
        assert self.SOLVER.explains(bright) and self.SOLVER.explains(faint)
        assert not self.SOLVER.explains(self.solution(1.5, 1e5))
        assert not self.SOLVER.explains(None)

    def test_settled_is_stricter(self):
        assert self.SOLVER.settled(self.solution(1.1, 1e6))
        assert not self.SOLVER.settled(self.solution(1.5, 1e6))
        assert self.SOLVER.explains(self.solution(1.5, 1e6))


def test_sums_count_points_once():
    """Small segments repeat their points."""
    data = np.arange(6.0).reshape(2, 3, 1, 1)
    scan = SimpleNamespace(data=data)
    sums = sums_of(scan, np.array([[0, 1, 0], [5, 5, 5]]), {})
    np.testing.assert_array_equal(sums.ravel(), [1, 5])
    assert sums_of(scan, np.empty((0, 3), dtype=int), {}).shape == (0, 1, 1)
