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

from pyxem_mlmaps._compiled import inner_kernel
from pyxem_mlmaps.training.disk_circles import (
    ANGLES,
    COSINES,
    MOST,
    SINES,
    add_circle,
    frame,
)
from pyxem_mlmaps.training.disk_pixels import FAST, binned_box, pixel_noise

__all__ = [
    "COARSE_INPUTS",
    "COARSE_REACH",
    "FINE_HALF",
    "NEAR",
    "PICTURE",
    "SEEN",
    "STRIP_INPUTS",
    "coarse_features",
    "coarse_picture",
    "first_strip",
    "last_strip",
    "strip_features",
]

GRID = 24
"""Cells of the coarse picture on each axis."""
COARSE_REACH = 1.75
"""Half width of the coarse picture in disk radii."""
PICTURE, SEEN = slice(0, GRID * GRID), slice(GRID * GRID, 2 * GRID * GRID)
"""Which inputs of the coarse network are cells, and which tell whether a cell was seen."""
COARSE_INPUTS = 2 * GRID * GRID + 2
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
SMOOTH = np.exp(-0.5 * np.arange(-2, 3) ** 2 / 1.44)
SMOOTH /= SMOOTH.sum()
"""Weights of the segments beside one for the level just inside its edge."""


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
    return value / (np.float32(1.0) + abs(value) * np.float32(1.0 / 6.0))


@inner_kernel(error_model="numpy", fastmath=FAST)
def coarse_features(image, y, x, radius, y0, y1, x0, x1, out):  # pragma: no cover - compiled
    """Fill ``out`` (COARSE_INPUTS,) with the surroundings of (y, x) out to 1.75 radii.

    Cell means in units of the picture's mean, a mask of the cells that lie within rows y0..y1
    and columns x0..x1, the noise and the radius. Returns whether every pixel was finite.
    """
    cell = 2 * COARSE_REACH * radius / GRID
    n = max(1, int(math.ceil(cell)))  # samples of a cell along each axis
    width = image.shape[1]
    pixels = image.reshape(image.size)
    first, last = GRID * n, 0  # samples of a line that lie within the box
    columns = np.empty(GRID * n, dtype=np.int32)
    right = np.zeros(GRID * n, dtype=np.float32)  # bilinear weight of the next column
    seen = np.zeros(GRID, dtype=np.int32)
    for q in range(GRID * n):
        px = x + ((q + 0.5) / n - GRID / 2) * cell
        if px >= x0 - 0.5 and px <= x1 + 0.5:
            first, last = min(first, q), q + 1
            seen[q // n] += 1
            if n == 1:
                px = min(max(px, x0), x1 - 1e-3)
                right[q] = px - int(px)
            else:
                px = min(max(px + 0.5, x0), x1)
            columns[q] = int(px)
    total = 0.0
    count = 0
    line = np.empty(GRID * n, dtype=np.float32)
    for i in range(GRID):
        line[:] = 0
        rows = 0
        for a in range(n):
            py = y + (i - GRID / 2 + (a + 0.5) / n) * cell
            if py < y0 - 0.5 or py > y1 + 0.5:
                continue
            rows += 1
            if n > 1:
                start = np.uintp(int(min(max(py + 0.5, y0), y1)) * width)
                for q in range(first, last):
                    line[q] += pixels[start + np.uintp(columns[q])]
                continue
            py = min(max(py, y0), y1 - 1e-3)
            start = np.uintp(int(py) * width)
            down = np.float32(py - int(py))
            for q in range(first, last):
                at = start + np.uintp(columns[q])
                below = at + np.uintp(width)
                upper = pixels[at] + right[q] * (pixels[at + np.uintp(1)] - pixels[at])
                lower = pixels[below] + right[q] * (pixels[below + np.uintp(1)] - pixels[below])
                line[q] = upper + down * (lower - upper)
        for j in range(GRID):
            inside = rows * seen[j]
            value = np.float32(0)
            if 2 * inside > n * n:
                for q in range(j * n, (j + 1) * n):
                    value += line[q]
                value /= np.float32(inside)
                total += value
                count += 1
            out[i * GRID + j] = value
            out[GRID * GRID + i * GRID + j] = 1.0 if 2 * inside > n * n else 0.0
    if not math.isfinite(total):
        return False
    level = total / max(count, 1)
    noise = pixel_noise(image, y, x, 0.0, COARSE_REACH * radius, y0, y1, x0, x1)
    scale = max(abs(level), 0.02 * noise, 1e-30)
    per_scale = np.float32(1 / scale)
    for k in range(GRID * GRID):
        out[k] = _squeeze(out[k] * per_scale)
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
    inside = pixel_noise(image, y, x, 0.0, 0.8 * radius, y0, y1, x0, x1)
    outside = pixel_noise(image, y, x, 1.15 * radius, 1.6 * radius + 2.0, y0, y1, x0, x1)
    arc = 2 * math.pi * radius / ANGLES
    n_arc = min(max(1, int(math.ceil(arc))), MOST)
    n_far = min(max(1, int(math.ceil(arc / factor))), 4)
    raw = np.zeros((RADIAL, ANGLES), dtype=np.float32)
    n_near = max(1, int(math.ceil(half / 8.0)))
    core = max(0.15 * radius, radius - half - 0.7 * radius)
    ring = (radius - half - core) / FAR_IN
    rim = 0.35 * radius / FAR_OUT
    n_in = min(max(1, int(math.ceil(ring / factor))), 4)
    n_out = min(max(1, int(math.ceil(rim / factor))), 4)
    at = np.empty(MOST * ANGLES, dtype=np.int32)
    part = np.empty((2, MOST * ANGLES), dtype=np.float32)
    values = np.empty((4, MOST * ANGLES), dtype=np.float32)
    pixels, corner, width, place, limits = frame(image, y, x, y0, y1, x0, x1)
    for m in range(NEAR * n_near):
        r = np.float32(_near_radius(m, n_near, radius, half))
        add_circle(
            pixels, corner, width, place, limits, r, n_arc, at, part, values, raw[m // n_near]
        )
    raw[:NEAR] *= np.float32(1.0 / (n_arc * n_near))
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
            add_circle(
                pixels, corner, width, place, limits, r, n_far, at, part, values, raw[NEAR + m]
            )
        raw[NEAR + m] *= np.float32(1.0 / (n_far * n_deep))
    reach = radius + half + 0.01
    within = y - reach > y0 and y + reach < y1 and x - reach > x0 and x + reach < x1
    out[:, SHARE] = 1.0
    if not within:
        _share_seen(y, x, radius, half, n_arc, n_near, y0, y1, x0, x1, out)
    level = _scaled(raw, inside, outside, radius, half, edge, out)
    known = math.isfinite(g_y) and math.isfinite(g_x)
    length = math.sqrt(g_y * g_y + g_x * g_x) if known else 0.0
    for k in range(ANGLES):
        along = 0.0
        if length > 0.5 * radius:
            along = (g_y * SINES[0, k] + g_x * COSINES[0, k]) / length
        out[k, 2 * RADIAL + 8] = 1.0 if known else 0.0
        out[k, 2 * RADIAL + 9] = along
        out[k, 2 * RADIAL + 10] = math.log((length + radius) / (4 * radius)) if known else 0.0
    return level


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _near_radius(m, n_near, radius, half):  # pragma: no cover - compiled
    """px of sample m of the NEAR * n_near over the strip."""
    step = 2.0 * half / ((NEAR - 1) * n_near)
    return radius - half + step * (m - 0.5 * (n_near - 1))


@inner_kernel(error_model="numpy", fastmath=FAST)
def _share_seen(
    y, x, radius, half, n_arc, n_near, y0, y1, x0, x1, out
):  # pragma: no cover - compiled
    """The share of each segment's samples near the edge that lie within the box."""
    seen = np.zeros(ANGLES, dtype=np.float32)
    up, down = np.float32(y0 - y), np.float32(y1 - y)
    left, right = np.float32(x0 - x), np.float32(x1 - x)
    for m in range(NEAR * n_near):
        r = np.float32(_near_radius(m, n_near, radius, half))
        for a in range(n_arc):
            for k in range(ANGLES):
                py = r * SINES[n_arc - 1, a * ANGLES + k]
                px = r * COSINES[n_arc - 1, a * ANGLES + k]
                within = (py >= up) & (py <= down) & (px >= left) & (px <= right)
                seen[k] += np.float32(1) if within else np.float32(0)
    for k in range(ANGLES):
        out[k, SHARE] = seen[k] / np.float32(n_arc * NEAR * n_near)


@inner_kernel(error_model="numpy", fastmath=FAST)
def _scaled(raw, inside, outside, radius, half, edge, out):  # pragma: no cover - compiled
    """Write what the strip holds in units of the disk's level, which is returned."""
    near = np.zeros(ANGLES)  # just inside the edge, but not what the edge may have reached
    for k in range(ANGLES):
        for m in range(NEAR // 2 - 1):
            near[k] += raw[m, k]
        near[k] += raw[NEAR, k]
    level = near.sum()
    for k in range(ANGLES):
        level += raw[NEAR // 2 - 1, k]
        for m in range(NEAR + 1, NEAR + FAR_IN):
            level += raw[m, k]
    level /= ANGLES * (FAR_IN + NEAR // 2)
    scale = max(level, 0.02 * inside, 1e-30)
    per_level = np.float32(1 / scale)
    log_in = math.log(min(inside / scale, 50.0) + 1e-4)
    log_out = math.log(min(outside / scale, 50.0) + 1e-4)
    log_radius = math.log(radius / 15.0)
    log_half = math.log(half / radius)
    per_floor = np.empty(ANGLES, dtype=np.float32)
    for k in range(ANGLES):
        local = 0.0
        for d in range(-2, 3):
            local += SMOOTH[d + 2] * near[(k + d) % ANGLES]
        floor = max(local, 0.0) / (NEAR // 2 * scale) + 0.03
        per_floor[k] = 1 / floor
        out[k, 2 * RADIAL] = math.log(min(floor, 50.0))
    row = np.empty((2, ANGLES), dtype=np.float32)
    for m in range(RADIAL):
        for k in range(ANGLES):
            value = raw[m, k] * per_level
            row[0, k] = _squeeze(value)
            row[1, k] = _squeeze(value * per_floor[k])
        for k in range(ANGLES):
            out[k, m] = row[0, k]
            out[k, RADIAL + m] = row[1, k]
    for k in range(ANGLES):
        out[k, 2 * RADIAL + 2] = log_in
        out[k, 2 * RADIAL + 3] = log_out
        out[k, 2 * RADIAL + 4] = log_radius
        out[k, 2 * RADIAL + 5] = log_half
        out[k, 2 * RADIAL + 6] = 1.0 if edge > 0 else 0.0
        out[k, 2 * RADIAL + 7] = math.log(edge / 0.7) if edge > 0 else 0.0
    return level
