"""Coarse orientations by templates, for dynamical patterns whose orientation is known."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.data import _subgrains
from pyxem_mlmaps.mapping.spot_patterns import Spots, find_spots
from pyxem_mlmaps.mapping.template_match import Camera, _polar, match_spots
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.orientation_nodes import proper_operations

BEAM = mlmaps.Beam(300, 1.5)
SEEDS = range(8)


def angle(one, other, operations):
    """Degrees between orientations (3, 3), the least of all equivalents."""
    turns = np.einsum("ij,njk,lk->nil", one, operations, other)
    cosine = (np.trace(turns, axis1=1, axis2=2).max() - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


@pytest.fixture(scope="module")
def sums():
    """Eight orientations of UO2, nine dynamical patterns of each: sums and true matrices."""
    patterns, matrices, camera = [], [], None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_subgrains, "G_MAX", 1.6)
        for seed in SEEDS:
            s = data.polycrystal(
                (3, 3), grains=1, subgrains=1, thickness=(50, 60), electrons=1e4, seed=seed
            )
            truth = data.ground_truth(s)
            patterns.append(np.asarray(s.data.sum(axis=(0, 1)), dtype=float))
            rotation = mlmaps_rotation(truth.rotations[1, 1])
            matrices.append(conventions.rotation_to_detector_matrix(rotation)[0])
            camera = Camera(truth.origin, truth.scale, truth.radius)
    return np.array(patterns), np.array(matrices), camera


def mlmaps_rotation(quaternion):
    from orix.quaternion import Rotation

    return Rotation(quaternion)


@pytest.fixture(scope="module")
def crystal():
    return as_crystal(data.uo2())


@pytest.fixture(scope="module")
def candidates(sums, crystal):
    patterns, _, camera = sums
    spots = [find_spots(p, camera.radius) for p in patterns]
    return match_spots(spots, patterns.shape[1:], [crystal], BEAM, camera, step=1.5)


class TestCandidates:
    def test_the_right_one_is_there(self, candidates, sums):
        """Within three degrees, and the best for half of them; templates are 1.5° apart."""
        operations = proper_operations(data.uo2())
        off = [
            np.array([angle(m, true, operations) for m in c.matrix])
            for c, true in zip(candidates, sums[1], strict=True)
        ]
        assert np.mean([a.min() < 3 for a in off]) >= 7 / 8
        assert np.mean([a[0] < 3 for a in off]) >= 0.5

    def test_ranked(self, candidates):
        for c in candidates:
            assert 1 <= len(c.score) <= 8
            assert len(c.score) == len(c.matrix) == len(c.phase)
            assert np.all(np.diff(c.score) <= 0)
            assert np.all((c.score > 0) & (c.score <= 1)) and not c.phase.any()

    def test_proper_rotations_apart_from_each_other(self, candidates):
        """Tilting them may bring two together; as templates they were four degrees apart."""
        for c in candidates:
            np.testing.assert_allclose(
                c.matrix @ np.swapaxes(c.matrix, 1, 2), np.tile(np.eye(3), (len(c.matrix), 1, 1)),
                atol=1e-6,
            )  # fmt: skip
            assert np.linalg.det(c.matrix).min() > 0
            apart = [
                angle(c.matrix[i], c.matrix[j], np.eye(3)[None])
                for i in range(len(c.matrix))
                for j in range(i)
            ]
            assert np.median(apart) > 3.9

    def test_brightness_does_not_matter(self, candidates, sums, crystal):
        patterns, _, camera = sums
        spots = [find_spots(100 * p, camera.radius, 100.0) for p in patterns[:2]]
        again = match_spots(spots, patterns.shape[1:], [crystal], BEAM, camera, step=1.5)
        for one, other in zip(again, candidates[:2], strict=True):
            np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-6)
            np.testing.assert_allclose(one.score, other.score, rtol=1e-6)

    def test_no_logs_of_the_libraries(self, sums, crystal, caplog):
        """HyperSpy's advice on pyxem's polar axes is nothing that a user could follow."""
        patterns, _, camera = sums
        spots = [find_spots(patterns[0], camera.radius)]
        match_spots(spots, patterns.shape[1:], [crystal], BEAM, camera, step=1.5)
        assert not [r for r in caplog.records if r.name.startswith("hyperspy")]

    def test_turned_pattern_turned_orientation(self, candidates, sums, crystal):
        """By a quarter about the beam: the same candidates, turned."""
        patterns, _, camera = sums
        found = find_spots(patterns[0], camera.radius)
        y, x = (found.positions - camera.origin).T
        spots = Spots(np.stack([x, -y], axis=1) + camera.origin, found.counts)
        (turned,) = match_spots([spots], patterns.shape[1:], [crystal], BEAM, camera, step=1.5)
        operations = proper_operations(data.uo2())
        expected = conventions.in_plane_matrix(90) @ candidates[0].matrix[0]
        assert min(angle(m, expected, operations) for m in turned.matrix) < 1.5


class TestNothingToMatch:
    def test_too_few_disks(self, candidates, sums, crystal):
        """The direct beam and two others tell nothing; the pattern beside it does not mind."""
        patterns, _, camera = sums
        places = np.array([camera.origin, (20.0, 30.0), (80.0, 90.0)])
        few = Spots(places, np.array([1000.0, 100, 10]))
        none = Spots(np.empty((0, 2)), np.empty(0))
        full = find_spots(patterns[0], camera.radius)
        found = match_spots(
            [few, full, none], patterns.shape[1:], [crystal], BEAM, camera, step=1.5
        )
        assert [len(c.score) for c in found] == [0, len(candidates[0].score), 0]
        assert found[0].matrix.shape == (0, 3, 3) and found[0].phase.shape == (0,)
        np.testing.assert_allclose(found[1].matrix, candidates[0].matrix, atol=1e-6)

    def test_no_patterns(self, sums, crystal):
        assert match_spots([], (128, 128), [crystal], BEAM, sums[2]) == []


class TestPhases:
    def test_the_right_phase_is_the_best(self, sums, crystal):
        """Zirconium explains disks of UO2 less than UO2 does, and the other way in its number."""
        patterns, _, camera = sums
        spots = [find_spots(p, camera.radius) for p in patterns[:4]]
        other = as_crystal(data.zirconium())
        found = match_spots(spots, patterns.shape[1:], [other, crystal], BEAM, camera, step=2.0)
        assert np.mean([c.phase[0] == 1 for c in found]) >= 0.75
        assert all(set(c.phase) <= {0, 1} for c in found)


def test_polar_patterns_are_those_of_pyxem(sums):
    """The kept averages against ``get_azimuthal_integral2d``, off centre."""
    import pyxem

    patterns, _, camera = sums
    images = patterns[:2, :120]
    camera = camera._replace(origin=(60.3, 62.8))
    polar = _polar(images, camera)
    signal = pyxem.signals.Diffraction2D(images[None])
    for axis, centre in zip(signal.axes_manager.signal_axes, camera.origin[::-1], strict=True):
        axis.scale, axis.offset, axis.units = camera.scale, -centre * camera.scale, "$A^{-1}$"
    expected = signal.get_azimuthal_integral2d(
        npt=64, npt_azim=360, mean=True, inplace=False, show_progressbar=False
    )
    np.testing.assert_allclose(polar.data, expected.data, rtol=1e-5, atol=1e-4)
    for axis, other in zip(
        polar.axes_manager.signal_axes, expected.axes_manager.signal_axes, strict=True
    ):
        np.testing.assert_allclose(axis.axis, other.axis)
        assert axis.units == other.units
