"""Where the disks are on the detector, and what they look like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_solution import Solution
from pyxem_mlmaps.mapping.spot_patterns import find_spots
from pyxem_mlmaps.mapping.template_match import Camera
from pyxem_mlmaps.models.pattern_fit import Optics
from pyxem_mlmaps.specs import Beam

__all__ = ["find_camera", "measure_optics"]

Float = NDArray[np.floating]

FIRST_EDGE = 0.6
"""px, until it is measured."""
MOST_CHANGE = 0.1
"""Of radius and scale against what convergence angle and calibration say."""


def find_camera(
    signal: Any, beam: Beam, sums: Float, origin: Any, optics: Any
) -> tuple[Camera, Optics]:
    """From calibration, convergence angle and the brightest disk of the summed patterns.

    Raises
    ------
    ValueError
        If the diffraction axes have no usable unit, or the disks would be smaller than 1.5 px.
    """
    from pyxem_mlmaps.mapping.mean_pattern import calibration_of

    scale = calibration_of(signal).scale
    if scale is None:
        raise ValueError(
            "the signal's diffraction axes have no calibration in Å⁻¹, nm⁻¹ or mrad: set "
            "s.calibration.scale and units, or the scale and units of its signal axes."
        )
    radius = beam.aperture_radius / scale
    edge = FIRST_EDGE
    if not isinstance(optics, str):
        pair = np.asarray(optics, dtype=float).ravel()
        if pair.shape != (2,) or not (1 <= pair[0] <= 500 and 0.05 <= pair[1] <= pair[0]):
            raise ValueError(
                f"optics={optics!r}: 'measure' or (radius, edge) in px is allowed, a radius of 1 "
                "to 500 and an edge of 0.05 up to the radius."
            )
        radius, edge = float(pair[0]), float(pair[1])
    elif optics != "measure":
        raise ValueError(f"optics={optics!r}: 'measure' or (radius, edge) in px is allowed.")
    if radius < 1.5:
        raise ValueError(
            f"beam and calibration make the disks {radius:.2f} px in radius; at least 1.5 px are "
            "needed. Record with a longer camera length or a larger convergence angle."
        )
    if origin is None:
        spots = find_spots(sums.sum(axis=0), radius) if len(sums) else None
        if spots is None or not len(spots.counts):
            middle = (np.array(signal.data.shape[-2:]) - 1) / 2
            origin = tuple(middle)
        else:
            origin = tuple(spots.positions[np.argmax(spots.counts)])
    else:
        pair = np.asarray(origin, dtype=float).ravel()
        if pair.shape != (2,) or not np.all(np.isfinite(pair)):
            raise ValueError(f"origin={origin!r}: give (y, x) in pixels, or None.")
        origin = (float(pair[0]), float(pair[1]))
    camera = Camera((float(origin[0]), float(origin[1])), float(scale), float(radius))
    return camera, _optics(radius, edge, scale, beam)


def _optics(radius: float, edge: float, scale: float, beam: Beam) -> Optics:
    return Optics(
        float(radius), float(edge), float(scale), float(np.degrees(scale * beam.wavelength))
    )


def measure_optics(
    solver: Solver, sums: Float, solutions: list[Solution | None], gain: float
) -> Solver:
    """The solver with radius, edge and scale that explain summed patterns best.

    Parameters
    ----------
    solver
        With what is known so far.
    sums
        (n, ky, kx).
    solutions
        Their orientations.
    gain
        Counts for one electron.
    """
    from scipy.optimize import minimize

    limit = 4 * solver.good
    known = [
        (pattern, s)
        for pattern, s in zip(sums, solutions, strict=True)
        if s is not None and s.chi_square < limit
    ]
    if not known:
        return solver
    known = sorted(known, key=lambda pair: pair[1].chi_square)[:4]
    first, beam = solver.optics, solver.models.beam
    origin = np.mean([s.values[4:6] for _, s in known], axis=0)

    def optics(p: Float) -> Optics:
        change = np.clip(p[:2], -MOST_CHANGE, MOST_CHANGE)
        edge = float(np.clip(np.exp(p[2]), 0.05, 0.5 * first.radius))
        return _optics(first.radius * (1 + change[0]), edge, first.scale * (1 + change[1]), beam)

    def cost(p: Float) -> float:
        total = 0.0
        for pattern, s in known:
            fit = solver.models[s.key].fit(pattern[None], s.values[None], optics(p), gain, 8)
            total += float(np.nan_to_num(fit.chi_square[0], nan=1e6))
        return total

    guess = np.array([0.0, 0.0, np.log(first.edge)])
    steps = np.array([[0.02, 0, 0], [0, 0.003, 0], [0, 0, 0.3]])
    found = minimize(
        cost,
        guess,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([guess, guess + steps]),
            "maxfev": 60,
            "xatol": 2e-4,
            "fatol": 1e-3,
        },
    )
    measured = optics(found.x)
    camera = Camera((float(origin[0]), float(origin[1])), measured.scale, measured.radius)
    return replace(solver, camera=camera, optics=measured)
