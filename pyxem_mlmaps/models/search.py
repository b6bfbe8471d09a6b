"""A coarse search of the whole library, for patterns that the network started badly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.refine import noise_variance
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["coarse_starts"]

Float = NDArray[np.floating]
BLOCK = 2048


def coarse_starts(data: Float, spline: LibrarySpline, noise: Float, n: int = 3) -> Iterator[Float]:
    """The best grid points of the library, apart from one another, for each pattern.

    Parameters
    ----------
    data
        (n_pattern, n_disk) in units of the mean disk; NaN disks are left out.
    spline
        The library.
    noise
        (poisson, white, model error) as the fit takes them.
    n
        Number of starts for each pattern.

    Yields
    ------
    numpy.ndarray
        (n_pattern, 3) grid coordinates; the best of all patterns first, then the second best.
    """
    stride = np.maximum(1, (spline.size - 1) // np.array([24, 24, 6]))
    axes = [np.arange(0, size, s) for size, s in zip(spline.size, stride, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    templates = np.maximum(spline(grid * spline.step + spline.start), 0).astype(np.float32)
    templates /= templates.mean(axis=1, keepdims=True)
    weight = 1 / np.vectorize(noise_variance, otypes=[np.float32])(templates, *noise)
    starts = np.empty((n, len(data), 3))
    for first in range(0, len(data), BLOCK):
        part = slice(first, first + BLOCK)
        distance = _distances(data[part], templates, weight)
        for rank in range(n):
            best = np.argmin(distance, axis=1)
            starts[rank, part] = grid[best]
            near = np.all(np.abs(grid[None] - grid[best][:, None]) <= 2 * stride, axis=2)
            distance[near] = np.inf
    yield from starts


def _distances(data: Float, templates: Float, weight: Float) -> Float:
    """(n_pattern, n_template) weighted squared distances."""
    known = np.isfinite(data).astype(np.float32)
    filled = np.nan_to_num(data, nan=0.0).astype(np.float32)
    return (
        (filled**2) @ weight.T
        - 2 * filled @ (weight * templates).T
        + known @ (weight * templates**2).T
    )
