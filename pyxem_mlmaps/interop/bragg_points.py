"""Rows of diffraction vectors as what ``BraggVectors`` hold, on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.strain_vectors import VectorTable, fit_block
from pyxem_mlmaps.specs import DiskLattice

__all__ = [
    "FIELDS",
    "bragg_points",
    "detector_shape",
    "direct_beams",
    "further_columns",
    "patterns_of",
    "vector_table",
]

Float = NDArray[np.float64]

FIELDS = {"sigma_ky": "sigma_qx", "sigma_kx": "sigma_qy", "misfit": "misfit", "h": "h", "k": "k"}
"""Further columns, and what they are called as fields of ``BraggVectors``."""

STRANGE = 0.2
"""A lattice that differs by this fraction from the median of the scan is one of noise."""


def vector_table(vectors: Any, max_misfit: float | None) -> Any:
    """How to read the columns; any lattice will do for vectors without indices."""
    unused = DiskLattice((0, 0), (1, 0), (0, 1), [(0, 0)], 1)
    return VectorTable.from_vectors(vectors, unused, None, max_misfit, 0.0)


def further_columns(vectors: Any) -> tuple[int, dict[str, str]]:
    """Column number of the intensity, and which further columns there are."""
    names = [str(name) for name in vectors.column_names]
    if "intensity" not in names:
        raise ValueError(
            f"vectors have the columns {names}; py4DSTEM needs an 'intensity' as weight."
        )
    return names.index("intensity"), {n: f for n, f in FIELDS.items() if n in names}


def patterns_of(data: Any, scan: tuple[int, int]) -> NDArray[np.object_]:
    """(scan y, scan x) objects, each (n, columns)."""
    rows = np.empty(scan, dtype=object)
    if data.dtype == object:
        flat = data.ravel()
    else:
        flat = data.reshape(-1, *data.shape[-2:])
    for i, point in enumerate(np.ndindex(scan)):
        rows[point] = np.asarray(flat[i], dtype=float)
    return rows


def detector_shape(vectors: Any, datacube: Any) -> tuple[int, int]:
    """(ky, kx) in pixels."""
    if datacube is not None:
        return datacube.Qshape
    shape = vectors.detector_shape
    if shape is None:
        raise ValueError(
            "vectors.detector_shape is not set: py4DSTEM needs the size of the detector, (ky, kx) "
            "in pixels. Set it, or give the datacube."
        )
    return int(shape[0]), int(shape[1])


def direct_beams(rows: Any, table: Any, known: Any) -> Float:
    """(scan y, scan x, 2) y, x px of the direct beam.

    The lattice was found with its brightest disk as origin; where the mean origin is ``known``,
    the lattice point next to it is the direct beam.
    """
    zero = -np.asarray(table.offset) / table.scale if known is None else np.asarray(known)
    if table.indices is None:
        return np.tile(zero.astype(float), (*rows.shape, 1))
    fits = fit_block(rows, table)
    origin, basis = fits[..., :2].copy(), fits[..., 2:6].reshape(*rows.shape, 2, 2)
    lost = ~np.isfinite(fits[..., :6]).all(axis=-1)
    if lost.all():
        return np.tile(zero.astype(float), (*rows.shape, 1))
    middle = np.median(basis[~lost], axis=0)
    deviation = np.linalg.norm(basis - middle, axis=(-2, -1)) / np.linalg.norm(middle)
    lost |= ~(deviation < STRANGE)
    if known is not None or zero.any():
        away = zero - np.median(origin[~lost], axis=0)
        h, k = np.round(away @ np.linalg.inv(middle))
        origin += h * basis[..., 0, :] + k * basis[..., 1, :]
    origin[lost] = np.median(origin[~lost], axis=0)
    return origin


def bragg_points(
    rows: Float, table: Any, columns: tuple[int, dict[str, str]], dtype: Any
) -> tuple[Any, int]:
    """One pattern as a structured array, and how many intensities were missing."""
    positions = (rows[:, table.position] - table.offset) / table.scale
    good = np.isfinite(positions).all(axis=1)
    if table.misfit is not None and table.max_misfit is not None:
        with np.errstate(invalid="ignore"):
            good &= rows[:, table.misfit] <= table.max_misfit
    points = np.zeros(int(good.sum()), dtype=dtype)
    points["qx"], points["qy"] = positions[good].T
    intensity = rows[good, columns[0]]
    missing = ~np.isfinite(intensity)
    if missing.any():
        intensity = np.where(missing, np.max(intensity[~missing], initial=1.0), intensity)
    points["intensity"] = intensity
    pairs = {"sigma_qx": (table.sigma, 0), "sigma_qy": (table.sigma, 1)}
    pairs |= {"h": (table.indices, 0), "k": (table.indices, 1)}
    for field in columns[1].values():
        if field == "misfit":
            points[field] = rows[good, table.misfit]
        elif pairs[field][0] is not None:
            pair, i = pairs[field]
            scale = table.scale[i] if field.startswith("sigma") else 1.0
            points[field] = rows[good, pair[i]] / scale
    return points, int(missing.sum())
