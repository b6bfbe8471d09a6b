"""Coarse shifts of a whole lattice, and counts inside disks."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.disk_kernels import coarse_shifts, sum_disks


def shifts_of(patterns, lattice, reach, centres=None):
    found = np.zeros((len(patterns), 2), dtype=np.int64)
    centres = lattice.positions[:13] if centres is None else centres
    coarse_shifts(patterns.astype(np.float32), centres, lattice.radius, 3.0, reach, found)
    return found


@pytest.mark.parametrize("counts", [np.inf, 2000, 40])
def test_known_shifts(disk_pattern, disk_lattice, counts):
    """To a pixel without noise, to two with one electron per four pixels of a disk."""
    rng = np.random.default_rng(0)
    shifts = rng.uniform(-6, 6, (12, 2))
    patterns = np.array([disk_pattern(disk_lattice, (160, 176), shift=s)[0] for s in shifts])
    if np.isfinite(counts):
        patterns = rng.poisson(patterns * counts / 2000)
    found = shifts_of(patterns, disk_lattice, disk_lattice.smallest_distance / 2)
    assert np.abs(found - shifts).max() < (2.5 if counts == 40 else 1.1)


def test_contrast_inside_the_disks_does_not_pull(disk_pattern, disk_lattice):
    """Every disk lit on one side only, and more than tenfold: the edge still decides."""
    pattern, positions = disk_pattern(disk_lattice, (160, 176))
    y = np.indices((160, 176))[0][None]
    nearest = np.abs(y - positions[:, 0, None, None]).argmin(axis=0)
    ramp = 1 + 0.9 * (y[0] - positions[nearest, 0]) / disk_lattice.radius
    found = shifts_of(pattern[None] * np.clip(ramp, 0.05, None), disk_lattice, 10)
    assert np.hypot(*found[0]) < 0.5 * disk_lattice.radius


def test_blank_patterns_stay(disk_lattice):
    assert not shifts_of(np.zeros((2, 160, 176)), disk_lattice, 10).any()
    assert not shifts_of(np.full((2, 160, 176), 7.0), disk_lattice, 10).any()


def test_never_beyond_reach(disk_pattern, disk_lattice):
    pattern, _ = disk_pattern(disk_lattice, (160, 176), shift=(8, 5))
    for reach in (0, 2, 5.5):
        assert np.hypot(*shifts_of(pattern[None], disk_lattice, reach)[0]) <= reach


def test_direct_beam_alone(disk_pattern, disk_lattice):
    """One disk found a whole lattice spacing away: the others are absent."""
    present = np.arange(len(disk_lattice)) == 0
    pattern, _ = disk_pattern(disk_lattice, (160, 176), shift=(15, -12), present=present)
    origin = np.array([disk_lattice.origin])
    found = shifts_of(pattern[None], disk_lattice, disk_lattice.smallest_distance, origin)
    assert np.abs(found - [15, -12]).max() <= 1


def test_large_disks(disk_pattern, disk_lattice):
    """Of large disks a quarter of the rows is read; the answer is as good in radii."""
    large = disk_lattice.replace(
        origin=(300, 310), g1=4 * np.array(disk_lattice.g1), g2=4 * np.array(disk_lattice.g2),
        radius=28.0, indices=disk_lattice.indices[:13],
    )  # fmt: skip
    pattern, _ = disk_pattern(large, (600, 620), shift=(20, -25))
    assert np.abs(shifts_of(pattern[None], large, 41) - [20, -25]).max() <= 0.15 * 28


class TestSums:
    def sums(self, patterns, centres, radius, saturation=np.inf):
        out = np.empty(np.shape(centres)[:2])
        sum_disks(np.asarray(patterns, np.float32), np.asarray(centres), radius, saturation, out)
        return out

    def test_against_a_mask(self):
        rng = np.random.default_rng(0)
        patterns = rng.poisson(5, (3, 40, 50))
        centres = rng.uniform(8, 32, (3, 4, 2))
        y, x = np.indices((40, 50))
        expected = [
            [p[np.hypot(y - cy, x - cx) <= 6.3].sum() for cy, cx in c]
            for p, c in zip(patterns, centres, strict=True)
        ]
        np.testing.assert_array_equal(self.sums(patterns, centres, 6.3), expected)

    def test_edge_of_the_detector(self):
        """What lies outside is left out, far outside everything."""
        patterns = np.ones((1, 20, 30))
        centres = [[(-0.5, 10.0), (19.5, 29.5), (-50.0, 3.0), (5.0, 90.0)]]
        got = self.sums(patterns, centres, 4.0)[0]
        y, x = np.indices((20, 30))
        assert got[0] == np.sum(np.hypot(y + 0.5, x - 10) <= 4)
        assert got[1] == np.sum(np.hypot(y - 19.5, x - 29.5) <= 4)
        np.testing.assert_array_equal(got[2:], 0)

    def test_saturated_and_unknown(self):
        patterns = np.ones((1, 20, 20))
        patterns[0, 10, 10] = 255
        got = self.sums(patterns, [[(10.0, 10.0), (10.0, 3.0), (np.nan, 4.0)]], 3.0, 255)
        assert np.isnan(got[0, 0]) and np.isfinite(got[0, 1]) and np.isnan(got[0, 2])
