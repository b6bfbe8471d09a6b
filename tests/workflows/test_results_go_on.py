"""What comes out goes on: reference regions, slices, files, copies, crystal maps, figures."""

from __future__ import annotations

import hyperspy.api as hs
import matplotlib
import numpy as np
import pytest
from orix import io

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data, plotting

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def omap(foil, model):
    return foil.ml_orientation_map(model, data.ground_truth(foil).lattice, background="local")


@pytest.fixture(scope="module")
def step(device):
    """nm: ROIs are in the units of the scan."""
    return device.axes_manager.navigation_axes[0].scale


def regions(step):
    """ROIs (x, y), and the points of a 3 x 4 scan that they hold.

    HyperSpy's circles take a pixel to be half a step beyond its coordinate.
    """
    inside = np.zeros((3, 3, 4), dtype=bool)
    inside[0, 1:, 1:3] = True
    inside[1, 1:, 2:] = True
    inside[2, 2, 1] = True
    return [
        (hs.roi.RectangularROI(step, step, 3 * step, 3 * step), inside[0]),
        (hs.roi.CircleROI(cx=2 * step, cy=step, r=1.1 * step), inside[1]),
        (hs.roi.Point2DROI(step, 2 * step), inside[2]),
    ]


class TestReferenceRegions:
    @pytest.mark.parametrize("n", range(3))
    def test_roi_is_the_median_of_its_points(self, device_vectors, step, n):
        roi, mask = regions(step)[n]
        strain = mlmaps.strain_map(device_vectors, reference=roi)
        expected = mlmaps.strain_map(device_vectors, reference=mask)
        np.testing.assert_array_equal(strain.data, expected.data)
        assert type(roi).__name__ in strain.reference["source"]

    @pytest.mark.parametrize("n", range(3))
    @pytest.mark.parametrize("lazy", [False, True])
    def test_roi_on_a_part_of_the_scan(self, device_vectors, step, n, lazy):
        """The axes of a slice start elsewhere: a ROI means the same place."""
        roi, _ = regions(step)[n]
        vectors = device_vectors.as_lazy() if lazy else device_vectors
        part = vectors.inav[1:, :]
        assert part.axes_manager.navigation_axes[0].offset == step
        strain = mlmaps.strain_map(part, reference=roi)
        whole = mlmaps.strain_map(device_vectors, reference=roi)
        np.testing.assert_allclose(strain.data, whole.data[:, :, 1:], atol=1e-12)

    def test_roi_off_the_slice(self, device_vectors, step):
        roi = hs.roi.RectangularROI(0, 0, step, step)
        with pytest.raises(ValueError, match="scan axes.*which reach"):
            mlmaps.strain_map(device_vectors.inav[2:], reference=roi)

    def test_interval_of_a_line(self, device_vectors, step):
        line = device_vectors.inav[:, 1]
        strain = mlmaps.strain_map(line, reference=hs.roi.SpanROI(0, 2 * step))
        expected = mlmaps.strain_map(line, reference=np.array([True, True, False, False]))
        np.testing.assert_array_equal(strain.data, expected.data)

    def test_region_drawn_on_a_dark_field(self, device, device_vectors, step):
        """An interactive ROI on a virtual image, in the same units."""
        image = device.isig[:60, :60].sum(axis=(-1, -2)).T
        roi = hs.roi.RectangularROI(step, step, 3 * step, 3 * step)
        image.plot()
        roi.add_widget(image)
        one = mlmaps.strain_map(device_vectors, reference=roi)
        roi.left = 0
        other = mlmaps.strain_map(device_vectors, reference=roi)
        assert np.abs(one.data - other.data).max() > 1e-6
        assert one.reference["source"] != other.reference["source"]


@pytest.mark.parametrize(("end", "lazy"), [("hspy", True), ("zspy", False)])
class TestFiles:
    def test_strain(self, device, device_vectors, judge, tmp_path, end, lazy):
        """Positions are saved, loaded and made a strain map; that is saved, loaded and drawn."""
        device_vectors.save(tmp_path / f"v.{end}")
        vectors = hs.load(tmp_path / f"v.{end}", lazy=lazy)
        assert vectors._lazy == lazy
        judge.strain(vectors, device)
        strain = mlmaps.strain_map(device_vectors)
        strain.save(tmp_path / f"s.{end}")
        again = hs.load(tmp_path / f"s.{end}", lazy=lazy)
        for name in ("e11", "rotation", "sigma_e12", "n_disks"):
            expected = getattr(strain, name, None) or strain.channel(name)
            got = again.channel(name)
            np.testing.assert_array_equal(np.asarray(got.data), expected.data)
        figure = again.plot_strain(sigma=True, return_figure=True)
        assert len(figure.axes) >= 8
        again.plot()

    def test_orientation(self, foil, omap, judge, tmp_path, end, lazy):
        omap.save(tmp_path / f"o.{end}")
        again = hs.load(tmp_path / f"o.{end}", lazy=lazy)
        assert again._lazy == lazy
        xmap = again.to_crystal_map()
        np.testing.assert_array_equal(xmap.rotations.data, omap.to_crystal_map().rotations.data)
        again.plot()
        judge.tilts(again, foil)

    def test_disks_are_drawn(self, device, device_vectors, tmp_path, end, lazy):
        """Patterns and positions from files, moved through with the navigator."""
        device.save(tmp_path / f"s.{end}")
        device_vectors.save(tmp_path / f"v.{end}")
        s, vectors = (hs.load(tmp_path / f"{name}.{end}", lazy=lazy) for name in "sv")
        markers = plotting.plot_disks(s, vectors)
        (disks,) = (m for m in markers if m.name == "disks")
        for point in ((0, 0), (3, 2), (1, 2)):
            s.axes_manager.indices = point
            expected = device_vectors.data[point[::-1]][:, 1::-1]
            np.testing.assert_allclose(disks._collection.get_offsets(), expected)
        s._plot.close()


class TestCrystalMap:
    def test_saved_by_orix(self, omap, tmp_path):
        """Rotations, properties and step of the scan, as orix keeps them."""
        xmap = omap.to_crystal_map()
        io.save(str(tmp_path / "x.h5"), xmap)
        again = io.load(str(tmp_path / "x.h5"))
        np.testing.assert_allclose(again.rotations.data, xmap.rotations.data, atol=1e-12)
        np.testing.assert_array_equal(again.prop["tilt_x"], omap.tilt_x.data.ravel())
        assert again.shape == (3, 4) and again.scan_unit == "nm"
        assert again.dx == omap.axes_manager.navigation_axes[0].scale
        assert again.phases[0].name == "GaSb" and again.phases[0].space_group.number == 216

    def test_of_a_part(self, omap):
        """Slices keep their points."""
        whole, part = omap.to_crystal_map(), omap.inav[1:3, 1:].to_crystal_map()
        assert part.shape == (2, 2)
        expected = whole.rotations.data.reshape(3, 4, 4)[1:, 1:3]
        np.testing.assert_array_equal(part.rotations.data, expected.reshape(-1, 4))

    def test_misorientation_is_the_bend(self, omap, foil):
        """orix' angle between two points of the foil is the angle between their tilts."""
        from orix.quaternion import Misorientation

        rotations = omap.to_crystal_map().rotations
        first, last = rotations[0], rotations[-1]
        angle = np.degrees(Misorientation(last * ~first).angle[0])
        truth = data.ground_truth(foil)
        bend = np.hypot(*(t[-1, -1] - t[0, 0] for t in (truth.tilt_x, truth.tilt_y)))
        assert angle == pytest.approx(bend, abs=0.003)


class TestCopies:
    def test_vectors(self, device, device_vectors, judge):
        lazy = device_vectors.as_lazy()
        back = lazy.deepcopy()
        back.compute()
        for vectors in (device_vectors.deepcopy(), lazy, back):
            judge.strain(vectors, device)
            assert vectors.metadata.has_item("MLDiskPositions.lattice")

    def test_untrusted_disks_are_taken_out(self, device, device_vectors, judge):
        """pyxem's selection of rows, by column name."""
        vectors = device_vectors.deepcopy()
        vectors.data[1, 1] = vectors.data[1, 1].copy()
        vectors.data[1, 1][4, 0] += 0.1
        vectors.data[1, 1][4, 5] = 5.0
        judge.strain(vectors, device)
        kept = vectors.ivec[:, vectors.ivec["misfit"] < 1]
        assert len(kept.data[1, 1]) == len(vectors.data[1, 1]) - 1
        one, other = mlmaps.strain_map(kept), mlmaps.strain_map(vectors)
        np.testing.assert_allclose(one.data, other.data, atol=1e-12)

    def test_orientation_maps(self, omap, foil, judge):
        lazy = omap.as_lazy()
        for again in (omap.deepcopy(), lazy, omap.inav[:, :]):
            judge.tilts(again, foil)
            assert again.to_crystal_map().shape == (3, 4)

    def test_arithmetic_on_channels(self, omap, foil):
        """Channels are plain signals: a tilt against the mean, in mrad."""
        relative = (omap.tilt_x - omap.tilt_x.data.mean()) * (np.pi / 180 * 1e3)
        truth = data.ground_truth(foil).tilt_x
        expected = np.radians(truth - truth.mean()) * 1e3
        np.testing.assert_allclose(relative.data, expected, atol=0.05)


def test_one_walk_from_camera_to_strain(files, make_device, judge, tmp_path):
    """Load, calibrate, centre, bin, map, choose a reference, save, load, draw."""
    s = make_device((3, 4), descan=2.0)
    files.write_mib(tmp_path / "scan.mib", s.data)
    raw = hs.load(tmp_path / "scan.mib", lazy=True)
    for mine, theirs in zip(raw.axes_manager._axes, s.axes_manager._axes, strict=True):
        mine.scale, mine.offset, mine.units = theirs.scale, theirs.offset, theirs.units
    microscope = s.metadata.Acquisition_instrument.as_dictionary()
    raw.metadata.set_item("Acquisition_instrument", microscope)
    x, y = (int(v) for v in data.ground_truth(s).lattice.origin[::-1])
    raw.center_direct_beam(method="center_of_mass", mask=(x, y, 14))
    binned = raw.rebin(scale=(1, 1, 2, 2))
    vectors = binned.ml_disk_positions()
    vectors.compute()
    judge.strain(vectors, s, tolerance=1.2e-3)
    vectors.save(tmp_path / "vectors.zspy")
    step = s.axes_manager.navigation_axes[0].scale
    strain = mlmaps.strain_map(
        hs.load(tmp_path / "vectors.zspy"), reference=hs.roi.RectangularROI(0, 0, step, step)
    )
    strain.save(tmp_path / "strain.zspy")
    again = hs.load(tmp_path / "strain.zspy")
    assert abs(again.e11.data[0, 0]) < 1e-12
    assert again.plot_strain(return_figure=True) is not None
    plotting.plot_disks(binned, vectors)
    binned._plot.close()
