"""A coarse search of the whole library, for patterns that the network started badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.refine import noise_variance
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["CoarseSearch"]

Float = NDArray[np.floating]
BLOCK = 128
"""Patterns at once: their distances should stay in the cache."""
APART = 2
"""Grid points."""
FINEST = np.array([24, 24, 6])


@dataclass(frozen=True, eq=False)
class CoarseSearch:
    """Templates on a coarse grid of the library, compared with patterns by matrix products.

    Parameters
    ----------
    axes
        Grid coordinates of the templates along tilt x, tilt y and thickness.
    weighted, squared, weight
        (n_template, n_disk): weight × template, weight × template², and weight.
    """

    axes: tuple[Float, Float, Float]
    weighted: NDArray[np.float32]
    squared: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, spline: LibrarySpline, noise: Float) -> CoarseSearch:
        """From a library and (poisson, white, model error) as the fit takes them."""
        stride = np.maximum(1, (spline.size - 1) // FINEST)
        axes = tuple(
            np.arange(0, size, s, dtype=float) for size, s in zip(spline.size, stride, strict=True)
        )
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        templates = np.maximum(spline(grid * spline.step + spline.start), 0).astype(float)
        templates /= templates.mean(axis=1, keepdims=True)
        weight = 1 / noise_variance(templates, *noise)
        return cls(
            axes,
            (weight * templates).astype(np.float32),
            (weight * templates**2).astype(np.float32),
            weight.astype(np.float32),
        )

    def starts(self, data: Float, n: int = 3) -> Iterator[Float]:
        """The best templates for each pattern, apart from one another.

        Parameters
        ----------
        data
            (n_pattern, n_disk) in units of the mean disk; NaN disks are left out.
        n
            Number of starts for each pattern.

        Yields
        ------
        numpy.ndarray
            (n_pattern, 3) grid coordinates; the best of all patterns first, then the second best.
        """
        starts = np.empty((n, len(data), 3))
        shape = tuple(len(axis) for axis in self.axes)
        for first in range(0, len(data), BLOCK):
            part = slice(first, first + BLOCK)
            distances = self._distances(data[part]).reshape(-1, *shape)
            best = np.empty((n, len(distances), 3), dtype=np.int64)
            _lowest_apart(distances, best)
            for k, axis in enumerate(self.axes):
                starts[:, part, k] = axis[best[..., k]]
        yield from starts

    def _distances(self, data: Float) -> NDArray[np.float32]:
        """(n_pattern, n_template) weighted squared distances."""
        known = np.isfinite(data)
        filled = np.nan_to_num(data, nan=0.0).astype(np.float32)
        squares = np.concatenate([filled**2, filled], axis=1)
        if known.all():
            return squares @ self._products + self.squared.sum(axis=1)
        return squares @ self._products + known.astype(np.float32) @ self.squared.T

    @cached_property
    def _products(self) -> NDArray[np.float32]:
        """What squares and values of a pattern are multiplied with, in one product."""
        return np.concatenate([self.weight, -2 * self.weighted], axis=1).T.copy()


@numba.njit(nogil=True, cache=True)
def _lowest_apart(distances, best):  # pragma: no cover - compiled
    """Indices (rank, pattern, 3) of the lowest distances (pattern, x, y, t), more than ``APART``
    grid points from one another on some axis. Overwrites ``distances``."""
    n, n_x, n_y, n_t = distances.shape
    for m in range(n):
        table = distances[m]
        flat = table.ravel()
        for rank in range(len(best)):
            lowest = flat[0]
            at = 0
            for k in range(len(flat)):
                if flat[k] < lowest:
                    lowest = flat[k]
                    at = k
            x, rest = at // (n_y * n_t), at % (n_y * n_t)
            y, t = rest // n_t, rest % n_t
            best[rank, m, 0], best[rank, m, 1], best[rank, m, 2] = x, y, t
            for i in range(max(x - APART, 0), min(x + APART + 1, n_x)):
                for j in range(max(y - APART, 0), min(y + APART + 1, n_y)):
                    for k in range(max(t - APART, 0), min(t + APART + 1, n_t)):
                        flat[(i * n_y + j) * n_t + k] = np.inf
