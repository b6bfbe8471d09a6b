"""Panels of residuals on the detector: coloured disks and arrows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._layout import NO_DATA, FigSize, flow_columns, flow_grid, nice_ticks
from pyxem_mlmaps._panels import add_colour_bar
from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_arrows", "draw_disks", "panels_of"]

Float = NDArray[np.floating]


def draw_disks(ax: Axes, lattice: DiskLattice, values: Float, title: str, **scale: Any) -> None:
    """Disks where they lie on the detector, coloured by a value each; NaN is grey."""
    from matplotlib import colormaps
    from matplotlib.collections import EllipseCollection

    width = np.full(len(lattice), 2 * lattice.radius)
    disks = EllipseCollection(
        width,
        width,
        np.zeros(len(lattice)),
        units="xy",
        offsets=lattice.positions[:, ::-1],
        offset_transform=ax.transData,
        cmap=colormaps[scale["cmap"]].with_extremes(bad=NO_DATA),
        edgecolors="0.3",
        linewidths=0.4,
    )
    disks.set_array(np.ma.masked_invalid(values))
    disks.set_clim(scale["vmin"], scale["vmax"])
    ax.add_collection(disks, autolim=False)
    add_colour_bar(ax, disks, 1.0)
    ax.set_title(title, fontsize="medium")
    _frame(ax, lattice.positions, 1.5 * lattice.radius)


def _frame(ax: Axes, positions: Float, margin: float) -> None:
    """Detector axes round disks, ky downwards."""
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    ax.set(xlim=(low[1], high[1]), ylim=(high[0], low[0]), aspect="equal")
    ax.tick_params(labelsize="small")
    ax.xaxis.set_major_locator(nice_ticks(3))
    ax.yaxis.set_major_locator(nice_ticks(3))


def draw_arrows(ax: Axes, places: Float, arrows: Float, title: str) -> None:
    """Residuals (y, x) in px at places, the longest drawn as long as disks are apart."""
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    nearest = np.median(np.min(np.where(apart > 0, apart, np.inf), axis=1))
    longest = max(float(np.linalg.norm(arrows, axis=1).max()), 1e-12)
    drawn = ax.quiver(
        *places[:, ::-1].T,
        *arrows[:, ::-1].T,
        angles="xy",
        scale_units="xy",
        scale=longest / (0.9 * nearest),
        color="#0072B2",
        width=0.008,
    )
    key = 10.0 ** np.floor(np.log10(longest))
    key *= max(step for step in (1, 2, 5) if step * key <= longest * 1.001)
    ax.quiverkey(
        drawn, 0.2, 0.06, key, f"{key:g} px", labelpos="E", fontproperties={"size": "small"}
    )
    ax.plot(*places[:, ::-1].T, ".", color="0.6", markersize=2, zorder=0)
    ax.set_title(title, fontsize="medium")
    _frame(ax, places, nearest)


def panels_of(n: int, figsize: FigSize) -> tuple[Figure, list[Axes]]:
    columns = flow_columns(n, n, 1.0, figsize)
    figure, grid = flow_grid(-(-n // columns), columns, 1.0, figsize)
    for ax in grid.flat[n:]:
        ax.remove()
    return figure, list(grid.flat[:n])
