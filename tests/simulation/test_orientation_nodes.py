"""Which library serves which orientation: symmetry, the grid of beam directions, tilt from it."""

from __future__ import annotations

import numpy as np
import pytest
from diffpy.structure import Atom, Lattice, Structure
from orix.crystal_map import Phase
from scipy.spatial.transform import Rotation

from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.mapping.grain_models import FINE
from pyxem_mlmaps.simulation.orientation_nodes import (
    Node,
    canonical,
    node_of,
    proper_operations,
    relative_to_node,
)

CELLS = {
    "triclinic": (4, 5, 6, 80, 95, 105),
    "monoclinic": (4, 5, 6, 90, 100, 90),
    "orthorhombic": (4, 5, 6, 90, 90, 90),
    "tetragonal": (4, 4, 6, 90, 90, 90),
    "hexagonal": (4, 4, 6, 90, 90, 120),
    "cubic": (4, 4, 4, 90, 90, 90),
}
LAST = {2: "triclinic", 15: "monoclinic", 74: "orthorhombic", 142: "tetragonal", 194: "hexagonal"}


def phase_of(number):
    """A phase of a space group with a cell that has its symmetry and no more."""
    system = next((name for last, name in LAST.items() if number <= last), "cubic")
    structure = Structure(lattice=Lattice(*CELLS[system]), atoms=[Atom("U", [0, 0, 0])])
    return Phase(space_group=number, structure=structure)


def operations_of_the_space_group(phase):
    """Proper rotations (n, 3, 3) as the International Tables have them, in cartesian axes."""
    to_cartesian = np.asarray(phase.structure.lattice.base).T
    back = np.linalg.inv(to_cartesian)
    found = [to_cartesian @ o.R @ back for o in phase.space_group.iter_symops()]
    return unique([m for m in found if np.linalg.det(m) > 0])


def unique(matrices):
    return np.unique(np.round(matrices, 5) + 0.0, axis=0)


def random_matrices(n, seed=0):
    return Rotation.random(n, random_state=seed).as_matrix()


def nodes_near(directions, spacing):
    """Worst of both tilt components of each direction from its node, degrees."""
    worst = []
    for direction in directions:
        across = np.array([1.0, 0, 0]) if abs(direction[0]) < 0.7 else np.array([0, 1.0, 0])
        x = np.cross(across, direction)
        x /= np.linalg.norm(x)
        matrix = np.stack([x, np.cross(direction, x), direction])
        node = node_of(direction, spacing)
        tilt_x, tilt_y, _ = relative_to_node(matrix, node)
        worst.append(max(abs(tilt_x), abs(tilt_y)))
    return np.array(worst)


class TestSymmetry:
    @pytest.mark.parametrize(
        ("number", "order"),
        [(1, 1), (2, 1), (62, 4), (139, 8), (194, 12), (166, 6), (216, 12), (225, 24)],
    )
    def test_number_of_proper_rotations(self, number, order):
        """Half of a group with mirrors; -43m has 12, its four-fold axes being improper."""
        operations = proper_operations(phase_of(number))
        assert operations.shape == (order, 3, 3)
        np.testing.assert_allclose(np.linalg.det(operations), 1, atol=1e-9)

    @pytest.mark.parametrize(
        "number",
        [1, 2, 25, 62, 82, 121, 139, 143, 150, 164, 166, 176, 187, 191, 194, 195, 216, 225, 227]
        + [4, 12, 14, 119, 149, 162, 189],
    )
    def test_operations_are_those_of_the_space_group(self, number):
        """A crystal turned by one of them is the same crystal: axes must be where they are."""
        phase = phase_of(number)
        np.testing.assert_allclose(
            unique(proper_operations(phase)), operations_of_the_space_group(phase), atol=1e-4
        )

    @pytest.mark.parametrize("number", [1, 194, 216, 225])
    def test_canonical_is_the_same_for_all_equivalents(self, number):
        operations = proper_operations(phase_of(number))
        matrix = random_matrices(40)
        chosen = canonical(matrix, operations)
        for operation in operations:
            np.testing.assert_allclose(canonical(matrix @ operation, operations), chosen, atol=1e-9)

    @pytest.mark.parametrize("number", [1, 194, 216, 225])
    def test_canonical_is_an_equivalent_and_stays(self, number):
        """Idempotent, and Mᵀ canonical(M) is one of the crystal's own rotations."""
        operations = proper_operations(phase_of(number))
        matrix = random_matrices(40, 1)
        chosen = canonical(matrix, operations)
        np.testing.assert_allclose(canonical(chosen, operations), chosen, atol=1e-12)
        turn = np.swapaxes(matrix, -1, -2) @ chosen
        distance = np.abs(turn[:, None] - operations[None]).max(axis=(2, 3)).min(axis=1)
        np.testing.assert_allclose(distance, 0, atol=1e-12)

    def test_polar_crystals_keep_both_senses(self):
        """In -43m a quarter turn about c mirrors the polarity: another orientation; not in m-3m."""
        quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()
        matrix = random_matrices(20, 2)
        polar, centred = (proper_operations(p) for p in (data.gasb(), data.uo2()))
        change = canonical(matrix @ quarter, polar) - canonical(matrix, polar)
        assert np.abs(change).max(axis=(1, 2)).min() > 0.05
        np.testing.assert_allclose(
            canonical(matrix @ quarter, centred), canonical(matrix, centred), atol=1e-9
        )

    def test_a_triclinic_orientation_is_its_own(self):
        operations = proper_operations(phase_of(2))
        matrix = random_matrices(5)
        np.testing.assert_array_equal(canonical(matrix, operations), matrix)

    def test_one_matrix(self):
        operations = proper_operations(data.uo2())
        stack = random_matrices(3)
        np.testing.assert_array_equal(
            canonical(stack[1], operations), canonical(stack, operations)[1]
        )

    def test_beam_directions_fill_one_cell(self):
        """Of a cubic crystal 1/24 of all directions is left."""
        operations = proper_operations(data.uo2())
        beam = canonical(random_matrices(4000), operations)[:, 2]
        grid = random_matrices(4000, 5)[:, 2]
        near = (grid @ beam.T).max(axis=1) > np.cos(np.radians(1.5))
        assert near.mean() == pytest.approx(1 / 24, abs=0.015)

    def test_phase_without_symmetry_raises(self):
        structure = Structure(lattice=Lattice(4, 4, 4, 90, 90, 90), atoms=[Atom("U", [0, 0, 0])])
        with pytest.raises(ValueError, match="'nameless' has neither space group nor point group"):
            proper_operations(Phase("nameless", structure=structure))
        alone = Phase("alone", point_group="1", structure=structure)
        assert proper_operations(alone).shape == (1, 3, 3)


class TestGrid:
    @pytest.mark.parametrize("spacing", [0.8, 1.0])
    def test_matrices_are_proper_rotations(self, spacing):
        for direction in random_matrices(200)[:, 2]:
            matrix = node_of(direction, spacing).matrix
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(matrix) == pytest.approx(1)

    @pytest.mark.parametrize("spacing", [0.8, 1.0])
    def test_the_node_of_a_node_is_itself(self, spacing):
        for direction in random_matrices(200, 3)[:, 2]:
            node = node_of(direction, spacing)
            assert node_of(node.direction, spacing) == node
            np.testing.assert_allclose(node.matrix[2], node.direction, atol=1e-12)
            assert node_of(7 * node.direction, spacing) == node  # any length

    @pytest.mark.parametrize("spacing", [0.8, 1.0])
    def test_every_direction_is_near_its_node(self, spacing):
        """Half a spacing along polar angle and azimuth, so √½ of it along turned tilt axes.

        Rings next to the poles are as few as they can be; there it is some percent more.
        """
        everywhere = random_matrices(3000, 4)[:, 2]
        assert nodes_near(everywhere, spacing).max() < 0.5 * spacing * 1.45
        rng = np.random.default_rng(0)
        polar, azimuth = np.radians(rng.uniform(0, 3, 1500)), rng.uniform(0, 2 * np.pi, 1500)
        pole = np.stack(
            [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1
        )
        for sign in (1, -1):
            assert nodes_near(sign * pole, spacing).max() < 0.5 * spacing * 1.5

    def test_libraries_reach_beyond_the_next_node(self):
        """A direction at the far corner of its node's cell is inside its library, with a rest."""
        everywhere = random_matrices(3000, 6)[:, 2]
        assert nodes_near(everywhere, FINE.spacing).max() < FINE.tilt_range - 0.05

    def test_directions_are_even(self):
        """Neighbours on a ring are at most a spacing apart; the ring closes."""
        for row in (1, 10, 60, 112):
            polar = np.radians(0.8 * row)
            azimuth = np.linspace(0, 2 * np.pi, 4000)
            around = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=-1)
            around = np.sin(polar) * around + np.array([0, 0, np.cos(polar)])
            columns = sorted({node_of(d, 0.8).column for d in around})
            assert columns == list(range(len(columns)))
            ring = np.array([Node(row, c, 0.8).direction for c in columns])
            apart = np.degrees(np.arccos(np.sum(ring * np.roll(ring, 1, axis=0), axis=1)))
            assert apart.max() < 0.8 + 1e-6 and np.ptp(apart) < 1e-4

    def test_equal_grains_share_a_node(self):
        """Turned about the beam, or by a rotation of the crystal: the same library."""
        operations = proper_operations(data.uo2())
        for matrix in random_matrices(20, 7):
            node = node_of(canonical(matrix, operations)[2], 0.8)
            for angle, operation in ((13.0, operations[5]), (170.0, operations[11])):
                other = conventions.in_plane_matrix(angle) @ matrix @ operation
                assert node_of(canonical(other, operations)[2], 0.8) == node


class TestRelative:
    def test_inverts_the_composition(self):
        """M = Z(φ) T(tilt) M0 of known angles gives the angles back."""
        rng = np.random.default_rng(3)
        for direction in random_matrices(50, 8)[:, 2]:
            node = node_of(direction, 0.8)
            x, y, turn = rng.uniform(-2, 2, 2).tolist() + [rng.uniform(-179, 179)]
            matrix = conventions.in_plane_matrix(turn) @ conventions.tilt_matrix(x, y) @ node.matrix
            np.testing.assert_allclose(relative_to_node(matrix, node), (x, y, turn), atol=1e-9)

    def test_recomposes_any_orientation(self):
        """The three angles and the node make the matrix again, exactly."""
        for matrix in random_matrices(100, 9):
            node = node_of(matrix[2], 1.0)
            x, y, turn = relative_to_node(matrix, node)
            again = conventions.in_plane_matrix(turn) @ conventions.tilt_matrix(x, y) @ node.matrix
            np.testing.assert_allclose(again, matrix, atol=1e-12)

    def test_many_at_once(self):
        node = node_of(np.array([0.3, -0.5, 0.8]), 0.8)
        turns = np.array([-30.0, 0.0, 100.0])
        matrix = conventions.in_plane_matrix(turns) @ node.matrix
        x, y, turn = relative_to_node(matrix, node)
        np.testing.assert_allclose(np.stack([x, y]), 0, atol=1e-9)
        np.testing.assert_allclose(turn, turns, atol=1e-9)
