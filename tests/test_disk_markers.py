"""Disks drawn on a scan follow its navigator and lie where they were measured."""

from __future__ import annotations

import hyperspy.api as hs
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from pyxem.signals import DiffractionVectors, ElectronDiffraction2D

from pyxem_mlmaps import DiskLattice, plotting
from pyxem_mlmaps._disk_markers import disk_markers
from pyxem_mlmaps._drawn_disks import DOUBTFUL, TRUSTED
from pyxem_mlmaps.mapping.disk_vectors import make_vectors

matplotlib.use("Agg")

SCALE, OFFSET = np.array([0.02, 0.03]), np.array([-0.4, -0.7])  # (ky, kx), pixels not square
SHIFT = 3.0
"""px that the pattern moves along kx from one column of the scan to the next."""
STRETCH = 0.02


@pytest.fixture
def lattice():
    indices = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    return DiskLattice((20, 22), (0, 12), (12, 0), indices, 4)


@pytest.fixture
def scan():
    """2 x 3 patterns of 41 x 56 px."""
    s = ElectronDiffraction2D(np.random.default_rng(0).poisson(2.0, (2, 3, 41, 56)))
    for axis, scale, offset in zip(s.axes_manager.signal_axes[::-1], SCALE, OFFSET, strict=True):
        axis.scale, axis.offset, axis.units = scale, offset, "$A^{-1}$"
    return s


@pytest.fixture
def vectors(scan, lattice):
    """The last pattern of each row lacks a disk; one disk of the first pattern has a misfit of 3.

    The patterns of the second row are larger by STRETCH.
    """
    data = np.empty((2, 3), dtype=object)
    for y, x in np.ndindex(2, 3):
        points = lattice.indices @ lattice.basis * (1 + STRETCH * y)
        pixels = np.asarray(lattice.origin) + points + [0, SHIFT * x]
        rows = np.zeros((5, 8))
        rows[:, :2] = OFFSET + SCALE * pixels
        rows[:, 2:6] = [100, *(0.1 * SCALE), 0.5]
        rows[:, 6:] = lattice.indices
        data[y, x] = rows[:4] if x == 2 else rows
    data[0, 0][3, 5] = 3.0
    return make_vectors(data, scan, {"lattice": lattice.to_dict()})


@pytest.fixture(autouse=True)
def close():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def drawn(markers, name):
    """What matplotlib draws at present."""
    (marker,) = (m for m in markers if m.name == name)
    return marker._collection


def go_to(s, x, y):
    s.axes_manager.indices = (x, y)


def widths(collection):
    """(n, 2) x and y diameters in data coordinates."""
    collection._set_transforms()
    return 2 * collection._transforms[:, [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("kind", "lazy_scan"),
    [("computed", True), ("lazy", False), ("reloaded", False), ("reloaded lazily", True)],
)
def test_markers_follow_the_navigator(scan, vectors, kind, lazy_scan, tmp_path):
    """At each point the circles are at (kx, ky) of its own vectors."""
    expected = vectors.data
    if kind == "lazy":
        vectors = vectors.as_lazy()
    elif kind != "computed":
        vectors.save(tmp_path / "v.zspy")
        vectors = hs.load(tmp_path / "v.zspy", lazy="lazily" in kind)
    s = scan.as_lazy() if lazy_scan else scan
    markers = plotting.plot_disks(s, vectors)
    for y, x in np.ndindex(2, 3):
        go_to(s, x, y)
        circles = drawn(markers, "disks")
        np.testing.assert_allclose(circles.get_offsets(), expected[y, x][:, 1::-1])
    s._plot.close()


@pytest.mark.parametrize("end", ["hspy", "zspy"])
def test_files_keep_what_is_drawn(scan, vectors, tmp_path, end):
    vectors.save(tmp_path / f"v.{end}")
    for a, b in zip(
        disk_markers(scan, vectors), disk_markers(scan, hs.load(tmp_path / f"v.{end}")), strict=True
    ):
        assert a.name == b.name
        for key, value in a.kwargs.items():
            for mine, theirs in zip(np.ravel(value), np.ravel(b.kwargs[key]), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_circles_have_the_size_of_the_disks(scan, vectors, lattice):
    """Radius 4 px on pixels that are not square."""
    markers = plotting.plot_disks(scan, vectors)
    for name in ("disks", "lattice"):
        np.testing.assert_allclose(widths(drawn(markers, name))[0], 8 * SCALE[::-1])


def test_colours_tell_what_not_to_trust(scan, vectors):
    markers = plotting.plot_disks(scan, vectors)
    colours = drawn(markers, "disks").get_edgecolor()
    expected = [*(3 * [TRUSTED]), DOUBTFUL, TRUSTED]
    np.testing.assert_array_equal(colours, [to_rgba(colour) for colour in expected])
    go_to(scan, 1, 1)
    assert np.all(drawn(markers, "disks").get_edgecolor() == to_rgba(TRUSTED))
    scan._plot.close()
    markers = plotting.plot_disks(scan, vectors, max_misfit=5)
    assert np.all(drawn(markers, "disks").get_edgecolor() == to_rgba(TRUSTED))


def test_lattice_moves_with_the_pattern_and_does_not_stretch(scan, vectors, lattice):
    """Descan is no strain: the grey circles go with it, and show disks that are missing."""
    markers = plotting.plot_disks(scan, vectors)
    for y, x in np.ndindex(2, 3):
        go_to(scan, x, y)
        got = (drawn(markers, "lattice").get_offsets()[:, ::-1] - OFFSET) / SCALE
        moved = lattice.positions + [0, SHIFT * x]
        assert got.shape == (5, 2)
        np.testing.assert_allclose(got, moved, atol=12 * STRETCH * 0.51)
        if y == 0:
            np.testing.assert_allclose(got, moved, atol=1e-9)


def test_lines_show_displacements_of_trusted_disks(scan, vectors, lattice):
    """Ten times too long: a stretch of 2 % of 12 px are 2.4 px; a doubtful disk has no line."""
    markers = plotting.plot_disks(scan, vectors)
    name = "displacement × 10"
    assert len(drawn(markers, name).get_segments()) == 4
    go_to(scan, 1, 1)
    segments = np.array(drawn(markers, name).get_segments())
    length = (segments[:, 1] - segments[:, 0])[:, ::-1] / SCALE
    np.testing.assert_allclose(length, 10 * STRETCH * lattice.indices @ lattice.basis, atol=1e-9)
    scan._plot.close()
    assert "displacement" not in str(plotting.plot_disks(scan, vectors, displacement=0))


def test_sigma_ellipses(scan, vectors):
    markers = plotting.plot_disks(scan, vectors, sigma=20)
    np.testing.assert_allclose(widths(drawn(markers, "20 σ")), np.tile(4 * SCALE[::-1], (5, 1)))
    assert "σ" not in str(disk_markers(scan, vectors))


@pytest.mark.parametrize("lazy", [False, True])
def test_lattice_alone(scan, lattice, lazy):
    """The same circles on every pattern."""
    s = scan.as_lazy() if lazy else scan
    (marker,) = plotting.plot_disks(s, lattice)
    for point in [(0, 0), (2, 1)]:
        go_to(s, *point)
        offsets = marker._collection.get_offsets()
        np.testing.assert_allclose(offsets[:, ::-1], OFFSET + SCALE * lattice.positions)
    np.testing.assert_allclose(widths(marker._collection)[0], 8 * SCALE[::-1])


def test_disks_of_nowhere(scan, vectors):
    """Rows of NaN and patterns without any disk draw nothing, and no warning."""
    vectors.data[0, 1][:2, :2] = np.nan
    vectors.data[1, 1] = np.empty((0, 8))
    markers = plotting.plot_disks(scan, vectors, sigma=10)
    for point, n in (((1, 0), 3), ((1, 1), 0)):
        go_to(scan, *point)
        assert len(drawn(markers, "disks").get_offsets()) == n
        assert len(drawn(markers, "displacement × 10").get_segments()) == n


def test_single_pattern(scan, vectors):
    """Vectors without a scan, as pyxem keeps them."""
    one = vectors.inav[1, 0]
    s = scan.inav[1, 0]
    flat = make_vectors(one.data[0], s, {"lattice": {"origin": [20, 22], "g1": [0, 12],
        "g2": [12, 0], "indices": one.data[0][:, 6:].astype(int), "radius": 4.0}})  # fmt: skip
    for v in (one, flat, flat.as_lazy()):
        markers = plotting.plot_disks(s, v)
        offsets = drawn(markers, "disks").get_offsets()
        np.testing.assert_allclose(offsets, vectors.data[0, 1][:, 1::-1])
        s._plot.close()


def test_line_of_a_scan(scan, vectors):
    s, v = scan.inav[:, 1], vectors.inav[:, 1]
    markers = plotting.plot_disks(s, v)
    s.axes_manager.indices = (2,)
    offsets = drawn(markers, "disks").get_offsets()
    np.testing.assert_allclose(offsets, vectors.data[1, 2][:, 1::-1])


def test_calibrated_anew(scan, vectors, lattice):
    """A pixel stays a pixel when the axes get another scale and zero."""
    s = scan.deepcopy()
    for axis in s.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = 2.0, -7.0, "px"
    markers = plotting.plot_disks(s, vectors)
    offsets = drawn(markers, "disks").get_offsets()
    np.testing.assert_allclose(offsets, -7 + 2 * lattice.positions[:, ::-1])


def test_cropped_and_binned_patterns_keep_their_calibration(scan, vectors):
    """Other pixels, the same reciprocal vectors and the same size in them."""
    for s in (scan.isig[4:50, 3:], scan.isig[:, :40].rebin(scale=(1, 1, 2, 2))):
        markers = plotting.plot_disks(s, vectors)
        offsets = drawn(markers, "disks").get_offsets()
        np.testing.assert_allclose(offsets, vectors.data[0, 0][:, 1::-1])
        np.testing.assert_allclose(widths(drawn(markers, "disks"))[0], 8 * SCALE[::-1])
    s = scan.isig[4:50, 3:]
    s.axes_manager.signal_axes[0].units = "nm^-1"
    with pytest.raises(ValueError, match=r"41, 56.*the signal has \(38, 46\) px in"):
        plotting.plot_disks(s, vectors)


def test_vectors_of_another_origin(scan, lattice):
    """Peaks of pyxem: no σ, no misfit, no lattice; the radius has to come from somewhere."""
    data = np.empty((2, 3), dtype=object)
    for point in np.ndindex(2, 3):
        data[point] = OFFSET + SCALE * lattice.positions
    peaks = DiffractionVectors(data, column_names=["ky", "kx"])
    with pytest.raises(ValueError, match="radius=None.*give the radius of the disks in pixels"):
        plotting.plot_disks(scan, peaks)
    (marker,) = plotting.plot_disks(scan, peaks, radius=5)
    np.testing.assert_allclose(widths(marker._collection)[0], 10 * SCALE[::-1])
    scan.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    scan.metadata.set_item("Acquisition_instrument.TEM.convergence_angle", 4.0)
    (marker,) = disk_markers(scan, peaks)
    radius = 1e-3 * 4.0 / 0.02508  # Å⁻¹ at 200 keV
    aspect = np.sqrt(SCALE / SCALE[::-1])  # the radius is the mean of both axes
    expected = 2 * radius * aspect
    np.testing.assert_allclose([marker.kwargs["heights"][0], marker.kwargs["widths"][0]], expected,
                               rtol=1e-3)  # fmt: skip


def test_wrong_scan_and_types(scan, vectors, lattice):
    with pytest.raises(ValueError, match=r"a scan of \(3, 2\) points.*the signal has \(2, 2\)"):
        plotting.plot_disks(scan.inav[:2], vectors)
    with pytest.raises(TypeError, match="disks is a dict; DiffractionVectors"):
        plotting.plot_disks(scan, lattice.to_dict())
    with pytest.raises(ValueError, match="radius=-1"):
        plotting.plot_disks(scan, vectors, radius=-1)


def test_legend_and_norm(scan, vectors):
    plotting.plot_disks(scan, vectors, norm="linear", legend=False)
    assert scan._plot.signal_plot.ax.get_legend() is None
    assert scan._plot.signal_plot.norm == "linear"
    scan._plot.close()
    plotting.plot_disks(scan, vectors)
    texts = [t.get_text() for t in scan._plot.signal_plot.ax.get_legend().get_texts()]
    assert texts == ["without strain", "found", "not to be trusted", "displacement × 10"]


def test_kept_with_the_signal(scan, vectors, tmp_path):
    """Permanent markers are saved with the patterns, and drawn again."""
    scan.add_marker(disk_markers(scan, vectors), permanent=True, plot_marker=False)
    scan.save(tmp_path / "s.zspy")
    s = hs.load(tmp_path / "s.zspy")
    s.plot()
    go_to(s, 1, 1)
    offsets = s.metadata.Markers.disks._collection.get_offsets()
    np.testing.assert_allclose(offsets, vectors.data[1, 1][:, 1::-1])
