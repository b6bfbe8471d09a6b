"""From measured disks to pyxem's diffraction vectors: calibrated, ragged, with a provenance."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._provenance import _plain
from pyxem_mlmaps.mapping.disk_locator import PRESENT, UNREADABLE
from pyxem_mlmaps.specs import DiskLattice

__all__ = [
    "COLUMN_NAMES",
    "NODE",
    "RaggedRows",
    "axis_units",
    "make_vectors",
    "warn_of_bad_pixels",
]

COLUMN_NAMES = ("ky", "kx", "intensity", "sigma_ky", "sigma_kx", "misfit", "h", "k")
NODE = "MLDiskPositions"
"""Where the provenance lies in the metadata."""


class RaggedRows:
    """Turns tables of a block into one array of vectors per scan point.

    Parameters
    ----------
    axes
        HyperSpy signal axes (ky, kx) of the patterns.
    lattice
        Whose disks the table holds.
    absent
        ``"drop"`` leaves absent disks out, ``"nan"`` keeps their rows.
    warn
        Warn of NaN and infinite pixels block by block, for lazy results.
    """

    def __init__(
        self,
        axes: tuple[Any, Any],
        lattice: DiskLattice,
        absent: Literal["drop", "nan"],
        warn: bool = False,
    ) -> None:
        self.scale = np.array([axis.scale for axis in axes], dtype=float)
        self.offset = np.array([axis.offset for axis in axes], dtype=float)
        self.indices = lattice.indices.astype(float)
        self.drop, self.warn = absent == "drop", warn

    def __call__(self, tables: NDArray[np.float64]) -> NDArray[np.object_]:
        """(scan block) objects, each (n_vector, 8), of tables (scan block, n_disk, 7)."""
        scan = tables.shape[:-2]
        rows = np.empty(scan, dtype=object)
        for point in np.ndindex(scan):
            rows[point] = self.vectors(tables[point])
        if self.warn and tables.size:
            bad = tables[..., 6] == UNREADABLE
            warn_of_bad_pixels(int(bad.any(axis=-1).sum()), rows.size, int(bad.sum()))
        return rows

    def vectors(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_vector, 8) with :data:`COLUMN_NAMES` in calibrated units."""
        rows = np.empty((len(table), len(COLUMN_NAMES)))
        rows[:, 0:2] = self.offset + self.scale * table[:, 0:2]
        rows[:, 2] = table[:, 2]
        rows[:, 3:5] = np.abs(self.scale) * table[:, 3:5]
        rows[:, 5] = table[:, 5]
        rows[:, 6:8] = self.indices
        return rows[table[:, 6] == PRESENT] if self.drop else rows


def warn_of_bad_pixels(n_bad: int, n_point: int, n_disk: int) -> None:
    """Warn with counts if disks could not be read; the rest of the map stands."""
    if n_bad:
        warnings.warn(
            f"{n_bad} of {n_point} scan points have NaN or infinite pixels; the {n_disk} disks "
            "whose windows hold them are absent.",
            stacklevel=2,
        )


def axis_units(axis: Any) -> str:
    """Units of a signal axis; px where there are none, or an empty text as from some files."""
    return axis.units if isinstance(axis.units, str) and axis.units.strip() else "px"


def make_vectors(data: Any, signal: Any, provenance: dict[str, Any]) -> Any:
    """pyxem's vectors of a scan, or of one pattern.

    Parameters
    ----------
    data
        (scan) array of objects, NumPy's or dask's; without scan axes the (n, 8) vectors.
    signal
        The patterns: axes, title and microscope are taken from them.
    provenance
        What is kept in ``metadata.MLDiskPositions``; None leaves an entry out.

    Returns
    -------
    DiffractionVectors
        Lazy for dask arrays; ``DiffractionVectors2D`` without scan axes.
    """
    from pyxem.signals import DiffractionVectors, DiffractionVectors2D
    from pyxem.signals.diffraction_vectors import LazyDiffractionVectors

    scan_axes = [a.get_axis_dictionary() for a in signal.axes_manager.navigation_axes[::-1]]
    axes = signal.axes_manager.signal_axes[::-1]
    units = [axis_units(axis) for axis in axes]
    description = {
        "scales": [float(axis.scale) for axis in axes] + [1.0] * 6,
        "offsets": [float(axis.offset) for axis in axes] + [0.0] * 6,
        "detector_shape": tuple(int(axis.size) for axis in axes),
        "column_names": list(COLUMN_NAMES),
        "units": [*units, "counts", *units, "", "", ""],
    }
    if scan_axes:
        kind = LazyDiffractionVectors if hasattr(data, "dask") else DiffractionVectors
        vectors = kind(data, axes=scan_axes, ragged=True, **description)
    else:
        vectors = DiffractionVectors2D(data, **description)
    title = signal.metadata.get_item("General.title", default="")
    vectors.metadata.General.title = f"Disk positions of {title}" if title else "Disk positions"
    microscope = signal.metadata.get_item("Acquisition_instrument")
    if microscope is not None:
        vectors.metadata.set_item("Acquisition_instrument", microscope.as_dictionary())
    for key, value in provenance.items():
        if value is not None:
            vectors.metadata.set_item(f"{NODE}.{key}", _plain(value))
    return vectors
