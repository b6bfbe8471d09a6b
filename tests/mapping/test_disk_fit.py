"""The lattice that predicts disks: exact where disks agree, sober where there are few."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.disk_fit import predict_displacements

RADIUS = 7.0


@pytest.fixture
def points(disk_lattice):
    return disk_lattice.indices @ disk_lattice.basis


def fit(points, moved, usable=None, sigma=0.05):
    usable = np.ones(moved.shape[:2], dtype=bool) if usable is None else usable
    predicted, spread, _ = predict_displacements(
        points, moved, np.full(moved.shape, sigma), usable, RADIUS, max_strain=0.05
    )
    return predicted, spread


def test_shift_and_strain_of_every_pattern(points):
    """Each pattern its own shift and deformation, recovered to what the prior costs: 0.01 px."""
    rng = np.random.default_rng(0)
    gradient = rng.uniform(-0.04, 0.04, (20, 2, 2))
    moved = rng.uniform(-5, 5, (20, 1, 2)) + points @ gradient
    predicted, spread = fit(points, moved)
    assert np.abs(predicted - moved).max() < 0.01
    assert np.all(spread < 0.25)


def test_wrong_disks_do_not_count(points):
    """A fifth of the disks on a neighbour's flank, half a radius off, all to one side."""
    moved = np.array([1.0, -2.0]) + points @ np.array([[0.02, 0.01], [-0.01, 0.03]])
    spoilt = moved.copy()
    spoilt[5:12] += [3.5, 0.0]
    predicted, _ = fit(points, spoilt[None])
    assert np.abs(predicted[0] - moved).max() < 0.1


def test_unusable_values_are_not_read(points):
    moved = np.ones((2, len(points), 2))
    usable = np.ones(moved.shape[:2], dtype=bool)
    usable[:, ::3] = False
    spoilt = moved.copy()
    spoilt[:, ::3] = np.nan
    np.testing.assert_array_equal(fit(points, spoilt, usable)[0], fit(points, moved, usable)[0])
    assert np.isfinite(fit(points, spoilt, usable)[0]).all()


def test_no_disk_moves_nothing(points):
    moved = np.full((1, len(points), 2), np.nan)
    predicted, spread = fit(points, moved, np.zeros(moved.shape[:2], dtype=bool))
    np.testing.assert_array_equal(predicted, 0)
    # the prior alone: a radius of shift, 5 % of the distance
    wanted = np.sqrt(RADIUS**2 + 0.05**2 * np.sum(points**2, axis=1))
    np.testing.assert_allclose(spread[0], wanted)


def test_one_disk_gives_a_shift(points):
    """The direct beam alone moves all disks alike; how sure that is falls with distance."""
    moved = np.tile([3.0, -1.0], (1, len(points), 1))
    usable = np.zeros(moved.shape[:2], dtype=bool)
    usable[0, 0] = True
    assert np.all(points[0] == 0)
    predicted, spread = fit(points, moved, usable)
    np.testing.assert_allclose(predicted, moved, atol=0.02)
    order = np.argsort(np.hypot(*points.T))
    assert np.all(np.diff(spread[0, order]) > -1e-9) and spread[0].max() > 3


def test_sigma_weighs(points):
    """Precise disks outvote uncertain ones, which lie on both sides."""
    uncertain = np.arange(len(points)) % 4 > 1  # the list holds each disk and its opposite
    moved = np.zeros((1, len(points), 2))
    moved[0, uncertain] = 0.5
    sigma = np.full(moved.shape, 0.01)
    sigma[0, uncertain] = 5.0
    predicted, _, _ = predict_displacements(
        points, moved, sigma, np.ones(moved.shape[:2], dtype=bool), RADIUS, 0.05
    )
    assert np.abs(predicted).max() < 0.02


def test_spread_is_the_standard_error(points):
    """Scatter of the prediction under noise as large as stated, σ plus the floor."""
    rng = np.random.default_rng(1)
    sigma = 0.2
    total = np.hypot(sigma, 0.05 * RADIUS)
    moved = rng.normal(scale=total, size=(4000, len(points), 2))
    predicted, spread = fit(points, moved, sigma=sigma)
    np.testing.assert_allclose(predicted[..., 0].std(axis=0), spread[0], rtol=0.15)
