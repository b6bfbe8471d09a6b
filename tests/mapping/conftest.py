"""A classical disk model with the interface of ``DiskModel``, and patterns of known lattices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import erfc

from pyxem_mlmaps import DiskLattice
from pyxem_mlmaps.mapping.disk_edges import edge_shifts


class Prediction(NamedTuple):
    y: np.ndarray
    x: np.ndarray
    sigma_y: np.ndarray
    sigma_x: np.ndarray
    misfit: np.ndarray
    presence: np.ndarray


class EdgeModel:
    """Where a disk stands out most within half a radius, refined on its edge.

    Like the network it is blind beyond its window and half a radius, and answers for every disk.
    """

    radius_range = (4.0, 60.0)

    def __init__(self):
        self.calls, self.places = [], []

    def locate(self, patterns, pattern_of, centres, radius, half_window, g_vectors=None):
        assert patterns.dtype == np.float32 and patterns.dtype.isnative
        assert np.isfinite(patterns).all()
        self.calls.append(len(centres))
        self.places.append(g_vectors)
        answers = np.empty((6, len(centres)))
        for pattern in np.unique(pattern_of):
            mine = pattern_of == pattern
            answers[:, mine] = self._one(
                patterns[pattern].astype(float), centres[mine], radius, half_window
            )
        return Prediction(*answers)

    def _one(self, pattern, centres, radius, half_window):
        reach = int(radius / 2)
        step = max(1, reach // 2)
        grid = np.mgrid[-reach : reach + 1 : step, -reach : reach + 1 : step].reshape(2, -1).T
        grid = grid[np.hypot(*grid.T) <= 0.5 * radius]
        half = int(min(half_window, radius + 2.5))
        box = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1).T
        inside = np.hypot(*box.T) <= radius - 0.5
        ring = (np.hypot(*box.T) > radius + 0.5) & (np.hypot(*box.T) <= radius + 2.5)
        start = np.round(centres).astype(int)
        places = start[:, None, None] + grid[:, None] + box  # (disk, candidate, pixel, 2)
        limits = np.array(pattern.shape) - 1
        seen = np.all((places >= 0) & (places <= limits), axis=-1)
        places = np.clip(places, 0, limits)
        values = pattern[places[..., 0], places[..., 1]]
        disk, out = seen & inside, seen & ring
        high = (values * disk).sum(-1) / disk.sum(-1)
        low = (values * out).sum(-1) / np.maximum(out.sum(-1), 1)
        best = np.argmax(high - low, axis=1)
        n = np.arange(len(start))
        noise = np.sqrt(np.maximum(low[n, best], 1e-3) / out[n, best].sum(-1))
        presence = ((high - low)[n, best] > 8 * noise).astype(float)
        positions = start + grid[best].astype(float)
        for _ in range(4):
            shifts, _, sigma = edge_shifts(
                pattern, positions, radius, max(2.0, half_window - radius), 0.8
            )
            shifts[~np.isfinite(sigma)] = 0
            positions = positions + np.clip(shifts, -1, 1)
        gone = np.hypot(*(positions - centres).T) > 0.6 * radius
        presence[gone] = 0
        sigma = np.where(np.isfinite(sigma), np.maximum(sigma, 0.01), np.nan)
        return [*positions.T, sigma, sigma, np.full(len(n), 0.5), presence]


@pytest.fixture(scope="session")
def new_edge_model():
    return EdgeModel


@pytest.fixture
def edge_model():
    return EdgeModel()


def render(lattice, shape, deformation=None, shift=(0.0, 0.0), electrons=2000.0, present=None):
    """(ky, kx) expected counts: uniform disks with a blurred edge on a flat background."""
    points = lattice.indices @ lattice.basis
    gradient = np.zeros((2, 2)) if deformation is None else np.asarray(deformation)
    positions = np.asarray(lattice.origin) + shift + points @ (np.eye(2) + gradient)
    y, x = np.indices(shape)
    height = electrons / (np.pi * lattice.radius**2)
    pattern = np.full(shape, 0.02 * height)
    present = np.ones(len(lattice), dtype=bool) if present is None else present
    for (cy, cx), there in zip(positions, present, strict=True):
        if there:
            pattern += height * 0.5 * erfc((np.hypot(y - cy, x - cx) - lattice.radius) / 1.1)
    return pattern, positions


@pytest.fixture(scope="session")
def disk_pattern():
    return render


@pytest.fixture(scope="session")
def disk_lattice():
    """37 disks of 7 px on 160 x 176 px, as a zone axis gives them."""
    g1, g2 = np.array([3.0, 21.0]), np.array([19.0, -8.0])
    indices = np.array([(i, j) for i in range(-5, 6) for j in range(-5, 6)])
    order = np.argsort(np.hypot(*(indices @ np.stack([g1, g2])).T), kind="stable")
    return DiskLattice((79.3, 88.6), g1, g2, indices[order[:37]], 7.0)
