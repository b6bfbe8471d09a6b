"""Lattice fits to indexed disk positions: one weighted, robust plane fit per pattern, compiled.

A disk with indices (h, k) lies at origin + h·g1 + k·g2. The y and the x coordinate are fitted
separately, each with weights 1/σ² of its own, so that the origin (descan) is free in every pattern.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["LatticeFits", "fit_lattices", "index_disks"]

Float = NDArray[np.float64]

REJECT = 4.5
"""Disks farther than this many (scaled) σ from the lattice are left out. Of normally distributed
errors exp(-4.5²/2) = 4e-5 are as large, so that sound disks stay."""

CLEAN = 3.0  # if no disk is farther than this many σ from the plain fit, that fit stands
RAYLEIGH_MEDIAN = np.sqrt(2 * np.log(2))  # length of a 2D normal error with σ = 1

_N_OUT = 14


class LatticeFits(NamedTuple):
    """Fitted lattices of n patterns, in the unit of the positions; NaN where there is no fit."""

    origin: Float
    """(n, 2) position (y, x) of (0, 0)."""
    basis: Float
    """(n, 2, 2) rows g1, g2, columns (y, x)."""
    covariance: Float
    """(n, 2, 2, 2): for the y components, then the x components, the covariance of (g1, g2). The
    two axes are independent."""
    residual: Float
    """(n,) weighted root mean square distance of the used disks from the lattice, per axis."""
    n_disks: Float
    """(n,) number of disks that were used."""


def fit_lattices(first: NDArray[np.int64], disks: Float, known_sigma: bool = True) -> LatticeFits:
    """Fit origin, g1 and g2 of every pattern.

    Parameters
    ----------
    first
        (n + 1,) the disks of pattern i are rows ``first[i]`` to ``first[i + 1] - 1``.
    disks
        (m, 6) y, x, σ_y, σ_x, h, k of every disk, positions and σ in one unit. Rows that hold NaN,
        or a σ that is not positive, are passed over.
    known_sigma
        False: the σ are weights only, and their size is taken from the residuals. True: they are
        standard uncertainties, made larger where the residuals ask for it, never smaller.

    Returns
    -------
    fits
        :class:`LatticeFits`. A pattern with fewer than three disks, or with all on one line, is
        NaN.

    Notes
    -----
    If no disk lies farther than 3 σ from the weighted least-squares fit, that fit stands.
    Otherwise the sum of weighted distances (not their squares) is made least by iterated
    reweighting, which a wrong disk cannot pull far [1]_; the scale s of the errors is the median
    distance from that fit without the three smallest, which it makes nearly zero, at least 1 if
    the σ are known; disks beyond 4.5 s are left out, and the rest is fitted by weighted least
    squares, whose √(χ²/(2n − 6)) may make s larger, until the choice no longer changes. With
    fewer than five disks nothing can be told wrong.

    The covariance is (AᵀWA)⁻¹ times max(1, χ²/(2n − 6)), the scale factor of the Particle Data
    Group [2]_; for unknown σ times χ²/(2n − 6), NaN with three disks. Since the scale factor never
    shrinks σ, chance makes σ 3 % too large on average with 37 disks and 10 % with 7.

    References
    ----------
    .. [1] P. J. Rousseeuw and A. M. Leroy, Robust Regression and Outlier Detection (1987).
    .. [2] R. L. Workman et al. (Particle Data Group), Prog. Theor. Exp. Phys. 2022, 083C01,
       section 5.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_fit import fit_lattices
    >>> h, k = np.indices((3, 3)).reshape(2, -1) - 1.0
    >>> disks = np.column_stack([50 + 9 * h, 40 + 8 * k, 0 * h + 0.1, 0 * h + 0.1, h, k])
    >>> fits = fit_lattices(np.array([0, 9]), disks)
    >>> fits.basis[0].round(9) + 0.0
    array([[9., 0.],
           [0., 8.]])
    """
    out = np.empty((len(first) - 1, _N_OUT))
    # 1e-9: only the rounding errors of exact positions are as small, in pixels or in Å⁻¹.
    _fit_all(first, disks, 1.0 if known_sigma else 1e-9, known_sigma, out)
    covariance = out[:, [6, 7, 7, 8, 9, 10, 10, 11]].reshape(-1, 2, 2, 2)
    return LatticeFits(
        out[:, :2], out[:, 2:6].reshape(-1, 2, 2), covariance, out[:, 12], out[:, 13]
    )


def index_disks(
    first: NDArray[np.int64], positions: Float, origin: Float, basis: Float, tolerance: float
) -> Float:
    """Lattice indices of disks found elsewhere.

    Parameters
    ----------
    first
        (n + 1,) as in :func:`fit_lattices`.
    positions
        (m, 2) as (y, x).
    origin, basis
        (n, 2) and (n, 2, 2): the lattice expected in each pattern, in the unit of the positions.
    tolerance
        Largest distance from a lattice point, as a fraction of the lattice vectors.

    Returns
    -------
    indices
        (m, 2) h and k as floats; NaN for positions that belong to no lattice point.

    Notes
    -----
    Each pattern may be shifted as a whole, by descan. The common shift is the circular mean of
    the fractional indices, the argument of Σ exp(2πi h). A shift by a whole lattice vector cannot
    be told from no shift; it changes all indices alike and the lattice vectors not at all.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_fit import index_disks
    >>> found = np.array([(10.2, 10.0), (10.3, 15.0), (15.1, 10.1), (12.6, 12.7)])
    >>> lattice = np.array([[10.0, 10.0]]), np.array([[[5.0, 0.0], [0.0, 5.0]]])
    >>> index_disks(np.array([0, 4]), found, *lattice, tolerance=0.25) + 0.0
    array([[ 0.,  0.],
           [ 0.,  1.],
           [ 1.,  0.],
           [nan, nan]])
    """
    pattern_of = np.repeat(np.arange(len(first) - 1), np.diff(first))
    fitted = np.isfinite(basis).all(axis=(1, 2)) & np.isfinite(origin).all(axis=1)
    inverse = np.full(basis.shape, np.nan)
    inverse[fitted] = np.linalg.inv(basis[fitted])
    fractional = np.einsum("mi,mij->mj", positions - origin[pattern_of], inverse[pattern_of])
    finite = np.isfinite(fractional).all(axis=1)
    phasors = np.exp(2j * np.pi * np.where(finite[:, None], fractional, 0)) * finite[:, None]
    sums = np.zeros((len(first) - 1, 2), dtype=complex)
    np.add.at(sums, pattern_of, phasors)
    fractional -= (np.angle(sums) / (2 * np.pi))[pattern_of]
    indices = np.round(fractional)
    with np.errstate(invalid="ignore"):
        far = ~(np.hypot(*(fractional - indices).T) <= tolerance)
    indices[far] = np.nan
    return indices


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fit_all(first, disks, smallest_scale, known_sigma, out):  # pragma: no cover - compiled
    """One row of ``out`` for each pattern: origin, basis, covariances, residual, disks used."""
    for i in range(len(first) - 1):
        table = disks[first[i] : first[i + 1]]
        keep = np.zeros(len(table), dtype=np.bool_)
        for j in range(len(table)):
            keep[j] = np.all(np.isfinite(table[j])) and table[j, 2] > 0 and table[j, 3] > 0
        out[i] = np.nan
        out[i, 13] = 0
        table = table[keep]
        used = np.ones(len(table), dtype=np.bool_)
        if not _spans(table, used):
            continue
        weights = np.empty((len(table), 2))
        for j in range(len(table)):
            weights[j, 0] = 1 / table[j, 2] ** 2
            weights[j, 1] = 1 / table[j, 3] ** 2
        used = _trusted(table, weights, smallest_scale)
        _solve(table, _scaled(weights, used), out[i])
        n = used.sum()
        out[i, 13] = n
        distance = _distances(table, weights, out[i])
        chi2 = 0.0
        total = 0.0
        for j in range(len(table)):
            if used[j]:
                chi2 += distance[j] ** 2
                total += weights[j, 0] + weights[j, 1]
        out[i, 12] = np.sqrt(chi2 / total)
        scale = chi2 / (2 * n - 6) if n > 3 else np.nan
        if known_sigma and not scale > 1:
            scale = 1.0
        out[i, 6:12] *= scale


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _trusted(table, weights, smallest_scale):  # pragma: no cover - compiled
    """Which disks agree with the lattice that most of them form."""
    n = len(table)
    used = np.ones(n, dtype=np.bool_)
    fit = np.empty(_N_OUT)
    _solve(table, weights, fit)
    distance = _distances(table, weights, fit)
    if n < 5 or np.max(distance) <= CLEAN * smallest_scale:
        return used
    for _ in range(30):  # least sum of distances; Weiszfeld's iteration
        floor = 1e-4 * _median(distance, 0) + 1e-12 * smallest_scale
        _solve(table, _scaled(weights, 1 / np.maximum(distance, floor)), fit)
        before = distance
        distance = _distances(table, weights, fit)
        if np.max(np.abs(distance - before)) <= 1e-3 * _median(distance, 0):
            break
    scale = max(smallest_scale, _median(distance, 3) / RAYLEIGH_MEDIAN)
    for _ in range(10):
        chosen = distance <= REJECT * scale
        if chosen.sum() < 4 or not _spans(table, chosen):
            return np.ones(n, dtype=np.bool_)
        _solve(table, _scaled(weights, chosen), fit)
        distance = _distances(table, weights, fit)
        if np.all(chosen == used):
            break
        used = chosen
        if used.sum() > 3:
            squares = np.sum(distance[used] ** 2)
            scale = max(scale, np.sqrt(squares / (2 * used.sum() - 6)))
    return used


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _scaled(weights, factors):  # pragma: no cover - compiled
    """Weights of each disk times a factor, or times whether it is used."""
    scaled = np.empty_like(weights)
    for j in range(len(weights)):
        scaled[j, 0] = weights[j, 0] * factors[j]
        scaled[j, 1] = weights[j, 1] * factors[j]
    return scaled


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _median(values, skip):  # pragma: no cover - compiled
    """Median without the ``skip`` smallest values."""
    ordered = np.sort(values)
    n = len(values) + skip
    return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _spans(table, used):  # pragma: no cover - compiled
    """Whether at least three disks are used and not all lie on one line."""
    n = used.sum()
    if n < 3:
        return False
    h = table[:, 4][used]
    k = table[:, 5][used]
    h = h - h.mean()
    k = k - k.mean()
    hh, hk, kk = np.sum(h * h), np.sum(h * k), np.sum(k * k)
    return hh * kk - hk * hk > 1e-8 * (hh + kk) ** 2


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _distances(table, weights, fit):  # pragma: no cover - compiled
    """Distance of each disk from its lattice point in units of σ."""
    distance = np.empty(len(table))
    for j in range(len(table)):
        h, k = table[j, 4], table[j, 5]
        dy = table[j, 0] - fit[0] - h * fit[2] - k * fit[4]
        dx = table[j, 1] - fit[1] - h * fit[3] - k * fit[5]
        distance[j] = np.sqrt(weights[j, 0] * dy * dy + weights[j, 1] * dx * dx)
    return distance


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _solve(table, weights, fit):  # pragma: no cover - compiled
    """Weighted least squares about the weighted centre, where origin and g1, g2 are independent."""
    for axis in range(2):
        w = weights[:, axis]
        total = w.sum()
        h0 = np.sum(w * table[:, 4]) / total
        k0 = np.sum(w * table[:, 5]) / total
        v0 = np.sum(w * table[:, axis]) / total
        hh = hk = kk = hv = kv = 0.0
        for j in range(len(table)):
            h, k, v = table[j, 4] - h0, table[j, 5] - k0, table[j, axis] - v0
            hh += w[j] * h * h
            hk += w[j] * h * k
            kk += w[j] * k * k
            hv += w[j] * h * v
            kv += w[j] * k * v
        det = hh * kk - hk * hk
        if not det > 1e-12 * hh * kk:  # what weighs anything lies on one line
            det = np.nan
        g1 = (kk * hv - hk * kv) / det
        g2 = (hh * kv - hk * hv) / det
        fit[axis] = v0 - h0 * g1 - k0 * g2
        fit[2 + axis] = g1
        fit[4 + axis] = g2
        fit[6 + 3 * axis] = kk / det
        fit[7 + 3 * axis] = -hk / det
        fit[8 + 3 * axis] = hh / det
