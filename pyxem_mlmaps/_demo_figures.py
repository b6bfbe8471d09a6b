"""Figures that need a truth: error over σ, strain beside what it was made from, and imprints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import _demo_strain as strains
from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._layout import FigSize, aspect_of, page_style, split_figsize, table_grid
from pyxem_mlmaps._panels import (
    CURVES,
    DIVERGING,
    draw_map,
    robust_limit,
    scan_extent,
    symmetric_limit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    import pyxem_mlmaps as mlmaps

__all__ = ["plot_imprint", "plot_pulls", "plot_strain_error"]


@page_style
def plot_pulls(pulls: Mapping[str, NDArray[np.floating]], figsize: FigSize = None) -> Figure:
    """Histograms of error over σ, by name, with the normal curve."""
    import matplotlib.pyplot as plt

    n = len(pulls)
    width, height = split_figsize(3.0 * n if figsize is None else figsize)
    columns = max(1, min(n, int(width / 1.6)))
    rows = -(-n // columns)
    size = (width, rows * min(2.8, 0.95 * width / columns) if height is None else height)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    bins = np.linspace(-4, 4, 33)
    z = np.linspace(-4, 4, 201)
    for ax in grid.flat[n:]:
        ax.remove()
    for ax, (name, values) in zip(grid.flat, pulls.items(), strict=False):
        pull = values[np.isfinite(values)]
        ax.hist(pull, bins, density=True, color=CURVES[0], alpha=0.6)
        ax.plot(z, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), color=CURVES[1])
        ax.set_title(
            f"{name}\n{100 * np.mean(np.abs(pull) <= 1):.0f} % within σ", fontsize="medium"
        )
        ax.tick_params(labelsize="small", labelbottom=True)
        ax.set_xlabel("error / σ")
    for ax in grid[:, 0]:
        ax.set_ylabel("density")
    return figure


@page_style
def plot_strain_error(
    absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth, figsize: FigSize = None
) -> Figure:
    """Truth, map, error and σ of the three strains and the rotation, a row each."""
    extent, labels = scan_extent(absolute.axes_manager.signal_axes)
    figure, grid = table_grid(4, 4, aspect_of(extent), figsize)
    for row, part in zip(grid, strains.COMPONENTS, strict=True):
        angle = part.name == "rotation"
        unit, factor = ("°", 1.0) if angle else (part.unit, part.factor)
        true = factor * getattr(truth, part.name)
        error = strains.strain_error(absolute, truth, part)
        offset = strains.substrate_offset(absolute, truth, part) * factor / part.factor
        measured = factor * absolute.channel(part.channel).data - offset
        sigma = part.factor * absolute.channel(f"sigma_{part.channel}").data
        rms = np.sqrt(np.nanmean(error**2))
        limit, narrow = symmetric_limit(true, 99.5), 3 * np.nanmedian(sigma)
        wide = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        symbol = "θ" if angle else f"$ε_{{{part.name[2:]}}}$"
        draw_map(row[0], true, extent, f"{symbol}, truth ({unit})", **wide)
        draw_map(row[1], measured, extent, f"{symbol}, map ({unit})", **wide)
        scale = {"cmap": DIVERGING, "vmin": -narrow, "vmax": narrow}
        draw_map(row[2], error, extent, f"Error, RMS {rms:.3g} {part.unit}", **scale)
        _, high = robust_limit(sigma[truth.crystal], 99)
        draw_map(row[3], sigma, extent, f"σ ({part.unit})", cmap="cividis", vmin=0, vmax=high)
    finish_maps(figure, grid.flat, labels, figsize)
    return figure


@page_style
def plot_imprint(
    absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth, figsize: FigSize = None
) -> Figure:
    """Thickness and tilts, over the errors of strain averaged over neighbours."""
    extent, labels = scan_extent(absolute.axes_manager.signal_axes)
    figure, grid = table_grid(2, 3, aspect_of(extent), figsize)
    tilts = symmetric_limit(np.stack([truth.tilt_x, truth.tilt_y]), 100)
    for ax, name in zip(grid[0], ("thickness", "tilt_x", "tilt_y"), strict=True):
        scale: dict[str, Any] = {"cmap": "viridis"}
        if name != "thickness":
            scale = {"cmap": DIVERGING, "vmin": -tilts, "vmax": tilts}
        unit = "nm" if name == "thickness" else "°"
        title = f"{name.replace('_', ' ').capitalize()}, truth ({unit})"
        draw_map(ax, getattr(truth, name), extent, title, **scale)
    parts = strains.COMPONENTS[:3]
    errors = [
        strains.averaged(strains.strain_error(absolute, truth, p), strains.WINDOW) for p in parts
    ]
    limit = symmetric_limit(np.stack(errors), 99.5)
    for ax, part, error in zip(grid[1], parts, errors, strict=True):
        scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        title = f"Mean error of $ε_{{{part.name[2:]}}}$ ({part.unit})"
        draw_map(ax, error, extent, title, **scale)
    finish_maps(figure, grid.flat, labels, figsize)
    return figure
