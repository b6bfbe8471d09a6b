"""Whole synthetic scans, one pattern at a time from its own seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.patterns import inelastic_form, render_patterns
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["ScanRenderer", "map_spline"]

Float = NDArray[np.floating]


def map_spline(library: RockingLibrary) -> LibrarySpline:
    """Spline through the plane-wave maps behind a library.

    Raises
    ------
    ValueError
        If the library was simulated without keeping them.
    """
    if library.maps is None:
        raise ValueError("library has no plane-wave maps; simulate it with keep_maps=True.")
    maps = np.asarray(library.maps)
    axes = []
    for axis, size in ((library.tilt_x, maps.shape[0]), (library.tilt_y, maps.shape[1])):
        margin = (size - len(axis)) // 2
        step = axis[1] - axis[0]
        axes.append(axis[0] + step * np.arange(-margin, len(axis) + margin))
    return LibrarySpline.fit(maps, *axes, library.thickness)


@dataclass(frozen=True, eq=False)
class ScanRenderer:
    """Patterns of scan points by their number.

    Parameters
    ----------
    maps, disks
        Splines through the plane-wave maps and through the disk intensities.
    field
        (n_point, 3) tilt x, tilt y (degrees, library axes), thickness (nm).
    positions
        (n_disk, 2) disk centres, (y, x) px.
    shifts
        (n_point, 2) of the whole pattern, (y, x) px.
    origin
        (y, x) of the direct beam, px.
    radius, edge
        Of the disks, px.
    degrees_per_pixel
        Tilt for one pixel within a disk.
    turn
        In-plane rotation of the pattern from kx towards ky, radians.
    detector
        (ky, kx) px.
    electrons, background
        Incident electrons per pattern; inelastic counts as a fraction of them.
    noise
        Whether counts are Poisson distributed.
    seed
        Every point draws from (seed, its number).
    dtype
        Of the patterns.
    """

    maps: LibrarySpline
    disks: LibrarySpline
    field: Float
    positions: Float
    shifts: Float
    origin: Float
    radius: float
    edge: float
    degrees_per_pixel: float
    turn: float
    detector: tuple[int, int]
    electrons: float
    background: float
    noise: bool
    seed: int
    dtype: Any

    def __call__(self, numbers: NDArray[np.integer]) -> NDArray:
        """(n, ky, kx) patterns of the points ``numbers`` (n,)."""
        numbers = np.asarray(numbers).ravel()
        units = (self.field[numbers] - self.maps.start) / self.maps.step
        moved = self.positions[None] + self.shifts[numbers][:, None]
        patterns = np.zeros((len(numbers), *self.detector))
        c, s = np.cos(self.turn), np.sin(self.turn)
        # the crop: tilt falls by u/k0; library x, y from detector (y, x) by the inverse turn
        tilt = -self.degrees_per_pixel * np.array([[s, c], [c, -s]])
        per_pixel = tilt / self.maps.step[:2, None]
        totals = self.electrons * self.disks(self.field[numbers])
        render_patterns(
            self.maps.coefficients,
            units,
            totals,
            moved,
            self.radius,
            self.edge,
            per_pixel,
            patterns,
        )
        if self.background:
            width = 4 * self.radius
            still = not self.shifts.any()
            form = inelastic_form(self.detector, self.origin, width) if still else None
            for n, number in enumerate(numbers):
                here = form
                if here is None:
                    here = inelastic_form(self.detector, self.origin + self.shifts[number], width)
                patterns[n] += self.background * self.electrons * here
        if self.noise:
            for n, number in enumerate(numbers):
                rng = np.random.default_rng([self.seed, int(number)])
                patterns[n] = rng.poisson(patterns[n])
        if np.dtype(self.dtype).kind in "iu":
            np.minimum(patterns, np.iinfo(self.dtype).max, out=patterns)
        return patterns.astype(self.dtype)
