"""Strain of the transistor scan: disks where the truth says, truth in the frame it states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import sqrtm

from pyxem_mlmaps import data
from pyxem_mlmaps.data import _finfet
from pyxem_mlmaps.data._device import device
from pyxem_mlmaps.mapping.disk_edges import edge_shifts
from pyxem_mlmaps.mapping.orientation import extract_intensities

SMALL = {"detector": (160, 160), "thickness": (42, 58), "bend": 0.08}


def scan(libraries, shape=(4, 6), **options):
    return data.finfet(shape, libraries=libraries, **{**SMALL, **options})


def centroids(pattern, positions, radius):
    """(n, 2) centres of mass in windows of twice the disk, (y, x) px."""
    y, x = np.indices(pattern.shape)
    centres = []
    for position in positions:
        window = np.hypot(y - position[0], x - position[1]) < 1.9 * radius
        weight = pattern * window
        centres.append(np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum())
    return np.array(centres)


def real_space(lattice, centres):
    """(2, 2) columns: the real-space cell vectors (x, y) of measured disks (y, x), px⁻¹."""
    design = np.column_stack([np.ones(len(lattice)), lattice.indices])
    fitted = np.linalg.lstsq(design, centres, rcond=None)[0]
    return np.linalg.inv(fitted[1:, ::-1])  # a_i · g_j = δ_ij


UNIFORM = {
    "tension along x": ([[0.02, 0.0], [0.0, 0.0]], (0.02, 0.0, 0.0, 0.0)),
    "tension along y": ([[0.0, 0.0], [0.0, 0.02]], (0.0, 0.02, 0.0, 0.0)),
    "shear": ([[0.0, 0.01], [0.01, 0.0]], (0.0, 0.0, 0.01, 0.0)),
    "rotation": (
        [[np.cos(0.01) - 1, -np.sin(0.01)], [np.sin(0.01), np.cos(0.01) - 1]],
        (0.0, 0.0, 0.0, np.degrees(0.01)),
    ),
}


@pytest.mark.parametrize("case", UNIFORM)
def test_each_component(plain, monkeypatch, case):
    """One component at a time, from where the disks lie: cell vectors in real space."""
    gradient, wanted = UNIFORM[case]

    def uniform(x, y, amorphous):
        parts = device(x, y, amorphous=False)
        return replace(parts, gradient=np.broadcast_to(np.array(gradient) / 0.01, (len(x), 2, 2)))

    monkeypatch.setattr(_finfet, "device", uniform)
    s = scan(plain, (), misfit=0.01, noise=False, background=0.0, edge=1.0)
    truth = data.ground_truth(s)
    measured = [truth.e_xx, truth.e_yy, truth.e_xy, truth.rotation]
    np.testing.assert_allclose(measured, wanted, atol=1e-12)
    lattice = truth.lattice
    centres = centroids(s.data.compute(), truth.positions, lattice.radius)
    # columns of F: what has become of unit vectors along kx and ky
    f = real_space(lattice, centres) @ np.linalg.inv(real_space(lattice, lattice.positions))
    np.testing.assert_allclose(f, np.eye(2) + gradient, atol=2e-5)


def test_tension_pulls_disks_inwards(plain, monkeypatch):
    """2 % longer in real space along x, 2 % closer on the detector along kx, not along ky."""

    def stretched(x, y, amorphous):
        gradient = np.array([[2.0, 0.0], [0.0, 0.0]])
        return replace(device(x, y, False), gradient=np.broadcast_to(gradient, (len(x), 2, 2)))

    monkeypatch.setattr(_finfet, "device", stretched)
    truth = data.ground_truth(scan(plain, (), misfit=0.01))
    away = truth.lattice.positions - truth.lattice.origin
    np.testing.assert_allclose(
        truth.positions - truth.lattice.origin, away / np.array([1, 1.02]), atol=1e-9
    )


@pytest.mark.parametrize("rotation", [0.0, 33.0])
def test_disks_lie_where_the_truth_says(plain, rotation):
    """Strain, shear, rotation and descan together, at every point of a scan."""
    s = scan(plain, noise=False, background=0.0, edge=1.0, descan=2.0, amorphous=False,
             rotation=rotation)  # fmt: skip
    truth, patterns = data.ground_truth(s), s.data.compute()
    assert np.ptp(truth.positions, axis=(0, 1)).max() > 3
    for index in np.ndindex(truth.e_xx.shape):
        found = centroids(patterns[index], truth.positions[index], truth.lattice.radius)
        np.testing.assert_allclose(found, truth.positions[index], atol=2e-3)


def test_edges_lie_there_under_dynamical_contrast(libraries):
    """The edge of a disk does not depend on what is inside it."""
    s = scan(libraries, (), noise=False, background=0.0, detector=(256, 256))
    truth, pattern = data.ground_truth(s), s.data.compute()
    bright = np.argsort(-extract_intensities(s, truth.lattice, show_progressbar=False))[:9]
    shifts, growth, _ = edge_shifts(
        pattern.astype(float), truth.positions[bright], truth.lattice.radius, reach=4, width=0.6
    )
    assert np.abs(shifts).max() < 0.1 and np.abs(growth).max() < 0.2


def test_strain_is_the_left_stretch(libraries):
    """ε = √(F Fᵀ) − I with F = I + misfit ∇u, turned into detector axes."""
    rotation = 20.0
    truth = data.ground_truth(
        scan(libraries, (3, 5), amorphous=False, misfit=0.02, rotation=rotation)
    )
    v, u = np.meshgrid((np.arange(3) + 0.5) / 3, (np.arange(5) + 0.5) / 5, indexing="ij")
    gradient = device(1.5 * u.ravel(), 0.9 * v.ravel()).gradient.reshape(3, 5, 2, 2)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[c, -s], [s, c]])
    for index in np.ndindex(3, 5):
        f = turn @ (np.eye(2) + 0.02 * gradient[index]) @ turn.T
        stretch = sqrtm(f @ f.T)
        r = np.linalg.inv(stretch) @ f
        wanted = [stretch[0, 0] - 1, stretch[1, 1] - 1, stretch[0, 1]]
        found = [truth.e_xx[index], truth.e_yy[index], truth.e_xy[index]]
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        assert truth.rotation[index] == pytest.approx(np.degrees(np.arctan2(r[1, 0], r[0, 0])))
        np.testing.assert_allclose(truth.deformation[index], f, atol=1e-12)


def test_pyxem_reads_the_same_strain(libraries):
    """pyxem, vectors (ky, kx): e11 = e_yy, e22 = e_xx, e12 = −e_xy, theta = −rotation."""
    from pyxem.generators.displacement_gradient_tensor_generator import (
        get_single_DisplacementGradientTensor,
    )
    from pyxem.signals.tensor_field import DisplacementGradientMap

    truth = data.ground_truth(scan(libraries, (4, 6), amorphous=False))
    origin = np.array(truth.lattice.origin)
    tensors = np.array([
        get_single_DisplacementGradientTensor(p - origin, truth.lattice.positions - origin)
        for p in truth.positions.reshape(24, -1, 2)
    ])  # fmt: skip
    e11, e22, e12, theta = (
        DisplacementGradientMap(tensors.reshape(4, 6, 3, 3)).get_strain_maps().data
    )
    second_order = 2e-4
    np.testing.assert_allclose(e11, truth.e_yy, atol=second_order)
    np.testing.assert_allclose(e22, truth.e_xx, atol=second_order)
    np.testing.assert_allclose(e12, -truth.e_xy, atol=second_order)
    np.testing.assert_allclose(theta, -np.radians(truth.rotation), atol=1e-9)
    assert np.abs(truth.e_xy).max() > 10 * second_order
