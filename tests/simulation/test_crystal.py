"""The same crystal from an orix phase, an ase cell and a CIF file."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from pyxem_mlmaps.simulation.crystal import DEFAULT_SIGMA, as_crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients


@pytest.fixture
def cif(tmp_path):
    path = tmp_path / "gasb.cif"
    path.write_text(
        """data_GaSb
_cell_length_a 6.0959
_cell_length_b 6.0959
_cell_length_c 6.0959
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F -4 3 m'
_symmetry_Int_Tables_number 216
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Ga1 Ga 0 0 0 0.007225
Sb1 Sb 0.25 0.25 0.25 0.009025
"""
    )
    return path


def strengths(crystal):
    hkl = np.array([(1, 1, 1), (-1, -1, -1), (2, 0, 0), (2, 2, 0), (3, 1, 1)])
    return np.abs(potential_coefficients(crystal, 300, 1.2)(hkl))


def test_phase_is_expanded_by_its_space_group(gasb):
    crystal = as_crystal(gasb)
    assert crystal.symbols.count("Ga") == crystal.symbols.count("Sb") == 4
    assert np.all((crystal.positions >= 0) & (crystal.positions < 1))
    np.testing.assert_allclose(crystal.occupancy, 1)
    np.testing.assert_allclose(crystal.sigma[:4], 0.085)
    np.testing.assert_allclose(crystal.sigma[4:], 0.095)


def test_cif_phase_and_ase_agree(cif, gasb):
    from_phase = as_crystal(gasb)
    atoms = bulk("GaSb", "zincblende", a=6.0959, cubic=True)
    from_ase = as_crystal(atoms, debye_waller={"Ga": 0.085, "Sb": 0.095})
    for crystal in (as_crystal(cif), as_crystal(str(cif)), from_ase):
        assert sorted(crystal.symbols) == sorted(from_phase.symbols)
        np.testing.assert_allclose(strengths(crystal), strengths(from_phase), rtol=1e-4, atol=1e-7)


def test_ase_round_trip(gasb):
    crystal = as_crystal(gasb)
    again = as_crystal(crystal.to_ase(), debye_waller={"Ga": 0.085, "Sb": 0.095})
    np.testing.assert_allclose(again.positions, crystal.positions, atol=1e-9)
    np.testing.assert_allclose(strengths(again), strengths(crystal), rtol=1e-6, atol=1e-9)


def test_primitive_ase_cell_has_the_same_potential():
    """A rhombohedral cell whose vectors are not along orix's axes: lengths and phases survive."""
    small = as_crystal(bulk("Si", a=5.43), 0.08)
    large = as_crystal(bulk("Si", a=5.43, cubic=True), 0.08)
    reciprocal = small.reciprocal
    shortest = np.linalg.norm(reciprocal, axis=1)
    np.testing.assert_allclose(shortest, np.sqrt(3) / 5.43, rtol=1e-6)
    one = np.abs(potential_coefficients(small, 300, 1.0)(np.array([1, 0, 0])))
    same = np.abs(potential_coefficients(large, 300, 1.0)(np.array([1, 1, 1])))
    np.testing.assert_allclose(one, same, rtol=1e-4)


class TestHexagonal:
    """orix turns a hexagonal cell's axes and not its atoms; the crystal must not notice."""

    @pytest.fixture(params=["ase", "phase", "asymmetric", "cif", "rounded cif"])
    def magnesium(self, request, tmp_path):
        from diffpy.structure import Atom, Lattice, Structure
        from orix.crystal_map import Phase

        atoms = [Atom("Mg", [1 / 3, 2 / 3, 1 / 4]), Atom("Mg", [2 / 3, 1 / 3, 3 / 4])]
        lattice = Lattice(3.2, 3.2, 5.2, 90, 90, 120)
        if request.param == "ase":
            return bulk("Mg", "hcp", a=3.2, c=5.2)
        if request.param == "phase":
            return Phase(structure=Structure(atoms, lattice), point_group="1")
        if request.param == "asymmetric":
            return Phase(structure=Structure(atoms[:1], lattice), space_group=194)
        third = ("0.3333", "0.6667") if "rounded" in request.param else ("0.3333333", "0.6666667")
        path = tmp_path / "mg.cif"
        path.write_text(
            "data_Mg\n_cell_length_a 3.2\n_cell_length_b 3.2\n_cell_length_c 5.2\n"
            "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 120\n"
            "_symmetry_space_group_name_H-M 'P 63/m m c'\n_symmetry_Int_Tables_number 194\n"
            "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
            f"_atom_site_fract_y\n_atom_site_fract_z\nMg1 Mg {third[0]} {third[1]} 0.25\n"
        )
        return path

    def test_structure_factors(self, magnesium):
        """hcp: |F|² = 4f² cos²(π[(h + 2k)/3 + l/2]): 0, 1, 3, 4 and 0 over f²."""
        crystal = as_crystal(magnesium, 0.0)
        assert crystal.symbols == ("Mg", "Mg")
        hkl = np.array([(0, 0, 1), (1, 0, 0), (1, 0, 1), (0, 0, 2), (1, 1, 1), (1, 1, 0)])
        phase = np.exp(-2j * np.pi * hkl @ crystal.positions.T).sum(axis=1)
        np.testing.assert_allclose(np.abs(phase) ** 2, [0, 1, 3, 4, 0, 4], atol=2e-3)
        u = np.abs(potential_coefficients(crystal, 300, 1.0)(hkl))
        assert u[0] < 1e-3 * u[3] and u[4] < 1e-3 * u[3]

    def test_neighbours(self, magnesium):
        """Twelve atoms at about 3.2 Å: the distance between the two of the cell."""
        crystal = as_crystal(magnesium)
        apart = crystal.positions[1] - crystal.positions[0]
        shifts = np.stack(np.meshgrid(*[(-2, -1, 0, 1, 2)] * 3), axis=-1).reshape(-1, 3)
        distance = np.linalg.norm((apart + shifts) @ crystal.cell, axis=1).min()
        assert distance == pytest.approx(np.sqrt(3.2**2 / 3 + 2.6**2), abs=2e-3)


def test_reciprocal_lattice(gasb):
    crystal = as_crystal(gasb)
    np.testing.assert_allclose(crystal.reciprocal @ crystal.cell.T, np.eye(3), atol=1e-12)


def test_default_displacement(silicon):
    np.testing.assert_array_equal(as_crystal(silicon).sigma, DEFAULT_SIGMA)
    np.testing.assert_array_equal(as_crystal(silicon, 0.0).sigma, 0)


def test_card_values_round_trip(gasb):
    from pyxem_mlmaps._crystal_map import phase_from_dict

    values = as_crystal(gasb).to_dict()
    phase = phase_from_dict(values)
    assert phase.space_group.number == 216 and phase.name == "GaSb"
    np.testing.assert_allclose(phase.structure.lattice.abcABG(), values["lattice"])


class TestBadSources:
    def test_kind(self):
        with pytest.raises(TypeError, match="phase is a int"):
            as_crystal(7)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere.cif"):
            as_crystal(tmp_path / "nowhere.cif")

    def test_no_cell(self):
        from ase import Atoms

        with pytest.raises(ValueError, match="Si2.*no unit cell"):
            as_crystal(Atoms("Si2", [(0, 0, 0), (1, 1, 1)]))

    def test_no_atoms(self):
        from orix.crystal_map import Phase

        with pytest.raises(ValueError, match="'empty' has no atoms"):
            as_crystal(Phase("empty", space_group=225))

    @pytest.mark.parametrize("sigma", [-0.1, 0.6, np.nan, {"Ga": 0.1, "Sb": 5.0}])
    def test_displacement_out_of_range(self, gasb, sigma):
        with pytest.raises(ValueError, match="debye_waller"):
            as_crystal(gasb, sigma)

    def test_displacement_of_an_element_missing(self, gasb):
        with pytest.raises(ValueError, match=r"lacks \['Sb'\]"):
            as_crystal(gasb, {"Ga": 0.1})


def test_cif_written_by_ase(tmp_path, silicon):
    """Whatever ase writes comes back with eight atoms."""
    path = tmp_path / "si.cif"
    write(path, silicon)
    crystal = as_crystal(path)
    assert crystal.symbols == ("Si",) * 8
    np.testing.assert_allclose(strengths(crystal), strengths(as_crystal(silicon)), atol=1e-6)
