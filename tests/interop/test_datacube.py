"""Scans to py4DSTEM and back."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import interop
from pyxem_mlmaps.interop import datacube as module

py4dstem = pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")


@pytest.fixture()
def cube():
    """Non-square in both spaces, so that nothing can be transposed unseen."""
    data = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 6)).astype(np.uint16)
    cube = py4dstem.DataCube(data, name="small")
    calibration = cube.calibration
    calibration.set_Q_pixel_size(0.02)
    calibration.set_Q_pixel_units("A^-1")
    calibration.set_R_pixel_size(5.0)
    calibration.set_R_pixel_units("A")
    calibration.set_origin((1.5, 3.25))
    return cube


def test_nothing_is_transposed_and_the_zero_is_the_origin(cube):
    s = interop.from_datacube(cube)
    assert np.shares_memory(s.data, cube.data) and not s._lazy
    assert s._signal_type == "electron_diffraction"
    kx, ky = s.axes_manager.signal_axes
    x, y = s.axes_manager.navigation_axes
    assert (kx.size, ky.size, x.size, y.size) == (6, 5, 4, 3)
    assert ky.offset == pytest.approx(-1.5 * 0.02)
    assert kx.offset == pytest.approx(-3.25 * 0.02)
    assert (kx.units, x.units, x.scale) == ("$A^{-1}$", "Å", 5.0)


def test_calibration_survives_there_and_back(cube):
    c = cube.calibration
    origin = np.random.default_rng(1).normal([[[1.5]], [[3.0]]], 0.1, (2, 3, 4))
    c.set_origin((origin[0], origin[1]))
    c.set_QR_rotation_degrees(-31.0)
    c.set_QR_flip(True)
    c.set_ellipse((1.02, 1.0, 0.3))
    c.set_convergence_semiangle_mrad(1.7)
    s = interop.from_datacube(cube, beam_energy=200)
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == 200
    assert s.metadata.Acquisition_instrument.TEM.convergence_angle == 1.7
    again = interop.to_datacube(s).calibration
    kept = "Q_pixel_size Q_pixel_units R_pixel_size R_pixel_units QR_flip QR_rotation_degrees"
    for name in (*kept.split(), "convergence_semiangle_mrad", "a", "b", "theta"):
        assert again[name] == pytest.approx(c[name]), name
    np.testing.assert_allclose(again.get_origin(), c.get_origin())
    assert again["accelerating_voltage"] == 200e3
    assert interop.from_datacube(interop.to_datacube(s)).metadata.Py4DSTEM.QR_flip is True


def test_kept_calibration_survives_a_file(cube, tmp_path):
    import hyperspy.api as hs

    cube.calibration.set_origin((np.full((3, 4), 1.5), np.arange(12.0).reshape(3, 4)))
    s = interop.from_datacube(cube)
    s.save(tmp_path / "scan.zspy")
    again = interop.to_datacube(hs.load(tmp_path / "scan.zspy", lazy=True))
    np.testing.assert_allclose(again.calibration.get_qy0(), np.arange(12.0).reshape(3, 4))


def test_origin_of_each_pattern_does_not_outlive_a_cut(cube):
    cube.calibration.set_origin((np.full((3, 4), 1.5), np.full((3, 4), 3.25)))
    s = interop.from_datacube(cube)
    with pytest.warns(UserWarning, match="only their mean is kept"):
        cut = interop.to_datacube(s.isig[1:, :].inav[:2, :2])
    assert cut.calibration.get_origin() == pytest.approx((1.5, 2.25))


@pytest.mark.parametrize("units, py4dstem_units, factor", [
    ("nm^-1", "A^-1", 0.1), ("1/Å", "A^-1", 1), ("mrad", "mrad", 1), ("px", "pixels", 1),
])  # fmt: skip
def test_units(signal, units, py4dstem_units, factor):
    s = signal.deepcopy()
    for axis in s.axes_manager.signal_axes:
        axis.units = units
    calibration = interop.to_datacube(s).calibration
    assert calibration.get_Q_pixel_units() == py4dstem_units
    assert calibration.get_Q_pixel_size() == pytest.approx(0.01 * factor)


def test_convergence_angle_from_the_radius_of_the_probe(cube):
    """probe_semiangle is in pixels: 0.02 Å⁻¹ x 2 at 200 keV (λ = 0.02508 Å) is 1.003 mrad."""
    cube.calibration.set_probe_semiangle(2.0)
    s = interop.from_datacube(cube, beam_energy=200)
    angle = s.metadata.Acquisition_instrument.TEM.convergence_angle
    assert angle == pytest.approx(1.003, abs=1e-3)


def test_memory_map_stays_lazy(cube, tmp_path):
    np.save(tmp_path / "scan.npy", cube.data)
    mapped = py4dstem.DataCube(np.load(tmp_path / "scan.npy", mmap_mode="r"))
    mapped.calibration.set_Q_pixel_units("mrad")
    s = interop.from_datacube(mapped)
    assert s._lazy and s.data.chunksize[2:] == (5, 6)
    np.testing.assert_array_equal(s.data.compute(), cube.data)
    assert not interop.from_datacube(mapped, lazy=False)._lazy
    assert interop.from_datacube(cube, lazy=True)._lazy


def test_lazy_signal_is_computed_or_written_to_a_memory_map(cube, tmp_path):
    s = interop.from_datacube(cube, lazy=True)
    assert isinstance(interop.to_datacube(s).data, np.ndarray)
    mapped = interop.to_datacube(s, out=tmp_path / "scan.npy")
    assert isinstance(mapped.data, np.memmap)
    np.testing.assert_array_equal(mapped.data, cube.data)
    assert interop.from_datacube(mapped)._lazy
    with pytest.raises(FileExistsError, match="scan.npy"):
        interop.to_datacube(s, out=tmp_path / "scan.npy")


def test_too_large_for_memory(cube, monkeypatch):
    monkeypatch.setattr(module, "_available_memory", lambda: 500)
    with pytest.raises(MemoryError, match="out='scan.npy'"):
        interop.to_datacube(interop.from_datacube(cube, lazy=True))


@pytest.mark.parametrize("points, shape", [((), (1, 1)), ((3,), (1, 3))])
def test_lines_and_single_patterns(signal, points, shape):
    s = signal.inav[0, 0] if not points else signal.inav[:, 0]
    assert interop.to_datacube(s).Rshape == shape


def test_uncalibrated_detector_is_named():
    cube = py4dstem.DataCube(np.ones((2, 2, 8, 8)))
    with pytest.warns(UserWarning, match="set_Q_pixel_units"):
        s = interop.from_datacube(cube)
    assert s.axes_manager.signal_axes[0].units == "px"
    assert interop.to_datacube(s).calibration.get_origin() is None


def test_what_cannot_be_converted(cube, signal):
    with pytest.raises(TypeError, match="ndarray"):
        interop.from_datacube(cube.data)
    with pytest.raises(TypeError, match="str"):
        interop.to_datacube("scan")
    stack = py4dstem.DataCube(cube.data.astype(complex))
    with pytest.raises(ValueError, match="complex"):
        interop.from_datacube(stack)
    cube.calibration.set_origin((np.ones((4, 3)), np.ones((4, 3))))
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        interop.from_datacube(cube)
    for change in ("unequal", "negative"):
        s = signal.deepcopy()
        s.axes_manager.signal_axes[0].scale = 0.02 if change == "unequal" else -0.01
        with pytest.raises(ValueError, match="detector axes have scales"):
            interop.to_datacube(s)


def test_more_than_two_scan_dimensions():
    from pyxem.signals import ElectronDiffraction2D

    with pytest.raises(ValueError, match="3 scan dimensions"):
        interop.to_datacube(ElectronDiffraction2D(np.ones((2, 2, 2, 8, 8))))
