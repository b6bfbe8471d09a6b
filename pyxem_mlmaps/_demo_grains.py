"""The third job of the demo: grains of a polycrystal whose orientations are known."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import hyperspy.api as hs
import numpy as np
from numpy.typing import NDArray

import pyxem_mlmaps as mlmaps

__all__ = ["GrainMaps", "judge_grains", "map_grains"]

BEAM = mlmaps.Beam(energy=300, convergence_angle=1.5)
THICKNESS = (40, 80)


class GrainMaps(NamedTuple):
    """The scan, its crystal map, and what it was made from, also as a crystal map."""

    signal: Any
    xmap: Any
    truth: mlmaps.data.PolycrystalTruth
    true_map: Any


def map_grains(shape: tuple[int, int], grains: int, folder: Path) -> GrainMaps:
    """Record UO2 grains of two sub-grains each, load the scan lazily and map orientations.

    Parameters
    ----------
    shape
        Scan points (y, x).
    grains
        How many.
    folder
        Where scan, libraries and map are left.
    """
    from orix import io

    scan = mlmaps.data.polycrystal(shape, beam=BEAM, grains=grains, subgrains=2, seed=4)
    scan.save(folder / "grains.zspy", overwrite=True)
    s = hs.load(folder / "grains.zspy", lazy=True)
    with warnings.catch_warnings():  # boundary points are expected not to be precise
        warnings.filterwarnings("ignore", message="of .* points")
        xmap = mlmaps.map_polycrystal(
            s, mlmaps.data.uo2(), BEAM, thickness=THICKNESS, cache=folder / "libraries"
        )
    io.save(str(folder / "grains.h5"), xmap, overwrite=True)
    truth = mlmaps.data.ground_truth(s)
    return GrainMaps(s, xmap, truth, truth.to_crystal_map(s))


def judge_grains(maps: GrainMaps) -> dict[str, float]:
    """What is printed at the end, by name; the unit is part of the name."""
    precise = maps.xmap.prop["precise"] == 1
    angle = misorientation(maps)[precise & (maps.truth.fraction.ravel() == 0)]
    labels = set(np.asarray(maps.xmap.prop["subgrain_id"]).tolist()) - {-1}
    return {
        "grains: precise points (%)": 100 * float(precise.mean()),
        "grains: median angle to the truth (m°)": 1e3 * float(np.median(angle)),
        "grains: sub-grains found": float(len(labels)),
        "grains: sub-grains in truth": float(len(np.unique(maps.truth.subgrain_id))),
    }


def misorientation(maps: GrainMaps) -> NDArray[np.float64]:
    """Degrees between found and true orientation of each point, under the crystal's symmetry."""
    from orix.quaternion import Orientation

    symmetry = maps.xmap.phases[0].point_group
    found = Orientation(maps.xmap.rotations.data, symmetry=symmetry)
    true = Orientation(maps.true_map.rotations.data, symmetry=symmetry)
    return np.degrees(found.angle_with(true)).ravel()
