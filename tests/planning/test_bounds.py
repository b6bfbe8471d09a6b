"""Bounds against the fit that is to reach them, and against scatter."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.models.refine import fit_patterns
from pyxem_mlmaps.planning.bounds import strain_bound, tilt_bound
from pyxem_mlmaps.simulation.spline import LibrarySpline


@pytest.fixture(scope="module")
def spline(library):
    values = library.intensities / library.intensities.mean()
    return LibrarySpline.fit(values, library.tilt_x, library.tilt_y, library.thickness)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform([-0.15, -0.15, 67], [0.15, 0.15, 78], (40, 3))


def test_is_the_variance_of_the_refinement(spline, points):
    """The fit's own covariance under Poisson noise, at the true tilt and thickness."""
    counts = 1000.0  # of the mean disk
    values, gradient = (v.astype(float) for v in spline.with_gradient(points))
    mean = values.mean(axis=1, keepdims=True)
    result = fit_patterns(
        values / mean, (points - spline.start) / spline.step, spline.coefficients,
        np.zeros((0, 25)), np.zeros(0), np.array([1 / counts, 0.0, 0.0]), 0.5, 0,
    )  # fmt: skip
    bound = tilt_bound(counts * values / mean, counts * gradient / mean[:, None])
    np.testing.assert_allclose(np.sqrt(result.variance) * spline.step, bound, rtol=1e-3)


def test_tilt_falls_with_the_root_of_the_dose(spline, points):
    values, gradient = spline.with_gradient(points)
    one = tilt_bound(values, gradient, 0.1)
    np.testing.assert_allclose(tilt_bound(100 * values, 100 * gradient, 10.0), one / 10, rtol=1e-6)


def test_background_costs_precision(spline, points):
    values, gradient = spline.with_gradient(points)
    assert np.all(tilt_bound(values, gradient, 0.5) > tilt_bound(values, gradient))


@pytest.mark.parametrize("disks", [slice(3), slice(0, 0)])
def test_too_few_disks_tell_nothing(spline, points, disks):
    """Four unknowns, with the scale."""
    values, gradient = spline.with_gradient(points)
    assert np.isnan(tilt_bound(values[:, disks], gradient[..., disks])).all()


def test_strain_is_what_fits_scatter_by():
    """2000 lattices of scattered disks, each fitted with these weights."""
    rng = np.random.default_rng(1)
    positions = rng.uniform(-100, 100, (15, 2))
    sigma = rng.uniform(0.02, 0.3, 15)
    design = np.column_stack([np.ones(15), positions]) / sigma[:, None]
    noise = rng.standard_normal((2000, 15, 2))
    fitted = np.einsum("ad,nds->nas", np.linalg.pinv(design), noise)[:, 1:]
    yy, yx, xy, xx = fitted[:, 0, 0], fitted[:, 1, 0], fitted[:, 0, 1], fitted[:, 1, 1]
    found = [v.std() for v in (xx, yy, (xy + yx) / 2, (xy - yx) / 2)]
    np.testing.assert_allclose(strain_bound(positions, sigma), found, rtol=0.06)


@pytest.mark.parametrize(
    "positions", [[(0, 0), (10, 5)], [(0, 0), (10, 5), (20, 10), (-10, -5)], [(0, 0)]]
)
def test_a_row_of_disks_has_no_strain(positions):
    assert np.isnan(strain_bound(positions, np.full(len(positions), 0.1))).all()


def test_far_disks_tell_strain_best():
    cross = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    near, far = (strain_bound(r * cross, np.full(5, 0.1)) for r in (20, 80))
    np.testing.assert_allclose(near, 4 * far)
