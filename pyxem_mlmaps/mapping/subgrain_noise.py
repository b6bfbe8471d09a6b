"""How noisy the points of a map are, which are outliers, and how much regions bend."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

__all__ = ["usual_slope", "weights", "without_outliers"]

Float = NDArray[np.float64]
Labels = NDArray[np.int64]


def weights(
    vectors: Float, sigma: Float, good: NDArray[np.bool_], grains: Labels, least: float
) -> Float:
    """(ny, nx, 3) weights 1/σ², zero for points that are not good.

    σ is enlarged where neighbours scatter more than it says (median), taken from this scatter
    where the map knows none, and never below ``least`` degrees.
    """
    use = good & (grains >= 0)
    weight = np.zeros(vectors.shape)
    for c in range(3):
        differences = [
            np.diff(vectors[..., c], axis=axis)[
                _both(use, axis) & (np.diff(grains, axis=axis) == 0)
            ]
            for axis in (0, 1)
        ]
        all_pairs = np.concatenate(differences)
        seen = 1.4826 * np.median(np.abs(all_pairs)) / np.sqrt(2) if all_pairs.size else 0.0
        known = use & np.isfinite(sigma[..., c]) & (sigma[..., c] > 0)
        said = np.median(sigma[..., c][known]) if known.any() else np.nan
        enlarge = max(1.0, seen / said) if known.any() else 1.0
        usual = max(said * enlarge if known.any() else seen, least)
        full = np.where(known, sigma[..., c] * enlarge, usual)
        weight[..., c] = np.where(use, np.maximum(full, least) ** -2, 0)
    return weight


def without_outliers(labels: Labels, vectors: Float, weight: Float, reach: int = 2) -> Float:
    """The weights, zero for points six σ or more from the median of their label around them."""
    margin = ((reach, reach), (reach, reach), (0, 0))
    values = np.pad(np.where(weight > 0, vectors, np.nan), margin, constant_values=np.nan)
    names = np.pad(labels, reach, constant_values=-1)
    y, x = np.nonzero(labels >= 0)
    around = []
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            same = names[y + dy, x + dx] == labels[y, x]
            around.append(np.where(same[:, None], values[y + dy, x + dx], np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window without any good point
        median = np.nanmedian(around, axis=0)
    far = np.sum(weight[y, x] * np.nan_to_num(vectors[y, x] - median) ** 2, axis=-1)
    kept = weight.copy()
    kept[y[far > 36], x[far > 36]] = 0
    return kept


def usual_slope(labels: Labels, vectors: Float, weight: Float, least: int = 30) -> Float:
    """(3,) median over the regions of the slope's RMS along y and x, less its noise."""
    squares = []
    for i, window in enumerate(find_objects(labels + 1)):
        at = (labels[window] == i) & np.all(weight[window] > 0, axis=-1)
        if at.sum() < least:
            continue
        place = np.argwhere(at)
        design = np.column_stack([np.ones(len(place)), place - place.mean(axis=0)])
        w = weight[window][at].T[:, None, :]
        inverse = np.linalg.pinv(design.T * w @ design)
        fit = inverse @ ((design.T * w) @ vectors[window][at].T[..., None])
        noise = np.einsum("cii->ci", inverse)[:, 1:]
        squares.append(np.mean(fit[:, 1:, 0] ** 2 - noise, axis=-1))
    return np.sqrt(np.maximum(np.median(squares, axis=0), 0)) if squares else np.zeros(3)


def _both(use: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    n = use.shape[axis]
    return np.take(use, range(n - 1), axis) & np.take(use, range(1, n), axis)
