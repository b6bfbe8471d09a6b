"""From plane-wave maps to disk intensities: the mean over the condenser aperture."""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

__all__ = ["aperture_kernel", "aperture_margin", "average_over_aperture", "gaussian_blur"]


def aperture_margin(radius: float) -> int:
    """Grid points needed beyond the wanted tilts on each side, for a radius in grid steps."""
    return 0 if radius == 0 else int(np.ceil(radius)) + 1


def aperture_kernel(radius: float, samples: int = 48) -> NDArray[np.float64]:
    """Weights that turn cubic B-spline coefficients of a map into its mean over a disc.

    The weight of grid point (i, j) is the integral of β³(x - i) β³(y - j) over the disc, so the
    mean is exact for the interpolating spline, whatever the radius.

    Parameters
    ----------
    radius
        Disc radius in grid steps, above 0.
    samples
        Quadrature points per grid step and axis.

    Returns
    -------
    numpy.ndarray
        (2m+1, 2m+1), m = ``aperture_margin(radius)``, sum 1.
    """
    margin = aperture_margin(radius)
    fine = (np.arange(2 * (margin + 1) * samples) + 0.5) / samples - (margin + 1)
    inside = (fine[:, None] ** 2 + fine[None, :] ** 2 <= radius**2).astype(float)
    distance = np.abs(fine[:, None] - np.arange(-margin, margin + 1)[None, :])
    spline = np.where(
        distance < 1,
        2 / 3 - distance**2 + distance**3 / 2,
        np.clip(2 - distance, 0, None) ** 3 / 6,
    )
    kernel = spline.T @ inside @ spline
    return kernel / kernel.sum()


def average_over_aperture(maps: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
    """Mean of each map over a disc around every grid point.

    Parameters
    ----------
    maps
        (n_x, n_y, ...) intensities on a regular tilt grid.
    radius
        Convergence semi-angle in grid steps; 0 returns the maps.

    Returns
    -------
    numpy.ndarray
        (n_x - 2m, n_y - 2m, ...) with m = ``aperture_margin(radius)``.
    """
    maps = np.asarray(maps, dtype=np.float32)
    if radius == 0:
        return maps
    kernel = aperture_kernel(radius)
    shape = maps.shape
    flat = maps.reshape(shape[0], shape[1], -1)
    for axis in (0, 1):
        flat = scipy.ndimage.spline_filter1d(flat, order=3, axis=axis, output=np.float32)
    mean = scipy.signal.oaconvolve(
        flat, kernel[:, :, None].astype(np.float32), mode="valid", axes=(0, 1)
    )
    return np.clip(mean, 0, None).reshape(*mean.shape[:2], *shape[2:]).astype(np.float32)


def gaussian_blur(maps: NDArray[np.floating], sigma: float) -> NDArray[np.float32]:
    """Mosaic spread: each map convolved in tilt with a Gaussian of ``sigma`` grid steps."""
    if sigma == 0:
        return np.asarray(maps, dtype=np.float32)
    return scipy.ndimage.gaussian_filter(
        np.asarray(maps, dtype=np.float32), sigma, axes=(0, 1), mode="nearest"
    )
