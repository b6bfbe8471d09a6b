"""Fourier coefficients of the crystal potential, from abTEM's structure factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.specs import Beam

__all__ = [
    "PotentialCoefficients",
    "potential_coefficients",
    "relativistic_factor",
    "thermal_absorption",
]

Complex = NDArray[np.complexfloating]
Float = NDArray[np.floating]
Index = NDArray[np.integer]


def relativistic_factor(energy: float) -> float:
    """γ = 1 + E/mc² for E in keV."""
    return 1 + energy / 510.99895


@dataclass(frozen=True)
class PotentialCoefficients:
    """U_g of a crystal on a grid of Miller indices.

    Parameters
    ----------
    grid
        (2H+1, 2K+1, 2L+1) complex, U_hkl in Å⁻² at ``grid[h + H, k + K, l + L]``.
    """

    grid: Complex

    def __call__(self, hkl: Index) -> Complex:
        """U of reflections ``hkl`` (..., 3); zero beyond the grid."""
        hkl = np.asarray(hkl)
        half = (np.array(self.grid.shape) - 1) // 2
        inside = np.all(np.abs(hkl) <= half, axis=-1)
        index = np.where(inside[..., None], hkl + half, 0)
        return np.where(inside, self.grid[index[..., 0], index[..., 1], index[..., 2]], 0)

    def matrix(self, hkl: Index) -> Complex:
        """(n, n) matrix U_{g-h} of beams ``hkl`` (n, 3), zero on the diagonal's mean term.

        U_0 only changes the wavelength inside the foil, by the same phase for all beams, and is
        left out.
        """
        hkl = np.asarray(hkl)
        half = (np.array(self.grid.shape) - 1) // 2
        more = np.maximum(hkl.max(axis=0) - hkl.min(axis=0) - half, 0)
        grid = np.pad(self.grid, [(int(n), int(n)) for n in more])
        # differences of places in the flat grid are places of differences
        place = hkl @ np.array([grid.shape[1] * grid.shape[2], grid.shape[2], 1])
        matrix = grid.ravel()[place[:, None] - place[None, :] + grid.size // 2]
        np.fill_diagonal(matrix, 0)
        return matrix

    @classmethod
    def on_grid(cls, hkl: Index, values: Complex) -> PotentialCoefficients:
        """From (n, 3) Miller indices and their (n,) coefficients."""
        half = np.abs(hkl).max(axis=0)
        grid = np.zeros(tuple(2 * half + 1), dtype=complex)
        grid[tuple((hkl + half).T)] = values
        return cls(grid)


def potential_coefficients(
    crystal: Crystal, energy: float, g_max: float, parametrization: str = "lobato"
) -> PotentialCoefficients:
    """Elastic U_g = γ F_g / (πΩ) (Spence & Zuo 1992, eq. 3.9) with the Debye-Waller factor.

    The factors are abTEM's (V(r) = Σ V_g exp(2πi g·r)), so the equations of motion need U_{g-h}.

    Parameters
    ----------
    crystal
        Unit cell with σ of each atom.
    energy
        keV.
    g_max
        Largest |g| in Å⁻¹; for a matrix of beams up to G it is 2G.
    parametrization
        abTEM's name of the electron scattering factors.

    Returns
    -------
    PotentialCoefficients
        U_g in Å⁻². GaSb at 300 keV, σ = 0.082 and 0.093 Å: U_0 = 0.163, |U_220| = 0.073.
    """
    from abtem.bloch import StructureFactor
    from abtem.bloch.dynamical import kappa
    from abtem.core.energy import energy2sigma, energy2wavelength

    factors = StructureFactor(
        crystal.to_ase(),
        g_max=g_max,
        parametrization=parametrization,
        thermal_sigma=list(crystal.sigma),
        occupancy=list(crystal.occupancy),
        cutoff="hard",
        centering="P",
    )
    values = np.asarray(factors.build(lazy=False).array, dtype=complex)
    hkl = np.asarray(factors.hkl)
    volts = 1e3 * energy
    scale = energy2sigma(volts) / (kappa * energy2wavelength(volts) * np.pi)
    return PotentialCoefficients.on_grid(hkl, scale * values)


def thermal_absorption(
    crystal: Crystal,
    energy: float,
    g_max: float,
    parametrization: str = "lobato",
    scale: float | dict[str, float] = 1.0,
) -> PotentialCoefficients:
    """Absorptive U'_g by thermal diffuse scattering of independently vibrating atoms.

    For a thermally averaged phase grating exp(iφ) the absorptive phase is half the variance of φ
    (Hall & Hirsch 1965, Proc. R. Soc. A 286, 158; Bird & King 1990, Acta Cryst. A46, 202). With
    φ̃(q) = λγ f(q) for one atom and M(q) = 2π²σ²q²::

        f'(g) = ½ λγ ∫ f(|g/2 + q|) f(|g/2 - q|) [e^{-M(g)} - e^{-M(g/2 + q) - M(g/2 - q)}] d²q

    and U'_g = γ/(πΩ) Σ f'_j exp(-2πi g·r_j). Nothing is fitted: with these coefficients the
    published GaSb library is met with factors of 0.90 (Ga) and 0.67 (Sb) on f'.

    Parameters
    ----------
    crystal, energy, g_max, parametrization
        As for :func:`potential_coefficients`.
    scale
        Factor on f', one for all or one for each element.

    Returns
    -------
    PotentialCoefficients
        U'_g in Å⁻². GaSb as above: U'_0 = 0.0046, 2.8 % of U_0.
    """
    from ase.data import atomic_numbers

    reciprocal = crystal.reciprocal
    limit = np.floor(g_max * np.linalg.norm(crystal.cell, axis=1) + 1e-9).astype(int)
    hkl = np.stack(
        np.meshgrid(*[np.arange(-n, n + 1) for n in limit], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    length = np.linalg.norm(hkl @ reciprocal, axis=1)
    hkl, length = hkl[length <= g_max], length[length <= g_max]
    wavelength = Beam(energy, 0).wavelength
    gamma = relativistic_factor(energy)
    values = np.zeros(len(hkl), dtype=complex)
    for symbol, sigma, occupancy in sorted(
        set(zip(crystal.symbols, crystal.sigma, crystal.occupancy, strict=True))
    ):
        same = [
            i
            for i, kind in enumerate(
                zip(crystal.symbols, crystal.sigma, crystal.occupancy, strict=True)
            )
            if kind == (symbol, sigma, occupancy)
        ]
        phases = np.exp(-2j * np.pi * hkl @ crystal.positions[same].T).sum(axis=1)
        form = _thermal_form_factor(
            _scattering_factor(atomic_numbers[symbol], parametrization), sigma, g_max
        )
        factor = scale[symbol] if isinstance(scale, dict) else scale
        values += factor * occupancy * wavelength * gamma / 2 * form(length) * phases
    volume = abs(np.linalg.det(crystal.cell))
    return PotentialCoefficients.on_grid(hkl, gamma / (np.pi * volume) * values)


def _scattering_factor(atomic_number: int, parametrization: str) -> Callable[[Float], Float]:
    """f(g²) in Å, g in Å⁻¹."""
    from abtem.parametrizations import validate_parametrization

    return validate_parametrization(parametrization).scattering_factor(atomic_number)


def _thermal_form_factor(factor: Callable, sigma: float, g_max: float) -> Callable[[Float], Float]:
    """The integral of :func:`thermal_absorption`, tabulated to g_max and interpolated."""
    nodes, weights = np.polynomial.legendre.leggauss(96)
    u, q_max = (nodes + 1) / 2, 14.0  # Å⁻¹: f² falls as q⁻⁴ from there, the tail is analytic
    q = q_max * u[:, None] ** 2
    area = weights / 2 * q_max * 2 * u * q[:, 0] * 2 * np.pi
    cosine = np.cos((np.arange(64) + 0.5) / 64 * 2 * np.pi)
    damping = 2 * np.pi**2 * sigma**2
    lengths = np.linspace(0, g_max, 61)
    table = []
    for g in lengths:
        plus = g**2 / 4 + q**2 + g * q * cosine
        minus = g**2 / 4 + q**2 - g * q * cosine
        lost = np.exp(-damping * g**2) - np.exp(-damping * (plus + minus))
        tail = np.exp(-damping * g**2) - np.exp(-damping * (g**2 / 2 + 2 * q_max**2))
        tail *= np.pi * q_max**2 * factor(np.array([q_max**2])).item() ** 2
        table.append(np.sum(area * (factor(plus) * factor(minus) * lost).mean(axis=1)) + tail)
    return make_interp_spline(lengths, table)
