"""Crystals: distances, densities and scattering of the alloy."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import data
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients


def test_silicon_is_diamond():
    """Eight atoms with neighbours at √3 a/4 = 2.352 Å; 222 and 200 are forbidden."""
    crystal = as_crystal(data.silicon())
    assert crystal.symbols == ("Si",) * 8
    apart = crystal.positions[1:] - crystal.positions[0]
    distance = np.linalg.norm((apart - np.round(apart)) @ crystal.cell, axis=1)
    assert distance.min() == pytest.approx(2.3517, abs=1e-4)
    u = np.abs(potential_coefficients(crystal, 200, 1.2)([[1, 1, 1], [2, 2, 2], [2, 0, 0]]))
    assert u[0] > 0.03 and np.all(u[1:] < 1e-6 * u[0])


@pytest.mark.parametrize(("x", "cell"), [(0.0, 5.4310), (0.3, 5.4934), (1.0, 5.6580)])
def test_cell_of_the_alloy(x, cell):
    """Dismukes et al. 1964; germanium itself has 5.6579 Å."""
    assert data.sige(x).structure.lattice.a == pytest.approx(cell, abs=2e-4)


def test_alloy_scatters_as_the_mean_of_its_elements():
    """U_g of the virtual crystal lies between those of its elements, by the fraction."""
    g = [[1, 1, 1], [2, 2, 0], [3, 1, 1]]
    u = [
        np.abs(potential_coefficients(as_crystal(data.sige(x)), 200, 1.2)(g))
        * data.sige(x).structure.lattice.volume
        for x in (0.0, 0.3, 1.0)
    ]
    np.testing.assert_allclose(u[1], 0.7 * u[0] + 0.3 * u[2], rtol=0.01)
    assert np.all(u[2] > 1.3 * u[0])


@pytest.mark.parametrize("x", [-0.1, 1.5])
def test_bad_fraction(x):
    with pytest.raises(ValueError, match="fraction of germanium"):
        data.sige(x)


def test_uo2_is_fluorite():
    """Four uranium and eight oxygen atoms, U-O = √3 a/4 = 2.369 Å, 10.96 g/cm³; B as stated."""
    crystal = as_crystal(data.uo2())
    symbols = np.array(crystal.symbols)
    assert (symbols == "U").sum() == 4 and (symbols == "O").sum() == 8
    apart = crystal.positions[symbols == "O"] - crystal.positions[0]
    distance = np.linalg.norm((apart - np.round(apart)) @ crystal.cell, axis=1)
    np.testing.assert_allclose(distance, 2.3687, atol=1e-4)
    b = 8 * np.pi**2 * crystal.sigma**2
    np.testing.assert_allclose(b, np.where(symbols == "U", 0.33, 0.60))


def test_zirconium_is_close_packed():
    """Two atoms with neighbours at √(a²/3 + c²/4) = 3.179 Å; 001 is forbidden by the screw axis."""
    crystal = as_crystal(data.zirconium())
    assert crystal.symbols == ("Zr", "Zr")
    apart = crystal.positions[1] - crystal.positions[0]
    steps = np.stack(np.meshgrid(*3 * [[-1, 0, 1]], indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm((apart + steps) @ crystal.cell, axis=1)
    assert distance.min() == pytest.approx(3.1787, abs=1e-3)
    u = np.abs(potential_coefficients(crystal, 200, 1.2)([[0, 0, 2], [0, 0, 1]]))
    assert u[0] > 0.03 and u[1] < 1e-6 * u[0]
