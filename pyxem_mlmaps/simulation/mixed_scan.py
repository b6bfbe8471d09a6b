"""Scans of many crystals: each pattern is of one of them, or of two that share its electrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.conventions import in_plane_matrix, tilt_matrix
from pyxem_mlmaps.simulation.patterns import inelastic_form, recorded, render_patterns
from pyxem_mlmaps.simulation.spline import LibrarySpline

__all__ = ["DiskSet", "MixedScanRenderer"]

Float = NDArray[np.floating]
Index = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class DiskSet:
    """The disks of one crystal about its base orientation.

    Parameters
    ----------
    maps, disks
        Splines through the plane-wave maps and through the disk intensities.
    vectors
        (n_disk, 3) reciprocal lattice vectors at the base orientation, Å⁻¹ in the detector
        frame (kx, ky, along the beam).
    """

    maps: LibrarySpline
    disks: LibrarySpline
    vectors: Float


@dataclass(frozen=True, eq=False)
class MixedScanRenderer:
    """Patterns of scan points by their number.

    The crystal of a point is its base orientation, tilted, then turned about the beam: the
    crystal-to-detector matrix is M = Z(turn) T(tilt x, tilt y) M0. Disk g is centred at the
    transverse components of M g; its contrast is the crop of the plane-wave map around the tilt.
    Where two crystals share a point, and where disks overlap, intensities are added: incoherently.

    Parameters
    ----------
    crystals
        Of the whole scan.
    first, second
        (n_point,) positions among ``crystals``; second is −1 where there is none.
    fraction
        (n_point,) 0 to 1, electrons that fall on the second crystal.
    field
        (n_point, 3) tilt x, tilt y (degrees, in the frame before the turn), thickness (nm).
    turn
        (n_point,) about the beam, degrees from kx towards ky.
    origin
        (y, x) of the direct beam, px.
    radius, edge
        Of the disks and of the blur of their edge, px.
    scale
        Å⁻¹ per pixel.
    degrees_per_pixel
        Tilt for one pixel within a disk.
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

    crystals: tuple[DiskSet, ...]
    first: Index
    second: Index
    fraction: Float
    field: Float
    turn: Float
    origin: Float
    radius: float
    edge: float
    scale: float
    degrees_per_pixel: float
    detector: tuple[int, int]
    electrons: float
    background: float
    noise: bool
    seed: int
    dtype: Any

    def __call__(self, numbers: Index) -> NDArray:
        """(n, ky, kx) patterns of the points ``numbers`` (n,)."""
        numbers = np.asarray(numbers).ravel()
        patterns = np.zeros((len(numbers), *self.detector))
        if self.background:
            form = inelastic_form(self.detector, self.origin, 4 * self.radius)
            patterns += self.background * self.electrons * form
        turned = in_plane_matrix(self.turn[numbers])
        moved = turned @ tilt_matrix(*self.field[numbers, :2].T)
        for n, number in enumerate(numbers):
            share = float(self.fraction[number])
            parts = [(self.first[number], 1 - share), (self.second[number], share)]
            for crystal, electrons in parts:
                if electrons > 0:
                    self._add_disks(
                        self.crystals[crystal], number, electrons, moved[n], patterns[n : n + 1]
                    )
        return recorded(patterns, numbers, self.noise, self.seed, self.dtype)

    def _add_disks(
        self, crystal: DiskSet, number: int, share: float, matrix: Float, pattern: Float
    ) -> None:
        """``matrix`` (3, 3) takes the crystal from its base orientation to that of the point."""
        centres = self.origin + (crystal.vectors @ matrix.T)[:, 1::-1] / self.scale
        c, s = np.cos(np.radians(self.turn[number])), np.sin(np.radians(self.turn[number]))
        # the crop: tilt falls by u/k0; crystal x, y from detector (y, x) by the inverse turn
        tilt = -self.degrees_per_pixel * np.array([[s, c], [c, -s]])
        field = self.field[number : number + 1]
        maps = crystal.maps
        render_patterns(
            maps.coefficients,
            (field - maps.start) / maps.step,
            np.float32(self.electrons * share) * crystal.disks(field),
            centres[None],
            self.radius,
            self.edge,
            tilt / maps.step[:2, None],
            pattern,
        )
