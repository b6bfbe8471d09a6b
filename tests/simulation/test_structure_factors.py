"""Fourier coefficients of the potential: sums over atoms, extinctions, Debye-Waller, absorption."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from pyxem_mlmaps import Beam
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.structure_factors import (
    PotentialCoefficients,
    potential_coefficients,
    relativistic_factor,
    thermal_absorption,
)

ENERGY = 300.0


def lobato(symbol):
    """f_e(g²) in Å of abTEM's Lobato table, no thermal motion."""
    from abtem.parametrizations import LobatoParametrization

    return LobatoParametrization().scattering_factor(symbol)


def explicit_sum(crystal, hkl, sigma):
    """U_g = γ/(πΩ) Σ f(g) exp(−2π²σ²g²) exp(−2πi g·r) atom by atom."""
    g2 = np.sum((hkl @ crystal.reciprocal) ** 2, axis=1)
    total = np.zeros(len(hkl), dtype=complex)
    for symbol, xyz in zip(crystal.symbols, crystal.positions, strict=True):
        factor = np.array([float(np.squeeze(lobato(symbol)(np.array([q])))) for q in g2])
        damped = factor * np.exp(-2 * np.pi**2 * sigma**2 * g2)
        total += damped * np.exp(-2j * np.pi * hkl @ xyz)
    volume = abs(np.linalg.det(crystal.cell))
    return relativistic_factor(ENERGY) / (np.pi * volume) * total


INDICES = np.array([(1, 1, 1), (2, 2, 0), (-1, 3, 1), (0, 0, 4), (3, -3, 1), (0, 0, 0), (2, 0, 0)])


class TestElastic:
    @pytest.mark.parametrize("sigma", [0.0, 0.085])
    def test_sum_over_atoms(self, gasb, sigma):
        crystal = as_crystal(gasb, debye_waller=sigma)
        got = potential_coefficients(crystal, ENERGY, 2.0)(INDICES)
        expected = explicit_sum(crystal, INDICES, sigma)
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-6)

    def test_literature_value_of_silicon(self):
        """V_111 and V_220 of Si: 5.3 and 4.4 V at room temperature, within 5 % of any table.

        Extinction distances 602 Å and 757 Å at 100 kV (Hirsch et al. 1965, appendix).
        """
        crystal = as_crystal(bulk("Si", a=5.431, cubic=True), debye_waller=0.0)
        wavelength = Beam(100, 0).wavelength
        u = potential_coefficients(crystal, 100.0, 1.0)
        extinction = 1 / (wavelength * np.abs(u(np.array([(1, 1, 1), (2, 2, 0)]))))
        np.testing.assert_allclose(extinction, [602, 757], rtol=0.05)

    def test_friedel(self, gasb):
        """A real potential: U_{-g} = conj(U_g)."""
        u = potential_coefficients(as_crystal(gasb), ENERGY, 2.0)
        np.testing.assert_allclose(u(-INDICES), np.conj(u(INDICES)), atol=1e-9)
        matrix = u.matrix(INDICES)
        np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-9)
        np.testing.assert_array_equal(np.diag(matrix), 0)

    def test_polarity_is_in_the_phases(self, gasb):
        """Zinc blende has no centre: U_111 is complex whatever the origin, Si's can be real."""
        u = potential_coefficients(as_crystal(gasb), ENERGY, 2.0)
        triple = u(np.array([(1, 1, 1), (1, -1, -1), (-2, 0, 0)])).prod()
        assert abs(triple.imag) > 0.1 * abs(triple)

    @pytest.mark.parametrize("hkl", [(2, 0, 0), (0, 2, 2 * 0), (4, 2, 0), (1, 0, 0), (2, 1, 1)])
    def test_extinctions_of_diamond(self, silicon, hkl):
        u = potential_coefficients(as_crystal(silicon), ENERGY, 2.0)
        allowed = abs(u(np.array([(2, 2, 0)]))[0])
        assert abs(u(np.array([hkl]))[0]) < 1e-6 * allowed

    def test_debye_waller(self, silicon):
        """Intensities fall as exp(−4π²σ²g²), amplitudes as exp(−2π²σ²g²)."""
        sigma = 0.12
        hkl = np.array([(1, 1, 1), (2, 2, 0), (3, 1, 1), (4, 4, 0), (0, 0, 0)])
        crystal = as_crystal(silicon, debye_waller=0.0)
        cold = potential_coefficients(crystal, ENERGY, 2.0)(hkl)
        warm = potential_coefficients(as_crystal(silicon, sigma), ENERGY, 2.0)(hkl)
        g2 = np.sum((hkl @ crystal.reciprocal) ** 2, axis=1)
        np.testing.assert_allclose(
            np.abs(warm / cold), np.exp(-2 * np.pi**2 * sigma**2 * g2), rtol=1e-4
        )

    def test_relativity(self, silicon):
        """U grows with the electron's mass and with nothing else."""
        crystal = as_crystal(silicon)
        ratio = np.abs(
            potential_coefficients(crystal, 300, 1.0)(INDICES[:2])
            / potential_coefficients(crystal, 80, 1.0)(INDICES[:2])
        )
        np.testing.assert_allclose(
            ratio, relativistic_factor(300) / relativistic_factor(80), rtol=1e-5
        )
        assert relativistic_factor(300) == pytest.approx(1.58708, rel=1e-5)

    def test_documented_numbers(self, gasb):
        u = potential_coefficients(as_crystal(gasb, {"Ga": 0.082, "Sb": 0.093}), ENERGY, 1.0)
        assert u(np.zeros(3, dtype=int)).real == pytest.approx(0.163, abs=1e-3)
        assert abs(u(np.array([2, 2, 0]))) == pytest.approx(0.073, abs=1e-3)

    def test_occupancy(self, gasb):
        """Half the occupancy, half the potential."""
        from dataclasses import replace

        crystal = as_crystal(gasb)
        half = replace(crystal, occupancy=crystal.occupancy / 2)
        for function in (potential_coefficients, thermal_absorption):
            np.testing.assert_allclose(
                function(half, ENERGY, 1.0).grid, function(crystal, ENERGY, 1.0).grid / 2,
                rtol=1e-5, atol=1e-10,
            )  # fmt: skip

    def test_beyond_the_grid_is_zero(self):
        u = PotentialCoefficients(np.ones((3, 3, 3), dtype=complex))
        np.testing.assert_array_equal(u(np.array([(1, 1, 1), (2, 0, 0), (0, 0, -2)])), [1, 0, 0])


class TestThermalAbsorption:
    def test_frozen_lattice_absorbs_nothing(self, gasb):
        loss = thermal_absorption(as_crystal(gasb, 0.0), ENERGY, 1.0)
        np.testing.assert_allclose(loss.grid, 0, atol=1e-15)

    def test_small_positive_and_growing(self, gasb):
        values = []
        for sigma in (0.04, 0.08, 0.12):
            crystal = as_crystal(gasb, sigma)
            loss = thermal_absorption(crystal, ENERGY, 1.0)(np.zeros(3, dtype=int))
            mean = potential_coefficients(crystal, ENERGY, 1.0)(np.zeros(3, dtype=int)).real
            assert abs(loss.imag) < 1e-12 and 0 < loss.real < 0.1 * mean
            values.append(loss.real)
        assert values[0] < values[1] < values[2]

    def test_friedel(self, gasb):
        loss = thermal_absorption(as_crystal(gasb), ENERGY, 1.5)
        np.testing.assert_allclose(loss(-INDICES), np.conj(loss(INDICES)), atol=1e-14)

    @pytest.mark.parametrize("symbol", ["Al", "Au"])
    @pytest.mark.parametrize("sigma", [0.05, 0.1])
    def test_mean_is_what_one_atom_scatters_diffusely(self, symbol, sigma):
        """f'(0) = ½λγ ∫ f² (1 − e^{−2M}) d²q, by quadrature on another grid."""
        from scipy.integrate import quad

        crystal = as_crystal(bulk(symbol, "fcc", a=4.05, cubic=True), sigma)
        factor = lobato(symbol)

        def integrand(q):
            f = float(np.squeeze(factor(np.array([q * q]))))
            return 2 * np.pi * q * f**2 * (1 - np.exp(-4 * np.pi**2 * sigma**2 * q**2))

        integral = sum(
            quad(integrand, low, high, limit=400)[0] for low, high in ((0, 3), (3, 40), (40, 4000))
        )
        gamma = relativistic_factor(ENERGY)
        one_atom = 0.5 * Beam(ENERGY, 0).wavelength * gamma * integral
        expected = 4 * gamma / (np.pi * 4.05**3) * one_atom
        got = thermal_absorption(crystal, ENERGY, 1.0)(np.zeros(3, dtype=int)).real
        assert got == pytest.approx(expected, rel=2e-3)

    @pytest.mark.parametrize("g", [0.4, 1.5, 4.0, 8.0])
    def test_form_factor_in_two_dimensions(self, g):
        """f'(g) against a plain sum over a cartesian grid of q, both atoms' peaks resolved."""
        from pyxem_mlmaps.simulation.structure_factors import _thermal_form_factor

        factor, sigma, step = lobato("Ga"), 0.085, 0.02
        x = np.arange(-30, 30, step) + step / 2
        y = np.arange(0, 30, step) + step / 2
        plus = (x[:, None] + g / 2) ** 2 + y**2
        minus = (x[:, None] - g / 2) ** 2 + y**2
        damping = 2 * np.pi**2 * sigma**2
        lost = np.exp(-damping * g**2) - np.exp(-damping * (plus + minus))
        inside = x[:, None] ** 2 + y**2 <= 900
        form = factor(plus.ravel()) * factor(minus.ravel())
        grid = 2 * step**2 * np.sum(form.reshape(plus.shape) * lost * inside)
        grid += np.exp(-damping * g**2) * np.pi * 900 * factor(np.array([900.0])).item() ** 2
        zero = _thermal_form_factor(factor, sigma, 10.0)(0.0)
        assert abs(_thermal_form_factor(factor, sigma, 10.0)(g) - grid) < 2e-3 * zero

    def test_cross_section_in_flux(self, gasb):
        """2πλU'_0 t is the fraction lost in a thin foil: a few percent in 10 nm of GaSb."""
        loss = thermal_absorption(as_crystal(gasb), ENERGY, 1.0)(np.zeros(3, dtype=int)).real
        lost = 2 * np.pi * Beam(ENERGY, 0).wavelength * loss * 100
        assert 0.005 < lost < 0.1

    def test_sites_have_the_crystal_s_phases(self, silicon):
        """All atoms alike: U' has the geometric structure factor of U."""
        crystal = as_crystal(silicon, 0.08)
        hkl = np.array([(1, 1, 1), (2, 2, 0), (3, 1, 1)])
        loss = thermal_absorption(crystal, ENERGY, 1.0)(hkl)
        elastic = potential_coefficients(crystal, ENERGY, 1.0)(hkl)
        np.testing.assert_allclose(np.angle(loss / elastic), 0, atol=1e-5)
        np.testing.assert_allclose(
            thermal_absorption(crystal, ENERGY, 1.0)(np.array([2, 0, 0])), 0, atol=1e-12
        )
