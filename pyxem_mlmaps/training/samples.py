"""Training samples: intensities drawn from interpolated libraries, degraded as a microscope does.

Every sample is fresh: new tilt, thickness, noise, background. Nothing is drawn twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import NoiseModel

__all__ = ["Sampler", "background_templates", "degrade", "neighbour_average", "normalise"]

Float = NDArray[np.floating]


def background_templates(positions: Float) -> Float:
    """Forms of the inelastic background under the disks, (2, n_disk), each of mean 1.

    The first is flat; the second a Lorentzian tail of the direct beam, whose half width is half
    the RMS distance of the disks (plasmon and thermal diffuse scattering fall off like this
    within the disks recorded; Egerton 2011, Electron Energy-Loss Spectroscopy, sec. 3.3).

    Parameters
    ----------
    positions
        (n_disk, 2) of the disks from the direct beam, in any unit.
    """
    squared = np.sum(np.asarray(positions, dtype=float) ** 2, axis=1)
    width = max(squared.mean() / 4, 1e-12)
    tail = 1 / (1 + squared / width)
    return np.stack([np.ones(len(squared)), tail / tail.mean()])


def neighbour_average(positions: Float) -> Float:
    """(n_disk, n_disk) matrix that averages over the nearest neighbours of each disk."""
    positions = np.asarray(positions, dtype=float)
    if len(positions) < 2:
        return np.eye(len(positions))
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    near = (distance < 1.25 * distance.min()).astype(float)
    counts = near.sum(axis=1, keepdims=True)
    return np.where(counts > 0, near / np.maximum(counts, 1), np.eye(len(positions)))


def normalise(intensities: Float) -> NDArray[np.float32]:
    """Intensities in units of each pattern's mean finite disk; unusable patterns become NaN."""
    values = np.asarray(intensities, dtype=np.float64)
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    total = np.where(finite, values, 0).sum(axis=1)
    mean = np.where((count > 0) & (total > 0), total / np.maximum(count, 1), np.nan)
    return (np.where(finite, values, np.nan) / mean[:, None]).astype(np.float32)


def degrade(
    clean: Float,
    noise: NoiseModel,
    templates: Float,
    neighbours: Float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Measured intensities for simulated ones.

    Parameters
    ----------
    clean
        (n, n_disk) simulated intensities in any scale.
    noise
        What happens to them.
    templates, neighbours
        From :func:`background_templates` and :func:`neighbour_average`.
    rng
        Source of all randomness.

    Returns
    -------
    numpy.ndarray
        (n, n_disk) in units of the mean clean disk, NaN for dead disks.
    """
    n, n_disk = clean.shape
    x = clean / clean.mean(axis=1, keepdims=True)
    if noise.model_error[1]:
        spread = rng.uniform(*noise.model_error, (n, 1)).astype(np.float32)
        x = x * np.exp(spread * rng.standard_normal(x.shape, dtype=np.float32) - spread**2 / 2)
    if noise.psf[1]:
        leak = rng.uniform(*noise.psf, (n, 1))
        x = (1 - leak) * x + leak * (x @ neighbours.T)
    if noise.background[1]:
        amount = rng.uniform(*noise.background, (n, 1))
        share = rng.uniform(0, 1, (n, 1))
        x = x + amount * (share * templates[0] + (1 - share) * templates[1])
    if noise.dose is not None:
        dose = np.exp(rng.uniform(*np.log(noise.dose), (n, 1)))
        counts_per_unit = dose / n_disk
        x = rng.poisson(np.minimum(x * counts_per_unit, 1e15)) / counts_per_unit
    if noise.white[1]:
        sigma = np.exp(rng.uniform(*np.log(noise.white), (n, 1))).astype(np.float32)
        x = x + sigma * rng.standard_normal(x.shape, dtype=np.float32)
    if noise.dead_disks:
        x = np.where(rng.random(x.shape) < noise.dead_disks, np.nan, x)
    return x.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws (parameters, intensities) from one or several libraries.

    Parameters
    ----------
    splines
        One for each library of an ensemble; all on the same axes.
    noise
        How the intensities are degraded.
    positions
        (n_disk, 2) of the disks from the direct beam, in any unit.
    """

    splines: Sequence[LibrarySpline]
    noise: NoiseModel
    positions: Float

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Float, NDArray[np.float32]]:
        """(n, 3) tilt x, tilt y, thickness, and (n, n_disk) measured intensities, mean 1."""
        low, high = self.splines[0].low, self.splines[0].high
        parameters = rng.uniform(low, high, (n, 3))
        if len(self.splines) == 1:
            clean = self.splines[0](parameters)
        else:
            member = rng.integers(len(self.splines), size=n)
            clean = np.empty((n, self.splines[0].coefficients.shape[3]), dtype=np.float32)
            for index, spline in enumerate(self.splines):
                clean[member == index] = spline(parameters[member == index])
        clean = np.maximum(clean, 0)
        measured = degrade(
            clean,
            self.noise,
            background_templates(self.positions),
            neighbour_average(self.positions),
            rng,
        )
        return parameters, normalise(measured)
