"""Descan is found by correlation, and a lattice is found in spite of it."""

from __future__ import annotations

import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps.mapping.moving_lattice import find_moving_lattice, pattern_shifts

SHAPE = (160, 176)


def scan_of(disk_pattern, lattice, shifts, seed=0, vacuum=()):
    """A line of patterns, direct beam brightest, a fifth of the other disks missing each time."""
    rng = np.random.default_rng(seed)
    patterns = []
    for n, shift in enumerate(shifts):
        present = (rng.random(len(lattice)) < 0.8) & (n not in vacuum)
        present[0] = True
        pattern, _ = disk_pattern(lattice, SHAPE, shift=shift, present=present)
        direct, _ = disk_pattern(lattice, SHAPE, shift=shift, present=np.arange(len(lattice)) == 0)
        patterns.append(rng.poisson(pattern + 2 * direct))
    return ElectronDiffraction2D(np.array(patterns))


def test_shifts(disk_pattern, disk_lattice):
    """To a pixel, vacuum or crystal, beyond half the distance of two disks."""
    shifts = np.random.default_rng(1).uniform(-14, 14, (16, 2))
    s = scan_of(disk_pattern, disk_lattice, shifts, vacuum=(3, 4, 11))
    found = pattern_shifts(s.data.astype(float))
    differences = found - shifts
    assert np.abs(differences - np.median(differences, axis=0)).max() <= 1.2


def test_one_pattern_or_blank_ones():
    np.testing.assert_array_equal(pattern_shifts(np.ones((1, 20, 24))), 0)
    assert np.ptp(pattern_shifts(np.zeros((3, 20, 24))), axis=0).max() == 0


@pytest.mark.parametrize("descan", [2.0, 6.0, 15.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_lattice_of_a_moving_pattern(disk_pattern, disk_lattice, descan, lazy):
    """Radius, vectors and origin, where the mean pattern alone gives a wrong radius or nothing."""
    shifts = np.random.default_rng(2).uniform(-descan, descan, (24, 2))
    s = scan_of(disk_pattern, disk_lattice, shifts)
    blurred = s.data.mean(axis=0)
    try:
        assert abs(DiskLattice.from_signal(blurred).radius - disk_lattice.radius) > 0.5
    except ValueError:
        pass
    lattice = find_moving_lattice(s.as_lazy() if lazy else s)
    assert abs(lattice.radius - disk_lattice.radius) < 0.3
    assert (
        np.abs(np.array(lattice.origin) - disk_lattice.origin - np.median(shifts, axis=0)).max() < 1
    )
    steps = lattice.basis @ np.linalg.inv(disk_lattice.basis)
    np.testing.assert_allclose(steps, np.round(steps), atol=0.01)
    assert abs(round(np.linalg.det(steps))) == 1


def test_a_still_pattern_is_left_to_from_signal(disk_pattern, disk_lattice):
    s = scan_of(disk_pattern, disk_lattice, np.zeros((6, 2)))
    assert find_moving_lattice(s) == DiskLattice.from_signal(s)
    assert find_moving_lattice(s.inav[0]) == DiskLattice.from_signal(s.inav[0])


def test_calibration_is_used(disk_pattern, disk_lattice):
    """The radius follows from the microscope's settings, as without descan."""
    s = scan_of(disk_pattern, disk_lattice, np.random.default_rng(2).uniform(-6, 6, (12, 2)))
    for axis in s.axes_manager.signal_axes:
        axis.scale, axis.units = 0.02, "1/Å"
    s.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    k0 = 1 / 0.0196875
    s.metadata.set_item(
        "Acquisition_instrument.TEM.convergence_angle", 1e3 * 0.02 * disk_lattice.radius / k0
    )
    assert find_moving_lattice(s).radius == pytest.approx(disk_lattice.radius, rel=1e-4)


def test_a_brighter_disk_is_no_descan():
    """Patterns that stand still while a diffracted disk outshines the direct beam in some."""
    y, x = np.indices((96, 96))
    lattice = [(48 + 24 * i, 48 + 24 * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    patterns = np.zeros((20, 96, 96))
    for n, pattern in enumerate(patterns):
        for k, (cy, cx) in enumerate(lattice):
            level = 100.0 if k == (4 if n % 4 else 5) else 2.0
            pattern += level * (np.hypot(y - cy, x - cx) < 7)
    shifts = pattern_shifts(patterns)
    assert np.all(shifts - np.median(shifts, axis=0) == 0)
