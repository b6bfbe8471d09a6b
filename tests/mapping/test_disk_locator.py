"""All disks of a pattern are found where they are, and what cannot be known is not claimed."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.disk_locator import (
    ABSENT,
    COLUMNS,
    PRESENT,
    UNREADABLE,
    DiskLocator,
)

SHAPE = (160, 176)
STATUS = COLUMNS.index("status")
MISFIT = COLUMNS.index("misfit")


def deformations(n, strain, descan, seed=0):
    rng = np.random.default_rng(seed)
    turn = rng.uniform(-0.02, 0.02, n)
    stretch = rng.uniform(-strain, strain, (n, 2, 2))
    gradient = (stretch + stretch.transpose(0, 2, 1)) / 2
    gradient[:, 0, 1] += turn
    gradient[:, 1, 0] -= turn
    angle = rng.uniform(0, 2 * np.pi, n)
    return gradient, descan * np.stack([np.sin(angle), np.cos(angle)], axis=1)


@pytest.fixture
def stack(disk_pattern, disk_lattice):
    def make(n, strain=0.0, descan=0.0, **options):
        each = [
            disk_pattern(disk_lattice, SHAPE, g, s, **options)
            for g, s in zip(*deformations(n, strain, descan), strict=True)
        ]
        return (np.array(v) for v in zip(*each, strict=True))

    return make


class TestStrainAndDescan:
    @pytest.mark.parametrize("strain, descan", [(0.0, 0.0), (0.04, 0.0), (0.0, 6.0), (0.04, 6.0)])
    def test_every_disk(self, stack, edge_model, disk_lattice, strain, descan):
        """4 % strain, 1° of rotation and 6 px of descan: the corner disks move by two radii."""
        patterns, truth = stack(8, strain, descan)
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        assert np.all(table[..., STATUS] == PRESENT)
        assert np.abs(table[..., :2] - truth).max() < 0.1
        assert np.all(table[..., MISFIT] <= 1)
        moved = np.hypot(*np.moveaxis(truth - disk_lattice.positions, 2, 0)).max()
        if strain and descan:
            assert moved > 1.2 * disk_lattice.radius, "it was far"

    def test_still_patterns_are_looked_at_once(self, stack, edge_model, disk_lattice):
        patterns, _ = stack(3)
        DiskLocator(edge_model, disk_lattice)(patterns)
        assert edge_model.calls == [3 * len(disk_lattice)]

    def test_the_model_is_told_where_the_direct_beam_is(self, stack, edge_model, disk_lattice):
        patterns, _ = stack(2)
        DiskLocator(edge_model, disk_lattice)(patterns)
        from_origin = disk_lattice.positions - np.asarray(disk_lattice.origin)
        np.testing.assert_allclose(edge_model.places[0], np.tile(from_origin, (2, 1)))

    def test_only_far_disks_are_looked_at_again(self, stack, edge_model, disk_lattice):
        patterns, _ = stack(3, strain=0.04)
        DiskLocator(edge_model, disk_lattice)(patterns)
        first, *again = edge_model.calls
        assert first == 3 * len(disk_lattice)
        assert 0 < sum(again) < first

    def test_known_shifts(self, disk_pattern, disk_lattice, edge_model):
        """More than half a spacing, so only a known shift tells which disk is which."""
        shift = np.array([9.0, 11.5])
        inner = disk_lattice.replace(indices=disk_lattice.indices[:13])
        pattern, truth = disk_pattern(inner, SHAPE, shift=shift)
        locator = DiskLocator(edge_model, inner)
        table = locator(pattern[None], np.round(shift)[None])
        assert np.abs(table[0, :, :2] - truth).max() < 0.1
        # one more shift than needed: the model is off by more than it sees
        table = locator(pattern[None], np.zeros((1, 2)))
        found = table[0, table[0, :, STATUS] == PRESENT]
        assert not len(found) or np.abs(found[0, :2] - truth[0]).max() > 5

    def test_direct_beam(self, disk_pattern, disk_lattice, edge_model):
        shift = np.array([9.0, 11.5])
        inner = disk_lattice.replace(indices=disk_lattice.indices[:13])
        pattern, truth = disk_pattern(inner, SHAPE, shift=shift)
        bright, _ = disk_pattern(inner, SHAPE, shift=shift, present=np.arange(13) == 0)
        empty = np.empty((0, 2), dtype=int)
        table = DiskLocator(edge_model, inner)((pattern + 2 * bright)[None], empty)
        assert np.abs(table[0, :, :2] - truth).max() < 0.1

    def test_batches_do_not_matter(self, stack, edge_model, disk_lattice):
        patterns, _ = stack(5, 0.03, 4.0)
        whole = DiskLocator(edge_model, disk_lattice)(patterns)
        for batch_size in (1, 37, 80):
            part = DiskLocator(edge_model, disk_lattice, batch_size=batch_size)(patterns)
            np.testing.assert_allclose(part, whole, rtol=0, atol=1e-9)


class TestAbsentDisks:
    def test_absent_disks(self, stack, edge_model, disk_lattice):
        """Any third of the disks is there: they are found and no others."""
        present = np.random.default_rng(2).random(37) < 0.35
        patterns, truth = stack(4, 0.03, 5.0, present=present)
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        np.testing.assert_array_equal(table[..., STATUS] == PRESENT, np.tile(present, (4, 1)))
        assert np.abs(table[:, present, :2] - truth[:, present]).max() < 0.1
        assert np.isnan(table[:, ~present][..., [0, 1, 3, 4]]).all()

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_disks(self, stack, edge_model, disk_lattice, n):
        """Vacuum with a direct beam, with or without one reflection, shifted."""
        present = np.arange(37) < n
        patterns, truth = stack(3, descan=4.0, present=present)
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        np.testing.assert_array_equal(table[..., STATUS] == PRESENT, np.tile(present, (3, 1)))
        assert np.abs(table[:, :n, :2] - truth[:, :n]).max() < 0.1

    @pytest.mark.parametrize("level", [0.0, 3.0])
    def test_blank(self, edge_model, disk_lattice, level):
        rng = np.random.default_rng(0)
        patterns = rng.poisson(level, (3, *SHAPE)).astype(float)
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        assert np.all(table[..., STATUS] == ABSENT)
        assert np.isnan(table[..., :2]).all()

    def test_off_the_detector(self, disk_pattern, disk_lattice, edge_model):
        """Disks that descan takes over the edge are absent; the others stand."""
        lattice = disk_lattice.replace(origin=(85.0, 88.6))
        pattern, truth = disk_pattern(lattice, SHAPE, shift=(8.0, -6.0))
        table = DiskLocator(edge_model, lattice)(pattern[None])[0]
        r = disk_lattice.radius
        margin = np.minimum(truth + 0.5 - r, np.array(SHAPE) - 0.5 - r - truth).min(axis=1)
        assert np.any(margin < -0.2)
        assert np.all(table[margin < -0.2, STATUS] == ABSENT)
        assert np.all(table[margin > 0.2, STATUS] == PRESENT)

    def test_brought_in_by_descan(self, disk_pattern, disk_lattice, edge_model):
        """A disk half off the detector in the lattice, wholly on it in the pattern."""
        lattice = disk_lattice.replace(origin=(67.0, 88.6))
        assert lattice.positions[:, 0].min() < lattice.radius - 1
        pattern, truth = disk_pattern(lattice, SHAPE, shift=(7.3, 0.0))
        table = DiskLocator(edge_model, lattice)(pattern[None])[0]
        assert np.all(table[:, STATUS] == PRESENT)
        assert np.abs(table[:, :2] - truth).max() < 0.1

    def test_uncertain_disks_are_absent(self, stack, edge_model, disk_lattice):
        """A σ of more than half a radius is no measurement."""
        answer = edge_model.locate

        def unsure(patterns, pattern_of, centres, radius, half_window, g_vectors=None):
            found = answer(patterns, pattern_of, centres, radius, half_window)
            sigma = np.where(np.arange(len(centres)) % 37 == 5, 0.6 * radius, found.sigma_y)
            return found._replace(sigma_y=sigma)

        edge_model.locate = unsure
        patterns, _ = stack(2)
        status = DiskLocator(edge_model, disk_lattice)(patterns)[..., STATUS]
        assert np.all(status[:, 5] == ABSENT)
        assert np.all(np.delete(status, 5, axis=1) == PRESENT)

    def test_min_presence(self, stack, edge_model, disk_lattice):
        answer = edge_model.locate
        edge_model.locate = lambda *a, **k: answer(*a, **k)._replace(
            presence=np.full(len(a[2]), 0.4)
        )
        patterns, _ = stack(1)
        status = DiskLocator(edge_model, disk_lattice)(patterns)[..., STATUS]
        assert np.all(status == ABSENT)
        locator = DiskLocator(edge_model, disk_lattice, min_presence=0.3)
        assert np.all(locator(patterns)[..., STATUS] == PRESENT)


class TestMisfit:
    def test_a_strain_that_no_crystal_bears(self, disk_pattern, disk_lattice, edge_model):
        """As the halo of an amorphous part would have: places stand, all but the direct beam's
        with a misfit above 1."""
        stretched = np.array([[0.02, 0.0], [0.0, -0.02]])
        pattern, truth = disk_pattern(disk_lattice, SHAPE, stretched)
        for max_strain, strange in ((0.05, False), (0.005, True)):
            table = DiskLocator(edge_model, disk_lattice, max_strain=max_strain)(pattern[None])[0]
            away = np.any(disk_lattice.indices != 0, axis=1)
            assert np.all((table[away, MISFIT] > 1) == strange)
            assert np.all(table[~away, MISFIT] <= 1)
            assert np.abs(table[:, :2] - truth).max() < 0.1

    def test_disk_of_another_lattice(self, disk_pattern, disk_lattice, edge_model):
        """It keeps its measured place, with a misfit above 1."""
        others = np.arange(37) != 9
        pattern, truth = disk_pattern(disk_lattice, SHAPE, present=others)
        alien = disk_lattice.replace(origin=np.array(disk_lattice.origin) + [2.2, -2.0])
        intruder, places = disk_pattern(alien, SHAPE, present=~others)
        table = DiskLocator(edge_model, disk_lattice)((pattern + intruder)[None])[0]
        # the next disk is 3.8 px from the intruder's edge: each blurs into the other's ring
        assert np.abs(table[9, :2] - places[9]).max() < 0.2
        assert np.abs(table[others, :2] - truth[others]).max() < 0.2
        assert table[9, MISFIT] > 1 and np.all(table[others, MISFIT] <= 1)

    def test_lens_distortion_is_tolerated(self, disk_pattern, disk_lattice, edge_model):
        """A pixel of pincushion at the corners is nobody's fault."""
        points = disk_lattice.indices @ disk_lattice.basis
        pattern = np.zeros(SHAPE)
        for n, p in enumerate(points):
            shift = p * (np.hypot(*p) / np.hypot(*points.T).max()) ** 2 / np.hypot(*points.T).max()
            pattern += disk_pattern(disk_lattice, SHAPE, shift=shift, present=np.arange(37) == n)[0]
        table = DiskLocator(edge_model, disk_lattice)(pattern[None])
        assert np.all(table[..., MISFIT] <= 1)


class TestUnreadable:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_one_pixel(self, stack, edge_model, disk_lattice, value):
        """Disks whose window holds it, in that pattern only; the others as without it."""
        patterns, truth = stack(3, 0.02, 2.0)
        locator = DiskLocator(edge_model, disk_lattice)
        wanted = locator(patterns)
        y, x = np.round(truth[1, 4]).astype(int)
        patterns[1, y, x] = value
        table = locator(patterns)
        near = np.abs(truth[1] - [y, x]).max(axis=1) < locator.half_window - 1
        far = np.abs(truth[1] - [y, x]).max(axis=1) > locator.half_window + 1
        assert near[4] and np.all(table[1, near, STATUS] == UNREADABLE)
        assert np.isnan(table[1, near][:, [0, 1, 2, 3, 4]]).all()
        np.testing.assert_allclose(table[1, far], wanted[1, far], atol=1e-3)
        np.testing.assert_array_equal(table[[0, 2]], wanted[[0, 2]])

    def test_whole_pattern(self, stack, edge_model, disk_lattice):
        patterns, _ = stack(3)
        patterns[1] = np.nan
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        assert np.all(table[1, :, STATUS] == UNREADABLE)
        assert np.all(table[[0, 2], :, STATUS] == PRESENT)

    def test_beyond_float32(self, stack, edge_model, disk_lattice):
        """Numbers that float32 cannot hold are unreadable, not infinite intensities."""
        patterns, truth = stack(1)
        y, x = np.round(truth[0, 0]).astype(int)
        patterns[0, y, x] = 1e300
        table = DiskLocator(edge_model, disk_lattice)(patterns)
        assert table[0, 0, STATUS] == UNREADABLE


def test_intensity(stack, edge_model, disk_lattice):
    """All counts of a disk: what the renderer put in, plus the background under it."""
    patterns, _ = stack(4, 0.03, 3.0, electrons=5000.0)
    table = DiskLocator(edge_model, disk_lattice)(patterns)
    reach = disk_lattice.radius + 2
    background = 0.02 * 5000 * (reach / disk_lattice.radius) ** 2
    np.testing.assert_allclose(table[..., 2], 5000 + background, rtol=0.02)


def test_half_window(edge_model, disk_lattice):
    """Two radii, less where the next disk would come in, but never less than 1.5."""
    locator = DiskLocator(edge_model, disk_lattice)
    assert locator.half_window == pytest.approx(disk_lattice.smallest_distance - 7.0)
    for radius, wanted in ((5.0, 10.0), (10.0, 15.0)):
        other = DiskLocator(edge_model, disk_lattice.replace(radius=radius))
        assert other.half_window == pytest.approx(wanted)
