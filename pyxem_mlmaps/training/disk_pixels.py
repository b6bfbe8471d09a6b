"""The pixels of a disk: binned, and how noisy they are. Kernels."""

from __future__ import annotations

import math

import numba
import numpy as np

from pyxem_mlmaps._compiled import inner_kernel

__all__ = ["FAST", "bin_factor", "bin_patterns", "binned_box", "pixel_noise"]

FAST = {"contract", "arcp", "nsz", "reassoc"}
"""What the compiler may do to sums; not-a-number keeps its meaning."""
BINNED_RADIUS = 12.0
"""Pixels that a disk's radius is binned to, at least."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def bin_factor(radius):  # pragma: no cover - compiled
    """Pixels that are averaged along each axis where a disk need not be seen finely."""
    return max(1, int(radius / BINNED_RADIUS))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def bin_patterns(patterns, factor):  # pragma: no cover - compiled
    """(n, h // factor, w // factor) means of float32 patterns (n, h, w); the rest is cut off."""
    n, height, width = patterns.shape
    rows, columns = height // factor, width // factor
    out = np.zeros((n, rows, columns), dtype=np.float32)
    share = np.float32(1.0 / (factor * factor))
    line = np.empty(width, dtype=np.float32)
    for k in range(n):
        for i in range(rows):
            if factor == 2:  # the commonest
                upper, lower = patterns[k, 2 * i], patterns[k, 2 * i + 1]
                for j in range(columns):
                    pair = upper[2 * j] + upper[2 * j + 1]
                    out[k, i, j] = share * (pair + lower[2 * j] + lower[2 * j + 1])
                continue
            line[:] = patterns[k, i * factor]
            for a in range(1, factor):
                line += patterns[k, i * factor + a]
            for a in range(factor):
                for j in range(columns):
                    out[k, i, j] += share * line[j * factor + a]
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def binned_box(first, last, size, factor):  # pragma: no cover - compiled
    """First and last binned pixel wholly within the pixels first..last, of ``size`` binned ones."""
    low = min((first + factor - 1) // factor, size - 2)
    return low, max((last + 1) // factor - 1, low + 1)


@inner_kernel(error_model="numpy", fastmath=FAST)
def pixel_noise(image, y, x, low, high, y0, y1, x0, x1):  # pragma: no cover - compiled
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
