"""Training disks: one image of a disk with all that surrounds it, its edge exact. Kernels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "Draws", "render_disk"]

Float = NDArray[np.float64]

NEIGHBOURS = 6


class Draws(NamedTuple):
    """Everything drawn for n disks; arrays (n,) unless stated. Lengths in px.

    Attributes
    ----------
    radius, edge, halo_share, halo_width
        Edge: standard deviation of its blur; a share of the counts is blurred more widely.
    stretch, stretch_angle
        Relative ellipticity and the angle (x to y) of the longer axis.
    centre
        (n, 2) of the disk, from the centre pixel of the window.
    window
        Pixels on each side of the centre pixel.
    contrast
        (n, 1 + NEIGHBOURS) which map.
    crop
        (n, 1 + NEIGHBOURS, 2) where on the map, grid steps.
    grid
        (n, 2, 2) grid steps on the map for a pixel (y, x).
    level
        Mean counts per pixel of the disk; 0 for a blank window.
    neighbours
        (n, NEIGHBOURS, 3) centre (y, x) from the disk's and level; level 0: none.
    background
        (n, 5) flat level, slope (y, x) per px, height of a tail, its half width.
    tail_centre
        (n, 2) from the disk's centre.
    white
        Standard deviation of additive noise, counts.
    poisson
        Whether counts are Poisson distributed.
    smear
        Share of a pixel's counts that its four neighbours see, after the noise.
    dead
        Share of dead and hot pixels.
    seed
        Of the noise.
    """

    radius: Float
    edge: Float
    halo_share: Float
    halo_width: Float
    stretch: Float
    stretch_angle: Float
    centre: Float
    window: NDArray[np.int64]
    contrast: NDArray[np.int64]
    crop: Float
    grid: Float
    level: Float
    neighbours: Float
    background: Float
    tail_centre: Float
    white: Float
    poisson: NDArray[np.bool_]
    smear: Float
    dead: Float
    seed: NDArray[np.int64]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _value(maps, u, v):  # pragma: no cover - compiled
    """Bilinear value of a finely sampled map at grid coordinates (u, v)."""
    last = maps.shape[0] - 1.001
    u = min(max(u, 0.0), last)
    v = min(max(v, 0.0), last)
    i = int(u)
    j = int(v)
    a = u - i
    b = v - j
    return (1 - a) * ((1 - b) * maps[i, j] + b * maps[i, j + 1]) + a * (
        (1 - b) * maps[i + 1, j] + b * maps[i + 1, j + 1]
    )


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _poisson(mean):  # pragma: no cover - compiled
    """A Poisson number: by inversion where few are expected, else Gaussian with the skewness
    of Poisson's (Cornish and Fisher 1938)."""
    if mean > 20.0:
        z = np.random.normal()  # noqa: NPY002
        return np.round(mean + math.sqrt(mean) * z + (z * z - 1.0) / 6.0)
    left = np.random.random()  # noqa: NPY002
    term = math.exp(-mean)
    count = 0.0
    while left > term and count < 100.0:
        left -= term
        count += 1.0
        term *= mean / count
    return count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_disk(
    image, cy, cx, radius, edge, halo_share, halo_width, stretch, angle, grid, crop, maps, level
):  # fmt: skip  # pragma: no cover - compiled
    """Add a disk of ``level`` mean counts per pixel, contrast cropped around ``crop``."""
    height, width = image.shape
    blur = math.sqrt(2.0 * (edge * edge + 1.0 / 12.0))
    wide = math.sqrt(2.0 * (halo_width * halo_width + 1.0 / 12.0))
    reach = 3.0 * (halo_width if halo_share > 0 else edge) + 1.5
    outer = radius * (1 + abs(stretch)) + reach
    y0 = max(int(math.floor(cy - outer)), 0)
    y1 = min(int(math.ceil(cy + outer)) + 1, height)
    x0 = max(int(math.floor(cx - outer)), 0)
    x1 = min(int(math.ceil(cx + outer)) + 1, width)
    cos2 = math.cos(2 * angle)
    sin2 = math.sin(2 * angle)
    span = math.sqrt(grid[0, 0] ** 2 + grid[1, 0] ** 2)
    fine = 1 if span < 0.8 else 2
    # the mean of the crop: the level is the disk's mean whatever part of the map it shows
    mean = 0.0
    count = 0
    for a in range(-6, 7):
        for b in range(-6, 7):
            if a * a + b * b <= 40:
                dy = a / 6.3 * radius
                dx = b / 6.3 * radius
                mean += _value(
                    maps,
                    crop[0] + grid[0, 0] * dy + grid[0, 1] * dx,
                    crop[1] + grid[1, 0] * dy + grid[1, 1] * dx,
                )
                count += 1
    scale = level / max(mean / count, 1e-6)
    for y in range(y0, y1):
        for x in range(x0, x1):
            dy = y - cy
            dx = x - cx
            distance = math.sqrt(dy * dy + dx * dx)
            if distance > outer:
                continue
            turned = 1.0
            if stretch != 0.0 and distance > 0:
                cos_t = (dx * dx - dy * dy) / (distance * distance)
                sin_t = 2 * dx * dy / (distance * distance)
                turned = 1 + stretch * (cos_t * cos2 + sin_t * sin2)
            outside = distance - radius * turned
            if outside > reach:
                continue
            share = 1.0
            if outside > -reach:
                share = (1 - halo_share) * 0.5 * math.erfc(outside / blur)
                if halo_share > 0:
                    share += halo_share * 0.5 * math.erfc(outside / wide)
            value = 0.0
            for a in range(fine):
                for b in range(fine):
                    sy = dy + ((a + 0.5) / fine - 0.5)
                    sx = dx + ((b + 0.5) / fine - 0.5)
                    value += _value(
                        maps,
                        crop[0] + grid[0, 0] * sy + grid[0, 1] * sx,
                        crop[1] + grid[1, 0] * sy + grid[1, 1] * sx,
                    )
            image[y, x] += scale * share * value / (fine * fine)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def render_disk(draws, m, maps, size, image):  # pragma: no cover - compiled
    """Render disk ``m`` of ``draws`` into ``image``, float32 (size, size) with size = 2 window + 1.

    ``maps`` are those of a :class:`ContrastBank`.
    """
    half = draws.window[m]
    cy = half + draws.centre[m, 0]
    cx = half + draws.centre[m, 1]
    flat, slope_y, slope_x, tail, tail_width = draws.background[m]
    ty = cy + draws.tail_centre[m, 0]
    tx = cx + draws.tail_centre[m, 1]
    for y in range(size):
        for x in range(size):
            value = flat + slope_y * (y - cy) + slope_x * (x - cx)
            if tail > 0:
                r2 = (y - ty) ** 2 + (x - tx) ** 2
                value += tail / (1 + r2 / tail_width**2)
            image[y, x] = max(value, 0.0)
    for k in range(1 + NEIGHBOURS):
        level = draws.level[m] if k == 0 else draws.neighbours[m, k - 1, 2]
        if level <= 0:
            continue
        py = cy if k == 0 else cy + draws.neighbours[m, k - 1, 0]
        px = cx if k == 0 else cx + draws.neighbours[m, k - 1, 1]
        _add_disk(
            image, py, px, draws.radius[m], draws.edge[m], draws.halo_share[m],
            draws.halo_width[m], draws.stretch[m], draws.stretch_angle[m], draws.grid[m],
            draws.crop[m, k], maps[draws.contrast[m, k]], level,
        )  # fmt: skip
    np.random.seed(draws.seed[m])  # noqa: NPY002  (numba's own generator, one per thread)
    for y in range(size):
        for x in range(size):
            value = image[y, x]
            if draws.poisson[m]:
                value = _poisson(value)
            if draws.white[m] > 0:
                value += draws.white[m] * np.random.normal()  # noqa: NPY002
            image[y, x] = value
    smear = draws.smear[m]
    if smear > 0:
        _smear(image, size, smear)
    for _ in range(int(draws.dead[m] * size * size + np.random.random())):  # noqa: NPY002
        y = np.random.randint(size)  # noqa: NPY002
        x = np.random.randint(size)  # noqa: NPY002
        hot = np.random.random() < 0.5  # noqa: NPY002
        image[y, x] = image[y, x] * 5.0 + 3.0 * draws.level[m] if hot else 0.0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _smear(image, size, share):  # pragma: no cover - compiled
    """Counts that spill into the four neighbours: noise that is correlated between pixels."""
    before = image[:size, :size].copy()
    for y in range(size):
        for x in range(size):
            around = before[max(y - 1, 0), x] + before[min(y + 1, size - 1), x]
            around += before[y, max(x - 1, 0)] + before[y, min(x + 1, size - 1)]
            image[y, x] = (1 - share) * before[y, x] + share * around / 4
