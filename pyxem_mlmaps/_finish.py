"""What maps of one scan share: outer labels, a scale bar, a note on missing data, the height."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pyxem_mlmaps._figure_height import fit_height
from pyxem_mlmaps._layout import NO_DATA, FigSize, nice_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["add_scale_bar", "finish_maps", "label_outer", "note_no_data", "scale_bar_length"]


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
