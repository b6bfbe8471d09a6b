"""The model of one beam direction: disk sums or whole patterns in, three angles and thickness out.

It holds the library of a node (:mod:`pyxem_mlmaps.simulation.orientation_nodes`) as splines. The
start comes from a search of the whole library by disk sums, the answer from a fit to the pixels.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.models.disk_cells import CELLS, CellSearch, cell_counts, cell_templates
from pyxem_mlmaps.models.pattern_fit import Optics, PatternFit, fit_patterns_to_maps
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.scan import map_spline
from pyxem_mlmaps.simulation.spline import PackedSpline

__all__ = ["GrainModel"]

Float = NDArray[np.floating]

AMPLITUDE_ERROR = 0.1
"""Relative error of a disk's simulated intensity that a fit allows for."""
PIXEL_ERROR = 0.03
"""The same for what is left within a disk."""
FEWEST_DISKS = 5
SEARCH_THICKNESS, SEARCH_TILT = 5.0, 0.04
"""nm, and degrees, between the templates of a search, or what the library has."""
MOST_TILTS = 55
"""Along an axis: wide libraries are searched in larger steps."""
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError)
"""What reading a damaged archive raises."""
TAIL = 4.0
"""Half width of the inelastic tail of the direct beam, radii."""


@dataclass(frozen=True, eq=False)
class GrainModel:
    """A library as splines, and where its disks lie.

    Parameters
    ----------
    maps
        Spline through the plane-wave maps.
    low, high
        (3,) ends of the library in tilt x, tilt y (degrees) and thickness (nm): the maps reach
        farther by the aperture.
    vectors
        (n_disk, 3) g in Å⁻¹ in the detector frame at zero tilt, x, y, and along the beam.
    base
        (3, 3) crystal to detector at zero tilt.
    """

    maps: PackedSpline
    low: Float
    high: Float
    vectors: Float
    base: Float

    @classmethod
    def of(cls, library: RockingLibrary, base: Float) -> GrainModel:
        """From a library with its plane-wave maps, simulated at orientation ``base``."""
        from pyxem_mlmaps._crystal_map import phase_from_dict

        lattice = phase_from_dict(library.crystal).structure.lattice
        reciprocal = np.linalg.inv(np.asarray(lattice.base)).T
        return cls(
            maps=PackedSpline.of(map_spline(library)),
            low=np.array([library.tilt_x[0], library.tilt_y[0], library.thickness[0]]),
            high=np.array([library.tilt_x[-1], library.tilt_y[-1], library.thickness[-1]]),
            vectors=library.indices @ reciprocal @ base.T,
            base=np.asarray(base, dtype=float),
        )

    def save(self, path: str | Path) -> None:
        """Write a NumPy archive."""
        with Path(path).open("wb") as file:
            np.savez(
                file,
                coefficients=self.maps.coefficients,
                unit=self.maps.unit,
                start=self.maps.start,
                step=self.maps.step,
                low=self.low,
                high=self.high,
                vectors=self.vectors,
                base=self.base,
            )

    @classmethod
    def load(cls, path: str | Path) -> GrainModel:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is damaged or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                maps = PackedSpline(*(kept[k] for k in ("coefficients", "unit", "start", "step")))
                rest = {k: kept[k] for k in ("low", "high", "vectors", "base")}
        except (*DAMAGE, KeyError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is no model of a grain: {error}.") from error
        n = len(maps.unit)
        shapes = {k: v.shape for k, v in rest.items()}
        expected = {"low": (3,), "high": (3,), "vectors": (n, 3), "base": (3, 3)}
        if shapes != expected or maps.coefficients.shape[3:] != (n,):
            raise ValueError(f"{str(path)!r} is no model of a grain: shapes {shapes}.")
        return cls(maps=maps, **rest)

    @property
    def n_bytes(self) -> int:
        """Memory of the spline, and of the templates if they were made."""
        return self.maps.coefficients.nbytes + sum(t.nbytes for _, t in self._kept.values())

    def places(self, values: Float, scale: float) -> Float:
        """(n, n_disk, 2) disk centres (y, x) px at (n, 6) tilt x, y, thickness, in-plane, origin.

        Parameters
        ----------
        values
            In the order of :data:`pyxem_mlmaps.models.pattern_fit.PARAMETERS`.
        scale
            Å⁻¹ in one px.
        """
        g = np.einsum("nij,kj->nki", self.turn(values), self.vectors)
        return values[:, None, 4:6] + g[..., 1::-1] / scale

    @staticmethod
    def turn(values: Float) -> Float:
        """(n, 3, 3) Z(in-plane) T(tilt): rotation from the base orientation, detector frame."""
        tilt = conventions.tilt_matrix(values[:, 0], values[:, 1])
        return conventions.in_plane_matrix(values[:, 3]) @ tilt

    def matrices(self, values: Float) -> Float:
        """(n, 3, 3) crystal to detector."""
        return self.turn(values) @ self.base

    def search(
        self,
        patterns: Float,
        near: Float,
        optics: Optics,
        around: tuple[float, float] | None = None,
        within: float = 0.2,
        n: int = 3,
    ) -> tuple[Float, Float]:
        """Tilts and thicknesses that explain patterns: templates of all cells of their disks.

        Parameters
        ----------
        patterns
            (n_pattern, ky, kx).
        near
            (n_pattern, 6) in the order of :data:`~pyxem_mlmaps.models.pattern_fit.PARAMETERS`:
            where the disks are.
        optics
            Of the disks on this detector.
        around
            Tilt x, tilt y in degrees; None searches the whole library.
        within
            Degrees around it.
        n
            How many answers for each pattern.

        Returns
        -------
        values
            (n_pattern, n, 3) tilt x, tilt y, thickness, best first; NaN where nothing is known.
        cosine
            (n_pattern, n) of the angle between the square roots of counts and template.
        """
        near = np.asarray(near, dtype=float)
        counts = np.empty((len(near), len(self.vectors), CELLS))
        flat = np.empty(len(near))
        patterns = np.ascontiguousarray(patterns, dtype=np.float32)
        cell_counts(
            patterns, self.places(near, optics.scale), near[:, 3], optics.radius, counts, flat
        )
        values = np.full((len(near), n, 3), np.nan)
        cosine = np.full((len(near), n), -1.0)
        usable = np.isfinite(counts).all(axis=2).sum(axis=1) >= FEWEST_DISKS
        if not usable.any():
            return values, cosine
        search = self._search(around, within, optics)
        for rank, (found, angle) in enumerate(search.ranked(counts[usable], n)):
            values[usable, rank], cosine[usable, rank] = found, angle
        return values, cosine

    def fit(
        self,
        patterns: Float,
        start: Float,
        optics: Optics,
        gain: float = 1.0,
        max_steps: int = 15,
    ) -> PatternFit:
        """Fit whole patterns; see :func:`~pyxem_mlmaps.models.pattern_fit.fit_patterns_to_maps`.

        Parameters
        ----------
        patterns
            (n, ky, kx).
        start
            (n, 6) in the order of :data:`~pyxem_mlmaps.models.pattern_fit.PARAMETERS`.
        optics
            Of the disks on this detector.
        gain
            Counts for one electron.
        """
        return PatternFit(
            *fit_patterns_to_maps(
                np.ascontiguousarray(patterns, dtype=np.float32),
                np.ascontiguousarray(start, dtype=float),
                self.maps.coefficients,
                self.maps.unit,
                self.maps.start,
                self.maps.step,
                self.low,
                self.high,
                self.vectors,
                (optics.radius, optics.edge, optics.scale, optics.degrees_per_pixel),
                TAIL * optics.radius,
                (float(gain), 0.02 * float(gain), PIXEL_ERROR),
                AMPLITUDE_ERROR,
                max_steps,
            )
        )

    def _search(
        self, around: tuple[float, float] | None, within: float, optics: Optics
    ) -> CellSearch:
        """Templates on the library's own tilt grid, all or within a square."""
        axes, templates = self._templates(round(optics.degrees_per_pixel * optics.radius, 6))
        if around is not None:
            inside = []
            for axis, middle in zip(axes[:2], around, strict=True):
                low = np.clip(middle - within, axis[0], axis[-1] - within)
                inside.append(np.flatnonzero((axis >= low) & (axis <= low + 2 * within)))
            templates = templates[np.ix_(*inside)]
            axes = (axes[0][inside[0]], axes[1][inside[1]], axes[2])
        return CellSearch.of(axes, templates)

    def _templates(self, aperture: float) -> tuple[tuple[Float, Float, Float], Float]:
        if aperture not in self._kept:
            step = self.maps.step
            wanted = max(SEARCH_TILT, (self.high[0] - self.low[0]) / MOST_TILTS)
            stride = max(1, int(wanted / step[0] + 1e-9))
            tilt = [
                np.arange(self.low[k], self.high[k] + step[k] / 2, stride * step[k]) for k in (0, 1)
            ]
            every = max(1, int(round(SEARCH_THICKNESS / step[2])))
            depth = self.low[2] + step[2] * np.arange(0, self.maps.size[2], every)
            self._kept.clear()
            self._kept[aperture] = (
                (tilt[0], tilt[1], depth),
                cell_templates(self.maps, aperture, *tilt, every),
            )
        return self._kept[aperture]

    @cached_property
    def _kept(self) -> dict[float, tuple]:
        return {}
