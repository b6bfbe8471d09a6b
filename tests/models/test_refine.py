"""The fit to the library: exact without noise, at the Cramér-Rao bound with it."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.models.refine import fit_patterns, noise_variance
from pyxem_mlmaps.simulation.spline import LibrarySpline

WHITE = np.array([0.0, 1e-3, 0.0])
NO_BACKGROUND = np.zeros((0, 25)), np.zeros(0)


@pytest.fixture(scope="module")
def spline(library):
    values = library.intensities / library.intensities.mean()
    return LibrarySpline.fit(values, library.tilt_x, library.tilt_y, library.thickness)


@pytest.fixture(scope="module")
def truth(spline):
    """Inside, four σ of any noise used here away from the border."""
    low, high = spline.low, spline.high
    u = np.random.default_rng(0).uniform(0.08, 0.92, (300, 3))
    return low + u * (high - low)


def unit(patterns):
    return patterns / patterns.mean(axis=1, keepdims=True)


def fit(spline, data, truth, noise=WHITE, background=NO_BACKGROUND, shift=0.4, slack=0.5, steps=30):
    """From a start that is off by ``shift`` grid steps on each axis."""
    units = (truth - spline.start) / spline.step
    start = units + shift * np.array([1, -1, 0.5])
    result = fit_patterns(data, start, spline.coefficients, *background, noise, slack, steps)
    return result, result.units * spline.step + spline.start


def bound(spline, truth, white):
    """Cramér-Rao bound on the three parameters with the scale unknown, (n, 3)."""
    values, gradient = spline.with_gradient(truth)
    mean = values.mean(axis=1, keepdims=True)
    jacobian = np.concatenate([gradient / mean[:, None], (values / mean)[:, None]], axis=1)
    fisher = np.einsum("nad,nbd->nab", jacobian, jacobian).astype(float) / white**2
    return np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2))[:, :3]


def test_exact_without_noise(spline, truth):
    """1e-5° and 1e-3 nm, from starts almost half a grid step off."""
    result, found = fit(spline, unit(spline(truth)), truth)
    error = np.abs(found - truth)
    assert error[:, :2].max() < 1e-5
    assert error[:, 2].max() < 1e-3
    assert not result.at_border.any()
    assert result.chi_square.max() < 1e-3


def test_cramer_rao(spline, truth):
    """RMS error within 10 % of the bound at small white noise, and the fit knows its σ."""
    white = 1e-3
    rng = np.random.default_rng(1)
    many = np.repeat(truth, 10, axis=0)
    clean = unit(spline(many))
    data = clean + white * rng.standard_normal(clean.shape)
    result, found = fit(spline, data, many, noise=np.array([0.0, white, 0.0]))
    sigma = bound(spline, many, white)
    pull = (found - many) / sigma
    rms = np.sqrt((pull**2).mean(axis=0))
    np.testing.assert_allclose(rms, 1, atol=0.1)
    np.testing.assert_allclose(np.sqrt(result.variance) * spline.step / sigma, 1, atol=0.05)
    assert result.chi_square.mean() == pytest.approx(1, abs=0.03)


def test_scale_does_not_matter(spline, truth):
    """The scale is fitted: ten times the counts, the same tilt."""
    data = unit(spline(truth[:50]))
    _, one = fit(spline, data, truth[:50])
    _, ten = fit(spline, 10 * data, truth[:50])
    np.testing.assert_allclose(one[:, :2], ten[:, :2], atol=1e-5)


def test_missing_disks_are_left_out(spline, truth):
    """NaN in five disks of 25: still exact; what stood there cannot matter."""
    data = unit(spline(truth))
    data[:, [1, 4, 9, 16, 20]] = np.nan
    result, found = fit(spline, data, truth)
    assert np.abs(found - truth)[:, :2].max() < 1e-5
    assert np.isfinite(result.variance).all()


def test_too_few_disks_have_no_answer(spline, truth):
    data = unit(spline(truth[:3]))
    data[:, 4:] = np.nan
    result, _ = fit(spline, data, truth[:3])
    assert np.isnan(result.chi_square).all() and np.isnan(result.variance).all()


def test_background_is_fitted_along(spline, truth):
    """A flat background under the disks biases a fit that does not know of it."""
    data = unit(spline(truth)) + 0.3
    flat = np.ones((1, 25)), np.array([1 / 0.5**2])
    _, knows = fit(spline, data, truth, background=flat)
    _, ignores = fit(spline, data, truth)
    assert np.abs(knows - truth)[:, :2].max() < 1e-4
    assert np.sqrt(((ignores - truth)[:, :2] ** 2).mean()) > 20 * np.sqrt(
        ((knows - truth)[:, :2] ** 2).mean()
    )


def test_border_is_flagged(spline):
    """A pattern beyond the library ends at the border and says so."""
    beyond = np.array([[spline.high[0] + 2 * spline.step[0], 0.0, 72.0]])
    start = np.array([[spline.high[0], 0.0, 72.0]])
    result, _ = fit(spline, unit(spline(beyond)), start, shift=0.0, slack=0.5)
    assert result.at_border.all()
    assert np.all(result.units[:, 0] <= spline.size[0] - 1 + 0.5)


def test_starts_far_outside_are_pulled_in(spline, truth):
    result, found = fit(spline, unit(spline(truth[:5])), truth[:5] + [5.0, -5.0, 500.0])
    assert np.all(result.units >= -0.5) and np.all(result.units <= spline.size - 0.5)


def test_no_steps_judge_the_start(spline, truth):
    """max_steps=0 leaves the start where it is and gives its χ²."""
    data = unit(spline(truth[:20]))
    result, found = fit(spline, data, truth[:20], shift=0.0, steps=0)
    np.testing.assert_allclose(found, truth[:20], atol=1e-9)
    wrong, _ = fit(spline, data, truth[:20], shift=1.0, steps=0)
    assert np.all(wrong.chi_square > 100 * np.maximum(result.chi_square, 1e-3))


def test_patterns_do_not_see_each_other(spline, truth):
    data = unit(spline(truth[:30]))
    together, _ = fit(spline, data, truth[:30])
    alone = [fit(spline, data[i : i + 1], truth[i : i + 1])[0].units[0] for i in range(30)]
    np.testing.assert_array_equal(together.units, alone)


def test_noise_variance():
    """Poisson, white and model error add in quadrature; negative counts carry no Poisson noise."""
    assert noise_variance(2.0, 0.01, 0.1, 0.05) == pytest.approx(0.02 + 0.01 + 0.01)
    assert noise_variance(-1.0, 0.01, 0.1, 0.05) == pytest.approx(0.01)
