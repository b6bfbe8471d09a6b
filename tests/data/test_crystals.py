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
