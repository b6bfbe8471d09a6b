"""Figures of a scan and of the disks found on a pattern show what they are given."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps._scan_figures import plot_disk_fit, plot_scan

matplotlib.use("Agg")


@pytest.fixture
def lattice():
    indices = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    return DiskLattice((20, 22), (0, 12), (12, 0), indices, 4)


@pytest.fixture
def scan(lattice):
    """(3, 4) patterns: direct beam everywhere, the other disks in the left half only."""
    from pyxem.signals import Diffraction2D

    y, x = np.indices((41, 45))
    disks = [np.hypot(y - cy, x - cx) < lattice.radius for cy, cx in lattice.positions]
    data = np.zeros((3, 4, 41, 45), dtype=np.uint16)
    data[...] = 1000 * disks[0]
    data[:, :2] += np.any(disks[1:], axis=0).astype(np.uint16) * 30
    signal = Diffraction2D(data)
    for axis, scale in zip(signal.axes_manager.navigation_axes, (2.0, 5.0), strict=True):
        axis.scale = scale
    return signal


@pytest.fixture(autouse=True)
def close():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.mark.parametrize("lazy", [False, True])
def test_dark_field_leaves_the_direct_beam_out(scan, lattice, lazy):
    signal = scan.as_lazy() if lazy else scan
    figure = plot_scan(signal, lattice, {"crystal": (1, 0), "glass": (2, 3)})
    overview, *patterns = figure.axes
    dark_field = overview.images[0].get_array()
    assert np.all(dark_field[:, :2] > 1000) and np.all(dark_field[:, 2:] == 0)
    marks = [line.get_xydata()[0].tolist() for line in overview.lines]
    assert marks == [[0.0, 5.0], [6.0, 10.0]]  # x, y in the units of the scan
    assert [ax.get_title() for ax in patterns] == ["crystal", "glass"]
    image = np.asarray(patterns[0].images[0].get_array())
    faintest = 30.0  # what is darker is drawn alike
    assert image == pytest.approx(np.log(np.maximum(scan.data[1, 0], faintest)))


def test_points_must_be_on_the_scan(scan, lattice):
    with pytest.raises(ValueError, match=r"'gate' at \(3, 0\)"):
        plot_scan(scan, lattice, {"gate": (3, 0)})
    with pytest.raises(ValueError, match="1 axes"):
        plot_scan(scan.inav[0], lattice, {"gate": (0, 0)})


def test_arrows_and_circles_are_where_the_disks_are(scan, lattice):
    found = lattice.positions[[0, 2, 4]] + [[0.1, -0.2], [0.3, 0.0], [0.0, 0.5]]
    figure = plot_disk_fit(scan.data[0, 0], found, lattice, misfit=[0.2, 3.0, 0.5], magnify=10)
    ax = figure.axes[0]
    good, bad, arrows = ax.collections
    assert good.get_offsets() == pytest.approx(found[[0, 2], ::-1])
    assert bad.get_offsets() == pytest.approx(found[[1], ::-1])
    assert arrows.get_offsets() == pytest.approx(lattice.positions[[0, 2, 4], ::-1])
    assert np.column_stack([arrows.V, arrows.U]) == pytest.approx(
        10 * np.array([[0.1, -0.2], [0.3, 0.0], [0.0, 0.5]])
    )
    brightest = figure.axes[1].lines[0].get_xydata()[0]
    assert brightest == pytest.approx(found[0, ::-1])


def test_positions_of_another_shape_are_refused(scan, lattice):
    with pytest.raises(ValueError, match=r"\(0, 2\)"):
        plot_disk_fit(scan.data[0, 0], np.zeros((0, 2)), lattice)
    with pytest.raises(ValueError, match=r"\(5, 8\)"):
        plot_disk_fit(scan.data[0, 0], np.zeros((5, 8)), lattice)
