"""Figures of what goes into a map: the disk lattice and the rocking library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._layout import (
    FigSize,
    aspect_of,
    flow_columns,
    flow_grid,
    page_style,
    split_figsize,
)
from pyxem_mlmaps._panels import draw_map, draw_pattern, hkl_label, robust_limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["draw_circles", "plot_lattice", "plot_rocking"]


@page_style
def plot_lattice(
    lattice: DiskLattice,
    pattern: Any = None,
    labels: bool = False,
    ax: Axes | None = None,
    figsize: FigSize = None,
) -> Figure:
    """Draw the disks, and the vectors g1 and g2, on a pattern.

    Parameters
    ----------
    lattice
        The disks, in pixels.
    pattern
        (ky, kx) array, or a HyperSpy signal whose mean over the scan is taken; drawn on a
        logarithmic grey scale. None draws the disks alone.
    labels
        Whether to write each disk's two indices.
    ax
        matplotlib axes to draw into. None makes a new figure.
    figsize
        Width and height in inches of the new figure, or the width alone.

    Returns
    -------
    figure

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> from pyxem_mlmaps.plotting import plot_lattice
    >>> lattice = DiskLattice((64, 64), (0, 30), (30, 0), [(0, 0), (1, 0), (0, 1)], 8)
    >>> figure = plot_lattice(lattice, labels=True)
    """
    import matplotlib.pyplot as plt

    if ax is None:
        width, height = split_figsize(5.5 if figsize is None else figsize)
        size = (width, width if height is None else height)
        figure, ax = plt.subplots(figsize=size, layout="constrained")
    else:
        figure = ax.figure
    positions = lattice.positions
    if pattern is None:
        low, high = positions.min(axis=0), positions.max(axis=0)
        margin = 1.5 * lattice.radius
        ax.set_xlim(low[1] - margin, high[1] + margin)
        ax.set_ylim(high[0] + margin, low[0] - margin)
        ax.set_aspect("equal")
    else:
        draw_pattern(ax, pattern)
    draw_circles(ax, positions, lattice.radius, "#0072B2")
    for name, colour in (("g1", "#D55E00"), ("g2", "#009E73")):
        _draw_vector(ax, lattice, name, colour)
    if labels:
        size = _label_size(ax, lattice.radius)
        for (i, j), (y, x) in zip(lattice.indices, positions, strict=True):
            text = ax.text(x, y, f"{i} {j}", ha="center", va="center", fontsize=size, zorder=5)
            _outline(text)
    ax.set(xlabel="kx (px)", ylabel="ky (px)")
    ax.tick_params(labelsize="small")
    return figure


def draw_circles(ax: Axes, positions: NDArray[np.floating], radius: float, colour: str) -> None:
    """Circles of ``radius`` at (n, 2) positions (y, x), all in px."""
    from matplotlib import rcParams
    from matplotlib.collections import EllipseCollection

    width = np.full(len(positions), 2 * radius)
    circles = EllipseCollection(
        width,
        width,
        np.zeros(len(positions)),
        units="xy",
        offsets=positions[:, ::-1],
        offset_transform=ax.transData,
        facecolors="none",
        edgecolors=colour,
        linewidths=0.8 * rcParams["lines.linewidth"],
    )
    ax.add_collection(circles, autolim=False)


def _draw_vector(ax: Axes, lattice: DiskLattice, name: str, colour: str) -> None:
    origin, g = np.asarray(lattice.origin), np.asarray(getattr(lattice, name))
    other = np.asarray(lattice.g2 if name == "g1" else lattice.g1)
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=(origin + g)[::-1], xytext=origin[::-1], arrowprops=arrow)
    # Between four disks, on the side where the other vector is not.
    y, x = origin + g / 2 - 0.3 * other
    text = ax.text(x, y, name, color=colour, ha="center", va="center", weight="bold", zorder=6)
    _outline(text)


def _label_size(ax: Axes, radius: float) -> float:
    """Points, so that a label of two indices is about as wide as a disk."""
    ax.figure.canvas.draw()
    pixels = abs(ax.transData.transform((radius, 0))[0] - ax.transData.transform((0, 0))[0])
    return float(np.clip(pixels * 72 / ax.figure.dpi * 0.75, 5, 11))


def _outline(text: Any) -> None:
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2, foreground="white")])


@page_style
def plot_rocking(
    library: Any,
    thickness: float | None = None,
    n: int = 12,
    figsize: FigSize = None,
) -> Figure:
    """Draw rocking maps, intensity against tilt, of the strongest reflections.

    Parameters
    ----------
    library
        A ``RockingLibrary``, or anything with ``intensities`` (n_tilt_x, n_tilt_y, n_thickness,
        n_disk), ``tilt_x`` and ``tilt_y`` (degrees), ``thickness`` (nm) and ``indices``.
    thickness
        The library's nearest thickness is drawn, in nm. None takes the middle one.
    n
        How many reflections, the strongest on average first.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        One panel per reflection, each on its own scale from zero; tilt_x to the right, tilt_y
        downwards as on the detector.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from pyxem_mlmaps.plotting import plot_rocking
    >>> tilts = np.linspace(-0.5, 0.5, 11)
    >>> library = SimpleNamespace(
    ...     intensities=np.random.rand(11, 11, 2, 3), tilt_x=tilts, tilt_y=tilts,
    ...     thickness=np.array([50.0, 60.0]), indices=np.array([[0, 0], [1, 0], [0, 1]]),
    ... )
    >>> figure = plot_rocking(library, thickness=60, n=3)
    """
    thicknesses = np.atleast_1d(np.asarray(library.thickness, dtype=float))
    if n < 1:
        raise ValueError(f"n={n} is not valid: at least one reflection must be drawn.")
    wanted = thicknesses[len(thicknesses) // 2] if thickness is None else float(thickness)
    level = int(np.argmin(np.abs(thicknesses - wanted)))
    maps = np.asarray(library.intensities[:, :, level, :], dtype=float)
    strongest = np.argsort(np.nanmean(maps, axis=(0, 1)))[::-1][:n]
    x, y = (np.asarray(t, dtype=float) for t in (library.tilt_x, library.tilt_y))
    half_x, half_y = (np.ptp(t) / max(len(t) - 1, 1) / 2 or 0.5 for t in (x, y))
    extent = (x.min() - half_x, x.max() + half_x, y.max() + half_y, y.min() - half_y)
    columns = flow_columns(len(strongest), 4, aspect_of(extent), figsize)
    rows = -(-len(strongest) // columns)
    figure, grid = flow_grid(rows, columns, aspect_of(extent), figsize)
    for ax in grid.flat[len(strongest) :]:
        ax.remove()
    for ax, disk in zip(grid.flat, strongest, strict=False):
        image = maps[:, :, disk].T
        _, high = robust_limit(image, 100)
        label = hkl_label(np.asarray(library.indices)[disk])
        draw_map(ax, image, extent, label, cmap="viridis", vmin=0, vmax=high)
    simulated = "n_beams" in getattr(library, "parameters", {})
    unit = "fraction of the incident beam" if simulated else "units of the library"
    figure.suptitle(f"Intensity ({unit}) at {thicknesses[level]:g} nm", fontsize="medium")
    finish_maps(figure, grid.flat[: len(strongest)], ("Tilt x (°)", "Tilt y (°)"), figsize)
    return figure
