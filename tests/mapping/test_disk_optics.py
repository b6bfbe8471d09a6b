"""Radius and edge of a scan are measured before it is mapped, whatever its chunks."""

import dask.array as da
import numpy as np
import pytest
from pyxem.signals import Diffraction2D, LazyDiffraction2D
from scipy.special import erfc

from pyxem_mlmaps import DiskLattice, load_model
from pyxem_mlmaps.mapping.blocks import sample_patterns
from pyxem_mlmaps.mapping.disk_locator import DiskLocator
from pyxem_mlmaps.mapping.disk_optics import with_optics

LATTICE = DiskLattice(
    (63.5, 63.5), (0, 30), (30, 0), [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], 9.0
)


def scan(edge=0.6, radius=9.0, n=6, electrons=3e4, seed=0):
    """(n, n) patterns of nine disks with a slope of contrast in each."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((128, 128))
    patterns = np.empty((n, n, 128, 128), dtype=np.uint16)
    for index in np.ndindex(n, n):
        expected = np.full((128, 128), 0.05)
        for cy, cx in LATTICE.positions + rng.normal(0, 0.3, 2):
            dy, dx = y - cy, x - cx
            slope = 1 + (rng.uniform(-1, 1) * dy + rng.uniform(-1, 1) * dx) / (1.5 * radius)
            blur = np.sqrt(2 * (edge**2 + 1 / 12))
            shape = np.clip(slope, 0.05, None) * erfc((np.hypot(dy, dx) - radius) / blur)
            expected += electrons * shape / shape.sum()
        patterns[index] = rng.poisson(expected)
    return patterns


def sample(signal):
    return lambda: sample_patterns(signal, False)


@pytest.fixture(scope="module")
def locator():
    return DiskLocator(load_model("disks"), LATTICE)


@pytest.mark.parametrize(("edge", "radius"), [(0.4, 9.0), (1.2, 8.6)])
def test_are_measured(locator, edge, radius):
    found = with_optics(locator, sample(Diffraction2D(scan(edge, radius))), "measure")
    assert found.edge == pytest.approx(edge, rel=0.2)
    assert found.lattice.radius == pytest.approx(radius, abs=0.1)


def test_do_not_depend_on_chunks(locator):
    data = scan()
    whole = with_optics(locator, sample(Diffraction2D(data)), "measure")
    lazy = LazyDiffraction2D(da.from_array(data, chunks=(2, 1, 128, 128)))
    parts = with_optics(locator, sample(lazy), "measure")
    assert (whole.edge, whole.lattice.radius) == (parts.edge, parts.lattice.radius)


def test_given_or_left_open(locator):
    signal = sample(Diffraction2D(scan(n=1)))
    given = with_optics(locator, signal, (9.2, 0.7))
    assert (given.lattice.radius, given.edge) == (9.2, 0.7)
    assert with_optics(locator, signal, None).edge == 0


def test_blank_scan_leaves_them_open(locator):
    found = with_optics(locator, lambda: np.zeros((9, 128, 128)), "measure")
    assert found.edge == 0 and found.lattice.radius == 9.0


def test_wide_blur_is_told(locator):
    with pytest.warns(UserWarning, match="blurred by .* px"):
        wide = DiskLattice((63.5, 63.5), (0, 62), (62, 0), [(0, 0)], 30.0)
        rng = np.random.default_rng(1)
        y, x = np.indices((128, 128)) - 63.5
        shape = erfc((np.hypot(y, x) - 30) / (np.sqrt(2) * 4.5))
        data = rng.poisson(40 * shape + 0.1, (16, 128, 128))
        with_optics(DiskLocator(locator.model, wide), lambda: data, "measure")


@pytest.mark.parametrize(("radius", "edge"), [(5.0, 1.3), (7.0, 1.8), (30.0, 2.4)])
def test_wide_blur_is_told_for_the_radius(locator, radius, edge):
    """A small disk has no room for an edge that a large one bears."""
    with pytest.warns(UserWarning, match="blurred by"):
        with_optics(locator, lambda: None, (radius, edge))


def test_patterns_are_read_only_where_they_are_needed(locator):
    def never():
        raise AssertionError("read")

    with_optics(locator, never, None)
    with_optics(locator, never, (9.0, 0.5))


@pytest.mark.parametrize("wrong", ["guess", (9.0,), (9.0, -1.0), (np.nan, 1.0), ("a", 1)])
def test_errors(locator, wrong):
    with pytest.raises(ValueError, match="optics="):
        with_optics(locator, sample(Diffraction2D(scan(n=1))), wrong)
