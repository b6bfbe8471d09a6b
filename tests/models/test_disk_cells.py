"""Disks cut into cells: what the library promises is what is counted on the detector."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.models.disk_cells import CELLS, CellSearch, cell_counts, cell_templates


def counted(grain, patterns, values):
    """(n, n_disk, 7) cells and (n,) backgrounds of patterns whose disks are where they are."""
    out = np.empty((len(values), len(grain.model.vectors), CELLS))
    flat = np.empty(len(values))
    places = grain.model.places(values, grain.optics.scale)
    patterns = np.ascontiguousarray(patterns, dtype=np.float32)
    cell_counts(patterns, places, values[:, 3], grain.optics.radius, out, flat)
    return out, flat


def templates(grain, every=1):
    """Axes and square roots of all templates on the library's grid."""
    model = grain.model
    step = model.maps.step
    tilt = [np.arange(model.low[k], model.high[k] + step[k] / 2, step[k]) for k in (0, 1)]
    depth = model.low[2] + step[2] * np.arange(0, model.maps.size[2], every)
    aperture = grain.optics.degrees_per_pixel * grain.optics.radius
    return (*tilt, depth), cell_templates(model.maps, aperture, *tilt, every)


def on_grid(grain, axes, n, turn, seed=0):
    """(n, 6) values at templates, and their numbers (n, 3) on the grid."""
    rng = np.random.default_rng(seed)
    at = np.stack([rng.integers(1, len(axis) - 1, n) for axis in axes], axis=1)
    tilts = np.stack([axis[i] for axis, i in zip(axes, at.T, strict=True)], axis=1)
    origin = 47.5 + rng.uniform(-0.5, 0.5, (n, 2))
    turns = rng.uniform(-turn, turn, n) if turn else np.zeros(n)
    return np.column_stack([tilts, turns, origin]), at


@pytest.fixture(scope="module")
def table(grain):
    return templates(grain)


class TestTemplates:
    @pytest.mark.parametrize("turn", [0.0, 180.0])
    def test_equal_counts_of_a_rendered_pattern(self, grain, table, turn):
        """At the same tilt and thickness, whatever the angle about the beam."""
        axes, roots = table
        values, at = on_grid(grain, axes, 20, turn)
        cells, _ = counted(grain, grain.render(values, noise=False, background=0), values)
        for found, (i, j, t) in zip(cells, at, strict=True):
            known = np.isfinite(found)
            assert known.all(axis=1).sum() >= 5
            one, other = np.sqrt(np.maximum(found[known], 0)), roots[i, j, t][known]
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert cosine > 0.9985  # 3.8 px: a pixel belongs to one cell or to another

    def test_each_cell_has_its_own_place(self, grain, table):
        """Taken from another cell, templates and counts agree less: no two cells are swapped."""
        axes, roots = table
        values, at = on_grid(grain, axes, 20, 180.0, seed=1)
        cells, _ = counted(grain, grain.render(values, noise=False, background=0), values)
        right, wrong = [], []
        for found, (i, j, t) in zip(cells, at, strict=True):
            known = np.isfinite(found).all(axis=1)
            one, other = np.sqrt(np.maximum(found[known], 0)), roots[i, j, t][known]
            right.append(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))
            turned = other[:, [0, 2, 3, 4, 5, 6, 1]]
            wrong.append(
                np.linalg.norm(one / np.linalg.norm(one) - turned / np.linalg.norm(turned))
            )
        assert np.all(np.array(right) < 0.9 * np.array(wrong))
        assert np.median(right) < 0.3 * np.median(wrong)

    def test_every_other_thickness(self, grain, table):
        axes, roots = templates(grain, every=2)
        np.testing.assert_array_equal(axes[2], table[0][2][::2])
        np.testing.assert_array_equal(roots, table[1][:, :, ::2])

    def test_part_of_the_grid(self, grain, table):
        """Templates from the middle of the library are those of the whole library there."""
        axes, roots = table
        aperture = grain.optics.degrees_per_pixel * grain.optics.radius
        part = cell_templates(grain.model.maps, aperture, axes[0][3:9], axes[1][5:7], 1)
        np.testing.assert_array_equal(part, roots[3:9, 5:7])


class TestCounts:
    def test_flat_background_is_taken_off(self, grain, table):
        values, _ = on_grid(grain, table[0], 5, 20.0)
        clean = grain.render(values, noise=False, background=0)
        cells, none = counted(grain, clean, values)
        # disks that the library leaves out, and rims, may leave a little
        assert np.all(none < 0.02 * np.nanmax(cells, axis=(1, 2)))
        raised, flat = counted(grain, clean + 3.0, values)
        np.testing.assert_allclose(flat - none, 3.0, rtol=1e-5)
        np.testing.assert_allclose(raised, cells, atol=1e-3)

    def test_uniform_disk_fills_all_cells_alike(self):
        y, x = np.indices((40, 40))
        disk = 5.0 * (np.hypot(y - 20.3, x - 18.8) < 6)
        out, flat = np.empty((1, 1, CELLS)), np.empty(1)
        cell_counts(
            disk[None].astype(np.float32), np.array([[[20.3, 18.8]]]), np.zeros(1), 6.0, out, flat
        )
        np.testing.assert_allclose(out, 5.0)
        assert flat[0] == 0

    @pytest.mark.parametrize(("turn", "bright"), [(0.0, 3), (60.0, 2), (-60.0, 4), (180.0, 6)])
    def test_cells_turn_with_the_pattern(self, turn, bright):
        """A bright sector along +kx, just below it, seen from a crystal turned towards +ky."""
        y, x = np.indices((41, 41))
        sector = np.abs(np.degrees(np.arctan2(y - 20, x - 20)) + 30) < 25
        spot = 5.0 * (sector & (np.hypot(y - 20, x - 20) < 8))
        out, flat = np.empty((1, 1, CELLS)), np.empty(1)
        cell_counts(
            spot[None].astype(np.float32), np.array([[[20.0, 20]]]), np.full(1, turn), 8.0, out,
            flat,
        )  # fmt: skip
        assert np.argmax(out[0, 0, 1:]) + 1 == bright

    def test_disks_that_leave_the_detector_are_not_known(self):
        pattern = np.ones((1, 30, 30), dtype=np.float32)
        places = np.array([[[15.0, 15], [4.9, 15], [15, 24.1], [-50, 8], [np.nan, 8], [5, 24]]])
        out, flat = np.empty((1, 6, CELLS)), np.empty(1)
        cell_counts(pattern, places, np.zeros(1), 5.0, out, flat)
        known = np.isfinite(out[0]).all(axis=1)
        np.testing.assert_array_equal(known, [True, False, False, False, False, True])
        np.testing.assert_array_equal(np.isfinite(out[0]).any(axis=1), known)

    def test_a_dead_pixel_spoils_only_its_cell(self):
        pattern = np.ones((1, 30, 30), dtype=np.float32)
        pattern[0, 15, 15] = np.nan
        pattern[0, 2, 2] = np.nan  # in the background
        out, flat = np.empty((1, 1, CELLS)), np.empty(1)
        cell_counts(pattern, np.array([[[15.0, 15]]]), np.zeros(1), 5.0, out, flat)
        assert np.isnan(out[0, 0, 0]) and np.isfinite(out[0, 0, 1:]).all() and flat[0] == 1


class TestSearch:
    def test_the_right_template_is_the_best(self, grain, table):
        """Without noise, on its grid: tilt and thickness of every pattern."""
        axes, roots = table
        values, _ = on_grid(grain, axes, 40, 90.0, seed=2)
        cells, _ = counted(grain, grain.render(values, noise=False, background=0), values)
        (found, cosine), *_ = CellSearch.of(axes, roots).ranked(cells, 1)
        right = np.all(np.abs(found - values[:, :3]) < 1e-9, axis=1)
        assert right.mean() > 0.9
        assert np.abs(found - values[:, :3])[:, :2].max() < 0.026  # else a step beside it
        assert cosine.min() > 0.9985

    def test_with_few_electrons_it_is_among_the_first(self, grain, table):
        """A thousand electrons: within a step of one of ten answers."""
        axes, roots = table
        values, _ = on_grid(grain, axes, 40, 90.0, seed=3)
        cells, _ = counted(grain, grain.render(values, electrons=1e3), values)
        found = np.stack([v for v, _ in CellSearch.of(axes, roots).ranked(cells, 10)], axis=1)
        near = np.abs(found[..., :2] - values[:, None, :2]).max(axis=2) < 0.026
        assert near.any(axis=1).mean() > 0.9

    def test_ranked_by_cosine_and_apart(self, grain, table):
        axes, roots = table
        values, _ = on_grid(grain, axes, 6, 0.0, seed=4)
        cells, _ = counted(grain, grain.render(values), values)
        answers = list(CellSearch.of(axes, roots).ranked(cells, 5))
        cosines = np.array([c for _, c in answers])
        assert np.all(np.diff(cosines, axis=0) <= 1e-6)
        step = np.array([a[1] - a[0] for a in axes])
        places = np.array([v for v, _ in answers]) / step
        for a in range(5):
            for b in range(a):
                gap = np.abs(places[a] - places[b]).round(6)
                assert np.all((gap[:, :2].max(axis=1) > 1) | (gap[:, 2] > 0))

    def test_cosine_by_hand(self, grain, table):
        """With cells that are missing here and there, against the definition."""
        axes, roots = table
        values, _ = on_grid(grain, axes, 5, 0.0, seed=5)
        cells, _ = counted(grain, grain.render(values), values)
        cells[np.random.default_rng(0).random(cells.shape) < 0.1] = np.nan
        (found, cosine), *_ = CellSearch.of(axes, roots).ranked(cells, 1)
        for n, cell in enumerate(cells):
            known = np.isfinite(cell)
            one = np.sqrt(np.maximum(cell[known], 0))
            other = roots[..., known]
            all_of_them = other @ one / np.linalg.norm(one) / np.linalg.norm(other, axis=-1)
            assert cosine[n] == pytest.approx(all_of_them.max(), abs=1e-5)
            at = np.unravel_index(np.argmax(all_of_them), all_of_them.shape)
            best = [axis[i] for axis, i in zip(axes, at, strict=True)]
            np.testing.assert_allclose(found[n], best)

    def test_scale_does_not_matter(self, grain, table):
        axes, roots = table
        values, _ = on_grid(grain, axes, 6, 0.0, seed=6)
        cells, _ = counted(grain, grain.render(values), values)
        search = CellSearch.of(axes, roots)
        for (a, _), (b, _) in zip(
            search.ranked(cells, 3), search.ranked(250 * cells, 3), strict=True
        ):
            np.testing.assert_array_equal(a, b)
