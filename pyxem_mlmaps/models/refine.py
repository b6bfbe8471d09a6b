"""Weighted least-squares fit of tilt and thickness to the interpolated library, batched.

The model of a pattern is  d_i = s·I_i(tilt x, tilt y, thickness) + Σ_m b_m·B_im  with scale s and
background amplitudes b free; Levenberg-Marquardt steps start from the network's answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._compiled import inner_kernel
from pyxem_mlmaps.models.pattern_kernels import cholesky, solve
from pyxem_mlmaps.simulation.spline import evaluate_one

__all__ = ["Fit", "fit_patterns", "noise_variance"]

Float = NDArray[np.floating]


class Fit(NamedTuple):
    """Result of :func:`fit_patterns` for n patterns.

    ``units`` (n, 3) library grid coordinates, ``variance`` (n, 3) of them for the noise assumed,
    ``chi_square`` (n,) per degree of freedom, ``at_border`` (n,) whether a coordinate was held.
    """

    units: Float
    variance: Float
    chi_square: Float
    at_border: NDArray[np.bool_]


@inner_kernel(fastmath=True)
def noise_variance(intensity, poisson, white, model_error):  # pragma: no cover - compiled
    """Variance of a disk whose expected intensity is given, in units of the mean disk."""
    positive = np.maximum(intensity, 0.0)
    return poisson * positive + white * white + (model_error * positive) ** 2


@numba.njit(nogil=True, cache=True)
def _solve(matrix, right, n, out):  # pragma: no cover - compiled
    """Cholesky solution of the leading n × n system; False if it is not positive definite."""
    factor = np.zeros((n, n))
    if not cholesky(matrix, n, factor):
        return False
    solve(factor, right, n, out)
    return True


@inner_kernel(fastmath=True)
def _linear_start(data, use, values, background, precision, matrix, right, linear):
    # pragma: no cover - compiled
    """Scale and background amplitudes that fit best at fixed tilt and thickness, flat weights."""
    n = 1 + background.shape[0]
    matrix[:, :] = 0
    right[:] = 0
    for d in range(data.shape[0]):
        if not use[d]:
            continue
        for a in range(n):
            x = values[d] if a == 0 else background[a - 1, d]
            right[a] += x * data[d]
            for b in range(a + 1):
                y = values[d] if b == 0 else background[b - 1, d]
                matrix[a, b] += x * y
    for a in range(1, n):
        matrix[a, a] += precision[a - 1]
    if not _solve(matrix, right, n, linear) or not linear[0] > 0:
        linear[:] = 0
        total_d = 0.0
        total_v = 0.0
        for d in range(data.shape[0]):
            if use[d]:
                total_d += data[d]
                total_v += values[d]
        linear[0] = total_d / max(total_v, 1e-30)


@numba.njit(nogil=True, cache=True)
def fit_patterns(
    data, start, coefficients, background, precision, noise, slack, max_steps=15, tolerance=2e-4
):  # pragma: no cover - compiled
    """Fit many patterns.

    Parameters
    ----------
    data
        (n, n_disk) intensities in units of each pattern's mean disk; NaN disks are left out.
    start
        (n, 3) grid coordinates to start from.
    coefficients
        Of the :class:`LibrarySpline`.
    background
        (n_background, n_disk) templates, may be empty.
    precision
        (n_background,) inverse variance of the prior on each amplitude (mean 0).
    noise
        (3,) poisson, white, model_error as :func:`noise_variance` takes them.
    slack
        Grid steps by which a fit may leave the library.

    Returns
    -------
    Fit
    """
    n = data.shape[0]
    n_disk = data.shape[1]
    n_back = background.shape[0]
    n_par = 4 + n_back
    units = np.empty((n, 3))
    variance = np.full((n, 3), np.nan)
    chi_square = np.full(n, np.nan)
    at_border = np.zeros(n, dtype=np.bool_)
    high = np.empty(3)
    for k in range(3):
        high[k] = coefficients.shape[k] - 3
    w = np.empty((3, 4), dtype=np.float32)
    dw = np.empty((3, 4), dtype=np.float32)
    values = np.empty(n_disk, dtype=np.float32)
    gradient = np.empty((3, n_disk), dtype=np.float32)
    trial_values = np.empty(n_disk, dtype=np.float32)
    trial_gradient = np.empty((3, n_disk), dtype=np.float32)
    use = np.empty(n_disk, dtype=np.bool_)
    weight = np.empty(n_disk)
    normal = np.empty((n_par, n_par))
    damped = np.empty((n_par, n_par))
    right = np.empty(n_par)
    step = np.empty(n_par)
    column = np.empty(n_par)
    linear = np.empty(1 + n_back)
    trial_linear = np.empty(1 + n_back)
    u = np.empty(3)
    trial = np.empty(3)
    for m in range(n):
        n_use = 0
        for d in range(n_disk):
            use[d] = np.isfinite(data[m, d])
            n_use += use[d]
        for k in range(3):
            u[k] = min(max(start[m, k], -slack), high[k] + slack)
        if n_use <= n_par:
            units[m] = u
            continue
        evaluate_one(coefficients, u, w, dw, values, gradient)
        _linear_start(data[m], use, values, background, precision, normal, right, linear)
        damping = 1e-3
        done = False
        for iteration in range(max_steps + 1):
            done = done or iteration == max_steps
            cost = 0.0
            normal[:, :] = 0
            right[:] = 0
            for d in range(n_disk):
                if not use[d]:
                    weight[d] = 0.0
                    continue
                predicted = linear[0] * values[d]
                for b in range(n_back):
                    predicted += linear[1 + b] * background[b, d]
                weight[d] = 1.0 / noise_variance(predicted, noise[0], noise[1], noise[2])
                residual = data[m, d] - predicted
                cost += weight[d] * residual * residual
                for k in range(3):
                    column[k] = linear[0] * gradient[k, d]
                column[3] = values[d]
                for b in range(n_back):
                    column[4 + b] = background[b, d]
                for a in range(n_par):
                    x = weight[d] * column[a]
                    right[a] += x * residual
                    for b in range(a + 1):
                        normal[a, b] += x * column[b]
            for b in range(n_back):
                cost += precision[b] * linear[1 + b] ** 2
                right[4 + b] -= precision[b] * linear[1 + b]
                normal[4 + b, 4 + b] += precision[b]
            for a in range(n_par):
                for b in range(a + 1, n_par):
                    normal[a, b] = normal[b, a]
            largest = max(normal[0, 0], normal[1, 1], normal[2, 2], 1e-12)
            for k in range(3):
                if normal[k, k] < 1e-9 * largest:  # the library is flat here: it stays put
                    for a in range(n_par):
                        normal[k, a] = 0
                        normal[a, k] = 0
                    normal[k, k] = largest
                    right[k] = 0
            if done:
                break
            accepted = False
            moved = 0.0
            for _ in range(8):
                for a in range(n_par):
                    for b in range(n_par):
                        damped[a, b] = normal[a, b]
                    damped[a, a] *= 1 + damping
                if not _solve(damped, right, n_par, step):
                    damping = max(damping, 1e-6) * 10
                    continue
                moved = 0.0
                for k in range(3):
                    trial[k] = min(max(u[k] + step[k], -slack), high[k] + slack)
                    moved = max(moved, abs(trial[k] - u[k]))
                for b in range(1 + n_back):
                    trial_linear[b] = linear[b] + step[3 + b]
                if not trial_linear[0] > 0:
                    damping = damping * 10
                    continue
                evaluate_one(coefficients, trial, w, dw, trial_values, trial_gradient)
                trial_cost = 0.0
                for d in range(n_disk):
                    if use[d]:
                        predicted = trial_linear[0] * trial_values[d]
                        for b in range(n_back):
                            predicted += trial_linear[1 + b] * background[b, d]
                        trial_cost += weight[d] * (data[m, d] - predicted) ** 2
                for b in range(n_back):
                    trial_cost += precision[b] * trial_linear[1 + b] ** 2
                if trial_cost <= cost * (1 + 1e-9):
                    accepted = True
                    break
                damping *= 8
            if not accepted:
                break
            damping = max(damping * 0.15, 1e-9)
            u[:] = trial
            linear[:] = trial_linear
            values[:] = trial_values
            gradient[:, :] = trial_gradient
            if moved < tolerance:
                done = True  # one more pass forms the normal matrix at the solution
        units[m] = u
        for k in range(3):
            if u[k] <= -slack or u[k] >= high[k] + slack:
                at_border[m] = True
        chi_square[m] = cost / (n_use - n_par)
        for k in range(3):
            column[:] = 0
            column[k] = 1
            if _solve(normal, column, n_par, step):
                variance[m, k] = step[k]
    return Fit(units, variance, chi_square, at_border)
