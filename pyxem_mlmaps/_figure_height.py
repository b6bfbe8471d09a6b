"""How high a figure must be for images of fixed shape to fill its width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps._layout import FigSize, split_figsize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["fit_height"]

PAD = 0.04
"""Inches round everything."""
LEGEND = 0.85
"""Inches that a colour wheel or key is high at least, or its column wide."""


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
