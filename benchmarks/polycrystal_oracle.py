"""Synthetic polycrystals whose disks py4DSTEM computed: its potential, its absorption.

Weickenmeier-Kohl factors with core and phonon absorption ("WK-CP"), Bloch waves by
diagonalisation; only the list of beams comes from this package.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import numpy as np

from pyxem_mlmaps import conventions
from pyxem_mlmaps.data import _subgrains
from pyxem_mlmaps.simulation.aperture import aperture_margin, average_over_aperture
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.mixed_scan import DiskSet
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients

G_MAX = 2.5
STEP = 0.02


@contextmanager
def patterns_by_py4dstem():
    """Within it ``data.polycrystal`` takes its disks from py4DSTEM."""
    kept = dict(_subgrains._cache)
    _subgrains._cache.clear()
    with mock.patch.object(_subgrains.SubgrainOrder, "simulate", _simulate):
        yield
    _subgrains._cache.clear()
    _subgrains._cache.update(kept)


def _simulate(order):
    from ase.data import atomic_numbers
    from emdfile import PointList
    from py4DSTEM.process.diffraction import Crystal

    crystal, beam = order.crystal, order.beam
    hkl, g = select_beams(crystal.reciprocal, order.base, beam.wavelength, G_MAX, None)
    coupled = coupled_to_direct_beam(
        potential_coefficients(crystal, beam.energy, 2 * G_MAX + 0.01), hkl
    )
    hkl, g = hkl[coupled], g[coupled]
    numbers = [atomic_numbers[s] for s in crystal.symbols]
    # their beam runs against z: reflections off the zero Laue zone need the other sign
    cell = crystal.cell @ order.base.T * [1, 1, -1]
    other = Crystal(crystal.positions, numbers, cell)
    other.calculate_dynamical_structure_factors(
        1e3 * beam.energy,
        method="WK-CP",
        k_max=2 * G_MAX + 0.01,
        thermal_sigma={n: float(s) for n, s in zip(numbers, crystal.sigma, strict=True)},
    )
    names = ("qx", "qy", "intensity", "h", "k", "l")
    table = np.zeros(len(hkl), dtype=[(n, "i8" if n in "hkl" else "f8") for n in names])
    for name, column in zip("hkl", hkl.T, strict=True):
        table[name] = column
    table["qx"], table["qy"] = g[:, 0], g[:, 1]
    keep = np.flatnonzero(order.optics.shows(g))
    radius = beam.convergence_angle * 1e-3 / np.radians(STEP)
    skirt = order.optics.skirt * order.optics.degrees_per_pixel
    half = max(2, int(np.ceil((order.bend + skirt) / STEP)))
    margin = aperture_margin(radius)
    axis = STEP * np.arange(-half - margin, half + margin + 1)
    maps = np.empty((len(axis), len(axis), len(order.thickness), len(keep)), dtype=np.float32)
    for i, tilt_x in enumerate(axis):
        for j, tilt_y in enumerate(axis):
            x, y = -conventions.transverse_wavevector(1.0, tilt_x, tilt_y)
            out = other.generate_dynamical_diffraction_pattern(
                PointList(table.copy()),
                list(10 * order.thickness),
                zone_axis_cartesian=np.array([x, y, np.sqrt(1 - x * x - y * y)]),
                foil_normal_cartesian=np.array([0.0, 0.0, 1.0]),
            )
            maps[i, j] = np.array([p.data["intensity"] for p in out])[:, keep]
    disks = average_over_aperture(maps, radius)
    tilt = axis[margin : len(axis) - margin]
    bright = disks.mean(axis=(0, 1, 2)) > _subgrains.FAINTEST
    fit = LibrarySpline.fit
    return DiskSet(
        fit(maps[..., bright], axis, axis, order.thickness),
        fit(disks[..., bright], tilt, tilt, order.thickness),
        g[keep][bright],
    )
