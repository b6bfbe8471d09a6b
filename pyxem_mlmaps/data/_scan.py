"""What all synthetic scans share: disks on the detector, dask array, calibrated signal."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.data._truth import PolycrystalTruth, ScanTruth, truth_to_dict
from pyxem_mlmaps.simulation.library import RockingLibrary
from pyxem_mlmaps.simulation.mixed_scan import MixedScanRenderer
from pyxem_mlmaps.simulation.scan import ScanRenderer, disk_spline, map_spline
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.specs import Beam, DiskLattice

__all__ = [
    "calibrated_signal",
    "lattice_on_detector",
    "lazy_patterns",
    "scan_renderer",
    "scan_shape",
    "scan_signal",
    "scan_splines",
]


def scan_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of 0, 1 or 2 dimensions."""
    scan = tuple(int(n) for n in shape)
    if len(scan) > 2 or min(scan, default=1) < 1:
        raise ValueError(
            f"shape={shape!r}: 0, 1 or 2 scan dimensions of at least 1 point are allowed."
        )
    return scan


def lattice_on_detector(
    library: RockingLibrary, detector: tuple[int, int], rotation: float, margin: float = 3.5
) -> DiskLattice:
    """The library's disks, turned by ``rotation`` degrees, the outermost ``margin`` px inside."""
    from pyxem_mlmaps.mapping.lattice import in_plane_indices

    if library.vectors is None or library.beam is None:
        raise ValueError("library has no reciprocal vectors or beam; simulate one.")
    indices, basis = in_plane_indices(library.indices, library.vectors)
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    turn = np.array([[c, s], [-s, c]])  # acts on (y, x): y' = c·y + s·x
    reach = np.abs(indices @ basis @ turn.T).max(axis=0) + library.beam.aperture_radius
    per_pixel = float(np.max(reach / (np.array(detector) / 2 - margin)))
    g1, g2 = basis @ turn.T / per_pixel
    return DiskLattice(
        origin=((detector[0] - 1) / 2 + 0.3, (detector[1] - 1) / 2 - 0.2),
        g1=g1,
        g2=g2,
        indices=indices,
        radius=library.beam.aperture_radius / per_pixel,
    )


@functools.lru_cache(maxsize=3)
def scan_splines(library: RockingLibrary) -> tuple[LibrarySpline, LibrarySpline]:
    """Through the plane-wave maps and the disk intensities; kept for the next scan."""
    return map_spline(library), disk_spline(library)


def scan_renderer(
    library: RockingLibrary,
    lattice: DiskLattice,
    field: NDArray[np.floating],
    shifts: NDArray[np.floating],
    turn: float,
    detector: tuple[int, int],
    edge: float,
    electrons: float,
    background: float,
    noise: bool,
    dtype: Any,
    seed: int,
    **more: Any,
) -> ScanRenderer:
    """What renders a scan of ``library``'s crystal on ``lattice``, turned by ``turn`` degrees.

    ``more`` are further fields of :class:`ScanRenderer`. Without noise patterns are float32.
    """
    maps, disks = scan_splines(library)
    scale = library.beam.aperture_radius / lattice.radius  # Å⁻¹ per pixel
    return ScanRenderer(
        maps=maps,
        disks=disks,
        field=field,
        positions=lattice.positions,
        shifts=shifts,
        origin=np.asarray(lattice.origin),
        radius=lattice.radius,
        edge=edge,
        degrees_per_pixel=float(np.degrees(scale * library.beam.wavelength)),
        turn=float(np.radians(turn)),
        detector=(int(detector[0]), int(detector[1])),
        electrons=float(electrons),
        background=float(background),
        noise=noise,
        seed=int(seed),
        dtype=np.dtype(dtype if noise else np.float32),
        **more,
    )


def lazy_patterns(
    render: ScanRenderer | MixedScanRenderer, scan: tuple[int, ...], chunks: tuple[int, ...] | None
) -> Any:
    """Dask array (*scan, ky, kx) whose patterns are rendered when they are read."""
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


def scan_signal(
    data: Any, truth: ScanTruth, library: RockingLibrary, scan_step: float, title: str
) -> Any:
    """The signal with axes, beam and truth in its metadata."""
    scale = library.beam.aperture_radius / truth.lattice.radius
    return calibrated_signal(
        data, truth, library.beam, truth.lattice.origin, scale, scan_step, title
    )


def calibrated_signal(
    data: Any,
    truth: ScanTruth | PolycrystalTruth,
    beam: Beam,
    origin: tuple[float, float],
    scale: float,
    scan_step: float,
    title: str,
) -> Any:
    """The signal of a direct beam at ``origin`` (y, x) px and ``scale`` Å⁻¹ per pixel."""
    from pyxem.signals import LazyElectronDiffraction2D

    s = LazyElectronDiffraction2D(data)
    for axis, name in zip(s.axes_manager.navigation_axes, ("x", "y"), strict=False):
        axis.name, axis.scale, axis.units = name, scan_step, "nm"
    for axis, name, zero in zip(
        s.axes_manager.signal_axes, ("kx", "ky"), origin[::-1], strict=True
    ):
        axis.name, axis.scale, axis.units, axis.offset = name, scale, "$A^{-1}$", -zero * scale
    s.beam_energy = beam.energy
    s.metadata.set_item("Acquisition_instrument.TEM.convergence_angle", beam.convergence_angle)
    s.metadata.General.title = title
    s.metadata.set_item("Truth", truth_to_dict(truth))
    return s
