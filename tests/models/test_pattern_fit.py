"""The fit of whole patterns: right to within its own σ, and σ is what the pixels allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pyxem_mlmaps.models import grain as grain_module
from pyxem_mlmaps.models.grain import PIXEL_ERROR, TAIL
from pyxem_mlmaps.models.pattern_fit import PARAMETERS, WINDOW

STEP = np.array([2e-4, 2e-4, 0.05, 2e-3, 2e-3, 2e-3])
"""Of finite differences: far below what changes a pattern's curvature."""
NEAR = np.array([0.004, 0.004, 1.0, 0.2, 0.1, 0.1])


def sigma(fit):
    return np.sqrt(np.diagonal(fit.covariance, axis1=1, axis2=2))


@pytest.fixture(scope="module")
def true(grain):
    return grain.draw(80)


@pytest.fixture(scope="module")
def patterns(grain, true):
    return grain.render(true)


@pytest.fixture(scope="module")
def start(true):
    return true + NEAR * np.random.default_rng(1).standard_normal(true.shape)


@pytest.fixture(scope="module")
def fit(grain, patterns, start):
    return grain.model.fit(patterns, start, grain.optics)


class TestPoisson:
    def test_within_five_sigma(self, fit, true):
        """All six parameters of nearly all patterns, tilt and thickness among them."""
        z = (fit.values - true) / sigma(fit)
        assert np.all(np.abs(z) < 5, axis=1).mean() > 0.95
        assert not fit.at_border.any()

    @pytest.mark.parametrize("k", range(6), ids=PARAMETERS)
    def test_errors_are_as_large_as_predicted(self, fit, true, k):
        """RMS of errors over σ near 1. Below it by the allowance for errors of the simulation."""
        z = ((fit.values - true) / sigma(fit))[:, k]
        kept = np.abs(z) < 5
        assert kept.mean() > 0.97
        assert 0.5 < np.sqrt(np.mean(z[kept] ** 2)) < 1.4
        assert abs(z[kept].mean()) < 0.5

    def test_chi_square_is_one(self, fit):
        """For pure Poisson noise, or a little less: the model's own error is allowed for."""
        assert 0.8 < np.median(fit.chi_square) < 1.05

    def test_amplitude_is_the_electrons(self, fit):
        """Disks of intensity 1 would hold all incident electrons."""
        assert np.median(fit.amplitude) == pytest.approx(1e5, rel=0.05)

    def test_more_electrons_more_precise(self, grain, true):
        """A hundred times fewer electrons: about ten times the errors, still within their σ."""
        few = grain.render(true, electrons=1e3, seed=900)
        found = grain.model.fit(few, true, grain.optics)
        z = (found.values - true) / sigma(found)
        assert np.sqrt(np.median(z[:, :2] ** 2)) / 0.6745 < 1.4
        many = grain.model.fit(grain.render(true), true, grain.optics)
        ratio = np.median(sigma(found) / sigma(many), axis=0)
        assert np.all((ratio[:2] > 5) & (ratio[:2] < 13))

    def test_no_noise_no_error(self, grain, true, start):
        clean = grain.render(true, noise=False)
        found = grain.model.fit(clean, start, grain.optics)
        z = (found.values - true) / sigma(found)
        assert np.median(np.abs(z)) < 0.05
        assert np.all(np.abs(z) < 0.3, axis=1).mean() > 0.95

    def test_background_makes_no_error(self, grain, true):
        """None at all, and twice as many electrons as the disks hold."""
        for background in (0.0, 1.0):
            p = grain.render(true[:30], background=background)
            found = grain.model.fit(p, true[:30], grain.optics)
            z = (found.values - true[:30]) / sigma(found)
            assert np.abs(z).max() < 5 and np.sqrt(np.mean(z**2)) < 1.4


class TestScaling:
    @pytest.mark.parametrize(
        "gain",
        [
            0.02,
            7.0,
            1000.0,
        ],
    )
    def test_gain_is_only_a_unit(self, grain, patterns, start, fit, gain):
        found = grain.model.fit(patterns * gain, start, grain.optics, gain)
        assert (np.abs(found.values - fit.values) / sigma(fit)).max() < 0.05
        np.testing.assert_allclose(found.chi_square, fit.chi_square, rtol=5e-3)
        np.testing.assert_allclose(sigma(found), sigma(fit), rtol=2e-2)
        np.testing.assert_allclose(found.amplitude, gain * fit.amplitude, rtol=5e-3)

    def test_an_answer_stays(self, grain, patterns, fit):
        """Fitted again from its own answer a pattern stays, unless it lies between two minima."""
        again = grain.model.fit(patterns, fit.values, grain.optics)
        moved = (np.abs(again.values - fit.values) / sigma(fit)).max(axis=1)
        assert np.quantile(moved, 0.95) < 0.05

    def test_gain_that_is_not_known_shows_in_chi_square(self, grain, patterns, fit):
        found = grain.model.fit(3 * patterns, fit.values, grain.optics, 1.0)
        assert 2 < np.median(found.chi_square) < 3.2

    def test_any_number_type(self, grain, patterns, start, fit):
        found = grain.model.fit(patterns[:5].astype(np.uint16), start[:5], grain.optics)
        np.testing.assert_array_equal(found.values, fit.values[:5])

    def test_patterns_do_not_influence_each_other(self, grain, patterns, start, fit):
        order = np.random.default_rng(0).permutation(len(patterns))[:20]
        found = grain.model.fit(patterns[order], start[order], grain.optics)
        np.testing.assert_array_equal(found.values, fit.values[order])
        np.testing.assert_array_equal(found.covariance, fit.covariance[order])


class TestBadPixels:
    def test_left_out(self, grain, patterns, true, fit):
        """3 % dead pixels: hardly less precise, and no bias."""
        holes = patterns.copy()
        holes[np.random.default_rng(2).random(holes.shape) < 0.03] = np.nan
        found = grain.model.fit(holes, fit.values, grain.optics)
        z = (found.values - true) / sigma(found)
        assert (np.abs(z).max(axis=1) < 5).mean() > 0.95
        assert np.sqrt(np.median((found.values - fit.values) ** 2 / sigma(fit) ** 2)) < 0.5
        ratio = np.median(sigma(found) / sigma(fit), axis=0)
        assert np.all((ratio > 0.99) & (ratio < 1.12))

    def test_what_is_in_them_does_not_matter(self, grain, patterns, start):
        dead = np.random.default_rng(3).random(patterns.shape[1:]) < 0.02
        one, other = patterns[:10].copy(), patterns[:10].copy()
        one[:, dead], other[:, dead] = np.nan, np.inf
        first = grain.model.fit(one, start[:10], grain.optics)
        second = grain.model.fit(other, start[:10], grain.optics)
        np.testing.assert_array_equal(first.values, second.values)

    @pytest.mark.parametrize(
        "value",
        [
            np.nan,
            0.0,
        ],
    )
    def test_nothing_left(self, grain, start, value):
        """No pixels, or no electrons: NaN, not a number that looks like one."""
        empty = np.full((2, 96, 96), value)
        found = grain.model.fit(empty, start[:2], grain.optics)
        assert not np.isfinite(found.chi_square).any()
        assert not np.isfinite(found.covariance).any()

    def test_start_without_a_number(self, grain, patterns, start, fit):
        broken = start[:4].copy()
        broken[1, 2], broken[2, 0] = np.nan, np.inf
        found = grain.model.fit(patterns[:4], broken, grain.optics)
        assert np.isnan(found.values[1:3]).all() and np.isnan(found.chi_square[1:3]).all()
        np.testing.assert_array_equal(found.values[[0, 3]], fit.values[[0, 3]])


class TestCovariance:
    def pixels(self, grain, value):
        """For each disk the pixels that the fit uses, as (disk, y, x)."""
        y, x = np.indices((96, 96))
        places = grain.model.places(value[None], grain.optics.scale)[0]
        reach = grain.optics.radius + WINDOW
        return np.array([np.hypot(y - cy, x - cx) <= reach for cy, cx in places])

    def test_against_finite_differences_of_the_renderer(self, grain, true):
        """Inverse of the Fisher matrix of patterns that another program made.

        Nine shared parameters and the amplitude of each disk, which has a prior of 10 %.
        """
        for value in true[:4]:
            used = self.pixels(grain, value)
            n_disk = len(used)
            rows = np.concatenate([np.flatnonzero(u) for u in used])
            owner = np.repeat(np.arange(n_disk), [u.sum() for u in used])
            eye = np.eye(n_disk)

            def crystal(v, used=used, eye=eye):
                parts = [
                    grain.render(v, noise=False, background=0, only=one)[0][u]
                    for one, u in zip(eye, used, strict=True)
                ]
                return np.concatenate(parts)

            here = crystal(value)
            columns = [
                (crystal(value + s * unit) - crystal(value - s * unit)) / (2 * s)
                for s, unit in zip(STEP, np.eye(6), strict=True)
            ]
            y, x = np.divmod(rows, 96)
            tail = 1 / (
                1 + ((y - value[4]) ** 2 + (x - value[5]) ** 2) / (TAIL * grain.optics.radius) ** 2
            )
            columns += [here, np.ones(len(rows)), tail]
            columns += [np.where(owner == d, here, 0) for d in range(n_disk)]
            jacobian = np.stack(columns, axis=1)
            full = grain.render(value, noise=False)[0].ravel()[rows]
            weight = 1 / (full + (PIXEL_ERROR * here) ** 2)
            fisher = jacobian.T @ (weight[:, None] * jacobian)
            fisher[range(9, 9 + n_disk), range(9, 9 + n_disk)] += 1 / 0.1**2
            keep = np.diag(fisher) > 1e-12
            expected = np.linalg.inv(fisher[np.ix_(keep, keep)])[:6, :6]
            clean = grain.render(value, noise=False)
            found = grain.model.fit(clean, value[None], grain.optics).covariance[0]
            ratio = np.sqrt(np.diag(found) / np.diag(expected))
            np.testing.assert_allclose(ratio, 1, atol=0.1)
            scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            np.testing.assert_allclose(found / scale, expected / scale, atol=0.15)

    @pytest.mark.parametrize(("k", "away"), [(0, -2.0), (0, 2.0), (1, -2.0), (2, -2.0)])
    def test_chi_square_along_a_parameter(self, grain, true, k, away):
        """Held two σ from the truth, all else fitted, it grows by four."""
        value = true[0]
        clean = grain.render(value, noise=False)
        best = grain.model.fit(clean, value[None], grain.optics)
        wrong = value.copy()
        wrong[k] += away * sigma(best)[0, k]
        low, high = grain.model.low.copy(), grain.model.high.copy()
        low[k] = high[k] = wrong[k]
        held = replace(grain.model, low=low, high=high).fit(clean, wrong[None], grain.optics)
        assert held.values[0, k] == wrong[k] and held.at_border[0]
        shown = [u.sum() for u in self.pixels(grain, value)]
        growth = (held.chi_square[0] - best.chi_square[0]) * (sum(shown) - 9)
        assert growth == pytest.approx(away**2, rel=0.15)

    def test_is_a_covariance(self, fit):
        covariance = fit.covariance
        np.testing.assert_allclose(covariance, np.swapaxes(covariance, 1, 2), rtol=1e-6, atol=1e-12)
        scale = sigma(fit)
        correlation = covariance / (scale[:, :, None] * scale[:, None, :])
        assert np.linalg.eigvalsh(correlation).min() > 0


class TestBorder:
    @pytest.mark.parametrize("k", range(3), ids=PARAMETERS[:3])
    def test_truth_outside_is_held_at_the_end(self, grain, true, patterns, k):
        """The answer lies on the border of the library and says so; inside nothing does."""
        limit = float(np.median(true[:20, k]))
        high = grain.model.high.copy()
        high[k] = limit
        small = replace(grain.model, high=high)
        start = true[:20].copy()
        found = small.fit(patterns[:20], start, grain.optics)
        assert np.all(found.values[:, k] <= limit)
        far = true[:20, k] > limit + 10 * sigma(found)[:, k]
        assert far.sum() >= 4
        assert found.at_border[far].mean() > 0.7  # others find another minimum inside
        assert (found.values[found.at_border, k] == limit).mean() > 0.8
        inside = true[:20, k] < limit - 10 * sigma(found)[:, k]
        assert inside.sum() >= 4 and not found.at_border[inside].any()

    def test_start_outside(self, grain, true, patterns):
        """It is brought to the border first, and may come back from there."""
        outside = np.array([[5.0, -5.0, 500.0, 0, 0, 0], [-5.0, 0.0, 1.0, 0, 0, 0]])
        start = true[:2] + outside
        found = grain.model.fit(patterns[:2], start, grain.optics)
        assert np.all(found.values[:, :3] >= grain.model.low)
        assert np.all(found.values[:, :3] <= grain.model.high)
        assert np.isfinite(found.chi_square).all()
        edge = true[0].copy()
        edge[2] = grain.model.high[2] + 0.5
        near = grain.render(np.r_[true[0, :2], grain.model.high[2] - 1.0, true[0, 3:]], seed=77)
        back = grain.model.fit(near, edge[None], grain.optics)
        assert back.values[0, 2] == pytest.approx(
            grain.model.high[2] - 1.0, abs=5 * sigma(back)[0, 2]
        )
        assert not back.at_border[0]


class TestPrior:
    def test_wrong_disk_amplitudes_hardly_move_the_angles(self, grain, true, monkeypatch):
        """Disks off by 5 %, as of wrong structure factors: the prior takes up what it can."""
        factor = 1 + 0.05 * np.random.default_rng(4).choice([-1, 1], len(grain.model.vectors))
        wrong = grain.render(true, noise=False, only=factor)
        with_prior = grain.model.fit(wrong, true, grain.optics)
        monkeypatch.setattr(grain_module, "AMPLITUDE_ERROR", 1e-4)
        fixed = grain.model.fit(wrong, true, grain.optics)

        def rms(found):
            return np.sqrt(np.median((found.values - true)[:, :3] ** 2, axis=0))

        assert np.all(rms(with_prior) < 0.5 * rms(fixed))
        assert np.median(with_prior.chi_square) < 0.5 * np.median(fixed.chi_square)

    def test_sigma_pays_for_it(self, grain, patterns, fit, monkeypatch):
        """Amplitudes that are not known leave less to tell the tilt."""
        monkeypatch.setattr(grain_module, "AMPLITUDE_ERROR", 1e-4)
        fixed = grain.model.fit(patterns, fit.values, grain.optics)
        assert np.all(np.median(sigma(fixed) / sigma(fit), axis=0)[:3] < 0.98)
