"""Signs and frames of py4DSTEM, against py4DSTEM."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from orix.crystal_map import Phase
from orix.quaternion import Rotation

from pyxem_mlmaps import Beam
from pyxem_mlmaps.conventions import (
    py4dstem_axes,
    py4dstem_matrix_to_rotation,
    rotation_to_detector_matrix,
    rotation_to_py4dstem_matrix,
    strain_from_py4dstem,
    strain_to_py4dstem,
)

AXES = [(0, False, 0), (30, False, 0), (-100, True, 0), (15, False, 40), (15, True, -25)]


@pytest.mark.parametrize("arguments", AXES)
def test_strain_there_and_back(arguments):
    axes = py4dstem_axes(*arguments)
    strain = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 3, 5))
    strain[:, 0, 0] = np.nan
    np.testing.assert_allclose(
        strain_from_py4dstem(strain_to_py4dstem(strain, axes), axes), strain, atol=1e-14
    )


def test_first_order_signs():
    """e_xx is e22, e_yy is e11; shear and rotation keep their sign."""
    small = 1e-6 * np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(strain_to_py4dstem(small), small[[1, 0, 2, 3]], rtol=1e-4)


def test_infinitesimal_strain_of_two_per_cent():
    there = strain_to_py4dstem([0.0, 0.02, 0.0, 0.0])
    np.testing.assert_allclose(there, [1 - 1 / 1.02, 0, 0, 0], atol=1e-12)


def test_axes_turn_as_py4dstem_turns_vectors():
    """Row vector (qx=1) turned by 90° in py4DSTEM becomes a column vector."""
    ky = np.array([0.0, 1.0])
    np.testing.assert_allclose(py4dstem_axes() @ ky, [1, 0])
    np.testing.assert_allclose(py4dstem_axes(90) @ ky, [0, 1], atol=1e-12)
    np.testing.assert_allclose(py4dstem_axes(qr_flip=True) @ ky, [0, 1])


@pytest.mark.parametrize("qr_rotation", [0, 35])
def test_orientation_there_and_back(qr_rotation):
    rotations = Rotation.random(20)
    matrix = rotation_to_py4dstem_matrix(rotations, qr_rotation)
    np.testing.assert_allclose(np.linalg.det(matrix), 1)
    again = py4dstem_matrix_to_rotation(matrix, qr_rotation)
    assert (again * ~rotations).angle.max() < 1e-7


def test_py4dstem_puts_reflections_where_we_do():
    """Triclinic, so that no wrong axis passes: positions, and which side of the Ewald sphere."""
    pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")
    from py4DSTEM.process.diffraction import Crystal

    cell = (4.1, 5.3, 6.2, 81.0, 97.0, 104.0)
    phase = Phase(point_group="1", structure=Structure(lattice=Lattice(*cell)))
    crystal = Crystal(np.array([[0, 0, 0], [0.3, 0.1, 0.2]]), np.array([14, 32]), cell)
    crystal.setup_diffraction(200e3)
    crystal.calculate_structure_factors(1.5)
    reciprocal = np.linalg.inv(np.asarray(phase.structure.lattice.base)).T
    rotations = Rotation.random(4)
    matrices = rotation_to_py4dstem_matrix(rotations)
    k0 = Beam(200, 0).wavenumber
    for matrix, to_detector in zip(matrices, rotation_to_detector_matrix(rotations), strict=True):
        peaks = crystal.generate_diffraction_pattern(
            orientation_matrix=matrix, sigma_excitation_error=0.01, tol_excitation_error_mult=1
        ).data
        assert len(peaks) > 5
        g = np.stack([peaks[name] for name in "hkl"], axis=1) @ reciprocal @ to_detector.T
        np.testing.assert_allclose(g[:, 1], peaks["qx"], atol=1e-10)
        np.testing.assert_allclose(g[:, 0], peaks["qy"], atol=1e-10)
        outside = np.linalg.norm(g + [0, 0, k0], axis=1) - k0
        assert np.abs(outside).max() < 0.0101  # the wrong side would be some 0.1 Å⁻¹ off
