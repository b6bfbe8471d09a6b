"""Plan an experiment before beam time: the front door."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps import conventions
from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.planning.geometry import (
    View,
    check_pixels,
    largest_angle,
    pixel_scale,
    smallest_in_zone,
)
from pyxem_mlmaps.planning.plan import Plan
from pyxem_mlmaps.planning.precision import Conditions
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.rocking import orient, simulate_rocking
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from ase import Atoms
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation

__all__ = ["plan"]

WIDER = 2.0
"""The simulation also serves semi-angles up to so many times the planned one, short of overlap."""
STEP = 0.02
"""Degrees between simulated tilts; less above 100 nm, where rocking curves are narrower."""
BRIGHT = 1e-3
"""Fraction of the beam from which on a disk of a general orientation must be kept free."""
EVERY = 10**6


def plan(
    phase: Phase | Atoms | str | Path,
    beam: Beam,
    zone_axis: Sequence[int] | None = None,
    orientation: Rotation | None = None,
    detector: tuple[int, int] = (256, 256),
    scale: float | None = None,
    camera_length: float | None = None,
    pixel_size: float | None = None,
    thickness: ArrayLike = 50.0,
    dose: float = 1e5,
    tilt_range: float = 0.2,
    edge: float = 0.5,
    background: float = 0.1,
    rotation: float = 0.0,
    reflections: int = 45,
    debye_waller: float | dict[str, float] | None = None,
    g_max: float | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> Plan:
    """Whether an experiment will work, and how precise its maps can be, before it is done.

    The crystal is simulated over a small range of tilt; that takes seconds for small cells.

    Parameters
    ----------
    phase
        orix ``Phase`` with atoms, path of a CIF file, or ase ``Atoms``.
    beam
        Energy and convergence semi-angle.
    zone_axis, orientation
        As in :func:`simulate_rocking`; give one of them.
    detector
        (ky, kx) px. The direct beam is taken to be in its middle.
    scale
        Å⁻¹ per px. Give either this, or ``camera_length`` and ``pixel_size``.
    camera_length
        mm.
    pixel_size
        Of the detector, µm.
    thickness
        Of the foil in nm: one, or (low, high).
    dose
        Incident electrons a pattern.
    tilt_range
        Largest tilt of the foil on each axis, degrees.
    edge
        Standard deviation of the blurred edge of the disks, px.
    background
        Inelastic counts on the whole detector as a fraction of the dose; a third is flat, the rest
        a tail of the direct beam.
    rotation
        Of the pattern on the detector, degrees from kx towards ky.
    reflections
        How many of the strongest disks on the detector are evaluated.
    debye_waller, g_max
        As in :func:`simulate_rocking`.
    show_progressbar, num_workers
        As in HyperSpy.

    Returns
    -------
    Plan
        ``print`` it, or look at its ``plot()``.

    Raises
    ------
    ValueError
        If a number is out of its range, the scale of the detector is not given or given twice, not
        even the direct beam fits on the detector, or the crystal has no pattern of disks along
        this direction.

    Notes
    -----
    Precision is a Cramér-Rao bound (:meth:`Plan.precision_at`). Refined tilts reach theirs
    (``benchmarks/README.md``, bent foil). Strain with the model that comes with the package lies
    at 0.9 to 1.4 times what is expected for foils of 50 nm and up to 10⁶ electrons a pattern, at
    1.0 to 1.7 times for 100 nm, and at up to 2.7 times for 10⁷ electrons: the network knows less of
    the contrast in the disks (``benchmarks/plan.py``).

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> plan = mlmaps.plan(
    ...     mlmaps.data.silicon(), mlmaps.Beam(300, 3.5), zone_axis=(1, 1, 0), scale=0.02,
    ...     g_max=1.5, show_progressbar=False)
    >>> plan.overlaps, round(plan.max_convergence_angle, 2)
    (True, 3.14)
    >>> print(plan.advice[0][:66])
    disks overlap: reduce the convergence semi-angle below 3.14 mrad (
    """
    shape = check_pixels(detector)
    scale = _scale(beam, scale, camera_length, pixel_size)
    depth = _thickness(thickness)
    check_numbers(
        dose=(dose, 1, 1e15),
        tilt_range=(tilt_range, 0.02, 2),
        edge=(edge, 0.05, 20),
        background=(background, 0, 100),
        rotation=(rotation, -360, 360),
        reflections=(reflections, 3, 10000),
        convergence_angle=(beam.convergence_angle, 0.01, 50),
    )
    view = View(shape, scale, float(rotation), camera_length)
    if not view.holds(np.zeros((1, 2)), beam.aperture_radius)[0]:
        raise ValueError(
            f"detector={shape} px: not even the direct beam fits, its radius is "
            f"{beam.aperture_radius / scale:.0f} px. Take a shorter camera length, more pixels or "
            "a smaller convergence angle."
        )
    crystal, turned, zone = orient(phase, debye_waller, zone_axis, orientation)
    angle = WIDER * beam.convergence_angle
    distance = None
    if zone is not None:
        to_detector = conventions.rotation_to_detector_matrix(turned).reshape(3, 3)
        distance = smallest_in_zone(crystal, beam, to_detector, zone)
        angle = min(angle, largest_angle(beam, distance))
    library = simulate_rocking(
        phase,
        Beam(beam.energy, angle),
        zone_axis=zone_axis,
        orientation=orientation,
        tilt_range=tilt_range,
        tilt_step=STEP * min(1.0, 100 / depth[1]),
        thickness=_grid(*depth),
        reflections=EVERY,
        debye_waller=debye_waller,
        g_max=g_max,
        overlap="ignore",
        show_progressbar=show_progressbar,
        num_workers=num_workers,
    )
    if distance is None:
        distance = _closest(library)
    return Plan(
        name=str(crystal.phase.name or "crystal"),
        zone_axis=zone,
        beam=beam,
        dose=float(dose),
        conditions=Conditions(
            view, float(tilt_range), depth, float(edge), float(background), int(reflections)
        ),
        smallest_distance=distance,
        radius_range=_radius_range(),
        library=library,
    )


def _scale(
    beam: Beam, scale: float | None, camera_length: float | None, pixel_size: float | None
) -> float:
    given = [camera_length is not None, pixel_size is not None]
    if (scale is None) != all(given) or (scale is not None and any(given)):
        raise ValueError(
            f"scale={scale!r}, camera_length={camera_length!r}, pixel_size={pixel_size!r}: give "
            "either scale in Å⁻¹ per px, or camera_length in mm and pixel_size in µm."
        )
    if scale is None:
        check_numbers(camera_length=(camera_length, 1, 1e5), pixel_size=(pixel_size, 0.1, 1e4))
        return pixel_scale(beam, camera_length, pixel_size)
    check_numbers(scale=(scale, 1e-6, 1))
    return float(scale)


def _thickness(thickness: ArrayLike) -> tuple[float, float]:
    values = np.atleast_1d(np.asarray(thickness, dtype=float))
    if values.ndim != 1 or len(values) > 2 or not np.all((values >= 1) & (values <= 1000)):
        raise ValueError(f"thickness={thickness!r}: give one or (low, high), 1 to 1000 nm.")
    if values[0] > values[-1]:
        raise ValueError(f"thickness={thickness!r}: low comes before high.")
    return float(values[0]), float(values[-1])


def _grid(low: float, high: float) -> np.ndarray:
    """Thicknesses in nm to simulate, two steps beyond what the foil has."""
    step = min(2.5, low / 4)
    return np.arange(low - 2 * step, high + 2.5 * step, step)


def _closest(library: RockingLibrary) -> float:
    """Smallest distance of bright disks in Å⁻¹, where no zone says it."""
    bright = library.vectors[library.mean_intensity >= BRIGHT]
    if len(bright) < 3:
        raise ValueError(
            f"orientation: {len(bright)} disks carry {BRIGHT:g} of the beam or more: there is no "
            "pattern to plan with. Choose a direction nearer to a zone axis."
        )
    distance = np.linalg.norm(bright[:, None] - bright[None], axis=-1)
    return float(distance[~np.eye(len(bright), dtype=bool)].min())


def _radius_range() -> tuple[float, float]:
    from pyxem_mlmaps.models.io import load_model

    low, high = load_model("disks").radius_range
    return float(low), float(high)
