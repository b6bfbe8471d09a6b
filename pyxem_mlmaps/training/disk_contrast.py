"""The contrast inside diffraction disks: plane-wave maps to crop disks from, of many crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from pyxem_mlmaps.simulation.library import RockingLibrary

__all__ = ["ContrastBank", "contrast_bank"]

Float = NDArray[np.floating]

FINER = 2
"""Maps are cubically interpolated to a grid this much finer, so that crops may be linear."""
FAINTEST = 1e-5
"""Of the brightest map's mean: fainter ones hold little but the propagation's own errors."""
LARGEST_STEPS = 16.0
"""Disk radius in grid steps beyond which a map is too small to crop different disks from it."""


@dataclass(frozen=True, eq=False)
class ContrastBank:
    """Maps whose crops are disk images, mean about 1.

    Parameters
    ----------
    maps
        (n_map, size, size) float32, fine enough for linear interpolation.
    steps
        (n_map, 2) smallest and largest disk radius in grid steps of that map.
    g
        (n_map, 2) diffraction vector (x, y) in grid steps; NaN where there is none. None: nowhere.

    Raises
    ------
    ValueError
        If the arrays do not fit each other or a disk is larger than half its map.
    """

    maps: NDArray[np.float32]
    steps: Float
    g: Float | None = None

    def __post_init__(self) -> None:
        n, height, width = self.maps.shape
        if self.g is None:
            object.__setattr__(self, "g", np.full((n, 2), np.nan))
        if height != width or not self.steps.shape == self.g.shape == (n, 2):
            raise ValueError(
                f"maps {self.maps.shape}, steps {self.steps.shape} and g {self.g.shape}: (n, size, "
                "size), (n, 2) and (n, 2) are needed."
            )
        if not (0 < self.steps[:, 0].min() and self.steps[:, 1].max() < height / 2 - 2):
            raise ValueError(f"steps {self.steps.min():g} to {self.steps.max():g} leave the maps.")

    def __len__(self) -> int:
        return len(self.maps)


def contrast_bank(
    libraries: Sequence[RockingLibrary], smooth_share: float = 0.15, seed: int = 0
) -> ContrastBank:
    """A bank from simulated libraries, and some maps that no crystal made.

    Parameters
    ----------
    libraries
        With plane-wave maps (``keep_maps=True``); the beam tells how large a disk is on them.
        Disks are cropped at 0.3 to 1 times the convergence semi-angle.
    smooth_share
        Random smooth fields, as a share of the whole, so that the network does not count on any
        one crystal's fringes.
    seed
        For those fields.

    Raises
    ------
    ValueError
        If there is no library, or one has no maps or no beam.
    """
    if not len(libraries):
        raise ValueError("libraries is empty; simulate at least one with keep_maps=True.")
    maps, steps, places = [], [], []
    size = min(min(np.shape(_maps(each))[:2]) for each in libraries)
    for library in libraries:
        values = np.asarray(_maps(library), dtype=np.float32)
        y, x = ((n - size) // 2 for n in values.shape[:2])
        values = values[y : y + size, x : x + size]
        flat = np.moveaxis(values.reshape(size, size, -1), -1, 0)
        bright = flat.mean(axis=(1, 2)) > FAINTEST * flat.mean(axis=(1, 2)).max()
        flat = flat[bright]
        step = np.radians(library.tilt_x[1] - library.tilt_x[0])
        places.append(np.tile(_steps_of_g(library, step), (values.shape[2], 1))[bright])
        largest = library.beam.convergence_angle * 1e-3 / step
        largest = min(largest, LARGEST_STEPS, size / 2 - 3)
        maps.append(flat)
        steps.append(np.tile([0.3 * largest, largest], (len(flat), 1)))
    n_simulated = sum(map(len, maps))
    n_smooth = int(round(smooth_share / (1 - smooth_share) * n_simulated))
    if n_smooth:
        smooth, radius = _smooth_fields(n_smooth, size, np.random.default_rng([seed, 11]))
        maps.append(smooth)
        steps.append(np.column_stack([0.5 * radius, radius]))
        places.append(np.full((n_smooth, 2), np.nan))
    stacked = np.concatenate(maps)
    stacked /= np.maximum(stacked.mean(axis=(1, 2), keepdims=True), 1e-30)
    fine = np.empty((len(stacked), *[FINER * (size - 1) + 1] * 2), dtype=np.float32)
    for image, out in zip(stacked, fine, strict=True):
        np.maximum(zoom(image, out.shape[0] / size, order=3, mode="mirror"), 0, out=out)
    return ContrastBank(fine, FINER * np.concatenate(steps), FINER * np.concatenate(places))


def _steps_of_g(library: RockingLibrary, step: float) -> Float:
    """(n_disk, 2) diffraction vectors (x, y) in grid steps of ``step`` radians: angle = g λ."""
    if library.vectors is None:
        return np.full((len(library.indices), 2), np.nan)
    return library.vectors[:, ::-1] * library.beam.wavelength / step


def _maps(library: RockingLibrary) -> Any:
    if library.maps is None or library.beam is None:
        raise ValueError(
            "library has no plane-wave maps or no beam; simulate it with keep_maps=True."
        )
    return library.maps


def _smooth_fields(n: int, size: int, rng: np.random.Generator) -> tuple[Float, Float]:
    """Squares of smooth random waves: as diffracted intensities, positive with dark lines."""
    radius = np.exp(rng.uniform(np.log(4), np.log(LARGEST_STEPS), n)).clip(max=size / 2 - 3)
    length = radius * np.exp(rng.uniform(np.log(0.12), np.log(1.5), n))
    fields = np.empty((n, size, size), dtype=np.float32)
    for field, scale, ground in zip(fields, length, rng.uniform(0, 2, n), strict=True):
        wave = [gaussian_filter(rng.normal(size=(size, size)), scale, mode="wrap") for _ in "ri"]
        wave = [w / w.std() for w in wave]
        field[:] = (wave[0] + ground) ** 2 + wave[1] ** 2
    return fields, radius
