"""Diffraction patterns from plane-wave maps: disks rendered at sub-pixel positions.

A pixel of disk g at offset u (Å⁻¹) from the disk's centre was reached by the part of the cone
with K_t = u - k0·tilt, so it shows the plane-wave map at tilt - u/k0: the disk image is a crop of
the map. The disk's edge is the error function of the distance from it, so positions are exact; the
blur moves counts and loses none, so each disk is scaled to its intensity over the hard aperture.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from pyxem_mlmaps.simulation.spline import spline_weights

__all__ = ["amorphous_form", "inelastic_form", "recorded", "render_patterns"]

Float = NDArray[np.floating]


def inelastic_form(shape: tuple[int, int], origin: Float, width: float) -> Float:
    """Background (ky, kx) of sum 1: a third flat, the rest a tail of the direct beam.

    Parameters
    ----------
    shape
        Detector size.
    origin
        (y, x) of the direct beam, px.
    width
        Half width of the tail, px: (1 + r²/width²)⁻¹, as of thermal diffuse and plasmon
        scattering at these angles.
    """
    y = np.arange(shape[0])[:, None] - origin[0]
    x = np.arange(shape[1])[None, :] - origin[1]
    tail = 1 / (1 + (y**2 + x**2) / width**2)
    return tail / tail.sum() * 2 / 3 + 1 / (3 * shape[0] * shape[1])


def amorphous_form(
    shape: tuple[int, int], origin: Float, radius: float, edge: float, halo: float
) -> Float:
    """Pattern (ky, kx) of sum 1 of an amorphous foil: 60 % direct beam, 40 % in one diffuse ring.

    Parameters
    ----------
    shape
        Detector size.
    origin
        (y, x) of the direct beam, px.
    radius, edge
        Of the direct beam's disk and of its blur as in :func:`render_patterns`, px.
    halo
        Radius of the ring, px; its standard deviation is a fifth of it.
    """
    y = np.arange(shape[0])[:, None] - origin[0]
    x = np.arange(shape[1])[None, :] - origin[1]
    r = np.hypot(y, x)
    disk = erfc((r - radius) / np.sqrt(2 * (edge**2 + 1 / 12)))
    ring = np.exp(-0.5 * ((r - halo) / (0.2 * halo)) ** 2)
    return 0.6 * disk / disk.sum() + 0.4 * ring / ring.sum()


def recorded(
    patterns: Float, numbers: NDArray[np.integer], noise: bool, seed: int, dtype: Any
) -> NDArray:
    """Patterns (n, ky, kx) as a camera keeps them: counted, cut at the largest number of ``dtype``.

    With ``noise`` counts are Poisson distributed, each point drawing from (seed, its number).
    """
    if noise:
        for n, number in enumerate(numbers):
            patterns[n] = np.random.default_rng([seed, int(number)]).poisson(patterns[n])
    if np.dtype(dtype).kind in "iu":
        np.minimum(patterns, np.iinfo(dtype).max, out=patterns)
    return patterns.astype(dtype)


@numba.njit(nogil=True, cache=True)
def render_patterns(
    coefficients, units, totals, positions, radius, edge, tilt_per_pixel, patterns
):  # pragma: no cover - compiled
    """Add the disks of n patterns to ``patterns``.

    Parameters
    ----------
    coefficients
        Of the spline through the plane-wave maps, (n_x, n_y, n_t, n_disk).
    units
        (n, 3) grid coordinates of tilt x, tilt y, thickness in that spline.
    totals
        (n, n_disk) intensity of each whole disk; a pattern without any is left alone.
    positions
        (n, n_disk, 2) disk centres (y, x) in px.
    radius, edge
        Disk radius and standard deviation of its blurred edge, px. The pixel's own width is
        added to the blur.
    tilt_per_pixel
        (2, 2) grid steps of tilt (x, y) for one pixel (y, x) from the centre of a disk.
    patterns
        (n, ky, kx) float64, added to in place.
    """
    n, height, width = patterns.shape
    n_disk = positions.shape[1]
    nx, ny = coefficients.shape[0], coefficients.shape[1]
    w = np.empty(4)
    slope = np.empty(4)
    wx = np.empty(4)
    wy = np.empty(4)
    blur = math.sqrt(2.0 * (edge * edge + 1.0 / 12.0))
    reach = radius + 3 * edge + 1.5
    side = int(2 * reach) + 3
    image = np.empty((side, side))
    for m in range(n):
        if not totals[m].max() > 0:
            continue
        k0 = spline_weights(units[m, 2], coefficients.shape[2] - 2, w, slope)
        span = 0.0
        for a in range(2):
            span = max(span, (abs(tilt_per_pixel[a, 0]) + abs(tilt_per_pixel[a, 1])) * reach)
        i_low = max(int(units[m, 0] - span) - 1, 0)
        i_high = min(int(units[m, 0] + span) + 6, nx)
        j_low = max(int(units[m, 1] - span) - 1, 0)
        j_high = min(int(units[m, 1] + span) + 6, ny)
        local = np.zeros((n_disk, i_high - i_low, j_high - j_low))
        for i in range(i_low, i_high):
            for j in range(j_low, j_high):
                for k in range(4):
                    for d in range(n_disk):
                        local[d, i - i_low, j - j_low] += w[k] * coefficients[i, j, k0 + k, d]
        for d in range(n_disk):
            cy = positions[m, d, 0]
            cx = positions[m, d, 1]
            y0 = int(math.floor(cy - reach))
            x0 = int(math.floor(cx - reach))
            summed = 0.0
            for y in range(side):
                for x in range(side):
                    image[y, x] = 0.0
                    dy = y0 + y - cy
                    dx = x0 + x - cx
                    outside = math.sqrt(dy * dy + dx * dx) - radius
                    if outside > reach - radius:
                        continue
                    u = units[m, 0] + tilt_per_pixel[0, 0] * dy + tilt_per_pixel[0, 1] * dx
                    v = units[m, 1] + tilt_per_pixel[1, 0] * dy + tilt_per_pixel[1, 1] * dx
                    i0 = spline_weights(u, nx - 2, wx, slope) - i_low
                    j0 = spline_weights(v, ny - 2, wy, slope) - j_low
                    value = 0.0
                    for i in range(4):
                        for j in range(4):
                            value += wx[i] * wy[j] * local[d, i0 + i, j0 + j]
                    image[y, x] = 0.5 * math.erfc(outside / blur) * max(value, 0.0)
                    summed += image[y, x]
            if not summed > 0:
                continue
            factor = max(totals[m, d], 0.0) / summed
            for y in range(max(-y0, 0), min(side, height - y0)):
                for x in range(max(-x0, 0), min(side, width - x0)):
                    patterns[m, y0 + y, x0 + x] += factor * image[y, x]
