"""The notebook on a crystal of one's own runs as a user would run it, and says what happens."""

from __future__ import annotations

import numpy as np
import pytest

REPORT = """
import json
json.dump(
    {
        "first": [first.overlaps, first.max_convergence_angle, first.advice[0]],
        "works": [plan.tilt_works, plan.strain_works],
        "sigma": library.parameters["debye_waller"],
        "rms": rms.tolist(),
        "planned": planned.tolist(),
        "misfit": [float(m) for m in (misfit, thick_misfit, warm_misfit)],
        "lowest_thick_misfit": float(thick_map.misfit.data.min()),
        "thick": thick_rms.tolist() + [float(thick_sigma)],
        "warm": warm_rms.tolist() + [float(warm_sigma)],
        "offset": float(offset),
        "same": same,
    },
    open("report.json", "w"),
)
"""


@pytest.fixture(scope="module")
def report(execute_notebook):
    return execute_notebook("own_crystal.ipynb", REPORT)


def test_plan_finds_the_overlap(report):
    """The shortest reflection of [110] is (001): λ/2a."""
    overlaps, angle, advice = report["first"]
    assert overlaps
    assert angle == pytest.approx(1e3 * 0.0250793 / 2 / 3.905, rel=1e-3)
    assert f"below {angle:.2f} mrad" in advice
    assert report["works"] == [True, True]


def test_displacements_are_those_of_the_file(report):
    for element, u_iso in (("Sr", 0.0079), ("Ti", 0.0056), ("O", 0.0092)):
        assert report["sigma"][element] ** 2 == pytest.approx(u_iso)


def test_map_is_within_a_third_of_the_plan(report):
    ratio = np.array(report["rms"]) / report["planned"]
    assert np.all((ratio > 0.8) & (ratio < 1.35)), ratio
    assert report["misfit"][0] < 1


def test_wrong_thickness_shows_in_the_misfit_not_in_sigma(report):
    """Far above 1 at every point; tilts wrong by a hundred times, several times what σ says."""
    *rms, sigma = report["thick"]
    assert report["lowest_thick_misfit"] > 5
    assert np.all(np.array(rms[:2]) > 60 * np.array(report["rms"][:2]))
    assert sigma < rms[0] / 3


def test_wrong_displacements_cost_several_times_the_noise(report):
    *rms, sigma = report["warm"]
    ratio = np.array(rms[:2]) / report["rms"][:2]
    assert np.all((ratio > 3) & (ratio < 12)), ratio
    assert max(rms[:2]) < 5e-3
    assert sigma < rms[0] / 2
    assert 0.5 < report["offset"] < 1.5
    assert 1 < report["misfit"][2] < report["misfit"][1] / 3


def test_model_leaves_the_notebook(report):
    assert report["same"]
