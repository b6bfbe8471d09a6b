"""What the disks of a planned pattern tell: precision of tilt, thickness and strain at a dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.planning.bounds import strain_bound, tilt_bound
from pyxem_mlmaps.planning.geometry import View
from pyxem_mlmaps.planning.positions import contrast_modes, disk_nodes, disk_position_bound
from pyxem_mlmaps.simulation.aperture import aperture_margin, average_over_aperture
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.patterns import inelastic_form
from pyxem_mlmaps.simulation.scan import map_spline
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import Beam

__all__ = ["Conditions", "Disks", "Precision", "disks_in_view", "library_at"]

Float = NDArray[np.floating]

TILTS = 9
"""Tilts on each axis at which the precision is taken."""
CONTRASTS = 12
"""Tilts and thicknesses that show what disks may contain."""


class Precision(NamedTuple):
    """Standard deviations for one pattern, NaN where it does not tell.

    ``tilt_x``, ``tilt_y`` and ``rotation`` in degrees, ``thickness`` in nm; ``e_xx``, ``e_yy`` and
    ``e_xy`` are strains, x along kx and y along ky.
    """

    tilt_x: float
    tilt_y: float
    thickness: float
    e_xx: float
    e_yy: float
    e_xy: float
    rotation: float


@dataclass(frozen=True)
class Conditions:
    """What the precision depends on besides beam and dose.

    Parameters
    ----------
    view
        The detector.
    tilt_range
        Largest tilt of the foil on each axis, degrees.
    thickness
        (low, high) of the foil, nm.
    edge
        Standard deviation of the blurred edge of the disks, px.
    background
        Inelastic counts on the whole detector as a fraction of the dose.
    reflections
        How many of the strongest disks are evaluated.
    """

    view: View
    tilt_range: float
    thickness: tuple[float, float]
    edge: float
    background: float
    reflections: int


@dataclass(frozen=True, eq=False)
class Disks:
    """The evaluated disks that lie on the detector, at one convergence angle.

    Parameters
    ----------
    indices
        (n_disk, 3) Miller indices.
    positions
        (n_disk, 2) from the direct beam, (y, x) px.
    radius
        px.
    intensities
        (n_point, n_disk) fractions of the incident electrons, over the tilts and thicknesses of
        the foil.
    gradient
        (n_point, 3, n_disk) of them, per degree of tilt x and tilt y and per nm.
    background
        (n_disk,) inelastic counts a pixel, as a fraction of the incident electrons.
    modes
        What the disks may show inside, on nodes for ``edge``.
    edge
        px.
    """

    indices: NDArray[np.int64]
    positions: Float
    radius: float
    intensities: Float
    gradient: Float
    background: Float
    modes: Float
    edge: float

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def mean_intensity(self) -> Float:
        """(n_disk,) mean over tilts and thicknesses, fractions of the incident electrons."""
        return self.intensities.mean(axis=0)

    @property
    def sensitivity(self) -> Float:
        """(n_disk, 2) root mean square of dI/d(tilt x) and dI/d(tilt y), per degree."""
        return np.sqrt((self.gradient[:, :2] ** 2).mean(axis=0)).T

    def precision(self, dose: float) -> Precision:
        """At ``dose`` electrons a pattern; the median over tilts and thicknesses."""
        area = np.pi * self.radius**2
        tilt = tilt_bound(
            dose * self.intensities, dose * self.gradient, dose * self.background * area
        )
        centres = disk_position_bound(
            dose * np.median(self.intensities, axis=0),
            disk_nodes(self.radius, self.edge),
            dose * self.background,
            self.modes,
        )
        strain = strain_bound(self.positions, centres)
        known = np.all(np.isfinite(tilt), axis=1)
        middle = np.median(tilt[known], axis=0) if known.mean() > 0.5 else np.full(3, np.nan)
        return Precision(*map(float, middle), *map(float, strain[:3]), float(np.degrees(strain[3])))


def library_at(library: RockingLibrary, convergence_angle: float) -> LibrarySpline:
    """Disk intensities for another semi-angle (mrad), from the library's plane-wave maps.

    It may not be larger than the one that the library was simulated for.
    """
    step = library.tilt_x[1] - library.tilt_x[0]
    radius = np.degrees(convergence_angle * 1e-3) / step
    spare = (library.maps.shape[0] - len(library.tilt_x)) // 2 - aperture_margin(radius)
    inner = slice(spare, library.maps.shape[0] - spare)
    intensities = average_over_aperture(library.maps[inner, inner], radius)
    return LibrarySpline.fit(intensities, library.tilt_x, library.tilt_y, library.thickness)


def disks_in_view(library: RockingLibrary, beam: Beam, conditions: Conditions) -> Disks:
    """The strongest disks on the detector, and what they show.

    Parameters
    ----------
    library
        All disks, with plane-wave maps wide enough for ``beam``.
    beam
        Its semi-angle may be smaller than the library's.
    conditions
        Of the experiment.
    """
    view = conditions.view
    seen = np.flatnonzero(view.holds(library.vectors, beam.aperture_radius))
    order = np.argsort(-library.mean_intensity[seen], kind="stable")
    chosen = np.sort(seen[order[: conditions.reflections]])
    library = _only(library, chosen)
    points = _points(conditions)
    values, gradient = library_at(library, beam.convergence_angle).with_gradient(points)
    positions = view.positions(library.vectors)
    radius = beam.aperture_radius / view.scale
    some = points[np.random.default_rng(0).choice(len(points), CONTRASTS, replace=False)]
    nodes = disk_nodes(radius, conditions.edge)
    return Disks(
        indices=library.indices,
        positions=positions,
        radius=radius,
        intensities=np.maximum(values, 0).astype(float),
        gradient=gradient.astype(float),
        background=conditions.background * _background_form(view, positions, radius),
        modes=contrast_modes(map_spline(library), some, beam.convergence_angle, nodes),
        edge=conditions.edge,
    )


def _only(library: RockingLibrary, chosen: NDArray[np.integer]) -> RockingLibrary:
    return RockingLibrary(
        library.intensities[..., chosen], library.tilt_x, library.tilt_y, library.thickness,
        library.indices[chosen], library.vectors[chosen], library.beam, library.crystal,
        library.base_rotation, library.parameters, library.maps[..., chosen],
    )  # fmt: skip


def _points(conditions: Conditions) -> Float:
    """(n, 3) tilts and thicknesses that the foil may have."""
    low, high = conditions.thickness
    depths = np.linspace(low, high, 1 if low == high else 3)
    tilts = np.linspace(-conditions.tilt_range, conditions.tilt_range, TILTS)
    return np.stack(np.meshgrid(tilts, tilts, depths, indexing="ij"), axis=-1).reshape(-1, 3)


def _background_form(view: View, positions: Float, radius: float) -> Float:
    """(n_disk,) share of the inelastic counts in one pixel at each disk."""
    centre = (np.array(view.detector) - 1) / 2
    form = inelastic_form(view.detector, centre, 4 * radius)
    y, x = np.clip(np.round(positions + centre).astype(int).T, 0, np.array(form.shape)[:, None] - 1)
    return form[y, x]
