"""Whole patterns fitted to the plane-wave maps of a library: all three angles at the noise limit.

The model of a pixel at ``u`` px from the centre ``c_g`` of disk g is

    I = a_g · A · E(|u| - R) · m_g(tilt - S u, thickness) / πR²  +  b_0 + b_1 / (1 + r²/w²)

with m_g the plane-wave map, E the error function of the edge, S the tilt of one pixel, and
r the distance from the direct beam. Centres follow the crystal, c_g = o + (Z(φ) T(tilt) M g)
/ scale. What is inside a disk moves with the tilt, its edge with the angle about the beam. Disk
amplitudes a_g have a Gaussian prior about 1 and are eliminated (Schur complement): a simulation
whose intensities are off by some percent does not pull the angles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.spline import spline_weights

__all__ = ["PARAMETERS", "Optics", "PatternFit", "fit_patterns_to_maps"]

Float = NDArray[np.floating]

PARAMETERS = ("tilt_x", "tilt_y", "thickness", "in_plane", "origin_y", "origin_x")
"""Order of the fitted parameters: degrees, degrees, nm, degrees, px, px."""
WINDOW = 1.5
"""Pixels beyond the radius that count as the disk's."""
N_PAR = 9


class Optics(NamedTuple):
    """Radius and edge of the disks in px, Å⁻¹ in one px, degrees of tilt in one px."""

    radius: float
    edge: float
    scale: float
    degrees_per_pixel: float


class PatternFit(NamedTuple):
    """What :func:`fit_patterns_to_maps` finds for n patterns.

    ``values`` (n, 6) in the order of :data:`PARAMETERS`; ``covariance`` (n, 6, 6) of them for the gain
    given, without any scaling; ``chi_square`` (n,) per degree of freedom; ``at_border`` (n,)
    whether tilt or thickness were held at the end of the library; ``amplitude`` (n,) counts that
    make intensity 1.
    """

    values: Float
    covariance: Float
    chi_square: Float
    at_border: NDArray[np.bool_]
    amplitude: Float


@numba.njit(nogil=True, cache=True)
def _cholesky(matrix, n, factor):  # pragma: no cover - compiled
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
def _solve(factor, right, n, out):  # pragma: no cover - compiled
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


@numba.njit(nogil=True, cache=True)
def _contract(coefficients, unit, low, local, slope):  # pragma: no cover - compiled
    """Patch of the spline at one thickness and its derivative per step, (n_i, n_j, n_disk)."""
    w = np.empty(4)
    dw = np.empty(4)
    k0 = spline_weights(unit, coefficients.shape[2] - 2, w, dw)
    n_disk = coefficients.shape[3]
    for i in range(local.shape[0]):
        for j in range(local.shape[1]):
            for d in range(n_disk):
                local[i, j, d] = 0.0
                slope[i, j, d] = 0.0
            for k in range(4):
                for d in range(n_disk):
                    c = coefficients[low[0] + i, low[1] + j, k0 + k, d]
                    local[i, j, d] += w[k] * c
                    slope[i, j, d] += dw[k] * c


@numba.njit(nogil=True, cache=True)
def _accumulate(
    pattern, p, linear, disk, use, local, slope, low, size, step, g, optics, width, noise, prior,
    normal, right, derivative, coupling, own, deviance,
):  # fmt: skip  # pragma: no cover - compiled
    """Normal equations at parameters p; returns the cost and the number of pixels.

    ``own`` (n_disk, 2): Schur diagonal and residual of each disk's amplitude; ``coupling``
    (n_disk, 9). ``linear``: A, b_0, b_1. With ``derivative`` False only the cost is made.
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
    column = np.empty(N_PAR)
    cost = 0.0
    count = 0
    if derivative:
        normal[:, :] = 0
        right[:] = 0
        coupling[:, :] = 0
        own[:, :] = 0
    for d in range(g.shape[0]):
        if not use[d]:
            continue
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
                        q = local[i0 + i, j0 + j, d]
                        line += wy[j] * q
                        tilt += dy_[j] * q
                        rise += wy[j] * slope[i0 + i, j0 + j, d]
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
                bright = disk[d] * linear[0]
                crystal = bright * unit * m
                model = crystal + linear[1] + linear[2] * tail
                positive = max(model, noise[1])
                weight = 1.0 / (noise[0] * positive + (noise[2] * crystal) ** 2)
                residual = value - model
                if deviance:
                    cost += 2 * (positive - value) / noise[0]
                    if value > 0:
                        cost += 2 * value * math.log(value / positive) / noise[0]
                else:
                    cost += weight * residual * residual
                count += 1
                if not derivative:
                    continue
                # moving the centre: the rim, and the map seen through it
                turn_x = per_pixel * (c * mx - s * my)
                turn_y = per_pixel * (s * mx + c * my)
                inverse = 1.0 / max(r, 1e-9)
                by_cx = bright / area * (rim * ux * inverse * m + cut * turn_x)
                by_cy = bright / area * (rim * uy * inverse * m + cut * turn_y)
                column[0] = bright * unit * mx + by_cx * txx + by_cy * txy
                column[1] = bright * unit * my + by_cx * tyx + by_cy * tyy
                column[2] = bright * unit * mt
                column[3] = by_cx * phx + by_cy * phy
                column[3] += bright * unit * (mx * oy - my * ox) * degree
                column[4] = by_cy
                column[5] = by_cx
                column[6] = crystal
                column[7] = 1.0
                column[8] = tail
                for k in range(N_PAR):
                    v = weight * column[k]
                    right[k] += v * residual
                    coupling[d, k] += v * crystal / disk[d]
                    for n in range(k + 1):
                        normal[k, n] += v * column[n]
                own[d, 0] += weight * (crystal / disk[d]) ** 2
                own[d, 1] += weight * crystal / disk[d] * residual
        cost += prior * (disk[d] - 1.0) ** 2
    return cost, count


@numba.njit(nogil=True, cache=True)
def _eliminate(normal, right, coupling, own, use, disk, prior):  # pragma: no cover - compiled
    """Take the disks' amplitudes out of the normal equations."""
    for d in range(len(use)):
        if not use[d]:
            continue
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
def _first_amplitudes(
    pattern, p, linear, disk, use, local, slope, low, size, step, g, optics, width, noise, prior,
    normal, right, coupling, own, factor, out,
):  # fmt: skip  # pragma: no cover - compiled
    """Brightness and background that fit best where the fit starts."""
    linear[0] = 1.0
    linear[1] = 0.0
    linear[2] = 0.0
    _accumulate(
        pattern, p, linear, disk, use, local, slope, low, size, step, g, optics, width,
        (noise[0], 1e6 * noise[0], 0.0), prior, normal, right, True, coupling, own, False,
    )  # fmt: skip
    small = np.empty((3, 3))
    r = np.empty(3)
    for k in range(3):
        r[k] = right[6 + k] + normal[6 + k, 6]
        for n in range(3):
            small[k, n] = normal[6 + max(k, n), 6 + min(k, n)]
    for k in range(3):
        small[k, k] *= 1 + 1e-9
    if _cholesky(small, 3, factor):
        _solve(factor, r, 3, out)
        if out[0] > 0:
            linear[0] = out[0]
            linear[1] = out[1]
            linear[2] = out[2]
            if linear[1] + linear[2] < 0:
                linear[1] = 0.0
                linear[2] = 0.0


@numba.njit(nogil=True, cache=True)
def fit_patterns_to_maps(
    patterns, start, coefficients, axis, step, low_end, high_end, g, optics, width, noise,
    amplitude_error, max_steps=25, tolerance=0.02,
):  # fmt: skip  # pragma: no cover - compiled
    """Fit many patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx) counts; pixels that are not finite are left out.
    start
        (n, 6) in the order of :data:`PARAMETERS`.
    coefficients
        (n_x, n_y, n_t, n_disk) of the spline through the plane-wave maps.
    axis, step
        (3,) first grid point and step of tilt x, tilt y (degrees) and thickness (nm).
    low_end, high_end
        (3,) bounds of tilt x, tilt y and thickness.
    g
        (n_disk, 3) reciprocal vectors in Å⁻¹ in the detector frame at zero tilt.
    optics
        :class:`Optics`.
    width
        Half width of the background's tail, px.
    noise
        (gain, floor, model_error): variance of a pixel is gain · max(I, floor) +
        (model_error · crystal part)².
    amplitude_error
        Relative error of each simulated disk.
    tolerance
        The fit ends when no parameter moves by more than this fraction of its σ.

    Returns
    -------
    values, covariance, chi_square, at_border, amplitude
        As in :class:`PatternFit`.
    """
    n = patterns.shape[0]
    n_disk = g.shape[0]
    values = start.copy()
    covariance = np.full((n, 6, 6), np.nan)
    chi_square = np.full(n, np.nan)
    at_border = np.zeros(n, dtype=np.bool_)
    amplitude = np.full(n, np.nan)
    prior = 1.0 / amplitude_error**2
    span = (optics[0] + WINDOW) * optics[3]
    size_i = int(2 * span / step[0]) + 8
    size_j = int(2 * span / step[1]) + 8
    local = np.empty((size_i, size_j, n_disk))
    slope = np.empty((size_i, size_j, n_disk))
    trial_local = np.empty((size_i, size_j, n_disk))
    trial_slope = np.empty((size_i, size_j, n_disk))
    low = np.zeros(2, dtype=np.int64)
    trial_low = np.zeros(2, dtype=np.int64)
    size = np.array(
        [axis[0], axis[1], axis[2], coefficients.shape[0] - 2.0, coefficients.shape[1] - 2.0]
    )
    normal = np.empty((N_PAR, N_PAR))
    damped = np.empty((N_PAR, N_PAR))
    factor = np.zeros((N_PAR, N_PAR))
    right = np.empty(N_PAR)
    move = np.empty(N_PAR)
    unit = np.empty(N_PAR)
    coupling = np.empty((n_disk, N_PAR))
    own = np.empty((n_disk, 2))
    linear = np.empty(3)
    trial_linear = np.empty(3)
    disk = np.empty(n_disk)
    trial_disk = np.empty(n_disk)
    use = np.ones(n_disk, dtype=np.bool_)
    p = np.empty(6)
    trial = np.empty(6)
    for m in range(n):
        p[:] = start[m]
        finite = True
        for k in range(6):
            finite = finite and math.isfinite(p[k])
        if not finite:
            values[m] = np.nan
            continue
        for k in range(3):
            p[k] = min(max(p[k], low_end[k]), high_end[k])
        disk[:] = 1.0
        _place(p, axis, step, span, coefficients, low)
        _contract(coefficients, (p[2] - axis[2]) / step[2], low, local, slope)
        _first_amplitudes(
            patterns[m], p, linear, disk, use, local, slope, low, size, step, g, optics, width,
            noise, prior, normal, right, coupling, own, factor, move,
        )  # fmt: skip
        damping = 1e-2
        cost = 0.0
        count = 0
        for _iteration in range(max_steps):
            cost, count = _accumulate(
                patterns[m], p, linear, disk, use, local, slope, low, size, step, g, optics,
                width, noise, prior, normal, right, True, coupling, own, True,
            )  # fmt: skip
            if not linear[0] > 0 or count <= 3 * N_PAR:
                break
            _eliminate(normal, right, coupling, own, use, disk, prior)
            accepted = False
            largest = 0.0
            for _ in range(8):
                for k in range(N_PAR):
                    for q in range(N_PAR):
                        damped[k, q] = normal[k, q]
                    damped[k, k] = normal[k, k] * (1 + damping) + 1e-12
                if not _cholesky(damped, N_PAR, factor):
                    damping = max(damping, 1e-6) * 10
                    continue
                _solve(factor, right, N_PAR, move)
                largest = 0.0
                for k in range(6):
                    trial[k] = p[k] + move[k]
                    if k < 3:
                        trial[k] = min(max(trial[k], low_end[k]), high_end[k])
                    moved = (trial[k] - p[k]) ** 2 * normal[k, k]
                    largest = max(largest, moved)
                trial_linear[0] = linear[0] * math.exp(min(max(move[6], -1.0), 1.0))
                trial_linear[1] = linear[1] + move[7]
                trial_linear[2] = linear[2] + move[8]
                for d in range(n_disk):
                    pull = own[d, 1] - prior * (disk[d] - 1.0)
                    for k in range(N_PAR):
                        pull -= coupling[d, k] * move[k]
                    trial_disk[d] = max(disk[d] + pull / (own[d, 0] + prior), 0.05)
                _place(trial, axis, step, span, coefficients, trial_low)
                _contract(
                    coefficients, (trial[2] - axis[2]) / step[2], trial_low, trial_local,
                    trial_slope,
                )  # fmt: skip
                trial_cost, _count = _accumulate(
                    patterns[m], trial, trial_linear, trial_disk, use, trial_local, trial_slope,
                    trial_low, size, step, g, optics, width, noise, prior, normal, right, False,
                    coupling, own, True,
                )  # fmt: skip
                if trial_cost / max(_count, 1) <= cost / count * (1 + 1e-6):
                    accepted = True
                    break
                damping *= 6
            if not accepted:
                break
            damping = max(damping * 0.2, 1e-7)
            p[:] = trial
            linear[:] = trial_linear
            disk[:] = trial_disk
            low[:] = trial_low
            local[:, :, :] = trial_local
            slope[:, :, :] = trial_slope
            if largest < tolerance**2:
                break
        cost, count = _accumulate(
            patterns[m], p, linear, disk, use, local, slope, low, size, step, g, optics, width,
            noise, prior, normal, right, True, coupling, own, False,
        )  # fmt: skip
        values[m] = p
        amplitude[m] = linear[0]
        if not linear[0] > 0 or count <= 3 * N_PAR:
            continue
        _eliminate(normal, right, coupling, own, use, disk, prior)
        chi_square[m] = cost / (count - N_PAR)
        for k in range(3):
            if p[k] <= low_end[k] or p[k] >= high_end[k]:
                at_border[m] = True
        for k in range(N_PAR):
            normal[k, k] = normal[k, k] * (1 + 1e-9) + 1e-12
        if not _cholesky(normal, N_PAR, factor):
            continue
        for k in range(6):
            unit[:] = 0
            unit[k] = 1
            _solve(factor, unit, N_PAR, move)
            for q in range(6):
                covariance[m, k, q] = move[q]
    return values, covariance, chi_square, at_border, amplitude


@numba.njit(nogil=True, cache=True)
def _place(p, axis, step, span, coefficients, low):  # pragma: no cover - compiled
    """First grid points of the patch of maps that a pattern at tilt p sees."""
    size_i = int(2 * span / step[0]) + 8
    size_j = int(2 * span / step[1]) + 8
    i = int(math.floor((p[0] - span - axis[0]) / step[0])) - 1
    j = int(math.floor((p[1] - span - axis[1]) / step[1])) - 1
    low[0] = min(max(i, 0), coefficients.shape[0] - size_i)
    low[1] = min(max(j, 0), coefficients.shape[1] - size_j)
