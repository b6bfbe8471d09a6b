"""Sub-grains of a synthetic polycrystal, simulated each in its own orientation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import progress
from pyxem_mlmaps.conventions import detector_matrix_to_rotation
from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.simulation.mixed_scan import DiskSet
from pyxem_mlmaps.simulation.scan import disk_spline, map_spline
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import Beam

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["Optics", "SubgrainOrder", "simulated"]

Float = NDArray[np.floating]

G_MAX, WEAK_BEAMS, STEP = 4.0, 0.05, 8.0
"""Å⁻¹, cut-off of the simulations; Å⁻¹, excitation error of beams that are folded into the others;
Å, propagation step."""
FAINTEST, DISKS = 2e-5, 120
"""Of the incident beam: fainter disks are left out, and all but the strongest."""
TILT_STEP, THICKNESS_STEP = 0.015, 1.25
"""Degrees, nm. A disk far from its Bragg condition comes and goes within 3 nm."""
KEPT = 48
"""Simulated sub-grains that a process keeps, a few MB each."""


@dataclass(frozen=True)
class Optics:
    """Origin (y, x) and radius in px, Å⁻¹ and degrees per pixel, detector (ky, kx) px."""

    detector: tuple[int, int]
    origin: tuple[float, float]
    radius: float
    edge: float
    scale: float
    degrees_per_pixel: float

    @property
    def skirt(self) -> float:
        """px beyond the radius that a disk is drawn."""
        return 3 * self.edge + 1.5

    def shows(self, vectors: Float) -> NDArray[np.bool_]:
        """Which disks (kx, ky, ...) touch the detector, or nearly."""
        centre = np.array(self.origin) + vectors[:, 1::-1] / self.scale
        margin = self.radius + self.skirt + 1
        return np.all((centre > -margin) & (centre < np.array(self.detector) + margin), axis=1)


@dataclass(frozen=True, eq=False)
class SubgrainOrder:
    """What a sub-grain's simulation depends on.

    Parameters
    ----------
    phase, crystal
        As given, and as the simulation reads it.
    base
        (3, 3) crystal-to-detector matrix.
    beam, optics
        Probe and detector.
    bend
        Largest tilt on each axis, degrees.
    span
        (thinnest, thickest) nm.
    """

    phase: Phase
    crystal: Crystal
    base: Float
    beam: Beam
    optics: Optics
    bend: float
    span: tuple[float, float]

    @property
    def thickness(self) -> Float:
        """A step beyond what is needed on each side, for the ends of the spline."""
        low, high = np.array(self.span) / THICKNESS_STEP
        first = max(int(np.floor(low)) - 1, 1)
        return THICKNESS_STEP * np.arange(first, max(int(np.ceil(high)) + 2, first + 4))

    @property
    def key(self) -> tuple[Any, ...]:
        """All that makes a difference, to find it in the cache."""
        span = tuple(self.thickness[[0, -1]])
        return self.crystal, self.base.tobytes(), self.beam, self.optics, self.bend, span, G_MAX

    def simulate(self) -> DiskSet:
        """Propagation of all tilts and thicknesses that the scan needs."""
        from pyxem_mlmaps.simulation.rocking import simulate_rocking

        library = simulate_rocking(
            self.phase,
            self.beam,
            orientation=detector_matrix_to_rotation(self.base),
            # the maps reach an aperture and a step beyond; the blurred edge lies farther out
            tilt_range=max(self.bend + self.optics.skirt * self.optics.degrees_per_pixel, 0.01),
            tilt_step=TILT_STEP,
            thickness=self.thickness,
            reflections=DISKS,
            g_max=G_MAX,
            step=STEP,
            weak_beams=WEAK_BEAMS,
            keep_maps=True,
            overlap="ignore",
            show_progressbar=False,
        )
        vectors = library.indices @ self.crystal.reciprocal @ self.base.T
        bright = library.mean_intensity > FAINTEST
        keep = np.flatnonzero(bright & self.optics.shows(vectors))
        maps, disks = map_spline(library), disk_spline(library)
        return DiskSet(_only(maps, keep), _only(disks, keep), vectors[keep])


def _only(spline: LibrarySpline, keep: NDArray[np.integer]) -> LibrarySpline:
    return replace(spline, coefficients=np.ascontiguousarray(spline.coefficients[..., keep]))


_cache: OrderedDict[tuple[Any, ...], DiskSet] = OrderedDict()


def simulated(orders: list[SubgrainOrder], show_progressbar: bool | None) -> tuple[DiskSet, ...]:
    """The disks of each order, simulated once per process."""
    keys = [order.key for order in orders]
    missing = [n for n, key in enumerate(keys) if key not in _cache]
    made = {
        keys[n]: orders[n].simulate()
        for n in progress(missing, "Simulating sub-grains", show_progressbar, total=len(missing))
    }
    sets = tuple(made[key] if key in made else _cache[key] for key in keys)
    for key, value in zip(keys, sets, strict=True):
        _cache[key] = value
        _cache.move_to_end(key)
    while len(_cache) > max(KEPT, len(set(keys))):
        _cache.popitem(last=False)
    return sets
