"""A planned experiment: what it will show, and whether it will work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.planning.geometry import largest_angle
from pyxem_mlmaps.planning.precision import Conditions, Disks, Precision, disks_in_view, library_at
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.planning.advice import Finding

__all__ = ["Plan"]

STRONG = 100
"""Electrons from which on a disk counts as strong: 10 % counting noise."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A planned experiment, as :func:`pyxem_mlmaps.plan` makes it.

    ``print(plan)`` is a page with a verdict and advice, ``plan.plot()`` a figure.

    Parameters
    ----------
    name
        Of the crystal.
    zone_axis
        [uvw], None for a general orientation.
    beam
        As planned.
    dose
        Incident electrons a pattern.
    conditions
        Detector, tilts and thickness of the foil, blur, background.
    smallest_distance
        Between the centres of neighbouring disks, Å⁻¹.
    radius_range
        Disk radii that the disk model covers, px.
    library
        Rocking library with plane-wave maps of all simulated disks. Its beam may have another
        convergence angle than the plan.
    """

    name: str
    zone_axis: tuple[int, int, int] | None
    beam: Beam
    dose: float
    conditions: Conditions
    smallest_distance: float
    radius_range: tuple[float, float]
    library: RockingLibrary

    def __repr__(self) -> str:
        along = "" if self.zone_axis is None else f" [{' '.join(map(str, self.zone_axis))}]"
        return (
            f"Plan({self.name}{along}, {self.beam.energy:g} keV, "
            f"{self.beam.convergence_angle:g} mrad, {self.dose:g} electrons a pattern)"
        )

    def __str__(self) -> str:
        from pyxem_mlmaps.planning.page import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from pyxem_mlmaps.planning.page import as_html

        return as_html(self)

    @property
    def max_convergence_angle(self) -> float:
        """Semi-angle at which neighbouring disks touch, mrad."""
        return largest_angle(self.beam, self.smallest_distance)

    @property
    def overlaps(self) -> bool:
        """Whether neighbouring disks overlap."""
        return self.beam.convergence_angle > self.max_convergence_angle

    @property
    def scale(self) -> float:
        """Of the detector, Å⁻¹ per px."""
        return self.conditions.view.scale

    @property
    def radius(self) -> float:
        """Of the disks, px."""
        return self.beam.aperture_radius / self.scale

    @property
    def gap(self) -> float:
        """Between the edges of neighbouring disks, px; negative where they overlap."""
        return self.smallest_distance / self.scale - 2 * self.radius

    @property
    def probe_size(self) -> float:
        """Radius of a diffraction-limited probe, 0.61 λ/α, in nm (Rayleigh's criterion)."""
        return 0.061 * self.beam.wavelength / (self.beam.convergence_angle * 1e-3)

    @property
    def n_disks(self) -> int:
        """Simulated disks that lie on the detector as a whole."""
        seen = self.conditions.view.holds(self.library.vectors, self.beam.aperture_radius)
        return int(seen.sum())

    @property
    def n_strong(self) -> int:
        """Those among them that hold 100 electrons or more."""
        return int(np.sum(self.dose * self.disks.mean_intensity >= STRONG))

    @cached_property
    def disks(self) -> Disks:
        """The evaluated disks: positions, intensities, sensitivities.

        Where disks overlap, intensities are those at the angle at which they would touch.
        """
        seen = disks_in_view(self.library, self._without_overlap(), self.conditions)
        return replace(seen, radius=self.radius)

    @cached_property
    def rocking(self) -> LibrarySpline:
        """Intensities of all simulated disks over tilt and thickness, interpolated."""
        return library_at(self.library, self._without_overlap().convergence_angle)

    @cached_property
    def precision(self) -> Precision:
        """Expected precision of one pattern; all NaN where disks overlap."""
        return self.precision_at()

    def precision_at(
        self, dose: float | None = None, convergence_angle: float | None = None
    ) -> Precision:
        """Expected precision for another dose or convergence angle, all else as planned.

        Parameters
        ----------
        dose
            Incident electrons a pattern. None: as planned.
        convergence_angle
            Semi-angle in mrad, up to that of ``library.beam``. None: as planned.

        Returns
        -------
        Precision
            Cramér-Rao bounds, median over the tilts and thicknesses of the foil. Tilt and
            thickness: from the sums of the disks under Poisson noise, the scale of the pattern
            unknown. Strain: from the places of the disks, what they show inside unknown, through a
            weighted fit of a lattice. All NaN where disks overlap.

        Raises
        ------
        ValueError
            If a number is out of its range.
        """
        dose = self.dose if dose is None else dose
        check_numbers(dose=(dose, 1, 1e15))
        if convergence_angle is None:
            return Precision(*[np.nan] * 7) if self.overlaps else self.disks.precision(dose)
        largest = self.library.beam.convergence_angle
        check_numbers(convergence_angle=(convergence_angle, 0.01, largest * (1 + 1e-9)))
        beam = Beam(self.beam.energy, min(convergence_angle, largest))
        if beam.convergence_angle > self.max_convergence_angle * (1 + 1e-9):
            return Precision(*[np.nan] * 7)
        return disks_in_view(self.library, beam, self.conditions).precision(dose)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What stands against the plan, and what to do about it."""
        from pyxem_mlmaps.planning.advice import find

        return tuple(find(self))

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, in words; empty where nothing stands against the plan."""
        return tuple(finding.text for finding in self.findings)

    @property
    def tilt_works(self) -> bool:
        """Whether tilt and thickness can be mapped."""
        return not any(finding.stops_tilt for finding in self.findings)

    @property
    def strain_works(self) -> bool:
        """Whether strain can be mapped with the disk model that comes with the package."""
        return not any(finding.stops_strain for finding in self.findings)

    def plot(self, figsize: tuple[float, float] | None = None) -> Figure:
        """Pattern, rocking curves and precision; see :func:`pyxem_mlmaps.plotting.plot_plan`.

        Parameters
        ----------
        figsize
            Width and height in inches.
        """
        from pyxem_mlmaps.plotting import plot_plan

        return plot_plan(self, figsize=figsize)

    def _without_overlap(self) -> Beam:
        largest = min(self.library.beam.convergence_angle, self.beam.convergence_angle)
        return Beam(self.beam.energy, largest)
