"""Propagation: the Ewald sphere, conservation, exact solutions, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import Beam, conventions
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.propagation import excitation_errors, propagate, propagate_exact
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients, thermal_absorption


@pytest.fixture(scope="module")
def case(gasb):
    """GaSb <110> at 300 kV with more than 100 beams: U, U', beams."""
    beam, crystal = Beam(300, 1.1), as_crystal(gasb)
    zone = (1, 1, 0)
    turn = conventions.rotation_to_detector_matrix(
        conventions.zone_axis_rotation(crystal.phase, zone)
    ).reshape(3, 3)
    hkl, g = select_beams(crystal.reciprocal, turn, beam.wavelength, 1.7, zone)
    elastic = potential_coefficients(crystal, 300, 3.5)
    coupled = coupled_to_direct_beam(elastic, hkl)
    hkl, g = hkl[coupled], g[coupled]
    loss = thermal_absorption(crystal, 300, 3.5)
    mean = loss(np.zeros(3, dtype=int)).real * np.eye(len(hkl))
    return beam, g, elastic.matrix(hkl), loss.matrix(hkl) + mean


def tile(beam, g, centre=(0.0, 0.0), half=0.2, n=5):
    tilt = np.linspace(-half, half, n)
    grid = np.meshgrid(centre[0] + tilt, centre[1] + tilt, indexing="ij")
    transverse = conventions.transverse_wavevector(beam.wavenumber, *grid).reshape(-1, 2)
    return excitation_errors(g, transverse, beam.wavenumber)


def residual(intensity, reference):
    return np.abs(intensity - reference).sum() / reference.sum()


class TestExcitationErrors:
    k0 = 50.8

    def test_bragg_condition(self):
        """K_t = −g/2 puts g on the sphere."""
        g = np.array([[0.4, 0.0, 0.0], [0.3, -0.5, 0.0]])
        s = excitation_errors(g, -g[:, :2] / 2, self.k0)
        np.testing.assert_allclose(np.diag(s), 0, atol=1e-15)

    def test_sign(self):
        """On the zone axis every zone reflection is outside the sphere: s < 0."""
        g = np.array([[0.5, 0.0, 0.0], [0.5, 0.0, -0.1]])
        s = excitation_errors(g, np.zeros((1, 2)), self.k0)[0]
        assert s[0] < 0 < s[1], "the second lies towards the source, inside"
        np.testing.assert_allclose(s[0], -(0.5**2) / (2 * self.k0))

    def test_distance_to_the_sphere(self):
        """s_g is the distance along the beam to the sphere, to first order in s/k0."""
        rng = np.random.default_rng(0)
        g = rng.normal(scale=(1, 1, 0.05), size=(40, 3))
        transverse = rng.normal(scale=0.5, size=(20, 2))
        k_z = np.sqrt(self.k0**2 - (transverse**2).sum(axis=1))[:, None]
        lateral = ((transverse[:, None] + g[:, :2]) ** 2).sum(axis=-1)
        exact = np.sqrt(self.k0**2 - lateral) - k_z - g[:, 2]
        s = excitation_errors(g, transverse, self.k0)
        shift = (s + g[:, 2]) ** 2 / (2 * self.k0)  # next order of the square root
        assert np.abs(s - exact).max() < 3 * np.abs(shift).max() + 1e-6
        np.testing.assert_allclose(
            2 * k_z * s,
            self.k0**2 - lateral - (k_z + g[:, 2]) ** 2,
            atol=1e-10,
        )

    def test_direct_beam(self):
        s = excitation_errors(np.zeros((1, 3)), np.ones((7, 2)), self.k0)
        np.testing.assert_array_equal(s, 0)


class TestAgainstEigenvalues:
    def test_many_beams_with_absorption(self, case):
        """R ≤ 1e-4 over a whole tile, the library's centre and its edge, up to 100 nm."""
        beam, g, elastic, loss = case
        assert len(g) >= 100
        matrix, thickness, keep = elastic + 1j * loss, np.array([300.0, 1000.0]), np.arange(45)
        for centre in ((0.0, 0.0), (0.8, -0.5)):
            s = tile(beam, g, centre, n=3)
            got = propagate(matrix, s, thickness, beam.wavelength, keep)
            exact = propagate_exact(matrix, s, thickness, beam.wavelength, keep)
            assert residual(got, exact) <= 1e-4

    def test_fourth_order(self, case):
        """Half the step: 16 times less error, where float32 does not yet show."""
        beam, g, elastic, loss = case
        matrix, thickness, keep = elastic + 1j * loss, np.array([600.0]), np.arange(len(g))
        s = tile(beam, g, half=1.5, n=3)
        exact = propagate_exact(matrix, s, thickness, beam.wavelength, keep)
        coarse, fine = (
            residual(propagate(matrix, s, thickness, beam.wavelength, keep, step), exact)
            for step in (40.0, 20.0)
        )
        assert coarse / fine == pytest.approx(16, rel=0.35)

    def test_vacuum_leaves_the_direct_beam(self, case):
        beam, g, _, _ = case
        got = propagate(
            np.zeros((len(g), len(g)), complex),
            tile(beam, g),
            np.array([500.0]),
            beam.wavelength,
            np.arange(len(g)),
        )
        np.testing.assert_allclose(got[..., 0], 1, atol=1e-4)
        np.testing.assert_allclose(got[..., 1:], 0)


class TestConservation:
    def test_elastic_scattering_keeps_electrons(self, case):
        beam, g, elastic, _ = case
        s = tile(beam, g)
        got = propagate(elastic, s, np.array([50.0, 1000.0]), beam.wavelength, np.arange(len(g)))
        np.testing.assert_allclose(got.sum(axis=-1), 1, atol=1e-4)

    def test_absorption_loses_them_steadily(self, case):
        beam, g, elastic, loss = case
        thickness = np.arange(100.0, 1001, 100)
        got = propagate(
            elastic + 1j * loss, tile(beam, g), thickness, beam.wavelength, np.arange(len(g))
        )
        total = got.sum(axis=-1)
        assert np.all(np.diff(total, axis=1) < 0) and np.all(total < 1)

    def test_mean_absorption_attenuates_all_alike(self, case):
        """U'_0 alone: every intensity falls as exp(−2πλU'_0 t)."""
        beam, g, elastic, _ = case
        thickness, mean, keep = np.array([400.0]), 2e-3, np.arange(len(g))
        s = tile(beam, g, n=3)
        plain = propagate(elastic, s, thickness, beam.wavelength, keep)
        lossy = propagate(elastic + 1j * mean * np.eye(len(g)), s, thickness, beam.wavelength, keep)
        factor = np.exp(-2 * np.pi * beam.wavelength * mean * thickness[0])
        np.testing.assert_allclose(lossy.sum(), factor * plain.sum(), rtol=1e-4)
        assert residual(lossy, factor * plain) < 1e-4

    def test_thickness_series(self, case):
        """A thickness series is the same foil, cut earlier: no value depends on the others."""
        beam, g, elastic, loss = case
        s, keep = tile(beam, g, n=3), np.arange(20)
        series = propagate(
            elastic + 1j * loss, s, np.array([205.0, 400.0, 633.0]), beam.wavelength, keep
        )
        for index, t in enumerate((205.0, 400.0, 633.0)):
            alone = propagate(elastic + 1j * loss, s, np.array([t]), beam.wavelength, keep)
            assert residual(series[:, index], alone[:, 0]) < 1e-4

    def test_split_of_tiles(self, case):
        """How the tilts are tiled changes nothing above 1e-4."""
        beam, g, elastic, loss = case
        s, keep, thickness = tile(beam, g, n=6), np.arange(30), np.array([800.0])
        matrix = elastic + 1j * loss
        whole = propagate(matrix, s, thickness, beam.wavelength, keep)
        parts = [
            propagate(matrix, part, thickness, beam.wavelength, keep)
            for part in np.array_split(s, 5)
        ]
        assert residual(np.concatenate(parts), whole) < 1e-4


class TestTwoBeams:
    """I_g = sin²(π t √(s² + 1/ξ²)) / (1 + (s ξ)²) with ξ = 1/(λ|U_g|) (Hirsch et al. 1965)."""

    wavelength, coefficient = 0.0197, 0.03

    @pytest.fixture
    def analytic(self):
        extinction = 1 / (self.wavelength * self.coefficient)

        def intensity(s, t):
            w = np.hypot(s, 1 / extinction)
            return np.sin(np.pi * t * w) ** 2 / (extinction * w) ** 2

        return extinction, intensity

    @pytest.mark.parametrize("solver", [propagate, propagate_exact])
    @pytest.mark.parametrize("phase", [1.0, np.exp(0.7j)])
    def test_rocking_curve(self, analytic, solver, phase):
        _, intensity = analytic
        s = np.linspace(-2e-3, 2e-3, 41)
        u = self.coefficient * phase
        matrix = np.array([[0, np.conj(u)], [u, 0]])
        excitation = np.stack([np.zeros_like(s), s], axis=1)
        thickness = np.array([200.0, 850.0, 1900.0])
        got = solver(matrix, excitation, thickness, self.wavelength, np.array([0, 1]))
        expected = intensity(s[:, None], thickness)
        np.testing.assert_allclose(got[..., 1], expected, atol=1e-4)
        np.testing.assert_allclose(got[..., 0], 1 - expected, atol=1e-4)

    def test_extinction_distance(self, analytic):
        """At the Bragg angle all electrons are back in the direct beam after ξ_g."""
        extinction, _ = analytic
        matrix = np.array([[0, self.coefficient], [self.coefficient, 0]], dtype=complex)
        got = propagate(
            matrix,
            np.zeros((1, 2)),
            extinction * np.array([0.5, 1.0]),
            self.wavelength,
            np.array([0]),
        )
        np.testing.assert_allclose(got[0, :, 0], [0, 1], atol=1e-4)

    def test_anomalous_transmission(self):
        """The Bloch wave that avoids the atoms outlives the other (Borrmann effect)."""
        u, loss, t = 0.03, 0.003, 4000.0
        matrix = np.full((2, 2), u + 1j * loss)
        got = propagate_exact(
            matrix, np.zeros((1, 2)), np.array([t]), self.wavelength, np.array([0, 1])
        )
        a = np.exp(-2 * np.pi * self.wavelength * 2 * loss * t)
        beat = np.cos(2 * np.pi * self.wavelength * u * t) * np.sqrt(a)
        np.testing.assert_allclose(
            got[0, 0], [(1 + a + 2 * beat) / 4, (1 + a - 2 * beat) / 4], rtol=1e-9
        )
