"""What pyxem does with the vectors: its methods chain on, and files give everything back."""

from __future__ import annotations

from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import DiffractionVectors, DiffractionVectors2D, ElectronDiffraction2D

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps.mapping.disk_vectors import COLUMN_NAMES

pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE = (160, 176)
SCALE, UNITS = 0.02, "$A^{-1}$"
STRAINS = np.array([[0.0, 0.01, -0.02], [0.03, 0.015, 0.0]])
"""Expansion of the pattern along ky."""


@pytest.fixture(scope="module")
def scan(disk_pattern, disk_lattice):
    """2 x 3 noise-free patterns stretched along ky, calibrated, zero on the direct beam."""
    patterns = [
        disk_pattern(disk_lattice, SHAPE, [[e, 0], [0, 0]], electrons=1e5)[0]
        for e in STRAINS.ravel()
    ]
    s = ElectronDiffraction2D(np.array(patterns).reshape(2, 3, *SHAPE))
    for axis, zero in zip(s.axes_manager.signal_axes[::-1], disk_lattice.origin, strict=True):
        axis.scale, axis.units, axis.offset = SCALE, UNITS, -SCALE * zero
    for axis in s.axes_manager.navigation_axes:
        axis.scale, axis.units = 4.0, "nm"
    return s


@pytest.fixture(params=["eager", "lazy"])
def vectors(request, scan, disk_lattice, edge_model):
    s = scan.as_lazy() if request.param == "lazy" else scan
    return s.ml_disk_positions(edge_model, disk_lattice)


def true_vectors(disk_lattice):
    """The same signal from the known positions."""
    points = disk_lattice.indices @ disk_lattice.basis
    data = np.empty((2, 3), dtype=object)
    for i in np.ndindex(2, 3):
        data[i] = SCALE * points * [1 + STRAINS[i], 1]
    return DiffractionVectors(data, ragged=True)


def test_strain_maps(vectors, disk_lattice):
    """pyxem's strain from measured positions is that from the true ones."""
    basis = SCALE * disk_lattice.basis
    maps = vectors.get_strain_maps(basis, distance=6 * SCALE)
    wanted = true_vectors(disk_lattice).get_strain_maps(basis, distance=6 * SCALE)
    assert np.abs(wanted.data[0]).max() > 0.02, "it is strained"
    np.testing.assert_allclose(maps.data, wanted.data, atol=5e-4)


def test_pixel_vectors(vectors, disk_lattice):
    pixels = vectors.pixel_vectors
    if pixels._lazy:
        pixels.compute()
    np.testing.assert_array_equal(pixels.data[0, 0][:, :2], np.round(disk_lattice.positions))


def test_columns_by_name(vectors):
    two = vectors.ivec[["ky", "kx"]]
    good = vectors.ivec[:, vectors.ivec["h"] > 0]
    for signal in (two, good):
        if signal._lazy:
            signal.compute()
    assert two.data[1, 1].shape == (37, 2)
    assert np.all(good.data[1, 1][:, 6] > 0) and 0 < len(good.data[1, 1]) < 37
    assert list(two.scales) == [SCALE, SCALE]


def test_filters(vectors, disk_lattice):
    near = vectors.filter_magnitude(0.0, 0.7)
    basis = SCALE * (disk_lattice.indices[:3] @ disk_lattice.basis)
    close = vectors.filter_basis(basis, distance=3 * SCALE)
    for signal in (near, close):
        if signal._lazy:
            signal.compute()
    distances = SCALE * np.hypot(*(disk_lattice.indices @ disk_lattice.basis).T)
    assert len(near.data[0, 0]) == np.sum(distances < 0.7)
    assert close.data.shape == (2, 3, 3, 8)
    np.testing.assert_allclose(close.data[0, 0, :, :2], basis, atol=0.05 * SCALE)


def test_count_of_disks(vectors):
    counts = vectors.get_diffracting_pixels_map()
    if counts._lazy:
        counts.compute()
    np.testing.assert_array_equal(counts.data, 37)


def test_markers(vectors, disk_lattice):
    """On the pattern: (x, y), in the units of the axes."""
    markers = vectors.to_markers(sizes=4)
    offsets = markers.kwargs["offsets"]
    first = offsets[0, 0] if not hasattr(offsets, "compute") else offsets.compute()[0, 0]
    points = SCALE * (disk_lattice.indices @ disk_lattice.basis)
    np.testing.assert_allclose(np.asarray(first)[:, :2], points[:, ::-1], atol=0.05 * SCALE)


def test_mask(vectors, scan, disk_lattice):
    """As the docstring says, with the axes put where pyxem looks for them."""
    vectors.metadata.set_item("Peaks.signal_axes", scan.axes_manager.signal_axes[::-1])
    mask = vectors.to_mask(3)
    if mask._lazy:
        mask.compute()
    assert mask.data.shape == (2, 3, *SHAPE)
    y, x = np.round(disk_lattice.positions).astype(int).T
    assert np.all(mask.data[0, 0][y, x])
    assert mask.data[0, 0].sum() < 37 * 40


def test_flatten(scan, disk_lattice, edge_model):
    flat = scan.ml_disk_positions(edge_model, disk_lattice).flatten_diffraction_vectors()
    assert flat.data.shape == (6 * 37, 10)


def test_slices_of_the_scan(vectors):
    part = vectors.inav[1:, 0]
    if part._lazy:
        part.compute()
    assert part.data.shape == (2,) and list(part.column_names) == list(COLUMN_NAMES)


@pytest.mark.parametrize("suffix", ["hspy", "zspy"])
@pytest.mark.parametrize("absent", ["drop", "nan"])
def test_files(scan, disk_lattice, edge_model, tmp_path, suffix, absent):
    """Rows of every length, names, calibration and provenance come back, lazily too."""
    s = scan.deepcopy()
    s.data[1, 2] = 0
    s.data[0, 1, :90] = 0
    vectors = s.ml_disk_positions(edge_model, disk_lattice, absent=absent)
    lengths = {len(rows) for rows in vectors.data.ravel()}
    assert lengths == ({37} if absent == "nan" else {37, 0, len(vectors.data[0, 1])})
    path = tmp_path / f"disks.{suffix}"
    vectors.save(path)
    for lazy in (False, True):
        back = hs.load(path, lazy=lazy)
        if lazy:
            back.compute()
        assert type(back) is DiffractionVectors
        for i in np.ndindex(2, 3):
            np.testing.assert_array_equal(np.reshape(back.data[i], (-1, 8)), vectors.data[i])
        assert list(back.column_names) == list(COLUMN_NAMES)
        assert list(back.units) == list(vectors.units)
        np.testing.assert_array_equal(back.scales, vectors.scales)
        np.testing.assert_array_equal(back.offsets, vectors.offsets)
        assert back.axes_manager.navigation_axes[0].scale == 4.0
        node = back.metadata.MLDiskPositions
        assert DiskLattice.from_dict(node.lattice.as_dictionary()) == disk_lattice
        assert node.options.absent == absent and "pyxem" in node.versions.as_dictionary()


def test_lazy_vectors_are_saved(scan, disk_lattice, edge_model, tmp_path):
    expected = scan.ml_disk_positions(edge_model, disk_lattice)
    vectors = scan.as_lazy().ml_disk_positions(edge_model, disk_lattice)
    vectors.save(tmp_path / "disks.zspy")
    back = hs.load(tmp_path / "disks.zspy")
    for i in np.ndindex(2, 3):
        np.testing.assert_array_equal(back.data[i], expected.data[i])


class TestSinglePattern:
    @pytest.fixture
    def single(self, scan, disk_lattice, edge_model):
        return scan.inav[0, 1].ml_disk_positions(edge_model, disk_lattice)

    def test_chains(self, single, disk_lattice):
        assert single.ivec[["ky", "kx"]].data.shape == (37, 2)
        assert len(single.filter_magnitude(0.0, 0.7).data) < 37
        basis = SCALE * (disk_lattice.indices[:3] @ disk_lattice.basis)
        assert single.filter_basis(basis, 3 * SCALE).data.shape == (3, 8)

    def test_file(self, single, tmp_path):
        single.save(tmp_path / "one.hspy")
        back = hs.load(tmp_path / "one.hspy")
        assert isinstance(back, DiffractionVectors2D)
        np.testing.assert_array_equal(back.data, single.data)
        assert list(back.column_names) == list(COLUMN_NAMES)
        assert back.metadata.has_item("MLDiskPositions.lattice")


class TestShippedModel:
    """The model that comes with the package, on the patterns of these tests."""

    @pytest.fixture(scope="class")
    def shipped(self):
        import pyxem_mlmaps as mlmaps

        if not (Path(mlmaps.__file__).parent / "models" / "shipped" / "disks.keras").exists():
            pytest.skip("the package's disk model is not there yet")
        return mlmaps.load_model("disks")

    def test_default_model(self, scan, disk_lattice, shipped):
        named = scan.ml_disk_positions(shipped, disk_lattice)
        default = scan.ml_disk_positions(lattice=disk_lattice)
        for i in np.ndindex(2, 3):
            np.testing.assert_array_equal(default.data[i], named.data[i])
        assert default.metadata.has_item("MLDiskPositions.card")

    def test_positions(self, disk_pattern, disk_lattice, shipped):
        """Strain, rotation and descan; every disk, to 0.1 px at 1e5 electrons a disk."""
        rng = np.random.default_rng(1)
        patterns, truth = np.empty((2, 4, *SHAPE)), np.empty((2, 4, 37, 2))
        for i in np.ndindex(2, 4):
            gradient, shift = rng.uniform(-0.03, 0.03, (2, 2)), rng.uniform(-4, 4, 2)
            patterns[i], truth[i] = disk_pattern(
                disk_lattice, SHAPE, gradient, shift, electrons=1e5
            )
        s = ElectronDiffraction2D(rng.poisson(patterns))
        vectors = s.ml_disk_positions(shipped, disk_lattice)
        for i in np.ndindex(2, 4):
            assert len(vectors.data[i]) == 37
            assert np.abs(vectors.data[i][:, :2] - truth[i]).max() < 0.25
        measured = np.stack([rows[:, :2] for rows in vectors.data.ravel()])
        errors = measured - truth.reshape(8, 37, 2)
        assert np.sqrt(np.mean(errors**2)) < 0.1

    def test_absent_disks(self, disk_pattern, disk_lattice, shipped):
        """Vacuum, and a pattern in which a third of the disks is missing."""
        present = np.random.default_rng(2).random(37) < 0.67
        present[0] = True
        patterns = np.stack(
            [
                disk_pattern(disk_lattice, SHAPE, present=present)[0],
                disk_pattern(disk_lattice, SHAPE, present=np.arange(37) == 0)[0],
            ]
        )
        s = ElectronDiffraction2D(np.random.default_rng(0).poisson(patterns))
        vectors = s.ml_disk_positions(shipped, disk_lattice)
        np.testing.assert_array_equal(vectors.data[0][:, 6:], disk_lattice.indices[present])
        np.testing.assert_array_equal(vectors.data[1][:, 6:], [[0, 0]])
