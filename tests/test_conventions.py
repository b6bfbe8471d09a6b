"""Frames and signs: group identities, round trips, and agreement with pyxem on the same data."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import Phase
from orix.quaternion import Orientation, Rotation

from pyxem_mlmaps import conventions as conv

CELLS = {
    "cubic": ((5.0, 5.0, 5.0, 90, 90, 90), 221),
    "hexagonal": ((4.1, 4.1, 6.7, 90, 90, 120), 191),
    "orthorhombic": ((4.1, 5.3, 6.7, 90, 90, 90), 47),
    "monoclinic": ((4.1, 5.3, 6.7, 90, 104, 90), 10),
    "triclinic": ((4.1, 5.3, 6.7, 82, 97, 104), 2),
}


def make_phase(system: str) -> Phase:
    lattice, space_group = CELLS[system]
    structure = Structure(lattice=Lattice(*lattice), atoms=[Atom("Ga", (0, 0, 0))])
    return Phase(system, space_group=space_group, structure=structure)


def random_rotations(n: int, seed: int = 0) -> Rotation:
    q = np.random.default_rng(seed).normal(size=(n, 4))
    return Rotation(q / np.linalg.norm(q, axis=1, keepdims=True))


def angle_between(a: Rotation, b: Rotation) -> np.ndarray:
    """Misorientation in degrees without symmetry, exact for small angles too."""
    turn = np.swapaxes(a.to_matrix(), -1, -2) @ b.to_matrix()
    skew = turn - np.swapaxes(turn, -1, -2)
    sine = np.linalg.norm([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=0) / 2
    return np.degrees(np.arctan2(sine, (np.trace(turn, axis1=-2, axis2=-1) - 1) / 2))


class TestMatrices:
    def test_rotation_round_trip(self):
        rotations = random_rotations(50).reshape(5, 10)
        matrices = conv.rotation_to_detector_matrix(rotations)
        assert matrices.shape == (5, 10, 3, 3)
        np.testing.assert_allclose(np.linalg.det(matrices), 1)
        back = conv.detector_matrix_to_rotation(matrices)
        assert back.shape == (5, 10)
        assert angle_between(rotations, back).max() < 1e-9

    def test_half_turns_survive(self):
        """Where orix's own from_matrix picks wrong signs."""
        axes = np.random.default_rng(1).normal(size=(200, 3))
        axes[:3] = [[0, 1, -1], [1, 0, 1], [1, -1, 0]]
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        half_turns = 2 * axes[:, :, np.newaxis] * axes[:, np.newaxis] - np.eye(3)
        for offset in (np.eye(3), conv.tilt_matrix(1e-4, 0), conv.LAB_TO_DETECTOR):
            matrices = half_turns @ offset
            back = conv.rotation_to_detector_matrix(conv.detector_matrix_to_rotation(matrices))
            np.testing.assert_allclose(back, matrices, atol=1e-13)

    def test_lab_frame_of_pyxem(self):
        """Crystal x, y, z at identity: left, down, and against the beam."""
        matrix = conv.rotation_to_detector_matrix(Rotation.identity())[0]
        np.testing.assert_array_equal(matrix, np.diag([-1, 1, -1]))

    def test_lab_z_is_against_the_beam(self):
        """orix's z direction in the crystal, R * (0, 0, 1), is what pole figures show."""
        from orix.vector import Vector3d

        rotations = random_rotations(7)
        to_source = (rotations * Vector3d.zvector()).data
        matrices = conv.rotation_to_detector_matrix(rotations)
        expected = np.tile([0, 0, -1.0], (7, 1))
        seen = np.einsum("nij,nj->ni", matrices, to_source)
        np.testing.assert_allclose(seen, expected, atol=1e-12)

    @pytest.mark.parametrize("tilt", [(0, 0), (0.3, -0.2), (-5, 12), (1e-6, 0)])
    def test_tilt_matrix_moves_the_zone_axis(self, tilt):
        matrix = conv.tilt_matrix(*tilt)
        np.testing.assert_allclose((matrix @ [0, 0, 1])[:2], np.radians(tilt), rtol=0, atol=1e-15)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
        np.testing.assert_allclose(np.linalg.det(matrix), 1)

    def test_tilt_is_the_shortest_way(self):
        """The rotation axis lies in the detector plane: no turn about the beam."""
        matrix = conv.tilt_matrix([0.4, -7], [3, 2])
        np.testing.assert_allclose(matrix[:, 1, 0], matrix[:, 0, 1], atol=1e-15)

    def test_opposite_tilt_is_the_inverse(self):
        product = conv.tilt_matrix(2, -1) @ conv.tilt_matrix(-2, 1)
        np.testing.assert_allclose(product, np.eye(3), atol=1e-15)

    def test_tilt_turns_with_the_crystal(self):
        """Z(φ) T(tilt) Z(−φ) = T(tilt turned by φ)."""
        turn = conv.in_plane_matrix(30)
        turned = (turn @ [1.5, 0.5, 0])[:2]
        product = turn @ conv.tilt_matrix(1.5, 0.5) @ turn.T
        np.testing.assert_allclose(product, conv.tilt_matrix(*turned), atol=1e-15)

    def test_tilt_matrix_broadcasts_and_keeps_nan(self):
        matrices = conv.tilt_matrix(np.zeros((4, 1)), np.array([0, 1, np.nan]))
        assert matrices.shape == (4, 3, 3, 3)
        assert np.isnan(matrices[:, 2]).any() and np.isfinite(matrices[:, :2]).all()

    def test_in_plane_angles_add(self):
        product = conv.in_plane_matrix(20) @ conv.in_plane_matrix([25, 70])
        np.testing.assert_allclose(product, conv.in_plane_matrix([45, 90]), atol=1e-15)
        np.testing.assert_allclose(product[1] @ [1, 0, 0], [0, 1, 0], atol=1e-15)

    @pytest.mark.parametrize(
        "matrix", [np.diag([1, 1, -1]), np.full((3, 3), np.nan), 2 * np.eye(3), np.eye(2)]
    )
    def test_only_proper_rotations(self, matrix):
        with pytest.raises(ValueError, match="matrix"):
            conv.detector_matrix_to_rotation(matrix)

    def test_improper_rotation_is_refused(self):
        rotation = Rotation.identity()
        rotation.improper = 1
        with pytest.raises(ValueError, match="improper"):
            conv.rotation_to_detector_matrix(rotation)

    def test_huge_tilt_is_refused(self):
        with pytest.raises(ValueError, match="57.3"):
            conv.tilt_matrix(50, 50)


class TestTiltedRotation:
    def test_zero_tilt_is_the_base(self):
        base = random_rotations(1)
        assert angle_between(base, conv.tilted_rotation(base, 0, 0)).max() < 1e-9

    def test_angle_and_precision(self):
        """A tilt of 1e-5 degrees survives, far under the precision aimed at."""
        base = random_rotations(1, seed=3)
        tilted = conv.tilted_rotation(base, [1e-5, 3.0], [0.0, 4.0])
        expected = np.degrees(np.arcsin(np.radians([1e-5, 5.0])))
        np.testing.assert_allclose(angle_between(base, tilted), expected, rtol=1e-6)

    def test_shapes(self):
        base = random_rotations(1)
        assert conv.tilted_rotation(base, np.zeros((3, 4)), 0.1).shape == (3, 4)
        assert conv.tilted_rotation(random_rotations(5), np.zeros(5), 0.1).shape == (5,)
        assert conv.tilted_rotation(base, 0.1, 0.2).shape == (1,)

    def test_nan_is_refused(self):
        with pytest.raises(ValueError, match="1 points are not finite"):
            conv.tilted_rotation(Rotation.identity(), [0, np.nan], [0, 0])

    def test_laue_circle(self):
        """Zone reflections on the Ewald sphere lie on a circle about k0·tilt."""
        k0, tilt = 40.0, np.array([1.2, -0.7])
        centre = -conv.transverse_wavevector(k0, *tilt)
        angles = np.linspace(0, 2 * np.pi, 9)
        ring = centre + np.hypot(*centre) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        below = np.sqrt(k0**2 - (ring**2).sum(axis=1)) - k0  # on the sphere, beam along +z
        axis = conv.tilt_matrix(*tilt) @ [0, 0, 1]
        distance = np.column_stack([ring, below]) @ axis  # from the tilted zero Laue zone
        assert np.abs(distance).max() < 1e-3 * np.hypot(*centre)

    def test_transverse_wavevector(self):
        k_t = conv.transverse_wavevector(50.0, np.array([1.0, 0.0]), np.array([[2.0], [0.0]]))
        assert k_t.shape == (2, 2, 2)
        np.testing.assert_allclose(k_t[0, 0], -50 * np.radians([1, 2]))


class TestZoneAxis:
    @pytest.mark.parametrize("system", CELLS)
    @pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 1, 0), (2, 1, -3), (-1, 0, 0), (7, 3, 5)])
    def test_geometry(self, system, zone_axis):
        phase = make_phase(system)
        base = np.asarray(phase.structure.lattice.base)
        matrix = conv.rotation_to_detector_matrix(conv.zone_axis_rotation(phase, zone_axis))[0]
        direction = matrix @ (np.array(zone_axis) @ base)
        np.testing.assert_allclose(direction[:2], 0, atol=1e-9)
        assert direction[2] < 0, "the zone axis points to the source"
        hkl = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3), axis=-1).reshape(-1, 3)
        hkl = hkl[(hkl @ zone_axis == 0) & hkl.any(axis=1)]
        g = hkl @ np.linalg.inv(base).T @ matrix.T
        length = np.linalg.norm(g, axis=1)
        along_x = g[:, 0] > length * (1 - 1e-9)
        np.testing.assert_allclose(length[along_x].min(), length.min(), rtol=1e-6)

    def test_tie(self):
        rotation = conv.zone_axis_rotation(make_phase("cubic"), (0, 0, 1))
        matrix = conv.rotation_to_detector_matrix(rotation)[0]
        np.testing.assert_allclose(matrix @ [1, 0, 0], [1, 0, 0], atol=1e-12)

    @pytest.mark.parametrize("zone_axis", [(0, 0, 0), (1, 0), (1, 1, -2, 0), (0.5, 0, 1)])
    def test_bad_zone_axis(self, zone_axis):
        with pytest.raises(ValueError, match="zone_axis"):
            conv.zone_axis_rotation(make_phase("cubic"), zone_axis)


# ---- the same data through pyxem ------------------------------------------------------------

GENERATOR_VOLTAGE, G_MAX, S_MAX, PIXELS, SCALE = 200, 1.4, 0.04, 121, 0.024


def reflections(phase: Phase):
    from diffsims.crystallography import ReciprocalLatticeVector

    g = ReciprocalLatticeVector.from_min_dspacing(phase, 1 / G_MAX)
    g.calculate_structure_factor("lobato")
    return g.data, np.abs(g.structure_factor) ** 2


def draw_patterns(phase: Phase, matrices: np.ndarray, wavenumber: float) -> np.ndarray:
    """Kinematical patterns straight from this package's detector frame, rows along +ky."""
    g_crystal, strength = reflections(phase)
    row, column = np.mgrid[:PIXELS, :PIXELS] - PIXELS // 2
    patterns = np.zeros((len(matrices), PIXELS, PIXELS))
    for pattern, matrix in zip(patterns, matrices, strict=True):
        g = g_crystal @ matrix.T
        # Beam along +z: the sphere curves towards −z, away from the beam's direction.
        distance = g[:, 2] + wavenumber - np.sqrt(wavenumber**2 - (g[:, :2] ** 2).sum(axis=1))
        weight = strength * np.maximum(0, 1 - (distance / S_MAX) ** 2)
        for (x, y), w in zip(g[weight > 0, :2] / SCALE, weight[weight > 0], strict=True):
            pattern += w * np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 1.2**2))
    return patterns


def index_with_pyxem(phase: Phase, patterns: np.ndarray, templates: Rotation, generator):
    import pyxem

    signal = pyxem.signals.ElectronDiffraction2D(patterns[np.newaxis])
    signal.calibration.beam_energy = GENERATOR_VOLTAGE
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = SCALE, -(PIXELS // 2) * SCALE, "$A^{-1}$"
    polar = signal.get_azimuthal_integral2d(
        npt=58, npt_azim=360, mean=True, inplace=False, show_progressbar=False
    )
    simulation = generator.calculate_diffraction2d(
        phase,
        rotation=templates,
        max_excitation_error=S_MAX,
        reciprocal_radius=G_MAX,
        with_direct_beam=False,
    )
    return polar.get_orientation(simulation, frac_keep=1.0, show_progressbar=False)


@pytest.fixture(scope="module")
def generator():
    diffsims = pytest.importorskip("diffsims.generators.simulation_generator")
    return diffsims.SimulationGenerator(GENERATOR_VOLTAGE)


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_pyxem_cubic(generator):
    """Full reduced library: our rotation and pyxem's are one orientation, mirrored or not."""
    from orix.sampling import get_sample_reduced_fundamental

    phase, truth, step = make_phase("cubic"), random_rotations(6, seed=2), 3.0
    patterns = draw_patterns(
        phase, conv.rotation_to_detector_matrix(truth), 1 / generator.wavelength
    )
    templates = get_sample_reduced_fundamental(step, point_group=phase.point_group)
    result = index_with_pyxem(phase, patterns, templates, generator)
    assert set(result.data[..., 0, 3].ravel()) == {-1.0, 1.0}
    found = Orientation(result.to_crystal_map().rotations.data.reshape(-1, 4))
    found.symmetry = phase.point_group
    expected = Orientation(truth.data, symmetry=phase.point_group)
    assert np.degrees(found.angle_with(expected)).max() < step + 1


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_pyxem_triclinic(generator):
    """No symmetry to hide behind: the template at the true tilt must be turned to our rotation.

    The library holds the true views without their in-plane angle, and 20 others; pyxem's
    rotation must match in all three angles, and so must its vectors.
    """
    phase, truth = make_phase("triclinic"), random_rotations(6, seed=12)
    matrices = conv.rotation_to_detector_matrix(truth)
    patterns = draw_patterns(phase, matrices, 1 / generator.wavelength)
    others = random_rotations(20, seed=9)
    euler = np.vstack([r.to_euler(degrees=True) for r in (truth, others)])
    euler[:, 0] = 0
    templates = Rotation.from_euler(euler, degrees=True)
    result = index_with_pyxem(phase, patterns, templates, generator)
    best = result.data.reshape(-1, 4)
    np.testing.assert_array_equal(best[:, 0], np.arange(6))
    np.testing.assert_array_equal(best[:, 3], 1)
    found = Rotation(result.to_crystal_map().rotations.data.reshape(-1, 4))
    in_plane_step = 1.0
    assert angle_between(truth, found).max() < 1.5 * in_plane_step

    basis = np.linalg.inv(np.asarray(phase.structure.lattice.base)).T
    for vectors, matrix in zip(result.to_vectors().data.ravel(), matrices, strict=True):
        expected = vectors.original_hkl @ basis @ matrix.T
        assert np.abs(vectors.data - expected).max() < np.radians(1.5 * in_plane_step) * G_MAX
