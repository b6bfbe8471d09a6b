"""Coarse orientations by pyxem and diffsims: the candidates that dynamical simulation decides on.

Patterns are matched as spots (:mod:`pyxem_mlmaps.mapping.spot_patterns`) with kinematical
templates. The best template is often not the right one, since dynamical intensities are not
kinematical; the right one is nearly always among the best forty. So candidates are first ranked by
where their reflections lie; the best few are tilted to where the bright ones are excited, and
handed on.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.mapping.spot_patterns import Spots, draw_spots
from pyxem_mlmaps.mapping.tilt_match import excited_tilt
from pyxem_mlmaps.simulation.structure_factors import potential_coefficients

if TYPE_CHECKING:
    from pyxem_mlmaps.simulation.crystal import Crystal
    from pyxem_mlmaps.specs import Beam

__all__ = ["Candidates", "Camera", "match_spots", "tilted_onto"]

Float = NDArray[np.floating]

POWER = 0.25
"""Intensities of spots and templates are compressed by this power."""
EXCITATION = 0.04
"""Å⁻¹. Largest excitation error of a reflection in a template."""
APART = 4.0
"""Degrees: candidates that are closer than this are one."""
REFINE = 2.0
"""Degrees about the beam within which a candidate is turned onto the spots."""
AZIMUTHS = 360
"""Of polar patterns."""


class Camera(NamedTuple):
    """``origin`` (y, x) px of the direct beam, ``scale`` Å⁻¹ per px, ``radius`` of the disks px."""

    origin: tuple[float, float]
    scale: float
    radius: float


class Candidates(NamedTuple):
    """For one pattern, best first: ``phase`` (n,), ``matrix`` (n, 3, 3) crystal to detector,
    ``score`` (n,), the share of the spots' compressed counts that the reflections explain."""

    phase: NDArray[np.int64]
    matrix: Float
    score: Float


def match_spots(
    spots: Sequence[Spots],
    shape: tuple[int, int],
    crystals: Sequence[Crystal],
    beam: Beam,
    camera: Camera,
    step: float = 1.0,
    n_best: int = 40,
    keep: int = 8,
) -> list[Candidates]:
    """Candidate orientations of patterns.

    Parameters
    ----------
    spots
        Disks of each pattern.
    shape
        (ky, kx) of the patterns.
    crystals
        Of the phases, in their order.
    beam, camera
        Energy, and where the direct beam lies.
    step
        Between templates, degrees.
    n_best
        Templates of each phase that are looked at again.
    keep
        Candidates of each pattern.

    Returns
    -------
    list of Candidates
        Empty ones for patterns with fewer than three disks besides the direct beam.
    """
    results: list[list[tuple[int, Float, Float]]] = [[] for _ in spots]
    beside = [np.hypot(*(s.positions - camera.origin).T) > 1.5 * camera.radius for s in spots]
    usable = [n for n, b in enumerate(beside) if b.sum() >= 3]
    if usable:
        images = np.stack([draw_spots(spots[n], shape, POWER, 1.0, ~beside[n]) for n in usable])
        polar = _polar(images, camera)
        for number, crystal in enumerate(crystals):
            found = _match(polar, crystal, beam, camera, shape, step, n_best)
            for n, matrices in zip(usable, found, strict=True):
                ranked = _rank(matrices, spots[n], beside[n], crystal, beam, camera, shape)
                results[n].append((number, *ranked))
    merged = [_merge(parts, keep) for parts in results]
    return [
        c._replace(
            matrix=np.array(
                [
                    tilted_onto(m, s, crystals[p], beam, camera, shape)
                    for p, m in zip(c.phase, c.matrix, strict=True)
                ]
            ).reshape(-1, 3, 3)
        )
        for c, s in zip(merged, spots, strict=True)
    ]


def tilted_onto(
    matrix: Float,
    spots: Spots,
    crystal: Crystal,
    beam: Beam,
    camera: Camera,
    shape: tuple[int, int],
) -> Float:
    """An orientation (3, 3) whose place in the plane is right, tilted to explain the brightness of
    the disks; see :func:`~pyxem_mlmaps.mapping.tilt_match.excited_tilt`."""
    reach = _reach(camera, shape)
    hkl, g = _reflections(crystal, np.sqrt(2) * reach)
    inside = np.all(np.abs(g @ matrix[:2].T) < reach, axis=1)
    longest = float(np.linalg.norm(g, axis=1).max(initial=0))
    potential = potential_coefficients(crystal, beam.energy, 1.01 * longest)
    beside = np.hypot(*(spots.positions - camera.origin).T) > 1.5 * camera.radius
    return excited_tilt(
        matrix,
        (spots.positions[beside] - camera.origin)[:, ::-1] * camera.scale,
        spots.counts[beside] ** POWER,
        g[inside],
        np.abs(potential(hkl[inside])) ** (2 * POWER),
        beam.wavenumber,
        _tolerance(camera),
    )


def _tolerance(camera: Camera) -> float:
    """Å⁻¹ by which a spot may lie off its reflection."""
    return max(0.35 * camera.radius, 0.7) * camera.scale


def _reach(camera: Camera, shape: tuple[int, int]) -> float:
    """Å⁻¹ from the direct beam to the nearest edge of the detector."""
    y, x = camera.origin
    return camera.scale * float(min(y, x, shape[0] - 1 - y, shape[1] - 1 - x))


def _polar(images: Float, camera: Camera) -> Any:
    """pyxem's polar signal (1, n) of images, by the same averages as its
    ``get_azimuthal_integral2d(mean=True)``."""
    import pyxem

    shape = images.shape[1:]
    averages, radius = _polar_averages(shape, camera.origin, camera.scale)
    n_radius = averages.shape[0] // AZIMUTHS
    polar = (averages @ images.reshape(len(images), -1).T).T
    signal = pyxem.signals.PolarDiffraction2D(polar.reshape(1, len(images), n_radius, AZIMUTHS))
    azimuth, radial = signal.axes_manager.signal_axes
    radial.name, radial.units, radial.scale = "Radius", "$A^{-1}$", radius / n_radius
    azimuth.name, azimuth.units = "Radians", "Rad"
    azimuth.scale, azimuth.offset = 2 * np.pi / AZIMUTHS, -np.pi
    return signal


@lru_cache(maxsize=2)
def _polar_averages(
    shape: tuple[int, int], origin: tuple[float, float], scale: float
) -> tuple[Any, float]:
    """Sparse matrix (radius and azimuth, pixels) of pyxem's polar averages, and the largest radius
    in Å⁻¹. Its geometry takes two seconds, whatever the number of patterns, so it is kept."""
    import pyxem
    from scipy.sparse import csr_matrix, diags

    signal = pyxem.signals.Diffraction2D(np.zeros(shape, dtype=np.float32))
    for axis, centre in zip(signal.axes_manager.signal_axes, origin[::-1], strict=True):
        axis.scale, axis.offset, axis.units = scale, -centre * scale, "$A^{-1}$"
    with _quiet():
        boxes, shares, ends, radii = signal.calibration.get_slices2d(max(shape) // 2, AZIMUTHS)
    pixels = np.arange(np.prod(shape)).reshape(shape)
    column = [pixels[top:bottom, left:right].ravel() for top, left, bottom, right in boxes]
    row = np.repeat(np.arange(len(column)), [len(c) for c in column])
    share = np.concatenate([shares[first:last] for first, last in ends])
    size = (len(column), pixels.size)
    weights = csr_matrix((share, (row, np.concatenate(column))), shape=size)
    total = np.asarray(weights.sum(axis=1)).ravel()
    weights = diags(1 / np.where(total > 0, total, 1)) @ weights
    return weights.astype(np.float32), float(radii[1])


def _match(
    polar: Any, crystal: Crystal, beam: Beam, camera: Camera, shape: Any, step: float, n_best: int
) -> Float:
    """(n_pattern, n_best, 3, 3) orientations of the best templates."""
    from orix.quaternion import Rotation

    with _quiet():
        simulation = _templates(crystal, beam.energy, _reach(camera, shape), step)
        n_best = min(n_best, simulation.rotations.size)
        found = polar.get_orientation(
            simulation, frac_keep=1.0, n_best=n_best, show_progressbar=False
        )
        rotations = found.to_crystal_map().rotations.data
    n = polar.data.shape[1]
    matrices = conventions.rotation_to_detector_matrix(Rotation(rotations.reshape(-1, 4)))
    return matrices.reshape(n, -1, 3, 3)


@lru_cache(maxsize=8)
def _templates(crystal: Crystal, energy: float, reach: float, step: float) -> Any:
    """diffsims' simulation of all orientations; seconds a phase, so it is kept."""
    from diffsims.generators.simulation_generator import SimulationGenerator
    from orix.sampling import get_sample_reduced_fundamental

    simulation = SimulationGenerator(energy).calculate_diffraction2d(
        crystal.phase,
        rotation=get_sample_reduced_fundamental(step, point_group=crystal.phase.point_group),
        max_excitation_error=EXCITATION,
        reciprocal_radius=reach,
        with_direct_beam=False,
    )
    for each in np.atleast_1d(simulation.coordinates):
        each.intensity = np.asarray(each.intensity, dtype=float) ** POWER
    return simulation


def _rank(
    matrices: Float,
    spots: Spots,
    beside: NDArray[np.bool_],
    crystal: Crystal,
    beam: Beam,
    camera: Camera,
    shape: tuple[int, int],
) -> tuple[Float, Float]:
    """Turn each candidate about the beam onto the spots; how much of them it explains."""
    reach = _reach(camera, shape) * np.sqrt(2)
    hkl, g = _reflections(crystal, reach)
    places = (spots.positions[beside] - camera.origin)[:, ::-1] * camera.scale  # (x, y) Å⁻¹
    weight = spots.counts[beside] ** POWER
    tolerance = _tolerance(camera)
    turns = np.arange(-REFINE, REFINE + 0.01, 0.2)
    c, s = np.cos(np.radians(turns)), np.sin(np.radians(turns))
    rotations = np.moveaxis(np.array([[c, s], [-s, c]]), -1, 0)
    out, scores = [], []
    for matrix in matrices:
        turned = g @ matrix.T
        sphere = turned[:, 2] + np.sum(turned**2, axis=1) / (2 * beam.wavenumber)
        near = np.abs(sphere) < 1.5 * EXCITATION
        here = turned[near, :2]
        inside = np.all(np.abs(here) < _reach(camera, shape), axis=1)
        # reflections on the sphere that show no disk count against an orientation
        expected = np.exp(-0.5 * (sphere[near] / (0.25 * EXCITATION)) ** 2) * inside
        moved = here @ rotations  # (turn, reflection, 2)
        squared = np.sum(places**2, axis=1)[:, None] + np.sum(here**2, axis=1)
        squared = squared - 2 * places @ np.moveaxis(moved, -1, -2)
        hit = np.exp(-0.5 * np.maximum(squared, 0) / tolerance**2)  # (turn, spot, reflection)
        explained = np.max(hit, axis=2, initial=0) @ weight / weight.sum()
        seen = np.max(hit, axis=1, initial=0) @ expected / max(expected.sum(), 1e-9)
        score = explained + 0.3 * seen
        best = int(np.argmax(score))
        out.append(conventions.in_plane_matrix(turns[best]) @ matrix)
        scores.append(score[best] / 1.3)
    return np.array(out), np.array(scores)


@lru_cache(maxsize=8)
def _reflections(crystal: Crystal, reach: float) -> tuple[NDArray[np.int64], Float]:
    """Reflections within reach that the lattice centring allows, and g in the crystal frame."""
    limit = np.floor(reach * np.linalg.norm(crystal.cell, axis=1) + 1e-9).astype(int)
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in limit], indexing="ij"), -1)
    hkl = hkl.reshape(-1, 3)
    g = hkl @ crystal.reciprocal
    length = np.linalg.norm(g, axis=1)
    phases = np.exp(2j * np.pi * hkl @ crystal.positions.T)
    symbols = np.array(crystal.symbols)
    by_element = [np.abs(phases[:, symbols == e].sum(axis=1)) for e in sorted(set(symbols))]
    present = np.max(by_element, axis=0) > 1e-3
    keep = (length > 1e-9) & (length < reach) & present
    return hkl[keep], g[keep]


def _merge(parts: list[tuple[int, Float, Float]], keep: int) -> Candidates:
    """The best of all phases, each orientation once (equivalents are dealt with by the nodes)."""
    if not parts:
        return Candidates(np.empty(0, dtype=np.int64), np.empty((0, 3, 3)), np.empty(0))
    phase = np.concatenate([np.full(len(score), n) for n, _, score in parts])
    matrix = np.concatenate([m for _, m, _ in parts])
    score = np.concatenate([s for _, _, s in parts])
    chosen: list[int] = []
    for i in np.argsort(-score, kind="stable"):
        same = [
            j
            for j in chosen
            if phase[i] == phase[j]
            and np.trace(matrix[i] @ matrix[j].T) > 1 + 2 * np.cos(np.radians(APART))
        ]
        if not same:
            chosen.append(int(i))
        if len(chosen) == keep:
            break
    return Candidates(phase[chosen], matrix[chosen], score[chosen])


@contextlib.contextmanager
def _quiet() -> Any:
    """Progress bars, deprecation warnings and logs of the libraries are theirs, not the user's."""
    import io
    import logging

    log = logging.getLogger("hyperspy.signal")

    def about_axes(record: logging.LogRecord) -> bool:  # pyxem's polar axes differ, as they should
        return "in-between axes" not in record.getMessage()

    log.addFilter(about_axes)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(io.StringIO()):
                yield
    finally:
        log.removeFilter(about_axes)
