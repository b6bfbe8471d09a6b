"""Figures of a polycrystal: orientations, boundaries, tilt within grains, uncertainties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._grain_panels import (
    draw_boundaries,
    draw_ipf,
    draw_ipf_keys,
    draw_log,
    draw_tilt,
    draw_wheel,
    map_extent,
)
from pyxem_mlmaps._layout import FigSize, aspect_of, page_style, split_figsize
from pyxem_mlmaps._panels import beside_size, robust_limit
from pyxem_mlmaps.mapping.grain_rotations import scan_arrays
from pyxem_mlmaps.mapping.grains import (
    kernel_average_misorientation,
    label_grains,
    tilt_within_grains,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

__all__ = ["plot_boundaries", "plot_grain_tilt", "plot_ipf_map", "plot_kam"]


def _beside(extent: Any, figsize: FigSize) -> tuple[Figure, Any]:
    """Figure, and its two grid cells: an image and a legend to its right."""
    import matplotlib.pyplot as plt

    size, ratios = beside_size(extent, figsize)
    figure = plt.figure(figsize=size, layout="constrained")
    return figure, figure.add_gridspec(1, 2, width_ratios=ratios)


def _image(extent: Any, figsize: FigSize, ax: Axes | None) -> tuple[Figure, Axes]:
    import matplotlib.pyplot as plt

    if ax is not None:
        return ax.figure, ax
    aspect = aspect_of(extent)
    width, height = split_figsize(figsize)
    width = min(4.5, max(1.5, 5.5 / aspect)) + 1.5 if width is None else width
    height = max(width * aspect, 1.0) + 0.8 if height is None else height
    return plt.subplots(figsize=(width, min(height, 9.0)), layout="constrained")


def _finish(
    figure: Figure, ax: Axes, labels: tuple[str, str], figsize: FigSize, own: bool, grey: bool
) -> Figure:
    """Labels, scale bar and note of a figure of our own; labels alone in axes that were given."""
    if own:
        legends = [other for other in figure.axes if other is not ax]
        finish_maps(figure, [ax], labels, figsize, grey, legends)
    else:
        ax.set(xlabel=labels[0], ylabel=labels[1])
    return figure


def not_indexed(xmap: CrystalMap) -> bool:
    """Whether points of the scan have no orientation."""
    return bool(np.any(scan_arrays(xmap).phase < 0))


@page_style
def plot_ipf_map(
    xmap: CrystalMap,
    direction: Literal["x", "y", "z"] = "z",
    figsize: FigSize = None,
) -> Figure:
    """Draw orientations in inverse-pole-figure colours.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions.
    direction
        Whose crystal direction is coloured: along kx, along ky or along the beam (z).
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        The map with axes in the scan unit, and a colour key of every Laue group. Points that are
        not indexed are grey. The colours are orix's (G. Nolze and R. Hielscher, J. Appl. Cryst. 49
        (2016) 1786).

    Raises
    ------
    ValueError
        If there is no such direction.

    Examples
    --------
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.plotting import plot_ipf_map
    >>> y, x = np.indices((4, 5)).reshape(2, -1)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> figure = plot_ipf_map(CrystalMap(Rotation.random(20), x=x, y=y, phase_list=cubic))
    """
    extent, labels = map_extent(xmap)
    figure, grid = _beside(extent, figsize)
    ax = figure.add_subplot(grid[0])
    draw_ipf(ax, xmap, extent, direction)
    draw_ipf_keys(figure, grid[1], xmap)
    return _finish(figure, ax, labels, figsize, True, not_indexed(xmap))


@page_style
def plot_kam(
    xmap: CrystalMap,
    order: int = 1,
    max_angle: float = 5.0,
    percentile: float = 99.0,
    figsize: FigSize = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the kernel average misorientation.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions.
    order, max_angle
        As for :func:`pyxem_mlmaps.mapping.grains.kernel_average_misorientation`.
    percentile
        The colour scale ends at this percentile.
    figsize
        Width and height in inches, or the width alone.
    ax
        matplotlib axes to draw into, without scale bar. None makes a new figure.

    Returns
    -------
    figure
        In degrees, on a logarithmic scale; points without neighbours are grey.

    Examples
    --------
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.plotting import plot_kam
    >>> y, x = np.indices((4, 5)).reshape(2, -1)
    >>> turns = Rotation.from_axes_angles([0, 0, 1], 0.01 * x**2, degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> figure = plot_kam(CrystalMap(turns, x=x, y=y, phase_list=cubic))
    """
    extent, labels = map_extent(xmap)
    own = ax is None
    figure, ax = _image(extent, figsize, ax)
    kam = kernel_average_misorientation(xmap, order, max_angle)
    draw_log(ax, kam, extent, "Kernel average misorientation (°)", percentile=percentile)
    return _finish(figure, ax, labels, figsize, own, not np.all(kam > 0))


@page_style
def plot_boundaries(
    xmap: CrystalMap,
    background: str | None = "auto",
    min_angle: float | None = None,
    labels: NDArray[np.integer] | Literal["auto"] | None = "auto",
    figsize: FigSize = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw boundaries, coloured by their misorientation angle.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions.
    background
        Property that is drawn in grey behind the lines, bright where it is small; "auto" takes
        ``misfit``, or else ``thickness``, None a uniform grey.
    min_angle
        Degrees; None is 0.05 with labels, 1 without.
    labels
        (ny, nx) sub-grains or grains: boundaries are those between labels, and every one has the
        colour of its median angle. None draws every pair of neighbours by its own angle, noise
        too; "auto" takes the property ``subgrain_id``, if the map has it.
    figsize
        Width and height in inches, or the width alone.
    ax
        matplotlib axes to draw into, without scale bar. None makes a new figure.

    Returns
    -------
    figure
        Angles in degrees on a logarithmic scale from 0.05 to 60; boundaries between phases have
        the last colour.

    Examples
    --------
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.plotting import plot_boundaries
    >>> y, x = np.indices((4, 5)).reshape(2, -1)
    >>> turns = Rotation.from_axes_angles([0, 0, 1], 2.0 * (x > 1) + 20 * (y > 2), degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> figure = plot_boundaries(CrystalMap(turns, x=x, y=y, phase_list=cubic))
    """
    extent, names = map_extent(xmap)
    own = ax is None
    figure, ax = _image(extent, figsize, ax)
    width = figure.get_size_inches()[0] - 1.5
    boundaries_panel(ax, xmap, extent, width, background, min_angle, labels)
    return _finish(figure, ax, names, figsize, own, not_indexed(xmap))


def boundaries_panel(
    ax: Any,
    xmap: CrystalMap,
    extent: Any,
    width: float,
    background: str | None = "auto",
    min_angle: float | None = None,
    labels: Any = "auto",
) -> None:
    """Boundaries on axes about ``width`` inches wide."""
    if isinstance(labels, str):
        labels = _property_labels(xmap, ("subgrain_id",))
    if background == "auto":
        known = [name for name in ("misfit", "thickness") if name in xmap.prop]
        background = known[0] if known else None
    if background is not None and background not in xmap.prop:
        raise ValueError(
            f"background={background!r}: the map has no such property, but "
            f"{', '.join(xmap.prop) or 'none'}."
        )
    if min_angle is None:
        min_angle = 1.0 if labels is None else 0.05
    draw_boundaries(ax, xmap, extent, background, min_angle, labels, width)


def _property_labels(xmap: CrystalMap, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    for name in names:
        if name in xmap.prop:
            return np.nan_to_num(scan_arrays(xmap).image(xmap.prop[name]), nan=-1).astype(np.int64)
    return None


def grain_turns(
    xmap: CrystalMap, labels: Any, percentile: float
) -> tuple[NDArray[np.float64], float]:
    """(ny, nx, 3) turns from the means of labels or of grains, and the end of their scale."""
    if labels is None:
        labels = _property_labels(xmap, ("grain_id",))
    if labels is None:
        labels = label_grains(xmap)
    labels = np.where(scan_arrays(xmap).phase >= 0, labels, -1)
    turn = tilt_within_grains(xmap, labels)
    _, limit = robust_limit(np.hypot(turn[..., 0], turn[..., 1]), percentile)
    return turn, limit


@page_style
def plot_grain_tilt(
    xmap: CrystalMap,
    labels: NDArray[np.integer] | None = None,
    percentile: float = 95.0,
    figsize: FigSize = None,
) -> Figure:
    """Draw how the zone axis is tilted within every grain: hue is direction, brightness size.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions.
    labels
        (ny, nx) regions from whose mean orientations the tilt is counted; None takes the property
        ``grain_id``, or else :func:`pyxem_mlmaps.mapping.grains.label_grains`.
    percentile
        Percentile of the tilts that is drawn at full brightness.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        The map, and a colour wheel whose axes are tilts in degrees along kx and ky (downwards).
        Points that are not indexed are grey.

    Examples
    --------
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import tilted_rotation
    >>> from pyxem_mlmaps.plotting import plot_grain_tilt
    >>> y, x = np.indices((4, 5)).reshape(2, -1)
    >>> tilted = tilted_rotation(Rotation.identity(), 0.1 * x, 0.1 * y)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> figure = plot_grain_tilt(CrystalMap(tilted, x=x, y=y, phase_list=cubic))
    """
    extent, names = map_extent(xmap)
    turn, limit = grain_turns(xmap, labels, percentile)
    figure, grid = _beside(extent, figsize)
    ax = figure.add_subplot(grid[0])
    draw_tilt(ax, turn, extent, limit)
    draw_wheel(figure.add_subplot(grid[1]), limit)
    return _finish(figure, ax, names, figsize, True, not np.all(np.isfinite(turn)))
