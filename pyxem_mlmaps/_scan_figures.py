"""Figures of a scan before it is mapped: what it holds, and the disks found on a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps._input_figures import draw_circles
from pyxem_mlmaps._panels import draw_pattern, robust_limit, scan_extent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["plot_disks", "plot_scan"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def plot_scan(
    signal: Any,
    lattice: DiskLattice,
    points: Mapping[str, tuple[int, int]],
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw what a scan holds: a virtual annular dark field, and patterns of some of its points.

    Parameters
    ----------
    signal
        Diffraction2D with two scan axes, lazy or not.
    lattice
        Disks of the scan, in pixels; the dark field is all counts farther than two radii from
        ``lattice.origin``.
    points
        Name and (y, x) index of the scan points whose patterns are drawn, on a logarithmic grey
        scale.
    figsize
        Width and height in inches.

    Returns
    -------
    figure

    Raises
    ------
    ValueError
        If the scan does not have two axes, or a point is not on it.

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> from pyxem_mlmaps._scan_figures import plot_scan
    >>> from pyxem.signals import Diffraction2D
    >>> signal = Diffraction2D(np.random.poisson(3.0, (6, 8, 32, 32)))
    >>> lattice = DiskLattice((16, 16), (0, 12), (12, 0), [(0, 0), (1, 0), (0, 1)], 4)
    >>> figure = plot_scan(signal, lattice, {"oxide": (0, 2), "silicon": (5, 1)})
    """
    import matplotlib.pyplot as plt

    axes = signal.axes_manager.navigation_axes
    if len(axes) != 2:
        raise ValueError(f"signal: its scan has {len(axes)} axes; two are needed for an image.")
    shape = signal.data.shape[:2]
    for name, (row, column) in points.items():
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            raise ValueError(f"points: {name!r} at {(row, column)} is not on the {shape} scan.")
    y, x = (
        np.arange(n) - zero for n, zero in zip(signal.data.shape[-2:], lattice.origin, strict=True)
    )
    outside = np.hypot(y[:, None], x) > 2 * lattice.radius
    dark_field = np.asarray((signal.data * outside).sum(axis=(-2, -1)), dtype=float)

    columns = max(1, -(-len(points) // 2))
    figure = plt.figure(figsize=figsize or (4.0 + 2.2 * columns, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 1 + columns, width_ratios=[4.0] + columns * [2.2])
    overview = figure.add_subplot(grid[:, 0])
    extent, labels = scan_extent(axes)
    low, high = robust_limit(dark_field, 99.5)
    overview.imshow(dark_field, extent=extent, cmap="gray", vmin=low, vmax=high)
    overview.set_title("Virtual dark field", fontsize="medium")
    overview.set(xlabel=labels[0], ylabel=labels[1])
    for i, (name, (row, column)) in enumerate(points.items()):
        ax, colour = figure.add_subplot(grid[i // columns, 1 + i % columns]), COLOURS[i % 4]
        at = axes[0].index2value(column), axes[1].index2value(row)
        marker = {"color": colour, "markeredgecolor": "white", "markersize": 8}
        overview.plot(*at, "o", clip_on=False, **marker)
        draw_pattern(ax, np.asarray(signal.data[row, column]))
        ax.set_title(name, color=colour, fontsize="medium", weight="bold")
        ax.set(xticks=[], yticks=[])
    return figure


def plot_disks(
    pattern: Any,
    found: ArrayLike,
    lattice: DiskLattice,
    misfit: ArrayLike | None = None,
    magnify: float = 15.0,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw the disks that were found on a pattern, how far from ``lattice``, and three at large.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    found
        (n, 2) positions (y, x) in pixels.
    lattice
        Where the disks would be without strain, in pixels. Arrows lead from its nearest disk to
        the one that was found.
    misfit
        (n,): disks above 1 are drawn in another colour.
    magnify
        How much too long the arrows are drawn.
    figsize
        Width and height in inches.

    Returns
    -------
    figure
        The pattern on a logarithmic grey scale, and the brightest disk, the middle one and the
        faintest, each on a linear scale of its own, with a cross at the measured centre.

    Raises
    ------
    ValueError
        If ``found`` is not (n, 2) or empty.

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> from pyxem_mlmaps._scan_figures import plot_disks
    >>> lattice = DiskLattice((16, 16), (0, 12), (12, 0), [(0, 0), (1, 0), (0, 1)], 4)
    >>> figure = plot_disks(np.random.poisson(3.0, (32, 32)), lattice.positions + 0.2, lattice)
    """
    import matplotlib.pyplot as plt

    positions = np.asarray(found, dtype=float)
    if positions.ndim != 2 or positions.shape[1:] != (2,) or len(positions) == 0:
        raise ValueError(f"found has shape {positions.shape}; (n, 2) with n > 0 is needed.")
    bad = np.zeros(len(positions)) if misfit is None else np.asarray(misfit, dtype=float) > 1
    image = np.asarray(pattern, dtype=float)
    figure, axes = plt.subplot_mosaic(
        "AAAb;AAAc;AAAd", figsize=figsize or (8.4, 6.3), layout="constrained"
    )
    ax = axes["A"]
    draw_pattern(ax, image)
    for group, colour in ((bad == 0, "#56B4E9"), (bad != 0, "#E69F00")):
        draw_circles(ax, positions[group], lattice.radius, colour)
    apart = np.linalg.norm(positions[:, None] - lattice.positions, axis=-1)
    start = lattice.positions[apart.argmin(axis=1)]
    (dy, dx), (y, x) = magnify * (positions - start).T, start.T
    ax.quiver(
        x, y, dx, dy, angles="xy", scale_units="xy", scale=1, color="#F0E442", width=0.005, zorder=5
    )
    ax.set_title(f"Disks found; arrows: displacement × {magnify:g}", fontsize="medium")
    ax.set(xlabel="kx (px)", ylabel="ky (px)")

    rows, columns = np.indices(image.shape)
    inside = [np.hypot(rows - y, columns - x) < lattice.radius for y, x in positions]
    order = np.argsort([-image[disk].mean() for disk in inside])
    names = ("brightest", "middle", "faintest")
    for name, panel, i in zip(names, "bcd", order[[0, len(order) // 2, -1]], strict=True):
        y, x = positions[i]
        half = 2.0 * lattice.radius
        ax = axes[panel]
        ax.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(image[inside[i]], 99))
        draw_circles(ax, positions[i : i + 1], lattice.radius, "#56B4E9")
        ax.plot(x, y, "+", color="#D55E00", markersize=10, markeredgewidth=1.5)
        ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xticks=[], yticks=[])
        ax.set_title(name, fontsize="medium")
    return figure
