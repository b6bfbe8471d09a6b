"""Coarse orientations: from templates, or from a map that the user has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.mapping.spot_patterns import find_spots
from pyxem_mlmaps.mapping.template_match import Camera, Candidates, match_spots, tilted_onto
from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.specs import Beam

__all__ = ["CoarseMap", "coarse_candidates", "read_coarse"]

Float = NDArray[np.floating]


class CoarseMap(NamedTuple):
    """Flat over the scan: ``phase`` (n,), -1 where not indexed, ``matrix`` (n, 3, 3)."""

    phase: NDArray[np.int64]
    matrix: Float


def read_coarse(coarse: Any, shape: tuple[int, int], crystals: Sequence[Crystal]) -> CoarseMap:
    """From an orix ``CrystalMap`` or a pyxem ``OrientationMap``.

    Raises
    ------
    TypeError, ValueError
        If it is neither, of another number of points, or has phases that are not there.
    """
    from orix.quaternion import Rotation

    if hasattr(coarse, "to_crystal_map"):
        coarse = coarse.to_crystal_map()
    if not hasattr(coarse, "rotations") or not hasattr(coarse, "phase_id"):
        raise TypeError(
            f"coarse is a {type(coarse).__name__}; an orix CrystalMap or a pyxem OrientationMap is "
            "needed."
        )
    n = shape[0] * shape[1]
    if coarse.size != n:
        raise ValueError(
            f"coarse has {coarse.size} points, the scan {shape[0]} x {shape[1]} = {n}. Give a map "
            "of this scan, with all its points."
        )
    rotations = np.asarray(coarse.rotations.data, dtype=float)
    quaternions = rotations.reshape(n, -1, 4)[:, 0]
    matrix = conventions.rotation_to_detector_matrix(Rotation(quaternions))
    ids = [i for i in coarse.phases.ids if i != -1]
    if len(ids) > len(crystals):
        raise ValueError(
            f"coarse has {len(ids)} phases, phases are {len(crystals)}: give all of them, in the "
            "order of the map."
        )
    number = {i: k for k, i in enumerate(ids)}
    phase = np.array([number.get(int(i), -1) for i in coarse.phase_id], dtype=np.int64)
    return CoarseMap(phase, matrix)


def coarse_candidates(
    sums: Float,
    known: CoarseMap | None,
    points: NDArray[np.int64],
    crystals: Sequence[Crystal],
    beam: Beam,
    camera: Camera,
    gain: float,
    step: float,
) -> list[Candidates]:
    """Candidates for summed patterns whose middle points are ``points`` (n,).

    Those of a map are taken as they are, and tilted to where the bright disks are excited.
    """
    shape = sums.shape[1:]
    spots = [find_spots(pattern, camera.radius, gain) for pattern in sums]
    if known is None:
        return match_spots(spots, shape, crystals, beam, camera, step)
    found = []
    for point, seen in zip(points, spots, strict=True):
        phase, matrix = known.phase[point], known.matrix[point]
        if phase < 0:
            found.append(Candidates(np.empty(0, np.int64), np.empty((0, 3, 3)), np.empty(0)))
        else:
            tilted = tilted_onto(matrix, seen, crystals[phase], beam, camera, shape)
            both = np.stack([tilted, matrix])
            found.append(Candidates(np.full(2, phase), both, np.ones(2)))
    return found
