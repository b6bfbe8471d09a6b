"""The disk benchmark measures what it says: its patterns, its bound, its strain, its opponents."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def benchmarks_importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def hexagon():
    """Seven disks, 4.5 radii apart, in units of the disk radius (ky, kx)."""
    angles = np.radians(60 * np.arange(6))
    return np.concatenate([[(0.0, 0.0)], 4.5 * np.stack([np.sin(angles), np.cos(angles)], 1)])


def maps_of(values, vectors):
    """Maps of a Material without dynamical diffraction: ``values`` on an even grid."""
    from disk_maps import SILICON, Maps
    from scipy.ndimage import spline_filter1d

    for axis in range(3):
        values = spline_filter1d(values, order=3, axis=axis, mode="mirror")
    miller = np.round(
        np.stack([vectors[:, 1], vectors[:, 0] * 2 / np.sqrt(3), 0 * vectors[:, 0]], 1) * 2 / 4.5
    ).astype(int)
    start, step = np.array([-16.0, -16.0, 20.0]), np.array([0.5, 0.5, 10.0])
    return Maps(SILICON, values.astype(np.float32), start, step, vectors, miller)


@pytest.fixture
def flat(monkeypatch, hexagon):
    """Disks without contrast."""
    return _use(monkeypatch, maps_of(np.ones((65, 65, 10, 7)), hexagon))


@pytest.fixture
def fringes(monkeypatch, hexagon):
    """Disks crossed by fringes that depend on tilt and thickness."""
    x, y, t, d = np.ogrid[-16:16:65j, -16:16:65j, 20:110:10j, 0:7]
    values = 1 + 0.9 * np.sin(2 * x + (d + 1) * y / 3 + t / 40 + d)
    return _use(monkeypatch, maps_of(values, hexagon))


def _use(monkeypatch, chosen):
    import disk_bound
    import disk_sets

    for module in (disk_sets, disk_bound):
        monkeypatch.setattr(module, "maps", lambda material: chosen)
    return chosen


def test_centroid_of_a_flat_disk_is_its_centre(flat):
    """At every sub-pixel position, to 0.002 px: the edge is analytic, not sampled."""
    rng = np.random.default_rng(0)
    for centre in 60 + rng.uniform(-1, 1, (5, 2)):
        image = np.zeros((121, 121))
        flat.disk(0, np.array([0.0, 0, 50]), centre, 30.0, 1.0).add_to(image, 1.0)
        axis = np.arange(121)
        centroid = np.array([image.sum(1) @ axis, image.sum(0) @ axis])
        assert image.sum() == pytest.approx(1)
        assert np.abs(centroid - centre).max() < 0.002


def test_contrast_moves_with_the_disk(fringes):
    where = np.array([2.0, -1, 60])
    images = []
    for centre in ((60.3, 58.8), (63.3, 53.8)):
        image = np.zeros((121, 121))
        fringes.disk(3, where, centre, 30.0, 1.0).add_to(image, 1e4)
        images.append(image)
    assert np.allclose(np.roll(images[0], (3, -5), (0, 1)), images[1], atol=1e-6)


def test_a_crop_shifts_with_tilt(fringes):
    """Tilting by α·u shows at the centre what lay at -u: one map, seen through one aperture."""
    alpha = fringes.material.convergence
    y, x = np.array([0.3]), np.array([-0.4])
    there = fringes.crop(2, np.array([1.0, 2.0, 70.0]), y, x)
    moved = np.array([1.0 - alpha * x[0], 2.0 - alpha * y[0], 70.0])
    here = fringes.crop(2, moved, 0 * y, 0 * x)
    assert here == pytest.approx(there, rel=1e-6)
    assert abs(fringes.crop(2, np.array([1.0, 2.0, 70.0]), 0 * y, 0 * x) - there) > 1e-3


def test_noise_is_as_strong_as_stated(fringes):
    import disk_sets

    clean = disk_sets.geometry_a(6, None, seed=3)
    white = disk_sets.geometry_a(6, seed=3, snr=20.0)
    counts = disk_sets.geometry_a(6, 1e5, seed=3)
    assert np.array_equal(clean.truth, white.truth) and np.array_equal(clean.truth, counts.truth)
    noise = (white.images - clean.images).var(axis=(1, 2))
    power = np.mean(clean.images.astype(float) ** 2, axis=(1, 2))
    assert 10 * np.log10(power / noise) == pytest.approx(20, abs=0.15)
    background = 0.02 * 1e5 / (np.pi * 900) * 121**2
    total = counts.images.sum(axis=(1, 2), dtype=float)
    assert np.abs(total - 1e5 - background).max() < 5 * np.sqrt(1e5 + background)


def test_bound_of_a_flat_disk_is_the_textbook_one(flat):
    """White noise n, level I, edge s: σ² = 2 √π s n² / (π R I²), from ∫(dI/dr)² along the rim."""
    from dataclasses import replace

    import disk_bound

    disk_bound.contrast_prior.cache_clear()
    prior = disk_bound.contrast_prior("", 12.0, 1.0, n_disk=8, n_component=2)
    disk_bound.contrast_prior.cache_clear()
    prior = replace(prior, components=np.zeros_like(prior.components))
    where = np.array([0.0, 0.0, 50.0])
    information = disk_bound.disk_information(flat, prior, 0, where, None, 20.0, 0.0)
    blur = np.sqrt(1 + 1 / 12)
    area = (prior.aperture**2).sum()
    noise = area / 121**2 / 100
    expected = 2 * np.sqrt(np.pi) * blur * noise / (np.pi * 12)
    assert np.linalg.inv(information)[0, 0] == pytest.approx(expected, rel=0.02)
    assert abs(information[0, 1]) < 1e-2 * information[0, 0]


def test_bound_grows_when_contrast_is_unknown_and_falls_with_dose(fringes):
    import disk_bound

    disk_bound.contrast_prior.cache_clear()
    bounds = [disk_bound.position_bound(dose, radius=8.0, n=6, edge=0.7).rms for dose in (1e3, 1e5)]
    prior = disk_bound.contrast_prior("Si [110]", 8.0, 0.7)
    disk_bound.contrast_prior.cache_clear()
    where = np.array([1.0, 1.0, 50.0])
    unknown = disk_bound.disk_information(fringes, prior, 1, where, 1e4, None, 0.02)
    from dataclasses import replace

    known = disk_bound.disk_information(
        fringes, replace(prior, components=0 * prior.components), 1, where, 1e4, None, 0.02
    )
    assert bounds[1] < bounds[0] / 3
    assert np.trace(unknown) < np.trace(known)


def test_strain_of_true_positions_is_the_true_strain(fringes):
    """And its sign: where the crystal is stretched along x, disks close up along x."""
    import disk_scores
    import disk_sets
    from disk_opponents import Positions

    drawn = disk_sets.geometry_b(4, 1e4, seed=1)
    found = Positions(drawn.positions, np.ones_like(drawn.positions))
    for weighting in ("sigma", *disk_scores.WEIGHTS):
        figures = disk_scores.strain_figures(found, drawn, weighting)
        assert figures["sigma"] < 1e-9 and figures["lost"] == 0
    i = int(drawn.strain[:, 0].argmax())
    relative = drawn.lattice.positions - drawn.lattice.origin
    spread = np.ptp(drawn.positions[i, :, 1]) / np.ptp(relative[:, 1])
    assert drawn.strain[i, 0] > 0 and spread < 1


def test_a_lost_disk_does_not_bend_the_lattice(fringes):
    import disk_scores
    import disk_sets
    from disk_opponents import Positions

    drawn = disk_sets.geometry_b(3, 1e4, seed=1)
    moved = drawn.positions + np.random.default_rng(0).normal(0, 1e-3, drawn.positions.shape)
    moved[:, 2] = np.nan
    moved[:, 4] += 5.0
    figures = disk_scores.strain_figures(Positions(moved), drawn, "equal")
    assert figures["sigma"] < 0.02


def test_lines_keep_the_lattice_and_change_the_disks(fringes):
    import disk_scores
    import disk_sets
    from disk_opponents import Positions

    for line in (disk_sets.tilt_line(5), disk_sets.thickness_line(5)):
        assert np.ptp(line.positions, axis=0).max() == 0
        assert np.ptp(line.counts, axis=0).max() > 100
        false = disk_scores.false_strain(Positions(line.positions), line, "equal")
        assert false["largest p-p"] < 1e-9


def test_position_figures_count_failures():
    from disk_opponents import Positions
    from disk_scores import position_figures

    truth = np.zeros((4, 2))
    found = np.array([(0.1, -0.1), (0.1, 0.1), (5.0, 0), (np.nan, np.nan)])
    figures = position_figures(Positions(found, np.full((4, 2), 0.2)), truth)
    assert figures["failures"] == 0.5
    assert figures["rmse"] == pytest.approx(0.1)
    assert (figures["bias_y"], figures["bias_x"]) == (pytest.approx(0.1), pytest.approx(0))
    assert figures["within"] == pytest.approx(5 / 6)


def test_every_method_finds_flat_disks(flat):
    """Noise-free disks without contrast: within 0.3 px in windows and in patterns; pyxem's centre
    of mass of a broad match stays near the brightest pixel, so within half a pixel."""
    import disk_rows
    import disk_sets

    logging.disable(logging.WARNING)  # hyperspy warns of axes that template matching does not use
    windows = disk_sets.geometry_a(4, None, seed=5)
    drawn = disk_sets.geometry_b(1, None, seed=5)
    rows, skipped = disk_rows.opponents()
    assert len(rows) + 3 * ("py4DSTEM" in skipped) + ("LiberTEM-blobfinder" in skipped) == 7
    for row in rows:
        limit = 0.5 if "pyxem" in row.name else 0.3
        error = row.on_windows.windows(windows.images, 30.0).centres - windows.truth
        assert np.abs(error).max() < limit, row.name
        error = row.on_patterns.patterns(drawn.patterns, drawn.lattice).centres - drawn.positions
        assert np.abs(error).max() < limit, row.name
    logging.disable(logging.NOTSET)


def test_the_shipped_model_plugs_in(flat):
    """Its answers reach their own window, pattern and disk."""
    import disk_rows
    import disk_sets

    (row,), _ = disk_rows.package(None)
    windows = disk_sets.geometry_a(4, None, seed=5)
    found = row.on_windows.windows(windows.images, 30.0)
    assert np.abs(found.centres - windows.truth).max() < 0.1
    drawn = disk_sets.geometry_b(2, None, seed=1)
    found = row.on_patterns.patterns(drawn.patterns, drawn.lattice)
    assert found.centres.shape == found.sigma.shape == drawn.positions.shape
    assert np.abs(found.centres - drawn.positions).max() < 0.1
    assert np.all(found.sigma > 0)


def test_tables_print_and_figures_are_json(fringes, capsys, monkeypatch):
    """A tiny run of every part but the bound, with a method that knows σ."""
    import disk_rows
    import disks
    from disk_opponents import CircularHough, Positions

    class Sure:
        """Hough with a σ, as this package's model gives one."""

        def windows(self, images, radius):
            found = CircularHough().windows(images, radius)
            return Positions(found.centres, np.full(found.centres.shape, 0.3))

        def patterns(self, patterns, lattice):
            found = CircularHough().patterns(patterns, lattice)
            return Positions(found.centres, np.full(found.centres.shape, 0.3))

    hough = CircularHough()
    rows = [disk_rows.Row("Hough", hough, hough, "counts")]
    monkeypatch.setattr(disk_rows, "opponents", lambda: (rows, {"other": "not here"}))
    monkeypatch.setattr(
        disk_rows, "package", lambda path: ([disk_rows.Row("sure", Sure(), Sure(), "sigma")], {})
    )
    monkeypatch.setattr(disks, "settings", lambda method: type(method).__name__)
    monkeypatch.setattr(disks.sets, "MATERIALS", {"one": fringes.material})
    parts = [part for part in disks.PARTS if part != "bound"]
    figures = disks.run(parts, 3, True, {"model": None, "published": None})
    disks.print_tables(figures)
    shown = capsys.readouterr().out
    assert json.loads(json.dumps(figures))["time"]["Hough"]["disk / Hough"] == 1
    for title in (
        "Geometry A: RMSE",
        "within 1σ",
        "Geometry B",
        "False strain",
        "Time",
        "Left out",
    ):
        assert title in shown
