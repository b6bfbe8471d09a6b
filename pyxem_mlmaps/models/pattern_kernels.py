"""Compiled pieces of the fit of whole patterns: model, normal equations, their solution.

See :mod:`pyxem_mlmaps.models.pattern_fit` for the model they belong to.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pyxem_mlmaps._compiled import inner_kernel
from pyxem_mlmaps.simulation.spline import spline_weights

__all__ = [
    "N_PAR",
    "WINDOW",
    "accumulate",
    "cholesky",
    "contract",
    "eliminate",
    "hold",
    "place",
    "solve",
]

WINDOW = 1.5
"""Pixels beyond the radius that count as the disk's."""
N_PAR = 9
"""Tilt x, tilt y, thickness, in-plane angle, origin y and x, log brightness, two of background."""
SUMS = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be done in any order; NaN stays NaN."""


@numba.njit(nogil=True, cache=True)
def cholesky(matrix, n, factor):  # pragma: no cover - compiled
    """Factor of the leading n × n block; False if it is not positive definite."""
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if not total > 0:
                    return False
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    return True


@numba.njit(nogil=True, cache=True)
def solve(factor, right, n, out):  # pragma: no cover - compiled
    """Solution of the system whose Cholesky factor is given."""
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * out[k]
        out[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * out[k]
        out[i] = total / factor[i, i]


@inner_kernel(fastmath=SUMS)
def contract(coefficients, unit, depth, low, local, slope):  # pragma: no cover - compiled
    """Patch of the spline at one thickness and its derivative per step, (n_disk, n_i, n_j)."""
    w = np.empty(4)
    dw = np.empty(4)
    k0 = spline_weights(depth, coefficients.shape[2] - 2, w, dw)
    for i in range(local.shape[1]):
        for j in range(local.shape[2]):
            c = coefficients[low[0] + i, low[1] + j]
            for d in range(local.shape[0]):
                c0, c1, c2, c3 = c[k0, d], c[k0 + 1, d], c[k0 + 2, d], c[k0 + 3, d]
                local[d, i, j] = unit[d] * (w[0] * c0 + w[1] * c1 + w[2] * c2 + w[3] * c3)
                slope[d, i, j] = unit[d] * (dw[0] * c0 + dw[1] * c1 + dw[2] * c2 + dw[3] * c3)


@inner_kernel(fastmath=SUMS)
def accumulate(
    pattern, p, linear, disk, local, slope, low, size, step, g, optics, width, noise, prior,
    normal, right, coupling, own, rows,
):  # fmt: skip  # pragma: no cover - compiled
    """Normal equations at parameters p; returns deviance, weighted squares and number of pixels.

    ``own`` (n_disk, 2): Schur diagonal and residual of each disk's amplitude; ``coupling``
    (n_disk, 9). ``linear``: A, b_0, b_1. ``rows`` (10, pixels of a disk) is room to work in.
    """
    radius, edge, scale, per_pixel = optics
    blur = math.sqrt(edge * edge + 1.0 / 12.0)
    height, columns = pattern.shape
    c, s = math.cos(math.radians(p[3])), math.sin(math.radians(p[3]))
    a, b = math.radians(p[0]), math.radians(p[1])
    root = math.sqrt(1 - a * a - b * b)
    f = 1 / (1 + root)
    degree = math.pi / 180
    area = math.pi * radius * radius
    reach = radius + WINDOW
    wx = np.empty(4)
    dx_ = np.empty(4)
    wy = np.empty(4)
    dy_ = np.empty(4)
    deviance = 0.0
    squares = 0.0
    count = 0
    normal[:, :] = 0
    right[:] = 0
    for d in range(g.shape[0]):
        gx, gy, gz = g[d]
        tx = (1 - f * a * a) * gx - f * a * b * gy + a * gz
        ty = -f * a * b * gx + (1 - f * b * b) * gy + b * gz
        rx, ry = c * tx - s * ty, s * tx + c * ty
        cx, cy = p[5] + rx / scale, p[4] + ry / scale
        # per degree: the disk's centre with tilt and with the angle about the beam
        txx = c * gz / scale * degree
        txy = s * gz / scale * degree
        tyx = -s * gz / scale * degree
        tyy = c * gz / scale * degree
        phx, phy = -ry / scale * degree, rx / scale * degree
        bright = disk[d] * linear[0]
        map_, rise_ = local[d], slope[d]
        inside = 0
        for y in range(max(int(math.ceil(cy - reach)), 0), min(int(cy + reach) + 1, height)):
            for x in range(max(int(math.ceil(cx - reach)), 0), min(int(cx + reach) + 1, columns)):
                uy, ux = y - cy, x - cx
                r = math.sqrt(uy * uy + ux * ux)
                if r > reach:
                    continue
                value = pattern[y, x]
                if not math.isfinite(value):
                    continue
                away = (r - radius) / blur
                if away < -3.5:
                    cut, rim = 1.0, 0.0
                else:
                    cut = 0.5 * math.erfc(away / math.sqrt(2.0))
                    rim = math.exp(-0.5 * away * away) / (math.sqrt(2 * math.pi) * blur)
                ox = -per_pixel * (s * uy + c * ux)
                oy = -per_pixel * (c * uy - s * ux)
                i0 = spline_weights((p[0] + ox - size[0]) / step[0], int(size[3]), wx, dx_) - low[0]
                j0 = spline_weights((p[1] + oy - size[1]) / step[1], int(size[4]), wy, dy_) - low[1]
                m = 0.0
                mx = 0.0
                my = 0.0
                mt = 0.0
                for i in range(4):
                    line = 0.0
                    tilt = 0.0
                    rise = 0.0
                    for j in range(4):
                        q = map_[i0 + i, j0 + j]
                        line += wy[j] * q
                        tilt += dy_[j] * q
                        rise += wy[j] * rise_[i0 + i, j0 + j]
                    m += wx[i] * line
                    mx += dx_[i] * line
                    my += wx[i] * tilt
                    mt += wx[i] * rise
                mx /= step[0]
                my /= step[1]
                mt /= step[2]
                m = max(m, 0.0)
                far = ((y - p[4]) ** 2 + (x - p[5]) ** 2) / (width * width)
                tail = 1.0 / (1.0 + far)
                unit = cut / area
                crystal = bright * unit * m
                model = crystal + linear[1] + linear[2] * tail
                positive = max(model, noise[1])
                weight = 1.0 / (noise[0] * positive + (noise[2] * crystal) ** 2)
                residual = value - model
                deviance += 2 * (positive - value) / noise[0]
                if value > 0:
                    deviance += 2 * value * math.log(value / positive) / noise[0]
                squares += weight * residual * residual
                count += 1
                # moving the centre: the rim, and the map seen through it
                turn_x = per_pixel * (c * mx - s * my)
                turn_y = per_pixel * (s * mx + c * my)
                inverse = rim * m / max(r, 1e-9)
                by_cx = bright / area * (inverse * ux + cut * turn_x)
                by_cy = bright / area * (inverse * uy + cut * turn_y)
                unit *= bright
                v = math.sqrt(weight)
                rows[0, inside] = v * (unit * mx + by_cx * txx + by_cy * txy)
                rows[1, inside] = v * (unit * my + by_cx * tyx + by_cy * tyy)
                rows[2, inside] = v * (unit * mt)
                turned = unit * (mx * oy - my * ox) * degree
                rows[3, inside] = v * (by_cx * phx + by_cy * phy + turned)
                rows[4, inside] = v * by_cy
                rows[5, inside] = v * by_cx
                rows[6, inside] = v * crystal
                rows[7, inside] = v
                rows[8, inside] = v * tail
                rows[9, inside] = v * residual
                inside += 1
        for k in range(N_PAR):
            total = 0.0
            for q in range(inside):
                total += rows[k, q] * rows[N_PAR, q]
            right[k] += total
            if k == 6:
                own[d, 1] = total / disk[d]
            for n in range(k + 1):
                total = 0.0
                for q in range(inside):
                    total += rows[k, q] * rows[n, q]
                normal[k, n] += total
                if n == 6:
                    coupling[d, k] = total / disk[d]
                elif k == 6:
                    coupling[d, n] = total / disk[d]
        own[d, 0] = coupling[d, 6] / disk[d]
        pull = prior * (disk[d] - 1.0) ** 2
        deviance += pull
        squares += pull
    return deviance, squares, count


@numba.njit(nogil=True, cache=True)
def eliminate(normal, right, coupling, own, disk, prior):  # pragma: no cover - compiled
    """Take the disks' amplitudes out of the normal equations."""
    for d in range(len(disk)):
        total = own[d, 0] + prior
        pull = own[d, 1] - prior * (disk[d] - 1.0)
        for k in range(N_PAR):
            right[k] -= coupling[d, k] * pull / total
            for n in range(k + 1):
                normal[k, n] -= coupling[d, k] * coupling[d, n] / total
    for k in range(N_PAR):
        for n in range(k + 1, N_PAR):
            normal[k, n] = normal[n, k]


@numba.njit(nogil=True, cache=True)
def hold(p, low_end, high_end, normal, right):  # pragma: no cover - compiled
    """What is held at its bound takes no part in the step."""
    for k in range(3):
        held = p[k] <= low_end[k] and right[k] < 0
        held = held or (p[k] >= high_end[k] and right[k] > 0)
        if held:
            for q in range(N_PAR):
                normal[k, q] = 0
                normal[q, k] = 0
            normal[k, k] = 1.0
            right[k] = 0


@numba.njit(nogil=True, cache=True)
def place(p, axis, step, span, coefficients, low):  # pragma: no cover - compiled
    """First grid points of the patch of maps that a pattern at tilt p sees."""
    size_i = int(2 * span / step[0]) + 8
    size_j = int(2 * span / step[1]) + 8
    i = int(math.floor((p[0] - span - axis[0]) / step[0])) - 1
    j = int(math.floor((p[1] - span - axis[1]) / step[1])) - 1
    low[0] = min(max(i, 0), coefficients.shape[0] - size_i)
    low[1] = min(max(j, 0), coefficients.shape[1] - size_j)
