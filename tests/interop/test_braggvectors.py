"""Disks to py4DSTEM and back, and through py4DSTEM's own strain."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import interop
from pyxem_mlmaps.conventions import strain_from_py4dstem

py4dstem = pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")

ORIGIN = (101.3, 93.8)
BASIS = ((5.0, 31.0), (-28.0, 9.0))


@pytest.fixture(scope="module")
def measured(signal):
    """Positions by the network, in one call on a DataCube, and the pyxem vectors behind them."""
    cube = interop.to_datacube(signal)
    return interop.disk_positions(cube), signal.ml_disk_positions(lazy_output=False), cube


def reference(strain_of):
    here = np.zeros((2, 3), dtype=bool)
    here[0, 0] = True
    return mlmaps.strain_map(strain_of, reference=here)


def test_positions_are_pixels_of_the_detector(exact_vectors):
    braggvectors = interop.to_braggvectors(exact_vectors)
    assert braggvectors.Rshape == (2, 3) and braggvectors.Qshape == (208, 192)
    points = braggvectors.raw[1, 0].data
    direct = points[(points["h"] == 0) & (points["k"] == 0)]
    assert direct["qx"][0] == pytest.approx(101.3 + 0.3)
    assert direct["qy"][0] == pytest.approx(93.8)


def test_calibrated_vectors_are_those_of_pyxem(exact_vectors):
    """Origin of each pattern and pixel size applied: qx = ky, qy = kx in 1/Å, without descan."""
    braggvectors = interop.to_braggvectors(exact_vectors)
    assert braggvectors.calstate == {
        "center": True, "ellipse": False, "pixel": True, "rotate": False,
    }  # fmt: skip
    rows, points = exact_vectors.data[1, 2], braggvectors.cal[1, 2]
    np.testing.assert_allclose(points.qx, rows[:, 0] - 0.003, atol=1e-12)
    np.testing.assert_allclose(points.qy, rows[:, 1] + 0.004, atol=1e-12)
    assert braggvectors.calibration.get_Q_pixel_units() == "A^-1"
    assert braggvectors.calibration.get_R_pixel_size() == 2.0


def test_there_and_back_loses_nothing(measured):
    braggvectors, vectors, _ = measured
    again = interop.from_braggvectors(braggvectors, calibrated=False)
    assert list(again.column_names) == list(vectors.column_names)
    np.testing.assert_allclose(again.scales, vectors.scales)
    for point in np.ndindex(2, 3):
        trusted = vectors.data[point][:, 5] <= 1
        expected = vectors.data[point][trusted]
        shift = again.data[point][:, :2] - expected[:, :2]
        # the zero is now the mean of the measured origins instead of the given one
        np.testing.assert_allclose(shift, np.tile(shift[0], (len(shift), 1)), atol=1e-12)
        assert np.abs(shift).max() < 0.1 * 0.01
        np.testing.assert_allclose(again.data[point][:, 2:], expected[:, 2:])
    np.testing.assert_allclose(reference(again).data, reference(vectors).data, atol=1e-12)


def test_py4dstem_finds_the_strain_that_we_find(exact_vectors, known_strain, py4dstem_strain):
    """Exact positions: both answers are the truth, in each one's terms."""
    strainmap = py4dstem_strain(interop.to_braggvectors(exact_vectors))
    assert strainmap.get_slice("mask").data.all()
    ours = reference(exact_vectors).data
    np.testing.assert_allclose(ours, known_strain, atol=1e-10)
    np.testing.assert_allclose(strain_from_py4dstem(strainmap.data[:4]), ours, atol=1e-10)


def test_network_in_py4dstems_pipeline(measured, known_strain, py4dstem_strain):
    strainmap = py4dstem_strain(measured[0])
    found = strain_from_py4dstem(strainmap.data[:4])
    np.testing.assert_allclose(found, known_strain, atol=3e-4)
    np.testing.assert_allclose(found, reference(measured[1]).data, atol=3e-4)


def test_uncalibrated_memory_map(patterns, known_strain, tmp_path, py4dstem_strain):
    """As from import_file with mem="MEMMAP": no calibration is needed for strain."""
    np.save(tmp_path / "scan.npy", patterns)
    cube = py4dstem.DataCube(np.load(tmp_path / "scan.npy", mmap_mode="r"))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not calibrated")
        braggvectors = interop.disk_positions(cube)
    assert braggvectors.calstate["center"] and not braggvectors.calstate["pixel"]
    found = strain_from_py4dstem(py4dstem_strain(braggvectors).data[:4])
    np.testing.assert_allclose(found, known_strain, atol=3e-4)


def test_same_patterns_through_both_packages(signal, measured, known_strain, py4dstem_strain):
    """py4DSTEM's own detection, read here; and its strain of it, converted."""
    cube = interop.to_datacube(signal)
    y, x = np.indices(cube.Qshape)
    disk = (np.hypot(y - ORIGIN[0], x - ORIGIN[1]) < 9.0).astype(float)
    probe = py4dstem.Probe(disk)
    kernel = probe.get_kernel(mode="sigmoid", origin=ORIGIN, radii=(9.0, 14.0))
    peaks = cube.find_Bragg_disks(
        template=kernel, corrPower=1, minRelativeIntensity=0, minAbsoluteIntensity=5,
        minPeakSpacing=15, edgeBoundary=12, maxNumPeaks=30, subpixel="multicorr",
        upsample_factor=32,
    )  # fmt: skip
    peaks.setcal()
    theirs = py4dstem_strain(peaks)
    np.testing.assert_allclose(strain_from_py4dstem(theirs.data[:4]), known_strain, atol=2e-3)
    vectors = interop.from_braggvectors(peaks)
    assert list(vectors.column_names) == ["ky", "kx", "intensity"]
    lattice = mlmaps.DiskLattice(
        ORIGIN, *BASIS, [(h, k) for h in (-1, 0, 1) for k in (-1, 0, 1)], 9.0
    )
    here = np.zeros((2, 3), dtype=bool)
    here[0, 0] = True
    ours = mlmaps.strain_map(vectors, reference=here, lattice=lattice)
    np.testing.assert_allclose(ours.data, known_strain, atol=2e-3)


def test_result_hangs_in_the_tree_of_the_datacube(measured):
    braggvectors, _, cube = measured
    assert cube.tree("braggvectors") is braggvectors
    assert braggvectors.calibration is cube.calibration
    qx0, qy0 = cube.calibration.get_origin()
    assert np.abs(qx0 - ORIGIN[0]).max() < 0.05 and np.abs(qy0 - ORIGIN[1]).max() < 0.05


def test_saved_and_read_by_py4dstem(measured, tmp_path):
    braggvectors = measured[0]
    py4dstem.save(tmp_path / "disks.h5", braggvectors, mode="o", tree=False)
    again = py4dstem.read(tmp_path / "disks.h5")
    vectors = interop.from_braggvectors(again)
    expected = interop.from_braggvectors(braggvectors)
    assert list(vectors.column_names) == list(expected.column_names)
    for point in np.ndindex(2, 3):
        np.testing.assert_array_equal(vectors.data[point], expected.data[point])


def test_measured_origin_is_kept(exact_vectors, signal):
    cube = interop.to_datacube(signal)
    mine = (np.full((2, 3), 101.0), np.full((2, 3), 94.0))
    cube.calibration.set_origin(mine)
    first = interop.to_braggvectors(exact_vectors, cube)
    second = interop.to_braggvectors(exact_vectors, cube)
    assert cube.tree("braggvectors") is second is not first
    np.testing.assert_array_equal(cube.calibration.get_origin(), mine)


def test_direct_beam_is_next_to_the_calibrated_origin(exact_vectors):
    """A lattice whose (0, 0) is another disk, the brightest say, has no other direct beam."""
    other = exact_vectors.deepcopy()
    for point in np.ndindex(2, 3):
        other.data[point][:, 3] += 1
    braggvectors = interop.to_braggvectors(other)
    qx0, qy0 = braggvectors.calibration.get_origin()
    np.testing.assert_allclose(qx0, [[101.3] * 3, [101.6] * 3])
    np.testing.assert_allclose(qy0, [[93.8, 93.6, 93.4]] * 2)


def test_points_without_a_lattice_get_the_origin_of_the_others(exact_vectors):
    """Nothing there, and three disks of noise that pass for a lattice of their own."""
    other = exact_vectors.deepcopy()
    other.data[0, 0] = other.data[0, 0][:0]
    other.data[0, 1] = np.array([[0.0, 0, 1, 0, 0], [0.9, 0, 1, 1, 0], [0, 0.9, 1, 0, 1]])
    qx0, qy0 = interop.to_braggvectors(other).calibration.get_origin()
    np.testing.assert_allclose(qx0[0, :2], np.median([101.3, 101.6, 101.6, 101.6]))
    np.testing.assert_allclose(qy0[0, :2], np.median([93.4, 93.8, 93.6, 93.4]))


def test_descan_and_ellipse_are_undone(exact_vectors):
    """An ellipse calibrated in py4DSTEM: the same numbers as in its calibrated vectors."""
    braggvectors = interop.to_braggvectors(exact_vectors)
    braggvectors.calibration.set_ellipse((1.05, 1.0, 0.4))
    braggvectors.calibration.set_QR_rotation_degrees(50.0)
    vectors = interop.from_braggvectors(braggvectors)
    points = braggvectors.get_vectors(1, 2, center=True, ellipse=True, pixel=True, rotate=False)
    np.testing.assert_allclose(vectors.data[1, 2][:, 0], points.qx)
    np.testing.assert_allclose(vectors.data[1, 2][:, 1], points.qy)


def test_bad_disks_do_not_reach_py4dstem(measured):
    vectors = measured[1].deepcopy()
    n = len(vectors.data[0, 0])
    vectors.data[0, 0][3, 5] = 1.5  # misfit
    vectors.data[0, 0][4, :2] = np.nan
    vectors.data[0, 1][2, 2] = np.nan  # saturated
    with pytest.warns(UserWarning, match="1 disks without an intensity"):
        braggvectors = interop.to_braggvectors(vectors)
    assert len(braggvectors.raw[0, 0].data) == n - 2
    intensity = braggvectors.raw[0, 1].I
    assert np.isfinite(intensity).all()
    assert intensity[2] == np.nanmax(vectors.data[0, 1][:, 2])
    with pytest.warns(UserWarning, match="without an intensity"):
        kept = interop.to_braggvectors(vectors, max_misfit=None)
    assert len(kept.raw[0, 0].data) == n - 1


def test_lazy_vectors_and_lines(exact_vectors):
    line = interop.to_braggvectors(exact_vectors.inav[:, 1])
    assert line.Rshape == (1, 3)
    lazy = interop.to_braggvectors(exact_vectors.as_lazy())
    np.testing.assert_array_equal(lazy.raw[1, 1].qx, line.raw[0, 1].qx)


def test_what_cannot_be_converted(exact_vectors, signal):
    with pytest.raises(TypeError, match="ndarray"):
        interop.to_braggvectors(exact_vectors.data)
    with pytest.raises(TypeError, match="BraggVectors"):
        interop.from_braggvectors(exact_vectors)
    with pytest.raises(ValueError, match=r"do not belong to this datacube of \(2, 2\)"):
        interop.to_braggvectors(exact_vectors, interop.to_datacube(signal.inav[:2, :]))
    plain = exact_vectors.deepcopy()
    plain.column_names = ["ky", "kx", "a", "b", "c"]
    with pytest.raises(ValueError, match="intensity"):
        interop.to_braggvectors(plain)
    plain = exact_vectors.deepcopy()
    plain.detector_shape = None
    with pytest.raises(ValueError, match="detector_shape"):
        interop.to_braggvectors(plain)
