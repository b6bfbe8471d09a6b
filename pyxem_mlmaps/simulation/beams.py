"""Which beams take part: geometry of the reciprocal lattice, and nothing dynamical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from pyxem_mlmaps.simulation.structure_factors import PotentialCoefficients

__all__ = ["coupled_to_direct_beam", "laue_zone", "select_beams"]

Float = NDArray[np.floating]
Index = NDArray[np.integer]


def laue_zone(hkl: Index, zone_axis: tuple[int, int, int]) -> Index:
    """Order n = hu + kv + lw of the Laue zone of each reflection (0: ZOLZ)."""
    return np.asarray(hkl) @ np.asarray(zone_axis)


def select_beams(
    reciprocal: Float,
    to_detector: Float,
    wavelength: float,
    g_max: float,
    zone_axis: tuple[int, int, int] | None,
    laue_zones: int = 0,
) -> tuple[Index, Float]:
    """All beams within a cut-off, the direct beam first, then by |g|.

    Parameters
    ----------
    reciprocal
        (3, 3) rows a*, b*, c* in Å⁻¹, crystal frame.
    to_detector
        (3, 3) matrix from the crystal frame to the detector frame at zero tilt.
    wavelength
        Å.
    g_max
        Cut-off: |g| ≤ g_max. In a general orientation also no farther from the Ewald sphere than
        a reflection of the zero Laue zone at the cut-off is, |s_g| ≤ λ g_max² / 2; the upper zones
        of a zone axis are taken whole, since beams far from the sphere matter there.
    zone_axis
        [uvw] for a zone axis; None for a general orientation, where ``laue_zones`` does not count.
    laue_zones
        Highest |n| of the Laue zones wanted.

    Returns
    -------
    hkl : numpy.ndarray
        (n_beam, 3) Miller indices.
    g : numpy.ndarray
        (n_beam, 3) in Å⁻¹ in the detector frame.
    """
    cell = np.linalg.inv(reciprocal).T
    limit = np.floor(g_max * np.linalg.norm(cell, axis=1) + 1e-9).astype(int)
    ranges = [np.arange(-n, n + 1) for n in limit]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    g = hkl @ reciprocal @ to_detector.T
    length = np.linalg.norm(g, axis=1)
    inside = length <= g_max + 1e-9
    hkl, g, length = hkl[inside], g[inside], length[inside]
    if zone_axis is None:
        excitation = -(2 * g[:, 2] / wavelength + length**2) / (2 / wavelength)
        near = np.abs(excitation) <= wavelength * g_max**2 / 2 + 1e-9
    else:
        near = np.abs(laue_zone(hkl, zone_axis)) <= laue_zones
    hkl, g, length = hkl[near], g[near], length[near]
    order = np.lexsort((*hkl.T[::-1], np.round(length, 6)))
    return hkl[order], g[order]


def coupled_to_direct_beam(
    potential: PotentialCoefficients, hkl: Index, tolerance: float = 1e-5
) -> NDArray[np.bool_]:
    """Beams that any chain of scattering reaches from the direct beam, which is the first.

    Reflections forbidden by the lattice centring drop out; those forbidden by glide planes or
    screw axes stay, since double diffraction feeds them.
    """
    matrix = np.abs(potential.matrix(hkl))
    if matrix.size == 1:
        return np.ones(1, dtype=bool)
    _, label = connected_components(matrix > tolerance * matrix.max(), directed=False)
    return label == label[0]
