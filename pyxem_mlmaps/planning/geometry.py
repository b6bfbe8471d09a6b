"""Where the disks of a zone fall on a detector, and whether they keep apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients
from pyxem_mlmaps.specs import Beam

__all__ = ["View", "check_pixels", "largest_angle", "pixel_scale", "smallest_in_zone"]

Float = NDArray[np.floating]

REACH = 1.5
"""Å⁻¹. Reflections up to there tell how close the disks of a zone are."""
MOST_BEAMS = 1500
"""Beams up to :data:`REACH`: a cell with more has its disks closer than any beam keeps apart, and
would be simulated for hours."""


def pixel_scale(beam: Beam, camera_length: float, pixel_size: float) -> float:
    """Å⁻¹ per pixel of a detector with pixels of ``pixel_size`` µm at ``camera_length`` mm.

    Examples
    --------
    >>> from pyxem_mlmaps import Beam
    >>> from pyxem_mlmaps.planning.geometry import pixel_scale
    >>> round(pixel_scale(Beam(300, 1.1), camera_length=400, pixel_size=55), 6)
    0.006984
    """
    return pixel_size * 1e-3 / (camera_length * beam.wavelength)


def largest_angle(beam: Beam, distance: float) -> float:
    """Semi-angle in mrad at which disks touch whose centres are ``distance`` Å⁻¹ apart."""
    return 1e3 * distance * beam.wavelength / 2


def check_pixels(detector: ArrayLike) -> tuple[int, int]:
    """(ky, kx) pixels of a detector, or an error that says what is allowed."""
    shape = np.asarray(detector)
    if shape.shape != (2,) or np.any(shape != np.round(shape)) or shape.min() < 8:
        raise ValueError(f"detector={detector!r}: give two whole numbers (ky, kx), 8 px or more.")
    return int(shape[0]), int(shape[1])


def smallest_in_zone(
    crystal: Crystal, beam: Beam, to_detector: Float, zone: tuple[int, int, int]
) -> float:
    """|g| in Å⁻¹ of the shortest reflection of a zone: the distance of its closest disks.

    Reflections that the centring forbids do not count. Those that a glide plane or a screw axis
    forbids do: double diffraction gives them a disk.

    Raises
    ------
    ValueError
        If the zone has too many reflections to keep apart, or none.
    """
    hkl, g = select_beams(crystal.reciprocal, to_detector, beam.wavelength, REACH, zone)
    name = crystal.phase.name or "phase"
    if len(hkl) > MOST_BEAMS:
        raise ValueError(
            f"phase: {name} along {list(zone)} has {len(hkl)} reflections up to {REACH:g} Å⁻¹, the "
            f"next neighbours {np.linalg.norm(g[1]):.3f} Å⁻¹ apart: no disks that could be told "
            "from each other. An amorphous or very large cell cannot be planned; give the "
            "crystal's primitive or conventional cell."
        )
    if len(hkl) > 1:
        potential = potential_coefficients(crystal, beam.energy, 2 * REACH + 1e-3)
        g = g[coupled_to_direct_beam(potential, hkl)]
    if len(g) < 3:
        raise ValueError(
            f"zone_axis={list(zone)}: {name} has no reflections of this zone up to {REACH:g} Å⁻¹, "
            "so there is no pattern. Choose a zone axis of lower indices."
        )
    return float(np.linalg.norm(g[1:], axis=1).min())


@dataclass(frozen=True)
class View:
    """A detector centred on the direct beam.

    Parameters
    ----------
    detector
        (ky, kx) px.
    scale
        Å⁻¹ per px.
    rotation
        Of the pattern, degrees from kx towards ky.
    camera_length
        mm, where it is known.
    """

    detector: tuple[int, int]
    scale: float
    rotation: float = 0.0
    camera_length: float | None = None

    def positions(self, vectors: Float) -> Float:
        """(n, 2) px from the direct beam, (y, x), of reciprocal vectors (ky, kx) in Å⁻¹."""
        c, s = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        return np.asarray(vectors) @ np.array([[c, -s], [s, c]]) / self.scale

    def holds(self, vectors: Float, radius: float) -> NDArray[np.bool_]:
        """Which disks of ``radius`` Å⁻¹ lie on the detector as a whole."""
        reach = np.abs(self.positions(vectors)) + radius / self.scale
        return np.all(reach <= np.array(self.detector) / 2, axis=1)

    def scales_needed(self, vectors: Float, radius: float) -> Float:
        """(n,) Å⁻¹ per px from which on each disk lies on the detector as a whole."""
        reach = np.abs(self.positions(vectors)) * self.scale + radius
        return np.max(reach / (np.array(self.detector) / 2), axis=1)
