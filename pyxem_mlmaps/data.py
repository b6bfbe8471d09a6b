"""Scans to work on: lazy 4D signals whose truth is known."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.scan import ScanRenderer, map_spline
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import Beam, DiskLattice

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["ScanTruth", "bent_foil", "gasb", "ground_truth"]

Float = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ScanTruth:
    """What a synthetic scan was made from.

    ``tilt_x``, ``tilt_y`` (degrees, detector axes of the recorded pattern) and ``thickness``
    (nm) have the shape of the scan; ``lattice`` is where the disks are at zero descan.
    """

    tilt_x: Float
    tilt_y: Float
    thickness: Float
    lattice: DiskLattice


def gasb() -> Phase:
    """Gallium antimonide: zinc blende, a = 6.0959 Å, σ of 0.0843 Å (Ga) and 0.0944 Å (Sb).

    The displacements are those with which this package's simulation meets the published GaSb
    library best (``benchmarks/README.md``).

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> data.gasb().space_group.short_name
    'F-43m'
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    structure = Structure(
        lattice=Lattice(6.0959, 6.0959, 6.0959, 90, 90, 90),
        atoms=[
            Atom("Ga", [0, 0, 0], Uisoequiv=0.0843**2),
            Atom("Sb", [0.25, 0.25, 0.25], Uisoequiv=0.0944**2),
        ],
    )
    return Phase(name="GaSb", space_group=216, structure=structure)


@functools.lru_cache(maxsize=1)
def _default_library() -> RockingLibrary:
    from pyxem_mlmaps.simulation.rocking import simulate_rocking

    return simulate_rocking(
        gasb(), Beam(300, 1.10), zone_axis=(1, 1, 0), tilt_range=0.5,
        thickness=np.arange(60, 91, 2.5), reflections=43,
    )  # fmt: skip


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
        Calibrated as pyxem expects; :func:`ground_truth` gives what it was made from.

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
    scan = tuple(int(n) for n in shape)
    if len(scan) > 2:
        raise ValueError(f"shape={shape!r}: 0, 1 or 2 scan dimensions are allowed.")
    truth = _bent_field(scan, library, bend, thickness, detector, rotation, descan, seed)
    lattice = truth.lattice
    scale = library.beam.aperture_radius / lattice.radius  # Å⁻¹ per pixel
    render = ScanRenderer(
        maps=map_spline(library),
        disks=LibrarySpline.fit(
            library.intensities, library.tilt_x, library.tilt_y, library.thickness
        ),
        field=truth.field,
        positions=lattice.positions,
        shifts=truth.shifts,
        origin=np.asarray(lattice.origin),
        radius=lattice.radius,
        edge=edge,
        degrees_per_pixel=float(np.degrees(scale * library.beam.wavelength)),
        turn=float(np.radians(rotation)),
        detector=(int(detector[0]), int(detector[1])),
        electrons=float(electrons),
        background=float(background),
        noise=noise,
        seed=int(seed),
        dtype=np.dtype(dtype if noise else np.float32),
    )
    data = _lazy_patterns(render, scan, chunks)
    return _signal(data, truth, library, scan_step)


def ground_truth(signal: Any) -> ScanTruth:
    """The tilts, thicknesses and lattice that a scan of this module was made from.

    Raises
    ------
    ValueError
        If the signal carries no truth, as any measured one.
    """
    node = signal.metadata.get_item("Truth", default=None)
    if node is None:
        raise ValueError("this signal carries no truth: it was not made by pyxem_mlmaps.data.")
    values = node.as_dictionary()
    return ScanTruth(
        *(np.asarray(values[name]) for name in ("tilt_x", "tilt_y", "thickness")),
        lattice=DiskLattice.from_dict(values["lattice"]),
    )


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
        lattice=_lattice(library, detector, rotation),
        shifts=shifts.reshape(-1, 2),
        field=library_frame.reshape(-1, 3),
    )


def _lattice(library: RockingLibrary, detector: tuple[int, int], rotation: float) -> DiskLattice:
    """The library's disks on the detector, the outermost just inside."""
    from pyxem_mlmaps.mapping.lattice import in_plane_indices

    if library.vectors is None or library.beam is None:
        raise ValueError("library has no reciprocal vectors or beam; simulate one.")
    indices, basis = in_plane_indices(library.indices, library.vectors)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[c, s], [-s, c]])  # acts on (y, x): y' = c·y + s·x
    reach = np.abs(indices @ basis @ turn.T).max(axis=0) + library.beam.aperture_radius
    per_pixel = float(np.max(reach / (np.array(detector) / 2 - 3.5)))
    g1, g2 = basis @ turn.T / per_pixel
    return DiskLattice(
        origin=((detector[0] - 1) / 2 + 0.3, (detector[1] - 1) / 2 - 0.2),
        g1=g1,
        g2=g2,
        indices=indices,
        radius=library.beam.aperture_radius / per_pixel,
    )


def _lazy_patterns(
    render: ScanRenderer, scan: tuple[int, ...], chunks: tuple[int, ...] | None
) -> Any:
    import dask.array as da

    detector = render.detector
    if chunks is None:
        size = max(1, int((16e6 / (np.prod(detector) * np.dtype(render.dtype).itemsize)) ** 0.5))
        chunks = (size**2,) if len(scan) == 1 else (size, size)
        chunks = chunks[: len(scan)]
    numbers = da.arange(int(np.prod(scan)), chunks=-1).reshape(scan)
    numbers = numbers.rechunk(chunks) if scan else numbers
    n = len(scan)

    def block(part: NDArray) -> NDArray:
        return render(part).reshape(*part.shape, *detector)

    return da.map_blocks(
        block,
        numbers,
        dtype=render.dtype,
        new_axis=[n, n + 1],
        chunks=(*numbers.chunks, (detector[0],), (detector[1],)),
        meta=np.empty((0,) * (n + 2), dtype=render.dtype),
    )


def _signal(data: Any, truth: _Field, library: RockingLibrary, scan_step: float) -> Any:
    """The signal with axes, beam and truth in its metadata."""
    from pyxem.signals import LazyElectronDiffraction2D

    s = LazyElectronDiffraction2D(data)
    for axis, name in zip(s.axes_manager.navigation_axes, ("x", "y"), strict=False):
        axis.name, axis.scale, axis.units = name, scan_step, "nm"
    scale = library.beam.aperture_radius / truth.lattice.radius
    centre = truth.lattice.origin[::-1]
    for axis, name, zero in zip(s.axes_manager.signal_axes, ("kx", "ky"), centre, strict=True):
        axis.name, axis.scale, axis.units, axis.offset = name, scale, "$A^{-1}$", -zero * scale
    s.beam_energy = library.beam.energy
    s.metadata.set_item(
        "Acquisition_instrument.TEM.convergence_angle", library.beam.convergence_angle
    )
    name = (library.crystal or {}).get("name", "crystal")
    s.metadata.General.title = f"Bent {name} foil"
    s.metadata.set_item(
        "Truth",
        {
            "tilt_x": truth.tilt_x,
            "tilt_y": truth.tilt_y,
            "thickness": truth.thickness,
            # an array, since HyperSpy's files give long lists of lists back in another order
            "lattice": truth.lattice.to_dict() | {"indices": np.array(truth.lattice.indices)},
        },
    )
    return s
