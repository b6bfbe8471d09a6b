"""Layout of figures: sizes for a screen or a printed column, outer labels, scale bars, notes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Extent = tuple[float, float, float, float]
FigSize = float | tuple[float, float] | None
"""Width and height in inches, the width alone, or None."""
Draw = TypeVar("Draw", bound=Callable[..., Any])

NO_DATA = "0.6"
PAGE = 7.5
"""Inches: a figure that is not wider is for a printed page and has its small text."""
PAGE_HEIGHT = 9.0
PRINTED = {
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "axes.titlepad": 4.0,
    "axes.labelpad": 2.0,
}
NICE = (1, 2, 5, 10)


def split_figsize(figsize: FigSize) -> tuple[float | None, float | None]:
    """Width and height, each None where it is left to the figure.

    Raises
    ------
    ValueError
        If it is neither one positive number nor two.
    """
    if figsize is None:
        return None, None
    try:
        values = np.asarray(figsize, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape not in ((), (2,)) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError(
            f"figsize={figsize!r} is not valid: give width and height in inches, the width alone, "
            "or None."
        )
    return (float(values), None) if values.shape == () else (float(values[0]), float(values[1]))


def page_style(draw: Draw) -> Draw:
    """Draw with a printed page's text (8 pt and less) if ``figsize`` is not wider than a page."""
    signature = inspect.signature(draw)

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        from matplotlib import rc_context, rcParams

        width, _ = split_figsize(signature.bind(*args, **kwargs).arguments.get("figsize"))
        if width is None or width > PAGE:
            return draw(*args, **kwargs)
        with rc_context(PRINTED | {"font.size": min(rcParams["font.size"], 8.0)}):
            return draw(*args, **kwargs)

    return drawn  # type: ignore[return-value]


def aspect_of(extent: Extent) -> float:
    """Height over width."""
    return abs(extent[2] - extent[3]) / abs(extent[1] - extent[0])


def panel_width(aspect: float) -> float:
    """Inches that an image with its colour bar needs at least; more if it is flat."""
    return max(1.1, min(1.65, 0.75 + 2.4 / aspect)) * float(np.clip(0.35 / aspect, 1, 2))


def table_grid(
    rows: int, columns: int, aspect: float, figsize: FigSize
) -> tuple[Figure, NDArray[Any]]:
    """Figure and (rows, columns) axes for images of height/width ``aspect``.

    Where the width is too small for the columns, rows and columns change places on the paper.
    """
    width, _ = split_figsize(figsize)
    turned = rows < columns and width is not None and width < columns * panel_width(aspect)
    if turned and width < rows * panel_width(aspect):  # one below the other, row by row
        figure, axes = flow_grid(rows * columns, 1, aspect, figsize)
        return figure, axes.reshape(columns, rows).T
    if turned:
        figure, axes = flow_grid(columns, rows, aspect, figsize)
        return figure, axes.T
    return flow_grid(rows, columns, aspect, figsize)


def flow_columns(n: int, most: int, aspect: float, figsize: FigSize) -> int:
    """Columns for ``n`` panels, at most ``most``, as many as the width allows."""
    width, _ = split_figsize(figsize)
    columns = min(most, n)
    if width is not None:
        columns = min(columns, max(1, int(width / panel_width(aspect) + 0.05)))
    return columns


def grid_size(rows: int, columns: int, aspect: float, figsize: FigSize) -> tuple[float, float]:
    """Inches; as high as the images can be at this width where no height is given."""
    width, height = split_figsize(figsize)
    if width is None:
        width = columns * (max(min(2.0, 5.5 / aspect), 1.0) + 0.95)
    if height is None:
        height = rows * (max(width / columns * aspect, 0.3) + 0.5) + 0.6
        height = max(1.5, min(height, max(PAGE_HEIGHT, 6.0 * rows)))
        if split_figsize(figsize)[0] is not None:
            height = min(height, PAGE_HEIGHT)
    return width, height


def flow_grid(
    rows: int, columns: int, aspect: float, figsize: FigSize
) -> tuple[Figure, NDArray[Any]]:
    """Figure and (rows, columns) axes for images of height/width ``aspect``."""
    import matplotlib.pyplot as plt

    return plt.subplots(
        rows,
        columns,
        figsize=grid_size(rows, columns, aspect, figsize),
        squeeze=False,
        layout="compressed",
    )


def nice_ticks(n: int) -> Any:
    """Locator of about ``n`` ticks at 1, 2 or 5 times a power of ten."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n, steps=NICE)


def finish_maps(
    figure: Figure,
    axes: Iterable[Axes],
    labels: tuple[str, str],
    figsize: FigSize,
    no_data: bool | None = None,
) -> None:
    """Label the outer axes, draw one scale bar, say what grey is, and fit the figure's height.

    Parameters
    ----------
    axes
        Those with maps of one scan; the first gets the scale bar.
    labels
        Of x and y, "name (unit)".
    figsize
        As it was asked for; a height that was given is kept.
    no_data
        Whether points without data are drawn; None looks for masked pixels.
    """
    maps = [ax for ax in axes if ax.images]
    label_outer(maps, labels)
    if no_data is None:
        no_data = any(np.any(np.ma.getmaskarray(ax.images[0].get_array())) for ax in maps)
    if no_data:
        note_no_data(figure)
    fit_height(figure, figsize)
    for ax in maps[:1]:
        add_scale_bar(ax, labels)


def label_outer(axes: Sequence[Axes], labels: tuple[str, str]) -> None:
    """Axis labels and numbers at the left and at the bottom of a grid only."""
    cells = {}
    for ax in axes:
        spec = ax.get_subplotspec()
        cells[spec.rowspan.start, spec.colspan.start] = ax
    for (row, column), ax in cells.items():
        bottom = not any(r > row and c == column for r, c in cells)
        left = not any(r == row and c < column for r, c in cells)
        ax.set_xlabel(labels[0] if bottom else "")
        ax.set_ylabel(labels[1] if left else "")
        ax.tick_params(labelbottom=bottom, labelleft=left)


def note_no_data(figure: Figure, text: str = "no data") -> None:
    """A grey patch and what it means, below the panels."""
    from matplotlib.patches import Patch

    patch = Patch(facecolor=NO_DATA, edgecolor="black", linewidth=0.4, label=text)
    figure.legend(
        handles=[patch],
        loc="outside lower right",
        fontsize="small",
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
        borderpad=0.0,
    )


def fit_height(figure: Figure, figsize: FigSize) -> None:
    """Take away the height that panels of fixed shape leave free, unless it was asked for."""
    if split_figsize(figsize)[1] is not None:
        return
    width, _ = figure.get_size_inches()
    for _ in range(2):
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        figure.set_size_inches(width, box.height + 0.08)


def scale_bar_length(width: float) -> float:
    """1, 2 or 5 times a power of ten, a fifth to a half of ``width``."""
    ticks = nice_ticks(5).tick_values(0, width)
    return float(ticks[1] - ticks[0])


def add_scale_bar(ax: Axes, labels: tuple[str, str]) -> None:
    """A bar of known length in the lower left corner, if the scan is calibrated and has room."""
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    units = [label.rpartition("(")[2].rstrip(")") if "(" in label else "" for label in labels]
    if units[0] in ("", "px") or units[1] not in (units[0], ""):
        return
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    length = scale_bar_length(abs(right - left))
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        f"{length:g} {units[0]}",
        "lower left",
        pad=0.25,
        borderpad=0.35,
        sep=2,
        size_vertical=0.02 * abs(top - bottom),
        color="black",
        fontproperties=FontProperties(size="small"),
    )
    bar.patch.set(alpha=0.75, linewidth=0, edgecolor="none")
    bar.set_in_layout(False)
    ax.add_artist(bar)
    drawn, room = bar.get_window_extent(ax.figure.canvas.get_renderer()), ax.bbox
    if drawn.width > 0.9 * room.width or drawn.height > 0.5 * room.height:
        bar.remove()
