"""The one figure that shows a polycrystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._finish import finish_maps
from pyxem_mlmaps._grain_figures import boundaries_panel, grain_turns, not_indexed
from pyxem_mlmaps._grain_panels import (
    draw_ipf,
    draw_ipf_keys,
    draw_log,
    draw_tilt,
    draw_wheel,
    error_angles,
    map_extent,
)
from pyxem_mlmaps._layout import FigSize, aspect_of, flow_columns, grid_size, page_style
from pyxem_mlmaps._panels import draw_map, robust_limit
from pyxem_mlmaps.mapping.grain_rotations import SIGMAS, scan_arrays
from pyxem_mlmaps.mapping.grains import kernel_average_misorientation

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

__all__ = ["plot_polycrystal"]

_KEYS = object()


@page_style
def plot_polycrystal(
    xmap: CrystalMap,
    truth: CrystalMap | None = None,
    direction: Literal["x", "y", "z"] = "z",
    figsize: FigSize = None,
) -> Figure:
    """Draw a polycrystal in one figure.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions, as
        :func:`pyxem_mlmaps.map_polycrystal` gives it; properties that it lacks are left out.
    truth
        The true orientations of the same scan, if they are known.
    direction
        Of the inverse-pole-figure colours: x, y or z (the beam).
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Orientations with their colour key, boundaries, tilt within grains with its colour wheel,
        kernel average misorientation, σ (the largest of the three), misfit; and with ``truth`` its
        orientations and the angle to them, all angles in degrees. Points not indexed are grey.

    Examples
    --------
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.plotting import plot_polycrystal
    >>> y, x = np.indices((4, 5)).reshape(2, -1)
    >>> turns = Rotation.from_axes_angles([0, 0, 1], 0.1 * x + 20 * (y > 2), degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> xmap = CrystalMap(turns, x=x, y=y, phase_list=cubic)
    >>> figure = plot_polycrystal(xmap, truth=xmap)
    """
    import matplotlib.pyplot as plt

    extent, names = map_extent(xmap)
    scan = scan_arrays(xmap)
    kam = kernel_average_misorientation(xmap)
    turn, limit = grain_turns(xmap, None, 95.0)

    draws: list[Any] = [lambda ax: draw_ipf(ax, xmap, extent, direction)]
    if truth is not None:
        draws.append(lambda ax: draw_ipf(ax, truth, extent, direction, "IPF, truth"))
    draws.append(_KEYS)
    if truth is not None:  # so that two columns pair what belongs together
        draws.append(lambda ax: boundaries_panel(ax, xmap, extent, panel))
    draws += [lambda ax: draw_tilt(ax, turn, extent, limit), lambda ax: draw_wheel(ax, limit)]
    if truth is None:
        draws.append(lambda ax: boundaries_panel(ax, xmap, extent, panel))
    draws.append(lambda ax: draw_log(ax, kam, extent, "KAM (°)"))
    if any(name in xmap.prop for name in SIGMAS):
        worst = np.where(scan.phase >= 0, _largest(scan.sigma(xmap)), np.nan)
        draws.append(lambda ax: draw_log(ax, worst, extent, "Largest σ (°)", "viridis"))
    if "misfit" in xmap.prop:
        misfit = np.where(scan.phase >= 0, scan.image(xmap.prop["misfit"]), np.nan)
        high = max(robust_limit(misfit, 99)[1], 1.0)
        scale = {"cmap": "magma", "vmin": 0, "vmax": high}
        draws.append(lambda ax: draw_map(ax, misfit, extent, "Misfit", **scale))
    if truth is not None:
        error = error_angles(xmap, truth)
        median = np.nanmedian(error) if np.isfinite(error).any() else np.nan
        draws.append(lambda ax: draw_log(ax, error, extent, title, "inferno"))

    columns = flow_columns(len(draws), 4, aspect_of(extent), figsize)
    rows = -(-len(draws) // columns)
    size = grid_size(rows, columns, aspect_of(extent), figsize)
    figure = plt.figure(figsize=size, layout="constrained")
    panel = size[0] / columns - 0.85
    title = "Error (°)" if panel < 1.5 or truth is None else f"Error (°), median {median:.2g}"
    grid = figure.add_gridspec(rows, columns)
    maps = []
    for k, draw in enumerate(draws):
        if draw is _KEYS:
            draw_ipf_keys(figure, grid[k // columns, k % columns], xmap)
            continue
        ax = figure.add_subplot(grid[k // columns, k % columns])
        draw(ax)
        if not ax.get_xlabel():  # the wheel has its own
            maps.append(ax)
    finish_maps(figure, maps, names, figsize, not_indexed(xmap))
    return figure


def _largest(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """(ny, nx) largest of the known σ, NaN where none is known."""
    known = np.isfinite(sigma)
    largest = np.max(np.where(known, sigma, -np.inf), axis=-1)
    return np.where(known.any(axis=-1), largest, np.nan)
