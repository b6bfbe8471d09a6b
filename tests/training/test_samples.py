"""What lies between simulation and measurement, one effect at a time."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import NoiseModel
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.training.samples import (
    Sampler,
    background_templates,
    degrade,
    neighbour_average,
    normalise,
)

POSITIONS = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)], dtype=float)
CLEAN = np.random.default_rng(0).uniform(0.2, 3, 25)
CLEAN /= CLEAN.mean()
NONE = {"dose": None}


def measured(n=20000, seed=1, **noise):
    clean = np.tile(7.0 * CLEAN, (n, 1))  # in any scale
    return degrade(
        clean,
        NoiseModel(**(NONE | noise)),
        background_templates(POSITIONS),
        neighbour_average(POSITIONS),
        np.random.default_rng(seed),
    )


def test_no_noise_is_the_mean_disk_at_one():
    np.testing.assert_allclose(measured(3), np.tile(CLEAN, (3, 1)), rtol=1e-6)


def test_poisson():
    """Mean and variance of a disk are its share of the electrons."""
    dose = 1e5
    x = measured(dose=dose)
    per_unit = dose / 25
    np.testing.assert_allclose(x.mean(axis=0), CLEAN, rtol=2e-3)
    np.testing.assert_allclose(x.var(axis=0) * per_unit, CLEAN, rtol=0.05)
    counts = x.astype(float) * per_unit
    assert np.abs(counts - np.round(counts)).max() < 0.01, "whole electrons"


def test_white_noise_is_a_fraction_of_the_mean_disk():
    x = measured(white=0.03)
    np.testing.assert_allclose(x.std(axis=0), 0.03, rtol=0.03)
    correlation = np.corrcoef(x.T) - np.eye(25)
    assert np.abs(correlation).max() < 0.04


def test_ranges_are_drawn_log_uniformly():
    x = measured(n=40000, white=(1e-3, 1e-1)) - CLEAN
    level = np.log10(np.sqrt((x**2).mean(axis=1)))
    inside = (level > -2.5) & (level < -1.5)
    assert inside.mean() == pytest.approx(0.5, abs=0.02)


def test_background_is_a_fraction_of_the_counts():
    x = measured(background=0.4)
    np.testing.assert_allclose(x.mean(axis=1), 1.4, rtol=1e-5)
    extra = x - CLEAN
    assert extra.min() > 0
    near = np.hypot(*POSITIONS.T).argmin()
    assert extra.mean(axis=0).argmax() == near, "a tail around the direct beam"
    assert np.linalg.matrix_rank(extra[:200], tol=1e-3) == 2


def test_point_spread_keeps_most_counts_and_reaches_neighbours():
    x = measured(psf=0.1)[0]
    i = 12  # the centre
    neighbours = [7, 11, 13, 17]
    assert x[i] == pytest.approx(0.9 * CLEAN[i] + 0.1 * CLEAN[neighbours].mean(), rel=1e-5)


def test_model_error_is_relative_and_unbiased():
    x = measured(model_error=0.05) / CLEAN
    np.testing.assert_allclose(x.mean(axis=0), 1, atol=2e-3)
    np.testing.assert_allclose(x.std(axis=0), 0.05, rtol=0.04)


def test_dead_disks():
    x = measured(dead_disks=0.1)
    assert np.isnan(x).mean() == pytest.approx(0.1, abs=3e-3)


def test_templates():
    templates = background_templates(POSITIONS)
    np.testing.assert_allclose(templates.mean(axis=1), 1)
    np.testing.assert_array_equal(templates[0], 1)
    assert templates[1].argmax() == 12
    np.testing.assert_allclose(background_templates(3 * POSITIONS), templates)


def test_neighbours():
    matrix = neighbour_average(POSITIONS)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert (matrix[12] > 0).sum() == 4 and (matrix[0] > 0).sum() == 2
    np.testing.assert_array_equal(neighbour_average(POSITIONS[:1]), [[1]])


def test_normalise():
    """Any scale, NaN disks aside; patterns without light become NaN."""
    data = np.array(
        [[1.0, 2, 3], [10, 20, 30], [1, np.nan, 3], [0, 0, 0], [-1, -2, 1], [np.nan] * 3,
         [1, np.inf, 1]]
    )  # fmt: skip
    got = normalise(data)
    np.testing.assert_allclose(got[0], [0.5, 1, 1.5])
    np.testing.assert_allclose(got[1], got[0])
    np.testing.assert_allclose(got[2], [0.5, np.nan, 1.5])
    assert np.isnan(got[3:6]).all()
    np.testing.assert_allclose(got[6], [1, np.nan, 1])


class TestSampler:
    @pytest.fixture(scope="class")
    def spline(self, library):
        return LibrarySpline.fit(
            library.intensities, library.tilt_x, library.tilt_y, library.thickness
        )

    def test_covers_the_library(self, spline, library):
        sampler = Sampler([spline], NoiseModel(dose=None), library.vectors)
        parameters, intensities = sampler.draw(5000, np.random.default_rng(0))
        np.testing.assert_allclose(parameters.min(axis=0), spline.low, atol=0.02)
        np.testing.assert_allclose(parameters.max(axis=0), spline.high, atol=0.02)
        np.testing.assert_allclose(intensities.mean(axis=1), 1, rtol=1e-5)
        clean = spline(parameters)
        np.testing.assert_allclose(
            intensities, clean / clean.mean(axis=1, keepdims=True), atol=1e-4
        )

    def test_seed(self, spline, library):
        sampler = Sampler([spline], NoiseModel(), library.vectors)
        one, two, other = (sampler.draw(50, np.random.default_rng(s))[1] for s in (5, 5, 6))
        np.testing.assert_array_equal(one, two)
        assert not np.allclose(one, other)

    def test_ensemble_draws_from_every_member(self, spline, library):
        """Two libraries, one with its disks reversed: each explains about half of the samples."""
        from dataclasses import replace

        reversed_disks = replace(
            spline, coefficients=np.ascontiguousarray(spline.coefficients[..., ::-1])
        )
        sampler = Sampler([spline, reversed_disks], NoiseModel(dose=None), library.vectors)
        parameters, x = sampler.draw(400, np.random.default_rng(0))
        clean = spline(parameters)
        clean = clean / clean.mean(axis=1, keepdims=True)
        first = np.abs(x - clean).max(axis=1) < 1e-3
        second = np.abs(x - clean[:, ::-1]).max(axis=1) < 1e-3
        assert np.all(first ^ second) and 140 < first.sum() < 260
