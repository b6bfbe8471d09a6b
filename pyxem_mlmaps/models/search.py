"""A coarse search of the whole library, for patterns that the network started badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.refine import noise_variance
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["CoarseSearch"]

Float = NDArray[np.floating]
BLOCK = 2048
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
        for first in range(0, len(data), BLOCK):
            part = slice(first, first + BLOCK)
            shape = (-1, *(len(axis) for axis in self.axes))
            distance = self._distances(data[part]).reshape(shape)
            for rank in range(n):
                best = np.unravel_index(
                    np.argmin(distance.reshape(len(distance), -1), axis=1), distance.shape[1:]
                )
                starts[rank, part] = np.stack(
                    [axis[i] for axis, i in zip(self.axes, best, strict=True)], axis=-1
                )
                near = [
                    np.abs(np.arange(len(axis)) - i[:, None]) <= 2
                    for axis, i in zip(self.axes, best, strict=True)
                ]
                distance[
                    near[0][:, :, None, None] & near[1][:, None, :, None] & near[2][:, None, None]
                ] = np.inf
        yield from starts

    def _distances(self, data: Float) -> NDArray[np.float32]:
        """(n_pattern, n_template) weighted squared distances."""
        known = np.isfinite(data).astype(np.float32)
        filled = np.nan_to_num(data, nan=0.0).astype(np.float32)
        return (filled**2) @ self.weight.T - 2 * filled @ self.weighted.T + known @ self.squared.T
