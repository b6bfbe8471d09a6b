"""Pieces of figures: a calibrated image with its colour bar, scales, colours of directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps._layout import (
    NO_DATA,
    PAGE_HEIGHT,
    Extent,
    FigSize,
    aspect_of,
    nice_ticks,
    split_figsize,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"
"""Red and blue are told apart by all common kinds of colour vision; white is zero."""

CURVES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Colours of M. Okabe and K. Ito, told apart by all common kinds of colour vision."""


def draw_map(
    ax: Axes,
    values: NDArray[np.floating],
    extent: Extent,
    title: str,
    **scale: Any,
) -> None:
    """One image with title and colour bar; NaN is grey.

    ``scale`` holds ``cmap``, and ``vmin`` and ``vmax`` or ``norm``. The bar is as high as the
    image, or higher if that is flat, and a flat image has fewer ticks on its short sides.
    """
    from matplotlib import colormaps

    colours = colormaps[scale.pop("cmap")].with_extremes(bad=NO_DATA)
    image = ax.imshow(
        np.ma.masked_invalid(values), extent=extent, cmap=colours, interpolation="nearest", **scale
    )
    bar = add_colour_bar(ax, image, aspect_of(extent))
    if not np.isfinite(values).any():  # the scale says nothing
        bar.set_ticks([])
    ax.set_title(title, fontsize="medium")
    set_ticks(ax, extent)


def add_colour_bar(ax: Axes, image: Any, aspect: float) -> Any:
    """A bar to the right, as high as an image of height/width ``aspect``, higher if it is flat."""
    height = float(np.clip(0.2 / aspect, 1, 4))
    thick = 0.06 * max(1.0, min(aspect, 3.0))
    bar = ax.figure.colorbar(image, cax=ax.inset_axes([1.04, (1 - height) / 2, thick, height]))
    bar.locator = nice_ticks(2 if aspect < 0.5 else 4)
    bar.update_ticks()
    bar.ax.tick_params(labelsize="small")
    return bar


def set_ticks(ax: Axes, extent: Extent) -> None:
    """Few ticks, fewer on the short side of a flat or narrow image."""
    height = aspect_of(extent)
    ax.tick_params(labelsize="small")
    ax.xaxis.set_major_locator(nice_ticks(4 if height < 1.6 else 2 if height < 4 else 1))
    y = 1 if height < 0.2 else 2 if height < 0.5 else 4 if height < 2 else 6
    ax.yaxis.set_major_locator(nice_ticks(y))


def scan_extent(
    axes: Sequence[Any] | None, shape: tuple[int, ...] = (), unit: str = "px"
) -> tuple[tuple[float, float, float, float], tuple[str, str]]:
    """(left, right, bottom, top) of the pixels' outer edges, and the two axis labels.

    ``axes`` are HyperSpy navigation axes (x, y), or None for pixels of an array of ``shape``.
    """
    from traits.api import Undefined

    if axes is None:
        return (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5), (f"x ({unit})", f"y ({unit})")
    edges, labels = [], []
    for axis, default in zip(axes, "xy", strict=False):
        values = np.asarray(axis.axis, dtype=float)
        half = (values[-1] - values[0]) / max(len(values) - 1, 1) / 2 or axis.scale / 2
        edges.append((values[0] - half, values[-1] + half))
        name = default if axis.name in (Undefined, None, "") else str(axis.name)
        known = axis.units not in (Undefined, None, "")
        labels.append(f"{name} ({axis.units if known else 'px'})")
    while len(edges) < 2:
        edges.append((-0.5, 0.5))
        labels.append("")
    (left, right), (top, bottom) = edges
    return (left, right, bottom, top), (labels[0], labels[1])


def robust_limit(values: ArrayLike, percentile: float) -> tuple[float, float]:
    """Low and high end of a colour scale, without the outermost values and NaN."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, [100 - percentile, percentile])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def symmetric_limit(values: ArrayLike, percentile: float) -> float:
    """End of a colour scale centred on zero."""
    _, high = robust_limit(np.abs(values), percentile)
    return high


def direction_colours(
    x: NDArray[np.floating], y: NDArray[np.floating], limit: float
) -> NDArray[np.float64]:
    """RGBA: hue from the direction (from +x towards +y), brightness from the length.

    All hues have the same CIE lightness and chroma (L* 74, C* 40 at full length), so that no
    direction looks longer than another, and all are within what a screen shows. Zero is black, NaN
    grey.
    """
    length = np.clip(np.hypot(x, y) / limit, 0, 1)
    hue = np.arctan2(y, x) + 0.7
    rgb = _lab_to_rgb(74 * length, 40 * length * np.cos(hue), 40 * length * np.sin(hue))
    rgba = np.concatenate([rgb, np.ones((*rgb.shape[:-1], 1))], axis=-1)
    rgba[~np.isfinite(length)] = (*3 * (float(NO_DATA),), 1)
    return rgba


def _lab_to_rgb(
    lightness: NDArray[np.floating], a: NDArray[np.floating], b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """CIE 1976 L*a*b* (D65) to sRGB (IEC 61966-2-1), clipped to what a screen shows."""
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.95047, 1.0, 1.08883]
    to_rgb = np.array(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    )
    linear = np.clip(xyz @ to_rgb.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def draw_colour_wheel(ax: Axes, origin: tuple[float, float], limit: float) -> None:
    """Legend of :func:`direction_colours`: a disc over (tilt_x, tilt_y) in degrees."""
    y, x = np.mgrid[-1:1:201j, -1:1:201j] * limit
    colours = direction_colours(x, y, limit)
    colours[np.hypot(x, y) > limit, 3] = 0
    left, top = origin[0] - limit, origin[1] - limit
    ax.imshow(colours, extent=(left, left + 2 * limit, top + 2 * limit, top))
    ax.set_xlabel("tilt x (°)", fontsize="small")
    ax.set_ylabel("tilt y (°)", fontsize="small")
    ax.tick_params(labelsize="small")
    ax.xaxis.set_major_locator(nice_ticks(3))
    ax.yaxis.set_major_locator(nice_ticks(3))
    ax.spines[:].set_visible(False)


def image_and_legend(extent: Extent, figsize: FigSize) -> tuple[Figure, Axes, Axes]:
    """Figure, axes for an image, and axes for a legend to its right."""
    import matplotlib.pyplot as plt

    size, ratios = beside_size(extent, figsize)
    figure, (ax, legend) = plt.subplots(
        1, 2, figsize=size, width_ratios=ratios, layout="constrained"
    )
    return figure, ax, legend


def beside_size(extent: Extent, figsize: FigSize) -> tuple[tuple[float, float], Any]:
    """Figure size, and relative widths of an image and of a legend to its right."""
    aspect = aspect_of(extent)
    width, height = split_figsize(figsize)
    image = min(4.5, max(1.5, 5.5 / aspect)) if width is None else 0.62 * width
    width = image + 2.8 if width is None else width
    if height is None:
        height = min(max(image * aspect, width - image) + 0.9, 2 * width, PAGE_HEIGHT)
    return (width, height), (image, 0.75 * (width - image))


def draw_band(ax: Axes, x: ArrayLike, values: NDArray, sigma: NDArray | None, title: str) -> None:
    """A curve with its ±σ band."""
    ax.set_title(title, fontsize="medium")
    ax.plot(x, values, color="#0072B2", linewidth=1)
    if sigma is not None:
        ax.fill_between(x, values - sigma, values + sigma, color="#0072B2", alpha=0.25, linewidth=0)
    ax.tick_params(labelsize="small")
    ax.xaxis.set_major_locator(nice_ticks(5))
    ax.yaxis.set_major_locator(nice_ticks(4))
    ax.margins(x=0)


def draw_table(rows: list[list[str]], figsize: FigSize) -> Figure:
    """Figure with rows of name, value and uncertainty: what a single pattern gives."""
    import matplotlib.pyplot as plt

    width, height = split_figsize(figsize)
    width = 4.0 if width is None else width
    size = (width, 0.3 * len(rows) + 0.2 if height is None else height)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_axis_off()
    cells = [[cell.replace("-", "−") for cell in row] for row in rows]
    table = ax.table(cells, bbox=(0, 0, 1, 1), cellLoc="left", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(plt.rcParams["font.size"])
    for cell in table.get_celld().values():
        cell.set_linewidth(plt.rcParams["axes.linewidth"])
    return figure


def draw_pattern(ax: Axes, pattern: Any) -> None:
    """A diffraction pattern, grey and logarithmic; a signal is averaged over its scan."""
    image = _mean_pattern(pattern)
    positive = image[np.isfinite(image) & (image > 0)]
    floor = np.percentile(positive, 5) if positive.size else 1.0
    ax.imshow(np.log(np.maximum(np.nan_to_num(image), floor)), cmap="gray", interpolation="nearest")


def _mean_pattern(pattern: Any) -> NDArray[np.float64]:
    if hasattr(pattern, "axes_manager"):
        if pattern.axes_manager.navigation_dimension:
            pattern = pattern.mean(axis=pattern.axes_manager.navigation_axes)
        pattern = pattern.data
    image = np.asarray(pattern, dtype=float)  # computes dask arrays
    if image.ndim != 2:
        raise ValueError(
            f"pattern: shape {image.shape} is not valid, give a (ky, kx) array or a HyperSpy "
            "signal with two signal axes."
        )
    return image


def hkl_label(indices: ArrayLike) -> str:
    """Reflection label, with bars over negative indices."""
    return "".join(
        rf"$\overline{{{-i}}}$" if i < 0 else f"{i}" for i in (int(v) for v in np.ravel(indices))
    )
