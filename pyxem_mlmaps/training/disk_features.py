"""What the disk networks see of an image: a coarse picture, and strips round the disk's edge.

Every picture is taken in units of the disk's radius or of the strip's half width, so that one
network serves all radii. A strip is (angle, distance from the edge): angle 0 points along +x,
growing towards +y; distances are negative inside. Kernels: arrays in, arrays out.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ANGLES",
    "COARSE_INPUTS",
    "COARSE_REACH",
    "FINE_HALF",
    "NEAR",
    "STRIP_INPUTS",
    "coarse_features",
    "directions",
    "strip_features",
    "strip_half_width",
]

GRID = 24
"""Cells of the coarse picture on each axis."""
COARSE_REACH = 1.75
"""Half width of the coarse picture in disk radii."""
COARSE_INPUTS = 2 * GRID * GRID + 2
ANGLES = 32
"""Segments round the edge."""
NEAR = 17
"""Distances at which the edge itself is sampled, evenly over ± the half width."""
FAR_IN = 4
FAR_OUT = 2
RADIAL = NEAR + FAR_IN + FAR_OUT
STRIP_INPUTS = 2 * RADIAL + 2 + 4 + 2
SHARE = 2 * RADIAL + 1
"""Which feature of a segment is the share of its samples on the detector."""
FAST = {"contract", "arcp", "nsz", "reassoc"}
"""What the compiler may do to sums; not-a-number keeps its meaning."""
FINE_HALF = 4.0
"""Half width in px of the strip of the last pass, for radii of 8 px and more."""


def _sines() -> NDArray[np.float64]:
    """(MOST, ANGLES * MOST, 2): sine and cosine of the rays for 1 to MOST rays in a segment."""
    table = np.zeros((MOST, ANGLES * MOST, 2))
    for n in range(1, MOST + 1):
        angle = (np.arange(ANGLES * n) + 0.5) * 2 * np.pi / (ANGLES * n)
        table[n - 1, : ANGLES * n] = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return table


MOST = 12
"""Rays along the arc of a segment at most."""
SINES = _sines()
SMOOTH = np.exp(-0.5 * np.arange(-2, 3) ** 2 / 1.44)
SMOOTH /= SMOOTH.sum()
"""Weights of the segments beside one for the level just inside its edge."""


def directions() -> NDArray[np.float64]:
    """(ANGLES, 3): what a shift (y, x) and a growth of the radius do to the edge's distance."""
    angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
    return np.stack([np.sin(angle), np.cos(angle), np.ones(ANGLES)], axis=1)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def strip_half_width(radius, stage):  # pragma: no cover - compiled
    """Half width in px of the strip: a third of the radius at first, then a few pixels."""
    if stage == 0:
        return 0.32 * radius
    return min(FINE_HALF, 0.5 * radius)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def _bilinear(image, y, x, within, y0, y1, x0, x1):  # pragma: no cover - compiled
    """Value at (y, x), clamped to the rows y0..y1 and columns x0..x1 unless it is ``within``."""
    if not within:
        y = min(max(y, y0), y1 - 1e-3)
        x = min(max(x, x0), x1 - 1e-3)
    whole_y = int(y)
    whole_x = int(x)
    a = y - whole_y
    b = x - whole_x
    i = np.uintp(whole_y)  # unsigned: an index that cannot be negative needs no check
    j = np.uintp(whole_x)
    i2 = i + np.uintp(1)
    j2 = j + np.uintp(1)
    upper = image[i, j] + b * (image[i, j2] - image[i, j])
    lower = image[i2, j] + b * (image[i2, j2] - image[i2, j])
    return upper + a * (lower - upper)


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _squeeze(value):  # pragma: no cover - compiled
    """Linear round 0, at most ± 6: one bright pixel does not swamp the network."""
    return value / (1.0 + abs(value) * (1.0 / 6.0))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def _noise(image, y, x, low, high, y0, y1, x0, x1):  # pragma: no cover - compiled
    """Standard deviation of a pixel's noise at distances low..high from (y, x).

    From 2 x 2 checkerboards (+ - / - +), which see neither level nor slope.
    """
    summed = 0.0
    count = 0
    step = max(1, int(high / 12.0))
    low2, high2 = low * low, high * high
    for i in range(max(int(y - high), y0), min(int(y + high), y1 - 1) + 1, step):
        for j in range(max(int(x - high), x0), min(int(x + high), x1 - 1) + 1, step):
            r2 = (i + 0.5 - y) ** 2 + (j + 0.5 - x) ** 2
            if r2 < low2 or r2 > high2:
                continue
            d = image[i, j] - image[i, j + 1] - image[i + 1, j] + image[i + 1, j + 1]
            summed += d * d
            count += 1
    if count == 0:
        return 0.0
    return math.sqrt(summed / (4.0 * count))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def coarse_features(image, y, x, radius, y0, y1, x0, x1, out):  # pragma: no cover - compiled
    """Fill ``out`` (COARSE_INPUTS,) with the surroundings of (y, x) out to 1.75 radii.

    Cell means in units of the picture's mean, a mask of the cells that lie within rows y0..y1
    and columns x0..x1, the noise and the radius. Returns whether every pixel was finite.
    """
    cell = 2 * COARSE_REACH * radius / GRID
    n = max(1, int(math.ceil(cell)))
    total = 0.0
    count = 0
    for i in range(GRID):
        for j in range(GRID):
            summed = 0.0
            inside = 0
            for a in range(n):
                py = y + (i - GRID / 2 + (a + 0.5) / n) * cell
                for b in range(n):
                    px = x + (j - GRID / 2 + (b + 0.5) / n) * cell
                    if py < y0 - 0.5 or py > y1 + 0.5 or px < x0 - 0.5 or px > x1 + 0.5:
                        continue
                    if n > 1:
                        row = min(max(int(py + 0.5), y0), y1)
                        column = min(max(int(px + 0.5), x0), x1)
                        summed += image[row, column]
                    else:
                        summed += _bilinear(image, py, px, False, y0, y1, x0, x1)
                    inside += 1
            if 2 * inside > n * n:
                out[i * GRID + j] = summed / inside
                out[GRID * GRID + i * GRID + j] = 1.0
                total += summed / inside
                count += 1
            else:
                out[i * GRID + j] = 0.0
                out[GRID * GRID + i * GRID + j] = 0.0
    if not math.isfinite(total):
        return False
    level = total / max(count, 1)
    noise = _noise(image, y, x, 0.0, COARSE_REACH * radius, y0, y1, x0, x1)
    scale = max(abs(level), 0.02 * noise, 1e-30)
    for k in range(GRID * GRID):
        if out[GRID * GRID + k] > 0:
            out[k] = _squeeze(out[k] / scale)
    out[2 * GRID * GRID] = math.log(min(noise / scale, 50.0) + 1e-4)
    out[2 * GRID * GRID + 1] = math.log(radius / 15.0)
    return True


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def strip_features(
    image, y, x, radius, edge, half, y0, y1, x0, x1, out
):  # pragma: no cover - compiled
    """Fill ``out`` (ANGLES, STRIP_INPUTS) with the strip round the edge of a disk at (y, x).

    For each segment: means along its arc at NEAR distances over ± ``half`` px, then of the disk
    further in and of the surroundings, once in units of the disk's mean and once of the level
    just inside the edge there; that level; the share of samples on the detector; and, the same
    for all segments, noise inside and outside, the radius, the strip's half width, and whether
    ``edge`` (standard deviation of the edge's blur, px; 0: not known) and radius are exact.
    Returns the disk's mean level per pixel.
    """
    arc = 2 * math.pi * radius / ANGLES
    n_arc = min(max(1, int(math.ceil(arc))), MOST)
    n_far = min(n_arc, 4)
    raw = np.zeros((ANGLES, RADIAL))
    n_near = max(1, int(math.ceil(half / 8.0)))
    step = 2.0 * half / ((NEAR - 1) * n_near)
    core = max(0.15 * radius, radius - half - 0.7 * radius)
    ring = (radius - half - core) / FAR_IN
    rim = 0.35 * radius / FAR_OUT
    reach = radius + half + FAR_OUT * rim + 1.0
    within = y - reach > y0 and y + reach < y1 and x - reach > x0 and x + reach < x1
    n_in = min(max(1, int(math.ceil(ring))), 4)
    n_out = min(max(1, int(math.ceil(rim))), 4)
    for k in range(ANGLES):
        seen = 0
        for a in range(n_arc):
            sy = SINES[n_arc - 1, k * n_arc + a, 0]
            sx = SINES[n_arc - 1, k * n_arc + a, 1]
            for m in range(NEAR):
                value = 0.0
                for b in range(n_near):
                    r = radius - half + step * (m * n_near + b - 0.5 * (n_near - 1))
                    py = y + r * sy
                    px = x + r * sx
                    if within or (py >= y0 and py <= y1 and px >= x0 and px <= x1):
                        seen += 1
                    value += _bilinear(image, py, px, within, y0, y1, x0, x1)
                raw[k, m] += value / n_near
        out[k, SHARE] = seen / (n_arc * n_near * NEAR)
        for a in range(n_far):
            sy = SINES[n_far - 1, k * n_far + a, 0]
            sx = SINES[n_far - 1, k * n_far + a, 1]
            for m in range(FAR_IN + FAR_OUT):
                if m < FAR_IN:
                    low = radius - half - ring * (m + 1)
                    width, n_deep = ring, n_in
                else:
                    low = radius + half + rim * (m - FAR_IN)
                    width, n_deep = rim, n_out
                value = 0.0
                for b in range(n_deep):
                    r = low + width * (b + 0.5) / n_deep
                    value += _bilinear(image, y + r * sy, x + r * sx, within, y0, y1, x0, x1)
                raw[k, NEAR + m] += value / (n_far * n_deep)
        for m in range(NEAR):
            raw[k, m] /= n_arc
    level = 0.0
    for k in range(ANGLES):
        for m in range(FAR_IN):
            level += raw[k, NEAR + m]
        for m in range(NEAR // 2):
            level += raw[k, m]
    level /= ANGLES * (FAR_IN + NEAR // 2)
    inside = _noise(image, y, x, 0.0, 0.8 * radius, y0, y1, x0, x1)
    outside = _noise(image, y, x, 1.15 * radius, 1.6 * radius + 2.0, y0, y1, x0, x1)
    scale = max(level, 0.02 * inside, 1e-30)
    per_level = 1 / scale
    near = np.empty(ANGLES)
    for k in range(ANGLES):
        near[k] = raw[k, NEAR]
        for m in range(NEAR // 2 - 1):
            near[k] += raw[k, m]
        near[k] /= NEAR // 2
    log_in = math.log(min(inside / scale, 50.0) + 1e-4)
    log_out = math.log(min(outside / scale, 50.0) + 1e-4)
    log_radius = math.log(radius / 15.0)
    log_half = math.log(half / radius)
    for k in range(ANGLES):
        local = 0.0
        for d in range(-2, 3):
            local += SMOOTH[d + 2] * near[(k + d) % ANGLES]
        local = max(local, 0.0) / scale
        floor = local + 0.03
        per_floor = 1 / floor
        for m in range(RADIAL):
            value = raw[k, m] * per_level
            out[k, m] = _squeeze(value)
            out[k, RADIAL + m] = _squeeze(value * per_floor)
        out[k, 2 * RADIAL] = math.log(min(floor, 50.0))
        out[k, 2 * RADIAL + 2] = log_in
        out[k, 2 * RADIAL + 3] = log_out
        out[k, 2 * RADIAL + 4] = log_radius
        out[k, 2 * RADIAL + 5] = log_half
        out[k, 2 * RADIAL + 6] = 1.0 if edge > 0 else 0.0
        out[k, 2 * RADIAL + 7] = math.log(edge / 0.7) if edge > 0 else 0.0
    return level
