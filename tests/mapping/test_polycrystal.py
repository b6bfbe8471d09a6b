"""Maps of grains against the truth of synthetic scans.

Nearly all the time goes into simulating libraries, which are kept in one folder for all tests. Most
tests start from a coarse map, which takes two libraries for each grain and no templates.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.mapping import grain_rounds
from pyxem_mlmaps.simulation import rocking
from pyxem_mlmaps.simulation.orientation_nodes import proper_operations

BEAM = mlmaps.Beam(300, 1.5)
THICKNESS = (45.0, 65.0)
SHAPE = (10, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("libraries")


@pytest.fixture(scope="module")
def scan():
    """Two grains of UO2 on 10 x 12 points, in memory."""
    s = data.polycrystal(SHAPE, grains=2, subgrains=1, thickness=(50, 60), seed=2)
    s.compute(show_progressbar=False)
    return s


@pytest.fixture(scope="module")
def truth(scan):
    return data.ground_truth(scan)


@pytest.fixture(scope="module")
def coarse(scan, truth):
    return rotated(truth.to_crystal_map(scan))


@contextmanager
def counted_points():
    """Points that are not precise are counted in a warning, which not every test is about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="of .* points")
        yield


@pytest.fixture(scope="module")
def mapped(scan, coarse, folder):
    with counted_points():
        return run(scan, coarse, folder)


def run(signal, coarse, folder, phases=None, **options):
    phases = data.uo2() if phases is None else phases
    return mlmaps.map_polycrystal(
        signal, phases, BEAM, coarse, thickness=THICKNESS, cache=folder, **options
    )


def rotated(xmap, degrees=1.0, axis=(1, 2, -1), phase_id=None):
    """A map whose orientations are all off by an angle."""
    turn = Rotation.from_axes_angles(axis, np.radians(degrees))
    return CrystalMap(
        rotations=turn * xmap.rotations,
        phase_id=xmap.phase_id if phase_id is None else phase_id,
        x=xmap.x,
        y=xmap.y,
        phase_list=xmap.phases,
        scan_unit=xmap.scan_unit,
    )


def part_of(signal, values):
    """The same scan with other patterns."""
    s = signal._deepcopy_with_new_data(values)
    return s


def errors(xmap, truth):
    """(n, 3) degrees of tilt x, tilt y, in-plane against the nearest equivalent of the truth."""
    to_detector = conventions.rotation_to_detector_matrix
    true = to_detector(Rotation(truth.rotations.reshape(-1, 4)))
    found = to_detector(xmap.rotations)
    out = np.full((len(true), 3), np.nan)
    for k, (one, other) in enumerate(zip(found, true, strict=True)):
        if xmap.phase_id[k] != truth.phase_id.ravel()[k]:
            continue
        operations = proper_operations(truth.phases[xmap.phase_id[k]])
        turns = np.einsum("ij,njk,lk->nil", one, operations, other)
        d = turns[np.argmax(np.trace(turns, axis1=1, axis2=2))]
        # as the docstring has it: tilt_x is δ about +ky, tilt_y δ about -kx
        out[k] = np.degrees([d[0, 2] - d[2, 0], d[1, 2] - d[2, 1], d[1, 0] - d[0, 1]]) / 2
    return out


def sigmas(xmap):
    names = ("sigma_tilt_x", "sigma_tilt_y", "sigma_in_plane")
    return np.stack([xmap.prop[name] for name in names], axis=1)


def sure(xmap, truth):
    return (xmap.prop["precise"] == 1) & truth.pure.ravel()


def same_map(one, other):
    assert set(one.prop) == set(other.prop)
    np.testing.assert_array_equal(one.phase_id, other.phase_id)
    np.testing.assert_allclose(one.rotations.data, other.rotations.data, atol=1e-9)
    for name in one.prop:
        np.testing.assert_allclose(one.prop[name], other.prop[name], rtol=1e-6, err_msg=name)


class TestAccuracy:
    def test_pure_points_are_precise(self, mapped, truth):
        pure = truth.pure.ravel()
        assert mapped.is_indexed.all()
        assert mapped.prop["precise"][pure].mean() >= 0.98
        assert np.all(mapped.prop["misfit"][mapped.prop["precise"] == 1] <= 1)

    def test_angles(self, mapped, truth):
        """0.01° in tilt and 0.15° about the beam, frame and symmetry included."""
        use = sure(mapped, truth)
        error = np.abs(errors(mapped, truth)[use])
        assert (error[:, :2].max(axis=1) < 0.01).mean() >= 0.98
        assert (error[:, 2] < 0.15).mean() >= 0.98

    def test_sigma_is_honest(self, mapped, truth):
        use = sure(mapped, truth)
        z = errors(mapped, truth)[use] / sigmas(mapped)[use]
        assert (np.abs(z[:, :2]).max(axis=1) > 5).mean() < 0.01
        assert np.median(sigmas(mapped)[use][:, :2]) < 0.005
        assert np.sqrt(np.mean(z[:, 2] ** 2)) < 1.4

    def test_thickness(self, mapped, truth):
        use = sure(mapped, truth)
        error = (mapped.prop["thickness"] - truth.thickness.ravel())[use]
        assert np.quantile(np.abs(error), 0.95) < 1.0
        assert (np.abs(error / mapped.prop["sigma_thickness"][use]) < 5).mean() > 0.95

    def test_covariances(self, mapped, truth):
        """A positive matrix for every precise point, its diagonal σ²."""
        use = sure(mapped, truth)
        c = np.empty((use.sum(), 3, 3))
        for k, sigma in enumerate(sigmas(mapped)[use].T):
            c[:, k, k] = sigma**2
        for name, i, j in (("xy", 0, 1), ("xz", 0, 2), ("yz", 1, 2)):
            c[:, i, j] = c[:, j, i] = mapped.prop[f"covariance_{name}"][use]
        assert np.linalg.eigvalsh(c).min() > 0

    def test_grains(self, mapped, truth):
        """Two, with the points of the truth away from the boundary."""
        label = mapped.prop["grain_id"].reshape(SHAPE)
        pure = truth.pure
        for grain in (0, 1):
            assert len(np.unique(label[pure & (truth.grain_id == grain)])) == 1
        assert len(np.unique(label[pure])) == 2

    def test_coarse_points_have_no_sigma(self, mapped):
        coarse = mapped.prop["precise"] == 0
        for name in ("sigma_tilt_x", "sigma_thickness", "thickness", "covariance_xy"):
            np.testing.assert_array_equal(np.isnan(mapped.prop[name]), coarse)

    def test_steps_of_the_scan(self, mapped, scan):
        """x to the right and y downwards, in the scan's own unit."""
        assert mapped.shape == SHAPE and mapped.scan_unit == "nm"
        assert mapped.dx == mapped.dy == scan.axes_manager[0].scale
        assert mapped.x[1] - mapped.x[0] == mapped.dx


class TestRepeated:
    def test_nothing_is_simulated_again(self, scan, coarse, mapped, folder, monkeypatch):
        def forbidden(*args, **kwargs):
            raise AssertionError("simulated although it is in the cache")

        monkeypatch.setattr(rocking, "simulate_rocking", forbidden)
        with counted_points():
            same_map(run(scan, coarse, folder), mapped)

    def test_lazy(self, scan, coarse, mapped, folder):
        """Whatever the chunks, also those that cut patterns."""
        lazy = scan.as_lazy()
        lazy.data = lazy.data.rechunk((4, 5, 100, 64))
        with counted_points():
            same_map(run(lazy, coarse, folder, num_workers=2), mapped)

    def test_one_thread(self, scan, coarse, mapped, folder):
        """The same bits whatever the number of threads."""
        with counted_points():
            alone = run(scan, coarse, folder, num_workers=1)
        np.testing.assert_array_equal(alone.rotations.data, mapped.rotations.data)
        for name, values in mapped.prop.items():
            np.testing.assert_array_equal(alone.prop[name], values, err_msg=name)

    def test_saved_and_loaded(self, mapped, tmp_path):
        from orix import io

        io.save(str(tmp_path / "map.h5"), mapped)
        loaded = io.load(str(tmp_path / "map.h5"))
        assert loaded.phases.names == mapped.phases.names
        for name, values in mapped.prop.items():
            np.testing.assert_allclose(loaded.prop[name], values, err_msg=name)
        np.testing.assert_allclose(loaded.rotations.to_matrix(), mapped.rotations.to_matrix())

    def test_gain(self, scan, coarse, mapped, truth, folder):
        """Counts of a detector with a gain of 5: the same orientations, the same σ."""
        with counted_points():
            gained = run(part_of(scan, 5.0 * scan.data), coarse, folder)
        use = sure(mapped, truth) & sure(gained, truth)
        assert use.sum() > 0.95 * sure(mapped, truth).sum()
        shift = errors(gained, truth)[use] - errors(mapped, truth)[use]
        assert np.quantile(np.abs(shift / sigmas(mapped)[use]), 0.95) < 0.3
        ratio = sigmas(gained)[use] / sigmas(mapped)[use]
        assert np.median(ratio) == pytest.approx(1, abs=0.05)


class TestMissing:
    @pytest.fixture(scope="class")
    def holes(self, scan, coarse, folder):
        """Pixels that are no numbers in three patterns."""
        values = scan.data.astype(np.float32)
        values[2, 3, 10, 10] = np.nan
        values[0, 0] = np.nan
        values[9, 11, 64, 64] = np.inf
        with pytest.warns(UserWarning) as caught:
            xmap = run(part_of(scan, values), coarse, folder)
        return xmap, [str(w.message) for w in caught]

    BAD = np.ravel_multi_index(([2, 0, 9], [3, 0, 11]), SHAPE)

    def test_bad_pixels_are_counted(self, holes):
        assert any("3 of 120 patterns hold pixels that are no numbers" in m for m in holes[1])

    def test_others_are_unharmed(self, holes, mapped, truth):
        rest = np.setdiff1d(np.arange(120), self.BAD)
        use = np.intersect1d(rest, np.flatnonzero(sure(mapped, truth)))
        xmap = holes[0]
        assert xmap.prop["precise"][use].mean() > 0.98
        error = np.abs(errors(xmap, truth)[use])
        assert (error[:, :2].max(axis=1) < 0.01).mean() >= 0.97

    def test_bad_patterns_are_not_precise(self, holes):
        assert not holes[0].prop["precise"][self.BAD].any()
        assert np.isnan(holes[0].prop["sigma_tilt_x"][self.BAD]).all()

    def test_bad_patterns_are_not_indexed(self, holes):
        """As the warning says."""
        assert np.all(holes[0].phase_id[self.BAD] == -1)

    @pytest.fixture(
        scope="class",
        params=[
            pytest.param(0.0, id="dark"),
            pytest.param(0.3, id="stray", marks=pytest.mark.slow),
        ],
    )
    def hole(self, request, scan, coarse, folder):
        """Three columns without a foil, where the coarse map has no phase either."""
        values = scan.data.copy()
        rng = np.random.default_rng(0)
        values[:, :3] = rng.poisson(request.param, values[:, :3].shape)
        known = rotated(coarse, 0.0, phase_id=np.where(self.HOLE, -1, coarse.phase_id))
        with counted_points():
            return run(part_of(scan, values), known, folder)

    HOLE = np.broadcast_to(np.arange(SHAPE[1]) < 3, SHAPE).ravel()

    def test_vacuum_leaves_the_rest(self, hole, mapped, truth):
        use = sure(mapped, truth) & ~self.HOLE
        assert hole.prop["precise"][use].mean() > 0.98
        error = np.abs(errors(hole, truth)[use])
        assert (error[:, :2].max(axis=1) < 0.01).mean() >= 0.98

    def test_vacuum_is_not_indexed(self, hole):
        """A hole in the foil holds no crystal, whatever lies beside it."""
        assert not hole.prop["precise"][self.HOLE].any()
        assert np.all(hole.phase_id[self.HOLE] == -1)

    def test_nothing_but_vacuum(self, scan, folder):
        empty = part_of(scan, np.zeros_like(scan.data)[:3, :4])
        with pytest.warns(UserWarning, match="0 are precise, 0 are coarse.*12 are not indexed"):
            xmap = run(empty, None, folder)
        assert not xmap.is_indexed.any()
        assert np.all(xmap.prop["grain_id"] == -1)


class TestShapes:
    def test_a_line(self, scan, mapped, truth, coarse, folder):
        """One scan axis: the answers of that row."""
        row = scan.inav[:, 4]
        with counted_points():
            xmap = run(row, coarse[4, :], folder)
        assert xmap.size == 12
        use = sure(mapped, truth).reshape(SHAPE)[4]
        assert xmap.prop["precise"][use].mean() > 0.8
        found = xmap.rotations.data[use]
        expected = mapped.rotations.data.reshape(*SHAPE, 4)[4][use]
        cosine = np.abs(np.sum(found * expected, axis=1))
        assert np.degrees(2 * np.arccos(np.clip(np.median(cosine), 0, 1))) < 0.2

    def test_one_pattern(self, scan, truth, coarse, folder):
        y, x = np.argwhere(truth.pure)[0]
        one = coarse[int(y), int(x)]
        assert one.size == 1
        with counted_points():
            xmap = run(scan.inav[int(x), int(y)], one, folder)
        assert xmap.size == 1 and xmap.phase_id[0] == 0

    def test_one_grain(self, scan, truth, coarse, folder):
        """Of the left columns, where there is only one."""
        grain = truth.grain_id[0, 0]
        alone = np.all(truth.grain_id == grain, axis=0) & np.all(truth.pure, axis=0)
        n = int(np.argmin(alone)) or 2
        rows = slice(None) if alone[0] else slice(0, 3)
        part = scan.inav[:n, rows]
        with counted_points():
            xmap = run(part, coarse[rows, :n], folder)
        assert len(np.unique(xmap.prop["grain_id"])) == 1


@pytest.mark.slow
class TestTemplates:
    def test_without_a_coarse_map(self, scan, truth, folder):
        """Templates and dynamical simulation find the same grains on their own."""
        with counted_points():
            xmap = run(scan, None, folder, template_step=1.5)
        use = sure(xmap, truth)
        assert use.sum() > 0.9 * truth.pure.sum()
        error = np.abs(errors(xmap, truth)[use])
        assert (error[:, :2].max(axis=1) < 0.01).mean() >= 0.98


class TestTwoPhases:
    @pytest.mark.parametrize(
        "known",
        [
            pytest.param(True, id="coarse map"),
            pytest.param(False, id="templates", marks=pytest.mark.slow),
        ],
    )
    def test_phases(self, folder, known):
        """UO2 and zirconium, whose templates are three degrees off: ids in the order of phases."""
        s = data.polycrystal(
            (8, 10), phases="two-phase", grains=2, subgrains=1, thickness=(50, 60), seed=1
        )
        s.compute(show_progressbar=False)
        truth = data.ground_truth(s)
        coarse = rotated(truth.to_crystal_map(s), 0.7) if known else None
        with counted_points():
            xmap = run(s, coarse, folder, phases=truth.phases)
        pure = truth.pure.ravel()
        np.testing.assert_array_equal(xmap.phase_id[pure], truth.phase_id.ravel()[pure])
        assert xmap.phases.names == ["UO2", "Zr"]
        use = sure(xmap, truth)
        assert use.sum() > 0.9 * pure.sum()
        error = np.abs(errors(xmap, truth)[use])
        assert (error[:, :2].max(axis=1) < 0.01).mean() >= 0.95


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"thickness": (60, 40)}, "thickness="),
            ({"thickness": (0, 40)}, "thickness="),
            ({"thickness": 50}, "thickness="),
            ({"template_step": 0.01}, "template_step="),
            ({"grain_angle": 90}, "grain_angle="),
            ({"subgrain_angle": 0}, "subgrain_angle="),
            ({"cache_size": 10}, "cache_size="),
            ({"origin": (1, 2, 3)}, "origin="),
            ({"origin": (np.nan, 2)}, "origin="),
            ({"optics": "guess"}, "optics="),
            ({"optics": (0.1, 0.5)}, "optics="),
            ({"optics": (4, 10)}, "optics="),
            ({"phases": []}, "phases is empty"),
            ({"beam": mlmaps.Beam(200, 1.5)}, "beam: beam_energy is 200"),
            ({"beam": mlmaps.Beam(300, 0)}, "beam: convergence_angle=0"),
        ],
    )
    def test_are_named(self, scan, coarse, folder, options, message):
        given = {"phases": data.uo2(), "beam": BEAM, "coarse": coarse, "thickness": THICKNESS}
        with pytest.raises(ValueError, match=message):
            mlmaps.map_polycrystal(scan, cache=folder, **{**given, **options})

    def test_convergence_that_contradicts_the_metadata(self, scan, coarse):
        s = scan.deepcopy()
        s.metadata.set_item("Acquisition_instrument.TEM.convergence_angle", 2.0)
        with pytest.raises(ValueError, match="convergence_angle is 1.5.*metadata say 2"):
            mlmaps.map_polycrystal(s, data.uo2(), BEAM, coarse)

    def test_types(self, scan, coarse):
        with pytest.raises(TypeError, match="beam is a float"):
            mlmaps.map_polycrystal(scan, data.uo2(), 300.0, coarse)
        with pytest.raises(TypeError, match="coarse is a list"):
            mlmaps.map_polycrystal(scan, data.uo2(), BEAM, [1, 2])
        with pytest.raises(TypeError, match="template_step="):
            mlmaps.map_polycrystal(scan, data.uo2(), BEAM, coarse, template_step="fine")

    def test_a_phase_without_symmetry(self, scan):
        bare = Phase("bare", structure=data.uo2().structure)
        with pytest.raises(ValueError, match="phases: 'bare' has no space group"):
            mlmaps.map_polycrystal(scan, bare, BEAM)

    def test_a_coarse_map_of_another_scan(self, scan, coarse):
        with pytest.raises(ValueError, match="coarse has 60 points, the scan 10 x 12 = 120"):
            mlmaps.map_polycrystal(scan, data.uo2(), BEAM, coarse[:5, :])

    def test_a_coarse_map_of_more_phases(self, scan, coarse):
        two = CrystalMap(
            rotations=coarse.rotations,
            phase_id=np.arange(120) % 2,
            x=coarse.x,
            y=coarse.y,
            phase_list=PhaseList([data.uo2(), data.zirconium()]),
        )
        with pytest.raises(ValueError, match="coarse has 2 phases, phases are 1"):
            mlmaps.map_polycrystal(scan, data.uo2(), BEAM, two)

    def test_no_calibration(self, scan, coarse):
        s = scan.deepcopy()
        for axis in s.axes_manager.signal_axes:
            axis.units, axis.scale = "px", 1.0
        with pytest.raises(ValueError, match="no calibration"):
            mlmaps.map_polycrystal(s, data.uo2(), BEAM, coarse)

    def test_disks_too_small(self, scan, coarse):
        s = scan.deepcopy()
        s.metadata.Acquisition_instrument.TEM.convergence_angle = 0.3
        with pytest.raises(ValueError, match="px in radius; at least 1.5 px"):
            mlmaps.map_polycrystal(s, data.uo2(), mlmaps.Beam(300, 0.3), coarse)

    def test_complex_data(self, scan):
        with pytest.raises(TypeError, match="complex"):
            mlmaps.map_polycrystal(part_of(scan, scan.data[:2, :2] + 0j), data.uo2(), BEAM)


def test_more_pieces_than_are_solved(scan, coarse, folder, monkeypatch):
    """Hundreds of grains: the largest are solved, and it is said that the others are not."""
    monkeypatch.setattr(grain_rounds, "MOST_SEGMENTS", 1)
    with counted_points(), pytest.warns(UserWarning, match="pieces of one orientation; the 1 larg"):
        xmap = run(scan, coarse, folder)
    assert xmap.is_indexed.all()  # the coarse map knows the rest
    assert 0 < xmap.prop["precise"].mean() < 1
