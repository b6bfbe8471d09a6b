"""What the disk networks see: independent of the radius, turned as the pattern is turned."""

import numpy as np
import pytest

from pyxem_mlmaps.training.disk_features import (
    ANGLES,
    COARSE_INPUTS,
    NEAR,
    RADIAL,
    STRIP_INPUTS,
    coarse_features,
    directions,
    strip_features,
    strip_half_width,
)


def disk(size, radius, shift=(0.0, 0.0), level=1.0):
    y, x = np.indices((size, size)) - (size - 1) / 2
    distance = np.hypot(y - shift[0], x - shift[1])
    return (level * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.float32)


def coarse(image, radius):
    out = np.zeros(COARSE_INPUTS, dtype=np.float32)
    last = len(image) - 1
    finite = coarse_features(image, last / 2, last / 2, radius, 0, last, 0, last, out)
    return out, finite


def strip(image, radius, stage=1, at=(0.0, 0.0)):
    out = np.zeros((ANGLES, STRIP_INPUTS), dtype=np.float32)
    last = len(image) - 1
    level = strip_features(
        image, last / 2 + at[0], last / 2 + at[1], radius, 0.0, strip_half_width(radius, stage),
        0, last, 0, last, out,
    )  # fmt: skip
    return out, level


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
