"""The whole map: what goes in does not matter as long as it is the same data, and what is bad
costs its own scan points only."""

from __future__ import annotations

import warnings

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D, LazyElectronDiffraction2D

from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.signals import CHANNELS, LazyMLOrientationMap, MLOrientationMap
from pyxem_mlmaps.simulation.spline import LibrarySpline

DETECTOR = (192, 192)


@pytest.fixture(scope="module")
def lazy_scan(library):
    return data.bent_foil(
        (6, 7), DETECTOR, library, bend=0.14, electrons=1e6, background=0.0, chunks=(3, 4), seed=1
    )


@pytest.fixture(scope="module")
def scan(lazy_scan):
    s = lazy_scan.deepcopy()
    s.compute(show_progressbar=False)
    return s


@pytest.fixture(scope="module")
def truth(lazy_scan):
    return data.ground_truth(lazy_scan)


@pytest.fixture(scope="module")
def reference(scan, model, truth):
    return scan.ml_orientation_map(model, truth.lattice)


def assert_same(got, expected):
    """To 1e-6° and 1e-3 nm; σ and misfit to a thousandth."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got[..., :2], expected[..., :2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[..., 2], expected[..., 2], rtol=0, atol=1e-3)
    np.testing.assert_allclose(got[..., 3:6], expected[..., 3:6], rtol=1e-3)
    np.testing.assert_allclose(got[..., 6], expected[..., 6], rtol=1e-3, atol=1e-5)


def same_but(scan, values):
    """The scan with other data."""
    s = scan.deepcopy()
    s.data = values
    return s


def deviations(omap, truth):
    return np.stack(
        [omap.tilt_x.data - truth.tilt_x, omap.tilt_y.data - truth.tilt_y,
         omap.thickness.data - truth.thickness], axis=-1,
    )  # fmt: skip


class TestForms:
    def test_class_and_axes(self, scan, reference):
        assert type(reference) is MLOrientationMap
        assert reference.data.shape == (6, 7, len(CHANNELS))
        for mine, theirs in zip(
            reference.axes_manager.navigation_axes, scan.axes_manager.navigation_axes, strict=True
        ):
            assert (mine.name, mine.scale, mine.units) == (theirs.name, theirs.scale, theirs.units)

    def test_lazy(self, lazy_scan, model, truth, reference):
        omap = lazy_scan.ml_orientation_map(model, truth.lattice)
        assert type(omap) is LazyMLOrientationMap
        omap.compute(show_progressbar=False)
        assert_same(omap.data, reference.data)

    @pytest.mark.parametrize("lazy_output", [True, False])
    def test_lazy_output(self, lazy_scan, scan, model, truth, reference, lazy_output):
        for signal in (lazy_scan, scan):
            omap = signal.ml_orientation_map(model, truth.lattice, lazy_output=lazy_output)
            assert omap._lazy == lazy_output
            assert_same(omap.data.compute() if lazy_output else omap.data, reference.data)

    @pytest.mark.parametrize("chunks", [(1, 1, -1, -1), (6, 7, 50, 64), (5, 2, -1, 100)])
    def test_chunks(self, scan, model, truth, reference, chunks):
        """Whatever the chunks, and where detectors are cut into chunks too."""
        s = same_but(scan, scan.data).as_lazy()
        s.data = da.from_array(scan.data, chunks=chunks)
        omap = s.ml_orientation_map(model, truth.lattice, lazy_output=False, batch_size=5)
        assert_same(omap.data, reference.data)

    def test_scan_chunks_stay(self, lazy_scan, model, truth):
        omap = lazy_scan.ml_orientation_map(model, truth.lattice)
        assert omap.data.chunks == ((3, 3), (4, 3), (7,))

    @pytest.mark.parametrize("index", [(), (2,), (2, 3)], ids=["2", "1", "0"])
    def test_navigation_dimensions(self, scan, model, truth, reference, index):
        """A scan, a line and a single pattern."""
        s = scan.deepcopy()
        if index:
            s = s.inav[:, index[0]] if len(index) == 1 else s.inav[index[1], index[0]]
        for signal in (s, s.as_lazy()):
            omap = signal.ml_orientation_map(model, truth.lattice, lazy_output=False)
            assert_same(omap.data, reference.data[index])
            assert omap.axes_manager.navigation_dimension == 2 - len(index)

    def test_three_dimensions_are_refused(self, scan, model, truth):
        s = ElectronDiffraction2D(np.stack([scan.data] * 2))
        with pytest.raises(ValueError, match="3 navigation dimensions"):
            s.ml_orientation_map(model, truth.lattice)

    @pytest.mark.parametrize("dtype", [">u2", "<f4", ">f4", "f8", "i4", "u4"])
    def test_dtypes(self, scan, model, truth, reference, dtype):
        for values in (scan.data.astype(dtype), da.from_array(scan.data.astype(dtype))):
            s = same_but(scan if isinstance(values, np.ndarray) else scan.as_lazy(), values)
            omap = s.ml_orientation_map(model, truth.lattice, lazy_output=False)
            assert_same(omap.data, reference.data)

    def test_eight_bits(self, library, model):
        """uint8 without saturation is as good as any."""
        s = data.bent_foil((3, 3), DETECTOR, library, bend=0.1, electrons=2e4, background=0.0)
        s.compute(show_progressbar=False)
        lattice = data.ground_truth(s).lattice
        assert s.data.max() < 255
        wide = s.ml_orientation_map(model, lattice)
        narrow = same_but(s, s.data.astype(np.uint8)).ml_orientation_map(model, lattice)
        assert_same(narrow.data, wide.data)

    def test_bare_network(self, scan, model, truth, reference):
        bare = scan.ml_orientation_map(model, truth.lattice, refine=False)
        rms = [np.sqrt((deviations(o, truth)[..., :2] ** 2).mean()) for o in (reference, bare)]
        assert rms[0] < rms[1] < 0.01


class TestPrecision:
    def bound(self, library, truth, electrons):
        """Cramér-Rao bound of each point for Poisson noise in the disks, scale unknown."""
        spline = LibrarySpline.fit(
            library.intensities, library.tilt_x, library.tilt_y, library.thickness
        )
        points = np.stack([truth.tilt_x, truth.tilt_y, truth.thickness], axis=-1).reshape(-1, 3)
        values, gradient = (v.astype(float) * electrons for v in spline.with_gradient(points))
        jacobian = np.concatenate([gradient, values[:, None]], axis=1)
        fisher = np.einsum("nad,nbd,nd->nab", jacobian, jacobian, 1 / values)
        sigma = np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2))[:, :3]
        return sigma.reshape(*truth.tilt_x.shape, 3)

    def test_error_against_the_bound(self, library, model):
        """RMS error within 1.3 of the Cramér-Rao bound of each point, and 68 % within σ."""
        s = data.bent_foil(
            (16, 16), (256, 256), library, bend=0.14, electrons=4e5, background=0.0, seed=2
        )
        truth = data.ground_truth(s)
        omap = s.ml_orientation_map(model, truth.lattice, lazy_output=False)
        error = deviations(omap, truth)
        pull = error / self.bound(library, truth, 4e5)
        rms = np.sqrt((pull**2).mean(axis=(0, 1)))
        assert np.all(rms < 1.3)
        inside = np.abs(error) <= omap.data[..., 3:6]
        np.testing.assert_allclose(inside.mean(axis=(0, 1)), 0.68, atol=0.1)
        assert np.mean(omap.misfit.data > 1) < 0.02

    @pytest.mark.parametrize("rotation", [37.0, -120.0])
    def test_tilts_are_in_detector_axes(self, library, model, rotation):
        """A turned pattern: tilts turn with it, and so does σ."""
        s = data.bent_foil(
            (6, 6), (256, 256), library, bend=0.13, electrons=1e6, background=0.0,
            rotation=rotation,
        )  # fmt: skip
        truth = data.ground_truth(s)
        omap = s.ml_orientation_map(model, truth.lattice, lazy_output=False)
        assert np.abs(deviations(omap, truth)[..., :2]).max() < 2e-3
        assert np.all(np.isfinite(omap.data)) and np.all(omap.data[..., 3:6] > 0)

    def test_found_lattice(self, library, model):
        """The same tilts with the lattice that is found on the mean pattern."""
        from pyxem_mlmaps import DiskLattice

        s = data.bent_foil((5, 5), (256, 256), library, bend=0.1, background=0.05)
        truth = data.ground_truth(s)
        found = DiskLattice.from_signal(s, model)
        omap = s.ml_orientation_map(model, found, lazy_output=False, background="local")
        assert np.sqrt((deviations(omap, truth)[..., :2] ** 2).mean()) < 2e-3


class TestBackgroundAndDescan:
    def test_local_background(self, library, model):
        """A flat background: subtracted, the map is that of the clean scan; left in, it is not."""
        options = {"bend": 0.1, "noise": False, "electrons": 1e6, "background": 0.0}
        clean = data.bent_foil((4, 4), (256, 256), library, **options)
        clean.compute(show_progressbar=False)
        truth = data.ground_truth(clean)
        flat = same_but(clean, clean.data + np.float32(20.0))
        wanted = clean.ml_orientation_map(model, truth.lattice)
        got = flat.ml_orientation_map(model, truth.lattice, background="local")
        left_in = flat.ml_orientation_map(model, truth.lattice)
        assert np.abs(got.data[..., :2] - wanted.data[..., :2]).max() < 5e-4
        assert np.all(left_in.misfit.data > 1)
        with pytest.raises(ValueError, match="background='global'"):
            flat.ml_orientation_map(model, truth.lattice, background="global")

    def test_descan(self, library, model):
        """Whole-pixel shifts, given or measured, are undone exactly.

        Measured shifts are to the nearest pixel of a direct beam between pixels, so they are
        compared with those measured on the pattern that stands still.
        """
        s = data.bent_foil((4, 4), (256, 256), library, bend=0.1, noise=False, background=0.0)
        s.compute(show_progressbar=False)
        lattice = data.ground_truth(s).lattice
        # room for the shifts: leave out the disks at the rim by padding the detector
        padded = np.pad(s.data, ((0, 0), (0, 0), (4, 4), (4, 4)))
        lattice = lattice.replace(origin=np.array(lattice.origin) + 4)
        shifts = np.random.default_rng(0).integers(-3, 4, (4, 4, 2))
        moved = np.empty_like(padded)
        for i in np.ndindex(4, 4):
            moved[i] = np.roll(padded[i], shifts[i], axis=(0, 1))
        still = same_but(s, padded).ml_orientation_map(model, lattice)
        signal = same_but(s, moved)
        measured = same_but(s, padded).ml_orientation_map(model, lattice, descan="direct_beam")
        assert np.abs(measured.data[..., :2] - still.data[..., :2]).max() < 1e-3
        for descan, wanted in (
            (shifts, still),
            (shifts.astype(float), still),
            (hs.signals.Signal1D(shifts), still),
            ("direct_beam", measured),
        ):
            for each in (signal, signal.as_lazy()):
                omap = each.ml_orientation_map(model, lattice, descan=descan, lazy_output=False)
                assert_same(omap.data, wanted.data)
        blind = signal.ml_orientation_map(model, lattice)
        assert np.abs(blind.data[..., :2] - still.data[..., :2]).max() > 1e-3, "it mattered"
        line = signal.inav[:, 1].ml_orientation_map(model, lattice, descan=shifts[1])
        point = signal.inav[2, 1].ml_orientation_map(model, lattice, descan=shifts[1, 2])
        assert_same(line.data, still.data[1])
        assert_same(point.data, still.data[1, 2])

    @pytest.mark.parametrize("descan", [np.zeros((7, 6, 2)), np.full((6, 7, 2), np.nan), "centre"])
    def test_bad_descan(self, scan, model, truth, descan):
        with pytest.raises(ValueError, match="descan"):
            scan.ml_orientation_map(model, truth.lattice, descan=descan)


class TestBadPatterns:
    @pytest.mark.parametrize("lazy", [False, True])
    def test_the_rest_of_the_map_stands(self, scan, model, truth, reference, lazy):
        """NaN, zero, negative and infinite patterns: NaN, counted in one warning."""
        values = scan.data.astype(np.float32)
        y, x = np.round(truth.lattice.positions[3]).astype(int)
        values[0, 0] = np.nan
        values[1, 2, y, x] = np.nan
        values[2, 3] = 0
        values[3, 4] *= -1
        values[4, 5, y, x] = np.inf
        values[5, 6, y - 2 : y + 3, x - 2 : x + 3] = -1e5
        bad = np.zeros((6, 7), dtype=bool)
        bad[range(6), [0, 2, 3, 4, 5, 6]] = True
        s = same_but(scan, values)
        if lazy:
            s = s.as_lazy()
        with pytest.warns(UserWarning, match="6 of 42 scan points could not be evaluated"):
            omap = s.ml_orientation_map(model, truth.lattice)
            if lazy:
                omap.compute(show_progressbar=False)
        assert np.isnan(omap.data[bad]).all()
        assert_same(omap.data[~bad], reference.data[~bad])
        xmap = omap.to_crystal_map()
        np.testing.assert_array_equal(xmap.is_indexed.reshape(6, 7), ~bad)

    def test_saturated(self, scan, model, truth, reference):
        values = scan.data.copy()
        y, x = np.round(truth.lattice.positions[0]).astype(int)
        values[2, 2, y, x] = 65535
        with pytest.warns(UserWarning, match="1 of 42 scan points"):
            omap = same_but(scan, values).ml_orientation_map(model, truth.lattice)
        assert np.isnan(omap.data[2, 2]).all()
        assert_same(np.delete(omap.data.reshape(42, 7), 16, 0),
                    np.delete(reference.data.reshape(42, 7), 16, 0))  # fmt: skip

    def test_no_warning_without_reason(self, scan, model, truth):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            scan.ml_orientation_map(model, truth.lattice)

    def test_complex(self, scan, model, truth):
        s = same_but(scan, scan.data.astype(complex))
        with pytest.raises(TypeError, match="complex"):
            s.ml_orientation_map(model, truth.lattice)

    def test_lattice_off_the_detector(self, scan, model, truth):
        moved = truth.lattice.replace(origin=(30.0, 96.0))
        with pytest.raises(ValueError, match="fall off the detector of 192 x 192"):
            scan.ml_orientation_map(model, moved)

    def test_overlapping_disks(self, scan, model, truth):
        with pytest.raises(ValueError, match="overlap"):
            scan.ml_orientation_map(model, truth.lattice.replace(radius=40.0))

    def test_wrong_disk_count(self, scan, model, truth):
        fewer = truth.lattice.replace(indices=truth.lattice.indices[:-2])
        with pytest.raises(ValueError, match="23 disks.*trained for 25"):
            scan.ml_orientation_map(model, fewer)

    def test_wrong_voltage(self, scan, model, truth, reference):
        s = scan.deepcopy()
        s.metadata.Acquisition_instrument.TEM.beam_energy = 200.0
        with pytest.raises(ValueError, match="200, the model's 300 keV"):
            s.ml_orientation_map(model, truth.lattice)
        with pytest.warns(UserWarning, match="200, the model's 300 keV"):
            omap = s.ml_orientation_map(model, truth.lattice, check="warn")
        assert_same(omap.data, reference.data)

    def test_uncalibrated(self, scan, model, truth):
        s = ElectronDiffraction2D(scan.data)
        with pytest.raises(ValueError, match="states no beam.energy"):
            s.ml_orientation_map(model, truth.lattice)


class TestResult:
    def test_provenance(self, reference, model, truth, gasb):
        assert reference.model_card["energy"] == 300
        assert reference.model_card["indices"] == model.card.indices
        assert reference.lattice["radius"] == truth.lattice.radius
        assert reference.phase["name"] == "GaSb"
        assert {"pyxem_mlmaps", "hyperspy", "pyxem"} == set(reference.versions)
        assert reference.orientation_known
        assert reference.metadata.General.title == "Orientation map of Bent GaSb foil"

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("suffix", ["hspy", "zspy"])
    def test_files(self, reference, tmp_path, suffix, lazy):
        """Numbers, indices in their order, and rotations come back."""
        path = tmp_path / f"map.{suffix}"
        reference.save(path)
        back = hs.load(path, lazy=lazy)
        np.testing.assert_array_equal(np.asarray(back.data), reference.data)
        assert back.model_card["indices"] == reference.model_card["indices"]
        assert back.lattice == reference.lattice
        assert back.phase == reference.phase
        np.testing.assert_allclose(
            back.to_crystal_map().rotations.data, reference.to_crystal_map().rotations.data
        )

    def test_rotation_at_zero_tilt(self, library, model, gasb):
        """The library's base rotation, turned in plane as the pattern is."""
        from orix.quaternion import Rotation

        for angle in (0.0, 37.0):
            s = data.bent_foil(
                (2,), (256, 256), library, bend=0.0, background=0.0, rotation=angle, noise=False
            )
            omap = s.ml_orientation_map(model, data.ground_truth(s).lattice, lazy_output=False)
            got = conventions.rotation_to_detector_matrix(omap.to_crystal_map().rotations)
            base = conventions.rotation_to_detector_matrix(Rotation(library.base_rotation))
            wanted = conventions.in_plane_matrix(angle) @ base
            assert np.abs(got - wanted).max() < np.radians(1e-3)

    def test_rotations_are_tilted_as_the_truth(self, reference, truth, gasb):
        """Every rotation takes the zone axis to where the truth has it pierce the detector."""
        matrices = conventions.rotation_to_detector_matrix(reference.to_crystal_map().rotations)
        zone = np.array([1, 1, 0]) / np.sqrt(2)
        pierced = -(matrices @ zone)[:, :2]  # the zone axis points to the source
        wanted = np.radians(np.stack([truth.tilt_x.ravel(), truth.tilt_y.ravel()], axis=1))
        assert np.degrees(np.abs(pierced - wanted).max()) < 5e-3

    def test_properties(self, reference):
        xmap = reference.to_crystal_map()
        assert xmap.shape == (6, 7) and xmap.phases[0].name == "GaSb"
        assert set(CHANNELS) <= set(xmap.prop)
        np.testing.assert_array_equal(xmap.prop["thickness"], reference.thickness.data.ravel())


def test_lazy_input_is_left_alone(lazy_scan):
    assert isinstance(lazy_scan, LazyElectronDiffraction2D)
