"""A synthetic polycrystal: its geometry, its patterns and the truth that travels with it."""

from __future__ import annotations

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from orix.quaternion import Orientation, Rotation
from pyxem.signals import LazyElectronDiffraction2D
from scipy.special import erfc

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import conventions, data
from pyxem_mlmaps.data import _grain_field, _subgrains
from pyxem_mlmaps.data._polycrystal import _optics
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.mixed_scan import MixedScanRenderer

BEAM = mlmaps.Beam(300, 1.0)


@pytest.fixture(scope="module", autouse=True)
def few_beams():
    """A cut-off of 1.2 Å⁻¹ makes the simulations quick."""
    cutoff, _subgrains.G_MAX = _subgrains.G_MAX, 1.2
    yield
    _subgrains.G_MAX = cutoff


def scan(**options):
    """Two grains of two sub-grains on 4 x 6 points of 64 x 64 pixels; options win."""
    defaults = {"shape": (4, 6), "detector": (64, 64), "grains": 2, "subgrains": 2}
    defaults |= {"beam": BEAM, "reach": 0.85}
    return data.polycrystal(**{**defaults, **options})


def subgrain_disks(base, bend=0.01, optics=None, phase=None):
    """Of UO2 with the crystal-to-detector matrix ``base``."""
    phase = phase or data.uo2()
    optics = optics or _optics(BEAM, (64, 64), 0.85, 0.5)
    order = _subgrains.SubgrainOrder(
        phase, as_crystal(phase), np.asarray(base), BEAM, optics, bend, (45.0, 75.0)
    )
    return _subgrains.simulated([order], False)[0]


def renderer(crystals, field, turn=None, optics=None, **options):
    """One point for each row of ``field``, of the first crystal."""
    optics = optics or _optics(BEAM, (64, 64), 0.85, 0.5)
    n = len(field)
    defaults = {
        "first": np.zeros(n, dtype=int),
        "second": np.full(n, -1),
        "fraction": np.zeros(n),
        "turn": np.zeros(n) if turn is None else np.asarray(turn),
        "origin": np.array(optics.origin),
        "background": 0.0,
    }
    return MixedScanRenderer(
        crystals=tuple(crystals),
        field=np.asarray(field, dtype=float),
        radius=optics.radius,
        edge=optics.edge,
        scale=optics.scale,
        degrees_per_pixel=optics.degrees_per_pixel,
        detector=optics.detector,
        electrons=1e5,
        noise=False,
        seed=0,
        dtype=np.float64,
        **{**defaults, **options},
    )


def matrix(seed):
    quaternion = np.random.default_rng(seed).standard_normal(4)
    return conventions.rotation_to_detector_matrix(
        Rotation(quaternion / np.linalg.norm(quaternion))
    ).reshape(3, 3)


class TestGeometry:
    @pytest.fixture(scope="class")
    def field(self):
        return _grain_field.grain_field((40, 50), 5, 4, 0.7, np.random.default_rng(1))

    def test_cells(self, field):
        """Every sub-grain is there and belongs to one grain; no grain is tiny."""
        assert set(field.subgrain) == set(range(20))
        np.testing.assert_array_equal(field.subgrain // 4, field.grain)
        assert np.bincount(field.grain).min() > 0.25 * 2000 / 5

    def test_fractions(self, field):
        """Half at a boundary, 1 % at the least, and the second sub-grain is another one."""
        shared = field.fraction > 0
        assert 0.2 < shared.mean() < 0.8
        assert field.fraction[shared].min() >= 0.01 and 0.4 < field.fraction.max() <= 0.5
        np.testing.assert_array_equal(field.second >= 0, shared)
        assert np.all(field.second[shared] != field.subgrain[shared])

    def test_distance_to_the_boundary(self):
        """Against a fine raster: the nearest point of another cell."""
        state = np.random.default_rng(4)
        seeds, own = np.array([[3.0, 4.0], [20.0, 9.0], [9.0, 30.0]]), 0
        points = state.uniform(0, 12, (40, 2))
        points = points[_grain_field._nearest(points, seeds) == own]
        gap, other = _grain_field._boundary(points, seeds[None], np.zeros(len(points), dtype=int))
        fine = np.stack(np.meshgrid(*2 * [np.arange(-10, 40, 0.1)], indexing="ij"), -1)
        fine = fine.reshape(-1, 2)
        label = _grain_field._nearest(fine, seeds)
        beyond = fine[label != own]
        for point, d, n in zip(points, gap, other, strict=True):
            distance = np.linalg.norm(beyond - point, axis=1)
            assert d == pytest.approx(distance.min(), abs=0.1)
            assert label[label != own][np.argmin(distance)] == n

    def test_share_across_a_boundary(self):
        """A Gaussian probe by its distance from the bisector of the two seeds."""
        rng = np.random.default_rng(3)
        field = _grain_field.grain_field((20, 20), 2, 1, 1.5, rng)
        seeds = _grain_field._spread(
            np.indices((20, 20)).reshape(2, -1).T.astype(float), 2, np.random.default_rng(3)
        )
        way = (seeds[1] - seeds[0]) / np.linalg.norm(seeds[1] - seeds[0])
        along = (np.indices((20, 20)).reshape(2, -1).T - seeds.mean(axis=0)) @ way
        np.testing.assert_array_equal(field.grain, (along > 0).astype(int))
        share = 0.5 * erfc(np.abs(along) / (np.sqrt(2) * 1.5))
        np.testing.assert_allclose(field.fraction, np.where(share < 0.01, 0, share), atol=1e-12)

    def test_single_crystal(self):
        field = _grain_field.grain_field((3, 4), 1, 1, 0.5, np.random.default_rng(0))
        assert not field.subgrain.any() and not field.fraction.any()
        assert np.all(field.second == -1)

    @pytest.mark.parametrize("limits", [(0.1, 2.0), (0.5, 1.0)])
    def test_misorientations(self, limits):
        """By orix and with symmetry, from the truth of a scan without bend."""
        s = scan(shape=(30, 30), subgrains=5, misorientation=limits, bend=0.0)
        truth = data.ground_truth(s)
        symmetry = data.uo2().point_group
        label = truth.subgrain_id
        touching = np.concatenate(
            [
                np.stack([label[:, 1:].ravel(), label[:, :-1].ravel()], axis=1),
                np.stack([label[1:].ravel(), label[:-1].ravel()], axis=1),
            ]
        )
        touching = {tuple(sorted(pair)) for pair in touching.tolist()}
        at = {n: truth.rotations[label == n][0] for n in range(10)}
        for i in range(10):
            for j in range(i):
                if i // 5 != j // 5:
                    continue
                angle = Orientation(at[i], symmetry=symmetry).angle_with(
                    Orientation(at[j], symmetry=symmetry), degrees=True
                )[0]
                assert angle >= limits[0] - 1e-4
                assert (j, i) not in touching or angle <= limits[1] + 1e-4

    def test_bend_and_thickness(self):
        """Within what was asked for, and not constant."""
        s = scan(shape=(30, 30), bend=0.02, thickness=(40, 60))
        truth = data.ground_truth(s)
        assert 40 <= truth.thickness.min() < 47 and 53 < truth.thickness.max() <= 60
        flat = data.ground_truth(scan(shape=(30, 30), bend=0.0, thickness=(40, 60)))
        angle = np.degrees((~Rotation(flat.rotations) * Rotation(truth.rotations)).angle)
        assert 0.01 < angle.max() <= np.sqrt(3) * 0.02 + 1e-6


class TestPatterns:
    def test_orientation_of_the_point(self):
        """Tilted and turned from its base: as a crystal that was simulated like that."""
        base = matrix(0)
        tilt_x, tilt_y, turn = 0.06, -0.03, 0.5
        turned = conventions.in_plane_matrix(turn) @ conventions.tilt_matrix(tilt_x, tilt_y)
        direct = renderer([subgrain_disks(turned @ base)], [(0, 0, 61.0)])([0])[0]
        bent = renderer([subgrain_disks(base, 0.06)], [(tilt_x, tilt_y, 61.0)], [turn])([0])[0]
        still = renderer([subgrain_disks(base)], [(0, 0, 61.0)])([0])[0]
        # the cut-off follows the sphere, so a few faint beams differ
        assert np.abs(bent - direct).sum() < 0.02 * direct.sum()
        assert np.abs(still - direct).sum() > 0.05 * direct.sum()

    def test_quarter_turn(self):
        """A grain turned by 90° about the beam gives the pattern turned from kx to ky."""
        base = matrix(1)
        optics = _optics(BEAM, (64, 64), 0.85, 0.5)
        optics = replace(optics, origin=(31.5, 31.5))
        quarter = conventions.in_plane_matrix(90) @ base
        one, other = (
            renderer([subgrain_disks(m, optics=optics)], [(0, 0, 60.0)], optics=optics)([0])[0]
            for m in (base, quarter)
        )
        turned = np.rot90(one, -1)
        assert np.abs(other - turned).sum() < 2e-3 * one.sum()
        assert np.abs(other - one).sum() > 0.05 * one.sum()

    def test_disks_are_where_the_rotation_puts_them(self):
        """Even disks, drawn one by one: their centre of mass is at (M g)_xy."""
        truth = data.ground_truth(scan(bend=0.05, detector=(128, 128)))
        point = (1, 2)
        m = conventions.rotation_to_detector_matrix(Rotation(truth.rotations[point]))[0]
        crystal = as_crystal(data.uo2())
        numbers = np.stack(np.meshgrid(*3 * [np.arange(-6, 7)], indexing="ij"), axis=-1)
        g = numbers.reshape(-1, 3) @ crystal.reciprocal
        expected = np.array(truth.origin) + (g @ m.T)[:, 1::-1] / truth.scale
        optics = _optics(BEAM, (128, 128), 0.85, 0.5)
        disks = subgrain_disks(m, optics=optics)
        even = replace(disks.maps, coefficients=np.ones_like(disks.maps.coefficients))
        y, x = np.mgrid[:128, :128]
        inside = 0
        for n in range(len(disks.vectors)):
            total = np.zeros(disks.disks.coefficients.shape[-1], dtype=np.float32)
            total[n] = 0.1
            alone = replace(
                disks,
                maps=even,
                disks=replace(
                    disks.disks,
                    coefficients=np.broadcast_to(total, disks.disks.coefficients.shape).copy(),
                ),
            )
            image = renderer([alone], [(0, 0, 60.0)], optics=optics)([0])[0]
            if image.sum() < 0.0999e5:
                continue  # cut by the edge of the detector
            inside += 1
            centre = np.array([(y * image).sum(), (x * image).sum()]) / image.sum()
            assert np.linalg.norm(expected - centre, axis=1).min() < 0.01
        assert inside > 5

    def test_the_scan_shows_the_truth(self):
        """A point's pattern is that of a crystal simulated at the true rotation."""
        s = scan(noise=False, bend=0.02, background=0.0)
        truth = data.ground_truth(s)
        where = np.argwhere(truth.pure)[0]
        point = tuple(where)
        m = conventions.rotation_to_detector_matrix(Rotation(truth.rotations[point]))[0]
        expected = renderer([subgrain_disks(m)], [(0, 0, truth.thickness[point])])([0])[0]
        pattern = s.data[point].compute()
        assert np.abs(pattern - expected).sum() < 0.02 * expected.sum()

    def test_boundary_is_a_mixture(self):
        crystals = [subgrain_disks(matrix(2)), subgrain_disks(matrix(3))]
        field = [(0, 0, 55.0)] * 3
        options = {"first": np.array([0, 1, 0]), "second": np.array([-1, -1, 1])}
        patterns = renderer(crystals, field, fraction=np.array([0, 0, 0.3]), **options)([0, 1, 2])
        one, other, both = patterns
        np.testing.assert_allclose(both, 0.7 * one + 0.3 * other, rtol=1e-5, atol=1e-3)
        assert np.abs(one - other).sum() > 0.1 * one.sum()

    def test_counts(self):
        """Float expectations within what comes in; noise about them; counts as asked."""
        expected = scan(noise=False, electrons=2e4, background=0.1)
        total = expected.data.sum(axis=(2, 3)).compute()
        assert expected.data.dtype == np.float32
        assert np.all(total <= 1.1 * 2e4) and np.all(total > 0.2 * 2e4)
        noisy = scan(electrons=2e4, background=0.1, dtype=np.uint32)
        assert noisy.data.dtype == np.uint32
        counts = noisy.data.sum(axis=(2, 3)).compute()
        assert np.all(np.abs(counts - total) < 6 * np.sqrt(total))

    def test_same_patterns_whatever_the_chunks(self):
        one, other = scan(chunks=(1, 4)).data.compute(), scan(chunks=(3, 2)).data.compute()
        np.testing.assert_array_equal(one, other)
        assert np.any(scan(seed=1).data[0, 0].compute() != one[0, 0])

    def test_two_phases(self):
        """Grains take the phases in turn, and each shows its own lattice."""
        s = scan(phases="two-phase", noise=False, background=0.0)
        truth = data.ground_truth(s)
        np.testing.assert_array_equal(truth.phase_id, truth.grain_id % 2)
        assert [phase.name for phase in truth.phases] == ["UO2", "Zr"]
        point = tuple(np.argwhere(truth.pure & (truth.phase_id == 1))[0])
        m = conventions.rotation_to_detector_matrix(Rotation(truth.rotations[point]))[0]
        alike = subgrain_disks(m, phase=data.zirconium())
        expected = renderer([alike], [(0, 0, truth.thickness[point])])([0])[0]
        pattern = s.data[point].compute()
        assert np.abs(pattern - expected).sum() < 0.02 * expected.sum()


class TestSignal:
    def test_calibration(self):
        s = scan(reach=0.7, scan_step=2.5, detector=(64, 80))
        truth = data.ground_truth(s)
        assert isinstance(s, LazyElectronDiffraction2D)
        assert s.data.shape == (4, 6, 64, 80) and s.data.dtype == np.uint16
        assert s.beam_energy == 300
        assert s.metadata.Acquisition_instrument.TEM.convergence_angle == 1.0
        kx, ky = s.axes_manager.signal_axes
        assert (kx.name, ky.name) == ("kx", "ky") and kx.scale == ky.scale == truth.scale
        assert truth.radius * truth.scale == pytest.approx(BEAM.aperture_radius)
        zero = [(0 - axis.offset) / axis.scale for axis in (ky, kx)]
        np.testing.assert_allclose(zero, truth.origin)
        edges = [ky.offset, ky.offset + 63 * ky.scale, kx.offset, kx.offset + 79 * kx.scale]
        assert np.min(np.abs(edges)) + truth.scale / 2 == pytest.approx(0.7)
        assert [(a.name, a.scale) for a in s.axes_manager.navigation_axes] == [
            ("x", 2.5),
            ("y", 2.5),
        ]

    @pytest.mark.parametrize("ending", ["zspy", "hspy"])
    def test_truth_survives_a_file(self, tmp_path, ending):
        s = scan(phases="two-phase")
        s.save(tmp_path / f"grains.{ending}", show_progressbar=False)
        back = hs.load(tmp_path / f"grains.{ending}", lazy=True)
        truth, again = data.ground_truth(s), data.ground_truth(back)
        assert isinstance(again, data.PolycrystalTruth)
        for name in ("rotations", "grain_id", "subgrain_id", "phase_id", "second_id", "fraction"):
            np.testing.assert_array_equal(getattr(again, name), getattr(truth, name))
        for name in ("electrons", "origin", "radius", "scale", "crystals"):
            assert getattr(again, name) == getattr(truth, name)
        np.testing.assert_array_equal(again.thickness, truth.thickness)
        np.testing.assert_array_equal(again.pure, truth.second_id == -1)
        np.testing.assert_array_equal(back.data.compute(), s.data.compute())

    def test_crystal_map(self):
        s = scan(phases="two-phase", scan_step=2.0)
        truth = data.ground_truth(s)
        xmap = truth.to_crystal_map(s)
        assert xmap.shape == (4, 6) and xmap.scan_unit == "nm" and xmap.dx == xmap.dy == 2
        assert xmap.phases.names == ["UO2", "Zr"]
        assert xmap.phases[0].color != xmap.phases[1].color
        np.testing.assert_array_equal(xmap.get_map_data("phase_id"), truth.phase_id)
        np.testing.assert_array_equal(xmap.get_map_data("subgrain_id"), truth.subgrain_id)
        np.testing.assert_allclose(xmap.rotations.data, truth.rotations.reshape(-1, 4))
        assert truth.to_crystal_map().scan_unit == "px"
        with pytest.raises(ValueError, match="signal has scan axes"):
            truth.to_crystal_map(s.inav[:2])

    def test_simulated_once(self, monkeypatch):
        scan(seed=5)
        monkeypatch.setattr(_subgrains.SubgrainOrder, "simulate", None)
        scan(seed=5, electrons=10.0, scan_step=1.0)  # the same crystals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (4,)}, r"shape=\(4,\)"),
        ({"detector": (16, 64)}, r"detector=\(16, 64\)"),
        ({"reach": 5.0}, "reach=5"),
        ({"beam": mlmaps.Beam(300, 0.1)}, "beam=.*px is allowed"),
        ({"phases": "three-phase"}, "phases='three-phase'"),
        ({"phases": []}, "phases="),
        ({"grains": 0}, "grains=0"),
        ({"grains": 1.5}, "grains=1.5"),
        ({"subgrains": 20}, "subgrains=20.*scan points"),
        ({"misorientation": (0.0, 1.0)}, "misorientation="),
        ({"misorientation": (2.0, 1.0)}, "misorientation="),
        (
            {"shape": (9, 9), "subgrains": 5, "misorientation": (1.0, 1.0)},
            "misorientation=.*Widen it",
        ),
        ({"bend": 3.0}, "bend=3"),
        ({"thickness": (70, 50)}, "thickness="),
        ({"electrons": 0.0}, "electrons=0"),
        ({"boundary_width": 0.0}, "boundary_width=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        scan(**options)
