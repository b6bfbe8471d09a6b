"""The py4DSTEM notebook runs as a user would run it, and its numbers are what its text says."""

from __future__ import annotations

import pytest

REPORT = """
import json
json.dump(
    {
        "lazy": [bool(same), bool(lazy._lazy)],
        "rms": {name: values.tolist() for name, values in rms.items()},
        "exact": bool(exact),
        "oxide": [int(np.isnan(m.data[0]).sum()) for m in (theirs, ours)],
        "no_crystal": int(np.sum(~truth.crystal)),
        "off": [float(np.median(off)), float(off.max()), len(off)],
        "matrices": bool(agree),
    },
    open("report.json", "w"),
)
"""


@pytest.fixture(scope="module")
def report(execute_notebook):
    pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")
    return execute_notebook("py4dstem.ipynb", REPORT)


def test_scan_goes_through_a_file(report):
    assert report["lazy"] == [True, True]


def test_strain_by_either_package(report):
    """10⁵ electrons a disk: 0.03 % here; weighted by intensity it is half as much again."""
    theirs, ours = report["rms"]["py4DSTEM"][:3], report["rms"]["here"][:3]
    assert max(ours) < 3e-4
    assert max(theirs) < 6e-4
    assert report["exact"]
    assert report["oxide"] == [report["no_crystal"]] * 2


def test_orientation_by_py4dstem(report):
    median, most, n = report["off"]
    assert median < 4 and most < 6
    assert n == 12 * 16 - report["no_crystal"]
    assert report["matrices"]
