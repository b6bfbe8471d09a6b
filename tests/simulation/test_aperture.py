"""The mean over the condenser aperture, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.simulation.aperture import (
    aperture_kernel,
    aperture_margin,
    average_over_aperture,
    gaussian_blur,
)


def disc_points(radius, n=400):
    """Midpoints of equal areas of the unit disc, scaled."""
    r = radius * np.sqrt((np.arange(n) + 0.5) / n)
    phi = 2 * np.pi * (np.arange(n) + 0.5) / n
    return (r[:, None] * np.cos(phi)).ravel(), (r[:, None] * np.sin(phi)).ravel()


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5, 3.15, 7.4])
def test_kernel(radius):
    kernel = aperture_kernel(radius)
    m = aperture_margin(radius)
    assert kernel.shape == (2 * m + 1, 2 * m + 1)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel, kernel[::-1])
    np.testing.assert_allclose(kernel, kernel.T)
    n = np.arange(-m, m + 1)
    variance = radius**2 / 4 + 1 / 3  # of the disc, and of the cubic B-spline
    assert (kernel.sum(axis=1) * n**2).sum() == pytest.approx(variance, rel=2e-3)


@pytest.mark.parametrize("radius", [0.7, 3.15, 6.0])
def test_mean_of_a_smooth_map(radius):
    """A wave of period 12 steps, averaged over the disc: brute force to 1e-3 of its amplitude."""

    def intensity(x, y):
        return 2 + np.sin(2 * np.pi * x / 12 + 0.3) * np.cos(2 * np.pi * y / 15 - 0.8)

    x, y = np.arange(40.0), np.arange(36.0)
    maps = intensity(x[:, None], y[None])[:, :, None]
    got = average_over_aperture(maps, radius)[..., 0]
    m = aperture_margin(radius)
    assert got.shape == (40 - 2 * m, 36 - 2 * m)
    dx, dy = disc_points(radius)
    inner = slice(6, -6)  # away from the ends, where the spline's boundary condition decays
    for i, j in ((m + 6, m + 6), (18, 17), (33 - m, 29 - m)):
        expected = intensity(i + dx, j + dy).mean()
        assert got[i - m, j - m] == pytest.approx(expected, abs=1e-3)
    assert np.isfinite(got[inner]).all()


def test_constant_and_linear_maps_are_unchanged():
    x = np.arange(30.0)
    ramp = (x[:, None] * 0.5 + x[None] * 0.25 + 1)[..., None]
    got = average_over_aperture(ramp, 3.2)
    m = aperture_margin(3.2)
    inner = slice(8, -8)
    np.testing.assert_allclose(got[inner, inner], ramp[m:-m, m:-m][inner, inner], rtol=1e-4)
    flat = average_over_aperture(np.full((20, 20, 2, 3), 0.7), 3.2)
    np.testing.assert_allclose(flat, 0.7, rtol=1e-5)


def test_plane_wave_is_the_map_itself():
    maps = np.random.default_rng(0).random((7, 6, 2, 3)).astype(np.float32)
    assert aperture_margin(0) == 0
    np.testing.assert_array_equal(average_over_aperture(maps, 0), maps)


def test_mosaic_blur():
    """A Gaussian of σ steps: the mean stays, a wave is damped by exp(−2π²σ²/period²)."""
    x = np.arange(64.0)
    wave = np.cos(2 * np.pi * x / 16)[:, None, None] * np.ones((1, 64, 1)) + 2
    got = gaussian_blur(wave, 1.5)
    damped = 2 + np.exp(-2 * np.pi**2 * 1.5**2 / 16**2) * (wave - 2)
    np.testing.assert_allclose(got[12:-12], damped[12:-12], atol=2e-3)
    np.testing.assert_array_equal(gaussian_blur(wave, 0), wave.astype(np.float32))
