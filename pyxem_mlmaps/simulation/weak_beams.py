"""Weak beams by perturbation theory: their effect on the strong ones, without propagating them.

A beam far from the Ewald sphere carries little, but hundreds of them together shift phases and
intensities of the others. Löwdin's partitioning (Löwdin 1951, J. Chem. Phys. 19, 1396; Bethe's
potentials are its lowest order, Bethe 1928, Ann. Phys. 392, 55) replaces them by what they do to
the strong beams. With H = diag(s) + λ(U + iU')/2 split into strong (s) and weak (w) beams, the
slow solutions of dψ/dz = 2πi H ψ are ψ_w = W ψ_s, W = -H_ww⁻¹ H_ws, and follow

    A = H_ss + H_sw W,    (1 + B) dψ_s/dz = 2πi A ψ_s,    B = H_sw H_ww⁻¹ H_ww⁻¹ H_ws

to second order in the strong beams' own excitation errors over those of the weak ones. In
χ = (1 + B)^½ ψ_s this is one smaller matrix, S A S with S = (1 + B)^-½.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.propagation import march

__all__ = ["FoldedBeams", "fold_weak_beams", "propagate_folded"]

Float = NDArray[np.floating]
Complex = NDArray[np.complexfloating]

LARGEST_ERROR = 0.4
"""Å, of |H_sw H_ww⁻³ H_ws e_0|: what is neglected turns the phases by 2πt γ² times that, with γ of
0.003 Å⁻¹ by 0.014 in 60 nm. With a limit of 0.02 Å⁻¹ general directions have 0.1 to 0.3, dense
zone axes, where beams far from the sphere take part in bound states, up to 28."""


class FoldedBeams(NamedTuple):
    """``strong`` (n_strong,) the beams that are left, the direct beam first; ``generator``
    (n_strong, n_strong) in Å⁻¹, dχ/dz = 2πi generator χ; ``start`` (n_strong,) χ at the surface;
    ``out`` (n_keep, n_strong) from χ to the amplitudes of the wanted beams."""

    strong: NDArray[np.integer]
    generator: Complex
    start: Complex
    out: Complex


def fold_weak_beams(
    structure_matrix: Complex,
    excitation: Float,
    wavelength: float,
    keep: NDArray[np.integer],
    limit: float,
) -> FoldedBeams:
    """Fold all beams with ``|s|`` above a limit into the others.

    Parameters
    ----------
    structure_matrix
        (n_beam, n_beam) U_{g-h} + iU'_{g-h} in Å⁻². Beam 0 is the direct beam.
    excitation
        (n_beam,) excitation errors in Å⁻¹.
    wavelength
        Å.
    keep
        (n_keep,) indices of the beams whose amplitudes are wanted; they are never folded.
    limit
        Å⁻¹. Near a dense zone axis it is raised until folding is accurate.
    """
    while True:
        near = np.abs(excitation) <= limit
        near[keep] = True
        near[0] = True
        folded, error = _fold(structure_matrix, excitation, wavelength, keep, near)
        if error <= LARGEST_ERROR:
            return folded
        limit *= 1.5


def _fold(
    structure_matrix: Complex,
    excitation: Float,
    wavelength: float,
    keep: NDArray[np.integer],
    near: NDArray[np.bool_],
) -> tuple[FoldedBeams, float]:
    """Fold all beams that are not ``near``; how much is neglected, see LARGEST_ERROR."""
    strong, weak = np.flatnonzero(near), np.flatnonzero(~near)
    half = 0.5 * wavelength
    strong_strong = half * structure_matrix[np.ix_(strong, strong)] + np.diag(excitation[strong])
    places = np.searchsorted(strong, keep)
    if not len(weak):
        unit = np.eye(len(strong), dtype=complex)
        return FoldedBeams(strong, strong_strong, unit[0], unit[places]), 0.0
    to_weak = half * structure_matrix[np.ix_(weak, strong)]
    from_weak = half * structure_matrix[np.ix_(strong, weak)]
    block = half * structure_matrix[np.ix_(weak, weak)] + np.diag(excitation[weak])
    factors = scipy.linalg.lu_factor(block.astype(np.complex64), check_finite=False)

    def solve(columns: Complex, transposed: bool = False) -> Complex:
        columns = columns.astype(np.complex64)
        return scipy.linalg.lu_solve(factors, columns, trans=int(transposed), check_finite=False)

    # H_ww⁻¹ H_ws and H_sw H_ww⁻¹: not each other's adjoint, since absorption is not Hermitian
    right, left = solve(to_weak), solve(from_weak.T, transposed=True).T
    once_more = solve(right[:, 0])
    error = float(np.linalg.norm(left @ once_more))
    root = _inverse_root(left @ right)
    generator = root @ (strong_strong - from_weak @ right) @ root
    return FoldedBeams(strong, generator, root[:, 0], root[places]), error


def _inverse_root(small: Complex) -> Complex:
    """(1 + B)^-½ by its series: B is a few percent."""
    total = np.eye(len(small), dtype=complex)
    term, factor = total, 1.0
    for n in range(1, 7):
        factor *= -(n - 0.5) / n
        term = term @ small
        total = total + factor * term
    return total


def propagate_folded(
    folded: FoldedBeams,
    deviation: Float,
    thickness: Float,
    step: float = 12.5,
) -> Float:
    """Intensities of the wanted beams for tilts close to the one that beams were folded at.

    Strang's splitting between the folded matrix, which all tilts share, and each tilt's own phases.

    Parameters
    ----------
    folded
        At the mean of the tilts.
    deviation
        (n_tilt, n_beam) excitation errors less those that the beams were folded at, Å⁻¹.
    thickness
        (n_thickness,) ascending, Å.
    step
        Largest step in Å.

    Returns
    -------
    numpy.ndarray
        (n_tilt, n_thickness, n_keep) float32, in fractions of the incident beam.
    """
    phases = 2j * np.pi * deviation[:, folded.strong].T
    chi = np.repeat(folded.start[:, None], len(deviation), axis=1).astype(np.complex64)
    out = folded.out.astype(np.complex64)
    return march(
        chi,
        thickness,
        step,
        lambda dz: _StrangStep(folded.generator, phases, dz),
        lambda w: out @ w,
    )


class _StrangStep:
    """Half of the phases, the matrix, half of the phases; halves are merged."""

    def __init__(self, generator: Complex, phases: Complex, dz: float) -> None:
        self.matrix = scipy.linalg.expm(2j * np.pi * dz * generator).astype(np.complex64)
        self.half = np.exp(phases * (dz / 2)).astype(np.complex64)
        self.whole = self.half * self.half

    def advance(self, psi: Complex, n_step: int) -> Complex:
        psi = psi * self.half
        for n in range(n_step):
            psi = self.matrix @ psi
            psi *= self.whole if n < n_step - 1 else self.half
        return psi
