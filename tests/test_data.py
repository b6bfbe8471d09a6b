"""Synthetic scans: calibrated as pyxem expects, with a truth that can be read back."""

from __future__ import annotations

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import LazyElectronDiffraction2D

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data


@pytest.mark.parametrize("shape", [(), (7,), (4, 5)])
def test_shapes(library, shape):
    s = data.bent_foil(shape, (64, 72), library, bend=0.1)
    assert isinstance(s, LazyElectronDiffraction2D)
    assert s.data.shape == (*shape, 64, 72) and s.data.dtype == np.uint16
    truth = data.ground_truth(s)
    assert truth.tilt_x.shape == truth.thickness.shape == shape
    assert s.axes_manager.navigation_shape == shape[::-1]


def test_calibration(library):
    """Beam, scale and centre as pyxem reads them; the direct beam at zero."""
    s = data.bent_foil((3, 4), (96, 96), library, bend=0.1, scan_step=2.5)
    lattice = data.ground_truth(s).lattice
    assert s.beam_energy == 300
    assert s.metadata.Acquisition_instrument.TEM.convergence_angle == 1.1
    kx, ky = s.axes_manager.signal_axes
    assert (kx.name, ky.name) == ("kx", "ky")
    assert kx.scale == ky.scale == pytest.approx(library.beam.aperture_radius / lattice.radius)
    np.testing.assert_allclose(
        [ky.offset + ky.scale * lattice.origin[0], kx.offset + kx.scale * lattice.origin[1]],
        0,
        atol=1e-12,
    )
    assert [a.scale for a in s.axes_manager.navigation_axes] == [2.5, 2.5]
    assert {a.units for a in s.axes_manager.navigation_axes} == {"nm"}


def test_truth_spans_what_was_asked(library):
    truth = data.ground_truth(
        data.bent_foil((20, 20), (64, 64), library, bend=0.15, thickness=(66, 79))
    )
    for tilt in (truth.tilt_x, truth.tilt_y):
        assert 0.08 < np.abs(tilt).max() <= 0.15
    assert truth.thickness.min() == pytest.approx(66)
    assert truth.thickness.max() == pytest.approx(79)
    default = data.ground_truth(data.bent_foil((20, 20), (64, 64), library, bend=0.1))
    np.testing.assert_allclose([default.thickness.min(), default.thickness.max()], [66.5, 78.5])


def test_lattice_fits(library):
    for rotation in (0.0, 37.0):
        s = data.bent_foil((), (128, 100), library, bend=0.1, rotation=rotation)
        lattice = data.ground_truth(s).lattice
        lattice.check_fits((128, 100))
        assert len(lattice) == len(library.indices)
        c, d = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
        vectors = library.vectors @ np.array([[c, -d], [d, c]])  # (y, x) turned from x to y
        scale = library.beam.aperture_radius / lattice.radius
        np.testing.assert_allclose((lattice.positions - lattice.origin) * scale, vectors, atol=1e-6)


def test_truth_survives_a_file(library, tmp_path):
    s = data.bent_foil((2, 3), (64, 64), library, bend=0.1)
    s.save(tmp_path / "foil.zspy", show_progressbar=False)
    back = hs.load(tmp_path / "foil.zspy", lazy=True)
    truth, again = data.ground_truth(s), data.ground_truth(back)
    np.testing.assert_array_equal(again.tilt_x, truth.tilt_x)
    assert again.lattice == truth.lattice
    np.testing.assert_array_equal(back.data.compute(), s.data.compute())


def test_measured_data_has_no_truth():
    s = LazyElectronDiffraction2D(np.zeros((2, 2, 8, 8)))
    with pytest.raises(ValueError, match="carries no truth"):
        data.ground_truth(s)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (2, 2, 2)}, "shape"),
        ({"bend": 0.5}, "bend"),
        ({"thickness": (50, 70)}, "thickness"),
        ({"thickness": (70, 90)}, "thickness"),
    ],
)
def test_bad_arguments(library, options, message):
    with pytest.raises(ValueError, match=message):
        data.bent_foil(**{"shape": (2, 2), "library": library, "bend": 0.1} | options)


def test_library_must_hold_maps(library):
    with pytest.raises(ValueError, match="keep_maps=True"):
        data.bent_foil((2, 2), library=replace(library, maps=None), bend=0.1)
    bare = mlmaps.RockingLibrary(
        library.intensities, library.tilt_x, library.tilt_y, library.thickness, library.indices
    )
    with pytest.raises(ValueError, match="simulate one"):
        data.bent_foil((2, 2), library=bare, bend=0.1)


def test_gasb():
    """Eight atoms, each with four neighbours of the other kind at √3 a/4 = 2.64 Å."""
    from pyxem_mlmaps.simulation.crystal import as_crystal

    crystal = as_crystal(data.gasb())
    assert crystal.symbols.count("Ga") == crystal.symbols.count("Sb") == 4
    apart = crystal.positions[4:] - crystal.positions[0]
    distance = np.linalg.norm((apart - np.round(apart)) @ crystal.cell, axis=1)
    np.testing.assert_allclose(distance, np.sqrt(3) / 4 * 6.0959)
