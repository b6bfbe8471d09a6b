"""Cramér-Rao bound on disk positions and strain, the contrast of each disk unknown.

A window is I(p) = N c(u) A(u) + b with u = (p - s)/R: A the blurred aperture, c the contrast (mean
1), s the centre. Moving the disk moves both. Unknown besides s: N, b and c, the latter with a
Gaussian prior, the mean and covariance of dynamical disks (principal components). With J the
derivatives of I to all unknowns and V the noise variance of each pixel, the information is
JᵀV⁻¹J + prior⁻¹ (van Trees 1968, §2.4); what is left for s after elimination of the rest bounds its
covariance. Disks count as independent of each other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from disk_maps import Maps, maps
from disk_sets import BACKGROUND, WINDOW, conditions, geometry_b
from numpy.typing import NDArray
from scipy.special import erfc

Float = NDArray[np.floating]
OFFSET = (0.21, -0.34)
"""Sub-pixel position at which the bound is taken; others differ by less than a percent."""


@dataclass(frozen=True, eq=False)
class ContrastPrior:
    """Mean (n_pixel,) and components (n_component, n_pixel), each times its standard deviation,
    of dynamical disks of mean 1, on the pixels ``y``, ``x`` (px from the disk's centre)."""

    mean: Float
    components: Float
    y: Float
    x: Float
    radius: float
    aperture: Float
    slope: Float


class Bound(NamedTuple):
    """Standard deviations (px per axis, or strain): over many disks, three ways to average.

    ``rms``: root of the mean variance, what an RMSE cannot fall below; ``median``;
    ``information``: of the disk that has the mean information.
    """

    rms: float
    median: float
    information: float


@functools.lru_cache(maxsize=4)
def contrast_prior(
    material: str, radius: float, edge: float, n_disk: int = 4000, n_component: int = 300
) -> ContrastPrior:
    """Learnt from ``n_disk`` random tilts, thicknesses and reflections."""
    source = maps(material)
    blur = float(np.sqrt(edge**2 + 1 / 12))
    reach = int(np.ceil(radius + 4 * blur)) + 1
    axis = np.arange(-reach, reach + 1)
    y, x = (
        v.ravel() - o for v, o in zip(np.meshgrid(axis, axis, indexing="ij"), OFFSET, strict=True)
    )
    near = np.hypot(y, x) < radius + 4 * blur
    y, x = y[near], x[near]
    distance = np.hypot(y, x)
    aperture = 0.5 * erfc((distance - radius) / (np.sqrt(2) * blur))
    slope = -np.exp(-((distance - radius) ** 2) / (2 * blur**2)) / (np.sqrt(2 * np.pi) * blur)
    rng = np.random.default_rng(90210)
    where = conditions(source.material, n_disk, rng)
    disks = rng.integers(source.coefficients.shape[-1], size=n_disk)
    values = np.stack(
        [source.crop(int(d), w, y / radius, x / radius) for d, w in zip(disks, where, strict=True)]
    )
    values *= aperture.sum() / (values @ aperture)[:, None]
    mean = values.mean(axis=0)
    values = (values - mean) * np.sqrt(aperture)  # components that matter within the aperture
    strength, vectors = np.linalg.eigh(values.T @ values / n_disk)
    keep = np.argsort(strength)[::-1][:n_component]
    scaled = vectors[:, keep].T * np.sqrt(np.maximum(strength[keep], 0))[:, None]
    components = scaled / np.sqrt(np.maximum(aperture, 1e-12))
    return ContrastPrior(mean, components, y, x, radius, aperture, slope)


def position_bound(
    electrons: float | None = None, snr: float | None = None, radius: float = 30.0,
    edge: float = 1.0, n: int = 150, material: str = "Si [110]", seed: int = 0,
) -> Bound:  # fmt: skip
    """Geometry A, px per axis; ``electrons`` per disk, or ``snr`` in dB (see ``disk_sets``)."""
    source, prior = maps(material), contrast_prior(material, radius, edge)
    rng = np.random.default_rng([seed, 11])
    disks = rng.integers(source.coefficients.shape[-1], size=n)
    where = conditions(source.material, n, rng)
    variance = np.empty(n)
    for i in range(n):
        information = disk_information(
            source, prior, int(disks[i]), where[i], electrons, snr, BACKGROUND
        )
        variance[i] = np.trace(np.linalg.inv(information)) / 2
    return _averages(variance)


def strain_bound(
    electrons: float, n: int = 20, material: str = "Si [110]", seed: int = 0, edge: float = 0.5
) -> Bound:
    """Geometry B: e_xx, e_yy, e_xy together, from a lattice fit weighted by each disk's bound."""
    radius = 7.0
    source, prior = maps(material), contrast_prior(material, radius, edge)
    sets = geometry_b(n, electrons, seed, radius, edge, material)
    relative = sets.lattice.positions - np.asarray(sets.lattice.origin)
    number = {tuple(np.round(v, 6)): i for i, v in enumerate(source.vectors * radius)}
    disks = [number[tuple(np.round(v, 6))] for v in relative]
    level = BACKGROUND * electrons
    where = sets.where
    variance = np.empty((n, 3))
    for i in range(n):
        total = np.zeros((6, 6))
        for d, disk in enumerate(disks):
            counts = sets.counts[i, d]
            information = disk_information(
                source, prior, disk, where[i], counts, None, level / counts
            )
            y, x = relative[d]
            # (y, x) from origin (2) and distortion (yy, yx, xy, xx)
            design = np.array([[1, 0, y, x, 0, 0], [0, 1, 0, 0, y, x]])
            total += design.T @ information @ design
        covariance = np.linalg.inv(total)[2:, 2:]
        shear = np.array([0, 0.5, 0.5, 0])
        variance[i] = covariance[3, 3], covariance[0, 0], shear @ covariance @ shear
    return _averages(variance.ravel())


def disk_information(
    source: Maps, prior: ContrastPrior, disk: int, where: Float, electrons: float | None,
    snr: float | None, background: float,
) -> Float:  # fmt: skip
    """(2, 2) information on the centre (y, x), px⁻², all else eliminated."""
    radius = prior.radius
    contrast, d_y, d_x = _contrast(
        source, disk, where, prior.y / radius, prior.x / radius, prior.aperture
    )
    level = 1.0 if snr is not None else electrons / (np.pi * radius**2)
    if snr is not None:
        disk = contrast * prior.aperture
        power = (disk @ disk + 2 * background * disk.sum()) / WINDOW**2 + background**2
        noise = np.full(contrast.shape, power / 10 ** (snr / 10))
    else:
        noise = level * (contrast * prior.aperture + background)
    distance = np.maximum(np.hypot(prior.y, prior.x), 1e-9)
    move_y = -(d_y / radius * prior.aperture + contrast * prior.slope * prior.y / distance)
    move_x = -(d_x / radius * prior.aperture + contrast * prior.slope * prior.x / distance)
    jacobian = level * np.concatenate(
        [
            np.stack([move_y, move_x, contrast * prior.aperture, np.ones_like(contrast)]),
            prior.components * prior.aperture,
        ]
    )
    weighted = jacobian / np.sqrt(noise)
    information = weighted @ weighted.T
    information[np.arange(4, len(information)), np.arange(4, len(information))] += 1
    rest = information[2:, 2:]
    return information[:2, :2] - information[:2, 2:] @ np.linalg.solve(rest, information[2:, :2])


def _contrast(
    source: Maps, disk: int, where: Float, y: Float, x: Float, aperture: Float
) -> tuple[Float, Float, Float]:
    """Contrast of mean 1 and its derivatives to y and x (per disk radius)."""
    step = 0.02
    value = source.crop(disk, where, y, x)
    mean = (value * aperture).sum() / aperture.sum()
    d_y = source.crop(disk, where, y + step, x) - source.crop(disk, where, y - step, x)
    d_x = source.crop(disk, where, y, x + step) - source.crop(disk, where, y, x - step)
    return value / mean, d_y / (2 * step * mean), d_x / (2 * step * mean)


def _averages(variance: Float) -> Bound:
    return Bound(
        float(np.sqrt(variance.mean())),
        float(np.sqrt(np.median(variance))),
        float(1 / np.sqrt((1 / variance).mean())),
    )
