"""A scan gives the same answers whatever file it comes from, lazily loaded and calibrated."""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data

pytestmark = pytest.mark.filterwarnings("ignore:BLO file expects", "ignore:.*does not have units")


@pytest.fixture(scope="module")
def scan(library):
    """3 x 4 patterns of 128 x 128 px: what a .blo and an EMPAD can hold too."""
    s = data.bent_foil((3, 4), (128, 128), library, bend=0.15, background=0.05)
    s.compute()
    return s


@pytest.fixture(scope="module")
def answers(scan, model):
    """Orientation, positions and strain of the scan itself."""
    return analysed(scan, model, data.ground_truth(scan).lattice)


def analysed(s, model, lattice):
    omap = s.ml_orientation_map(model, lattice, background="local", lazy_output=False)
    vectors = s.ml_disk_positions(lattice=lattice, lazy_output=False)
    return omap, vectors, mlmaps.strain_map(vectors, reference=lattice)


def calibrated(s, like):
    """Axes and microscope as a user enters them."""
    s.set_signal_type("electron_diffraction")
    for mine, theirs in zip(s.axes_manager._axes, like.axes_manager._axes, strict=True):
        mine.name, mine.scale, mine.offset = theirs.name, theirs.scale, theirs.offset
        mine.units = theirs.units
    microscope = like.metadata.Acquisition_instrument.as_dictionary()
    s.metadata.set_item("Acquisition_instrument", microscope)
    return s


def assert_same(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert a.data.shape == b.data.shape
        if a.data.dtype != object:
            np.testing.assert_allclose(a.data, b.data, rtol=1e-5, atol=1e-9)
        else:
            for point in np.ndindex(b.data.shape):
                np.testing.assert_allclose(a.data[point], b.data[point], rtol=1e-4, atol=1e-6)


def assert_keeps_calibration(s, scan):
    for mine, theirs in zip(s.axes_manager._axes, scan.axes_manager._axes, strict=True):
        assert mine.size == theirs.size
        assert mine.scale == pytest.approx(theirs.scale)
        assert mine.offset == pytest.approx(theirs.offset)


def test_the_scan_is_mapped_right(scan, answers, judge):
    """What the files are compared with is itself true."""
    omap, _, strain = answers
    judge.tilts(omap, scan)
    assert (np.abs(strain.data) / strain.sigma.data).max() < 5, "the foil is bent, not strained"
    assert strain.sigma.data[:3].max() < 1e-3


class TestHyperSpyFiles:
    """Everything is in the file: nothing is entered by hand."""

    @pytest.mark.parametrize("name", ["s.hspy", "s.zspy", "s.nxs", "s.hdf5"])
    def test_same(self, scan, answers, model, tmp_path, name):
        options = {"file_format": "HSPY"} if name == "s.hdf5" else {}
        scan.save(tmp_path / name, **options)
        s = hs.load(tmp_path / name, lazy=True, **options)
        s = s[0] if isinstance(s, list) else s  # NeXus gives arrays in the metadata as well
        assert s._lazy
        assert_keeps_calibration(s, scan)
        lattice = data.ground_truth(scan).lattice
        assert_same(analysed(s, model, lattice), answers)

    def test_ncem_emd(self, scan, answers, model, tmp_path):
        """All axes come as signal axes, and the signal type is lost."""
        scan.save(tmp_path / "s.emd")
        s = hs.load(tmp_path / "s.emd", lazy=True)
        assert s.axes_manager.navigation_dimension == 0
        s = s.transpose(signal_axes=("kx", "ky"))
        s.set_signal_type("electron_diffraction")
        assert_keeps_calibration(s, scan)
        microscope = scan.metadata.Acquisition_instrument.as_dictionary()
        s.metadata.set_item("Acquisition_instrument", microscope)
        assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)

    def test_numpy(self, scan, answers, model, tmp_path):
        np.save(tmp_path / "s.npy", scan.data)
        s = hs.load(tmp_path / "s.npy", lazy=True).transpose(2)
        s = calibrated(s, scan)
        assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)

    def test_tiff_of_a_line(self, scan, answers, model, tmp_path):
        """A stack of images: one scan axis."""
        line = scan.inav[:, 1]
        line.save(tmp_path / "s.tiff")
        s = calibrated(hs.load(tmp_path / "s.tiff", lazy=True), line)
        lattice = data.ground_truth(scan).lattice
        got = analysed(s, model, lattice)
        np.testing.assert_allclose(got[0].data, answers[0].data[1], rtol=1e-5)
        assert_same(got, analysed(line, model, lattice))


class TestCameraFiles:
    @pytest.mark.parametrize("dtype", ["u2", "u4"])
    def test_merlin(self, files, scan, answers, model, tmp_path, dtype):
        """Big endian, no calibration at all, chunks that cut the patterns."""
        files.write_mib(tmp_path / "s.mib", scan.data.astype(dtype))
        for chunks in ("auto", (1, 3, 50, 100)):
            s = hs.load(tmp_path / "s.mib", lazy=True, chunks=chunks)
            assert s.data.dtype == f">{dtype}" and not s.data.dtype.isnative
            s = calibrated(s, scan)
            assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)

    def test_merlin_without_calibration(self, files, scan, answers, model, tmp_path):
        """Tilts need the beam and the camera length; positions are then in pixels."""
        files.write_mib(tmp_path / "s.mib", scan.data)
        s = hs.load(tmp_path / "s.mib", lazy=True)
        lattice = data.ground_truth(scan).lattice
        with pytest.raises(ValueError, match="states no beam_energy.*states no scale"):
            s.ml_orientation_map(model, lattice)
        with pytest.warns(UserWarning, match="states no beam_energy"):
            omap = s.ml_orientation_map(model, lattice, check="warn", background="local")
        omap.compute()
        np.testing.assert_allclose(omap.data, answers[0].data, rtol=1e-5)
        vectors = s.ml_disk_positions(lattice=lattice, lazy_output=False)
        strain = mlmaps.strain_map(vectors, reference=lattice)
        np.testing.assert_allclose(strain.data, answers[2].data, atol=1e-6)
        assert vectors.units[0] == "px"

    def test_empad(self, files, scan, answers, model, tmp_path):
        """float32, a footer under every pattern, and a calibration of its own."""
        files.write_empad(tmp_path / "s.xml", scan.data)
        s = hs.load(tmp_path / "s.xml", lazy=True, file_format="EMPAD")
        assert s.data.dtype == np.float32 and s.axes_manager.navigation_shape == (4, 3)
        assert s.axes_manager.signal_axes[0].scale == pytest.approx(0.1)
        s = calibrated(s, scan)
        assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)

    @pytest.mark.parametrize("scan_first", [True, False])
    def test_dm4(self, files, scan, answers, model, tmp_path, scan_first):
        """Either order of scan and detector axes; a general image until it is told otherwise."""
        axes = scan.axes_manager._axes  # y, x, ky, kx
        order = (0, 1, 2, 3) if scan_first else (2, 3, 0, 1)
        scales = [axes[i].scale * (10 if i > 1 else 1) for i in order]
        offsets = [axes[i].offset * (10 if i > 1 else 1) for i in order]
        units = ["nm" if i < 2 else "1/nm" for i in order]
        files.write_dm4(tmp_path / "s.dm4", scan.data.transpose(order), scales, offsets, units)
        s = hs.load(tmp_path / "s.dm4", lazy=True)
        if not scan_first:
            s = s.T
        s.set_signal_type("electron_diffraction")
        microscope = scan.metadata.Acquisition_instrument.as_dictionary()
        s.metadata.set_item("Acquisition_instrument", microscope)
        omap, vectors, strain = analysed(s, model, data.ground_truth(scan).lattice)
        assert_same((omap, strain), (answers[0], answers[2]))
        for point in np.ndindex(3, 4):  # in 1/nm
            expected = answers[1].data[point][:, :2] * 10
            np.testing.assert_allclose(vectors.data[point][:, :2], expected, atol=1e-5)

    def test_mrc(self, files, scan, answers, model, tmp_path):
        """A stack that is told its scan."""
        files.write_mrc(tmp_path / "s.mrc", scan.data)
        s = hs.load(tmp_path / "s.mrc", lazy=True, navigation_shape=(4, 3))
        s = calibrated(s, scan)
        assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)


class TestBlo:
    """Eight bits: counts are scaled and rounded, so that only bright disks keep their position."""

    def test_scaled_to_less_than_full(self, scan, answers, model, tmp_path):
        """Tilts to 0.005° and positions to 4 σ; steps of 17 counts show in the misfit."""
        scan.save(tmp_path / "s.blo", intensity_scaling=(0, float(scan.data.max()) * 1.02))
        s = hs.load(tmp_path / "s.blo", lazy=True)
        assert s.data.dtype == np.uint8 and s._signal_type == "diffraction"
        s = calibrated(s, scan)
        lattice = data.ground_truth(scan).lattice
        omap, vectors, _ = analysed(s, model, lattice)
        truth = data.ground_truth(scan)
        for name in ("tilt_x", "tilt_y"):
            error = getattr(omap, name).data - getattr(truth, name)
            assert np.abs(error).max() < 0.005
        assert 1 < omap.misfit.data.max() < 6
        for point in np.ndindex(3, 4):
            rows, exact = vectors.data[point], answers[1].data[point]
            assert len(rows) >= 15
            for row in rows[rows[:, 5] < 1]:
                same = exact[(exact[:, 6:] == row[6:]).all(axis=1)][0]
                assert np.all(np.abs(row[:2] - same[:2]) < 4 * np.hypot(row[3:5], same[3:5]))

    def test_full_scale_is_taken_for_saturation(self, scan, model, tmp_path):
        """ "minmax" makes the brightest pixel 255; another type says that nothing is saturated."""
        scan.save(tmp_path / "s.blo", intensity_scaling="minmax")
        s = calibrated(hs.load(tmp_path / "s.blo", lazy=True), scan)
        lattice = data.ground_truth(scan).lattice
        with pytest.warns(UserWarning, match="1 of 12 scan points could not be evaluated"):
            s.ml_orientation_map(model, lattice, lazy_output=False)
        s.change_dtype("uint16")
        omap = s.ml_orientation_map(model, lattice, lazy_output=False)
        assert np.isfinite(omap.data).all()


def test_a_memory_map_of_everything(scan, answers, model, tmp_path):
    """Raw binaries, as np.memmap gives them."""
    scan.data.tofile(tmp_path / "s.bin")
    values = np.memmap(tmp_path / "s.bin", dtype="u2", mode="r", shape=scan.data.shape)
    s = calibrated(ElectronDiffraction2D(values), scan)
    assert_same(analysed(s, model, data.ground_truth(scan).lattice), answers)
