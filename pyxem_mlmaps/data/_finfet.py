"""A strained transistor in cross-section."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.data import _device
from pyxem_mlmaps.data._crystals import sige, silicon
from pyxem_mlmaps.data._device import Device, device
from pyxem_mlmaps.data._scan import (
    lattice_on_detector,
    lazy_patterns,
    scan_renderer,
    scan_shape,
    scan_signal,
    scan_splines,
)
from pyxem_mlmaps.data._truth import StrainTruth, strain_and_rotation
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.scan import Alloy, Amorphous
from pyxem_mlmaps.specs import Beam

__all__ = ["finfet"]

Float = NDArray[np.floating]

GERMANIUM = 0.3
GROWTH = -90.0
"""Degrees from kx, where the library has [001], to where the scan has it: up."""
HALO = 0.24
"""Å⁻¹. First sharp diffraction peak of amorphous SiO2, Q = 2πg = 1.5 Å⁻¹ (Wright 1994, J.
Non-Cryst. Solids 179, 84)."""


def finfet(
    shape: tuple[int, ...] = (64, 96),
    detector: tuple[int, int] = (256, 256),
    libraries: tuple[RockingLibrary, RockingLibrary] | None = None,
    electrons_per_disk: float = 1e5,
    electrons: float | None = None,
    misfit: float | None = None,
    bend: float = 0.2,
    thickness: tuple[float, float] = (40.0, 80.0),
    amorphous: bool = True,
    background: float = 0.1,
    rotation: float = 0.0,
    edge: float = 0.5,
    descan: float = 0.0,
    noise: bool = True,
    scan_step: float = 2.0,
    chunks: tuple[int, ...] | None = None,
    dtype: Any = np.uint16,
    seed: int = 0,
) -> Any:
    """A lazy 4D-STEM scan of a Si ⟨110⟩ transistor with strained SiGe source and drain.

    Two faceted pockets of Si₀.₇Ge₀.₃ press on the silicon channel between them. Their strain is
    that of a continuous displacement, from the elasticity of an infinite body, and comes with
    shear at the corners, small rotations and bowed lattice planes. Tilt (a bent lamella) and
    thickness (a wedge with a step and curtains) change over the scan, so that fringes sweep
    through the disks: what imprints itself on a strain map that should not show it.

    Patterns are made when they are read, each from its own seed: the same pattern comes whatever
    the chunks, and a scan of any size costs no memory. The device always fills the width of the
    scan.

    Strain is in detector axes, x along +kx (the channel, at ``rotation=0``) and y along +ky
    (against the growth direction, which points up); real space, tensile positive; F = (I + ε)·R
    with R from +kx towards +ky. See :class:`~pyxem_mlmaps.data.StrainTruth`. Disks sit at
    F⁻ᵀ g0 about the direct beam.

    Parameters
    ----------
    shape
        Scan size: (), (n,) or (n_y, n_x). A line runs along the channel, a single point is in
        the first pocket.
    detector
        (ky, kx) px. 37 disks of 7 px radius at 256 x 256.
    libraries
        Of silicon and of the alloy, with the same tilts, thicknesses, disks and beam and with
        their plane-wave maps (``keep_maps=True``); what lies along kx in them points up in the
        scan. None simulates them at 200 kV and 1.6 mrad, 35 to 85 nm, tilts to 0.3°, once per
        process (about 10 s). Between silicon and pocket the *intensities* of the two are mixed.
    electrons_per_disk
        Mean over all disks and over the crystalline scan points.
    electrons
        Incident electrons per pattern; given, it overrides ``electrons_per_disk``.
    misfit
        Relative excess of the pockets' lattice parameter; scales all strain. 0 is a lattice that
        is the same everywhere, under the same contrast. None takes the alloy's, 0.0115.
    bend
        Largest tilt on each axis, degrees (0.2° are 3.5 mrad); at most what the libraries hold.
    thickness
        (thinnest, thickest) nm, bounds of the wedge.
    amorphous
        Whether oxide and gate along the upper edge are amorphous, without diffraction disks
        but the direct beam.
    background
        Inelastic counts on the whole detector, as a fraction of the incident electrons.
    rotation
        Of the pattern against the scan, degrees from kx towards ky.
    edge
        Standard deviation of the blurred disk edge, px.
    descan
        Largest shift of the pattern over the scan, px.
    noise
        Whether counts are Poisson distributed; otherwise expectation values, as float32.
    scan_step
        nm.
    chunks
        Scan chunks. None: about 16 MB.
    dtype
        Of noisy counts.
    seed
        Of the noise and of the tilt field.

    Returns
    -------
    LazyElectronDiffraction2D
        Calibrated as pyxem expects; :func:`~pyxem_mlmaps.data.ground_truth` gives the
        :class:`~pyxem_mlmaps.data.StrainTruth` it was made from.

    Raises
    ------
    ValueError
        If the libraries do not match or have no maps, ``bend`` or ``thickness`` leave them, or
        another number is out of its range.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> s = data.finfet((32, 48), electrons_per_disk=1e4)  # doctest: +SKIP
    >>> data.ground_truth(s).e_xx.shape  # doctest: +SKIP
    (32, 48)
    """
    scan = scan_shape(shape)
    silicon_library, alloy_library = _default_libraries() if libraries is None else libraries
    _check_match(silicon_library, alloy_library)
    _check_reach(silicon_library, bend, thickness)
    check_numbers(
        detector=(min(detector), 48, 1e5),
        electrons_per_disk=(electrons_per_disk, 1e-3, 1e9),
        electrons=(1.0 if electrons is None else electrons, 1e-3, 1e12),
        misfit=(misfit or 0.0, -0.03, 0.03),
        background=(background, 0, 10),
        edge=(edge, 0.05, 5),
        descan=(descan, 0, min(detector) / 4),
    )
    _, disks = scan_splines(silicon_library)
    alloy_maps, alloy_disks = scan_splines(alloy_library)
    u, v = _device.unit_grid(scan)
    parts = device(*_device.on_device(u, v, scan), amorphous)
    field = _device.lamella(u, v, bend, thickness, seed)
    shifts = descan * _device.descan_shifts(u, v)
    mixed = (1 - parts.composition)[:, None] * disks(field)
    mixed += parts.composition[:, None] * alloy_disks(field)
    if electrons is None:
        lit = parts.crystal if parts.crystal.any() else slice(None)
        electrons = electrons_per_disk / float(mixed[lit].mean())
    turn = GROWTH + rotation
    margin = 4.0 + 0.02 * max(detector) / 2 + descan
    lattice = lattice_on_detector(silicon_library, detector, turn, margin)
    misfit = _vegard_misfit() if misfit is None else misfit
    deformation = _turned(np.eye(2) + misfit * parts.gradient, rotation)
    electrons = float(electrons)
    truth = _truth(scan, field, turn, deformation, parts, shifts, lattice, electrons)
    scale = silicon_library.beam.aperture_radius / lattice.radius  # Å⁻¹ per pixel
    render = scan_renderer(
        silicon_library, lattice, field, shifts, turn, detector, edge, electrons, background,
        noise, dtype, seed,
        # F⁻ᵀ in (y, x)
        deformation=np.swapaxes(np.linalg.inv(deformation), -1, -2)[:, ::-1, ::-1],
        alloy=Alloy(alloy_maps, alloy_disks, parts.composition),
        amorphous=Amorphous(~parts.crystal, halo=HALO / scale),
    )  # fmt: skip
    patterns = lazy_patterns(render, scan, chunks)
    return scan_signal(patterns, truth, silicon_library, scan_step, "Si/SiGe transistor")


@functools.lru_cache(maxsize=1)
def _default_libraries() -> tuple[RockingLibrary, RockingLibrary]:
    """Si and Si₀.₇Ge₀.₃ with the 37 shortest reflections of the zone, to |440|."""
    from pyxem_mlmaps.simulation.rocking import simulate_rocking

    hkl = [
        (i, -i, j)
        for i in range(-4, 5)
        for j in range(-5, 6)
        if (i - j) % 2 == 0 and 2 * i**2 + j**2 <= 32
    ]
    silicon_library, alloy_library = (
        simulate_rocking(
            phase, Beam(200, 1.6), zone_axis=(1, 1, 0), tilt_range=0.3, reflections=hkl,
            thickness=np.arange(35, 86, 2.5), g_max=2.5,
        )
        for phase in (silicon(), sige(GERMANIUM))
    )  # fmt: skip
    return silicon_library, alloy_library


def _vegard_misfit() -> float:
    return sige(GERMANIUM).structure.lattice.a / silicon().structure.lattice.a - 1


def _turned(deformation: Float, rotation: float) -> Float:
    """F in axes that are turned by ``rotation`` degrees against those it is given in."""
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[c, -s], [s, c]])
    return turn @ deformation @ turn.T


def _truth(
    scan: tuple[int, ...],
    field: Float,
    turn: float,
    deformation: Float,
    parts: Device,
    shifts: Float,
    lattice: Any,
    electrons: float,
) -> StrainTruth:
    """Maps of the scan's shape, in detector axes; NaN where there is no crystal."""
    strain, angle = strain_and_rotation(deformation)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))

    def on_crystal(values: Float) -> Float:
        return np.where(parts.crystal, values, np.nan).reshape(scan)

    return StrainTruth(
        tilt_x=(c * field[:, 0] - s * field[:, 1]).reshape(scan),
        tilt_y=(s * field[:, 0] + c * field[:, 1]).reshape(scan),
        thickness=field[:, 2].reshape(scan),
        lattice=lattice,
        e_xx=on_crystal(strain[:, 0, 0]),
        e_yy=on_crystal(strain[:, 1, 1]),
        e_xy=on_crystal(strain[:, 0, 1]),
        rotation=on_crystal(angle),
        composition=on_crystal(parts.composition),
        shift_y=shifts[:, 0].reshape(scan),
        shift_x=shifts[:, 1].reshape(scan),
        crystal=parts.crystal.reshape(scan),
        alloy=(parts.crystal & (parts.composition > 0.5)).reshape(scan),
        channel=parts.channel.reshape(scan),
        reference=parts.reference.reshape(scan),
        electrons=electrons,
    )


def _check_match(first: RockingLibrary, second: RockingLibrary) -> None:
    for name in ("tilt_x", "tilt_y", "thickness", "indices"):
        if not np.array_equal(getattr(first, name), getattr(second, name)):
            raise ValueError(f"libraries: the two differ in {name}; simulate them on one grid.")
    if first.beam != second.beam:
        raise ValueError(f"libraries: beams {first.beam} and {second.beam} differ; use one.")


def _check_reach(library: RockingLibrary, bend: float, thickness: tuple[float, float]) -> None:
    limit = min(library.tilt_x[-1], library.tilt_y[-1])
    if not 0 <= bend <= limit:
        raise ValueError(f"bend={bend}: 0 to {limit:g}° is what the libraries hold.")
    low, high = library.thickness[[0, -1]]
    if len(thickness) != 2 or not low <= thickness[0] <= thickness[1] <= high:
        raise ValueError(
            f"thickness={thickness}: (thinnest, thickest) within {low:g} to {high:g} nm is what "
            "the libraries hold."
        )
