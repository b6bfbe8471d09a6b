"""Compiled kernels over stacks of patterns: where is the lattice, what do its disks hold.

Positions are (y, x) in pixels; patterns are finite native float32; arrays in, arrays out.
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["coarse_shifts", "sum_disks"]


@numba.njit(nogil=True, cache=True)
def coarse_shifts(patterns, centres, radius, gap, reach, shifts):  # pragma: no cover - compiled
    """Fill ``shifts`` (n, 2) with the whole-pixel shift of all disks together, within ``reach``.

    At the right place the disks hold more than the rings round them; what is inside a disk matters
    little, its edge does. Square roots of counts are compared, so that every disk has a say. Of
    large disks only some rows are read. The search goes in steps of 0.6 radii, then in halved
    steps round the best.

    Parameters
    ----------
    patterns
        (n, ky, kx) counts.
    centres
        (m, 2) disk centres (y, x) in the absence of a shift; rounded.
    radius, gap
        Disk radius and width of the ring round it, px.
    reach
        Largest length of a shift, px. Below half the distance of neighbouring disks it is unique.
    shifts
        (n, 2) int64; of several equally good ones the one of no shift, or the first.
    """
    n, height, width = patterns.shape
    outer = int(radius + gap)
    inside = np.full(2 * outer + 1, -1, dtype=np.int64)  # half lengths of the rows of disk, ring
    around = np.empty(2 * outer + 1, dtype=np.int64)
    for row in range(-outer, outer + 1):
        around[row + outer] = int(math.sqrt((radius + gap) ** 2 - row * row))
        if abs(row) <= radius:
            inside[row + outer] = int(math.sqrt(radius * radius - row * row))
    every = min(max(1, int(radius / 3)), 4)
    whole = 0
    for row in range(0, 2 * outer + 1, every):
        whole += max(2 * inside[row] + 1, 0)
    room = outer + int(reach) + 1  # only what the search can touch is summed
    top = min(max(int(centres[:, 0].min()) - room, 0) // every * every, height)
    left = min(max(int(centres[:, 1].min()) - room, 0), width)
    bottom = max(min(int(centres[:, 0].max()) + room + 2, height), top)
    right = max(min(int(centres[:, 1].max()) + room + 2, width), left)
    rows = np.zeros((height, width + 1))
    roots = np.empty(width, dtype=np.float32)
    for p in range(n):
        for y in range(top, bottom, every):
            for x in range(left, right):
                roots[x] = math.sqrt(max(patterns[p, y, x], np.float32(0.0)))
            total = 0.0
            for x in range(left, right):
                rows[y, x] = total
                total += roots[x]
            rows[y, right] = total
        best_y, best_x = 0, 0
        best = _contrast(rows, centres, 0, 0, outer, inside, around, every, whole)
        step = max(1, int(0.6 * radius))
        span = int(reach) // step
        for i in range(-span, span + 1):
            for j in range(-span, span + 1):
                dy, dx = i * step, j * step
                if dy * dy + dx * dx > reach * reach or (i == 0 and j == 0):
                    continue
                score = _contrast(rows, centres, dy, dx, outer, inside, around, every, whole)
                if score > best:
                    best, best_y, best_x = score, dy, dx
        while step > max(1.0, radius / 8):
            step = (step + 1) // 2
            from_y, from_x = best_y, best_x
            for i in range(-1, 2):
                for j in range(-1, 2):
                    dy, dx = from_y + i * step, from_x + j * step
                    if dy * dy + dx * dx > reach * reach or (i == 0 and j == 0):
                        continue
                    score = _contrast(rows, centres, dy, dx, outer, inside, around, every, whole)
                    if score > best:
                        best, best_y, best_x = score, dy, dx
        shifts[p, 0] = best_y
        shifts[p, 1] = best_x


@numba.njit(nogil=True, cache=True)
def _contrast(
    rows, centres, dy, dx, outer, inside, around, every, whole
):  # pragma: no cover - compiled
    """Mean over the disks of (mean inside - mean of the ring); rows hold running sums."""
    height, width = rows.shape[0], rows.shape[1] - 1
    score = 0.0
    used = 0
    for d in range(len(centres)):
        cy = int(round(centres[d, 0])) + dy
        cx = int(round(centres[d, 1])) + dx
        disk = 0.0
        n_disk = 0
        ring = 0.0
        n_ring = 0
        first = -((-max(cy - outer, 0)) // every) * every
        for y in range(first, min(cy + outer, height - 1) + 1, every):
            row = y - cy
            left = max(cx - around[row + outer], 0)
            right = min(cx + around[row + outer] + 1, width)
            if right <= left:
                continue
            ring += rows[y, right] - rows[y, left]
            n_ring += right - left
            if inside[row + outer] >= 0:
                left = max(cx - inside[row + outer], 0)
                right = min(cx + inside[row + outer] + 1, width)
                if right > left:
                    disk += rows[y, right] - rows[y, left]
                    n_disk += right - left
        if 2 * n_disk <= whole or n_ring == n_disk:
            continue
        score += disk / n_disk - (ring - disk) / (n_ring - n_disk)
        used += 1
    if 2 * used < len(centres):
        return -np.inf
    return score / used


@numba.njit(nogil=True, cache=True, fastmath={"reassoc"})
def sum_disks(patterns, centres, radius, saturation, sums):  # pragma: no cover - compiled
    """Fill ``sums`` (n, m) with the counts of all pixels within ``radius`` of the centres.

    What lies off the detector is left out; a pixel at or above ``saturation``, or a centre that is
    NaN, makes the sum NaN. ``centres`` are (n, m, 2), (y, x) in pixels.
    """
    n, height, width = patterns.shape
    for p in range(n):
        for d in range(centres.shape[1]):
            cy, cx = centres[p, d, 0], centres[p, d, 1]
            if not (math.isfinite(cy) and math.isfinite(cx)):
                sums[p, d] = np.nan
                continue
            total = 0.0
            full = 0
            low = min(max(math.ceil(cy - radius), 0), height)
            high = max(min(math.floor(cy + radius) + 1, height), low)
            for y in range(int(low), int(high)):
                half = math.sqrt(max(radius * radius - (y - cy) ** 2, 0.0))
                left = min(max(math.ceil(cx - half), 0), width)
                right = max(min(math.floor(cx + half) + 1, width), left)
                for x in range(int(left), int(right)):
                    total += patterns[p, y, x]
                    full += patterns[p, y, x] >= saturation
            sums[p, d] = np.nan if full else total
