"""Pixels read along circles, segment by segment. Kernels.

The rays of all segments that lie side by side are read at once: places, pixels and values are
three plain loops over them, of which the first and the last are vectorised. That makes most of
the speed with which disks are located.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["ANGLES", "COSINES", "MOST", "SINES", "add_circle", "directions", "frame"]

ANGLES = 32
"""Segments round the edge of a disk."""
MOST = 12
"""Rays along the arc of a segment at most."""
SPAN = 256
"""Pixels from a disk's centre that are read at most."""


def _angles() -> NDArray[np.float64]:
    """(MOST, MOST * ANGLES): for 1 to MOST rays in a segment, the first rays of all segments, then
    the second ones, and so on."""
    table = np.zeros((MOST, MOST * ANGLES))
    segment = np.arange(ANGLES)
    for n in range(1, MOST + 1):
        ray = np.arange(n)[:, None]
        table[n - 1, : n * ANGLES] = ((segment * n + ray + 0.5) * 2 * np.pi / (ANGLES * n)).ravel()
    return table


SINES, COSINES = (f(_angles()).astype(np.float32) for f in (np.sin, np.cos))


def directions() -> NDArray[np.float64]:
    """(ANGLES, 3): what a shift (y, x) and a growth of the radius do to the edge's distance."""
    angle = (np.arange(ANGLES) + 0.5) * 2 * np.pi / ANGLES
    return np.stack([np.sin(angle), np.cos(angle), np.ones(ANGLES)], axis=1)


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def frame(image, y, x, y0, y1, x0, x1):  # pragma: no cover - compiled
    """What reading ``image`` round (y, x) needs: it counts in single precision from a corner near
    by, since a position far out on a detector would lose its last digits."""
    corner_y = int(y) - SPAN
    corner_x = int(x) - SPAN
    limits = (
        np.float32(y0 - corner_y), np.float32(y1 - corner_y - 1e-3),
        np.float32(x0 - corner_x), np.float32(x1 - corner_x - 1e-3),
    )  # fmt: skip
    width = image.shape[1]
    place = np.float32(y - corner_y), np.float32(x - corner_x)
    return image.reshape(image.size), corner_y * width + corner_x, width, place, limits


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def add_circle(
    pixels, corner, width, place, limits, radius, rays, at, part, values, total
):  # pragma: no cover - compiled
    """Add to ``total`` (ANGLES,) the bilinear values at ``radius`` on ``rays`` rays a segment.

    The first five are a :func:`frame`, to whose limits places are clamped. ``at`` (MOST * ANGLES,)
    int32, ``part`` (2, MOST * ANGLES) and ``values`` (4, MOST * ANGLES) float32 are overwritten.
    """
    y, x = place
    down, right = part
    a, b, c, d = values
    corner, width = np.int32(corner), np.int32(width)
    for q in range(rays * ANGLES):
        row = min(max(y + radius * SINES[rays - 1, q], limits[0]), limits[1])
        column = min(max(x + radius * COSINES[rays - 1, q], limits[2]), limits[3])
        whole_row, whole_column = np.int32(row), np.int32(column)
        down[q] = row - np.float32(whole_row)
        right[q] = column - np.float32(whole_column)
        at[q] = corner + whole_row * width + whole_column
    for q in range(rays * ANGLES):
        upper = np.uintp(at[q])  # unsigned: it needs no check
        lower = upper + np.uintp(width)
        a[q], b[q] = pixels[upper], pixels[upper + np.uintp(1)]
        c[q], d[q] = pixels[lower], pixels[lower + np.uintp(1)]
    for ray in range(rays):
        for k in range(ANGLES):
            q = np.uintp(ray * ANGLES + k)
            upper = a[q] + right[q] * (b[q] - a[q])
            lower = c[q] + right[q] * (d[q] - c[q])
            total[k] += upper + down[q] * (lower - upper)
