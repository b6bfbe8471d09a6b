"""Templates tilted to where the bright disks are excited, against kinematics and dynamics."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.mapping.spot_patterns import Spots
from pyxem_mlmaps.mapping.template_match import Camera, _reflections, tilted_onto
from pyxem_mlmaps.mapping.tilt_match import EXCITED, LIKELY, SPAN, UNLIKELY, excited_tilt
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients

BEAM = mlmaps.Beam(300, 1.5)
CAMERA = Camera((63.5, 63.5), 0.02, 4.0)
REACH = 1.2


def direction(matrix):
    """Degrees of the crystal's tilt from the beam, x and y."""
    return np.degrees(np.arcsin(matrix[:2, 2]))


@pytest.fixture(scope="module", params=["uo2", "zirconium"])
def crystal(request):
    return as_crystal(getattr(data, request.param)())


def kinematical(crystal, matrix):
    """Places (Å⁻¹), compressed counts, g and strengths of the reflections near the sphere."""
    hkl, g = _reflections(crystal, REACH)
    strength = np.abs(potential_coefficients(crystal, BEAM.energy, 1.3)(hkl)) ** 0.5
    turned = g @ matrix.T
    excitation = turned[:, 2] + np.sum(turned**2, axis=1) / (2 * BEAM.wavenumber)
    bright = strength * np.exp(-0.5 * (excitation / EXCITED) ** 2)
    seen = bright > 0.15 * bright.max()
    return turned[seen, :2], bright[seen], g, strength


@pytest.mark.parametrize("tilt", [(0, 0), (1.5, 0), (-1, 2), (2.5, -1.5)])
def test_kinematical_patterns(crystal, tilt):
    """A template off by up to three degrees comes back, less what its own odds hold it by."""
    true = conventions.in_plane_matrix(20.0) @ conventions.tilt_matrix(14.0, -9.0)
    places, seen, g, strength = kinematical(crystal, true)
    template = conventions.tilt_matrix(*tilt) @ true
    found = excited_tilt(template, places, seen, g, strength, BEAM.wavenumber, 0.02)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
    off = found @ true.T
    assert np.degrees(np.arccos(np.clip(off[2, 2], -1, 1))) < 0.4 + 0.15 * np.hypot(*tilt)


def test_frame(crystal):
    """Turned pattern and template: the same answer, turned."""
    true = conventions.tilt_matrix(14.0, -9.0)
    places, seen, g, strength = kinematical(crystal, true)
    template = conventions.tilt_matrix(1.0, 0.5) @ true
    one = excited_tilt(template, places, seen, g, strength, BEAM.wavenumber, 0.02)
    quarter = conventions.in_plane_matrix(90.0)
    other = excited_tilt(
        quarter @ template, places @ quarter[:2, :2].T, seen, g, strength, BEAM.wavenumber, 0.02
    )
    np.testing.assert_allclose(other, quarter @ one, atol=1e-9)


def test_brightness_does_not_matter(crystal):
    true = conventions.tilt_matrix(14.0, -9.0)
    places, seen, g, strength = kinematical(crystal, true)
    arguments = (g, strength, BEAM.wavenumber, 0.02)
    one = excited_tilt(true, places, seen, *arguments)
    other = excited_tilt(true, places, 1e6 * seen, *arguments)
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_nothing_seen(crystal):
    """A template without a disk stays where it is."""
    g = _reflections(crystal, REACH)[1]
    true = conventions.tilt_matrix(14.0, -9.0)
    arguments = (g, np.ones(len(g)), BEAM.wavenumber, 0.02)
    assert excited_tilt(true, np.empty((0, 2)), np.empty(0), *arguments) is true
    far = np.array([[50.0, 50.0]])
    assert excited_tilt(true, far, np.ones(1), *arguments) is true


def test_never_far(crystal):
    """Noise leads a template astray by no more than the square that is looked at."""
    rng = np.random.default_rng(0)
    true = conventions.tilt_matrix(14.0, -9.0)
    for _ in range(5):
        spots = Spots(rng.uniform(0, 127, (30, 2)), rng.uniform(1, 100, 30))
        found = tilted_onto(true, spots, crystal, BEAM, CAMERA, (128, 128))
        tilted = found @ true.T
        assert np.all(np.abs(direction(tilted)) < SPAN + 0.5)
    assert UNLIKELY > 0 and LIKELY > 0
