"""What is drawn of measured disks: vectors of a pattern in the coordinates of its plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.disk_vectors import axis_units
from pyxem_mlmaps.mapping.strain_vectors import VectorTable
from pyxem_mlmaps.specs import DiskLattice

__all__ = ["DOUBTFUL", "TRUSTED", "DrawnDisks"]

Float = NDArray[np.float64]

TRUSTED, DOUBTFUL = "#56B4E9", "#E69F00"
_NO_LATTICE = DiskLattice((0, 0), (0, 1), (1, 0), [(0, 0)], 1)
"""Stands in where vectors have no indices: only their columns are read here."""


@dataclass(frozen=True, eq=False)
class DrawnDisks:
    """What is drawn of the vectors (n, columns) of one pattern, in data coordinates, (x, y).

    Parameters
    ----------
    table
        How to read the columns.
    lattice
        With which the disks were looked for, px; None where the vectors do not tell.
    zero, scale
        (y, x): data coordinates are zero + scale · pixels.
    max_misfit, magnify, sigmas
        As ``max_misfit``, ``displacement`` and ``sigma`` of ``plot_disks``.
    """

    table: VectorTable
    lattice: DiskLattice | None
    zero: Float
    scale: Float
    max_misfit: float
    magnify: float
    sigmas: float

    @classmethod
    def of(
        cls, signal: Any, vectors: Any, max_misfit: float, magnify: float, sigmas: float
    ) -> DrawnDisks:
        """Of ``vectors``, to be drawn on ``signal``; errors as for ``plot_disks``."""
        if not hasattr(vectors, "column_names"):
            raise TypeError(
                f"disks is a {type(vectors).__name__}; DiffractionVectors, for instance from "
                "s.ml_disk_positions(), or a DiskLattice are needed."
            )
        table = VectorTable.from_vectors(vectors, _NO_LATTICE, None, None, 0.0)
        zero, scale = _data_coordinates(signal, vectors, table)
        node = vectors.metadata.get_item("MLDiskPositions.lattice", default=None)
        lattice = None
        if node is not None and table.indices is not None:
            values = {k: np.asarray(v) for k, v in node.as_dictionary().items()}
            lattice = DiskLattice.from_dict(values)
        return cls(table, lattice, zero, scale, float(max_misfit), float(magnify), float(sigmas))

    def found(self, rows: Float) -> Float:
        """(n, 2) centres of the disks."""
        return self._coordinates(self._disks(rows)[:, :2])

    def colours(self, rows: Float) -> Float:
        """(n, 4) RGBA."""
        from matplotlib.colors import to_rgba

        trusted = self._trusted(self._finite(rows))
        return np.where(trusted[:, None], to_rgba(TRUSTED), to_rgba(DOUBTFUL))

    def expected(self, rows: Float) -> Float:
        """(m, 2) all disks of the lattice, moved onto this pattern."""
        return self._coordinates(self.lattice.positions + self._shift(rows))

    def lines(self, rows: Float) -> Float:
        """(n, 2, 2) from where trusted disks are without strain, magnified."""
        disks = self._trusted_disks(rows)
        start = self._places(disks) + self._shift(rows)
        end = start + self.magnify * (disks[:, :2] - start)
        return np.stack([self._coordinates(start), self._coordinates(end)], axis=1)

    def sigma_y(self, rows: Float) -> Float:
        """(n,) heights of the σ ellipses."""
        return 2 * self.sigmas * self._disks(rows)[:, 2] * abs(self.scale[0])

    def sigma_x(self, rows: Float) -> Float:
        """(n,) their widths."""
        return 2 * self.sigmas * self._disks(rows)[:, 3] * abs(self.scale[1])

    def _finite(self, rows: Float) -> Float:
        return rows[np.isfinite(rows[:, self.table.position]).all(axis=1)]

    def _disks(self, rows: Float) -> Float:
        """(n, 6) y, x, σ_y, σ_x, h, k, px, of the disks that were found."""
        return self.table.disks(self._finite(rows))

    def _trusted(self, rows: Float) -> NDArray[np.bool_]:
        column = self.table.misfit
        return np.ones(len(rows), bool) if column is None else rows[:, column] <= self.max_misfit

    def _trusted_disks(self, rows: Float) -> Float:
        return self._disks(rows)[self._trusted(self._finite(rows))]

    def _places(self, disks: Float) -> Float:
        return np.asarray(self.lattice.origin) + disks[:, 4:] @ self.lattice.basis

    def _shift(self, rows: Float) -> Float:
        """(2,) how far the pattern has moved, px."""
        disks = self._trusted_disks(rows)
        moved = disks[:, :2] - self._places(disks)
        return np.median(moved, axis=0) if len(moved) else np.zeros(2)

    def _coordinates(self, positions: Float) -> Float:
        return (self.zero + self.scale * positions)[:, ::-1]


def _data_coordinates(signal: Any, vectors: Any, table: VectorTable) -> tuple[Float, Float]:
    """Offset and scale (y, x) that take the vectors' pixels to the coordinates of the plot.

    On the detector that the disks were found on, a pixel is a pixel, whatever the calibration is
    by now; a cropped or binned signal has kept the calibration but not the pixels.
    """
    axes = signal.axes_manager.signal_axes[::-1]
    if vectors.scales is not None:
        shape = vectors.detector_shape
        if shape is None or tuple(shape) == tuple(axis.size for axis in axes):
            zero, scale = ([float(getattr(a, n)) for a in axes] for n in ("offset", "scale"))
            return np.array(zero), np.array(scale)
        units = [axis_units(axis) for axis in axes]
        if {table.units} != set(units):
            raise ValueError(
                f"disks were found on a detector of {tuple(shape)} px, in {table.units!r}; the "
                f"signal has {tuple(axis.size for axis in axes)} px in {units}. Give the signal "
                "that the disks were found on, or one cut out of it with the same units."
            )
    return np.array(table.offset), np.array(table.scale)
