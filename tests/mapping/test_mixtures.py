"""Sums of patterns are told from patterns of their own."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.mixtures import adjacent, mixture_of


@pytest.fixture(scope="module")
def grains():
    """Three patterns that share the direct beam and nothing else, 10⁵ counts each."""
    rng = np.random.default_rng(0)
    y, x = np.indices((64, 64))
    patterns = []
    for _ in range(3):
        pattern = np.full((64, 64), 0.5)
        for place in [(32, 32), *rng.uniform(8, 56, (12, 2))]:
            pattern += rng.uniform(1, 4) * (np.hypot(y - place[0], x - place[1]) < 4)
        patterns.append(1e5 * pattern / pattern.sum())
    return np.array(patterns)


def counted(pattern, gain=1.0, seed=0):
    return gain * np.random.default_rng(seed).poisson(pattern)


class TestMixture:
    @pytest.mark.parametrize("share", [0.2, 0.3, 0.5])
    @pytest.mark.parametrize("gain", [1.0, 7.0, 0.02])
    def test_shares(self, grains, share, gain):
        """To the noise, whatever a count stands for; the third has none."""
        noisy = [counted(g, gain, seed) for seed, g in enumerate(grains, 1)]
        found = mixture_of(counted((1 - share) * grains[0] + share * grains[1], gain), noisy, gain)
        np.testing.assert_allclose(found.shares, [1 - share, share, 0], atol=0.03)
        assert 0.7 < found.chi_square < 1.3

    def test_a_grain_of_its_own(self, grains):
        assert mixture_of(counted(grains[2]), grains[:2]) is None

    def test_one_of_them_alone(self, grains):
        """A pattern that is just a neighbour's is no mixture: its orientation can be had."""
        assert mixture_of(counted(grains[0]), grains[:2]) is None

    def test_one_that_is_not_there(self, grains):
        """A boundary to a grain that is not among the neighbours."""
        mixed = counted(0.5 * grains[0] + 0.5 * grains[2])
        assert mixture_of(mixed, grains[:2]) is None

    def test_fewer_than_two(self, grains):
        assert mixture_of(counted(grains[0]), []) is None
        assert mixture_of(counted(grains[0]), grains[:1]) is None

    def test_thickness_varies_a_little(self, grains):
        """Disks a few percent brighter or darker than the neighbours'."""
        uneven = 1 + 0.02 * np.random.default_rng(5).standard_normal(grains[0].shape)
        mixed = counted((0.6 * grains[0] + 0.4 * grains[1]) * uneven)
        assert mixture_of(mixed, grains[:2]) is not None

    def test_bad_pixels_are_left_out(self, grains):
        mixed = counted(0.5 * grains[0] + 0.5 * grains[1])
        mixed[3, 4] = np.nan
        found = mixture_of(mixed, grains[:2])
        np.testing.assert_allclose(found.shares, 0.5, atol=0.03)

    def test_empty_patterns(self):
        assert mixture_of(np.zeros((8, 8)), np.zeros((3, 8, 8))) is None


class TestAdjacent:
    def test_stripes(self):
        """Three stripes, the middle one a boundary: each sees the others within four points."""
        labels = np.zeros((12, 20), dtype=int)
        labels[:, 10:] = 1
        labels[:, 9:11] = 2
        around = adjacent(labels)
        assert [set(a) for a in around] == [{1, 2}, {0, 2}, {0, 1}]

    def test_far_apart(self):
        labels = np.full((12, 20), -1)
        labels[:, :5] = 0
        labels[:, 14:] = 1
        assert [len(a) for a in adjacent(labels)] == [0, 0]

    def test_longest_border_first(self):
        labels = np.zeros((12, 12), dtype=int)
        labels[:2, :4] = 1
        labels[:, 8:] = 2
        assert list(adjacent(labels)[0]) == [2, 1]
