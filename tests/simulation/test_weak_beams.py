"""Folded beams against the diagonalisation of all of them."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.orientation_nodes import node_of
from pyxem_mlmaps.simulation.physics import OrientedCrystal
from pyxem_mlmaps.simulation.propagation import excitation_errors, propagate_exact
from pyxem_mlmaps.simulation.weak_beams import fold_weak_beams, propagate_folded

BEAM = mlmaps.Beam(300, 1.5)
THICKNESS = np.array([200.0, 500.0, 850.0])
GENERAL = ([0.82, 0.48, 0.31], [0.9, 0.3, 0.3], [0.75, 0.6, 0.28])
DENSE = ([0, 0, 1], [1, 1, 0], [1, 1, 1])


def oriented(direction, g_max=3.0, phase=None):
    """Setup of all beams, their excitation errors at one tilt, and twenty of them."""
    crystal = as_crystal(data.uo2() if phase is None else phase)
    matrix = node_of(np.array(direction, dtype=float), 0.8).matrix
    order = OrientedCrystal(
        crystal, BEAM, matrix, None, 0, "thermal", 1.0, True, 1.0, "lobato", 15.0
    )
    setup, _ = order.setup(g_max, THICKNESS / 10)
    wave = conventions.transverse_wavevector(BEAM.wavenumber, np.array([0.1]), np.array([0.05]))
    s = excitation_errors(setup.g, wave.reshape(-1, 2), BEAM.wavenumber)
    nearest = np.linalg.norm(setup.g[:, :2], axis=1) + 50 * np.abs(s[0])
    return setup, s, np.union1d(np.argsort(nearest)[:20], [0])


def difference(one, other):
    """R = Σ|ΔI| / ΣI."""
    return np.abs(one - other).sum() / other.sum()


def folded_intensities(setup, s, keep, limit=0.02):
    folded = fold_weak_beams(setup.matrix, s.mean(axis=0), BEAM.wavelength, keep, limit)
    out = propagate_folded(folded, s - s.mean(axis=0), THICKNESS)
    return out, len(folded.strong)


def both(direction, phase=None):
    """Intensities with folded beams, of all of them, and how many are left of how many."""
    setup, s, keep = oriented(direction, phase=phase)
    found, n_strong = folded_intensities(setup, s, keep)
    exact = propagate_exact(setup.matrix, s, THICKNESS, BEAM.wavelength, keep)
    return found, exact, n_strong, s.shape[1]


class TestAgainstDiagonalisation:
    @pytest.mark.parametrize("direction", GENERAL)
    def test_general_directions_agree_with_a_quarter_of_the_beams(self, direction):
        found, exact, n_strong, n_beam = both(direction)
        assert difference(found, exact) < 0.008
        assert n_strong < 0.3 * n_beam

    @pytest.mark.parametrize("direction", DENSE)
    def test_dense_zone_axes_keep_the_beams_that_they_need(self, direction):
        """Bound states reach far from the sphere: folding at the same limit would blow up."""
        found, exact, n_strong, _ = both(direction)
        assert difference(found, exact) < 0.008
        assert n_strong > folded_intensities(*oriented(GENERAL[0]))[1]

    def test_it_costs_less_than_leaving_the_beams_out(self):
        setup, s, keep = oriented(GENERAL[1])
        exact = propagate_exact(setup.matrix, s, THICKNESS, BEAM.wavelength, keep)
        folded, _ = folded_intensities(setup, s, keep)
        near = np.union1d(np.flatnonzero(np.abs(s[0]) <= 0.02), keep)
        cut = propagate_exact(
            setup.matrix[np.ix_(near, near)], s[:, near], THICKNESS, BEAM.wavelength,
            np.searchsorted(near, keep),
        )  # fmt: skip
        assert difference(folded, exact) < 0.1 * difference(cut, exact)

    def test_a_crystal_without_cubic_symmetry(self):
        found, exact, _, _ = both(GENERAL[0], phase=data.zirconium())
        assert difference(found, exact) < 0.008


class TestLimits:
    def test_the_error_falls_with_the_limit(self):
        setup, s, keep = oriented(GENERAL[2])
        exact = propagate_exact(setup.matrix, s, THICKNESS, BEAM.wavelength, keep)
        errors = [
            difference(folded_intensities(setup, s, keep, limit)[0], exact)
            for limit in (0.02, 0.04, 0.08)
        ]
        assert errors[0] > errors[1] > errors[2]

    def test_nothing_to_fold_is_the_whole_problem(self):
        setup, s, keep = oriented(GENERAL[0], g_max=1.5)
        found, n_strong = folded_intensities(setup, s, keep, limit=10.0)
        exact = propagate_exact(setup.matrix, s, THICKNESS, BEAM.wavelength, keep)
        assert n_strong == s.shape[1]
        assert difference(found, exact) < 1e-4

    def test_no_beam_is_brighter_than_what_came_in(self):
        for direction in (*GENERAL, *DENSE):
            found, _ = folded_intensities(*oriented(direction))
            assert np.all(found.sum(axis=-1) < 1)

    def test_tilts_of_a_tile(self):
        """Within 0.1° of where the beams were folded the error stays small."""
        setup, _, keep = oriented(GENERAL[0])
        tilts = np.array([[-0.1, -0.1], [0.1, 0.05], [0.0, 0.1], [0.1, -0.1], [-0.1, 0.05]])
        wave = conventions.transverse_wavevector(BEAM.wavenumber, *tilts.T)
        s = excitation_errors(setup.g, wave.reshape(-1, 2), BEAM.wavenumber)
        found, _ = folded_intensities(setup, s, keep)
        exact = propagate_exact(setup.matrix, s, THICKNESS, BEAM.wavelength, keep)
        assert difference(found, exact) < 0.012
