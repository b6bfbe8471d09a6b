"""Window sums: which pixels belong to a disk, and what a bad pixel does."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps.mapping.intensity import (
    MARGIN,
    Pixels,
    disk_intensities,
    disk_windows,
    find_shifts,
    pixel_intensities,
)

SHAPE = (80, 96)


@pytest.fixture
def lattice():
    return DiskLattice((40.2, 47.7), (0, 22), (20, 3), [(0, 0), (1, 0), (0, 1), (-1, 0)], 6.0)


def masks(windows, shape=SHAPE):
    """(n_disk, ky, kx) boolean images of the runs."""
    out = np.zeros((len(windows.area), *shape), dtype=bool)
    for disk in range(len(windows.area)):
        for run in range(windows.first[disk], windows.first[disk + 1]):
            out[disk, windows.row[run], windows.left[run] : windows.right[run]] = True
    return out


def sums(patterns, windows, shifts=None, saturation=np.inf):
    out = np.empty((len(patterns), len(windows.area)))
    if shifts is None:
        shifts = np.zeros((len(patterns), 2), dtype=np.int64)
    disk_intensities(patterns, shifts, *windows[:4], saturation, out)
    return out


class TestWindows:
    def test_margin_beyond_the_radius(self, lattice):
        disks, _ = disk_windows(lattice, SHAPE)
        y, x = np.indices(SHAPE)
        for mask, (cy, cx) in zip(masks(disks), lattice.positions, strict=True):
            np.testing.assert_array_equal(mask, np.hypot(y - cy, x - cx) <= 6.0 + MARGIN)
        np.testing.assert_array_equal(disks.area, masks(disks).sum(axis=(1, 2)))

    def test_never_shared(self, lattice):
        """Disks that nearly touch: windows end half way."""
        close = lattice.replace(radius=9.9)
        disks, _ = disk_windows(close, SHAPE)
        assert masks(disks).sum(axis=0).max() == 1

    def test_rings_lie_between_all_disks_of_the_lattice(self, lattice):
        """Also outside disks that are not used, such as (1, 1)."""
        disks, rings = disk_windows(lattice, SHAPE)
        ring = masks(rings).any(axis=0)
        assert not (ring & masks(disks).any(axis=0)).any()
        y, x = np.indices(SHAPE)
        unused = np.array(lattice.origin) + lattice.g1 + lattice.g2
        assert not (ring & (np.hypot(y - unused[0], x - unused[1]) <= 6.0 + MARGIN)).any()
        assert rings.area.min() > 20

    def test_disk_at_the_edge(self):
        lattice = DiskLattice((7.0, 7.0), (0, 40), (40, 0), [(0, 0)], 7.0)
        disks, _ = disk_windows(lattice, SHAPE)
        whole = np.pi * (7 + MARGIN) ** 2
        assert masks(disks)[0].sum() == disks.area[0] < 0.98 * whole


class TestSums:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
    def test_against_masks(self, lattice, dtype):
        patterns = np.random.default_rng(0).integers(0, 99, (3, *SHAPE)).astype(dtype)
        disks, _ = disk_windows(lattice, SHAPE)
        expected = np.einsum("nyx,dyx->nd", patterns.astype(float), masks(disks))
        np.testing.assert_allclose(sums(patterns, disks), expected)

    def test_not_contiguous(self, lattice):
        """A stored transpose is read in place."""
        patterns = np.random.default_rng(0).random((*SHAPE, 4)).transpose(2, 0, 1)
        disks, _ = disk_windows(lattice, SHAPE)
        np.testing.assert_allclose(sums(patterns, disks), sums(patterns.copy(), disks))

    def test_shifts_move_the_windows(self, lattice):
        pattern = np.random.default_rng(0).random((1, *SHAPE))
        moved = np.roll(pattern, (3, -2), axis=(1, 2))
        disks, _ = disk_windows(lattice, SHAPE)
        np.testing.assert_allclose(sums(moved, disks, np.array([[3, -2]])), sums(pattern, disks))

    def test_off_the_detector_is_nan(self, lattice):
        disks, _ = disk_windows(lattice, SHAPE)
        got = sums(np.ones((1, *SHAPE)), disks, np.array([[0, 40]]))
        assert np.isnan(got[0, 1]) and np.isfinite(got[0, 3])

    def test_one_bad_pixel_spoils_its_disk_only(self, lattice):
        pattern = np.ones((4, *SHAPE))
        y, x = np.round(lattice.positions[2]).astype(int)
        pattern[0, y, x], pattern[1, y, x], pattern[2, y, x] = np.nan, np.inf, 65535
        pattern[3, 0, 0] = np.nan  # between the disks
        disks, _ = disk_windows(lattice, SHAPE)
        got = sums(pattern, disks, saturation=65535)
        assert np.isnan(got[:3, 2]).all()
        assert np.isfinite(got[:, [0, 1, 3]]).all() and np.isfinite(got[3]).all()


class TestShifts:
    def disk(self, centre, inside=None):
        y, x = np.indices(SHAPE)
        distance = np.hypot(y - centre[0], x - centre[1])
        image = (distance <= 6) * 100.0 + 5
        return image if inside is None else np.where(distance <= 6, inside(y, x), image)

    @pytest.mark.parametrize("shift", [(0, 0), (4, -3), (-6, 6)])
    def test_found(self, shift):
        centre = np.array([40.0, 48.0])
        got = find_shifts(self.disk(centre + shift)[None], centre, 6.0, 6)
        np.testing.assert_array_equal(got, [shift])

    def test_contrast_inside_does_not_matter(self):
        """Half of the disk four times as bright: its edge tells."""
        centre = np.array([40.0, 48.0])
        image = self.disk(centre + (2, 3), lambda y, x: np.where(x > 51, 200.0, 50.0))
        np.testing.assert_array_equal(find_shifts(image[None], centre, 6.0, 6), [[2, 3]])

    def test_unsigned_counts(self):
        centre = np.array([40.0, 48.0])
        image = self.disk(centre + (-2, 1)).astype(np.uint8)
        np.testing.assert_array_equal(find_shifts(image[None], centre, 6.0, 6), [[-2, 1]])


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("saturation", [np.inf, 200])
def test_pixel_by_pixel_as_by_runs(lattice, dtype, saturation):
    """Disks and rings, shifted also off the detector, with pixels that are saturated or NaN."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 201, (40, *SHAPE)).astype(dtype)
    patterns[patterns == 200] = np.where(rng.random((patterns == 200).sum()) < 0.02, 200, 3)
    if dtype == "f8":
        patterns[rng.random(patterns.shape) < 1e-4] = np.nan
    shifts = rng.integers(-25, 26, (40, 2))
    for windows in disk_windows(lattice, SHAPE):
        expected = sums(patterns, windows, shifts, saturation)
        got = np.empty_like(expected)
        pixel_intensities(patterns, shifts, Pixels.of(windows, SHAPE), saturation, got)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert 0 < np.isnan(expected).sum() < expected.size
