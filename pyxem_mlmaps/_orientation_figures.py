"""Figures of an orientation map: all channels, tilt by direction, and error against a truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._layout import FigSize, aspect_of, grid_size, page_style, table_grid
from pyxem_mlmaps._panels import (
    DIVERGING,
    direction_colours,
    draw_band,
    draw_colour_wheel,
    draw_map,
    draw_table,
    image_and_legend,
    robust_limit,
    scan_extent,
    set_ticks,
    symmetric_limit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.signals import MLOrientationMap

__all__ = ["plot_error_map", "plot_orientation_map", "plot_tilt"]

_TITLES = {
    "tilt_x": ("Tilt x", "°"),
    "tilt_y": ("Tilt y", "°"),
    "thickness": ("Thickness", "nm"),
    "misfit": ("Misfit", ""),
    "sigma_tilt_x": ("σ tilt x", "m°"),
    "sigma_tilt_y": ("σ tilt y", "m°"),
    "sigma_thickness": ("σ thickness", "nm"),
}
_PANELS = (
    ("tilt_x", "tilt_y", "thickness", "misfit"),
    ("sigma_tilt_x", "sigma_tilt_y", "sigma_thickness"),
)


def _titled(name: str) -> str:
    title, unit = _TITLES[name]
    return f"{title} ({unit})" if unit else title


@page_style
def plot_orientation_map(
    omap: MLOrientationMap,
    percentile: float = 99.5,
    figsize: FigSize = None,
) -> Figure:
    """Draw all channels of an orientation map.

    Parameters
    ----------
    omap
        Orientation map over a two-dimensional scan (images), a line (curves with ±σ bands) or a
        point (a table). A lazy one is computed. NaN is grey in images.
    percentile
        Colour scales end at this percentile of the values (of their magnitude for tilts), so that
        a few bad pixels do not set the scale.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Titles name the channel; tilts in degrees on a diverging scale centred on zero, their
        sigmas in millidegrees, thickness in nm.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.plotting import plot_orientation_map
    >>> from pyxem_mlmaps.signals import MLOrientationMap
    >>> figure = plot_orientation_map(MLOrientationMap(np.random.rand(20, 30, 7)))
    """
    channels = {
        name: 1e3 * values if _TITLES[name][1] == "m°" else values
        for name, values in omap.channel_arrays().items()
    }
    axes = omap.axes_manager.navigation_axes
    if len(axes) > 2:
        raise ValueError(
            f"omap: its scan has {len(axes)} dimensions, at most 2 are drawn. Select one frame "
            "with inav first."
        )
    draw = (_draw_table, _draw_lines, _draw_maps)[len(axes)]
    return draw(channels, axes, percentile, figsize)


def _draw_maps(channels, axes, percentile, figsize) -> Figure:
    extent, labels = scan_extent(axes)
    shape = channels["tilt_x"].shape
    figure, grid = table_grid(2, 4, aspect_of(extent), figsize, empty=1)
    for row, names in zip(grid, _PANELS, strict=True):
        for ax, name in zip(row, names, strict=False):
            values = channels[name].reshape(shape)
            if name in ("tilt_x", "tilt_y"):
                limit = symmetric_limit(values, percentile)
                scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
            else:
                cmap = {"thickness": "viridis", "misfit": "magma"}.get(name, "cividis")
                low, high = robust_limit(values, percentile)
                scale = {"cmap": cmap, "vmin": low, "vmax": high}
            draw_map(ax, values, extent, _titled(name), **scale)
    finish_maps(figure, grid.flat[:-1], labels, figsize)
    return figure


def _draw_lines(channels, axes, percentile, figsize) -> Figure:
    import matplotlib.pyplot as plt

    _, labels = scan_extent(axes)
    size = grid_size(2, 2, 0.55, 8.0 if figsize is None else figsize)
    figure, grid = plt.subplots(
        2, 2, figsize=size, sharex=True, squeeze=False, layout="constrained"
    )
    for ax, name in zip(grid.flat, _PANELS[0], strict=True):
        sigma = channels.get(f"sigma_{name}")
        if sigma is not None:
            sigma = sigma * 1e-3 if _TITLES[name][1] == "°" else sigma
        draw_band(ax, axes[0].axis, channels[name], sigma, _titled(name))
    for ax in grid[1]:
        ax.set_xlabel(labels[0])
    return figure


def _draw_table(channels, axes, percentile, figsize) -> Figure:
    rows = []
    for name in _PANELS[0]:
        title, unit = _TITLES[name]
        sigma = channels.get(f"sigma_{name}")
        sigma_unit = _TITLES[f"sigma_{name}"][1] if sigma is not None else ""
        spread = "" if sigma is None else f"± {float(sigma):.3g} {sigma_unit}"
        rows.append([title, f"{float(channels[name]):.5g} {unit}".strip(), spread])
    return draw_table(rows, figsize)


@page_style
def plot_tilt(
    omap_or_tilt_x: MLOrientationMap | ArrayLike,
    tilt_y: ArrayLike | None = None,
    reference: Literal["mean"] | Sequence[float] | None = "mean",
    percentile: float = 99.0,
    figsize: FigSize = None,
) -> Figure:
    """Draw the tilt as one map: hue is its direction, brightness its magnitude.

    Parameters
    ----------
    omap_or_tilt_x, tilt_y
        An orientation map, or two (scan y, scan x) arrays in degrees.
    reference
        Tilt that is drawn black: ``"mean"`` of the map, a pair (tilt_x, tilt_y) in degrees, or
        None for zero.
    percentile
        Percentile of the magnitudes that is drawn at full brightness.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        The map, and a colour wheel whose axes are tilts in degrees; tilt_y runs downwards, as ky
        does on the detector. NaN is grey.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.plotting import plot_tilt
    >>> y, x = np.mgrid[-1:1:20j, -1:1:30j]
    >>> figure = plot_tilt(0.2 * x, 0.2 * y, reference=None)
    """
    if tilt_y is None:
        channels = omap_or_tilt_x.channel_arrays()  # type: ignore[union-attr]
        tilt_x, tilt_y = channels["tilt_x"], channels["tilt_y"]
        axes = omap_or_tilt_x.axes_manager.navigation_axes  # type: ignore[union-attr]
    else:
        tilt_x, tilt_y = np.asarray(omap_or_tilt_x, float), np.asarray(tilt_y, float)
        axes = None
    if tilt_x.ndim != 2 or tilt_x.shape != tilt_y.shape:
        raise ValueError(
            f"tilt_x, tilt_y: shapes {tilt_x.shape} and {tilt_y.shape} are not valid, two equal "
            "(scan y, scan x) shapes are needed. Draw lines and points with plot_orientation_map."
        )
    origin = _reference(reference, tilt_x, tilt_y)
    x, y = tilt_x - origin[0], tilt_y - origin[1]
    _, limit = robust_limit(np.hypot(x, y), percentile)
    extent, labels = scan_extent(axes, tilt_x.shape)

    figure, ax, wheel = image_and_legend(extent, figsize)
    ax.imshow(direction_colours(x, y, limit), extent=extent, interpolation="nearest")
    ax.set_title("Tilt", fontsize="medium")
    set_ticks(ax, extent)
    draw_colour_wheel(wheel, origin, limit)
    finish_maps(figure, [ax], labels, figsize, not np.all(np.isfinite(x + y)), [wheel])
    return figure


def _reference(reference, tilt_x, tilt_y) -> tuple[float, float]:
    if reference is None:
        return 0.0, 0.0
    if isinstance(reference, str):
        if reference != "mean":
            raise ValueError(
                f"reference={reference!r} is not valid: give 'mean', a pair (tilt_x, tilt_y) in "
                "degrees, or None for zero tilt."
            )
        finite = np.isfinite(tilt_x) & np.isfinite(tilt_y)
        if not finite.any():
            return 0.0, 0.0
        return float(tilt_x[finite].mean()), float(tilt_y[finite].mean())
    pair = np.asarray(reference, dtype=float)
    if pair.shape != (2,) or not np.all(np.isfinite(pair)):
        raise ValueError(
            f"reference={reference!r} is not valid: give two finite tilts (x, y) in degrees."
        )
    return float(pair[0]), float(pair[1])


@page_style
def plot_error_map(
    estimate: ArrayLike | MLOrientationMap,
    truth: ArrayLike | MLOrientationMap,
    extent: tuple[float, float, float, float] | None = None,
    unit: str = "px",
    figsize: FigSize = None,
) -> Figure:
    """Draw truth, map and difference of both tilts.

    Parameters
    ----------
    estimate, truth
        Orientation maps, or arrays (scan y, scan x, 2 or more) whose first two channels are tilt_x
        and tilt_y in degrees.
    extent
        (left, right, bottom, top) of the scan in ``unit``; None takes the axes of a map, and
        counts pixels for arrays.
    unit
        Unit of the extent.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Two rows, tilt x and tilt y; the difference has its own scale in millidegrees and its
        root mean square, in millidegrees too, as its title.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.plotting import plot_error_map
    >>> truth = np.random.rand(20, 30, 2)
    >>> figure = plot_error_map(truth + 0.001, truth)
    """
    estimated, true = (np.asarray(getattr(m, "data", m), dtype=float) for m in (estimate, truth))
    if estimated.shape[:2] != true.shape[:2] or min(estimated.ndim, true.ndim) != 3:
        raise ValueError(
            f"estimate, truth: shapes {estimated.shape} and {true.shape} are not valid, both must "
            "be (scan y, scan x, 2 or more) over the same scan."
        )
    axes = [getattr(m, "axes_manager", None) for m in (estimate, truth)]
    known = [manager.navigation_axes for manager in axes if manager is not None]
    scan_axes = known[0] if known and extent is None else None
    default_extent, labels = scan_extent(scan_axes, true.shape[:2], unit)
    box = default_extent if extent is None else extent
    figure, grid = table_grid(2, 3, aspect_of(box), figsize)
    for i, (row, name) in enumerate(zip(grid, "xy", strict=True)):
        difference = 1e3 * (estimated[..., i] - true[..., i])
        rms = np.sqrt(np.nanmean(difference**2)) if np.isfinite(difference).any() else np.nan
        limit = symmetric_limit(true[..., i], 100)
        scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        draw_map(row[0], true[..., i], box, f"Tilt {name}, truth (°)", **scale)
        draw_map(row[1], estimated[..., i], box, f"Tilt {name}, map (°)", **scale)
        limit = symmetric_limit(difference, 99.5)
        scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        draw_map(row[2], difference, box, f"Error, RMS {rms:.3g} m°", **scale)
    finish_maps(figure, grid.flat, labels, figsize)
    return figure
