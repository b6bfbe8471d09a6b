"""From fits of all points to an orix crystal map with its properties."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_coarse import CoarseMap
from pyxem_mlmaps.mapping.grain_points import PointFits
from pyxem_mlmaps.mapping.grain_solution import Solution
from pyxem_mlmaps.mapping.segments import Segments

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

    from pyxem_mlmaps.mapping.grain_rounds import Rounds

__all__ = ["BRIGHTNESS", "explained_limit", "is_explained", "to_crystal_map", "unsure_limit"]

Float = NDArray[np.floating]

HIGHEST = 2.0
"""Reduced chi-square beyond which no pattern counts as explained, whatever the others have."""
SPREADS, LEAST, MOST = 3.5, 1.1, 1.25
"""Limit above the typical chi-square: so many times what lies between it and the lowest ones,
within these factors. Hundreds of pixels make chi-square sharp: patterns of two crystals that one
of them explains by chance lie just beyond the others."""
UNSURE = 1.07
SUPPORTED = (1.0, 3.0)
"""Excess of chi-square that a segment's sum may have if its points are to be precise, or twice
that of the other segments between the two. A sum has many times the counts of a point, and shows
what a single pattern is too noisy to show."""
MODEL_SIGMA = (0.0025, 0.0025, 0.0)
"""Degrees added in quadrature to σ of tilt x, tilt y and in-plane angle for what the simulation
leaves out. Patterns of another simulator are off by 0.0020° and 0.0006° RMS, 0.0012° of it in
common (``benchmarks/README.md``); with patterns of this package's own σ is too careful by a factor
of two to three."""


def explained_limit(fits: PointFits, sure: NDArray[np.integer]) -> float:
    """Reduced chi-square that points of good segments stay below.

    Parameters
    ----------
    fits
        Of all points.
    sure
        Numbers of the points whose sums are explained.
    """
    low, typical = _typical(fits, sure)
    limit = np.clip(typical + SPREADS * (typical - low), LEAST * typical, MOST * typical)
    return float(min(limit, HIGHEST))


def unsure_limit(fits: PointFits, sure: NDArray[np.integer]) -> float:
    """Reduced chi-square beyond which a point's neighbours are asked, though it counts as
    explained: wrong minima lie just above what is typical."""
    return min(UNSURE * _typical(fits, sure)[1], explained_limit(fits, sure))


def _typical(fits: PointFits, sure: NDArray[np.integer]) -> tuple[float, float]:
    """Low and typical reduced chi-square of patterns that are explained."""
    chi_square = fits.chi_square[sure]
    chi_square = chi_square[np.isfinite(chi_square)]
    if not chi_square.size:
        return 0.95, 1.0
    low, typical = np.quantile(chi_square, (0.03, 0.5))
    return float(low), float(typical)


def is_explained(
    fits: PointFits, limit: float, sure: NDArray[np.integer], brightness: tuple[float, float]
) -> NDArray[np.bool_]:
    """Points that a crystal explains, in a beam that is as bright as that of the ``sure`` points:
    a faint pattern of another crystal may explain much, and any crystal explains a vacuum."""
    found = (fits.chi_square <= limit) & (fits.model >= 0) & ~fits.at_border
    reference = fits.amplitude[sure]
    if not np.isfinite(reference).any():
        reference = fits.amplitude[found & (fits.chi_square > 0.1)]
    if not np.isfinite(reference).any():
        return np.zeros(len(found), dtype=bool)
    with np.errstate(invalid="ignore"):
        relative = fits.amplitude / np.nanmedian(reference)
    return found & (relative > brightness[0]) & (relative < brightness[1])


def supported(fits: PointFits, solutions: list[Solution | None]) -> NDArray[np.bool_]:
    """Points whose answer comes from a segment whose sum it explains as well."""
    excess = np.array([np.inf if s is None else s.excess for s in solutions] + [np.inf])
    found = excess[np.isfinite(excess)]
    limit = np.clip(2 * np.median(found), *SUPPORTED) if found.size else SUPPORTED[0]
    return excess[fits.source] <= limit


DIMMEST = 0.3
"""Brightness, relative to the others, of a crystal that is there at all."""
BRIGHTNESS = (0.7, 1.5)
"""The same of one that is precise: thickness and absorption are in the model, so the beam is the
same everywhere, but for contamination and for what the simulation does not know of absorption."""


def to_crystal_map(
    signal: Any,
    found: Rounds,
    known: CoarseMap | None,
    grain_angle: float,
    subgrain_angle: float,
) -> CrystalMap:
    """Build the map, label grains and sub-grains, and warn of what is missing."""
    solver, fits, limit = found.solver, found.fits, found.limit
    segments, solutions = found.segments, found.solutions
    shape = segments.labels.shape
    n = segments.labels.size
    explained = is_explained(fits, limit, found.sure, BRIGHTNESS) & supported(fits, solutions)
    there = is_explained(fits, 4 * limit, found.sure, (DIMMEST, np.inf))
    matrix, phase = _coarse(segments, solutions, known)
    phase[~segments.usable.ravel()] = -1
    fallback = (phase < 0) & there
    turn = np.zeros(n)
    for number, key in enumerate(fits.keys):
        rows = np.flatnonzero((explained | fallback) & (fits.model == number))
        if len(rows):
            grain = solver.models[key]
            matrix[rows] = grain.matrices(fits.values[rows])
            phase[rows] = key.phase
            turn[rows] = fits.values[rows, 3]
    sigma, covariance = _uncertainty(fits, turn)
    missing = ~explained
    prop = {
        "sigma_tilt_x": sigma[:, 0],
        "sigma_tilt_y": sigma[:, 1],
        "sigma_in_plane": sigma[:, 2],
        "covariance_xy": covariance[:, 0, 1],
        "covariance_xz": covariance[:, 0, 2],
        "covariance_yz": covariance[:, 1, 2],
        "thickness": fits.values[:, 2].copy(),
        "sigma_thickness": np.sqrt(fits.covariance[:, 2, 2] * np.maximum(fits.chi_square, 1)),
    }
    for values in prop.values():
        values[missing] = np.nan
    with np.errstate(invalid="ignore"):
        misfit = np.sqrt(fits.chi_square / limit)
    misfit = np.where(fits.at_border, np.maximum(misfit, 2.0), misfit)
    prop["misfit"] = np.where(np.isfinite(misfit), misfit, np.nan)
    prop["precise"] = explained.astype(int)
    xmap = _crystal_map(signal, shape, matrix, phase, prop, solver)
    _label(xmap, shape, grain_angle, subgrain_angle)
    _warn(n, explained, phase >= 0)
    return xmap


def _coarse(
    segments: Segments, solutions: list[Solution | None], known: CoarseMap | None
) -> tuple[Float, NDArray[np.int64]]:
    """Coarse orientation and phase of every point; -1 where there is none."""
    n = segments.labels.size
    if known is not None:
        return known.matrix.copy(), known.phase.copy()
    matrix, phase = np.tile(np.eye(3), (n, 1, 1)), np.full(n, -1)
    label = segments.labels.ravel()
    found = [s.chi_square for s in solutions if s is not None]
    limit = max(COARSE_LIMIT, 3 * float(np.median(found))) if found else COARSE_LIMIT
    for number, solution in enumerate(solutions):
        if solution is not None and solution.chi_square <= limit:
            rows = label == number
            matrix[rows], phase[rows] = solution.matrix, solution.key.phase
    return matrix, phase


COARSE_LIMIT = 4.0
"""Reduced chi-square of a segment's sum beyond which not even a coarse answer is given, or three
times that of the other segments."""
SMALLEST_GRAIN = 4
"""Points; fewer are labelled with the grain around them."""


def _uncertainty(fits: PointFits, turn: Float) -> tuple[Float, Float]:
    """σ (n, 3) and covariance (n, 3, 3) of tilt x, tilt y, in-plane in detector axes, degrees."""
    pick = [0, 1, 3]
    covariance = fits.covariance[:, pick][:, :, pick]
    covariance = covariance * np.maximum(fits.chi_square, 1)[:, None, None]
    rotate = conventions.in_plane_matrix(turn)
    covariance = rotate @ covariance @ np.swapaxes(rotate, -1, -2)
    covariance = covariance + np.diag(np.square(MODEL_SIGMA))
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).copy()
    return sigma, covariance


def _crystal_map(
    signal: Any, shape: tuple[int, int], matrix: Float, phase: Any, prop: dict, solver: Solver
) -> CrystalMap:
    from orix.crystal_map import CrystalMap, PhaseList

    axes = signal.axes_manager.navigation_axes[::-1]
    steps = [1.0] * (2 - len(axes)) + [float(a.scale) for a in axes]
    unit = str(axes[-1].units) if axes and str(axes[-1].units) != "<undefined>" else "px"
    y, x = np.meshgrid(
        *[s * np.arange(k) for s, k in zip(steps, shape, strict=True)], indexing="ij"
    )
    phases = PhaseList(
        phases=[c.phase for c in solver.models.crystals],
        ids=list(range(len(solver.models.crystals))),
    )
    return CrystalMap(
        rotations=conventions.detector_matrix_to_rotation(matrix),
        phase_id=phase,
        x=x.ravel(),
        y=y.ravel(),
        phase_list=phases,
        prop=prop,
        scan_unit=unit,
    )


def _label(xmap: Any, shape: tuple[int, int], grain_angle: float, subgrain_angle: float) -> None:
    from pyxem_mlmaps.mapping.grains import label_grains
    from pyxem_mlmaps.mapping.subgrains import label_subgrains

    if not xmap.is_indexed.any():
        xmap.prop["grain_id"] = xmap.prop["subgrain_id"] = np.full(xmap.size, -1)
        return
    grains = label_grains(xmap, grain_angle, SMALLEST_GRAIN)
    xmap.prop["grain_id"] = grains.ravel()
    xmap.prop["subgrain_id"] = label_subgrains(xmap, subgrain_angle, grains=grains).ravel()


def _warn(n: int, explained: NDArray[np.bool_], indexed: NDArray[np.bool_]) -> None:
    coarse, none = int((indexed & ~explained).sum()), int((~indexed).sum())
    if coarse or none:
        warnings.warn(
            f"of {n} points {int((indexed & explained).sum())} are precise, {coarse} are coarse "
            f"(precise = 0: boundaries, or patterns that the simulation does not explain), {none} "
            "are not indexed.",
            stacklevel=4,
        )
