"""The coarse search finds the neighbourhood of the truth anywhere in the library."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.models.search import CoarseSearch
from pyxem_mlmaps.simulation.spline import LibrarySpline

NOISE = np.array([0.0, 0.02, 0.0])


@pytest.fixture(scope="module")
def spline(library):
    values = library.intensities / library.intensities.mean()
    return LibrarySpline.fit(values, library.tilt_x, library.tilt_y, library.thickness)


@pytest.fixture(scope="module")
def data(spline):
    truth = np.random.default_rng(0).uniform(spline.low, spline.high, (200, 3))
    clean = spline(truth)
    return (truth - spline.start) / spline.step, clean / clean.mean(axis=1, keepdims=True)


def test_best_start_is_near_the_truth(spline, data):
    units, patterns = data
    starts = list(CoarseSearch.of(spline, NOISE).starts(patterns))
    assert len(starts) == 3
    nearest = np.min([np.abs(s - units)[:, :2].max(axis=1) for s in starts], axis=0)
    assert np.mean(nearest <= 1.5) > 0.95


def test_starts_lie_apart_and_inside(spline, data):
    starts = list(CoarseSearch.of(spline, NOISE).starts(data[1]))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.all(np.abs(starts[first] - starts[second]).max(axis=1) > 2)
    for start in starts:
        assert np.all(start >= 0) and np.all(start <= spline.size - 1)


def test_grid_points_find_themselves(spline):
    units = np.array([[3.0, 5.0, 2.0], [20.0, 0.0, 6.0], [0.0, 20.0, 0.0]])
    patterns = spline(units * spline.step + spline.start)
    patterns = patterns / patterns.mean(axis=1, keepdims=True)
    best = next(CoarseSearch.of(spline, NOISE).starts(patterns))
    np.testing.assert_array_equal(best, units)


def test_missing_disks_do_not_count(spline, data):
    units, patterns = data
    holed = patterns.copy()
    holed[:, ::6] = np.nan
    best = next(CoarseSearch.of(spline, NOISE).starts(holed))
    whole = next(CoarseSearch.of(spline, NOISE).starts(patterns))
    assert np.mean(np.abs(best - whole).max(axis=1) <= 1) > 0.8
