"""A cubic spline through a rocking library, evaluated with its gradient for many patterns at once.

Interpolation is the tensor product of cubic not-a-knot splines in tilt x, tilt y and thickness,
written in uniform B-splines so that every evaluation reads 4 × 4 × 4 coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from pyxem_mlmaps._compiled import inner_kernel

__all__ = ["LibrarySpline", "PackedSpline", "evaluate", "spline_weights"]

Float = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class LibrarySpline:
    """Coefficients of the interpolating spline and the axes they belong to.

    Parameters
    ----------
    coefficients
        (n_x + 2, n_y + 2, n_t + 2, n_disk) float32.
    start, step
        (3,) first grid point and grid step of tilt x, tilt y (degrees) and thickness (nm).
    size
        (3,) number of grid points n_x, n_y, n_t.
    """

    coefficients: NDArray[np.float32]
    start: Float
    step: Float
    size: NDArray[np.integer]

    @classmethod
    def fit(cls, intensities: Float, tilt_x: Float, tilt_y: Float, thickness: Float):
        """Interpolate (n_x, n_y, n_t, n_disk) intensities on their axes."""
        values = np.asarray(intensities)
        if values.dtype != np.float32:
            values = values.astype(float)
        values, thickness = _even_thickness(values, thickness)
        axes = (np.asarray(tilt_x), np.asarray(tilt_y), thickness)
        for axis in range(3):
            values = _bspline_coefficients(values, axis)
        return cls(
            coefficients=np.ascontiguousarray(values, dtype=np.float32),
            start=np.array([a[0] for a in axes], dtype=float),
            step=np.array([a[1] - a[0] for a in axes], dtype=float),
            size=np.array([len(a) for a in axes]),
        )

    @property
    def low(self) -> Float:
        """(3,) lower end of each axis."""
        return self.start

    @property
    def high(self) -> Float:
        """(3,) upper end of each axis."""
        return self.start + self.step * (self.size - 1)

    def __call__(self, parameters: Float) -> NDArray[np.float32]:
        """(n, n_disk) intensities at ``parameters`` (n, 3): tilt x, tilt y, thickness."""
        return evaluate(self.coefficients, self._units(parameters))[0]

    def with_gradient(self, parameters: Float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Intensities (n, n_disk) and their gradient (n, 3, n_disk), per degree and per nm."""
        values, gradient = evaluate(self.coefficients, self._units(parameters))
        return values, gradient / self.step.astype(np.float32)[:, None]

    def _units(self, parameters: Float) -> Float:
        return (np.atleast_2d(np.asarray(parameters, dtype=float)) - self.start) / self.step


@dataclass(frozen=True, eq=False)
class PackedSpline:
    """A spline in 16 bits: half the memory, and half the disk, of a :class:`LibrarySpline`.

    What is lost is 10⁻⁵ of each disk's largest intensity.

    Parameters
    ----------
    coefficients
        (n_x + 2, n_y + 2, n_t + 2, n_disk) int16.
    unit
        (n_disk,) what one of them stands for.
    start, step
        (3,) first grid point and grid step of tilt x, tilt y (degrees) and thickness (nm).
    """

    coefficients: NDArray[np.int16]
    unit: Float
    start: Float
    step: Float

    @classmethod
    def of(cls, spline: LibrarySpline) -> PackedSpline:
        """Round to the nearest of 65 535 levels."""
        c = spline.coefficients
        unit = np.maximum(np.abs(c).max(axis=(0, 1, 2)), 1e-30).astype(float) / (2**15 - 1)
        rounded = np.rint(c / unit.astype(np.float32))
        return cls(rounded.astype(np.int16), unit, spline.start, spline.step)

    @property
    def size(self) -> NDArray[np.integer]:
        """(3,) number of grid points n_x, n_y, n_t."""
        return np.array(self.coefficients.shape[:3]) - 2

    def at_depth(self, level: NDArray[np.integer]) -> NDArray[np.float32]:
        """(n_x + 2, n_y + 2, n_level, n_disk) coefficients in tilt at grid points of thickness."""
        c = self.coefficients
        total = 4 * c[:, :, level + 1].astype(np.float32)
        total += c[:, :, level]
        total += c[:, :, level + 2]
        total *= (self.unit / 6).astype(np.float32)
        return total


def _even_thickness(values: Float, thickness: Float) -> tuple[Float, Float]:
    """Resample onto an even thickness grid of at least 4 points."""
    t = np.asarray(thickness, dtype=float)
    if len(t) == 1:
        return np.repeat(values, 4, axis=2), t[0] + np.arange(-1.0, 3.0)
    steps = np.diff(t)
    if len(t) >= 4 and np.ptp(steps) < 1e-6 * steps.mean():
        return values, t
    n = max(int(np.ceil((t[-1] - t[0]) / steps.min() - 1e-9)) + 1, 4)
    even = np.linspace(t[0], t[-1], n)
    return make_interp_spline(t, values, k=min(3, len(t) - 1), axis=2)(even), even


def _bspline_coefficients(values: Float, axis: int) -> Float:
    """Coefficients (two more than points) of the not-a-knot cubic on an even grid."""
    matrix = _coefficients_of_values(values.shape[axis]).astype(values.dtype)
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)


@lru_cache(maxsize=64)
def _coefficients_of_values(n: int) -> Float:
    """(n + 2, n) matrix from values on an even grid to B-spline coefficients."""
    system = np.zeros((n + 2, n + 2))
    for i in range(n):
        system[i, i : i + 3] = (1 / 6, 4 / 6, 1 / 6)
    third_derivative = np.array([-1, 3, -3, 1.0])
    for row, knot in ((n, 1), (n + 1, n - 2)):  # the same cubic on both sides of this knot
        system[row, knot - 1 : knot + 3] -= third_derivative
        system[row, knot : knot + 4] += third_derivative
    return np.linalg.inv(system)[:, :n]


@inner_kernel(fastmath=True)
def spline_weights(u, size, weight, slope):  # pragma: no cover - compiled
    """Index of the first coefficient, 4 weights and their derivatives at grid coordinate u."""
    cell = int(np.floor(u))
    cell = min(max(cell, 0), size - 2)
    x = u - cell
    y = 1.0 - x
    weight[0] = y * y * y / 6
    weight[1] = (4 - 6 * x * x + 3 * x * x * x) / 6
    weight[2] = (4 - 6 * y * y + 3 * y * y * y) / 6
    weight[3] = x * x * x / 6
    slope[0] = -y * y / 2
    slope[1] = (3 * x * x - 4 * x) / 2
    slope[2] = (4 * y - 3 * y * y) / 2
    slope[3] = x * x / 2
    return cell


@inner_kernel(fastmath=True)
def evaluate_one(coefficients, u, w, dw, values, gradient):  # pragma: no cover - compiled
    """Values (n_disk,) and gradient (3, n_disk) at grid coordinates u (3,); w, dw are (3, 4)."""
    n_disk = coefficients.shape[3]
    i0 = spline_weights(u[0], coefficients.shape[0] - 2, w[0], dw[0])
    j0 = spline_weights(u[1], coefficients.shape[1] - 2, w[1], dw[1])
    k0 = spline_weights(u[2], coefficients.shape[2] - 2, w[2], dw[2])
    values[:] = 0
    gradient[:, :] = 0
    for i in range(4):
        for j in range(4):
            a = w[0, i] * w[1, j]
            b = dw[0, i] * w[1, j]
            c = w[0, i] * dw[1, j]
            for d in range(n_disk):
                line = coefficients[i0 + i, j0 + j, k0, d] * w[2, 0]
                rise = coefficients[i0 + i, j0 + j, k0, d] * dw[2, 0]
                for k in range(1, 4):
                    value = coefficients[i0 + i, j0 + j, k0 + k, d]
                    line += value * w[2, k]
                    rise += value * dw[2, k]
                values[d] += a * line
                gradient[0, d] += b * line
                gradient[1, d] += c * line
                gradient[2, d] += a * rise


@numba.njit(nogil=True, cache=True)
def evaluate(coefficients, units):  # pragma: no cover - compiled
    """Values (n, n_disk) and gradient (n, 3, n_disk) per grid step at units (n, 3)."""
    n = units.shape[0]
    n_disk = coefficients.shape[3]
    values = np.empty((n, n_disk), dtype=np.float32)
    gradient = np.empty((n, 3, n_disk), dtype=np.float32)
    w = np.empty((3, 4), dtype=np.float32)
    dw = np.empty((3, 4), dtype=np.float32)
    for m in range(n):
        evaluate_one(coefficients, units[m], w, dw, values[m], gradient[m])
    return values, gradient
