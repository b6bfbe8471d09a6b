"""Does this signal belong to this model? Both values are named where it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pyxem_mlmaps import data
from pyxem_mlmaps.mapping.checks import check_calibration, in_plane_transform, order_lattice


@pytest.fixture
def signal(library):
    return data.bent_foil((2, 2), (128, 128), library, bend=0.1)


@pytest.fixture
def lattice(signal):
    return data.ground_truth(signal).lattice


def test_agreement(signal, model, lattice):
    check_calibration(signal, model, lattice, "raise")


def test_voltage(signal, model, lattice):
    signal.metadata.Acquisition_instrument.TEM.beam_energy = 200
    with pytest.raises(ValueError, match=r"beam.energy is 200, the model's 300 keV.*check='warn'"):
        check_calibration(signal, model, lattice, "raise")


def test_convergence_angle(signal, model, lattice):
    signal.metadata.Acquisition_instrument.TEM.convergence_angle = 1.5
    with pytest.raises(ValueError, match=r"convergence.angle is 1.5, the model's 1.1 mrad"):
        check_calibration(signal, model, lattice, "raise")


def test_all_that_disagrees_is_named_at_once(signal, model, lattice):
    signal.metadata.Acquisition_instrument.TEM.beam_energy = 200
    signal.metadata.Acquisition_instrument.TEM.convergence_angle = 1.5
    with pytest.raises(ValueError, match="beam.energy.*convergence.angle"):
        check_calibration(signal, model, lattice, "raise")


@pytest.mark.parametrize("name", ["beam_energy", "convergence_angle"])
def test_nothing_stated(signal, model, lattice, name):
    delattr(signal.metadata.Acquisition_instrument.TEM, name)
    with pytest.raises(ValueError, match=f"states no {name}.*TEM.{name}"):
        check_calibration(signal, model, lattice, "raise")


def test_camera_length(signal, model, lattice):
    scale = signal.axes_manager.signal_axes[0].scale
    for axis in signal.axes_manager.signal_axes:
        axis.scale = 1.1 * scale
    with pytest.raises(ValueError, match=rf"{1.1 * scale:g}, the model's {scale:g}"):
        check_calibration(signal, model, lattice, "raise")


def test_uncalibrated_axes(signal, model, lattice):
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 1.0, "px"
    with pytest.raises(ValueError, match="states no scale"):
        check_calibration(signal, model, lattice, "raise")


@pytest.mark.parametrize(
    ("units", "factor"),
    [("1/nm", 10), ("nm^-1", 10), ("Å⁻¹", 1), ("1/Å", 1), ("mrad", 1e3 * 0.0196875)],
)
def test_units_in_use(signal, model, lattice, units, factor):
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = axis.scale * factor, units
    check_calibration(signal, model, lattice, "raise")


def test_radius(signal, model, lattice):
    with pytest.raises(ValueError, match="disk radius is .* px.*makes it"):
        check_calibration(signal, model, lattice.replace(radius=1.3 * lattice.radius), "raise")


def test_warn_goes_on(signal, model, lattice):
    signal.metadata.Acquisition_instrument.TEM.beam_energy = 200
    with pytest.warns(UserWarning, match="is 200, the model's 300"):
        check_calibration(signal, model, lattice, "warn")
    with pytest.raises(ValueError, match="check='ignore'"):
        check_calibration(signal, model, lattice, "ignore")


class TestOrder:
    def test_count(self, model, lattice):
        with pytest.raises(ValueError, match="lattice has 24 disks.*trained for 25"):
            order_lattice(model, lattice.replace(indices=lattice.indices[:-1]))

    def test_wrong_order_of_miller_indices(self, model, lattice):
        with pytest.raises(ValueError, match="off by"):
            order_lattice(model, lattice.replace(indices=lattice.indices[::-1]))

    def test_pairs_are_sorted(self, model, lattice):
        """A model of disk numbers takes its disks in any order."""
        pairs = model.with_card(indices=lattice.indices.tolist(), vectors=None)
        shuffled = lattice.replace(indices=lattice.indices[::-1])
        np.testing.assert_array_equal(order_lattice(pairs, shuffled).indices, lattice.indices)
        other = lattice.indices.copy()
        other[3] = (50, 50)
        with pytest.raises(ValueError, match="lacks the model's disks"):
            order_lattice(pairs, lattice.replace(indices=other))


class TestTransform:
    @pytest.mark.parametrize("angle", [0.0, 37.0, 180.0, -100.0])
    def test_rotation(self, library, model, angle):
        """The turn of the recorded pattern, from kx to ky, and pixels per Å⁻¹."""
        s = data.bent_foil((), (128, 128), library, bend=0.0, rotation=angle)
        lattice = data.ground_truth(s).lattice
        rotation, pixels, residual = in_plane_transform(model, lattice)
        c, d = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        np.testing.assert_allclose(rotation, [[c, -d], [d, c]], atol=1e-7)
        assert pixels == pytest.approx(lattice.radius / library.beam.aperture_radius)
        assert residual < 1e-6

    def test_strain_is_not_rotation(self, model, lattice):
        stretched = lattice.replace(g1=1.02 * np.array(lattice.g1), g2=1.02 * np.array(lattice.g2))
        rotation, pixels, _ = in_plane_transform(model, stretched)
        np.testing.assert_allclose(rotation, np.eye(2), atol=1e-7)
        assert pixels == pytest.approx(1.02 * in_plane_transform(model, lattice)[1])

    def test_mirror_image(self, model, lattice):
        mirrored = lattice.replace(
            g1=(-lattice.g1[0], lattice.g1[1]), g2=(-lattice.g2[0], lattice.g2[1])
        )
        with pytest.raises(ValueError, match="mirror image"):
            in_plane_transform(model, mirrored)


def test_bare_arrays_have_nothing_to_check(signal, model, lattice):
    """A library without beam or vectors asks nothing of the calibration."""
    card = replace(model.card, energy=None, convergence_angle=None, vectors=None)
    del signal.metadata.Acquisition_instrument
    check_calibration(signal, replace(model, card=card), lattice, "raise")


def test_lattice_type(signal, model):
    with pytest.raises(TypeError, match="a DiskLattice is needed"):
        signal.ml_orientation_map(model, {"origin": (1, 2)})
