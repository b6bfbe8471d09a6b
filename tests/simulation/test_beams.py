"""Which beams are selected, and which are coupled."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import Beam, conventions
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, laue_zone, select_beams
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients


def selected(crystal, zone, g_max, laue_zones=0, energy=300, stated=True):
    turn = conventions.rotation_to_detector_matrix(
        conventions.zone_axis_rotation(crystal.phase, zone)
    ).reshape(3, 3)
    return select_beams(
        crystal.reciprocal,
        turn,
        Beam(energy, 0).wavelength,
        g_max,
        zone if stated else None,
        laue_zones,
    )


@pytest.mark.parametrize("zone", [(1, 1, 0), (0, 0, 1), (1, 1, 1), (2, 1, -3)])
def test_zone_law_and_cutoff(silicon, zone):
    crystal = as_crystal(silicon)
    hkl, g = selected(crystal, zone, 1.5)
    assert np.all(laue_zone(hkl, zone) == 0)
    length = np.linalg.norm(g, axis=1)
    np.testing.assert_allclose(length, np.linalg.norm(hkl @ crystal.reciprocal, axis=1))
    np.testing.assert_allclose(g[:, 2], 0, atol=1e-12)
    assert length.max() <= 1.5
    np.testing.assert_array_equal(hkl[0], 0)
    assert np.all(np.diff(length) > -1e-6), "by length"
    assert {tuple(h) for h in hkl} == {tuple(-h) for h in hkl}, "g and −g"


def test_complete(silicon):
    """Every lattice point of the zone within the cut-off is there, found by brute force."""
    crystal = as_crystal(silicon)
    hkl, _ = selected(crystal, (1, 1, 0), 1.5)
    n = np.arange(-12, 13)
    every = np.stack(np.meshgrid(n, n, n), axis=-1).reshape(-1, 3)
    every = every[
        (every @ (1, 1, 0) == 0) & (np.linalg.norm(every @ crystal.reciprocal, axis=1) <= 1.5)
    ]
    assert {tuple(h) for h in hkl} == {tuple(h) for h in every}


def test_upper_zones(silicon):
    """|n| ≤ 1 on request, on both sides and whole: non-resonant beams matter."""
    crystal, g_max = as_crystal(silicon), 1.5
    zero, _ = selected(crystal, (1, 1, 0), g_max)
    hkl, g = selected(crystal, (1, 1, 0), g_max, laue_zones=1)
    order = laue_zone(hkl, (1, 1, 0))
    assert set(np.unique(order)) == {-1, 0, 1}
    assert (order == 0).sum() == len(zero)
    spacing = 1 / (5.43 * np.sqrt(2))
    np.testing.assert_allclose(np.abs(g[:, 2]), np.abs(order) * spacing, atol=1e-9)
    np.testing.assert_array_less(0, -g[order == 1, 2], err_msg="n > 0 lies towards the source")
    assert np.linalg.norm(g, axis=1).max() <= g_max


def test_general_orientation_keeps_near_the_sphere(silicon):
    """As near as the zero Laue zone at the cut-off is."""
    crystal, g_max = as_crystal(silicon), 4.0
    _, g = selected(crystal, (1, 1, 0), g_max, stated=False)
    k0 = Beam(300, 0).wavenumber
    s = -(2 * k0 * g[:, 2] + (g**2).sum(axis=1)) / (2 * k0)
    assert np.abs(s).max() <= g_max**2 / (2 * k0) + 1e-9
    assert g[:, 2].min() < -0.1, "a zone towards the source, where the sphere bends"


def test_general_orientation_finds_the_zone(silicon):
    """Without a stated zone the sphere alone selects, and at small g_max finds the same beams."""
    crystal = as_crystal(silicon)
    hkl, _ = selected(crystal, (1, 1, 0), 1.5)
    free, _ = selected(crystal, (1, 1, 0), 1.5, stated=False)
    np.testing.assert_array_equal(hkl, free)


def test_lattice_centring_drops_out(silicon):
    """Face-centred: mixed indices never couple; (200) of diamond does, by double diffraction."""
    crystal = as_crystal(silicon)
    hkl, _ = selected(crystal, (1, 1, 0), 1.5)
    potential = potential_coefficients(crystal, 300, 3.01)
    kept = hkl[coupled_to_direct_beam(potential, hkl)]
    parity = kept % 2
    assert np.all(parity.min(axis=1) == parity.max(axis=1)), "all even or all odd"
    assert [0, 0, 2] in kept.tolist()
    assert len(kept) < len(hkl)


def test_a_single_beam_is_coupled_to_itself(silicon):
    potential = potential_coefficients(as_crystal(silicon), 300, 1.0)
    assert coupled_to_direct_beam(potential, np.zeros((1, 3), dtype=int)).tolist() == [True]
