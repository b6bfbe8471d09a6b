"""What the disk networks see of an image: a coarse picture, and strips round the disk's edge.

Every picture is taken in units of the disk's radius or of the strip's half width, so that one
network serves all radii. A strip is (angle, distance from the edge): angle 0 points along +x,
growing towards +y; distances are negative inside. What need not be fine is read from a binned
image, so that a large disk costs as much as a small one. Kernels: arrays in, arrays out.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._compiled import inner_kernel
from pyxem_mlmaps.training.disk_pixels import FAST, bilinear, binned_box, frame, pixel_noise

__all__ = [
    "ANGLES",
    "COARSE_INPUTS",
    "COARSE_REACH",
    "FINE_HALF",
    "NEAR",
    "STRIP_INPUTS",
    "coarse_features",
    "coarse_picture",
    "directions",
    "first_strip",
    "last_strip",
    "strip_features",
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
STRIP_INPUTS = 2 * RADIAL + 2 + 4 + 2 + 3
SHARE = 2 * RADIAL + 1
"""Which feature of a segment is the share of its samples on the detector."""
FIRST_HALF = 0.32
"""Half width of the first strip in radii."""
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
SINES = _sines().astype(np.float32)
SMOOTH = np.exp(-0.5 * np.arange(-2, 3) ** 2 / 1.44)
SMOOTH /= SMOOTH.sum()
"""Weights of the segments beside one for the level just inside its edge."""


def directions() -> NDArray[np.float64]:
    """(ANGLES, 3): what a shift (y, x) and a growth of the radius do to the edge's distance."""
    angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
    return np.stack([np.sin(angle), np.cos(angle), np.ones(ANGLES)], axis=1)


@inner_kernel(error_model="numpy")
def coarse_picture(rough, factor, y, x, radius, y0, y1, x0, x1, out):  # pragma: no cover - compiled
    """:func:`coarse_features` of a disk, from the pattern binned by ``factor``; other arguments
    in px of the pattern itself."""
    low_y, high_y = binned_box(y0, y1, rough.shape[0], factor)
    low_x, high_x = binned_box(x0, x1, rough.shape[1], factor)
    middle = 0.5 * (factor - 1)
    return coarse_features(
        rough, (y - middle) / factor, (x - middle) / factor, radius / factor,
        low_y, high_y, low_x, high_x, out,
    )  # fmt: skip


@inner_kernel(error_model="numpy")
def first_strip(rough, factor, y, x, radius, y0, y1, x0, x1, out):  # pragma: no cover - compiled
    """:func:`strip_features` over a third of the radius on each side of the edge, from the
    pattern binned by ``factor``. Returns the strip's half width, px."""
    low_y, high_y = binned_box(y0, y1, rough.shape[0], factor)
    low_x, high_x = binned_box(x0, x1, rough.shape[1], factor)
    middle = 0.5 * (factor - 1)
    half = FIRST_HALF * radius
    strip_features(
        rough, rough, 1, (y - middle) / factor, (x - middle) / factor, radius / factor, 0.0,
        np.nan, np.nan, half / factor, low_y, high_y, low_x, high_x, out,
    )  # fmt: skip
    return half


@inner_kernel(error_model="numpy")
def last_strip(
    image, rough, factor, y, x, radius, edge, g_y, g_x, y0, y1, x0, x1, out
):  # pragma: no cover - compiled
    """:func:`strip_features` over a few pixels. Returns the strip's half width, px."""
    half = min(FINE_HALF, 0.5 * radius)
    strip_features(image, rough, factor, y, x, radius, edge, g_y, g_x, half, y0, y1, x0, x1, out)
    return half


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _squeeze(value):  # pragma: no cover - compiled
    """Linear round 0, at most ± 6: one bright pixel does not swamp the network."""
    return value / (1.0 + abs(value) * (1.0 / 6.0))


@inner_kernel(error_model="numpy", fastmath=FAST)
def coarse_features(image, y, x, radius, y0, y1, x0, x1, out):  # pragma: no cover - compiled
    """Fill ``out`` (COARSE_INPUTS,) with the surroundings of (y, x) out to 1.75 radii.

    Cell means in units of the picture's mean, a mask of the cells that lie within rows y0..y1
    and columns x0..x1, the noise and the radius. Returns whether every pixel was finite.
    """
    cell = 2 * COARSE_REACH * radius / GRID
    n = max(1, int(math.ceil(cell)))
    pixels, corner, width, place, limits = frame(image, y, x, y0, y1, x0, x1)
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
                        dy, dx = np.float32(py - y), np.float32(px - x)
                        summed += bilinear(
                            pixels, corner, width, place[0] + dy, place[1] + dx, limits
                        )
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
    noise = pixel_noise(image, y, x, 0.0, COARSE_REACH * radius, y0, y1, x0, x1)
    scale = max(abs(level), 0.02 * noise, 1e-30)
    for k in range(GRID * GRID):
        if out[GRID * GRID + k] > 0:
            out[k] = _squeeze(out[k] / scale)
    out[2 * GRID * GRID] = math.log(min(noise / scale, 50.0) + 1e-4)
    out[2 * GRID * GRID + 1] = math.log(radius / 15.0)
    return True


@inner_kernel(error_model="numpy", fastmath=FAST)
def strip_features(
    image, rough, factor, y, x, radius, edge, g_y, g_x, half, y0, y1, x0, x1, out
):  # pragma: no cover - compiled
    """Fill ``out`` (ANGLES, STRIP_INPUTS) with the strip round the edge of a disk at (y, x).

    For each segment: means along its arc at NEAR distances over ± ``half`` px, then of the disk
    further in and of the surroundings, once in units of the disk's mean and once of the level
    just inside the edge there; that level; the share of samples on the detector; and, the same
    for all segments, noise inside and outside, the radius, the strip's half width, and whether
    ``edge`` (standard deviation of the edge's blur, px; 0: not known) and radius are exact.
    Last, whether the disk's place (``g_y``, ``g_x``) from the direct beam is known (else NaN), how
    far the segment points away from the direct beam, and the distance of it in radii: the
    excitation error, and with it the intensity, varies along g and hardly across it.

    ``rough`` is ``image`` binned by ``factor``; disk and surroundings are read from it.
    Returns the disk's mean level per pixel.
    """
    arc = 2 * math.pi * radius / ANGLES
    n_arc = min(max(1, int(math.ceil(arc))), MOST)
    n_far = min(max(1, int(math.ceil(arc / factor))), 4)
    raw = np.zeros((ANGLES, RADIAL))
    n_near = max(1, int(math.ceil(half / 8.0)))
    step = 2.0 * half / ((NEAR - 1) * n_near)
    core = max(0.15 * radius, radius - half - 0.7 * radius)
    ring = (radius - half - core) / FAR_IN
    rim = 0.35 * radius / FAR_OUT
    reach = radius + half + FAR_OUT * rim + 2.0 * factor
    within = y - reach > y0 and y + reach < y1 and x - reach > x0 and x + reach < x1
    n_in = min(max(1, int(math.ceil(ring / factor))), 4)
    n_out = min(max(1, int(math.ceil(rim / factor))), 4)
    _edge_means(image, y, x, radius, half, n_arc, n_near, step, within, y0, y1, x0, x1, raw, out)
    low_y, high_y = binned_box(y0, y1, rough.shape[0], factor)
    low_x, high_x = binned_box(x0, x1, rough.shape[1], factor)
    middle = 0.5 * (factor - 1)
    pixels, corner, width, place, limits = frame(
        rough, (y - middle) / factor, (x - middle) / factor, low_y, high_y, low_x, high_x
    )
    for m in range(FAR_IN + FAR_OUT):
        if m < FAR_IN:
            low, deep, n_deep = radius - half - ring * (m + 1), ring, n_in
        else:
            low, deep, n_deep = radius + half + rim * (m - FAR_IN), rim, n_out
        for b in range(n_deep):
            r = np.float32((low + deep * (b + 0.5) / n_deep) / factor)
            for k in range(ANGLES):
                value = np.float32(0.0)
                for a in range(n_far):
                    value += bilinear(
                        pixels, corner, width,
                        place[0] + r * SINES[n_far - 1, k * n_far + a, 0],
                        place[1] + r * SINES[n_far - 1, k * n_far + a, 1], limits,
                    )  # fmt: skip
                raw[k, NEAR + m] += value / (n_far * n_deep)
    inside = pixel_noise(image, y, x, 0.0, 0.8 * radius, y0, y1, x0, x1)
    outside = pixel_noise(image, y, x, 1.15 * radius, 1.6 * radius + 2.0, y0, y1, x0, x1)
    level = _scaled(raw, inside, outside, radius, half, edge, out)
    known = math.isfinite(g_y) and math.isfinite(g_x)
    length = math.sqrt(g_y * g_y + g_x * g_x) if known else 0.0
    for k in range(ANGLES):
        along = 0.0
        if length > 0.5 * radius:
            along = (g_y * SINES[0, k, 0] + g_x * SINES[0, k, 1]) / length
        out[k, 2 * RADIAL + 8] = 1.0 if known else 0.0
        out[k, 2 * RADIAL + 9] = along
        out[k, 2 * RADIAL + 10] = math.log((length + radius) / (4 * radius)) if known else 0.0
    return level


@inner_kernel(error_model="numpy", fastmath=FAST)
def _edge_means(
    image, y, x, radius, half, n_arc, n_near, step, within, y0, y1, x0, x1, raw, out
):  # pragma: no cover - compiled
    """Means along the arc of each segment at NEAR distances, and the share on the detector."""
    pixels, corner, width, place, limits = frame(image, y, x, y0, y1, x0, x1)
    total = NEAR * n_near
    values = np.empty(total, dtype=np.float32)
    first = np.float32(radius - half - 0.5 * step * (n_near - 1))
    step = np.float32(step)
    for k in range(ANGLES):
        seen = 0
        values[:] = 0
        for a in range(n_arc):
            sy = SINES[n_arc - 1, k * n_arc + a, 0]
            sx = SINES[n_arc - 1, k * n_arc + a, 1]
            for m in range(total):
                r = first + step * np.float32(m)
                values[m] += bilinear(
                    pixels, corner, width, place[0] + r * sy, place[1] + r * sx, limits
                )
            if not within:
                for m in range(total):
                    r = first + step * np.float32(m)
                    py = y + r * sy
                    px = x + r * sx
                    seen += py >= y0 and py <= y1 and px >= x0 and px <= x1
        out[k, SHARE] = 1.0 if within else seen / (n_arc * total)
        for m in range(NEAR):
            for b in range(n_near):
                raw[k, m] += values[m * n_near + b]
            raw[k, m] /= n_arc * n_near


@inner_kernel(error_model="numpy", fastmath=FAST)
def _scaled(raw, inside, outside, radius, half, edge, out):  # pragma: no cover - compiled
    """Write what the strip holds in units of the disk's level, which is returned."""
    level = 0.0
    for k in range(ANGLES):
        for m in range(FAR_IN):
            level += raw[k, NEAR + m]
        for m in range(NEAR // 2):
            level += raw[k, m]
    level /= ANGLES * (FAR_IN + NEAR // 2)
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
