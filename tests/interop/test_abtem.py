"""abTEM's measurements: nothing is square, so that every transposition shows."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import interop

abtem = pytest.importorskip("abtem", reason="abTEM is not installed")


def measurement(array, scan=((0.5, 1.0), (0.25, 2.0)), fftshift=True, extra=(), **metadata):
    """(…, scan x, scan y, kx, ky) with a sampling and offset for each scan axis."""
    from abtem.core.axes import ScanAxis

    axes = [
        ScanAxis(label=label, sampling=sampling, offset=offset, units="Å")
        for label, (sampling, offset) in zip("xy", scan, strict=True)
    ]
    return abtem.measurements.DiffractionPatterns(
        array,
        sampling=(0.1, 0.2),
        fftshift=fftshift,
        ensemble_axes_metadata=[*extra, *axes],
        metadata={"energy": 200e3, "semiangle_cutoff": 12.0} | metadata,
    )


@pytest.fixture()
def array():
    """One bright pixel at scan (x=2, y=1) and pixel (kx=9, ky=2) of 4 x 3 and 12 x 7."""
    array = np.zeros((4, 3, 12, 7), dtype=np.float32)
    array[2, 1, 9, 2] = 1.0
    return array


def test_where_a_bright_pixel_goes(array):
    s = interop.from_abtem(measurement(array))
    assert s.axes_manager.shape == (4, 3, 12, 7)
    assert s.data.shape == (3, 4, 7, 12)
    assert np.argwhere(s.data).tolist() == [[1, 2, 2, 9]]
    kx, ky = s.axes_manager.signal_axes
    assert kx.axis[9] == pytest.approx(0.3) and ky.axis[2] == pytest.approx(-0.2)
    x, y = s.axes_manager.navigation_axes
    assert x.axis[2] == pytest.approx(2.0) and y.axis[1] == pytest.approx(2.25)
    assert [a.name for a in (x, y, kx, ky)] == ["x", "y", "kx", "ky"]
    assert (x.units, kx.units) == ("Å", "$A^{-1}$")
    tem = s.metadata.Acquisition_instrument.TEM
    assert tem.beam_energy == pytest.approx(200) and tem.convergence_angle == 12.0


def test_zero_frequency_in_the_corner(array):
    """Not shifted by abTEM: shifted here, and the pixel is at the same place."""
    corner = np.fft.ifftshift(array, axes=(-2, -1))
    s = interop.from_abtem(measurement(corner, fftshift=False))
    assert np.argwhere(s.data).tolist() == [[1, 2, 2, 9]]


def test_lazy_stays_lazy(array):
    import dask.array as da

    s = interop.from_abtem(measurement(da.from_array(array, chunks=(2, 2, 6, 7))))
    assert s._lazy and s.data.chunksize[2:] == (7, 12)
    assert np.argwhere(s.data.compute()).tolist() == [[1, 2, 2, 9]]


def test_further_ensemble_axes_come_first(array):
    from abtem.core.axes import ThicknessAxis

    thickness = ThicknessAxis(values=(10.0, 20.0, 30.0, 40.0, 50.0))
    stack = np.stack([array * n for n in range(5)])
    s = interop.from_abtem(measurement(stack, extra=[thickness]))
    assert s.data.shape == (5, 3, 4, 7, 12)
    axis = s.axes_manager.navigation_axes[-1]
    assert axis.size == 5 and axis.axis[3] == pytest.approx(40.0)
    assert s.data[3, 1, 2, 2, 9] == 3


def test_probe_is_drawn_to_the_atom():
    """A simulated scan over one atom off the centre: electrons are deflected towards it."""
    import ase

    atoms = ase.Atoms("Au", positions=[(5.0, 3.0, 2.0)], cell=(10.0, 7.0, 4.0))
    potential = abtem.Potential(atoms, gpts=(60, 44), slice_thickness=2)
    probe = abtem.Probe(energy=200e3, semiangle_cutoff=15, defocus=100)
    scan = abtem.GridScan(start=(4.0, 2.0), end=(6.0, 4.0), gpts=(3, 2), endpoint=True)
    found = probe.scan(potential, scan=scan, detectors=abtem.PixelatedDetector(max_angle=40))
    s = interop.from_abtem(found)
    s.compute(show_progressbar=False)
    kx, ky = (axis.axis for axis in s.axes_manager.signal_axes)
    total = s.data.sum(axis=(-1, -2))
    mean_kx = (s.data * kx).sum(axis=(-1, -2)) / total
    mean_ky = (s.data * ky[:, None]).sum(axis=(-1, -2)) / total
    assert (mean_kx[:, 0] > 0.002).all() and (mean_kx[:, 2] < -0.002).all()
    assert np.abs(mean_kx[:, 1]).max() < 1e-3
    assert (mean_ky[0] > 0.001).all() and (mean_ky[1] < -0.001).all()


def test_other_measurements_are_refused():
    image = abtem.measurements.Images(np.zeros((4, 4)), sampling=0.1)
    with pytest.raises(TypeError, match="Images"):
        interop.from_abtem(image)
