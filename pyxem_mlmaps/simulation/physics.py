"""A crystal in its orientation: beams, potential matrix, convergence of the cut-off."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.simulation.beams import coupled_to_direct_beam, select_beams
from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.simulation.propagation import excitation_errors, propagate
from pyxem_mlmaps.simulation.structure_factors import (
    PotentialCoefficients,
    potential_coefficients,
    thermal_absorption,
)
from pyxem_mlmaps.simulation.weak_beams import fold_weak_beams, propagate_folded
from pyxem_mlmaps.specs import Beam

__all__ = ["OrientedCrystal", "Setup", "check_overlap", "choose_reflections", "isolated"]

CUTOFFS = np.arange(1.5, 6.01, 0.5)
NEAR = 1.02
"""Disks nearer than this many diameters overlap."""
FAINT = 0.02
"""Of a disk's mean intensity: what an overlapping disk may carry at most to be left alone."""
CHOICE = 2.0
"""Å⁻¹. With folded beams, disks are chosen by a simulation of the beams up to there."""


@dataclass(frozen=True)
class Setup:
    """Everything that a tile of tilts needs. ``weak``: |s| beyond which beams are folded; None
    propagates all."""

    beam: Beam
    matrix: NDArray[np.complexfloating]
    g: NDArray[np.floating]
    keep: NDArray[np.integer]
    thickness: NDArray[np.floating]
    step: float
    weak: float | None = None

    def per_tile(self, tilt_step: float) -> int:
        """Tilts along each side of a tile: 0.4°, or 0.2° with folded beams, by the errors of the
        two splittings; not fewer than pay for what is done once for a tile."""
        if self.weak is None:
            return max(int(0.4 / tilt_step), 4)
        return max(int(0.2 / tilt_step), 10)

    def intensities(self, tilt_x: NDArray, tilt_y: NDArray) -> NDArray[np.float32]:
        """(n_x, n_y, n_thickness, n_keep) on the grid tilt_x × tilt_y (degrees)."""
        grid = np.meshgrid(tilt_x, tilt_y, indexing="ij")
        transverse = conventions.transverse_wavevector(self.beam.wavenumber, *grid)
        s = excitation_errors(self.g, transverse.reshape(-1, 2), self.beam.wavenumber)
        wavelength, depth = self.beam.wavelength, 10 * self.thickness
        if self.weak is None:
            out = propagate(self.matrix, s, depth, wavelength, self.keep, self.step)
        else:
            mean = s.mean(axis=0)
            folded = fold_weak_beams(self.matrix, mean, wavelength, self.keep, self.weak)
            out = propagate_folded(folded, s - mean, depth, self.step)
        return out.reshape(*grid[0].shape, len(self.thickness), len(self.keep))


@dataclass(frozen=True)
class OrientedCrystal:
    """The crystal in its orientation, before the beams are chosen."""

    crystal: Crystal
    beam: Beam
    to_detector: NDArray[np.floating]
    zone: tuple[int, int, int] | None
    laue_zones: int
    absorption: float | str
    absorption_scale: float | dict[str, float]
    mean_absorption: bool
    potential_scale: float
    parametrization: str
    step: float
    weak: float | None = None

    def setup(
        self,
        g_max: float,
        thickness: NDArray,
    ) -> tuple[Setup, NDArray[np.integer]]:
        hkl, g = select_beams(
            self.crystal.reciprocal, self.to_detector, self.beam.wavelength, g_max, self.zone,
            self.laue_zones,
        )  # fmt: skip
        potential = self._coefficients(potential_coefficients, g_max)
        coupled = coupled_to_direct_beam(potential, hkl)
        hkl, g = hkl[coupled], g[coupled]
        if self.absorption == "thermal":
            absorptive, factor = (
                self._coefficients(thermal_absorption, g_max, scale=self.absorption_scale),
                1.0,
            )
        else:
            absorptive, factor = potential, self.absorption * self.absorption_scale
        loss = factor * absorptive.matrix(hkl)
        if self.mean_absorption:
            loss += factor * float(absorptive(np.zeros(3, dtype=int)).real) * np.eye(len(hkl))
        matrix = self.potential_scale * (potential.matrix(hkl) + 1j * loss)
        every = np.arange(len(hkl))
        return Setup(self.beam, matrix, g, every, thickness, self.step, self.weak), hkl

    def _coefficients(
        self, function: Callable, g_max: float, **options: Any
    ) -> PotentialCoefficients:
        return _coefficients_of(
            function, self.crystal, self.beam.energy, 2 * g_max + 1e-3, self.parametrization,
            json.dumps(options, sort_keys=True),
        )  # fmt: skip

    def converge(self, thickness: NDArray, tolerance: float) -> tuple[float, float]:
        """Smallest cut-off whose successor changes the intensities by R ≤ tolerance, and R."""
        tilt = np.array([-0.2, 0.1, 0.3])
        previous: dict[tuple[int, ...], NDArray] | None = None
        change = np.inf
        for cutoff in CUTOFFS:
            setup, hkl = self.setup(cutoff, thickness[-1:])
            setup = replace(setup, weak=None)  # all beams are wanted
            values = setup.intensities(tilt, tilt[:2]).reshape(-1, len(hkl))
            current = dict(zip(map(tuple, hkl.tolist()), values.T, strict=True))
            if previous is not None:
                old = np.array(list(previous.values()))
                new = np.array([current[key] for key in previous])
                change = float(np.abs(new - old).sum() / new.sum())
                if change <= tolerance:
                    return float(cutoff - 0.5), change
            previous = current
        warnings.warn(
            f"g_max={CUTOFFS[-1]:g} Å⁻¹ still changes the intensities by R = {change:.3f}, above "
            f"convergence={tolerance:g}; the library is simulated with it all the same.",
            stacklevel=3,
        )
        return float(CUTOFFS[-1]), change


@lru_cache(maxsize=8)
def _coefficients_of(
    function: Callable,
    crystal: Crystal,
    energy: float,
    g_max: float,
    parametrization: str,
    options: str,
) -> PotentialCoefficients:
    """Kept, since many libraries of one crystal differ in its orientation alone."""
    return function(crystal, energy, g_max, parametrization, **json.loads(options))


def choose_reflections(
    setup: Setup, hkl: NDArray, reflections: Any, tilt: NDArray, avoid_overlap: bool = False
) -> NDArray[np.integer]:
    """Positions of the wanted reflections among the beams.

    A number of them comes in order of |g|, given ones in their own order; ``avoid_overlap``
    leaves out those whose disks are not :func:`isolated`, before they are counted.
    """
    count = int(reflections) if np.ndim(reflections) == 0 else None
    if count is None:
        candidates = _find_reflections(hkl, reflections)
    elif count < 1:
        raise ValueError(f"reflections={reflections}: at least 1 disk is needed.")
    else:
        candidates = np.arange(len(hkl))
    if not avoid_overlap and (count is None or count >= len(hkl)):
        return candidates
    if setup.weak is not None:  # beams are sorted by |g|
        length = np.linalg.norm(setup.g, axis=1)
        farthest = CHOICE if count is not None else max(CHOICE, float(length[candidates].max()))
        n = int(np.sum(length <= farthest + 1e-9))
        setup = _innermost(setup, n)
        candidates = candidates[candidates < n]
    if not avoid_overlap:
        coarse = np.linspace(tilt[0], tilt[-1], 5)
        strength = setup.intensities(coarse, coarse).mean(axis=(0, 1, 2))
    else:
        strength = _disk_strength(setup, tilt)
        candidates = candidates[isolated(setup.g, strength, setup.beam)[candidates]]
        if not len(candidates):
            raise ValueError(
                f"overlap='avoid' leaves none of the reflections={reflections!r}: each of their "
                "disks is overlapped. Use a smaller convergence angle or another orientation."
            )
    if count is None:
        return candidates
    strongest = np.argsort(-strength[candidates], kind="stable")[:count]
    return np.sort(candidates[strongest])


def _innermost(setup: Setup, n: int) -> Setup:
    """Of the first ``n`` beams, all propagated, at about eight of the thicknesses."""
    return replace(
        setup,
        matrix=setup.matrix[:n, :n],
        g=setup.g[:n],
        keep=np.arange(n),
        thickness=setup.thickness[:: max(1, len(setup.thickness) // 8)],
        weak=None,
    )


def _disk_strength(setup: Setup, tilt: NDArray) -> NDArray[np.floating]:
    """(n_beam,) mean over tilts, thicknesses and the aperture, by a coarse sum of plane waves."""
    aperture = 1e-3 * np.degrees(setup.beam.convergence_angle)
    half = float(tilt[-1]) + aperture
    n = int(np.clip(np.ceil(3 * half / max(aperture, 1e-6)), 4, 8))
    waves = np.linspace(-half, half, 2 * n + 1)
    centres = np.linspace(-tilt[-1], tilt[-1], 9)
    away = waves[:, None] - centres  # of each plane wave from each tilt, along an axis
    distance = np.hypot(away[:, None, :, None], away[None, :, None, :])
    weights = (distance <= aperture + half / (2 * n)).sum(axis=(2, 3))
    intensities = setup.intensities(waves, waves).mean(axis=2)
    return np.einsum("xy,xyd->d", weights / weights.sum(), intensities)


def _find_reflections(hkl: NDArray, reflections: Any) -> NDArray[np.integer]:
    wanted = np.atleast_2d(np.asarray(reflections, dtype=int))
    position = {key: i for i, key in enumerate(map(tuple, hkl.tolist()))}
    missing = [tuple(r) for r in wanted.tolist() if tuple(r) not in position]
    if missing:
        raise ValueError(
            f"reflections={missing} are not among the {len(hkl)} beams: not in the zone, "
            "forbidden by the lattice centring, or beyond g_max. Leave them out or raise g_max."
        )
    return np.array([position[tuple(r)] for r in wanted.tolist()], dtype=int)


def isolated(
    g: NDArray[np.floating], strength: NDArray[np.floating], beam: Beam
) -> NDArray[np.bool_]:
    """Which disks no other disk overlaps that counts.

    Parameters
    ----------
    g
        (n_beam, 2 or 3) Å⁻¹, of all beams; only the components across the beam matter.
    strength
        (n_beam,) mean intensities.
    beam
        Its aperture makes the disks' radius.

    Returns
    -------
    isolated
        (n_beam,). A disk is overlapped by another one that is nearer than 1.02 diameters and
        carries more than 2 % of its mean intensity.
    """
    distance = np.linalg.norm(g[:, None, :2] - g[None, :, :2], axis=-1)
    near = distance < NEAR * 2 * beam.aperture_radius
    near[np.diag_indices(len(g))] = False
    return ~np.any(near & (strength[None, :] > FAINT * strength[:, None]), axis=1)


def check_overlap(g: NDArray, beam: Beam) -> None:
    """Warn if disks overlap by up to a tenth of their width, refuse more."""
    if len(g) < 2 or beam.convergence_angle == 0:
        return
    distance = np.linalg.norm(g[:, None, :2] - g[None, :, :2], axis=-1)
    distance[np.diag_indices(len(g))] = np.inf
    nearest = float(distance.min())
    if nearest < 2 * beam.aperture_radius:
        message = (
            f"convergence_angle={beam.convergence_angle:g} mrad makes disks overlap: they are "
            f"{nearest:.3f} Å⁻¹ apart and {2 * beam.aperture_radius:.3f} Å⁻¹ wide. Intensities of "
            f"overlapping disks cannot be told apart; below "
            f"{1e3 * nearest / 2 / beam.wavenumber:.2f} mrad they separate."
        )
        if nearest < 1.8 * beam.aperture_radius:
            raise ValueError(message)
        warnings.warn(message, stacklevel=4)
