"""From positions to figures: error measures, the lattice fit and its strain, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from disk_opponents import Positions
from disk_sets import Patterns
from numpy.typing import NDArray

import pyxem_mlmaps as mlmaps

Float = NDArray[np.floating]
FAILURE = 3.0
"""px; an answer farther from the truth than this, or none, is a failure."""
WEIGHTS = ("equal", "square root of counts", "counts")
"""What a lattice fit can weight disks with when the method gives no σ."""


def position_figures(found: Positions, truth: Float) -> dict[str, float]:
    """RMSE and mean error per axis (px) of what did not fail, and the fraction that did.

    ``all_rmse`` counts the failures too, an absent answer as one of ``FAILURE`` px.
    ``within`` is the fraction of |error| < σ where there is a σ.
    """
    error = found.centres - truth
    distance = np.hypot(error[..., 0], error[..., 1])
    good = distance <= FAILURE
    kept = error[good]
    filled = np.where(np.isfinite(error), error, FAILURE)
    figures = {
        "rmse": _rms(kept),
        "bias_y": float(kept[:, 0].mean()) if len(kept) else float("nan"),
        "bias_x": float(kept[:, 1].mean()) if len(kept) else float("nan"),
        "median": float(np.median(np.abs(kept))) if len(kept) else float("nan"),
        "failures": float(1 - good.mean()),
        "all_rmse": _rms(filled),
    }
    if found.sigma is not None:
        finite = np.isfinite(error) & np.isfinite(found.sigma)
        within = np.abs(error[finite]) < found.sigma[finite]
        figures["within"] = float(within.mean()) if len(within) else float("nan")
    return figures


def disk_counts(patterns: Float, lattice: mlmaps.DiskLattice) -> Float:
    """(n, n_disk) counts above the pattern's median within 1.3 radii of the expected centre."""
    y, x = np.indices(patterns.shape[1:])
    level = np.median(patterns, axis=(1, 2))
    counts = np.empty((len(patterns), len(lattice)))
    for d, (cy, cx) in enumerate(lattice.positions):
        disk = (y - cy) ** 2 + (x - cx) ** 2 <= (1.3 * lattice.radius) ** 2
        counts[:, d] = patterns[:, disk].sum(axis=1) - level * disk.sum()
    return np.maximum(counts, 1e-3 * counts.max(axis=1, keepdims=True))


def fit_strain(found: Positions, lattice: mlmaps.DiskLattice, weights: Float) -> Float:
    """(n, 3) strain e_xx, e_yy, e_xy of the crystal from lattices fitted to the positions.

    Parameters
    ----------
    found
        (n, n_disk, 2) positions.
    weights
        (n, n_disk, 2) of each coordinate; disks without a position get none.

    Notes
    -----
    The fit starts from the least sum of distances; then, three times, disks farther off it than
    4 × 1.48 × the median weighted residual are left out. With G the fitted basis (rows) and B the
    reference, the crystal is deformed by G⁻¹B.
    """
    reference = lattice.basis
    design = np.concatenate([np.ones((len(lattice), 1)), lattice.indices], axis=1)
    strain = np.full((len(found.centres), 3), np.nan)
    for i, (centres, weight) in enumerate(zip(found.centres, weights, strict=True)):
        known = np.isfinite(centres).all(axis=1) & np.isfinite(weight).all(axis=1)
        root = np.sqrt(np.where(known[:, None], weight, 0))
        centres = np.where(known[:, None], centres, 0)
        fit = _robust_fit(design, centres, root, known)
        if fit is not None:
            deformed = np.linalg.inv(fit[1:]) @ reference - np.eye(2)
            strain[i] = deformed[1, 1], deformed[0, 0], (deformed[0, 1] + deformed[1, 0]) / 2
    return strain


def strain_weights(found: Positions, counts: Float, weighting: str) -> Float:
    """(n, n_disk, 2) weights of the lattice fit: "sigma", or one of ``WEIGHTS``."""
    if weighting == "sigma":
        return 1 / found.sigma**2
    power = {"equal": 0.0, "square root of counts": 0.5, "counts": 1.0}[weighting]
    return np.repeat((counts**power)[..., None], 2, axis=-1)


def strain_figures(found: Positions, sets: Patterns, weighting: str) -> dict[str, float]:
    """Error of strain in %, over patterns and components: root mean square, and 1.48 × the median
    of its size ("robust"); the fraction of patterns without a lattice or off by more than 5 %."""
    weights = strain_weights(found, disk_counts(sets.patterns, sets.lattice), weighting)
    error = 100 * (fit_strain(found, sets.lattice, weights) - sets.strain)
    good = np.all(np.abs(error) < 5, axis=1)
    figures = {
        "sigma": _rms(error[good]),
        "robust": float(1.48 * np.median(np.abs(error[good]))) if good.any() else float("nan"),
        "lost": float(1 - good.mean()),
    }
    return figures


def false_strain(found: Positions, sets: Patterns, weighting: str) -> dict[str, float]:
    """Strain seen along a line of constant lattice, %: mean over the three components of its
    standard deviation and of its range, and the largest range."""
    weights = strain_weights(found, disk_counts(sets.patterns, sets.lattice), weighting)
    strain = 100 * fit_strain(found, sets.lattice, weights)
    ranges = np.ptp(strain, axis=0)
    return {
        "rms": float(strain.std(axis=0).mean()),
        "p-p": float(ranges.mean()),
        "largest p-p": float(ranges.max()),
    }


def seconds(action: Callable[[], Any], repeats: int = 5) -> float:
    """Median wall time of ``action`` after one call that does not count."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _robust_fit(design: Float, centres: Float, root: Float, known: NDArray[np.bool_]) -> Any:
    """(3, 2) fit that a few wild disks do not bend; None where there are too few."""
    fit = _solve(design, centres, root)
    for step in range(13):
        if fit is None:
            return None
        off = np.abs(centres - design @ fit) * root
        size = np.hypot(off[:, 0], off[:, 1])
        typical = max(np.median(size[known]), 1e-9)
        if step < 10:  # least sum of distances, by reweighting
            factor = 1 / np.sqrt(np.maximum(size / typical, 1e-2))
        else:
            factor = size <= 4 * 1.48 * typical
        fit = _solve(design, centres, root * factor[:, None])
    return fit


def _solve(design: Float, centres: Float, root: Float) -> Float | None:
    """(3, 2) weighted fit of origin and basis; None with fewer than 3 independent disks."""
    columns = []
    for axis in range(2):
        weighted = design * root[:, axis, None]
        solution, _, rank, _ = np.linalg.lstsq(
            weighted, centres[:, axis] * root[:, axis], rcond=None
        )
        if rank < 3:
            return None
        columns.append(solution)
    fit = np.stack(columns, axis=1)
    return fit if abs(np.linalg.det(fit[1:])) > 1e-6 else None


def _rms(values: Float) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
