"""Figures of a scan before it is mapped: what it holds, and the disks found on a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps._finish import add_scale_bar, finish_maps
from pyxem_mlmaps._input_figures import draw_circles
from pyxem_mlmaps._layout import FigSize, aspect_of, page_style, split_figsize
from pyxem_mlmaps._panels import CURVES, draw_pattern, robust_limit, scan_extent, set_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["plot_disk_fit", "plot_scan"]


@page_style
def plot_scan(
    signal: Any,
    lattice: DiskLattice,
    points: Mapping[str, tuple[int, int]],
    figsize: FigSize = None,
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
        Width and height in inches, or the width alone.

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

    extent, labels = scan_extent(axes)
    columns = max(1, -(-len(points) // 2))
    figure = plt.figure(figsize=_scan_size(extent, columns, figsize), layout="constrained")
    grid = figure.add_gridspec(2, 1 + columns, width_ratios=[1.8] + columns * [1.0])
    overview, patterns = figure.add_subplot(grid[:, 0]), []
    low, high = robust_limit(dark_field, 99.5)
    overview.imshow(dark_field, extent=extent, cmap="gray", vmin=low, vmax=high)
    overview.set_title("Virtual dark field", fontsize="medium")
    set_ticks(overview, extent)
    for i, (name, (row, column)) in enumerate(points.items()):
        ax = figure.add_subplot(grid[i // columns, 1 + i % columns])
        colour = CURVES[i % len(CURVES)]
        at = axes[0].index2value(column), axes[1].index2value(row)
        marker = {"color": colour, "markeredgecolor": "white", "markersize": 6}
        overview.plot(*at, "o", clip_on=False, **marker)
        draw_pattern(ax, np.asarray(signal.data[row, column]))
        ax.set_title(name, color=colour, fontsize="medium", weight="bold")
        ax.set(xticks=[], yticks=[])
        patterns.append(ax)
    marks = [line.get_xydata()[0] for line in overview.lines]
    finish_maps(figure, [overview], labels, figsize, legends=patterns, avoid=marks)
    kx = signal.axes_manager.signal_axes[0]
    if patterns and isinstance(kx.units, str) and kx.units not in ("", "px"):
        add_scale_bar(patterns[0], kx.units.replace("$A^{-1}$", "Å⁻¹"), abs(kx.scale))
    return figure


def _scan_size(extent: Any, columns: int, figsize: FigSize) -> tuple[float, float]:
    width, height = split_figsize(figsize)
    width = 4.0 + 2.2 * columns if width is None else width
    if height is None:
        part = width / (1.8 + columns)
        height = max(1.8 * part * min(aspect_of(extent), 2.5), 2.0 * part + 0.2) + 0.6
    return width, height


@page_style
def plot_disk_fit(
    pattern: Any,
    found: Any,
    lattice: DiskLattice | None = None,
    misfit: ArrayLike | None = None,
    magnify: float = 15.0,
    figsize: FigSize = None,
) -> Figure:
    """Draw the disks that were found on a pattern, how far from ``lattice``, and three at large.

    Parameters
    ----------
    pattern
        (ky, kx) counts, or a signal of one pattern: ``s.inav[x, y]``.
    found
        What ``ml_disk_positions`` found on it, ``vectors.inav[x, y]``, or (n, 2) positions (y, x)
        in pixels.
    lattice
        Where the disks would be without strain, in pixels. Arrows lead from its nearest disk to
        the one that was found. None takes the lattice that the vectors remember.
    misfit
        (n,): disks above 1 are drawn in another colour. None takes the vectors' own.
    magnify
        How much too long the arrows are drawn.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        The pattern on a logarithmic grey scale, and the brightest disk, the middle one and the
        faintest, each on a linear scale of its own, with the fitted edge and a cross at the
        measured centre, whose arms are its standard uncertainties where they are known.

    Raises
    ------
    ValueError
        If there are no disks, or no lattice is known, or more than one pattern comes in.

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> from pyxem_mlmaps.plotting import plot_disk_fit
    >>> lattice = DiskLattice((16, 16), (0, 12), (12, 0), [(0, 0), (1, 0), (0, 1)], 4)
    >>> figure = plot_disk_fit(np.random.poisson(3.0, (32, 32)), lattice.positions + 0.2, lattice)
    """
    import matplotlib.pyplot as plt

    positions, sigma, known_misfit, lattice = _disks_of(found, lattice)
    misfit = known_misfit if misfit is None else np.asarray(misfit, dtype=float)
    bad = np.zeros(len(positions), dtype=bool) if misfit is None else misfit > 1
    image = np.asarray(getattr(pattern, "data", pattern), dtype=float)
    if image.ndim != 2:
        raise ValueError(
            f"pattern: shape {image.shape} is not valid, give one (ky, kx) pattern, for instance "
            "s.inav[x, y]."
        )
    width, height = split_figsize(8.4 if figsize is None else figsize)
    size = (width, 0.72 * width + 0.3 if height is None else height)
    figure, axes = plt.subplot_mosaic("AAAb;AAAc;AAAd", figsize=size, layout="constrained")
    ax = axes["A"]
    draw_pattern(ax, image)
    for group, colour in ((~bad, "#56B4E9"), (bad, "#E69F00")):
        draw_circles(ax, positions[group], lattice.radius, colour)
    apart = np.linalg.norm(positions[:, None] - lattice.positions, axis=-1)
    start = lattice.positions[apart.argmin(axis=1)]
    (dy, dx), (y, x) = magnify * (positions - start).T, start.T
    ax.quiver(
        x, y, dx, dy, angles="xy", scale_units="xy", scale=1, color="#F0E442", width=0.005, zorder=5
    )
    ax.set_title(f"Disks found; arrows: displacement × {magnify:g}", fontsize="medium")
    ax.set(xlabel="kx (px)", ylabel="ky (px)")
    set_ticks(ax, (0, image.shape[1], image.shape[0], 0))

    rows, columns = np.indices(image.shape)
    inside = [np.hypot(rows - y, columns - x) < lattice.radius for y, x in positions]
    order = np.argsort([-image[disk].mean() if disk.any() else np.inf for disk in inside])
    names = ("brightest", "middle", "faintest")
    for name, panel, i in zip(names, "bcd", order[[0, len(order) // 2, -1]], strict=True):
        _draw_disk(axes[panel], image, positions[i], lattice.radius, sigma[i], inside[i])
        axes[panel].set_title(name, fontsize="medium")
    return figure


def _draw_disk(ax: Any, image: Any, position: Any, radius: float, sigma: Any, inside: Any) -> None:
    """One disk at large: its fitted edge, its centre and, where known, the centre's σ."""
    y, x = position
    half = 2.0 * radius
    high = np.nanpercentile(image[inside], 99) if inside.any() else 1.0
    ax.imshow(image, cmap="gray", vmin=0, vmax=high if high > 0 else 1.0, interpolation="nearest")
    draw_circles(ax, position[None], radius, "#56B4E9")
    if np.all(np.isfinite(sigma)):
        ax.errorbar(x, y, yerr=sigma[0], xerr=sigma[1], color="#D55E00", linewidth=1.2)
        text = f"σ {np.hypot(*sigma) / np.sqrt(2):.2g} px"
        label = ax.text(0.04, 0.05, text, color="white", fontsize="small", transform=ax.transAxes)
        label.set_bbox({"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.0})
    ax.plot(x, y, "+", color="#D55E00", markersize=7, markeredgewidth=1.0)
    ax.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xticks=[], yticks=[])


def _disks_of(found: Any, lattice: DiskLattice | None) -> tuple[Any, Any, Any, DiskLattice]:
    """Positions (n, 2) and σ (n, 2) in px, misfits (n,) or None, and the lattice."""
    misfit = None
    if hasattr(found, "column_names"):
        positions, sigma, misfit, remembered = _from_vectors(found, lattice)
        lattice = remembered if lattice is None else lattice
    else:
        positions = np.asarray(found, dtype=float)
        sigma = np.full(positions.shape, np.nan)
    if positions.ndim != 2 or positions.shape[1:] != (2,) or len(positions) == 0:
        raise ValueError(f"found has shape {positions.shape}; (n, 2) with n > 0 is needed.")
    if lattice is None:
        raise ValueError("lattice: give the DiskLattice, in pixels, that the disks were sought at.")
    return positions, sigma, misfit, lattice


def _from_vectors(vectors: Any, lattice: DiskLattice | None) -> tuple[Any, Any, Any, Any]:
    from pyxem_mlmaps.mapping.strain_vectors import VectorTable
    from pyxem_mlmaps.specs import DiskLattice

    record = vectors.metadata.get_item("MLDiskPositions.lattice", default=None)
    if lattice is None and record is not None:
        lattice = DiskLattice.from_dict(record.as_dictionary())
    table = VectorTable.from_vectors(vectors, lattice, None, None, 0.0)
    if table.scan_shape:
        raise ValueError(
            f"found: these are the disks of a scan of shape {table.scan_shape}; give those of one "
            "pattern, vectors.inav[x, y]."
        )
    rows = pattern_rows(vectors.data)
    disks = table.disks(rows)
    there = np.isfinite(disks[:, :2]).all(axis=1)
    misfit = None if table.misfit is None else rows[there, table.misfit]
    sigma = disks[there, 2:4] if table.sigma is not None else np.full((there.sum(), 2), np.nan)
    return disks[there, :2], sigma, misfit, lattice


def pattern_rows(data: Any) -> Any:
    """(n, columns) vectors of one pattern out of a signal's data, lazy or wrapped in objects."""
    rows = np.asarray(data.compute() if hasattr(data, "dask") else data)
    while rows.dtype == object:
        rows = np.asarray(rows.ravel()[0])
    return rows.reshape(-1, rows.shape[-1]).astype(float)
