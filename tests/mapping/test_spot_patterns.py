"""Disks found as peaks: where they are, and none where there is only noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from pyxem_mlmaps.mapping.spot_patterns import Spots, draw_spots, find_spots

SHAPE = (96, 110)
RADIUS = 3.8


def disks(places, counts, radius=RADIUS, background=0.0, shape=SHAPE):
    """Flat disks with an edge of half a pixel, so many counts in each."""
    y, x = np.indices(shape)
    pattern = np.full(shape, float(background))
    for (cy, cx), total in zip(places, counts, strict=True):
        disk = 0.5 * erfc((np.hypot(y - cy, x - cx) - radius) / np.sqrt(2 * (0.25 + 1 / 12)))
        pattern += total * disk / (np.pi * radius**2)
    return pattern


def scattered(seed, n=12, apart=16.0):
    """(n, 2) places that do not touch."""
    rng = np.random.default_rng(seed)
    places = []
    while len(places) < n:
        new = rng.uniform(10, np.array(SHAPE) - 10)
        if all(np.hypot(*(new - p)) > apart for p in places):
            places.append(new)
    return np.array(places)


def nearest(found, places):
    """Distance of each place from the spot nearest to it, and which one that is."""
    distance = np.linalg.norm(found[None] - places[:, None], axis=-1)
    return distance.min(axis=1), distance.argmin(axis=1)


class TestFind:
    @pytest.mark.parametrize("seed", range(4))
    def test_centres_without_noise(self, seed):
        places = scattered(seed)
        counts = np.geomspace(100, 10000, len(places))
        spots = find_spots(disks(places, counts, background=0.05), RADIUS)
        assert len(spots.counts) == len(places)
        distance, which = nearest(spots.positions, places)
        assert distance.max() < 0.2
        np.testing.assert_allclose(
            spots.counts[which], counts, rtol=0.2
        )  # the edge reaches into the ring
        assert np.all(np.diff(spots.counts) <= 0)

    @pytest.mark.parametrize("seed", range(4))
    def test_centres_with_noise(self, seed):
        """Of 400 electrons each, on a background of one in every pixel."""
        places = scattered(seed)
        rng = np.random.default_rng(seed)
        pattern = rng.poisson(disks(places, np.full(len(places), 2000), background=0.5))
        spots = find_spots(pattern, RADIUS)
        distance, _ = nearest(spots.positions, places)
        assert len(spots.counts) == len(places)
        assert np.sqrt(np.mean(distance**2)) < 0.2 and distance.max() < 0.5

    @pytest.mark.parametrize("radius", [1.6, 6.3])
    def test_other_radii(self, radius):
        places = scattered(5, 8, 22.0)
        spots = find_spots(disks(places, np.full(8, 1000.0), radius), radius)
        assert len(spots.counts) == 8
        assert nearest(spots.positions, places)[0].max() < 0.2

    def test_contrast_inside(self):
        """A disk that is dark on one side stays one disk, found within a radius of its centre."""
        y, x = np.indices(SHAPE)
        pattern = disks([(40, 50)], [1000]) * np.clip(1 + (x - 50) / 4, 0, 2)
        spots = find_spots(pattern, RADIUS)
        assert len(spots.counts) == 1
        assert np.hypot(*(spots.positions[0] - (40, 50))) < 0.6 * RADIUS

    def test_at_the_edge_of_the_detector(self):
        """Half a disk is a disk, brightest near the edge."""
        spots = find_spots(disks([(0.0, 50.0), (50, 109)], [3000, 3000]), RADIUS)
        distance, _ = nearest(spots.positions, np.array([(0.0, 50.0), (50, 109)]))
        assert distance.max() < RADIUS


class TestNoise:
    @pytest.mark.parametrize("level", [0.5, 3.0, 100.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_none_in_flat_noise(self, seed, level):
        pattern = np.random.default_rng(seed).poisson(level, SHAPE)
        assert len(find_spots(pattern, RADIUS).counts) == 0

    def test_none_without_counts(self):
        spots = find_spots(np.zeros(SHAPE), RADIUS)
        assert spots.positions.shape == (0, 2) and spots.counts.shape == (0,)

    def test_none_in_a_smooth_slope(self):
        """The tail of the direct beam is no disk."""
        y, x = np.indices((256, 256))
        tail = 50 / (1 + ((y + 300) ** 2 + (x - 100) ** 2) / 200**2)
        for seed in range(3):
            noisy = np.random.default_rng(seed).poisson(tail)
            assert len(find_spots(noisy, RADIUS).counts) == 0

    @pytest.mark.parametrize("gain", [0.01, 7.0, 300.0])
    def test_gain_is_only_a_unit(self, gain):
        """The same disks from electrons and from what a detector makes of them."""
        places = scattered(1)
        counts = np.geomspace(30, 3000, len(places))
        pattern = np.random.default_rng(0).poisson(disks(places, counts, background=0.3))
        one, other = find_spots(pattern, RADIUS), find_spots(gain * pattern, RADIUS, gain)
        np.testing.assert_allclose(other.positions, one.positions, atol=1e-6)
        np.testing.assert_allclose(other.counts, gain * one.counts, rtol=1e-6)

    def test_noise_of_a_large_gain_is_not_taken_for_disks(self):
        pattern = 50.0 * np.random.default_rng(3).poisson(0.5, SHAPE)
        assert len(find_spots(pattern, RADIUS, 50.0).counts) == 0
        assert len(find_spots(pattern, RADIUS, 1.0).counts) > 10  # what gain is there for

    def test_dead_pixels_are_dark(self):
        pattern = disks([(40, 50)], [1000])
        pattern[70, 70], pattern[10, 10] = np.nan, np.inf
        spots = find_spots(pattern, RADIUS)
        assert len(spots.counts) == 1 and nearest(spots.positions, np.array([[40, 50]]))[0] < 0.2


class TestDraw:
    SPOTS = Spots(np.array([[20.0, 30.0], [40.5, 60.2]]), np.array([10000.0, 100.0]))

    def test_height_is_a_power_of_the_counts(self):
        drawn = draw_spots(self.SPOTS, (64, 80), 0.5, 1.0)
        assert drawn[20, 30] == pytest.approx(1)
        y, x = np.indices(drawn.shape)
        far = np.hypot(y - 40.5, x - 60.2) < 6
        assert drawn[far].sum() == pytest.approx(0.1 * 2 * np.pi, rel=1e-3)
        total = drawn[far]
        assert np.sum(total * y[far]) / total.sum() == pytest.approx(40.5, abs=1e-3)
        assert np.sum(total * x[far]) / total.sum() == pytest.approx(60.2, abs=1e-3)

    def test_skipped_spots_do_not_set_the_scale(self):
        drawn = draw_spots(self.SPOTS, (64, 80), 0.5, 1.0, np.array([True, False]))
        assert drawn[20, 30] < 1e-6 and drawn.max() == pytest.approx(1, abs=0.2)

    def test_nothing_to_draw(self):
        drawn = draw_spots(self.SPOTS, (64, 80), 0.5, 1.0, np.array([True, True]))
        assert drawn.shape == (64, 80) and not drawn.any()
