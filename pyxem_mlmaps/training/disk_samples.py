"""Training disks drawn freshly: what differs from one experiment to the next, differs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.training.disk_circles import ANGLES
from pyxem_mlmaps.training.disk_conditions import WIDEST_EDGE, DiskConditions
from pyxem_mlmaps.training.disk_contrast import ContrastBank
from pyxem_mlmaps.training.disk_features import (
    COARSE_INPUTS,
    STRIP_INPUTS,
    coarse_picture,
    first_strip,
    last_strip,
)
from pyxem_mlmaps.training.disk_pixels import bin_factor, bin_patterns
from pyxem_mlmaps.training.disk_render import NEIGHBOURS, Draws, render_disk

__all__ = ["DiskImages", "DiskSampler", "coarse_of", "strips_of"]

Float = NDArray[np.float64]


class DiskImages(NamedTuple):
    """Rendered windows.

    Attributes
    ----------
    pixels
        Flat float32, one window after the other.
    first
        (n,) where each begins.
    size
        (n,) its side, px.
    told_radius, true_radius
        (n,) px.
    centre
        (n, 2) of the disk from the window's centre pixel; for a blank window, any.
    present
        (n,) whether there is a disk.
    edge
        (n,) standard deviation of the edge's blur, px, with that of smeared counts.
    told_edge
        (n,) the same where it is told to the network, else 0.
    g
        (n, 2) place from the direct beam (y, x), px; NaN for contrast of no crystal.
    told_g
        (n, 2) the same where it is told to the network, else NaN.
    """

    pixels: NDArray[np.float32]
    first: NDArray[np.int64]
    size: NDArray[np.int64]
    told_radius: Float
    true_radius: Float
    centre: Float
    present: NDArray[np.bool_]
    edge: Float
    told_edge: Float
    g: Float
    told_g: Float

    def with_known(
        self, optics: NDArray[np.bool_], place: NDArray[np.bool_], rng: np.random.Generator
    ) -> DiskImages:
        """The same images where the network is told, nearly exactly, radius and edge of the disks
        ``optics`` (n,) and the place from the direct beam of the disks ``place`` (n,)."""
        n = len(optics)
        radius = self.true_radius * (1 + 0.001 * rng.normal(size=n)) + 0.01 * rng.normal(size=n)
        edge = self.edge * np.exp(0.03 * rng.normal(size=n))
        return self._replace(
            told_radius=np.where(optics, radius, self.told_radius),
            told_edge=np.where(optics, edge, 0.0),
            told_g=np.where(place[:, None], self.g, np.nan),
        )


@dataclass(frozen=True, eq=False)
class DiskSampler:
    """Draws training disks.

    Parameters
    ----------
    bank
        Contrast to crop from.
    conditions
        Ranges.
    """

    bank: ContrastBank
    conditions: DiskConditions

    def images(
        self, n: int, rng: np.random.Generator, window: tuple[float, float] = (1.3, 2.05)
    ) -> DiskImages:
        """``n`` rendered windows; the same generator gives the same images.

        ``window`` is the range of their half width in radii.
        """
        draws, told, g = self._draw(n, rng, window)
        size = 2 * draws.window + 1
        first = np.concatenate([[0], np.cumsum(size**2)])
        pixels = np.empty(first[-1], dtype=np.float32)
        _render_all(draws, self.bank.maps, first, size, pixels)
        return DiskImages(
            pixels,
            first[:-1],
            size,
            told,
            draws.radius,
            draws.centre,
            draws.level > 0,
            np.sqrt(draws.edge**2 + draws.smear / 2),
            np.zeros(n),
            g,
            np.full((n, 2), np.nan),
        )

    def _draw(
        self, n: int, rng: np.random.Generator, reach: tuple[float, float]
    ) -> tuple[Draws, Float, Float]:
        c = self.conditions

        def log_uniform(pair: tuple[float, float]) -> Float:
            return np.exp(rng.uniform(np.log(pair[0]), np.log(pair[1]), n))

        small = rng.random(n) ** 1.3  # large disks cost most and differ least
        radius = c.radius[0] * (c.radius[1] / c.radius[0]) ** small
        edge = np.minimum(log_uniform(c.edge), WIDEST_EDGE * radius)
        present = rng.random(n) >= c.blank
        mean_counts = log_uniform(c.electrons) / (np.pi * radius**2)
        poisson, white = self._noise(n, rng, mean_counts, log_uniform(c.white))
        told = self._told_radius(n, rng, radius)
        shift = c.shift * told[:, None] * _in_disk(n, rng)
        level = np.where(present, mean_counts, 0.0)
        contrast, crop, grid, g = self._crops(n, rng, radius)
        halo = (rng.random(n) < 0.25) & (radius > 6)
        stretched = rng.random(n) < 0.4
        window = np.ceil(told * rng.uniform(*reach, n) + 1).astype(np.int64)
        return (
            Draws(
                radius=radius,
                edge=edge,
                halo_share=np.where(halo, rng.uniform(0.02, 0.25, n), 0.0),
                halo_width=np.minimum(edge + rng.uniform(0.5, 5, n), radius / 3),
                stretch=np.where(stretched, rng.uniform(0, c.ellipticity, n), 0.0),
                stretch_angle=rng.uniform(0, np.pi, n),
                centre=shift,
                window=window,
                contrast=contrast,
                crop=crop,
                grid=grid,
                level=level,
                neighbours=self._neighbours(n, rng, radius, mean_counts),
                background=self._background(n, rng, radius, mean_counts, log_uniform(c.background)),
                tail_centre=self._tail_centre(n, rng, radius, g),
                white=white * mean_counts,
                poisson=poisson,
                smear=np.where(rng.random(n) < 0.12, rng.uniform(0.05, 0.5, n), 0.0),
                dead=np.where(rng.random(n) < 0.15, rng.uniform(0, c.dead_pixels, n), 0.0),
                seed=rng.integers(0, 2**31, n),
            ),
            told,
            g,
        )

    def _noise(
        self, n: int, rng: np.random.Generator, mean_counts: Float, white: Float
    ) -> tuple[NDArray[np.bool_], Float]:
        has_white = rng.random(n) < self.conditions.white_share
        poisson = ~has_white | (rng.random(n) < 0.5)
        return poisson, np.where(has_white, white, 0.0)

    def _told_radius(self, n: int, rng: np.random.Generator, radius: Float) -> Float:
        """Half of the users know the radius to a fraction of a pixel, half do not."""
        limit = np.minimum(self.conditions.radius_error, 0.2 * radius)
        close = np.clip(rng.normal(0, 0.2, n), -1, 1) * limit
        loose = rng.uniform(-1, 1, n) * limit
        return radius + np.where(rng.random(n) < 0.5, close, loose)

    def _crops(
        self, n: int, rng: np.random.Generator, radius: Float
    ) -> tuple[NDArray[np.int64], Float, Float, Float]:
        """Maps, where to crop, the turned and mirrored grid that a pixel steps over, and the
        disk's place from the direct beam, px."""
        bank = self.bank
        contrast = rng.integers(0, len(bank), (n, 1 + NEIGHBOURS))
        low, high = bank.steps[contrast[:, 0]].T
        steps = rng.uniform(low, high)
        size = bank.maps.shape[1]
        room = np.maximum((size - 1) / 2 - 1.1 * steps - 1, 0)
        crop = (size - 1) / 2 + room[:, None, None] * rng.uniform(-1, 1, (n, 1 + NEIGHBOURS, 2))
        angle = rng.uniform(0, 2 * np.pi, n)
        mirror = rng.choice([-1.0, 1.0], n)
        c, s = np.cos(angle), np.sin(angle)
        grid = np.stack([np.stack([c, -s], -1), np.stack([mirror * s, mirror * c], -1)], 1)
        grid *= (steps / radius)[:, None, None]
        # a pixel at u from the disk's centre shows the map at tilt - u/k0: G d = -u
        g = -np.linalg.solve(grid, bank.g[contrast[:, 0], :, None])[..., 0]
        return contrast, crop, grid, g

    def _tail_centre(self, n: int, rng: np.random.Generator, radius: Float, g: Float) -> Float:
        """From the disk's centre: the direct beam for half of those whose place is known."""
        anywhere = radius[:, None] * rng.uniform(-6, 6, (n, 2))
        direct = np.isfinite(g).all(axis=1) & (rng.random(n) < 0.5)
        return np.where(direct[:, None], -g, anywhere)

    def _neighbours(
        self, n: int, rng: np.random.Generator, radius: Float, mean_counts: Float
    ) -> Float:
        """Six places of a random lattice, some of them lit; far ones leave the window anyway."""
        length = radius[:, None] * np.exp(rng.uniform(np.log(2.06), np.log(4.5), (n, 2)))
        angle = rng.uniform(0, 2 * np.pi, n)[:, None] + np.stack(
            [np.zeros(n), rng.uniform(np.pi / 3, 2 * np.pi / 3, n)], axis=1
        )
        basis = length[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        steps = np.array([(1, 0), (0, 1), (-1, 0), (0, -1), (1, -1), (-1, 1)], dtype=float)
        places = np.einsum("ki,nij->nkj", steps, basis)
        level = mean_counts[:, None] * np.exp(rng.normal(0, 1.2, (n, NEIGHBOURS)))
        lit = (rng.random((n, NEIGHBOURS)) < 0.8) & (rng.random(n) < 0.6)[:, None]
        apart = np.linalg.norm(places, axis=-1) > 2.05 * radius[:, None]
        return np.concatenate([places, np.where(lit & apart, level, 0.0)[..., None]], axis=-1)

    def _background(
        self, n: int, rng: np.random.Generator, radius: Float, mean_counts: Float, level: Float
    ) -> Float:
        flat = level * mean_counts
        sloped = rng.random(n) < 0.4
        steepness = np.where(sloped, rng.uniform(0, 0.4, n), 0.0) * flat / radius
        angle = rng.uniform(0, 2 * np.pi, n)
        tail = np.where(rng.random(n) < 0.4, rng.uniform(0, 3, n), 0.0) * flat
        return np.stack(
            [
                flat,
                steepness * np.sin(angle),
                steepness * np.cos(angle),
                tail,
                radius * rng.uniform(0.7, 5, n),
            ],
            axis=-1,
        )


def _in_disk(n: int, rng: np.random.Generator) -> Float:
    """(n, 2) points of the unit disc; a third near its middle, where most disks are."""
    angle = rng.uniform(0, 2 * np.pi, n)
    far = np.sqrt(rng.random(n)) * np.where(rng.random(n) < 1 / 3, 0.3, 1.0)
    return far[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)


@numba.njit(nogil=True, cache=True)
def _render_all(draws, maps, first, size, pixels):  # pragma: no cover - compiled
    for m in range(len(size)):
        image = pixels[first[m] : first[m + 1]].reshape((size[m], size[m]))
        render_disk(draws, m, maps, size[m], image)


@numba.njit(nogil=True, cache=True)
def _coarse_all(pixels, first, size, radius, out):  # pragma: no cover - compiled
    for m in range(len(size)):
        side = size[m]
        image = pixels[first[m] : first[m] + side * side].reshape((1, side, side))
        middle = (side - 1) / 2
        factor = bin_factor(radius[m])
        rough = image if factor == 1 else bin_patterns(image, factor)
        coarse_picture(
            rough[0], factor, middle, middle, radius[m], 0, side - 1, 0, side - 1, out[m]
        )


@numba.njit(nogil=True, cache=True)
def _strips_all(
    pixels, first, size, radius, edge, g, start, stage, out, half
):  # pragma: no cover - compiled
    for m in range(len(size)):
        side = size[m]
        image = pixels[first[m] : first[m] + side * side].reshape((1, side, side))
        middle = (side - 1) / 2
        factor = bin_factor(radius[m])
        rough = image if factor == 1 else bin_patterns(image, factor)
        y, x = middle + start[m, 0], middle + start[m, 1]
        if stage == 0:
            half[m] = first_strip(
                rough[0], factor, y, x, radius[m], 0, side - 1, 0, side - 1, out[m]
            )
        else:
            half[m] = last_strip(
                image[0], rough[0], factor, y, x, radius[m], edge[m], g[m, 0], g[m, 1],
                0, side - 1, 0, side - 1, out[m],
            )  # fmt: skip


def coarse_of(images: DiskImages) -> NDArray[np.float32]:
    """(n, COARSE_INPUTS) features round the centre of each window."""
    out = np.empty((len(images.size), COARSE_INPUTS), dtype=np.float32)
    _coarse_all(images.pixels, images.first, images.size, images.told_radius, out)
    return out


def strips_of(
    images: DiskImages, start: Float, stage: int
) -> tuple[NDArray[np.float32], Float, Float]:
    """Strips round disks assumed at ``start`` (n, 2) from the window's centre.

    Returns
    -------
    strips : (n, ANGLES, STRIP_INPUTS)
    half : (n,) half width of each strip, px
    target : (n, 3) true minus assumed y, x and radius in half widths
    """
    n = len(images.size)
    out = np.empty((n, ANGLES, STRIP_INPUTS), dtype=np.float32)
    half = np.empty(n)
    _strips_all(
        images.pixels, images.first, images.size, images.told_radius, images.told_edge,
        images.told_g, start, stage, out, half,
    )  # fmt: skip
    error = np.column_stack([images.centre - start, images.true_radius - images.told_radius])
    return out, half, error / half[:, None]
