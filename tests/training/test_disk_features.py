"""What the disk networks see: independent of the radius, turned as the pattern is turned."""

import numpy as np
import pytest

from pyxem_mlmaps.training.disk_circles import ANGLES, directions
from pyxem_mlmaps.training.disk_features import (
    COARSE_INPUTS,
    NEAR,
    RADIAL,
    STRIP_INPUTS,
    coarse_features,
    coarse_picture,
    first_strip,
    last_strip,
    strip_features,
)
from pyxem_mlmaps.training.disk_pixels import bin_factor, bin_patterns


def disk(size, radius, shift=(0.0, 0.0), level=1.0):
    y, x = np.indices((size, size)) - (size - 1) / 2
    distance = np.hypot(y - shift[0], x - shift[1])
    return (level * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.float32)


def coarse(image, radius):
    out = np.zeros(COARSE_INPUTS, dtype=np.float32)
    last = len(image) - 1
    finite = coarse_features(image, last / 2, last / 2, radius, 0, last, 0, last, out)
    return out, finite


def strip(image, radius, at=(0.0, 0.0), g=(np.nan, np.nan)):
    out = np.zeros((ANGLES, STRIP_INPUTS), dtype=np.float32)
    last = len(image) - 1
    level = strip_features(
        image, image, 1, last / 2 + at[0], last / 2 + at[1], radius, 0.0, *g,
        min(4.0, 0.5 * radius), 0, last, 0, last, out,
    )  # fmt: skip
    return out, level


class TestBinning:
    @pytest.mark.parametrize("factor", [2, 3, 5])
    def test_means_of_blocks(self, factor):
        patterns = np.random.default_rng(0).poisson(40, (3, 61, 47)).astype(np.float32)
        rows, columns = 61 // factor, 47 // factor
        cut = patterns[:, : rows * factor, : columns * factor]
        expected = cut.reshape(3, rows, factor, columns, factor).mean(axis=(2, 4))
        np.testing.assert_allclose(bin_patterns(patterns, factor), expected, rtol=1e-5)

    def test_a_disk_keeps_a_dozen_pixels(self):
        for radius in (4.0, 11.0, 24.0, 30.0, 60.0):
            factor = bin_factor(radius)
            assert factor == 1 or 12 <= radius / factor < 18

    @pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -2.2)])
    def test_the_coarse_picture_is_the_same_from_binned_pixels(self, shift):
        image, last = disk(181, 40, shift), 180
        factor = bin_factor(40.0)
        fine, binned = np.zeros((2, COARSE_INPUTS), dtype=np.float32)
        coarse_features(image, 90.0, 90.0, 40.0, 0, last, 0, last, fine)
        rough = bin_patterns(image[None], factor)[0]
        coarse_picture(rough, factor, 90.0, 90.0, 40.0, 0, last, 0, last, binned)
        assert np.abs(fine - binned)[:-2].mean() < 0.02

    def test_strips_see_the_same_disk_through_binned_pixels(self):
        """The far parts of the last strip, and all of the first one's."""
        image, last, radius = disk(181, 40, (0.6, -0.4)), 180, 40.0
        factor = bin_factor(radius)
        rough = bin_patterns(image[None], factor)[0]
        at = (90.6, 89.6, radius)
        box, unknown = (0, last, 0, last), (0.0, np.nan, np.nan)
        fine, binned = np.zeros((2, ANGLES, STRIP_INPUTS), dtype=np.float32)
        strip_features(image, image, 1, *at, *unknown, 4.0, *box, fine)
        last_strip(image, rough, factor, *at, *unknown, *box, binned)
        assert np.abs(fine - binned).max() < 0.02
        strip_features(image, image, 1, *at, *unknown, 0.32 * radius, *box, fine)
        assert first_strip(rough, factor, *at, *box, binned) == pytest.approx(0.32 * radius)
        step = 2 * 0.32 * radius / (NEAR - 1)
        edge, edge_binned = (out[:, :NEAR].mean(axis=0).sum() * step for out in (fine, binned))
        assert edge == pytest.approx(edge_binned, abs=0.4)  # px; blurred, but in its place


class TestCoarse:
    def test_the_same_picture_at_every_radius(self):
        small, _ = coarse(disk(81, 20), 20.0)
        large, _ = coarse(disk(161, 40), 40.0)
        assert np.abs(small[:-2] - large[:-2]).mean() < 0.02

    def test_independent_of_the_unit_of_counts(self):
        a, _ = coarse(disk(81, 20), 20.0)
        b, _ = coarse(disk(81, 20, level=1e5), 20.0)
        np.testing.assert_allclose(a, b, atol=1e-5)

    def test_cells_beyond_the_window_are_masked(self):
        picture, _ = coarse(disk(53, 20), 20.0)  # 1.3 radii of 1.75
        mask = picture[COARSE_INPUTS // 2 - 1 : -2]
        assert 0.45 < mask.mean() < 0.65

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_tells_of_pixels_that_are_not_finite(self, value):
        image = disk(81, 20)
        assert coarse(image, 20.0)[1]
        image[40, 50] = value
        assert not coarse(image, 20.0)[1]


class TestStrip:
    @pytest.mark.parametrize("radius", [5, 12.3, 30, 58])
    def test_a_uniform_disk_has_its_edge_in_the_middle(self, radius):
        image = disk(int(4 * radius), radius)
        out, level = strip(image, radius)
        profile = out[:, :NEAR].mean(axis=0)
        profile = profile / (1 - profile / 6)  # undo the squeeze
        assert level == pytest.approx(1, abs=0.04)  # the blurred edge is part of it
        assert profile[0] == pytest.approx(1, abs=0.05)
        assert profile[NEAR // 2] == pytest.approx(0.5, abs=0.05)
        assert profile[-1] == pytest.approx(0, abs=0.05)

    def test_a_quarter_turn_rolls_the_segments(self):
        image = np.random.default_rng(0).poisson(20 * disk(81, 15, (0.4, -0.3)) + 1)
        image = image.astype(np.float32)
        out, _ = strip(image, 15.0)
        turned, _ = strip(np.ascontiguousarray(np.rot90(image)), 15.0)
        # counter-clockwise on the screen: from +y towards +x reversed, a quarter of the segments
        difference = np.abs(turned - np.roll(out, -ANGLES // 4, axis=0)).max(axis=0)
        noise = [2 * RADIAL + 2, 2 * RADIAL + 3]  # measured on squares of pixels that do not turn
        assert difference[noise].max() < 0.1
        assert np.delete(difference, noise).max() < 2e-4

    def test_a_moved_disk_moves_its_edge_as_directions_say(self):
        radius, shift = 30.0, np.array([0.9, -0.6])
        out, level = strip(disk(121, radius, shift), radius)
        still, level_still = strip(disk(121, radius), radius)
        step = 8 / (NEAR - 1)  # px between samples, over ± 4 px

        def edge(strips):
            values = strips[:, :NEAR] / (1 - strips[:, :NEAR] / 6)
            return values.sum(axis=1) * step

        moved = edge(out) * level - edge(still) * level_still
        np.testing.assert_allclose(moved, directions()[:, :2] @ shift, atol=0.08)

    def test_share_on_the_detector(self):
        image = disk(121, 30)
        out, _ = strip(image, 30.0, at=(45.0, 0.0))
        share = out[:, 2 * RADIAL + 1]
        angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
        assert np.all(share[np.sin(angle) > 0.7] == 0)
        assert np.all(share[np.sin(angle) < 0.2] == 1)

    def test_segments_know_where_the_direct_beam_is(self):
        image = disk(81, 15)
        known, along, length = 2 * RADIAL + 8, 2 * RADIAL + 9, 2 * RADIAL + 10
        angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
        out, _ = strip(image, 15.0, g=(30.0, 40.0))  # (y, x)
        np.testing.assert_allclose(out[:, along], np.cos(angle - np.arctan2(30, 40)), atol=1e-6)
        np.testing.assert_allclose(out[:, length], np.log((50 + 15) / 60), atol=1e-6)
        assert np.all(out[:, known] == 1)
        direct, _ = strip(image, 15.0, g=(0.0, 0.0))
        assert np.all(direct[:, known] == 1) and np.all(direct[:, along] == 0)
        unknown, _ = strip(image, 15.0)
        assert np.all(unknown[:, [known, along, length]] == 0)
        np.testing.assert_array_equal(out[:, :known], unknown[:, :known])

    def test_noise_is_measured(self):
        rng = np.random.default_rng(1)
        for noise in (0.05, 0.5):
            image = disk(121, 30) + rng.normal(0, noise, (121, 121)).astype(np.float32)
            out, _ = strip(image.astype(np.float32), 30.0)
            told = np.exp(out[0, 2 * RADIAL + 2])
            assert told == pytest.approx(noise, rel=0.15)

    def test_an_empty_window_is_finite(self):
        for image in (np.zeros((61, 61)), -np.ones((61, 61)), np.full((61, 61), 1e30)):
            out, _ = strip(image.astype(np.float32), 14.0)
            assert np.all(np.isfinite(out))
