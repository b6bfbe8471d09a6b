"""Plane-wave maps and disk intensities as dask arrays, one task for each tile of tilts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.simulation.aperture import (
    aperture_margin,
    average_over_aperture,
    gaussian_blur,
)
from pyxem_mlmaps.simulation.physics import Setup

__all__ = ["disk_maps", "plane_wave_maps", "spread_quadrature"]


def spread_quadrature(thickness: NDArray, spread: float) -> tuple[NDArray, NDArray | None]:
    """Thicknesses to simulate, and (n_out, n_fine) weights that average them (Gauss-Hermite).

    Without a spread the weights are None: nothing is averaged.
    """
    if spread == 0:
        return thickness, None
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    wanted = np.maximum(thickness[:, None] + spread * nodes, 0.1)
    fine, inverse = np.unique(np.round(wanted, 6).ravel(), return_inverse=True)
    matrix = np.zeros((len(thickness), len(fine)))
    np.add.at(
        matrix,
        (np.repeat(np.arange(len(thickness)), len(nodes)), inverse.ravel()),
        np.tile(weights / weights.sum(), len(thickness)),
    )
    return fine, matrix


def plane_wave_maps(setup: Setup, tilt: NDArray, weights: NDArray | None = None) -> Any:
    """Plane-wave maps as a dask array, one task for each tile of tilts."""
    import dask.array as da

    per_tile = setup.per_tile(tilt[1] - tilt[0])
    n_tile = int(np.ceil(len(tilt) / per_tile))
    chunks = tuple(len(part) for part in np.array_split(tilt, n_tile))
    index = da.arange(len(tilt), chunks=(chunks,))

    def tile(rows: NDArray, columns: NDArray) -> NDArray[np.float32]:
        values = setup.intensities(tilt[rows.ravel()], tilt[columns.ravel()])
        if weights is not None:
            values = np.einsum("xytd,ot->xyod", values, weights.astype(np.float32))
        return values

    n_thickness = len(setup.thickness if weights is None else weights)
    return da.map_blocks(
        tile,
        index[:, None, None, None],
        index[None, :, None, None],
        chunks=(chunks, chunks, (n_thickness,), (len(setup.keep),)),
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), np.float32),
    )


def disk_maps(maps: Any, radius: float, spread: int, mosaic_steps: float) -> Any:
    """Aperture (and mosaic) averages of the maps, cropped to the library's tilts.

    ``spread`` grid points on each side are there for the mosaic spread alone.
    """

    def average(block: NDArray) -> NDArray[np.float32]:
        blurred = gaussian_blur(block, mosaic_steps)
        whole = slice(spread, block.shape[0] - spread)
        return average_over_aperture(blurred[whole, whole], radius)

    size = maps.shape[0] - 2 * (spread + aperture_margin(radius))
    return maps.rechunk((-1, -1, -1, "auto")).map_blocks(
        average,
        chunks=((size,), (size,), maps.chunks[2], maps.rechunk((-1, -1, -1, "auto")).chunks[3]),
        dtype=np.float32,
        meta=np.empty((0, 0, 0, 0), np.float32),
    )
