"""The notebook runs as a user would run it, and its numbers are what its text says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "orientation.ipynb"
REPORT = """
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


@pytest.fixture(scope="module")
def notebook():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def report(notebook, tmp_path_factory):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    folder = tmp_path_factory.mktemp("notebook")
    copy = nbformat.from_dict(notebook)
    copy.cells.append(nbformat.v4.new_code_cell(REPORT))
    client = nbclient.NotebookClient(
        copy, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return json.loads((folder / "report.json").read_text())


def test_is_kept_without_output(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_tilts_are_found_to_a_millidegree(report):
    # Poisson noise of 10^6 electrons allows 0.2 to 0.3 m° with these 31 disks.
    assert max(report["rms_error"]) < 1e-3
    assert report["rms_thickness"] < 0.2


def test_sigma_holds(report):
    assert 0.58 < report["within_one_sigma"] < 0.78  # 512 values: 68 % ± 2 % if independent


def test_results_leave_the_notebook(report):
    assert report["same"]
    assert report["rotations"] == 16 * 16
    assert {"thickness", "sigma_tilt_x", "misfit"} <= set(report["xmap_properties"])


def test_wrong_voltage_is_named_and_seen(report):
    assert "200" in report["message"] and "300" in report["message"]
    right, wrong = report["misfit"]
    assert right < 1 < wrong
