"""The figure of a strain map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._layout import FigSize, aspect_of, grid_size, page_style, table_grid
from pyxem_mlmaps._panels import (
    DIVERGING,
    draw_band,
    draw_map,
    draw_table,
    robust_limit,
    scan_extent,
    symmetric_limit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.strain_result import MLStrainMap

__all__ = ["plot_strain_map"]

Panels = dict[str, tuple[str, str, NDArray[np.floating]]]

_SYMBOLS = {
    "e11": r"\varepsilon_{xx}",
    "e22": r"\varepsilon_{yy}",
    "e12": r"\varepsilon_{xy}",
    "rotation": r"\theta",
}


@page_style
def plot_strain_map(
    strain: MLStrainMap,
    sigma: bool = False,
    percentile: float = 99.0,
    figsize: FigSize = None,
) -> Figure:
    """Draw strain in per cent and rotation in degrees.

    Parameters
    ----------
    strain
        From :func:`pyxem_mlmaps.strain_map`, over a two-dimensional scan (images), a line (curves
        with ±σ bands) or a point (a table). A lazy one is computed. NaN is grey in images.
    sigma
        Whether to add a row of the standard uncertainties.
    percentile
        Colour scales end at this percentile of the magnitudes, so that a few bad pixels do not set
        the scale. The three strains share one scale, centred on zero; rotation has its own.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Panels ε_xx, ε_yy, ε_xy (%) and θ (°, from x towards y); a heading names the x axis if it
        is not kx.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.plotting import plot_strain_map
    >>> from pyxem_mlmaps.strain_result import MLStrainMap
    >>> figure = plot_strain_map(MLStrainMap(np.random.randn(4, 20, 30) / 100))
    """
    values = _panels(strain, "")
    errors = _panels(strain, "sigma_") if sigma or strain.scan_dimension < 2 else None
    draw = (_draw_table, _draw_lines, _draw_maps)[strain.scan_dimension]
    return draw(strain, values, errors, percentile, figsize)


def _name_axis(figure: Figure, strain: MLStrainMap) -> None:
    """A heading that says where x is, unless it is kx."""
    x, y = strain.current_basis_x
    angle = np.degrees(np.arctan2(y, x))
    if abs(angle) > 1e-6:
        figure.suptitle(f"x axis at {angle:.4g}° from kx towards ky", fontsize="medium")


def _panels(strain: MLStrainMap, prefix: str) -> Panels:
    """Unit, title and image of every channel."""
    panels = {}
    for name, symbol in _SYMBOLS.items():
        percent = name != "rotation"
        image = strain.channel(prefix + name).data
        unit = "%" if percent else "°"
        title = rf"$\sigma({symbol})$" if prefix else f"${symbol}$"
        panels[name] = (unit, title, np.asarray(image, dtype=float) * (100 if percent else 1))
    return panels


def _draw_maps(
    strain: MLStrainMap,
    values: Panels,
    errors: Panels | None,
    percentile: float,
    figsize: FigSize,
) -> Figure:
    extent, labels = scan_extent(strain.axes_manager.signal_axes)
    rows, columns = (2, 2) if errors is None else (2, 4)
    figure, grid = table_grid(rows, columns, aspect_of(extent), figsize)
    strains = np.stack([values[name][2] for name in ("e11", "e22", "e12")])
    shared = symmetric_limit(strains, percentile)
    for ax, (name, (unit, title, image)) in zip(grid.flat, values.items(), strict=False):
        limit = symmetric_limit(image, percentile) if name == "rotation" else shared
        scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
        draw_map(ax, image, extent, f"{title} ({unit})", **scale)
    if errors is not None:
        spread = np.stack([errors[name][2] for name in ("e11", "e22", "e12")])
        _, shared = robust_limit(spread, percentile)
        for ax, (name, (unit, title, image)) in zip(grid[1], errors.items(), strict=True):
            _, high = robust_limit(image, percentile) if name == "rotation" else (0, shared)
            draw_map(ax, image, extent, f"{title} ({unit})", cmap="cividis", vmin=0, vmax=high)
    _name_axis(figure, strain)
    finish_maps(figure, grid.flat, labels, figsize)
    return figure


def _draw_lines(
    strain: MLStrainMap, values: Panels, errors: Panels, percentile: float, figsize: FigSize
) -> Figure:
    import matplotlib.pyplot as plt

    axis = strain.axes_manager.signal_axes[0]
    _, labels = scan_extent([axis])
    size = grid_size(2, 2, 0.55, 8.0 if figsize is None else figsize)
    figure, grid = plt.subplots(2, 2, figsize=size, sharex=True, layout="constrained")
    for ax, (name, (unit, title, line)) in zip(grid.flat, values.items(), strict=True):
        draw_band(ax, axis.axis, line, errors[name][2], f"{title} ({unit})")
    for ax in grid[1]:
        ax.set_xlabel(labels[0])
    _name_axis(figure, strain)
    return figure


def _draw_table(
    strain: MLStrainMap, values: Panels, errors: Panels, percentile: float, figsize: FigSize
) -> Figure:
    rows = [
        [title, f"{float(value[0]):.4g} {unit}", f"± {float(errors[name][2][0]):.2g} {unit}"]
        for name, (unit, title, value) in values.items()
    ]
    figure = draw_table(rows, figsize)
    _name_axis(figure, strain)
    return figure
