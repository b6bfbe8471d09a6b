"""Neighbours that look alike: what is one segment, and what the noise says of the gain."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.segments import BINS, binned_roots, representatives, segment_scan


def patterns_of(label, counts=40.0, seed=0, gain=1.0, size=48):
    """(ny, nx, size, size) Poisson patterns: points of one label expect the same counts."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(100).gamma(0.5, counts / 25, (label.max() + 1, size, size))
    return gain * rng.poisson(kinds[label]).astype(float)


def roots_of(patterns):
    ny, nx = patterns.shape[:2]
    return binned_roots(patterns.reshape(ny * nx, *patterns.shape[2:])).reshape(ny, nx, -1)


def halves(shape=(12, 16), at=7):
    label = np.zeros(shape, dtype=int)
    label[:, at:] = 1
    return label


class TestRoots:
    def test_sums_of_bins(self):
        """Nothing is lost: squares of the roots add up to four times all counts."""
        patterns = np.random.default_rng(0).poisson(3, (5, 50, 61))
        roots = binned_roots(patterns)
        assert roots.shape == (5, BINS**2)
        np.testing.assert_allclose((roots**2).sum(axis=1), 4 * patterns.sum(axis=(1, 2)), rtol=1e-5)

    def test_noise_is_one(self):
        """Standard deviation of twice the root of a Poisson number."""
        patterns = np.random.default_rng(1).poisson(2.0, (400, 48, 48))
        assert binned_roots(patterns).std(axis=0).mean() == pytest.approx(1, abs=0.03)

    def test_small_detectors(self):
        assert binned_roots(np.ones((2, 5, 30))).shape == (2, 5 * BINS)

    def test_integers_do_not_overflow(self):
        roots = binned_roots(np.full((1, 48, 48), 60000, dtype=np.uint16))
        np.testing.assert_allclose(roots, 2 * np.sqrt(16 * 60000.0), rtol=1e-6)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_bad_pixels_mark_the_pattern(self, bad):
        patterns = np.ones((3, 20, 20))
        patterns[1, 4, 5] = bad
        np.testing.assert_array_equal(np.isnan(binned_roots(patterns)).all(axis=1), [0, 1, 0])
        assert np.isfinite(binned_roots(patterns)[[0, 2]]).all()


class TestSegments:
    @pytest.mark.parametrize("gain", [1.0, 7.0])
    def test_two_halves(self, gain):
        """One boundary, two segments, the larger first; the gain from noise alone."""
        label = halves()
        found = segment_scan(roots_of(patterns_of(label, gain=gain)))
        np.testing.assert_array_equal(found.labels, 1 - label)
        assert found.n == 2
        assert found.gain == pytest.approx(gain, rel=0.1)
        assert found.usable.all()

    @pytest.mark.parametrize("gain", [1.0, 7.0])
    @pytest.mark.parametrize("seed", range(3))
    def test_one_grain(self, gain, seed):
        found = segment_scan(roots_of(patterns_of(np.zeros((10, 12), int), seed=seed, gain=gain)))
        assert found.n == 1 and not found.labels.any()
        assert found.gain == pytest.approx(gain, rel=0.1)

    def test_faint_patterns(self):
        """Ten counts in a bin are enough, though their roots are not quite Gaussian."""
        label = halves()
        patterns = patterns_of(label, counts=30.0)
        found = segment_scan(roots_of(patterns))
        np.testing.assert_array_equal(found.labels, 1 - label)
        assert found.gain == pytest.approx(1, rel=0.1)

    def test_bends_within_a_grain_are_not_boundaries(self):
        """A change from point to point that is small against noise, large over the scan."""
        rng = np.random.default_rng(0)
        first, last = rng.gamma(0.5, 1.6, (2, 48, 48))
        share = np.linspace(0, 1, 40)[None, :, None, None]
        patterns = rng.poisson(np.broadcast_to((1 - share) * first + share * last, (6, 40, 48, 48)))
        assert segment_scan(roots_of(patterns)).n == 1

    def test_patterns_with_bad_pixels_are_in_none(self):
        label = halves()
        patterns = patterns_of(label)
        patterns[3, 4, 20, 20] = np.nan
        patterns[:2, 9] = np.nan
        found = segment_scan(roots_of(patterns))
        bad = np.zeros(label.shape, bool)
        bad[3, 4] = bad[:2, 9] = True
        np.testing.assert_array_equal(found.usable, ~bad)
        np.testing.assert_array_equal(found.labels, np.where(bad, -1, 1 - label))
        assert found.gain == pytest.approx(1, rel=0.1)

    def test_all_bad(self):
        found = segment_scan(np.full((3, 4, 20), np.nan, dtype=np.float32))
        assert found.n == 0 and not found.usable.any() and np.all(found.labels == -1)
        assert representatives(found.labels, 9).shape == (0, 9)

    def test_small_pieces_are_none(self):
        """Three points of another grain are no segment; four are. Corners do not connect."""
        label = np.zeros((10, 12), dtype=int)
        label[1, 1:4] = 1
        label[5, 5:9] = 2
        label[8, 1], label[9, 2] = 3, 3
        found = segment_scan(roots_of(patterns_of(label)))
        assert found.n == 2
        np.testing.assert_array_equal(found.labels == -1, (label == 1) | (label == 3))
        np.testing.assert_array_equal(found.labels == 1, label == 2)

    def test_scans_of_one_grain_smaller_than_a_segment(self):
        found = segment_scan(roots_of(patterns_of(np.zeros((1, 2), int))))
        np.testing.assert_array_equal(found.labels, [[0, 0]])

    def test_one_point(self):
        found = segment_scan(roots_of(patterns_of(np.zeros((1, 1), int))))
        assert found.n == 1 and found.gain == 1.0

    def test_a_line(self):
        label = halves((1, 30), 12)
        found = segment_scan(roots_of(patterns_of(label)))
        np.testing.assert_array_equal(found.labels, 1 - label)


class TestRepresentatives:
    def test_deep_inside(self):
        """Nine points as far from the boundary as they can be, next to each other."""
        label = halves((15, 30), 15)
        points = representatives(label, 9)
        assert points.shape == (2, 9)
        for k, row in enumerate(points):
            y, x = np.divmod(row, 30)
            assert len(set(row)) == 9
            assert np.all(label[y, x] == k)
            assert np.ptp(y) <= 4 and np.ptp(x) <= 4
            away = x - 14.5 if k else 14.5 - x
            assert away.min() > 4 and min(y.min(), 14 - y.max()) > 3

    def test_the_first_is_the_deepest(self):
        label = halves((15, 30), 15)
        y, x = np.divmod(representatives(label, 9)[:, 0], 30)
        np.testing.assert_array_equal(y, [7, 7])
        assert np.all(np.abs(x - np.array([7, 22])) <= 1)

    def test_small_segments_repeat_points(self):
        label = np.full((4, 5), -1)
        label[1, 1:3] = 0
        (row,) = representatives(label, 9)
        assert set(row) == {6, 7} and len(row) == 9

    def test_points_of_none_do_not_count(self):
        """A hole inside is as good as a boundary."""
        label = np.zeros((9, 21), dtype=int)
        label[:, 8:13] = -1
        (row,) = representatives(label, 9)
        assert np.all(label.ravel()[row] == 0)

    def test_bent_segments(self):
        """Of an L, whose middle lies outside, points of the L."""
        label = np.ones((20, 20), dtype=int)
        label[:6] = label[:, :6] = 0
        for k, row in enumerate(representatives(label, 9)):
            assert np.all(label.ravel()[row] == k)
