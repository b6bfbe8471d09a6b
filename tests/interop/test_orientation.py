"""Orientations to py4DSTEM and back; patterns of known orientation through its ACOM."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import CrystalMap, Phase
from orix.quaternion import Orientation, Rotation

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import Beam, interop
from pyxem_mlmaps.conventions import rotation_to_detector_matrix, zone_axis_rotation

pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")

A = 4.08
SCAN = (2, 3)


@pytest.fixture(scope="module")
def gold():
    atoms = [Atom("Au", p) for p in ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])]
    return Phase("Au", space_group=225, structure=Structure(atoms, Lattice(A, A, A, 90, 90, 90)))


@pytest.fixture(scope="module")
def rotations():
    """Six general orientations, the same every time."""
    angles = np.random.default_rng(3).uniform(0, [360, 90, 360], (6, 3))
    return Rotation.from_euler(np.radians(angles))


@pytest.fixture(scope="module")
def crystal():
    """py4DSTEM's, with a coarse orientation plan."""
    from py4DSTEM.process.diffraction import Crystal

    positions = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    crystal = Crystal(positions, 79, A)
    crystal.calculate_structure_factors(1.4)
    crystal.orientation_plan(
        zone_axis_range=np.array([[0, 1, 1], [1, 1, 1]]),
        angle_step_zone_axis=2.0,
        angle_step_in_plane=2.0,
        accel_voltage=200e3,
        progress_bar=False,
    )
    return crystal


@pytest.fixture(scope="module")
def vectors(rotations):
    """Kinematic spots where the curved Ewald sphere puts them, our geometry and none of theirs."""
    from pyxem.signals import DiffractionVectors

    hkl = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    hkl = hkl[np.all(hkl % 2 == hkl[:, :1] % 2, axis=1)]
    hkl = hkl[np.linalg.norm(hkl, axis=1) / A < 1.4]
    k0 = Beam(200, 0).wavenumber
    scan = np.empty(SCAN, dtype=object)
    for point, matrix in zip(np.ndindex(SCAN), rotation_to_detector_matrix(rotations), strict=True):
        g = hkl / A @ matrix.T
        excitation = k0 - np.linalg.norm(g + [0, 0, k0], axis=1)
        near = np.abs(excitation) < 0.04
        intensity = np.exp(-((excitation / 0.02) ** 2) / 2 - np.sum(g**2, axis=1))
        scan[point] = np.column_stack([g[near, 1], g[near, 0], 1e4 * intensity[near]])
    return DiffractionVectors(
        scan,
        axes=[
            {"name": n, "size": size, "scale": 3.0, "units": "nm", "navigate": True}
            for n, size in zip("yx", SCAN, strict=True)
        ],
        ragged=True,
        scales=[0.02, 0.02, 1.0],
        offsets=[-2.0, -2.2, 0.0],
        detector_shape=(200, 220),
        column_names=["ky", "kx", "intensity"],
        units=["$A^{-1}$", "$A^{-1}$", "counts"],
    )


def disorientation(found, truth, phase):
    """Degrees, smallest over the symmetry of the Laue group: what kinematic spots can tell."""
    symmetry = phase.point_group.laue
    one, other = (Orientation(r, symmetry=symmetry) for r in (found, truth))
    return np.degrees(one.angle_with(other))


@pytest.mark.parametrize("qr_rotation", [0.0, 40.0])
def test_acom_finds_the_orientation_that_made_the_pattern(
    crystal, gold, vectors, rotations, qr_rotation
):
    """Within two steps of the plan of 2°; a wrong axis or sign is tens of degrees off."""
    braggvectors = interop.to_braggvectors(vectors)
    if qr_rotation:
        braggvectors.calibration.set_QR_rotation_degrees(qr_rotation)
        braggvectors.setcal()
    matched = crystal.match_orientations(braggvectors, progress_bar=False)
    xmap = interop.from_orientation_map(matched, gold, braggvectors)
    assert xmap.shape == SCAN and xmap.scan_unit == "nm" and xmap.dx == pytest.approx(3.0)
    assert disorientation(xmap.rotations, rotations, gold).max() < 4.0
    assert (xmap.prop["corr"] > 0).all()
    # and what comes out would be found again: their matrices of our truth
    ours = interop.to_orientation_map(
        CrystalMap(rotations, x=xmap.x, y=xmap.y), braggvectors
    ).matrix[..., 0, :, :]
    peaks = crystal.generate_diffraction_pattern(orientation_matrix=ours[1, 1], k_max=1.4).data
    seen = braggvectors.cal[1, 1]
    for qx, qy, weight in zip(peaks["qx"], peaks["qy"], peaks["intensity"], strict=True):
        if weight > 0.2 * peaks["intensity"].max():
            assert np.hypot(seen.qx - qx, seen.qy - qy).min() < 1e-9


def test_there_and_back(rotations, gold):
    y, x = (3.0 * v.ravel() for v in np.indices(SCAN))
    phase_id = np.array([0, 0, -1, 0, 0, 0])
    xmap = CrystalMap(rotations, phase_id=phase_id, x=x, y=y, prop={"score": np.arange(6) / 5})
    matched = interop.to_orientation_map(xmap, correlation="score")
    assert (matched.num_x, matched.num_y) == SCAN
    np.testing.assert_allclose(matched.corr.ravel(), [0, 0.2, 0, 0.6, 0.8, 1.0])
    again = interop.from_orientation_map(interop.to_orientation_map(xmap), gold)
    assert again.is_indexed.tolist() == (phase_id == 0).tolist()
    keep = phase_id == 0
    assert (again.rotations[keep] * ~rotations[keep]).angle.max() < 1e-7


def test_several_matches(crystal, gold, vectors):
    braggvectors = interop.to_braggvectors(vectors)
    matched = crystal.match_orientations(braggvectors, num_matches_return=2, progress_bar=False)
    xmap = interop.from_orientation_map(matched, gold, braggvectors)
    assert xmap.rotations_per_point == 2
    again = interop.to_orientation_map(xmap, braggvectors)
    good = matched.corr[..., 0] > 0
    np.testing.assert_allclose(again.matrix[good][:, 0], matched.matrix[good][:, 0], atol=1e-7)


def test_euler_angles_are_py4dstems(crystal, gold, vectors):
    braggvectors = interop.to_braggvectors(vectors)
    matched = crystal.match_orientations(braggvectors, inversion_symmetry=False, progress_bar=False)
    again = interop.to_orientation_map(interop.from_orientation_map(matched, gold))
    difference = again.angles - matched.angles
    np.testing.assert_allclose(np.cos(difference), 1, atol=1e-6)


def test_map_of_tilts(gold):
    """An MLOrientationMap converts as its crystal map does."""
    omap = mlmaps.MLOrientationMap(np.zeros((2, 3, 7)))
    base = zone_axis_rotation(gold, (1, 1, 0))
    xmap = omap.to_crystal_map(phase=gold, rotation=base)
    matrix = interop.to_orientation_map(xmap).matrix[0, 0, 0]
    # zone axis towards the source; (001) along +kx, py4DSTEM's +y
    np.testing.assert_allclose(matrix[:, 2], np.array([1, 1, 0]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(matrix[:, 1], [0, 0, 1], atol=1e-12)
    with pytest.raises(ValueError, match="does not know its phase"):
        interop.to_orientation_map(omap)


def test_what_cannot_be_converted(rotations, gold, vectors):
    y, x = (v.ravel() for v in np.indices(SCAN))
    xmap = CrystalMap(rotations, x=x, y=y)
    with pytest.raises(TypeError, match="Rotation"):
        interop.to_orientation_map(rotations)
    with pytest.raises(ValueError, match="full rectangle"):
        interop.to_orientation_map(xmap[xmap.x + xmap.y > 0])
    with pytest.raises(ValueError, match="correlation='score'"):
        interop.to_orientation_map(xmap, correlation="score")
    with pytest.raises(TypeError, match="CrystalMap"):
        interop.from_orientation_map(xmap, gold)
    braggvectors = interop.to_braggvectors(vectors)
    matched = interop.to_orientation_map(xmap)
    braggvectors.calibration.set_QR_rotation_degrees(10.0)
    braggvectors.calibration.set_QR_flip(True)
    braggvectors.setcal()
    with pytest.raises(ValueError, match="mirror"):
        interop.from_orientation_map(matched, gold, braggvectors)
    with pytest.raises(ValueError, match="do not belong"):
        interop.to_orientation_map(xmap, interop.to_braggvectors(vectors.inav[:2, :]))
