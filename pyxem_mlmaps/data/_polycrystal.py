"""A polycrystal of grains and sub-grains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.conventions import detector_matrix_to_rotation, in_plane_matrix, tilt_matrix
from pyxem_mlmaps.data import _grain_field
from pyxem_mlmaps.data._crystals import uo2, zirconium
from pyxem_mlmaps.data._scan import calibrated_signal, lazy_patterns
from pyxem_mlmaps.data._subgrains import Optics, SubgrainOrder, simulated
from pyxem_mlmaps.data._truth import PolycrystalTruth
from pyxem_mlmaps.simulation.crystal import Crystal, as_crystal
from pyxem_mlmaps.simulation.mixed_scan import MixedScanRenderer
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["polycrystal"]


def polycrystal(
    shape: tuple[int, int] = (64, 64),
    detector: tuple[int, int] = (128, 128),
    beam: Beam = Beam(300, 1.5),  # noqa: B008 - frozen
    reach: float = 1.2,
    phases: Sequence[Phase] | str | None = None,
    grains: int = 4,
    subgrains: int = 3,
    misorientation: tuple[float, float] = (0.1, 2.0),
    bend: float = 0.01,
    thickness: tuple[float, float] = (45.0, 75.0),
    electrons: float = 1e5,
    background: float = 0.05,
    edge: float = 0.5,
    boundary_width: float = 0.5,
    noise: bool = True,
    scan_step: float = 5.0,
    chunks: tuple[int, ...] | None = None,
    dtype: Any = np.uint16,
    seed: int = 0,
    show_progressbar: bool | None = None,
) -> Any:
    """A lazy 4D-STEM scan of a polycrystal: grains in any orientation, divided into sub-grains.

    Grains are the Voronoi cells of random seeds and are oriented at random; each is divided into
    sub-grains by a second tessellation. Every sub-grain is simulated dynamically in its own
    orientation when this function is called (about 1 s each), and patterns are made when they are
    read, each from its own seed: the same pattern comes whatever the chunks, and a scan of any
    size costs no memory. Sub-grains stay in memory, so that the next scan of the same ones starts
    at once.

    Where the probe covers a boundary, two sub-grains share the electrons; where disks overlap, as
    they do between the Laue zones of a general orientation, both are there. Intensities are added
    in either case: incoherently, without interference.

    Parameters
    ----------
    shape
        (n_y, n_x) scan points.
    detector
        (ky, kx) px.
    beam
        Energy and convergence semi-angle.
    reach
        Å⁻¹ from the direct beam to the nearest edge of the detector: the camera length. The
        radius of the disks in pixels follows from it (3.8 px by default).
    phases
        Crystals that the grains consist of, in turn: orix phases with atoms. None: UO2;
        "two-phase": UO2 and α-zirconium.
    grains, subgrains
        How many grains there are, and how many sub-grains in each.
    misorientation
        (least, largest) angle between sub-grains of one grain that touch, degrees; those that do
        not touch differ by at least the least. Angles are drawn log-uniformly, about random axes.
    bend
        Largest smooth change of each of the three rotation angles over the scan, degrees: two
        tilts and a turn about the beam.
    thickness
        (thinnest, thickest) nm, bounds of a wedge with waves.
    electrons
        Incident electrons per pattern. The disks hold what the foil leaves of them.
    background
        Inelastic counts on the whole detector, as a fraction of ``electrons``.
    edge
        Standard deviation of the blurred disk edge, px.
    boundary_width
        Standard deviation of the probe, scan px: a boundary at the distance d from a point leaves
        0.5·erfc(d / (√2·boundary_width)) of the electrons to the other side. Only the nearest
        boundary counts, and shares below 1 % are left out.
    noise
        Whether counts are Poisson distributed; otherwise expectation values, as float32.
    scan_step
        nm.
    chunks
        Scan chunks. None: about 16 MB.
    dtype
        Of noisy counts.
    seed
        Of the grains, the noise and everything else that is random.
    show_progressbar
        Of the simulation, as in HyperSpy.

    Returns
    -------
    LazyElectronDiffraction2D
        Calibrated as pyxem expects; :func:`~pyxem_mlmaps.data.ground_truth` gives the
        :class:`~pyxem_mlmaps.data.PolycrystalTruth` it was made from.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range, a phase has no atoms, the grains have too few points for
        their sub-grains, or ``misorientation`` leaves no room for them.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> s = data.polycrystal((32, 32), phases="two-phase")  # doctest: +SKIP
    >>> data.ground_truth(s).to_crystal_map(s).phases.names  # doctest: +SKIP
    ['UO2', 'Zr']
    """
    scan = _checked_shape("shape", shape, 1)
    detector = _checked_shape("detector", detector, 32)
    _check_pair("misorientation", misorientation, 0.01, 10, "degrees")
    _check_pair("thickness", thickness, 5, 500, "nm")
    check_numbers(
        reach=(reach, 0.1, 2.5),
        grains=(grains, 1, 500),
        subgrains=(subgrains, 1, 50),
        bend=(bend, 0, 0.5),
        electrons=(electrons, 1e-3, 1e12),
        background=(background, 0, 10),
        edge=(edge, 0.05, 5),
        boundary_width=(boundary_width, 0.01, 10),
        scan_step=(scan_step, 1e-6, 1e6),
        seed=(seed, 0, 2**63),
    )
    for name, value in (("grains", grains), ("subgrains", subgrains), ("seed", seed)):
        if value != int(value):
            raise ValueError(f"{name}={value!r}: a whole number is allowed.")
    grains, subgrains, seed = int(grains), int(subgrains), int(seed)
    crystals = _crystals(phases)
    optics = _optics(beam, detector, reach, edge)
    rng = np.random.default_rng([seed, 0, 13])
    field = _grain_field.grain_field(scan, grains, subgrains, boundary_width, rng)
    touching = _grain_field.neighbours(field, scan, subgrains)
    bases = _grain_field.draw_matrices(grains, subgrains, touching, misorientation, rng)
    waves = _grain_field.bend_waves(scan, bend, rng)
    depth = _grain_field.wedge(scan, thickness, rng)
    phase_of = np.arange(len(bases)) // subgrains % len(crystals)
    orders = [
        SubgrainOrder(*crystals[phase], base, beam, optics, float(bend), thickness)
        for phase, base in zip(phase_of, bases, strict=True)
    ]
    render = MixedScanRenderer(
        crystals=simulated(orders, show_progressbar),
        first=field.subgrain,
        second=field.second,
        fraction=field.fraction,
        field=np.column_stack([waves[:, :2], depth]),
        turn=waves[:, 2],
        origin=np.array(optics.origin),
        radius=optics.radius,
        edge=edge,
        scale=optics.scale,
        degrees_per_pixel=optics.degrees_per_pixel,
        detector=detector,
        electrons=float(electrons),
        background=float(background),
        noise=noise,
        seed=seed,
        dtype=np.dtype(dtype if noise else np.float32),
    )
    turned = in_plane_matrix(waves[:, 2]) @ tilt_matrix(waves[:, 0], waves[:, 1])
    rotations = detector_matrix_to_rotation(turned @ bases[field.subgrain])
    truth = PolycrystalTruth(
        rotations=rotations.data.reshape(*scan, 4),
        grain_id=field.grain.reshape(scan),
        subgrain_id=field.subgrain.reshape(scan),
        phase_id=phase_of[field.subgrain].reshape(scan),
        second_id=field.second.reshape(scan),
        fraction=field.fraction.reshape(scan),
        thickness=depth.reshape(scan),
        electrons=float(electrons),
        origin=optics.origin,
        radius=optics.radius,
        scale=optics.scale,
        crystals=tuple(crystal.to_dict() for _, crystal in crystals),
    )
    names = " and ".join(dict.fromkeys(c.phase.name or "crystal" for _, c in crystals))
    patterns = lazy_patterns(render, scan, chunks)
    return calibrated_signal(
        patterns, truth, beam, optics.origin, optics.scale, scan_step, f"{names} polycrystal"
    )


def _crystals(phases: Sequence[Phase] | str | None) -> list[tuple[Phase, Crystal]]:
    """What the grains consist of: as given, and as the simulation reads it."""
    if phases is None:
        phases = [uo2()]
    elif isinstance(phases, str):
        if phases != "two-phase":
            raise ValueError(
                f"phases={phases!r}: None, 'two-phase' or a list of orix phases with atoms is "
                "allowed."
            )
        phases = [uo2(), zirconium()]
    phases = list(phases)
    if not phases:
        raise ValueError("phases=[]: a list of at least one orix phase with atoms is allowed.")
    return [(phase, as_crystal(phase)) for phase in phases]


def _optics(beam: Beam, detector: tuple[int, int], reach: float, edge: float) -> Optics:
    origin = (detector[0] - 1) / 2 + 0.3, (detector[1] - 1) / 2 - 0.2
    to_edge = min(min(o + 0.5, n - 0.5 - o) for o, n in zip(origin, detector, strict=True))
    scale = reach / to_edge
    radius = beam.aperture_radius / scale
    if not 1 <= radius <= min(detector) / 4:
        raise ValueError(
            f"beam={beam}: its disks have a radius of {radius:.2f} px at reach={reach:g} Å⁻¹ on "
            f"detector={detector}; 1 to {min(detector) / 4:g} px is allowed."
        )
    per_pixel = float(np.degrees(scale * beam.wavelength))
    return Optics(detector, origin, radius, float(edge), scale, per_pixel)


def _checked_shape(name: str, shape: Any, least: int) -> tuple[int, int]:
    if np.shape(shape) != (2,) or any(n != int(n) or n < least for n in shape):
        raise ValueError(f"{name}={shape!r}: two whole numbers of at least {least} are allowed.")
    return int(shape[0]), int(shape[1])


def _check_pair(name: str, pair: Any, low: float, high: float, unit: str) -> None:
    if np.shape(pair) != (2,) or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"{name}={pair!r}: (least, largest) within {low:g} to {high:g} {unit} is allowed."
        )
