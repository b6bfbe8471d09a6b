"""The notebooks run as a user would run them, and their numbers are what their text says."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ORIENTATION = """
import json
json.dump(
    {
        "rms_error": rms_error.tolist(),
        "rms_thickness": float(rms_thickness),
        "within_one_sigma": float(within_one_sigma),
        "same": bool(same),
        "message": message,
        "misfit": [float(median_misfit), float(wrong_misfit)],
        "rotations": xmap.rotations.size,
        "xmap_properties": sorted(xmap.prop),
    },
    open("report.json", "w"),
)
"""
STRAIN = """
import json
json.dump(
    {
        "rms_error": rms_error.tolist(),
        "within_one_sigma": float(within_one_sigma),
        "shift": [float(np.nanmean(shift)), float(np.nanstd(shift))],
        "crystal": [int(np.sum(sure ^ truth.crystal)), int(np.sum(~truth.crystal))],
        "pockets": [float(upwards), float(sideways)],
        "true_pockets": [float(np.mean(k[truth.alloy])) for k in (known[1], known[0])],
        "disks": [len(disks), len(inner.data[5, 6])],
        "same": bool(same),
        "kind": type(again).__name__,
    },
    open("report.json", "w"),
)
"""

POLYCRYSTAL = """
import json
json.dump(
    {
        "rms": rms,
        "precise": float(precise[pure].mean()),
        "median_sigma": median_sigma.tolist(),
        "same": same,
        "reloaded": sorted(reloaded.prop),
        "subgrains": [len(np.unique(truth.subgrain_id)),
                      len(set(xmap.prop["subgrain_id"].tolist()) - {-1})],
    },
    open("report.json", "w"),
)
"""


def read(name):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    return nbformat.read(NOTEBOOKS / name, as_version=4)


@pytest.fixture(scope="module")
def orientation(execute_notebook):
    return execute_notebook("orientation.ipynb", ORIENTATION)


@pytest.fixture(scope="module")
def strain(execute_notebook):
    return execute_notebook("strain.ipynb", STRAIN)


@pytest.fixture(scope="module")
def polycrystal(execute_notebook):
    return execute_notebook("polycrystal.ipynb", POLYCRYSTAL)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_is_kept_without_output(path):
    code = [cell for cell in read(path.name).cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


# ---- orientation.ipynb --------------------------------------------------------------------------


def test_tilts_are_found_to_a_millidegree(orientation):
    # Poisson noise of 10^6 electrons allows 0.2 to 0.3 m° with these 31 disks.
    assert max(orientation["rms_error"]) < 1e-3
    assert orientation["rms_thickness"] < 0.2


def test_sigma_holds(orientation):
    # 512 values: 68 % ± 2 % if independent
    assert 0.58 < orientation["within_one_sigma"] < 0.78


def test_results_leave_the_notebook(orientation):
    assert orientation["same"]
    assert orientation["rotations"] == 16 * 16
    assert {"thickness", "sigma_tilt_x", "misfit"} <= set(orientation["xmap_properties"])


def test_wrong_voltage_is_named_and_seen(orientation):
    assert "200" in orientation["message"] and "300" in orientation["message"]
    right, wrong = orientation["misfit"]
    assert right < 1 < wrong


# ---- strain.ipynb -------------------------------------------------------------------------------


def test_strain_is_found_to_three_hundredths_of_a_percent(strain):
    # 10^5 electrons a disk
    assert max(strain["rms_error"][:3]) < 3e-4


def test_sigma_of_strain_holds(strain):
    # 1432 values, 68 % ± 2 % with the correlation of the four components of a point
    assert 0.58 < strain["within_one_sigma"] < 0.78


def test_reference_shifts_all_values_alike(strain):
    mean, spread = strain["shift"]
    assert spread < 0.02 * abs(mean)


def test_growth_strain_of_the_pockets(strain):
    assert strain["pockets"] == pytest.approx(strain["true_pockets"], abs=1e-4)
    assert strain["pockets"][0] > 0.01


def test_strain_is_sure_where_there_is_a_crystal(strain):
    different, oxide = strain["crystal"]
    assert different == 0
    assert oxide > 20


def test_positions_and_strain_leave_the_notebook(strain):
    assert strain["same"] and strain["kind"] == "MLStrainMap"
    found, inner = strain["disks"]
    assert found >= 30
    assert inner == 6  # four {111} and two {200}


# ---- polycrystal.ipynb --------------------------------------------------------------------------


@pytest.mark.slow
def test_orientations_are_found(polycrystal):
    """The angle about the beam is the least certain part: 0.02 to 0.05° at 10^5 electrons."""
    assert polycrystal["rms"] < 0.1
    assert polycrystal["precise"] > 0.95
    tilt_x, tilt_y, in_plane = polycrystal["median_sigma"]
    assert max(tilt_x, tilt_y) < 0.01 < in_plane < 0.1


@pytest.mark.slow
def test_subgrains_are_found(polycrystal):
    true, found = polycrystal["subgrains"]
    assert found >= true


@pytest.mark.slow
def test_crystal_map_leaves_the_notebook(polycrystal):
    assert polycrystal["same"]
    assert {"sigma_in_plane", "misfit", "precise", "grain_id"} <= set(polycrystal["reloaded"])
