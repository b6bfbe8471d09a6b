"""Rows of the disk tables: which methods, at which settings, and why some are left out.

Settings come from ``disk_tune.py``: a grid for each method, tried on windows and on patterns of
another seed at 10³ to 10⁵ electrons per disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import disk_opponents as finders
from disk_maps import SILICON, simulate
from disk_opponents import Method

import pyxem_mlmaps as mlmaps


@dataclass(frozen=True)
class Row:
    """A row of the tables: one method for windows, one for patterns (None: does not do it), and
    what its lattice fit weights disks with (see :mod:`disk_scores`)."""

    name: str
    on_windows: Method
    on_patterns: Method | None
    weighting: str


def opponents() -> tuple[list[Row], dict[str, str]]:
    """Those that are installed, with the settings found best, and why others are left out.

    Geometry A was tuned by the RMSE, failures included; B by the strain error.
    """
    rows = [
        Row(
            "circular Hough (scikit-image)",
            finders.CircularHough(canny=1.5, quantiles=(0.7, 0.8)),
            finders.CircularHough(canny=1.0, quantiles=(0.7, 0.8)),
            "square root of counts",
        ),
        Row(
            "phase correlation (scikit-image)",
            finders.PhaseCorrelation(edge=2.0),
            finders.PhaseCorrelation(edge=1.0),
            "counts",
        ),
        Row("pyxem template match + refine", finders.Pyxem(4, 1), finders.Pyxem(4, 1), "counts"),
    ]
    skipped = {}
    if find_spec("py4DSTEM") is None:
        skipped["py4DSTEM"] = "not installed (extra py4dstem)"
    else:
        rows += [
            Row(
                "py4DSTEM, corrPower 1",
                finders.Py4DSTEM(1.0, 1.0, None, 0.0),
                finders.Py4DSTEM(1.0, 1.0, None, 0.0),
                "square root of counts",
            ),
            Row(
                "py4DSTEM, corrPower 0.5",
                finders.Py4DSTEM(0.5, 4.0, None, 2.0),
                finders.Py4DSTEM(0.5, 1.0, None, 0.0),
                "counts",
            ),
            Row(
                "py4DSTEM in windows, corrPower 0.25",
                finders.Py4DSTEM(0.25, 4.0, None, 1.0, "poly"),
                finders.Py4DSTEMInWindows(0.25, 2.0, None, 0.0),
                "counts",
            ),
        ]
    if find_spec("libertem_blobfinder") is None:
        skipped["LiberTEM-blobfinder"] = "not installed (pip install libertem-blobfinder)"
    else:
        rows.append(
            Row(
                "LiberTEM-blobfinder",
                finders.Blobfinder(gain=0.01, grow=1.0),
                finders.Blobfinder(upsample=20, gain=0.01, grow=1.0),
                "counts",
            )
        )
    return rows, skipped


def package(path: str | None) -> tuple[list[Row], dict[str, str]]:
    """This package's model: the one that ships, or that of a file."""
    name = "**pyxem_mlmaps**"
    try:
        model = finders.Package(mlmaps.load_model(path or "disks"))
    except (FileNotFoundError, ValueError):
        return [], {name: f"no model {path or 'disks'!r} to load"}
    return [Row(name, model, model, "sigma")], {}


def published(path: str | None, train: bool) -> tuple[list[Row], dict[str, str]]:
    """The architecture of Yuan et al. (2021), of a file or trained now; windows only, since its
    input is one disk on 121 × 121 px.

    It is trained on the crystal, radius, edge and background of the tables, so that nothing but
    contrast, dose and position is new to it.
    """
    name = "published CNN, retrained"
    if path == "none":
        return [], {name: "left out as asked"}
    if path is not None:
        return [Row(name, finders.Package(mlmaps.load_model(path)), None, "equal")], {}
    if not train or not hasattr(mlmaps, "train_disk_model"):
        return [], {name: "not trained in a quick run; give --published FILE"}
    from pyxem_mlmaps.training.disk_conditions import DiskConditions

    conditions = DiskConditions(
        radius=(30, 30), edge=(0.9, 1.1), electrons=(1e3, 1e6), white=(0.01, 0.1),
        background=(0.015, 0.025), shift=0.57, radius_error=0, ellipticity=0, dead_pixels=0,
        blank=0,
    )  # fmt: skip
    model = mlmaps.train_disk_model(
        simulate(SILICON), conditions, architecture="yuan2021", seed=0, show_progressbar=False
    )
    return [Row(name, finders.Package(model), None, "equal")], {}
