"""σ is corrected until 68 % of the errors lie within it, whichever disks one looks at."""

import numpy as np
import pytest

from pyxem_mlmaps.models.disk_calibration import calibrated, check_calibration, fit_calibration


def disks(n, seed):
    """Disks whose network is too sure of large ones and of those with a large misfit."""
    rng = np.random.default_rng(seed)
    radius = np.exp(rng.uniform(np.log(4), np.log(60), n))
    edge = radius * np.exp(rng.uniform(-4, -1.5, n))
    misfit = np.exp(rng.normal(-1, 0.5, n))
    sigma = np.exp(rng.uniform(-4, 0, (n, 2)))
    true = sigma * (0.6 + 0.02 * radius[:, None]) * (1 + misfit[:, None])
    return true * rng.standard_t(6, (n, 2)), sigma, misfit, radius, edge


@pytest.fixture(scope="module")
def entry():
    return fit_calibration(*disks(30000, 0))


def test_two_thirds_within_sigma_everywhere(entry):
    error, *known = disks(30000, 1)
    sigma, _ = calibrated(entry, *known)
    within = np.abs(error) <= sigma
    assert within.mean() == pytest.approx(0.6827, abs=0.01)
    raw, misfit, radius, edge = known
    for values in (raw[:, 0], misfit, radius, edge / radius):
        for part in np.array_split(np.argsort(values), 5):
            assert within[part].mean() == pytest.approx(0.6827, abs=0.035)


def test_without_it_they_are_not():
    error, sigma, _, radius, _ = disks(30000, 1)
    within = np.abs(error) <= sigma
    assert within[radius < 8].mean() - within[radius > 40].mean() > 0.2


def test_few_exceed_the_misfit(entry):
    _, *known = disks(30000, 2)
    _, misfit = calibrated(entry, *known)
    assert np.mean(misfit > 1) == pytest.approx(0.005, abs=0.003)


def test_unknown_edges_and_single_disks():
    error, sigma, misfit, radius, edge = disks(5000, 3)
    entry = fit_calibration(error, sigma, misfit, radius, 0 * edge)
    check_calibration(entry)
    assert "edge" not in [table["by"] for table in entry["factors"]]
    sigma, misfit = calibrated(entry, sigma[:1], misfit[:1], radius[:1], np.zeros(1))
    assert np.all(np.isfinite(sigma)) and np.all(np.isfinite(misfit))
    assert fit_calibration(*(v[:0] for v in (error, sigma, misfit, radius, edge))) == {}


def test_a_network_that_knows_no_sigma():
    """As the published one: one σ, one radius, one misfit for all disks."""
    rng = np.random.default_rng(4)
    same = np.ones(4000)
    known = (np.full((4000, 2), 0.1), 1e-3 * same, 30 * same, 0 * same)
    entry = fit_calibration(rng.normal(0, 0.7, (4000, 2)), *known)
    check_calibration(entry)
    assert calibrated(entry, *known)[0][0] == pytest.approx([0.7, 0.7], rel=0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"factors": 3},
        {"factors": [{"by": "colour", "nodes": [0], "factor": [1]}]},
        {"factors": [{"by": "radius", "nodes": [0, 0], "factor": [1, 1]}]},
        {"factors": [{"by": "radius", "nodes": [0, 1], "factor": [1, -1]}]},
        {"misfit": {"nodes": [0, 1], "limit": [1]}},
        {"misfit": {"nodes": [0, np.nan], "limit": [1, 1]}},
        {"misfit": [1, 2]},
        {"more": 1},
    ],
)
def test_foreign_entries_are_refused(entry, change):
    check_calibration(entry)
    with pytest.raises(ValueError, match="calibration"):
        check_calibration(entry | change)
