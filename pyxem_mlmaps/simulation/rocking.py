"""Simulate the rocking library of a crystal: the layer's front door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps._progress import progress
from pyxem_mlmaps.simulation.aperture import aperture_margin
from pyxem_mlmaps.simulation.crystal import Crystal, as_crystal
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.physics import OrientedCrystal, check_overlap, choose_reflections
from pyxem_mlmaps.simulation.tiles import disk_maps, plane_wave_maps, spread_quadrature
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from ase import Atoms
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation

__all__ = ["orient", "simulate_rocking", "simulate_rocking_ensemble"]


def simulate_rocking(
    phase: Phase | Atoms | str | Path,
    beam: Beam,
    zone_axis: Sequence[int] | None = None,
    orientation: Rotation | None = None,
    tilt_range: float = 0.5,
    tilt_step: float = 0.02,
    thickness: ArrayLike = (100.0,),
    reflections: int | ArrayLike = 45,
    absorption: float | Literal["thermal"] = "thermal",
    absorption_scale: float | dict[str, float] = 1.0,
    mean_absorption: bool = True,
    debye_waller: float | dict[str, float] | None = None,
    potential_scale: float = 1.0,
    mosaic: float = 0.0,
    thickness_spread: float = 0.0,
    parametrization: str = "lobato",
    g_max: float | None = None,
    convergence: float = 0.05,
    laue_zones: int = 0,
    step: float = 15.0,
    keep_maps: bool = True,
    lazy_output: bool = False,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    overlap: Literal["raise", "avoid", "ignore"] = "raise",
    weak_beams: float | None = None,
) -> RockingLibrary:
    """Dynamical disk intensities of a crystal over tilt and thickness.

    Structure factors come from abTEM; all tilts of a tile are propagated together through the
    foil (see :func:`~pyxem_mlmaps.simulation.propagation.propagate`); the plane-wave maps are
    then averaged over the condenser aperture.

    Parameters
    ----------
    phase
        orix ``Phase`` with atoms, path of a CIF file, or ase ``Atoms``.
    beam
        Energy and convergence semi-angle.
    zone_axis
        [uvw] along the beam at zero tilt, the shortest reflection of the zone along +kx. Give
        either this or ``orientation``.
    orientation
        orix ``Rotation`` of the crystal at zero tilt, in the frame of pyxem's
        ``OrientationMap.to_crystal_map``.
    tilt_range
        Largest tilt on each axis, degrees.
    tilt_step
        Degrees. Interpolating a 0.02° grid costs R = 2e-4, a 0.04° grid 0.006 (65 nm GaSb).
    thickness
        nm, ascending. Steps of 2.5 nm interpolate well.
    reflections
        How many of the strongest disks (mean over tilts and thicknesses), or (n, 3) Miller
        indices.
    absorption
        "thermal": the absorptive potential of thermal diffuse scattering, from the Debye-Waller
        factors (:func:`~pyxem_mlmaps.simulation.structure_factors.thermal_absorption`). A number:
        U'/U, the same for all reflections; 0.02 to 0.12 is in use.
    absorption_scale
        Factor on the absorptive potential; with "thermal" also one for each element.
    mean_absorption
        Whether U'_0 attenuates all beams together.
    debye_waller
        RMS thermal displacement σ in Å, one or for each element (B = 8π²σ²). None takes the
        structure's own U_iso, and 0.08 Å where it has none.
    potential_scale
        Factor on all U_g.
    mosaic
        Standard deviation of a Gaussian spread of tilt within the probed column, degrees.
    thickness_spread
        Standard deviation of thickness within the probed column, nm.
    parametrization
        Electron scattering factors, as abTEM names them.
    g_max
        Beam cut-off in Å⁻¹. None raises it in steps of 0.5 Å⁻¹ until the next step changes the
        disks' intensities by R ≤ ``convergence`` at five tilts and the largest thickness.
    convergence
        See ``g_max``; R = Σ|ΔI| / ΣI.
    laue_zones
        0: zero Laue zone; n: also the zones up to ±n (non-resonant upper-zone beams matter more
        than the ring itself). Zones that the lattice centring forbids add nothing: n = ±1 for
        ⟨110⟩ of a face-centred crystal.
    step
        Largest propagation step in Å.
    keep_maps
        Whether the plane-wave maps stay in the library: they are needed to render disks.
    lazy_output
        Whether to return dask arrays, one task for each tile of tilts.
    show_progressbar, num_workers
        As in HyperSpy.
    overlap
        What becomes of disks that overlap. "raise": it is an error if the chosen ones do (a
        warning below 10 % overlap). "avoid": only disks are chosen that no other beam, chosen or
        not, overlaps with more than 2 % of their mean intensity (centres nearer than 1.02
        diameters); a number of ``reflections`` counts after that, and may not be reached.
        "ignore": nothing is checked. In a general ``orientation`` the disks of several Laue zones
        lie in one pattern, and overlaps are the rule.
    weak_beams
        Excitation error in Å⁻¹ beyond which beams are not propagated but folded into the others
        by perturbation theory
        (:func:`~pyxem_mlmaps.simulation.weak_beams.fold_weak_beams`). 0.02 changes intensities by
        R of 0.001 to 0.008 and makes a high ``g_max`` cheap. None propagates all beams. With
        it, a number of ``reflections`` is chosen among those up to 2 Å⁻¹.

    Returns
    -------
    RockingLibrary
        Intensities in fractions of the incident beam.

    Raises
    ------
    ValueError
        If neither or both of ``zone_axis`` and ``orientation`` are given, a number is out of its
        range, a reflection is not in the zone, disks overlap under ``overlap="raise"`` or
        ``overlap="avoid"`` leaves none.

    Examples
    --------
    >>> import numpy as np, pyxem_mlmaps as mlmaps
    >>> from ase.build import bulk
    >>> library = mlmaps.simulate_rocking(
    ...     bulk("Si", cubic=True), mlmaps.Beam(200, 1.0), zone_axis=(1, 1, 0), tilt_range=0.1,
    ...     tilt_step=0.04, thickness=[20, 40], reflections=9, g_max=1.5, show_progressbar=False)
    >>> library
    RockingLibrary(7 x 7 tilts (±0.12°, ±0.12°), 2 thicknesses (20 to 40 nm), 9 disks)
    """
    crystal, rotation, zone = orient(phase, debye_waller, zone_axis, orientation)
    thickness = np.atleast_1d(np.asarray(thickness, dtype=float))
    check_numbers(
        tilt_range=(tilt_range, 0.01, 5),
        tilt_step=(tilt_step, 1e-4, 1),
        potential_scale=(potential_scale, 0.1, 10),
        mosaic=(mosaic, 0, 1),
        thickness_spread=(thickness_spread, 0, 100),
        convergence=(convergence, 1e-4, 1),
        step=(step, 0.5, 100),
        laue_zones=(laue_zones, 0, 5),
        g_max=(1.0 if g_max is None else g_max, 0.1, 20),
        weak_beams=(1.0 if weak_beams is None else weak_beams, 1e-3, 10),
    )
    if absorption != "thermal" and not (np.isreal(absorption) and 0 <= absorption <= 0.5):
        raise ValueError(f"absorption={absorption!r}: 'thermal' or U'/U of 0 to 0.5 is allowed.")
    if overlap not in ("raise", "avoid", "ignore"):
        raise ValueError(f"overlap={overlap!r}: 'raise', 'avoid' or 'ignore' is allowed.")
    _check_absorption_scale(crystal, absorption, absorption_scale)
    if not (np.all(np.isfinite(thickness)) and np.all(np.diff(thickness, prepend=0.0) > 0)):
        raise ValueError(f"thickness={thickness} nm must be positive and ascend.")
    to_detector = conventions.rotation_to_detector_matrix(rotation).reshape(3, 3)
    physics = OrientedCrystal(
        crystal, beam, to_detector, zone, laue_zones, absorption, absorption_scale,
        mean_absorption, potential_scale, parametrization, step, weak_beams,
    )  # fmt: skip
    cutoff, reached = (g_max, None) if g_max else physics.converge(thickness, convergence)
    setup, hkl = physics.setup(cutoff, thickness)
    tilt = _even_axis(tilt_range, tilt_step)
    keep = choose_reflections(setup, hkl, reflections, tilt, avoid_overlap=overlap == "avoid")
    if overlap == "raise":
        check_overlap(setup.g[keep], beam)
    fine_thickness, weights = spread_quadrature(thickness, thickness_spread)
    setup = replace(setup, keep=keep, thickness=fine_thickness)
    radius = beam.convergence_angle * 1e-3 / np.radians(tilt_step)
    spread = int(np.ceil(4 * mosaic / tilt_step))  # as far as gaussian_blur reaches
    margin = aperture_margin(radius) + spread
    padded = tilt_step * np.arange(-(len(tilt) // 2) - margin, len(tilt) // 2 + margin + 1)
    maps = plane_wave_maps(setup, padded, weights)
    intensities = disk_maps(maps, radius, spread, mosaic / tilt_step)
    parameters = {
        "zone_axis": None if zone is None else list(zone),
        "tilt_step": tilt_step,
        "absorption": absorption,
        "absorption_scale": absorption_scale,
        "mean_absorption": mean_absorption,
        "debye_waller": dict(zip(crystal.symbols, crystal.sigma.tolist(), strict=True)),
        "potential_scale": potential_scale,
        "mosaic": mosaic,
        "thickness_spread": thickness_spread,
        "parametrization": parametrization,
        "g_max": float(cutoff),
        "convergence_reached": reached,
        "n_beams": len(hkl),
        "laue_zones": laue_zones,
        "step": step,
        "overlap": overlap,
        "weak_beams": weak_beams,
        "versions": _versions(),
    }
    library = RockingLibrary(
        intensities=intensities,
        tilt_x=tilt,
        tilt_y=tilt,
        thickness=thickness,
        indices=hkl[keep],
        vectors=setup.g[keep][:, 1::-1],
        beam=beam,
        crystal=crystal.to_dict(),
        base_rotation=rotation.data.ravel(),
        parameters=parameters,
        maps=maps if keep_maps else None,
    )
    if lazy_output:
        return library
    return library.compute(show_progressbar=show_progressbar, num_workers=num_workers)


def simulate_rocking_ensemble(
    phase: Phase | Atoms | str | Path,
    beam: Beam,
    n: int = 6,
    absorption_scale: tuple[float, float] = (0.5, 1.5),
    debye_waller: tuple[float, float] = (0.9, 1.1),
    potential_scale: tuple[float, float] = (0.97, 1.03),
    mosaic: tuple[float, float] = (0.0, 0.0),
    sigma: float | dict[str, float] | None = None,
    seed: int = 0,
    show_progressbar: bool | None = None,
    **options: Any,
) -> list[RockingLibrary]:
    """Libraries that differ in what an experimenter does not know.

    A model trained on them all is told by its training how far each of these unknowns can be
    trusted. Draws are a Latin hypercube, so that a few libraries cover every range.

    Parameters
    ----------
    phase, beam
        As in :func:`simulate_rocking`.
    n
        Number of libraries, at least 2.
    absorption_scale
        Range of the factor on the absorptive potential.
    debye_waller, potential_scale
        Ranges of the factors on all σ and on all U_g.
    mosaic
        Range of the mosaic spread, degrees.
    sigma
        RMS displacements that the Debye-Waller factors multiply, as ``debye_waller`` of
        :func:`simulate_rocking`; the mean over the sites of an element is used.
    seed
        For the draws.
    show_progressbar
        As in HyperSpy.
    **options
        Everything else that :func:`simulate_rocking` takes.

    Returns
    -------
    list of RockingLibrary
        With the same tilts, thicknesses and disks.
    """
    from scipy.stats import qmc

    if n < 2:
        raise ValueError(f"n={n}: an ensemble has at least 2 libraries.")
    base = as_crystal(phase, sigma)
    draws = qmc.LatinHypercube(d=4, seed=seed).random(n)
    libraries: list[RockingLibrary] = []
    for row in progress(draws, "Simulating libraries", show_progressbar, total=n):
        values = [
            low + u * (high - low)
            for u, (low, high) in zip(
                row, (absorption_scale, debye_waller, potential_scale, mosaic), strict=True
            )
        ]
        symbols = np.array(base.symbols)
        factors = {s: values[1] * float(base.sigma[symbols == s].mean()) for s in base.symbols}
        if libraries:  # the same disks and beams as the first
            options["reflections"] = libraries[0].indices
            options["g_max"] = libraries[0].parameters["g_max"]
            if options.get("overlap") == "avoid":  # the first has chosen
                options["overlap"] = "ignore"
        libraries.append(
            simulate_rocking(
                phase,
                beam,
                absorption_scale=values[0],
                debye_waller=factors,
                potential_scale=values[2],
                mosaic=values[3],
                show_progressbar=False,
                **options,
            )  # fmt: skip
        )
    return libraries


def orient(
    phase: Any,
    debye_waller: Any,
    zone_axis: Sequence[int] | None,
    orientation: Rotation | None,
) -> tuple[Crystal, Rotation, tuple[int, int, int] | None]:
    """Crystal, rotation at zero tilt and zone axis without a common factor, or what is wrong."""
    if (zone_axis is None) == (orientation is None):
        raise ValueError("give either zone_axis=[uvw] or orientation=orix Rotation, and only one.")
    crystal = as_crystal(phase, debye_waller)
    if orientation is not None:
        if orientation.size != 1:
            raise ValueError(f"orientation holds {orientation.size} rotations; one is needed.")
        return crystal, orientation.flatten(), None
    zone = np.asarray(zone_axis)
    if zone.shape != (3,) or not np.any(zone) or np.any(zone != np.round(zone)):
        raise ValueError(f"zone_axis={zone_axis!r}: three integers [uvw], not all zero.")
    u, v, w = (int(i) for i in zone // np.gcd.reduce(zone.astype(int)))
    return crystal, conventions.zone_axis_rotation(crystal.phase, (u, v, w)), (u, v, w)


def _check_absorption_scale(crystal: Crystal, absorption: Any, scale: Any) -> None:
    values = scale if isinstance(scale, dict) else {"all": scale}
    if isinstance(scale, dict):
        missing = sorted(set(crystal.symbols) - set(scale))
        if absorption != "thermal" or missing:
            raise ValueError(
                f"absorption_scale={scale!r}: factors for elements need absorption='thermal' and "
                f"one for each of {sorted(set(crystal.symbols))}."
            )
    for value in values.values():
        check_numbers(absorption_scale=(value, 0, 10))


def _even_axis(half_range: float, step: float) -> NDArray[np.float64]:
    """Symmetric, covering at least ± half_range; 0 is on the grid."""
    n = max(int(np.ceil(half_range / step - 1e-9)), 2)
    return step * np.arange(-n, n + 1)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from pyxem_mlmaps._version import __version__

    return {"pyxem_mlmaps": __version__, "abtem": version("abtem"), "numpy": np.__version__}
