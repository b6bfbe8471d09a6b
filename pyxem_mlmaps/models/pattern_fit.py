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

from pyxem_mlmaps.models.pattern_kernels import (
    N_PAR,
    WINDOW,
    accumulate,
    cholesky,
    contract,
    eliminate,
    hold,
    place,
    solve,
)

__all__ = ["PARAMETERS", "Optics", "PatternFit", "fit_patterns_to_maps"]

Float = NDArray[np.floating]

PARAMETERS = ("tilt_x", "tilt_y", "thickness", "in_plane", "origin_y", "origin_x")
"""Order of the fitted parameters: degrees, degrees, nm, degrees, px, px."""
POLISH = 4
"""Undamped steps at the end, at most."""
COARSE = 5.0
"""Factor on the tolerance before them."""


class Optics(NamedTuple):
    """Radius and edge of the disks in px, Å⁻¹ in one px, degrees of tilt in one px."""

    radius: float
    edge: float
    scale: float
    degrees_per_pixel: float


class PatternFit(NamedTuple):
    """What :func:`fit_patterns_to_maps` finds for n patterns.

    ``values`` (n, 6) in the order of :data:`PARAMETERS`; ``covariance`` (n, 6, 6) of them for the
    gain given, without any scaling; ``chi_square`` (n,) per degree of freedom; ``at_border`` (n,)
    whether tilt or thickness were held at the end of the library; ``amplitude`` (n,) counts that
    make intensity 1.
    """

    values: Float
    covariance: Float
    chi_square: Float
    at_border: NDArray[np.bool_]
    amplitude: Float


@numba.njit(nogil=True, cache=True)
def _first_amplitudes(normal, right, linear, small, factor, out):  # pragma: no cover - compiled
    """Brightness and background that fit best where the fit starts, from equal weights."""
    for k in range(3):
        out[k] = right[6 + k] + normal[6 + k, 6]
        for n in range(3):
            small[k, n] = normal[6 + max(k, n), 6 + min(k, n)]
    for k in range(3):
        right[k] = out[k]
        small[k, k] *= 1 + 1e-9
    if cholesky(small, 3, factor):
        solve(factor, right, 3, out)
        if out[0] > 0:
            linear[:] = out[:3]
            if linear[1] + linear[2] < 0:
                linear[1:] = 0.0


@numba.njit(nogil=True, cache=True)
def _brightness(
    linear, disk, move, coupling, own, prior, new_linear, new_disk
):  # pragma: no cover - compiled
    """Amplitudes after a step: those of the disks follow from the others."""
    new_linear[0] = linear[0] * math.exp(min(max(move[6], -1.0), 1.0))
    new_linear[1] = linear[1] + move[7]
    new_linear[2] = linear[2] + move[8]
    for d in range(len(disk)):
        pull = own[d, 1] - prior * (disk[d] - 1.0)
        for k in range(N_PAR):
            pull -= coupling[d, k] * move[k]
        new_disk[d] = max(disk[d] + pull / (own[d, 0] + prior), 0.05)


@numba.njit(nogil=True, cache=True)
def fit_patterns_to_maps(
    patterns, start, coefficients, unit, axis, step, low_end, high_end, g, optics, width, noise,
    amplitude_error, max_steps=25, tolerance=0.05,
):  # fmt: skip  # pragma: no cover - compiled
    """Fit many patterns.

    Parameters
    ----------
    patterns
        (n, ky, kx) counts; pixels that are not finite are left out.
    start
        (n, 6) in the order of :data:`PARAMETERS`.
    coefficients
        (n_x, n_y, n_t, n_disk) of the spline through the plane-wave maps, of any real type.
    unit
        (n_disk,) factor on the coefficients of each disk.
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
    local = np.empty((n_disk, size_i, size_j))
    slope = np.empty((n_disk, size_i, size_j))
    rows = np.empty((N_PAR + 1, int(2 * (optics[0] + WINDOW) + 2) ** 2))
    low = np.zeros(2, dtype=np.int64)
    size = np.array(
        [axis[0], axis[1], axis[2], coefficients.shape[0] - 2.0, coefficients.shape[1] - 2.0]
    )
    normal, trial_normal = np.empty((N_PAR, N_PAR)), np.empty((N_PAR, N_PAR))
    right, trial_right = np.empty(N_PAR), np.empty(N_PAR)
    coupling, trial_coupling = np.empty((n_disk, N_PAR)), np.empty((n_disk, N_PAR))
    own, trial_own = np.empty((n_disk, 2)), np.empty((n_disk, 2))
    system, damped = np.empty((N_PAR, N_PAR)), np.empty((N_PAR, N_PAR))
    factor = np.zeros((N_PAR, N_PAR))
    pull, move, one = np.empty(N_PAR), np.empty(N_PAR), np.empty(N_PAR)
    linear, trial_linear = np.empty(3), np.empty(3)
    disk, trial_disk = np.empty(n_disk), np.empty(n_disk)
    p, trial = np.empty(6), np.empty(6)
    flat = (noise[0], 1e6 * noise[0], 0.0)
    for m in range(n):
        p[:] = start[m]
        finite = np.nansum(patterns[m]) > 0
        for k in range(6):
            finite = finite and math.isfinite(p[k])
        if not finite:
            values[m] = np.nan
            continue
        for k in range(3):
            p[k] = min(max(p[k], low_end[k]), high_end[k])
        disk[:] = 1.0
        linear[:] = 0.0
        linear[0] = 1.0
        place(p, axis, step, span, coefficients, low)
        contract(coefficients, unit, (p[2] - axis[2]) / step[2], low, local, slope)
        accumulate(
            patterns[m], p, linear, disk, local, slope, low, size, step, g, optics, width, flat,
            prior, normal, right, coupling, own, rows,
        )  # fmt: skip
        _first_amplitudes(normal, right, linear, system, factor, move)
        deviance, squares, count = accumulate(
            patterns[m], p, linear, disk, local, slope, low, size, step, g, optics, width, noise,
            prior, normal, right, coupling, own, rows,
        )  # fmt: skip
        damping = 1e-2
        for _iteration in range(max_steps):
            if not linear[0] > 0 or count <= 3 * N_PAR:
                break
            system[:, :] = normal
            pull[:] = right
            eliminate(system, pull, coupling, own, disk, prior)
            hold(p, low_end, high_end, system, pull)
            accepted = False
            largest = 0.0
            for _ in range(8):
                for k in range(N_PAR):
                    for q in range(N_PAR):
                        damped[k, q] = system[k, q]
                    damped[k, k] = system[k, k] * (1 + damping) + 1e-12
                if not cholesky(damped, N_PAR, factor):
                    damping = max(damping, 1e-6) * 10
                    continue
                solve(factor, pull, N_PAR, move)
                largest = 0.0
                for k in range(6):
                    trial[k] = p[k] + move[k]
                    if k < 3:
                        trial[k] = min(max(trial[k], low_end[k]), high_end[k])
                    largest = max(largest, (trial[k] - p[k]) ** 2 * system[k, k])
                _brightness(linear, disk, move, coupling, own, prior, trial_linear, trial_disk)
                place(trial, axis, step, span, coefficients, low)
                contract(coefficients, unit, (trial[2] - axis[2]) / step[2], low, local, slope)
                trial_deviance, trial_squares, trial_count = accumulate(
                    patterns[m], trial, trial_linear, trial_disk, local, slope, low, size, step, g,
                    optics, width, noise, prior, trial_normal, trial_right, trial_coupling,
                    trial_own, rows,
                )  # fmt: skip
                if trial_deviance / max(trial_count, 1) <= deviance / count * (1 + 1e-6):
                    accepted = True
                    break
                damping *= 6
            if not accepted:
                break
            damping = max(damping * 0.2, 1e-7)
            p[:] = trial
            linear[:] = trial_linear
            disk[:] = trial_disk
            deviance, squares, count = trial_deviance, trial_squares, trial_count
            normal[:, :] = trial_normal
            right[:] = trial_right
            coupling[:, :] = trial_coupling
            own[:, :] = trial_own
            if largest < (COARSE * tolerance) ** 2:
                break
        for _ in range(POLISH):  # the deviance chose the valley, the weighted sum ends in it
            system[:, :] = normal
            pull[:] = right
            eliminate(system, pull, coupling, own, disk, prior)
            hold(p, low_end, high_end, system, pull)
            for k in range(N_PAR):
                system[k, k] = system[k, k] * (1 + 1e-9) + 1e-12
            if not linear[0] > 0 or not cholesky(system, N_PAR, factor):
                break
            solve(factor, pull, N_PAR, move)
            largest = 0.0
            for k in range(6):
                largest = max(largest, move[k] ** 2 * system[k, k])
            if largest > 9.0:
                break
            for k in range(6):
                p[k] += move[k]
                if k < 3:
                    p[k] = min(max(p[k], low_end[k]), high_end[k])
            _brightness(linear, disk, move, coupling, own, prior, linear, disk)
            place(p, axis, step, span, coefficients, low)
            contract(coefficients, unit, (p[2] - axis[2]) / step[2], low, local, slope)
            deviance, squares, count = accumulate(
                patterns[m], p, linear, disk, local, slope, low, size, step, g, optics, width,
                noise, prior, normal, right, coupling, own, rows,
            )  # fmt: skip
            if largest < tolerance**2:
                break
        values[m] = p
        amplitude[m] = linear[0]
        if not linear[0] > 0 or count <= 3 * N_PAR:
            continue
        eliminate(normal, right, coupling, own, disk, prior)
        chi_square[m] = squares / (count - N_PAR)
        for k in range(3):
            if p[k] <= low_end[k] or p[k] >= high_end[k]:
                at_border[m] = True
        for k in range(N_PAR):
            normal[k, k] = normal[k, k] * (1 + 1e-9) + 1e-12
        if not cholesky(normal, N_PAR, factor):
            continue
        for k in range(6):
            one[:] = 0
            one[k] = 1
            solve(factor, one, N_PAR, move)
            for q in range(6):
                covariance[m, k, q] = move[q]
    return values, covariance, chi_square, at_border, amplitude
