"""The figure of a strain map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._panels import (
    DIVERGING,
    draw_map,
    new_grid,
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


def plot_strain_map(
    strain: MLStrainMap,
    sigma: bool = False,
    percentile: float = 99.0,
    figsize: tuple[float, float] | None = None,
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
        Width and height in inches.

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
    figure = draw(strain, values, errors, percentile, figsize)
    x, y = strain.current_basis_x
    angle = np.degrees(np.arctan2(y, x))
    if abs(angle) > 1e-6:
        figure.suptitle(f"x axis at {angle:.4g}° from kx towards ky", fontsize="medium")
    return figure


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
    strain: MLStrainMap, values: Panels, errors: Panels | None, percentile: float, figsize: Any
) -> Figure:
    extent, labels = scan_extent(strain.axes_manager.signal_axes)
    aspect = abs(extent[2] - extent[3]) / abs(extent[1] - extent[0])
    figure, grid = new_grid(2, 2 if errors is None else 4, aspect, figsize)
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
    for ax in grid[-1]:
        ax.set_xlabel(labels[0])
    for ax in grid[:, 0]:
        ax.set_ylabel(labels[1])
    return figure


def _draw_lines(
    strain: MLStrainMap, values: Panels, errors: Panels, percentile: float, figsize: Any
) -> Figure:
    import matplotlib.pyplot as plt

    axis = strain.axes_manager.signal_axes[0]
    _, labels = scan_extent([axis])
    figure, grid = plt.subplots(2, 2, figsize=figsize or (8, 5), sharex=True, layout="constrained")
    for ax, (name, (unit, title, line)) in zip(grid.flat, values.items(), strict=True):
        ax.set_title(f"{title} ({unit})", fontsize="medium")
        ax.plot(axis.axis, line, color="#0072B2", linewidth=1)
        spread = errors[name][2]
        ax.fill_between(
            axis.axis, line - spread, line + spread, color="#0072B2", alpha=0.25, linewidth=0
        )
        ax.margins(x=0)
    for ax in grid[1]:
        ax.set_xlabel(labels[0])
    return figure


def _draw_table(
    strain: MLStrainMap, values: Panels, errors: Panels, percentile: float, figsize: Any
) -> Figure:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=figsize or (4, 1.8), layout="constrained")
    ax.set_axis_off()
    rows = [
        [title, f"{float(value[0]):.4g} {unit}", f"± {float(errors[name][2][0]):.2g} {unit}"]
        for name, (unit, title, value) in values.items()
    ]
    table = ax.table(rows, loc="center", cellLoc="left", edges="horizontal")
    table.scale(1, 1.5)
    return figure
