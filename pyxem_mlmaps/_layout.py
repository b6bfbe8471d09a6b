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
PAD = 0.04
"""Inches round everything."""
LEGEND = 0.85
"""Inches that a colour wheel or key is high at least, or its column wide."""
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
    rows: int, columns: int, aspect: float, figsize: FigSize, empty: int = 0
) -> tuple[Figure, NDArray[Any]]:
    """Figure and (rows, columns) axes for images of height/width ``aspect``.

    The last ``empty`` cells are None. Where the width is too small for the columns, rows and
    columns change places on the paper if that helps, or each row is broken in two, or all panels
    lie one below the other.
    """
    width, _ = split_figsize(figsize)
    fits = columns if width is None else int(width / panel_width(aspect) + 0.05)
    if fits >= columns:
        figure, axes = flow_grid(rows, columns, aspect, figsize)
    elif rows < columns and fits >= rows:
        figure, axes = flow_grid(columns, rows, aspect, figsize)
        axes = axes.T
    elif columns % 2 == 0 and fits >= columns // 2:
        figure, axes = flow_grid(2 * rows, columns // 2, aspect, figsize)
        axes = axes.reshape(rows, columns)
    else:
        figure, flat = flow_grid(rows * columns - empty, 1, aspect, figsize)
        axes = np.append(flat.ravel(), [None] * empty).reshape(columns, rows).T
    for ax in axes.flat[rows * columns - empty :]:
        if ax is not None:
            ax.remove()
    axes.flat[rows * columns - empty :] = None
    return figure, axes


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
        layout="constrained",
    )


def nice_ticks(n: int) -> Any:
    """Locator of about ``n`` ticks at 1, 2 or 5 times a power of ten."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n, steps=NICE)


def log_tick_values(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic scale: decades, or more where they are too few."""
    ends = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        all_ticks = (round(step * 10.0**i, 12 - i) for i in ends for step in steps)
        ticks = [t for t in all_ticks if 0.999 * low <= t <= 1.001 * high]
        if len(ticks) >= (2 if steps == (1,) and high / low >= 100 else 3):
            break
    return ticks or [low, high]


def finish_maps(
    figure: Figure,
    axes: Iterable[Axes],
    labels: tuple[str, str],
    figsize: FigSize,
    no_data: bool | None = None,
    legends: Sequence[Axes] = (),
    avoid: Sequence[tuple[float, float]] = (),
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
    legends
        Further axes that the figure must be high enough for.
    avoid
        (x, y) in the first map that the scale bar must not cover.
    """
    maps = [ax for ax in axes if ax.images]
    label_outer(maps, labels)
    if no_data is None:
        no_data = any(np.any(np.ma.getmaskarray(ax.images[0].get_array())) for ax in maps)
    if no_data:
        note_no_data(figure)
    fit_height(figure, figsize, maps, legends)
    units = [label.rpartition("(")[2].rstrip(")") if "(" in label else "" for label in labels]
    if maps and units[0] not in ("", "px", "°") and units[1] in (units[0], ""):
        add_scale_bar(maps[0], units[0], avoid=avoid)


def label_outer(axes: Sequence[Axes], labels: tuple[str, str]) -> None:
    """Axis labels and numbers at the left and in the lowest row of a grid only.

    A column that ends above an empty cell has the axes of its neighbours.
    """
    cells = {}
    for ax in axes:
        spec = ax.get_subplotspec()
        cells[spec.rowspan.stop, spec.colspan.start] = ax
    lowest = max((row for row, _ in cells), default=0)
    for (row, column), ax in cells.items():
        left = not any(r == row and c < column for r, c in cells)
        ax.set_xlabel(labels[0] if row == lowest else "")
        ax.set_ylabel(labels[1] if left else "")
        ax.tick_params(labelbottom=row == lowest, labelleft=left)


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
        borderaxespad=0.2,
    )


def fit_height(
    figure: Figure, figsize: FigSize, axes: Sequence[Axes], legends: Sequence[Axes] = ()
) -> None:
    """Make the figure as high as images across its width need, unless a height was asked for.

    Titles, numbers and labels around the axes have the same size whatever the figure's; so the
    width of an image follows from that of the figure, and the figure's height from the image's.
    Legends get :data:`LEGEND` inches, or a square.
    """
    if split_figsize(figsize)[1] is not None or not axes:
        return
    engine = figure.get_layout_engine()
    engine.set(hspace=0, wspace=0, h_pad=PAD, w_pad=PAD)
    engine.execute(figure)
    width, highest = figure.get_size_inches()
    grid = axes[0].get_subplotspec().get_topmost_subplotspec().get_gridspec()
    ratios = np.array(grid.get_width_ratios() or [1.0] * grid.ncols, dtype=float)
    around = np.zeros((2, grid.ncols)), np.zeros((2, grid.nrows))  # left, right; top, bottom
    stretch = np.ones(grid.ncols)  # widths with the colour bar, in image widths
    for ax in [*axes, *legends]:
        spec = ax.get_subplotspec().get_topmost_subplotspec()
        wide, fixed = _around(ax)
        columns, rows = around
        stretch[spec.colspan.start] = max(stretch[spec.colspan.start], wide)
        for side, column in enumerate((spec.colspan.start, spec.colspan.stop - 1)):
            columns[side, column] = max(columns[side, column], fixed[side])
        for side, row in enumerate((spec.rowspan.start, spec.rowspan.stop - 1)):
            rows[side, row] = max(rows[side, row], fixed[2 + side])
    free = width - around[0].sum() - 2 * PAD * grid.ncols
    widths = ratios * free / (ratios * stretch).sum()
    slot = 0.0
    for ax in axes:
        spec = ax.get_subplotspec()
        high = _data_aspect(ax) * max([1.0, *(bar.height for bar in _bars(ax))])
        need = high * widths[spec.colspan.start : spec.colspan.stop].sum()
        slot = max(slot, need / (spec.rowspan.stop - spec.rowspan.start))
    for ax in legends:
        spec = ax.get_subplotspec()
        column = spec.get_topmost_subplotspec().colspan.start
        slot = max(slot, spec.get_gridspec().nrows * min(LEGEND, widths[column]))
    height = grid.nrows * (slot + 2 * PAD) + around[1].sum()
    dpi, renderer = figure.dpi, figure.canvas.get_renderer()
    for artist in [*figure.texts, *figure.legends]:  # a heading, a note
        height += artist.get_window_extent(renderer).height / dpi + 2 * PAD
    figure.set_size_inches(width, float(np.clip(height, 0.5, highest)))


def _around(ax: Axes) -> tuple[float, tuple[float, float, float, float]]:
    """Width with the colour bar in image widths; inches at the left, right, top and bottom."""
    ax.apply_aspect()
    box, tight = ax.get_window_extent(), ax.get_tightbbox(for_layout_only=True)
    bounds = _bars(ax)
    wide = max([1.0, *(b.x1 for b in bounds)])
    top = box.y0 + box.height * max([1.0, *(b.y1 for b in bounds)])
    bottom = box.y0 + box.height * min([0.0, *(b.y0 for b in bounds)])
    sides = box.x0 - tight.x0, tight.x1 - box.x0 - wide * box.width, tight.y1 - top
    dpi = ax.figure.dpi
    return wide, tuple(max(0.0, side / dpi) for side in (*sides, bottom - tight.y0))


def _bars(ax: Axes) -> list[Any]:
    """Boxes of an image's colour bars, in units of the image."""
    to_image = ax.transAxes.inverted()
    return [bar.get_window_extent().transformed(to_image) for bar in ax.child_axes]


def _data_aspect(ax: Axes) -> float:
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return abs(top - bottom) / abs(right - left)


def scale_bar_length(width: float) -> float:
    """1, 2 or 5 times a power of ten, a fifth to a half of ``width``."""
    ticks = nice_ticks(5).tick_values(0, width)
    return float(ticks[1] - ticks[0])


def add_scale_bar(
    ax: Axes,
    unit: str,
    scale: float = 1.0,
    avoid: Sequence[tuple[float, float]] = (),
) -> None:
    """A bar of known length in a corner of an image, if there is room.

    Parameters
    ----------
    ax
        Axes in their final size.
    unit
        Of the length.
    scale
        Units per unit of the axes' data: 1 where these are calibrated.
    avoid
        (x, y) in data coordinates that the bar must not cover.
    """
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    ax.figure.get_layout_engine().execute(ax.figure)
    ax.apply_aspect()
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    length = scale_bar_length(abs(right - left) * scale)
    inches = ax.get_window_extent().height / ax.figure.dpi
    points = ax.transData.transform(np.reshape(avoid, (-1, 2)))
    for corner in ("lower left", "lower right", "upper left", "upper right"):
        bar = AnchoredSizeBar(
            ax.transData,
            length / scale,
            f"{length:g} {unit}",
            corner,
            pad=0.25,
            borderpad=0.35,
            sep=2,
            size_vertical=abs(top - bottom) / inches * 2 / 72,
            color="black",
            fontproperties=FontProperties(size="small"),
        )
        bar.patch.set(alpha=0.75, linewidth=0, edgecolor="none")
        bar.set_in_layout(False)
        ax.add_artist(bar)
        drawn, room = bar.get_window_extent(ax.figure.canvas.get_renderer()), ax.bbox
        if drawn.width > 0.9 * room.width or drawn.height > 0.5 * room.height:
            bar.remove()
            return
        if not any(drawn.padded(5).contains(*point) for point in points):
            return
        bar.remove()
