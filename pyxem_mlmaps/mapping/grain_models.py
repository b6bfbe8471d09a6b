"""Grain models by node: simulated when first needed, on disk by content, in memory while used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps.models.grain import GrainModel
from pyxem_mlmaps.simulation.crystal import Crystal
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.library_cache import LibraryCache, content_key
from pyxem_mlmaps.simulation.orientation_nodes import Node
from pyxem_mlmaps.specs import Beam

__all__ = ["FINE", "WIDE", "GrainModels", "Grid", "ModelKey"]

Float = NDArray[np.floating]


class Grid(NamedTuple):
    """How the libraries of nodes are simulated: degrees, degrees, degrees, nm, Å⁻¹, disks, Å,
    Å⁻¹ of excitation error beyond which beams are folded."""

    spacing: float
    tilt_range: float
    tilt_step: float
    thickness_step: float
    g_max: float
    reflections: int
    step: float
    weak_beams: float


FINE = Grid(0.8, 0.65, 0.02, 1.25, 4.0, 60, 15.0, 0.02)
"""Nodes that answers come from. Directions lie up to 0.58° from their node along a tilt axis; a
point that is held at the border of its library is taken on to the next node."""
WIDE = Grid(1.0, 2.2, 0.04, 2.5, 2.5, 30, 15.0, 0.02)
"""Nodes that tell where within the error of a template the tilt is; few beams will do."""
FAINTEST = 1e-3
"""Share of all diffracted intensity: fainter disks are left out. They lie far from the Bragg
condition, and their intensity comes and goes over less than the thickness step. A weak scatterer
needs what is left: a bright row alone tells no tilt about itself."""
FEWEST = 12
"""Disks that stay whatever their intensity."""


class ModelKey(NamedTuple):
    """Which model: number of the phase, node, and the grid it belongs to."""

    phase: int
    node: Node
    grid: Grid


_of_process: OrderedDict[str, GrainModels] = OrderedDict()
_process_lock = threading.Lock()


def _of_this_process(
    crystals: tuple[Crystal, ...],
    beam: Beam,
    thickness: tuple[float, float],
    reach: float,
    folder: Path,
    largest: float,
    memory: float,
    options: dict[str, Any],
) -> GrainModels:
    """The models of these parameters, the same object for all tasks of a process."""
    name = content_key(
        crystals=[c.to_dict() for c in crystals],
        beam=[beam.energy, beam.convergence_angle],
        thickness=list(thickness),
        reach=reach,
        cache=[str(folder), largest, memory],
        options=options,
    )
    with _process_lock:
        if name not in _of_process:
            cache = LibraryCache(folder, largest)
            _of_process[name] = GrainModels(
                crystals, beam, thickness, reach, cache, memory, options
            )
            while len(_of_process) > 1:
                _of_process.popitem(last=False)
        return _of_process[name]


@dataclass
class GrainModels:
    """Models of all orientations of a scan's phases.

    Parameters
    ----------
    crystals
        Of the phases.
    beam
        Energy and convergence semi-angle.
    thickness
        (thin, thick) in nm.
    reach
        Å⁻¹ from the direct beam to the farthest corner of the detector: reflections beyond are
        left out.
    cache
        Where libraries are kept.
    memory
        Bytes of models held in memory.
    """

    crystals: Sequence[Crystal]
    beam: Beam
    thickness: tuple[float, float]
    reach: float
    cache: LibraryCache
    memory: float = 1.5e9
    options: dict[str, Any] = field(default_factory=dict)
    _models: OrderedDict[ModelKey, GrainModel] = field(default_factory=OrderedDict, init=False)
    _making: dict[ModelKey, Any] = field(default_factory=dict, init=False)
    _lock: Any = field(default_factory=threading.RLock, init=False)

    def __getitem__(self, key: ModelKey) -> GrainModel:
        """The model, made now if need be; other threads wait only if they want the same."""
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
            own = self._making.setdefault(key, threading.Lock())
        with own:
            with self._lock:
                if key in self._models:
                    return self._models[key]
            model = self._make(key)
            with self._lock:
                self._models[key] = model
                while len(self._models) > 1 and self._held() > self.memory:
                    self._models.popitem(last=False)
        return model

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Pickled without its models: another process reads them from the cache folder, where that
        can be reached, or simulates them; once, whatever the number of tasks."""
        folder, largest = self.cache.folder, self.cache.largest
        content = (tuple(self.crystals), self.beam, self.thickness, self.reach)
        return _of_this_process, (*content, folder, largest, self.memory, self.options)

    def wide_keys(self) -> tuple[ModelKey, ...]:
        """Wide models that were made so far, in a fixed order."""
        with self._lock:
            return tuple(sorted(k for k in self._making if k.grid == WIDE))

    def axis(self, grid: Grid) -> Float:
        """Thicknesses of the libraries, nm."""
        low, high = self.thickness
        n = max(int(np.ceil((high - low) / grid.thickness_step - 1e-9)), 4)
        return np.linspace(low, high, n + 1)

    def _held(self) -> float:
        return sum(m.n_bytes for m in self._models.values())

    def _name(self, key: ModelKey) -> str:
        crystal = self.crystals[key.phase].to_dict()
        crystal.pop("name")
        return content_key(
            crystal=crystal,
            energy=self.beam.energy,
            convergence_angle=self.beam.convergence_angle,
            node=[key.node.row, key.node.column, key.node.spacing],
            grid=list(key.grid),
            thickness=self.axis(key.grid),
            reach=round(self.reach, 6),
            options=self.options,
        )

    def _make(self, key: ModelKey) -> GrainModel:
        return self.cache.get(
            self._name(key),
            lambda: GrainModel.of(self._simulate(key), key.node.matrix),
            GrainModel.load,
        )

    def _simulate(self, key: ModelKey) -> RockingLibrary:
        from pyxem_mlmaps._progress import compute
        from pyxem_mlmaps.simulation.aperture import gaussian_blur
        from pyxem_mlmaps.simulation.rocking import simulate_rocking

        grid, crystal = key.grid, self.crystals[key.phase]
        library = simulate_rocking(
            crystal.phase,
            self.beam,
            orientation=conventions.detector_matrix_to_rotation(key.node.matrix),
            tilt_range=grid.tilt_range,
            tilt_step=grid.tilt_step,
            thickness=self.axis(grid),
            reflections=grid.reflections,
            debye_waller=dict(zip(crystal.symbols, [float(s) for s in crystal.sigma], strict=True)),
            g_max=grid.g_max,
            step=grid.step,
            weak_beams=grid.weak_beams,
            overlap="avoid",
            lazy_output=True,
            **self.options,
        )
        kept = np.flatnonzero(np.hypot(*library.vectors.T) < self.reach)
        (maps,) = compute(library.maps, show_progressbar=False)  # disk averages are not needed
        maps = gaussian_blur(maps[..., kept], self.options.get("mosaic", 0.0) / grid.tilt_step)
        strength = maps.mean(axis=(0, 1, 2), dtype=float)
        order = np.argsort(-strength, kind="stable")
        bright = np.sum(strength >= FAINTEST * (strength.sum() - strength.max()))
        order = np.sort(order[: max(bright, FEWEST)])
        kept = kept[order]
        return replace(
            library,
            intensities=library.intensities[..., kept],
            maps=maps[..., order],
            indices=library.indices[kept],
            vectors=library.vectors[kept],
        )
