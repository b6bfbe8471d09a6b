"""The same beams through py4DSTEM's Bloch-wave solver: an independent code's intensities."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import Beam, conventions, simulate_rocking
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.propagation import excitation_errors, propagate, propagate_exact
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients

pytest.importorskip("py4DSTEM", reason="py4DSTEM is an extra; it is the oracle of these tests")

if int(np.__version__.split(".")[0]) >= 2:
    pytest.skip("py4DSTEM 0.14 needs numpy < 2", allow_module_level=True)

ENERGY, G_MAX, ZONE = 300.0, 1.5, (1, 1, 0)
TILTS = [(0.0, 0.0), (0.35, -0.2), (-0.3, 0.45)]
"""Degrees, within a library's usual range. py4DSTEM divides 2k·g + g² by 2|k + g|cos α and this
package by 2k_z: their R grows with tilt, to 1.2e-3 at 0.8° and 80 nm."""
THICKNESS = np.array([300.0, 800.0])
NUMBERS = {"Ga": 31, "Sb": 51, "Si": 14}


@pytest.fixture(scope="module", params=["GaSb", "Si"])
def case(request, gasb, silicon):
    crystal = as_crystal(gasb if request.param == "GaSb" else silicon, debye_waller=0.0)
    turn = conventions.rotation_to_detector_matrix(
        conventions.zone_axis_rotation(crystal.phase, ZONE)
    ).reshape(3, 3)
    hkl, g = select_beams(crystal.reciprocal, turn, Beam(ENERGY, 0).wavelength, G_MAX, ZONE)
    potential = potential_coefficients(crystal, ENERGY, 2 * G_MAX + 0.01)
    coupled = coupled_to_direct_beam(potential, hkl)
    return crystal, turn, hkl[coupled], g[coupled], potential


@pytest.fixture(scope="module")
def theirs(case):
    """The crystal in py4DSTEM, its cell in the detector frame."""
    from py4DSTEM.process.diffraction import Crystal

    crystal, turn, *_ = case
    other = Crystal(crystal.positions, [NUMBERS[s] for s in crystal.symbols], crystal.cell @ turn.T)
    other.calculate_dynamical_structure_factors(
        1e3 * ENERGY, method="Lobato", k_max=2 * G_MAX + 0.01
    )
    return other


def their_intensities(other, hkl, g, tilt):
    from emdfile import PointList

    names = ("qx", "qy", "intensity", "h", "k", "l")
    beams = np.zeros(len(hkl), dtype=[(n, "i8" if n in "hkl" else "f8") for n in names])
    for name, column in zip("hkl", hkl.T, strict=True):
        beams[name] = column
    beams["qx"], beams["qy"] = g[:, 0], g[:, 1]
    x, y = -conventions.transverse_wavevector(1.0, *tilt)  # −K_t/k0
    out = other.generate_dynamical_diffraction_pattern(
        PointList(beams),
        list(THICKNESS),
        zone_axis_cartesian=np.array([x, y, np.sqrt(1 - x * x - y * y)]),
        foil_normal_cartesian=np.array([0.0, 0.0, 1.0]),
    )
    return np.array([points.data["intensity"] for points in out])


def residual(intensity, reference):
    return np.abs(intensity - reference).sum() / reference.sum()


def test_potential(case, theirs):
    """U_g of both codes, whose factors carry opposite signs in the exponent."""
    _, _, hkl, _, potential = case
    ours = potential(hkl[1:])
    keys = [tuple(int(i) for i in -row) for row in hkl[1:]]
    other = np.array([theirs.Ug_dict.get(key, 0.0) for key in keys])
    assert np.abs(ours - other).max() < 1e-3 * np.abs(ours).max()


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("solver", [propagate, propagate_exact])
def test_intensities(case, theirs, tilt, solver):
    """R ≤ 1e-3 for every tilt and thickness; ``pytest -s`` prints them."""
    crystal, _, hkl, g, potential = case
    beam = Beam(ENERGY, 0)
    transverse = conventions.transverse_wavevector(beam.wavenumber, *tilt)[None]
    s = excitation_errors(g, transverse, beam.wavenumber)
    ours = solver(potential.matrix(hkl), s, THICKNESS, beam.wavelength, np.arange(len(hkl)))[0]
    reference = their_intensities(theirs, hkl, g, tilt)
    for depth, mine, other in zip(THICKNESS, ours, reference, strict=True):
        r = residual(mine, other)
        name = crystal.phase.name
        print(f"\n{name}, tilt {tilt}°, {depth / 10:g} nm, {solver.__name__}: R = {r:.1e}", end="")
        assert r <= 1e-3


def test_whole_simulator(case, theirs):
    """``simulate_rocking`` from crystal to disks, against py4DSTEM at three of its grid points."""
    crystal, _, hkl, g, _ = case
    keep = hkl[:15]
    library = simulate_rocking(
        crystal.phase,
        Beam(ENERGY, 0.0),
        zone_axis=ZONE,
        tilt_range=0.4,
        tilt_step=0.2,
        thickness=THICKNESS / 10,
        reflections=keep,
        absorption=0.0,
        debye_waller=0.0,
        g_max=G_MAX,
    )
    for x, y in ((2, 2), (3, 1), (0, 4)):
        tilt = library.tilt_x[x], library.tilt_y[y]
        reference = their_intensities(theirs, hkl, g, tilt)[:, : len(keep)]
        assert residual(library.intensities[x, y], reference) <= 1e-3
