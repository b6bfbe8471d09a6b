"""``ml_disk_positions``: what goes in does not matter as long as it is the same data; what comes
out is pyxem's, calibrated, and says how it was made."""

from __future__ import annotations

import warnings

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import DiffractionVectors, DiffractionVectors2D, ElectronDiffraction2D
from pyxem.signals.diffraction_vectors import LazyDiffractionVectors

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps.mapping.disk_vectors import COLUMN_NAMES

SHAPE = (160, 176)
SCALE = np.array([0.021, 0.019])  # not square
OFFSET = np.array([-1.6, -1.7])
ABSENT = (1, 2, 4)  # this disk of this point
VACUUM = (2, 0)


@pytest.fixture(scope="module")
def truth(disk_lattice):
    """Deformation and descan of each of 3 x 4 points, and the disks' positions."""
    rng = np.random.default_rng(3)
    gradient = rng.uniform(-0.03, 0.03, (3, 4, 2, 2))
    shift = rng.uniform(-4, 4, (3, 4, 2))
    points = disk_lattice.indices @ disk_lattice.basis
    positions = (np.asarray(disk_lattice.origin) + shift)[:, :, None]
    positions = positions + np.einsum("ni,yxij->yxnj", points, np.eye(2) + gradient)
    return gradient, shift, positions


@pytest.fixture(scope="module")
def scan(disk_pattern, disk_lattice, truth):
    """3 x 4 patterns of uint16, one disk missing, one point of vacuum."""
    gradient, shift, _ = truth
    patterns = np.empty((3, 4, *SHAPE))
    for i in np.ndindex(3, 4):
        present = np.ones(37, dtype=bool)
        if i == ABSENT[:2]:
            present[ABSENT[2]] = False
        present &= i != VACUUM
        patterns[i], _ = disk_pattern(
            disk_lattice, SHAPE, gradient[i], shift[i], electrons=3e4, present=present
        )
    s = ElectronDiffraction2D(np.random.default_rng(0).poisson(patterns).astype(np.uint16))
    s.metadata.General.title = "Two fins"
    for axis, scale, offset in zip(s.axes_manager.signal_axes[::-1], SCALE, OFFSET, strict=True):
        axis.scale, axis.offset, axis.units = scale, offset, "$A^{-1}$"
    for axis, name, scale in zip(s.axes_manager.navigation_axes, "xy", (2.0, 3.0), strict=True):
        axis.name, axis.scale, axis.units, axis.offset = name, scale, "nm", 5.0
    s.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    return s


@pytest.fixture(scope="module")
def reference(scan, disk_lattice, new_edge_model):
    return scan.ml_disk_positions(new_edge_model(), disk_lattice)


def same_but(scan, values):
    s = scan.deepcopy()
    s.data = values
    return s


def as_lazy(scan, chunks=(2, 3, -1, -1)):
    s = scan.as_lazy()
    s.data = da.from_array(scan.data, chunks=chunks)
    return s


def assert_same(got, expected, atol=1e-5):
    assert got.data.shape == expected.data.shape
    for i in np.ndindex(expected.data.shape):
        np.testing.assert_allclose(got.data[i], expected.data[i], rtol=1e-5, atol=atol)


class TestWhatComesOut:
    def test_class_and_axes(self, scan, reference):
        assert type(reference) is DiffractionVectors and reference.ragged
        assert reference.data.shape == (3, 4)
        for mine, theirs in zip(
            reference.axes_manager.navigation_axes, scan.axes_manager.navigation_axes, strict=True
        ):
            for name in ("name", "size", "scale", "offset", "units"):
                assert getattr(mine, name) == getattr(theirs, name)

    def test_description(self, reference):
        assert list(reference.column_names) == list(COLUMN_NAMES)
        k = "$A^{-1}$"
        assert list(reference.units) == [k, k, "counts", k, k, "", "", ""]
        assert list(reference.scales) == [*SCALE, 1, 1, 1, 1, 1, 1]
        assert list(reference.offsets) == [*OFFSET, 0, 0, 0, 0, 0, 0]
        assert tuple(reference.detector_shape) == SHAPE
        assert reference.metadata.General.title == "Disk positions of Two fins"
        assert reference.metadata.Acquisition_instrument.TEM.beam_energy == 200

    def test_positions(self, reference, truth, disk_lattice):
        """Every disk but the absent ones, in calibrated units, with its indices."""
        for i in np.ndindex(3, 4):
            rows = reference.data[i]
            assert rows.dtype == np.float64 and rows.shape[1] == 8
            there = np.ones(37, dtype=bool)
            if i == ABSENT[:2]:
                there[ABSENT[2]] = False
            there &= i != VACUUM
            np.testing.assert_array_equal(rows[:, 6:], disk_lattice.indices[there])
            pixels = (rows[:, :2] - OFFSET) / SCALE
            if there.any():
                assert np.abs(pixels - truth[2][i][there]).max() < 0.15

    def test_sigmas_are_calibrated(self, scan, disk_lattice, edge_model, reference):
        plain = ElectronDiffraction2D(scan.data).ml_disk_positions(edge_model, disk_lattice)
        for i in np.ndindex(3, 4):
            np.testing.assert_allclose(
                reference.data[i][:, 3:5], plain.data[i][:, 3:5] * SCALE, rtol=1e-9
            )
        assert plain.units[0] == "px"

    def test_nan_keeps_rows(self, scan, disk_lattice, edge_model, reference):
        vectors = scan.ml_disk_positions(edge_model, disk_lattice, absent="nan")
        for i in np.ndindex(3, 4):
            rows = vectors.data[i]
            np.testing.assert_array_equal(rows[:, 6:], disk_lattice.indices)
            there = np.isfinite(rows[:, 0])
            np.testing.assert_array_equal(rows[there], reference.data[i])
            assert np.isnan(rows[~there][:, [0, 1, 3, 4]]).all()
            assert np.isfinite(rows[:, 2]).all(), "what was counted where the disk is missing"
        assert np.isnan(vectors.data[ABSENT[:2]][ABSENT[2], 0])

    def test_provenance(self, reference, disk_lattice):
        node = reference.metadata.MLDiskPositions
        assert DiskLattice.from_dict(node.lattice.as_dictionary()) == disk_lattice
        assert set(node.versions.as_dictionary()) == {"pyxem_mlmaps", "hyperspy", "pyxem"}
        assert node.options.max_strain == 0.05

    def test_finds_its_lattice(self, disk_pattern, disk_lattice, edge_model):
        """Nothing is given, and descan blurs the mean pattern: every disk is found all the same.

        The direct beam is the brightest disk, so h and k count from it.
        """
        rng = np.random.default_rng(5)
        shifts = rng.uniform(-4, 4, (3, 3, 2))
        patterns, truth = np.empty((3, 3, *SHAPE)), np.empty((3, 3, 37, 2))
        for i in np.ndindex(3, 3):
            pattern, truth[i] = disk_pattern(disk_lattice, SHAPE, shift=shifts[i])
            direct, _ = disk_pattern(
                disk_lattice, SHAPE, shift=shifts[i], present=np.arange(37) == 0
            )
            patterns[i] = pattern + 2 * direct
        s = ElectronDiffraction2D(rng.poisson(patterns))
        vectors = s.ml_disk_positions(edge_model)
        lattice = DiskLattice.from_dict(vectors.metadata.MLDiskPositions.lattice.as_dictionary())
        assert abs(lattice.radius - disk_lattice.radius) < 0.3
        for i in np.ndindex(3, 3):
            rows = vectors.data[i]
            apart = np.hypot(*np.moveaxis(truth[i][:, None] - rows[:, :2], 2, 0))
            assert apart.min(axis=1).max() < 0.6
            expected = np.array(disk_lattice.origin) + shifts[i] + rows[:, 6:] @ lattice.basis
            assert np.abs(expected - rows[:, :2]).max() < 1.5


class TestForms:
    def test_lazy(self, scan, disk_lattice, edge_model, reference):
        vectors = as_lazy(scan).ml_disk_positions(edge_model, disk_lattice)
        assert type(vectors) is LazyDiffractionVectors
        assert not edge_model.calls, "nothing is computed yet"
        assert vectors.data.chunks == ((2, 1), (3, 1))
        vectors.compute()
        assert type(vectors) is DiffractionVectors
        assert_same(vectors, reference)

    @pytest.mark.parametrize("lazy_output", [True, False])
    def test_lazy_output(self, scan, disk_lattice, edge_model, reference, lazy_output):
        for s in (scan, as_lazy(scan)):
            vectors = s.ml_disk_positions(edge_model, disk_lattice, lazy_output=lazy_output)
            assert vectors._lazy == lazy_output
            if lazy_output:
                vectors.compute()
            assert_same(vectors, reference)

    @pytest.mark.parametrize("chunks", [(1, 1, -1, -1), (3, 4, 50, 64), (2, 2, -1, 100)])
    def test_chunks(self, scan, disk_lattice, edge_model, reference, chunks):
        s = as_lazy(scan, chunks)
        vectors = s.ml_disk_positions(edge_model, disk_lattice, lazy_output=False, batch_size=50)
        assert_same(vectors, reference)

    def test_distributed(self, scan, disk_lattice, edge_model, reference):
        distributed = pytest.importorskip("distributed")
        with distributed.Client(processes=False, n_workers=1, threads_per_worker=2,
                                dashboard_address=None):  # fmt: skip
            vectors = as_lazy(scan).ml_disk_positions(
                edge_model, disk_lattice, lazy_output=False, show_progressbar=False
            )
        assert_same(vectors, reference)

    @pytest.mark.parametrize("dtype", [">u2", "<f4", ">f4", "f8", ">f8", "i4", "u4", "i8", "f2"])
    def test_dtypes(self, scan, disk_lattice, edge_model, reference, dtype):
        values = scan.data.astype(dtype)
        assert np.array_equal(values, scan.data), "the same numbers"
        for s in (same_but(scan, values), as_lazy(same_but(scan, values))):
            vectors = s.ml_disk_positions(edge_model, disk_lattice, lazy_output=False)
            assert_same(vectors, reference)

    def test_bool(self, scan, disk_lattice, edge_model):
        """Single electrons: as uint8."""
        values = scan.data > 60
        one = same_but(scan, values).ml_disk_positions(edge_model, disk_lattice)
        other = same_but(scan, values.astype(np.uint8)).ml_disk_positions(edge_model, disk_lattice)
        assert_same(one, other)
        assert sum(len(v) for v in one.data.ravel()) > 300

    @pytest.mark.parametrize("lazy", [False, True])
    def test_line(self, scan, disk_lattice, edge_model, reference, lazy):
        line = scan.inav[:, 1]
        vectors = (line.as_lazy() if lazy else line).ml_disk_positions(edge_model, disk_lattice)
        if lazy:
            vectors.compute()
        assert vectors.axes_manager.navigation_shape == (4,)
        for i in range(4):
            np.testing.assert_allclose(vectors.data[i], reference.data[1, i], atol=1e-5)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_single_pattern(self, scan, disk_lattice, edge_model, reference, lazy):
        """One list of vectors, pyxem's class for it."""
        s = scan.inav[2, 1]
        vectors = (s.as_lazy() if lazy else s).ml_disk_positions(edge_model, disk_lattice)
        assert vectors._lazy == lazy and not vectors.ragged
        if lazy:
            vectors.compute()
        assert type(vectors) is DiffractionVectors2D
        np.testing.assert_allclose(vectors.data, reference.data[1, 2], atol=1e-5)
        assert list(vectors.column_names) == list(COLUMN_NAMES)
        assert list(vectors.scales[:2]) == list(SCALE)

    def test_single_blank_pattern(self, scan, disk_lattice, edge_model):
        with pytest.warns(UserWarning, match="no disk was found in any of 1 patterns"):
            vectors = scan.inav[VACUUM[::-1]].ml_disk_positions(edge_model, disk_lattice)
        assert vectors.data.shape == (0, 8)

    def test_descan(self, scan, disk_lattice, edge_model, reference, truth):
        """Known to a pixel, or measured by itself: the same positions."""
        shift = np.round(truth[1])
        for descan in (shift, hs.signals.Signal1D(shift)):
            for s in (scan, as_lazy(scan)):
                vectors = s.ml_disk_positions(
                    edge_model, disk_lattice, lazy_output=False, descan=descan
                )
                # the windows are centred elsewhere by up to a pixel
                assert_same(vectors, reference, atol=0.05)
        line = scan.inav[:, 1].ml_disk_positions(edge_model, disk_lattice, descan=shift[1])
        np.testing.assert_allclose(line.data[0][:, :2], reference.data[1, 0][:, :2], atol=1e-3)

    @pytest.mark.parametrize("descan", [np.zeros((4, 3, 2)), np.full((3, 4, 2), np.nan), "centre"])
    def test_bad_descan(self, scan, disk_lattice, edge_model, descan):
        with pytest.raises(ValueError, match="descan"):
            scan.ml_disk_positions(edge_model, disk_lattice, descan=descan)

    def test_known_descan_and_no_lattice(self, disk_pattern, disk_lattice, edge_model):
        """A ramp whose middle is not zero: the lattice is that of a pattern of no shift."""
        shifts = np.stack(np.meshgrid([-2.0, 4, 10], [0.0, 3, 6], indexing="ij"), axis=-1)
        rng = np.random.default_rng(6)
        patterns, truth = np.empty((3, 3, *SHAPE)), np.empty((3, 3, 37, 2))
        for i in np.ndindex(3, 3):
            pattern, truth[i] = disk_pattern(disk_lattice, SHAPE, shift=shifts[i])
            patterns[i] = rng.poisson(pattern)
        vectors = ElectronDiffraction2D(patterns).ml_disk_positions(edge_model, descan=shifts)
        for i in np.ndindex(3, 3):
            apart = np.hypot(*np.moveaxis(truth[i][:, None] - vectors.data[i][:, :2], 2, 0))
            seen = np.all((truth[i] > 8) & (truth[i] < np.array(SHAPE) - 9), axis=1)
            assert np.sum(seen) > 25 and apart.min(axis=1)[seen].max() < 0.6


class TestBadInput:
    @pytest.mark.parametrize("value", [3e38, -3e38, 1e20])
    def test_absurd_pixels(self, scan, value):
        """Finite, but their square is not: counted as no numbers, and Python lives on."""
        values = scan.data[:1, :2].astype(np.float32)
        values[0, 1, 80, 88] = value
        s = ElectronDiffraction2D(values)
        with pytest.warns(UserWarning, match="1 of 2 scan points"):
            vectors = s.ml_disk_positions(lattice=None, optics=None)
        assert len(vectors.data[0, 1]) < len(vectors.data[0, 0])

    @pytest.mark.parametrize(
        ("optics", "message"),
        [((14, 0.5), "overlap"), ((80, 0.5), "radius of optics=80 px.*4 to 60"), (5, "optics=5")],
    )
    def test_optics_are_checked_like_a_lattice(
        self, scan, disk_lattice, edge_model, optics, message
    ):
        for s in (scan, as_lazy(scan)):
            with pytest.raises(ValueError, match=message):
                s.ml_disk_positions(edge_model, disk_lattice, optics=optics)

    @pytest.mark.parametrize("name", ["min_presence", "max_strain", "batch_size"])
    def test_numbers_are_numbers(self, scan, disk_lattice, edge_model, name):
        with pytest.raises(TypeError, match=f"{name}='a'"):
            scan.ml_disk_positions(edge_model, disk_lattice, **{name: "a"})

    @pytest.mark.parametrize("lazy", [False, True])
    def test_the_rest_of_the_map_stands(
        self, scan, disk_lattice, edge_model, reference, truth, lazy
    ):
        """NaN patterns and pixels cost their own disks, counted in one warning."""
        values = scan.data.astype(np.float32)
        values[0, 0] = np.nan
        y, x = np.round(truth[2][1, 1, 0]).astype(int)
        values[1, 1, y, x] = np.inf
        s = same_but(scan, values)
        s = as_lazy(s, (3, 4, -1, -1)) if lazy else s
        with pytest.warns(UserWarning, match="2 of 12 scan points have NaN or infinite pixels"):
            vectors = s.ml_disk_positions(edge_model, disk_lattice)
            if lazy:
                vectors.compute()
        assert vectors.data[0, 0].shape == (0, 8)
        assert 20 < len(vectors.data[1, 1]) < 37
        for i in np.ndindex(3, 4):
            if i not in ((0, 0), (1, 1)):
                np.testing.assert_allclose(vectors.data[i], reference.data[i], atol=1e-5)

    def test_lazy_warns_when_computed(self, scan, disk_lattice, edge_model):
        values = scan.data.astype(np.float32)
        values[0, 0] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            vectors = as_lazy(same_but(scan, values)).ml_disk_positions(edge_model, disk_lattice)
        with pytest.warns(UserWarning, match="1 of 6 scan points"):
            vectors.compute()

    def test_no_warning_without_reason(self, scan, disk_lattice, edge_model):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            scan.ml_disk_positions(edge_model, disk_lattice)

    def test_saturated(self, scan, disk_lattice, edge_model, reference, truth):
        """The intensity is unknown, the position stands."""
        values = scan.data.copy()
        y, x = np.round(truth[2][1, 3, 7]).astype(int)
        values[1, 3, y, x] = 65535
        vectors = same_but(scan, values).ml_disk_positions(edge_model, disk_lattice)
        row = vectors.data[1, 3][7]
        assert np.isnan(row[2]) and np.isfinite(np.delete(row, 2)).all()
        np.testing.assert_array_equal(
            np.delete(vectors.data[1, 3], 7, 0)[:, 2], np.delete(reference.data[1, 3], 7, 0)[:, 2]
        )

    def test_complex(self, scan, disk_lattice, edge_model):
        with pytest.raises(TypeError, match="complex"):
            same_but(scan, scan.data.astype(complex)).ml_disk_positions(edge_model, disk_lattice)

    def test_three_dimensions(self, scan, disk_lattice, edge_model):
        s = ElectronDiffraction2D(np.stack([scan.data] * 2))
        with pytest.raises(ValueError, match="3 navigation dimensions"):
            s.ml_disk_positions(edge_model, disk_lattice)

    def test_overlapping_disks(self, scan, disk_lattice, edge_model):
        with pytest.raises(ValueError, match="overlap"):
            scan.ml_disk_positions(edge_model, disk_lattice.replace(radius=11.0))

    def test_radius_beyond_the_model(self, scan, disk_lattice, edge_model):
        with pytest.raises(ValueError, match=r"lattice.radius=3 px.*4 to 60 px.*camera length"):
            scan.ml_disk_positions(edge_model, disk_lattice.replace(radius=3.0))
        edge_model.radius_range = (1.0, 5.0)
        with pytest.raises(ValueError, match=r"7 px.*1 to 5 px.*s\.rebin\(scale=\(1, 1, 2, 2\)\)"):
            scan.ml_disk_positions(edge_model, disk_lattice)

    def test_binned_as_the_error_says(self, scan, disk_lattice, edge_model):
        """The advice works: half the pixels, half the radius, the same reciprocal vectors."""
        edge_model.radius_range = (3.0, 5.0)
        s = scan.inav[2:3, 1:2].rebin(scale=(1, 1, 2, 2))
        half = DiskLattice(
            (np.array(disk_lattice.origin) - 0.5) / 2,
            np.array(disk_lattice.g1) / 2, np.array(disk_lattice.g2) / 2,
            disk_lattice.indices, 3.5,
        )  # fmt: skip
        binned = s.ml_disk_positions(edge_model, half).data[0, 0]
        edge_model.radius_range = (3.0, 9.0)
        whole = scan.inav[2:3, 1:2].ml_disk_positions(edge_model, disk_lattice).data[0, 0]
        np.testing.assert_allclose(binned[:, :2], whole[:, :2], atol=0.2 * SCALE.max())

    def test_disks_off_the_detector(self, scan, disk_lattice, edge_model, reference):
        """More disks than fit are asked for: those that fit are measured."""
        indices = np.concatenate([disk_lattice.indices, [(9, 9), (-9, 0)]])
        with pytest.warns(UserWarning, match="2 of the lattice's 39 disks lie off"):
            vectors = scan.ml_disk_positions(edge_model, disk_lattice.replace(indices=indices))
        assert_same(vectors, reference)

    def test_no_disk_on_the_detector(self, scan, disk_lattice, edge_model):
        with pytest.raises(ValueError, match="fall off the detector of 160 x 176"):
            scan.ml_disk_positions(edge_model, disk_lattice.replace(origin=(900.0, 0.0)))

    def test_wrong_types(self, scan, disk_lattice, edge_model):
        with pytest.raises(TypeError, match="a dict; a DiskLattice is needed"):
            scan.ml_disk_positions(edge_model, disk_lattice.to_dict())
        with pytest.raises(TypeError, match="model is a str; a DiskModel is needed"):
            scan.ml_disk_positions("disks", disk_lattice)

    @pytest.mark.parametrize(
        "option", [{"absent": "keep"}, {"max_strain": 0}, {"min_presence": 2}, {"batch_size": 0}]
    )
    def test_bad_options(self, scan, disk_lattice, edge_model, option):
        (name,) = option
        with pytest.raises(ValueError, match=f"{name}=.*allowed"):
            scan.ml_disk_positions(edge_model, disk_lattice, **option)


def test_lazy_input_is_left_alone(scan, disk_lattice, edge_model):
    s = as_lazy(scan)
    before = s.data
    s.ml_disk_positions(edge_model, disk_lattice, lazy_output=False)
    assert s._lazy and s.data is before
