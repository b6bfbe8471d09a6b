"""Whole synthetic scans, one pattern at a time from its own seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.patterns import (
    amorphous_form,
    inelastic_form,
    recorded,
    render_patterns,
)
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["Alloy", "Amorphous", "ScanRenderer", "disk_spline", "map_spline"]

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


def disk_spline(library: RockingLibrary) -> LibrarySpline:
    """Spline through the disk intensities of a library."""
    return LibrarySpline.fit(library.intensities, library.tilt_x, library.tilt_y, library.thickness)


@dataclass(frozen=True, eq=False)
class Alloy:
    """A second crystal with the disks of the first, and its share of the electrons.

    Parameters
    ----------
    maps, disks
        Splines as of the first crystal.
    fraction
        (n_point,) 0 to 1: intensities of the two crystals are mixed, not their potentials.
    """

    maps: LibrarySpline
    disks: LibrarySpline
    fraction: Float


@dataclass(frozen=True, eq=False)
class Amorphous:
    """Points without a crystal: the direct beam and a diffuse ring.

    Parameters
    ----------
    points
        (n_point,) mask.
    halo
        Radius of the ring, px.
    intensity
        Electrons in both, as a fraction of the incident ones.
    """

    points: NDArray[np.bool_]
    halo: float
    intensity: float = 0.8


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
    deformation
        (n_point, 2, 2) what takes disk centres, (y, x) from the direct beam, to where they are;
        None leaves them. The contrast within the disks stays that of the undeformed crystal:
        strain moves the Bragg conditions by half the displacement of the disk, the edge is right.
    alloy, amorphous
        Where the crystal is not the first one.
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
    deformation: Float | None = None
    alloy: Alloy | None = None
    amorphous: Amorphous | None = None

    def __call__(self, numbers: NDArray[np.integer]) -> NDArray:
        """(n, ky, kx) patterns of the points ``numbers`` (n,)."""
        numbers = np.asarray(numbers).ravel()
        patterns = np.zeros((len(numbers), *self.detector))
        self._add_crystals(numbers, patterns)
        self._add_diffuse(numbers, patterns)
        return recorded(patterns, numbers, self.noise, self.seed, self.dtype)

    def _add_crystals(self, numbers: NDArray[np.integer], patterns: Float) -> None:
        moved = self._centres(numbers)
        c, s = np.cos(self.turn), np.sin(self.turn)
        # the crop: tilt falls by u/k0; library x, y from detector (y, x) by the inverse turn
        tilt = -self.degrees_per_pixel * np.array([[s, c], [c, -s]])
        for maps, disks, share in self._crystals(numbers):
            field = self.field[numbers]
            render_patterns(
                maps.coefficients,
                (field - maps.start) / maps.step,
                self.electrons * disks(field) * share[:, None],
                moved,
                self.radius,
                self.edge,
                tilt / maps.step[:2, None],
                patterns,
            )

    def _centres(self, numbers: NDArray[np.integer]) -> Float:
        """(n, n_disk, 2) disk centres (y, x), px."""
        centres = self.positions[None]
        if self.deformation is not None:
            away = self.positions - self.origin
            centres = self.origin + away @ np.swapaxes(self.deformation[numbers], -1, -2)
        return centres + self.shifts[numbers][:, None]

    def _crystals(
        self, numbers: NDArray[np.integer]
    ) -> list[tuple[LibrarySpline, LibrarySpline, Float]]:
        """Map spline, disk spline and share (n,) of the electrons of each crystal."""
        share = np.ones(len(numbers), dtype=np.float32)
        if self.amorphous is not None:
            share[self.amorphous.points[numbers]] = 0
        if self.alloy is None:
            return [(self.maps, self.disks, share)]
        fraction = self.alloy.fraction[numbers].astype(np.float32)
        return [
            (self.maps, self.disks, share * (1 - fraction)),
            (self.alloy.maps, self.alloy.disks, share * fraction),
        ]

    def _add_diffuse(self, numbers: NDArray[np.integer], patterns: Float) -> None:
        width = 4 * self.radius
        still = not self.shifts.any()
        form = inelastic_form(self.detector, self.origin, width) if still else None
        for n, number in enumerate(numbers):
            centre = self.origin + self.shifts[number]
            if self.background:
                here = form if still else inelastic_form(self.detector, centre, width)
                patterns[n] += self.background * self.electrons * here
            if self.amorphous is not None and self.amorphous.points[number]:
                ring = amorphous_form(
                    self.detector, centre, self.radius, self.edge, self.amorphous.halo
                )
                patterns[n] += self.amorphous.intensity * self.electrons * ring
