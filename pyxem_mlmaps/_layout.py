"""Layout of figures: sizes and text for a screen or a printed column, grids, ticks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
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
