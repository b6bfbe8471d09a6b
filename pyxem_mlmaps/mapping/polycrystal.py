"""``map_polycrystal``: from a scan of grains to three precise angles at every point."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps._progress import compute
from pyxem_mlmaps.mapping.blocks import check_directions, check_signal
from pyxem_mlmaps.mapping.grain_camera import find_camera
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_coarse import coarse_candidates, read_coarse
from pyxem_mlmaps.mapping.grain_models import GrainModels
from pyxem_mlmaps.mapping.grain_points import blocks_of
from pyxem_mlmaps.mapping.grain_result import to_crystal_map
from pyxem_mlmaps.mapping.grain_rounds import BATCH, Rounds, points_of, sums_of
from pyxem_mlmaps.mapping.segments import Segments, binned_roots, segment_scan
from pyxem_mlmaps.mapping.template_match import Candidates
from pyxem_mlmaps.simulation.crystal import Crystal, as_crystal
from pyxem_mlmaps.simulation.library_cache import LibraryCache
from pyxem_mlmaps.simulation.orientation_nodes import proper_operations
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase
    from pyxem.signals import Diffraction2D

__all__ = ["map_polycrystal"]

Float = NDArray[np.floating]


def map_polycrystal(
    signal: Diffraction2D,
    phases: Phase | Sequence[Phase],
    beam: Beam,
    coarse: CrystalMap | Any | None = None,
    *,
    thickness: tuple[float, float] = (20.0, 100.0),
    template_step: float = 1.0,
    grain_angle: float = 5.0,
    subgrain_angle: float = 0.1,
    origin: tuple[float, float] | None = None,
    optics: ArrayLike | str = "measure",
    simulation: dict[str, Any] | None = None,
    cache: str | Path | None = None,
    cache_size: float = 4e9,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> CrystalMap:
    """Map crystal orientation in all three angles over a scan of grains.

    Neighbouring patterns that look alike are taken together, matched with kinematical templates
    by pyxem, and the candidates that come out are decided by dynamical simulation. Then every
    single pattern is fitted, in all its pixels, to the plane-wave maps of its orientation: what is
    inside the disks tells the tilt, where they are tells the angle about the beam.

    Parameters
    ----------
    signal
        4D-STEM scan with calibrated diffraction axes (Å⁻¹, nm⁻¹ or mrad), lazy or not. Counts may
        have any gain.
    phases
        One or more orix phases with atoms and a space group.
    beam
        Energy and convergence semi-angle.
    coarse
        Orientations that are known already, to about two degrees: an orix ``CrystalMap`` of this
        scan, or what pyxem's ``get_orientation`` returns. Its phases must be ``phases``, in their
        order. None finds them with templates.
    thickness
        (thin, thick) in nm that the foil may have.
    template_step
        Degrees between templates.
    grain_angle
        Degrees of misorientation that separate two grains.
    subgrain_angle
        Degrees of misorientation down to which boundaries within grains are looked for.
    origin
        (y, x) px of the direct beam. None finds it.
    optics
        (radius, edge) of the disks in px; ``"measure"`` starts from the convergence angle and the
        calibration, and fits radius, edge and scale to the clearest patterns.
    simulation
        Further arguments of :func:`pyxem_mlmaps.simulate_rocking`: ``absorption_scale``,
        ``potential_scale``, ``mosaic``, ``thickness_spread``, ``parametrization``.
    cache
        Folder of libraries that were simulated before. None: the user's cache folder.
    cache_size
        Bytes in it at most; libraries that were not used for longest go first.
    show_progressbar, num_workers
        As in HyperSpy.

    Returns
    -------
    xmap
        orix ``CrystalMap`` in the frame of pyxem's ``OrientationMap.to_crystal_map``. Properties:
        ``sigma_tilt_x``, ``sigma_tilt_y``, ``sigma_in_plane`` (degrees, standard uncertainties of
        small rotations that move the zone axis along kx and along ky, and about the beam; NaN for
        coarse points), ``covariance_xy``, ``covariance_xz``, ``covariance_yz`` (their covariances,
        degrees²), ``thickness`` and ``sigma_thickness`` (nm), ``misfit`` (above 1 the simulation
        does not explain the pattern), ``precise`` (1, or 0 where the answer is only coarse),
        ``grain_id``, ``subgrain_id`` (-1: none). Points without a crystal have phase id -1.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: a phase without atoms or symmetry, axes without calibration, a map of
        another shape.

    Warns
    -----
    UserWarning
        With the number of points that are not indexed, not precise, or hold bad pixels.

    Notes
    -----
    *Libraries* are simulated for the nodes of a fixed grid of beam directions, so grains that are
    equal by symmetry, or by a turn about the beam, share them, and a second scan of the same
    material finds them in the cache. One takes 1 to 5 s, 15 to 30 MB of the cache, and 0.5 GB of
    memory while it is made; those in use take 1.5 GB at most. A grain needs two to five.

    *Small rotations*: M' = (1 + [δ]×) M with M from crystal to detector; ``tilt_x`` is δ about +ky,
    ``tilt_y`` δ about -kx, ``in_plane`` δ about the beam, from kx towards ky.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> s = mlmaps.data.polycrystal((32, 32), seed=1)  # doctest: +SKIP
    >>> xmap = mlmaps.map_polycrystal(
    ...     s, mlmaps.data.uo2(), mlmaps.Beam(300, 1.5), thickness=(35, 85)
    ... )  # doctest: +SKIP
    >>> mlmaps.plotting.plot_polycrystal(xmap)  # doctest: +SKIP
    """
    check_signal(signal)
    check_directions(signal)
    crystals = _crystals(phases)
    _check_beam(signal, beam)
    _check_numbers(thickness, template_step, grain_angle, subgrain_angle, cache_size)
    scan = _as_two_axes(signal)
    shape = scan.data.shape[:2]
    known = None if coarse is None else read_coarse(coarse, shape, crystals)
    bars = {"show_progressbar": show_progressbar, "num_workers": num_workers}

    segments = _segments(scan, bars)
    points = points_of(segments)
    first = sums_of(scan, points[:BATCH], bars)
    camera, optics_ = find_camera(signal, beam, first, origin, optics)
    operations = [proper_operations(c.phase) for c in crystals]
    corner = np.array(scan.data.shape[2:]) / np.sqrt(2)
    models = GrainModels(
        crystals,
        beam,
        (float(thickness[0]), float(thickness[1])),
        float(camera.scale * np.hypot(*corner)),
        LibraryCache(None if cache is None else Path(cache), cache_size),
        options=dict(simulation or {}),
    )

    def candidates(sums: Float, middle: NDArray[np.int64]) -> list[Candidates]:
        return coarse_candidates(
            sums, known, middle, crystals, beam, camera, segments.gain, template_step
        )

    solver = Solver(models, operations, camera, optics_)
    rounds = Rounds(scan, solver, segments, candidates, bars)
    rounds.run(points, first, isinstance(optics, str))
    return to_crystal_map(signal, rounds, known, grain_angle, subgrain_angle)


def _segments(scan: Any, bars: dict[str, Any]) -> Segments:
    import dask

    parts = [(dask.delayed(_block_roots, pure=False)(block), w) for block, w in blocks_of(scan)]
    done = compute(*[p for p, _ in parts], text="Comparing patterns", **bars)
    roots = np.empty((*scan.data.shape[:2], done[0].shape[-1]), dtype=np.float32)
    for (_, where), values in zip(parts, done, strict=True):
        roots[where] = values
    bad = ~np.isfinite(roots).all(axis=-1)
    if bad.any():
        warnings.warn(
            f"{int(bad.sum())} of {bad.size} patterns hold pixels that are no numbers; they are "
            "not indexed.",
            stacklevel=4,
        )
    return segment_scan(roots)


def _block_roots(block: NDArray) -> NDArray[np.float32]:
    block = np.asarray(block)
    return binned_roots(block.reshape(-1, *block.shape[2:])).reshape(*block.shape[:2], -1)


def _as_two_axes(signal: Any) -> Any:
    data = signal.data
    while data.ndim < 4:
        data = data[None]
    return SimpleNamespace(data=data)


def _crystals(phases: Any) -> list[Crystal]:
    from orix.crystal_map import Phase, PhaseList

    if isinstance(phases, PhaseList):
        phases = [phase for _, phase in phases if phase.name != "not_indexed"]
    listed = [phases] if isinstance(phases, (Phase, str, Path)) else list(phases)
    if not listed:
        raise ValueError("phases is empty: give one orix Phase with atoms, or several.")
    crystals = []
    for phase in listed:
        if isinstance(phase, Phase) and phase.space_group is None and phase.point_group is None:
            raise ValueError(
                f"phases: {phase.name!r} has no space group, so that it is not known which of its "
                "orientations are equal. Give Phase(space_group=...), or point_group='1'."
            )
        crystals.append(as_crystal(phase))
    return crystals


def _check_beam(signal: Any, beam: Any) -> None:
    if not isinstance(beam, Beam):
        raise TypeError(f"beam is a {type(beam).__name__}; a pyxem_mlmaps.Beam is needed.")
    if beam.convergence_angle == 0:
        raise ValueError(
            "beam: convergence_angle=0 makes no disks. Give the convergence semi-angle in mrad."
        )
    for name in ("beam_energy", "convergence_angle"):
        item = f"Acquisition_instrument.TEM.{name}"
        stated = signal.metadata.get_item(item, default=None)
        given = beam.energy if name == "beam_energy" else beam.convergence_angle
        if stated is not None and abs(float(stated) / given - 1) > 0.03:
            raise ValueError(
                f"beam: {name} is {given:g}, but the signal's metadata say {float(stated):g} "
                f"(s.metadata.{item}). Correct the one that is wrong."
            )


def _check_numbers(
    thickness: Any, template_step: Any, grain_angle: Any, subgrain_angle: Any, cache_size: Any
) -> None:
    pair = np.asarray(thickness, dtype=float).ravel()
    if pair.shape != (2,) or not 1 <= pair[0] < pair[1] <= 1000:
        raise ValueError(f"thickness={thickness!r}: (thin, thick) within 1 to 1000 nm is allowed.")
    check_numbers(
        template_step=(template_step, 0.2, 5.0),
        grain_angle=(grain_angle, 0.5, 60.0),
        subgrain_angle=(subgrain_angle, 0.005, 10.0),
        cache_size=(cache_size, 1e6, 1e15),
    )
