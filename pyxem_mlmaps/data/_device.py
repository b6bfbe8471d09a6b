"""The device of :func:`pyxem_mlmaps.data.finfet`: alloy, strain, tilt and thickness by place.

Lengths are in units of 2/3 of the width of the scan; x runs along the channel, y downwards into
the substrate, (0, 0) is the upper left corner of the scan.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from pyxem_mlmaps.data._elasticity import misfit_gradient

__all__ = ["Device", "descan_shifts", "device", "lamella", "on_device", "unit_grid"]

Float = NDArray[np.floating]
Mask = NDArray[np.bool_]

WIDTH = 1.5  # of the scan
POCKETS = (0.36, 1.14)
CELL = (-2.25, -2.5, 6.0)
"""Left, top and side of the periodic square in which elasticity is solved, on GRID² points."""
GRID = 768
INTERFACE = 0.015
"""Standard deviation of the composition profile across an interface."""


@dataclass(frozen=True, eq=False)
class Device:
    """The device at n points.

    ``composition`` (n,) is 0 in silicon and 1 in the pockets; ``gradient`` (n, 2, 2) holds
    ∂u_i/∂x_j, (x, y), for a misfit of 1; the masks (n,) tell where a crystal is at all, and which
    points are channel and substrate far from the pockets.
    """

    composition: Float
    gradient: Float
    crystal: Mask
    channel: Mask
    reference: Mask


def device(x: Float, y: Float, amorphous: bool = True) -> Device:
    """The device at points (x, y), each (n,); ``amorphous=False`` is crystal everywhere."""
    composition, gradient = _fields()
    left, top, side = CELL
    at = np.stack([y - top, x - left]) * GRID / side - 0.5

    def sample(image: Float) -> Float:
        return map_coordinates(image, at, order=3, mode="nearest")

    crystal = ~_amorphous(x, y) if amorphous else np.ones(x.shape, dtype=bool)
    local = np.stack([sample(gradient[..., i, j]) for i in (0, 1) for j in (0, 1)], axis=-1)
    return Device(
        composition=np.clip(sample(composition), 0, 1),
        gradient=local.reshape(*x.shape, 2, 2) + _bow(x, y),
        crystal=crystal,
        channel=crystal & (np.abs(x - WIDTH / 2) < 0.1) & (y > 0.16) & (y < 0.42),
        reference=crystal & (y > 0.85),
    )


def unit_grid(scan: tuple[int, ...]) -> tuple[Float, Float]:
    """(n_point,) positions in the scan, 0 to 1 along its columns and along its rows."""
    rows, columns = (1,) * (2 - len(scan)) + scan
    v, u = np.meshgrid(
        (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij"
    )
    return u.ravel(), v.ravel()


def on_device(u: Float, v: Float, scan: tuple[int, ...]) -> tuple[Float, Float]:
    """Device coordinates: the width of the scan is the device's, pixels are square."""
    if len(scan) == 2:
        return WIDTH * u, WIDTH * v * scan[0] / scan[1]
    return (WIDTH * u if scan else 0.24 * WIDTH * np.ones(1)), np.full(u.shape, 0.3)


def lamella(u: Float, v: Float, bend: float, thickness: tuple[float, float], seed: int) -> Float:
    """(n_point, 3) tilt x, tilt y (degrees, library axes) and thickness (nm)."""
    p = np.random.default_rng([seed, 11]).uniform(0, 2 * np.pi, 4)
    tilt_x = bend * (0.8 * np.sin(3.4 * u + 1.2 * v + p[0]) + 0.2 * np.sin(7 * v + p[1]))
    tilt_y = bend * (0.8 * np.sin(2.6 * v - 1.6 * u + p[2]) + 0.2 * np.sin(8 * u + p[3]))
    step = 0.5 + 0.5 * np.tanh((u + 0.3 * v - 0.75) / 0.06)
    curtains = 0.5 + 0.5 * np.cos(2 * np.pi * 4.3 * u + 1.5 * v)
    share = 0.35 * u + 0.35 * v + 0.18 * step + 0.12 * curtains
    return np.stack([tilt_x, tilt_y, thickness[0] + np.ptp(thickness) * share], axis=-1)


def descan_shifts(u: Float, v: Float) -> Float:
    """(n_point, 2) shifts (y, x) of length up to 1."""
    return np.stack([2 * u - 1, 1 - 2 * v], axis=-1) / np.sqrt(2)


@functools.lru_cache(maxsize=1)
def _fields() -> tuple[Float, Float]:
    """Composition and displacement gradient for a misfit of 1, on the periodic grid."""
    left, top, side = CELL
    centres = (np.arange(GRID) + 0.5) * side / GRID
    alloyed = _pockets(left + centres[None, :], top + centres[:, None]).astype(float)
    composition = gaussian_filter(alloyed, INTERFACE * GRID / side, mode="wrap")
    return composition, misfit_gradient(composition)


def _bow(x: Float, y: Float) -> Float:
    """Displacement gradient of lattice planes bowed by layers above that squeeze the channel.

    u = (X q, −X² q'/2) with q(y) = −A exp(−y/L) and X from the middle of the channel: strain q
    along x, −X² q''/2 along y, no shear, and a rotation of −X q'.
    """
    amplitude, depth = 0.25, 0.5
    away = x - WIDTH / 2
    q = -amplitude * np.exp(-y / depth)
    rows = [[q, -away * q / depth], [away * q / depth, -(away**2) * q / (2 * depth**2)]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _pockets(x: Float, y: Float) -> Mask:
    """Σ-shaped source and drain: {111} facets, 54.7° from (001), meet in tips at the channel."""
    slope = 1 / np.sqrt(2)  # dx/dy of a {111} plane seen along [110]
    top, tip, bottom, widest = 0.10, 0.25, 0.50, 0.27
    half = widest - slope * np.where(y < tip, tip - y, y - tip)
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for centre in POCKETS:
        inside |= (y > top) & (y < bottom) & (np.abs(x - centre) < half)
    return inside


def _amorphous(x: Float, y: Float) -> Mask:
    """Oxide along the top, and the gate that reaches down to the channel."""
    return (y < 0.06) | ((np.abs(x - WIDTH / 2) < 0.09) & (y < 0.13))
