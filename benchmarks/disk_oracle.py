"""Plane-wave maps from py4DSTEM's Bloch-wave solver: contrast that this package did not compute.

Lobato factors, no absorption and no thermal motion (py4DSTEM's Lobato has neither), so contrast is
stronger than in the other sets; only the list of beams comes from this package.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients

STEP = 0.02
"""Degrees of tilt between grid points."""


def plane_wave_maps(
    structure: Any, zone: tuple[int, int, int], beam: mlmaps.Beam, g_max: float, tilt: float,
    thickness: NDArray, wanted: NDArray,
) -> tuple[NDArray[np.float32], NDArray, NDArray]:  # fmt: skip
    """Maps, their tilt axis and the reflections' vectors.

    Parameters
    ----------
    structure
        Anything :func:`~pyxem_mlmaps.simulate_rocking` takes.
    g_max
        Cut-off of the beams, Å⁻¹.
    tilt
        Largest tilt on each axis, degrees.
    thickness
        (n_t,) nm.
    wanted
        (n_disk, 3) Miller indices.

    Returns
    -------
    maps : ndarray
        (n, n, n_t, n_disk) intensities over tilt x, tilt y.
    axis : ndarray
        (n,) degrees.
    vectors : ndarray
        (n_disk, 2) (ky, kx) in Å⁻¹.
    """
    from emdfile import PointList

    crystal = as_crystal(structure, debye_waller=0.0)
    rotation = conventions.zone_axis_rotation(crystal.phase, zone)
    turn = conventions.rotation_to_detector_matrix(rotation).reshape(3, 3)
    hkl, g = select_beams(crystal.reciprocal, turn, beam.wavelength, g_max, zone)
    coupled = coupled_to_direct_beam(
        potential_coefficients(crystal, beam.energy, 2 * g_max + 0.01), hkl
    )
    hkl, g = hkl[coupled], g[coupled]
    other = _their_crystal(crystal, turn, beam.energy, 2 * g_max + 0.01)
    names = ("qx", "qy", "intensity", "h", "k", "l")
    table = np.zeros(len(hkl), dtype=[(n, "i8" if n in "hkl" else "f8") for n in names])
    for name, column in zip("hkl", hkl.T, strict=True):
        table[name] = column
    table["qx"], table["qy"] = g[:, 0], g[:, 1]
    number = {tuple(row): i for i, row in enumerate(hkl.tolist())}
    keep = [number[tuple(row)] for row in wanted.tolist()]
    half = int(np.ceil(tilt / STEP))
    axis = STEP * np.arange(-half, half + 1)
    maps = np.empty((len(axis), len(axis), len(thickness), len(keep)), dtype=np.float32)
    for i, tilt_x in enumerate(axis):
        for j, tilt_y in enumerate(axis):
            x, y = -conventions.transverse_wavevector(1.0, tilt_x, tilt_y)
            found = other.generate_dynamical_diffraction_pattern(
                PointList(table.copy()),
                list(10 * np.asarray(thickness)),
                zone_axis_cartesian=np.array([x, y, np.sqrt(1 - x * x - y * y)]),
                foil_normal_cartesian=np.array([0.0, 0.0, 1.0]),
            )
            maps[i, j] = np.array([points.data["intensity"] for points in found])[:, keep]
    return maps, axis, g[keep][:, 1::-1]


def _their_crystal(crystal: Any, turn: NDArray, energy: float, k_max: float) -> Any:
    from ase.data import atomic_numbers
    from py4DSTEM.process.diffraction import Crystal

    numbers = [atomic_numbers[symbol] for symbol in crystal.symbols]
    other = Crystal(crystal.positions, numbers, crystal.cell @ turn.T)
    other.calculate_dynamical_structure_factors(1e3 * energy, method="Lobato", k_max=k_max)
    return other
