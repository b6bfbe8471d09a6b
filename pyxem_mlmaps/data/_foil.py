"""A bent, wedge-shaped foil of one crystal."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.data._crystals import gasb
from pyxem_mlmaps.data._scan import (
    lattice_on_detector,
    lazy_patterns,
    scan_renderer,
    scan_shape,
    scan_signal,
)
from pyxem_mlmaps.data._truth import ScanTruth
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.specs import Beam

__all__ = ["bent_foil"]

Float = NDArray[np.floating]


def bent_foil(
    shape: tuple[int, ...] = (64, 64),
    detector: tuple[int, int] = (256, 256),
    library: RockingLibrary | None = None,
    electrons: float = 1e6,
    bend: float = 0.35,
    thickness: tuple[float, float] | None = None,
    background: float = 0.1,
    rotation: float = 0.0,
    edge: float = 0.5,
    descan: float = 0.0,
    noise: bool = True,
    scan_step: float = 5.0,
    chunks: tuple[int, ...] | None = None,
    dtype: Any = np.uint16,
    seed: int = 0,
) -> Any:
    """A lazy 4D-STEM scan of a bent, wedge-shaped crystal.

    Patterns are made when they are read, each from its own seed: the same pattern comes whatever
    the chunks, and a scan of any size costs no memory.

    Parameters
    ----------
    shape
        Scan size: (), (n,) or (n_y, n_x).
    detector
        (ky, kx) px.
    library
        With its plane-wave maps (``keep_maps=True``). None simulates GaSb ⟨110⟩ at 300 kV, 60 to
        90 nm, once per process.
    electrons
        Incident electrons per pattern. The disks hold what the foil leaves of them.
    bend
        Largest tilt on each axis, degrees; at most what the library holds.
    thickness
        (thin, thick) ends of the wedge, nm. None takes the middle 80 % of the library.
    background
        Inelastic counts on the whole detector, as a fraction of ``electrons``.
    rotation
        In-plane rotation of the pattern, degrees from kx towards ky.
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
        Calibrated as pyxem expects; :func:`~pyxem_mlmaps.data.ground_truth` gives what it was
        made from.

    Raises
    ------
    ValueError
        If the library has no maps, or ``bend`` or ``thickness`` leave it.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> s = data.bent_foil((32, 48), electrons=1e5)  # doctest: +SKIP
    >>> data.ground_truth(s).tilt_x.shape  # doctest: +SKIP
    (32, 48)
    """
    library = _default_library() if library is None else library
    scan = scan_shape(shape)
    truth = _bent_field(scan, library, bend, thickness, detector, rotation, descan, seed)
    render = scan_renderer(
        library, truth.lattice, truth.field, truth.shifts, rotation, detector, edge, electrons,
        background, noise, dtype, seed,
    )  # fmt: skip
    name = (library.crystal or {}).get("name", "crystal")
    patterns = lazy_patterns(render, scan, chunks)
    return scan_signal(patterns, truth, library, scan_step, f"Bent {name} foil")


@functools.lru_cache(maxsize=1)
def _default_library() -> RockingLibrary:
    from pyxem_mlmaps.simulation.rocking import simulate_rocking

    return simulate_rocking(
        gasb(), Beam(300, 1.10), zone_axis=(1, 1, 0), tilt_range=0.5,
        thickness=np.arange(60, 91, 2.5), reflections=43,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Field(ScanTruth):
    shifts: Float
    field: Float


def _bent_field(
    scan: tuple[int, ...],
    library: RockingLibrary,
    bend: float,
    thickness: tuple[float, float] | None,
    detector: tuple[int, int],
    rotation: float,
    descan: float,
    seed: int,
) -> _Field:
    limit = min(library.tilt_x[-1], library.tilt_y[-1])
    if not 0 <= bend <= limit:
        raise ValueError(f"bend={bend}: 0 to {limit:g}° is what the library holds.")
    low, high = library.thickness[[0, -1]]
    thin, thick = (low + 0.1 * (high - low), high - 0.1 * (high - low))
    if thickness is not None:
        thin, thick = thickness
        if not low <= thin <= thick <= high:
            raise ValueError(f"thickness={thickness}: the library holds {low:g} to {high:g} nm.")
    rows, columns = (1,) * (2 - len(scan)) + scan
    y, x = np.meshgrid(
        np.linspace(0, 1, rows) if rows > 1 else np.array([0.3]),
        np.linspace(0, 1, columns) if columns > 1 else np.array([0.4]),
        indexing="ij",
    )
    p = np.random.default_rng([seed, 7]).uniform(0, 2 * np.pi, 4)
    tilt_x = bend * (0.75 * np.sin(2.6 * np.pi * x + p[0]) + 0.25 * np.sin(5 * y + p[1]))
    tilt_y = bend * (0.75 * np.sin(2.1 * np.pi * y + p[2]) + 0.25 * np.sin(6 * x + p[3]))
    depth = thin + (thick - thin) * (0.8 * x + 0.2 * y)
    shifts = descan * np.stack([2 * x - 1, 1 - 2 * y], axis=-1) / np.sqrt(2)
    library_frame = np.stack([tilt_x, tilt_y, depth], axis=-1)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    return _Field(
        tilt_x=(c * tilt_x - s * tilt_y).reshape(scan),
        tilt_y=(s * tilt_x + c * tilt_y).reshape(scan),
        thickness=depth.reshape(scan),
        lattice=lattice_on_detector(library, detector, rotation),
        shifts=shifts.reshape(-1, 2),
        field=library_frame.reshape(-1, 3),
    )
