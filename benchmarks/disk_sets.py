"""Test patterns for the disk benchmarks, with their truth; none of this code trains anything.

Geometry A: windows of 121 × 121 px with one disk. Geometry B: whole 256 × 256 patterns with the
disks of a zone. The disks themselves are those of :mod:`disk_maps`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from disk_maps import MATERIALS, Maps, Material, maps
from numpy.typing import NDArray

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.mapping.lattice import in_plane_indices

__all__ = [
    "MATERIALS", "Patterns", "Windows", "conditions", "geometry_a", "geometry_b", "maps",
    "thickness_line", "tilt_line",
]  # fmt: skip

Float = NDArray[np.floating]
WINDOW = 121
DETECTOR = (256, 256)
BACKGROUND = 0.02
"""Flat background, as a fraction of the mean level within a disk of mean intensity."""


class Windows(NamedTuple):
    """Geometry A: ``images`` (n, 121, 121) float32; ``truth`` (n, 2) disk centre (y, x) in px from
    the window's centre pixel; ``contrast`` (n,) std/mean within the disk, free of noise."""

    images: NDArray[np.float32]
    truth: Float
    contrast: Float


class Patterns(NamedTuple):
    """Geometry B: ``patterns`` (n, 256, 256) float32; ``lattice`` the undistorted one with its
    origin at the detector's centre; ``positions`` (n, n_disk, 2) true centres (y, x) px;
    ``strain`` (n, 3) e_xx, e_yy, e_xy of the crystal (real space); ``counts`` (n, n_disk);
    ``where`` (n, 3) tilt x, tilt y (mrad), thickness (nm)."""

    patterns: NDArray[np.float32]
    lattice: mlmaps.DiskLattice
    positions: Float
    strain: Float
    counts: Float
    where: Float


def geometry_a(
    n: int,
    electrons: float | None = 1e4,
    seed: int = 0,
    radius: float = 30.0,
    edge: float = 1.0,
    snr: float | Float | None = None,
    material: str = "Si [110]",
    background: float = BACKGROUND,
    reach: float = 12.0,
) -> Windows:
    """Windows of 121 × 121 px with one disk each.

    Parameters
    ----------
    n
        Number of windows.
    electrons
        Mean counts of a whole disk, Poisson distributed. None: no noise unless ``snr`` is given.
    seed
        The same seed draws the same disks and centres at any dose, radius and edge.
    radius, edge
        Of the disk and standard deviation of its blur, px.
    snr
        dB of white Gaussian noise in place of Poisson noise: 10·log10(mean square of the whole
        noise-free window / variance of the noise), one number or (n,). The disk's mean level is
        then 1.
    material
        Key of ``MATERIALS``.
    background
        Flat, as a fraction of the disk's mean level.
    reach
        Centres are uniform within ± this on each axis, px.

    Returns
    -------
    Windows
    """
    source = maps(material)
    rng = np.random.default_rng([seed, 1])
    disks = rng.integers(source.coefficients.shape[-1], size=n)
    where = conditions(source.material, n, rng)
    truth = rng.uniform(-reach, reach, (n, 2))
    noise = np.random.default_rng([seed, 2])
    area = np.pi * radius**2
    images = np.empty((n, WINDOW, WINDOW), dtype=np.float32)
    contrast = np.empty(n)
    decibel = None if snr is None else np.broadcast_to(snr, n)
    for i in range(n):
        disk = source.disk(int(disks[i]), where[i], (WINDOW - 1) / 2 + truth[i], radius, edge)
        contrast[i] = disk.contrast
        level = 1.0 if electrons is None or decibel is not None else electrons / area
        image = np.full((WINDOW, WINDOW), background * level)
        disk.add_to(image, level * area)
        if decibel is not None:
            deviation = np.sqrt(np.mean(image**2) / 10 ** (decibel[i] / 10))
            image += noise.normal(0, deviation, image.shape)
        elif electrons is not None:
            image = noise.poisson(image)
        images[i] = image
    return Windows(images, truth, contrast)


def geometry_b(
    n: int,
    electrons: float | None = 1e4,
    seed: int = 0,
    radius: float = 7.0,
    edge: float = 0.5,
    material: str = "Si [110]",
    background: float = BACKGROUND,
    strain: float = 0.01,
) -> Patterns:
    """Whole patterns of up to 37 disks; strain, tilt, thickness and origin differ in each.

    Parameters
    ----------
    n, seed, radius, edge, material
        As in :func:`geometry_a`.
    electrons
        Mean counts of a disk over the disks of each pattern: strong and weak ones as diffraction
        gives them. None: no noise, at 10⁵ counts.
    background
        Flat, as a fraction of the level of a disk of mean intensity.
    strain
        e_xx, e_yy, e_xy and the rotation are uniform within ± this.

    Returns
    -------
    Patterns
    """
    source = maps(material)
    rng = np.random.default_rng([seed, 3])
    where = conditions(source.material, n, rng)
    distortion = rng.uniform(-strain, strain, (n, 4))
    origins = (np.array(DETECTOR) - 1) / 2 + rng.uniform(-1, 1, (n, 2))
    return _patterns(
        source, where, distortion, origins, electrons, radius, edge, background, [seed, 4]
    )


def tilt_line(n: int = 51, azimuth: float = 25.0, thickness: float = 65.0, **options) -> Patterns:
    """Noise-free patterns along a line of tilt, 0 to 5 mrad at ``azimuth`` degrees from kx, with
    one lattice and one origin; ``options`` as in :func:`geometry_b`."""
    size = np.linspace(0, 5, n)
    angle = np.radians(azimuth)
    where = np.stack(
        [size * np.cos(angle), size * np.sin(angle), np.full(n, float(thickness))], axis=1
    )
    return _line(where, **options)


def thickness_line(
    n: int = 71, tilt: float = 2.5, azimuth: float = 25.0, low: float = 30, high: float = 100,
    **options,
) -> Patterns:  # fmt: skip
    """Noise-free patterns along a wedge, 30 to 100 nm, at one tilt (mrad), lattice and origin."""
    angle = np.radians(azimuth)
    depth = np.linspace(low, high, n)
    where = np.stack(
        [np.full(n, tilt * np.cos(angle)), np.full(n, tilt * np.sin(angle)), depth], axis=1
    )
    return _line(where, **options)


def conditions(material: Material, n: int, rng: np.random.Generator) -> Float:
    """(n, 3) tilt x, tilt y (mrad), thickness (nm): size of the tilt and thickness uniform."""
    size, angle = rng.uniform(0, material.largest_tilt, n), rng.uniform(0, 2 * np.pi, n)
    depth = rng.uniform(*material.thickness, n)
    return np.stack([size * np.cos(angle), size * np.sin(angle), depth], axis=1)


def _line(where: Float, seed: int = 0, radius: float = 7.0, edge: float = 0.5,
          material: str = "Si [110]", background: float = BACKGROUND) -> Patterns:  # fmt: skip
    rng = np.random.default_rng([seed, 5])
    origins = np.tile((np.array(DETECTOR) - 1) / 2 + rng.uniform(-1, 1, 2), (len(where), 1))
    still = np.zeros((len(where), 4))
    return _patterns(maps(material), where, still, origins, None, radius, edge, background, seed)


def _patterns(
    source: Maps, where: Float, distortion: Float, origins: Float, electrons: float | None,
    radius: float, edge: float, background: float, seed: Any,
) -> Patterns:  # fmt: skip
    indices, basis = in_plane_indices(source.miller, source.vectors * radius)
    lattice = mlmaps.DiskLattice(
        ((DETECTOR[0] - 1) / 2, (DETECTOR[1] - 1) / 2), basis[0], basis[1], indices, radius
    )
    margin = radius + 5  # what strain, origin and the blurred edge need
    on = np.all(
        np.abs(lattice.positions - lattice.origin) < np.array(DETECTOR) / 2 - margin, axis=1
    )
    lattice = lattice.replace(indices=indices[on])
    disks = np.flatnonzero(on)
    relative = lattice.positions - np.asarray(lattice.origin)
    e_xx, e_yy, e_xy, turn = distortion.T
    # the crystal's deformation (y, x); diffraction vectors go by its inverse transpose
    real = np.eye(2) + np.stack([e_yy, e_xy - turn, e_xy + turn, e_xx], axis=1).reshape(-1, 2, 2)
    moved = np.linalg.inv(real).transpose(0, 2, 1)
    positions = origins[:, None] + np.einsum("nij,dj->ndi", moved, relative)
    level = 1e5 if electrons is None else electrons
    noise = np.random.default_rng(seed)
    patterns = np.empty((len(where), *DETECTOR), dtype=np.float32)
    counts = np.empty((len(where), len(disks)))
    for i in range(len(where)):
        strength = source.intensities(where[i])[disks]
        counts[i] = level * strength / strength.mean()
        pattern = np.full(DETECTOR, background * level / (np.pi * radius**2))
        for d, disk in enumerate(disks):
            image = source.disk(disk, where[i], positions[i, d], radius, edge)
            image.add_to(pattern, counts[i, d])
        patterns[i] = pattern if electrons is None else noise.poisson(pattern)
    return Patterns(patterns, lattice, positions, distortion[:, :3], counts, where)
