"""Read pyxem diffraction vectors as disks of a lattice: which column is what, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.strain_fit import fit_lattices, index_disks
from pyxem_mlmaps.specs import DiskLattice

__all__ = ["VectorTable", "fit_block"]

Float = NDArray[np.float64]

TOLERANCE = 0.25
"""A disk found elsewhere belongs to a lattice point within this fraction of the lattice vectors."""


@dataclass(frozen=True)
class VectorTable:
    """How to read the columns of diffraction vectors.

    Parameters
    ----------
    scan_shape
        (), (x,) or (y, x).
    position, sigma, indices
        Pairs of column numbers: (ky, kx), their σ, (h, k); None where there are none.
    misfit
        Column number or None.
    scale, offset
        (y, x): a calibrated position is offset + scale · pixels.
    units
        Of the positions.
    lattice
        For vectors without indices, in pixels.
    max_misfit, sigma_floor
        As for :func:`pyxem_mlmaps.strain_map`.
    """

    scan_shape: tuple[int, ...]
    position: tuple[int, int]
    sigma: tuple[int, int] | None
    indices: tuple[int, int] | None
    misfit: int | None
    scale: tuple[float, float]
    offset: tuple[float, float]
    units: str
    lattice: DiskLattice | None
    max_misfit: float | None
    sigma_floor: float

    def __post_init__(self) -> None:
        if len(self.scan_shape) > 2:
            raise ValueError(
                f"vectors have {len(self.scan_shape)} scan dimensions; 0, 1 or 2 can be mapped. "
                "Take one slice of the others with vectors.inav first."
            )
        if self.indices is None and self.lattice is None:
            raise ValueError(
                "vectors have no columns 'h' and 'k': give lattice=, a DiskLattice in pixels, so "
                "that their disks can be indexed."
            )
        if self.max_misfit is not None and not self.max_misfit > 0:
            raise ValueError(
                f"max_misfit={self.max_misfit!r} is not valid: give a positive number, or None to "
                "use all disks."
            )
        if not (np.isfinite(self.sigma_floor) and self.sigma_floor >= 0):
            raise ValueError(
                f"sigma_floor={self.sigma_floor!r} is not valid: give pixels, zero or more."
            )

    @classmethod
    def from_vectors(
        cls, vectors: Any, lattice: Any, reference: Any, max_misfit: Any, sigma_floor: Any
    ) -> VectorTable:
        """Read names, scales and offsets from a pyxem signal.

        Raises
        ------
        TypeError, ValueError
            If it is not a signal of diffraction vectors, or misses what is needed.
        """
        if not hasattr(vectors, "column_names") or not hasattr(vectors, "axes_manager"):
            raise TypeError(
                f"vectors is a {type(vectors).__name__}; pyxem DiffractionVectors are needed, for "
                "instance from s.ml_disk_positions()."
            )
        if lattice is None and isinstance(reference, DiskLattice):
            lattice = reference
        if lattice is not None and not isinstance(lattice, DiskLattice):
            raise TypeError(f"lattice is a {type(lattice).__name__}; a DiskLattice is needed.")
        names = [str(name) for name in vectors.column_names]
        if len(names) < 2:
            raise ValueError(f"vectors have the columns {names}; ky and kx are needed at least.")
        columns = {name: i for i, name in enumerate(names)}

        def pair(first: str, second: str) -> tuple[int, int] | None:
            known = first in columns and second in columns
            return (columns[first], columns[second]) if known else None

        position = pair("ky", "kx") or (0, 1)
        if {"r", "theta"} <= set(columns):
            raise ValueError(
                f"vectors are polar (columns {names}); strain needs ky and kx: give the vectors "
                "that to_polar() was called on."
            )
        if vectors.data.dtype != object and position[0] >= 2:
            raise ValueError(
                f"vectors are flattened (columns {names}): which pattern a disk belongs to is lost "
                "to a lattice fit. Give them as before flatten_diffraction_vectors()."
            )
        units = vectors.units
        units = units if units is None or isinstance(units, str) else units[position[0]]
        return cls(
            scan_shape=_scan_shape(vectors),
            position=position,
            sigma=pair("sigma_ky", "sigma_kx"),
            indices=pair("h", "k"),
            misfit=columns.get("misfit"),
            scale=_two(vectors.scales, position, 1.0),
            offset=_two(vectors.offsets, position, 0.0),
            units="" if units is None else str(units),
            lattice=lattice,
            max_misfit=None if max_misfit is None else _number("max_misfit", max_misfit),
            sigma_floor=0.0 if vectors.scales is None else _number("sigma_floor", sigma_floor),
        )

    def scan_axes(self, vectors: Any) -> list[Any]:
        """HyperSpy axes of the scan in the order of the data."""
        return list(vectors.axes_manager.navigation_axes[::-1][: len(self.scan_shape)])

    def disks(self, rows: Float) -> Float:
        """(m, 6) y, x, σ_y, σ_x, h, k with positions in pixels; untrusted disks are NaN."""
        disks = np.full((len(rows), 6), np.nan)
        if len(rows) == 0:
            return disks
        scale = np.asarray(self.scale)
        disks[:, :2] = (rows[:, self.position] - self.offset) / scale
        disks[:, 2:4] = 1.0
        if self.sigma is not None:
            disks[:, 2:4] = np.hypot(rows[:, self.sigma] / scale, self.sigma_floor)
        if self.indices is not None:
            disks[:, 4:] = rows[:, self.indices]
        if self.misfit is not None and self.max_misfit is not None:
            with np.errstate(invalid="ignore"):
                disks[~(rows[:, self.misfit] <= self.max_misfit)] = np.nan
        return disks


def fit_block(block: NDArray[Any], table: VectorTable) -> Float:
    """Fit the lattices of a block of patterns.

    Parameters
    ----------
    block
        Object array (scan...) of (n_disk, columns) arrays, or (scan..., n_disk, columns).
    table
        How to read the columns.

    Returns
    -------
    fits
        (scan..., 16) in pixels: origin, basis, covariance, residual and number of disks of
        :class:`pyxem_mlmaps.mapping.strain_fit.LatticeFits`, one after the other.
    """
    first, rows = _flatten(block)
    disks = table.disks(rows)
    known = table.sigma is not None
    if table.indices is not None:
        fits = fit_lattices(first, disks, known)
    else:
        n = len(first) - 1
        origin = np.tile(np.asarray(table.lattice.origin), (n, 1))
        basis = np.tile(table.lattice.basis, (n, 1, 1))
        for _ in range(2):  # the second time with the lattice of the pattern itself: outer disks
            disks[:, 4:] = index_disks(first, disks[:, :2], origin, basis, TOLERANCE)
            fits = fit_lattices(first, disks, known)
            origin, basis = fits.origin, fits.basis
    values = [np.reshape(part, (len(first) - 1, -1)) for part in fits]
    scan = block.shape if block.dtype == object else block.shape[:-2]
    return np.concatenate(values, axis=1).reshape(*scan, 16)


def _flatten(block: NDArray[Any]) -> tuple[NDArray[np.int64], Float]:
    """Row numbers where each pattern begins, and all rows in one array."""
    if block.dtype != object:
        n = block.shape[-2]
        count = int(np.prod(block.shape[:-2]))
        return np.arange(count + 1) * n, block.reshape(-1, block.shape[-1]).astype(float)
    patterns = [np.asarray(pattern) for pattern in block.ravel()]
    lengths = [len(pattern) for pattern in patterns]
    first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tables = [pattern for pattern in patterns if len(pattern)]
    if not tables:
        return first, np.empty((0, 0))
    if any(p.ndim != 2 or p.shape[1] != tables[0].shape[1] for p in tables):
        shapes = sorted({p.shape[1:] for p in tables})
        raise ValueError(
            f"vectors: every pattern must hold an (n, columns) array with the same columns; rows "
            f"of shapes {shapes} were found."
        )
    return first, np.concatenate(tables).astype(float)


def _scan_shape(vectors: Any) -> tuple[int, ...]:
    data = vectors.data
    if data.dtype == object:
        return data.shape if vectors.axes_manager.navigation_dimension else ()
    if data.ndim < 2:
        raise ValueError(f"vectors: data of shape {data.shape}; (scan..., n, columns) is needed.")
    return data.shape[:-2]


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r}: a number is needed.") from None


def _two(values: Any, columns: tuple[int, int], default: float) -> tuple[float, float]:
    """Scale or offset of the two position columns; ``default`` where none is stated."""
    if values is None:
        return default, default
    listed = [values[i] for i in columns] if np.ndim(values) else [values, values]
    y, x = (default if value is None else float(value) for value in listed)
    return y, x
