"""Panels of the figures of a polycrystal: orientations, boundaries, tilt within grains."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._layout import NO_DATA, Extent, aspect_of, log_tick_values
from pyxem_mlmaps._panels import (
    add_colour_bar,
    direction_colours,
    draw_colour_wheel,
    draw_map,
    robust_limit,
    scan_extent,
    set_ticks,
)
from pyxem_mlmaps.mapping.grain_rotations import ScanArrays, misorientation_angle, scan_arrays
from pyxem_mlmaps.mapping.grains import neighbour_misorientation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap

BOUNDARY_LIMITS = (0.05, 60.0)
BOUNDARY_COLOURS = "plasma"
_NO_DATA = 3 * (float(NO_DATA),)


def map_extent(xmap: CrystalMap) -> tuple[Extent, tuple[str, str]]:
    """(left, right, bottom, top) of the pixels' outer edges in the scan unit, and axis labels."""
    scan = scan_arrays(xmap)
    axes = []
    for name, values, n in zip("xy", (xmap.x, xmap.y), scan.shape[::-1], strict=True):
        flat = np.zeros(1) if values is None else np.asarray(values, dtype=float)
        steps = [s for s in (xmap.dx, xmap.dy) if s]
        step = (np.ptp(flat) / (n - 1)) if n > 1 else (steps[0] if steps else 1.0)
        place = flat.min() + step * np.arange(n)
        axes.append(SimpleNamespace(axis=place, scale=step, name=name, units=xmap.scan_unit))
    return scan_extent(axes)


def ipf_colours(xmap: CrystalMap, direction: str) -> NDArray[np.float64]:
    """(ny, nx, 3) inverse-pole-figure colours, grey where not indexed."""
    from orix.plot import IPFColorKeyTSL
    from orix.quaternion import Orientation
    from orix.vector import Vector3d

    along = {"x": Vector3d.xvector, "y": Vector3d.yvector, "z": Vector3d.zvector}
    if direction not in along:
        raise ValueError(f"direction={direction!r} is not valid: give 'x', 'y' or 'z'.")
    scan = scan_arrays(xmap)
    rgb = np.full((*scan.shape, 3), _NO_DATA)
    for i in scan.groups:
        at = scan.phase == i
        group = xmap.phases[i].point_group
        key = IPFColorKeyTSL(group.laue, direction=along[direction]())
        rgb[at] = key.orientation2color(Orientation(scan.quaternions[at], symmetry=group))
    return rgb


def draw_ipf(ax: Axes, xmap: CrystalMap, extent: Extent, direction: str, title: str = "") -> None:
    """Inverse-pole-figure colours of a map."""
    along = {"x": "x", "y": "y", "z": "beam"}
    image = ipf_colours(xmap, direction)
    ax.imshow(image, extent=extent, interpolation="nearest")
    set_ticks(ax, extent)
    ax.set_title(title or f"IPF, {along[direction]}", fontsize="medium")


def draw_ipf_keys(figure: Figure, cell: Any, xmap: CrystalMap) -> None:
    """Colour keys of all phases one below the other; ``cell`` is a part of a grid."""
    import matplotlib
    import orix.plot  # noqa: F401  (registers the projection)

    groups: dict[str, tuple[Any, list[str]]] = {}
    for i in scan_arrays(xmap).groups:
        laue = xmap.phases[i].point_group.laue
        groups.setdefault(laue.name, (laue, []))[1].append(xmap.phases[i].name or f"phase {i}")
    font = matplotlib.rcParams["font.size"]
    rows = cell.subgridspec(max(len(groups), 1), 1)
    for row, (laue, names) in enumerate(groups.values()):
        ax = figure.add_subplot(rows[row], projection="ipf", symmetry=laue)
        ax.plot_ipf_color_key(show_title=False)
        ax.set_title("\n".join(names), fontsize="small", loc="center", pad=1.6 * font)
        for text in ax.texts:
            text.set_fontsize("small")


def draw_boundaries(
    ax: Axes,
    xmap: CrystalMap,
    extent: Extent,
    background: str | None,
    min_angle: float,
    labels: NDArray[np.integer] | None,
    width: float,
) -> None:
    """Boundary segments coloured by angle, over a property in grey; ``width`` in inches."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm

    scan = scan_arrays(xmap)
    draw_background(ax, xmap, scan, extent, background)
    segments, angles = boundary_segments(xmap, extent, min_angle, labels)
    lines = LineCollection(
        segments,
        array=angles,
        cmap=BOUNDARY_COLOURS,
        norm=LogNorm(*BOUNDARY_LIMITS, clip=True),
        linewidths=np.clip(0.5 * width, 0.5, 1.6),
        capstyle="projecting",
    )
    ax.add_collection(lines, autolim=False)
    set_ticks(ax, extent)
    bar = add_colour_bar(ax, lines, aspect_of(extent))
    log_ticks(bar, *BOUNDARY_LIMITS)
    ax.set_title("Boundaries (°)", fontsize="medium")


def log_ticks(bar: Any, low: float, high: float) -> None:
    """Plain numbers on a logarithmic colour bar, no minor ones."""
    ticks = log_tick_values(low, high)
    bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize="small")


def draw_background(
    ax: Axes, xmap: CrystalMap, scan: ScanArrays, extent: Extent, name: str | None
) -> None:
    """A property in light grey tones, all lighter than that of points that are not indexed."""
    tone = np.full(scan.shape, 0.85)
    if name is not None:
        values = scan.image(xmap.prop[name])
        low, high = robust_limit(values[scan.phase >= 0], 98)
        tone = 0.97 - 0.2 * np.clip((values - low) / (high - low), 0, 1)
    tone = np.where((scan.phase >= 0) & np.isfinite(tone), tone, _NO_DATA[0])
    ax.imshow(tone, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def boundary_segments(
    xmap: CrystalMap, extent: Extent, min_angle: float, labels: NDArray[np.integer] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2, 2) lines (x, y) between points, and (n,) angles; 180° between phases.

    With labels, lines are those between different labels, and all of a pair's have the median
    angle of that border, which noise does not colour.
    """
    right, below = neighbour_misorientation(xmap)
    ny, nx = right.shape[0], below.shape[1]
    left, end, bottom, top = extent
    x, y = np.linspace(left, end, nx + 1), np.linspace(top, bottom, ny + 1)
    segments, angles, pairs = [], [], []
    for down, angle in ((False, right), (True, below)):
        two = labels if labels is not None else np.zeros((ny, nx), dtype=int)
        a, b = (two[:-1], two[1:]) if down else (two[:, :-1], two[:, 1:])
        is_line = (a != b) & (a >= 0) & (b >= 0) if labels is not None else angle >= min_angle
        i, j = np.nonzero(is_line & ~np.isnan(angle))
        start = (x[j], y[i + 1]) if down else (x[j + 1], y[i])
        stop = (x[j + 1], y[i + 1]) if down else (x[j + 1], y[i + 1])
        segments.append(np.stack([np.stack(start, -1), np.stack(stop, -1)], axis=1))
        angles.append(np.where(np.isinf(angle[i, j]), 180.0, angle[i, j]))
        pairs.append(np.sort(np.stack([a[i, j], b[i, j]], axis=-1), axis=-1))
    line, value, pair = (np.concatenate(part) for part in (segments, angles, pairs))
    if labels is not None and len(pair):
        _, which = np.unique(pair, axis=0, return_inverse=True)
        which = which.ravel()
        order = np.lexsort((value, which))
        count = np.bincount(which)
        value = value[order][np.cumsum(count) - count + (count - 1) // 2][which]
        line, value = line[value >= min_angle], value[value >= min_angle]
    order = np.argsort(value, kind="stable")  # large angles are drawn on top
    return line[order], value[order]


def draw_tilt(ax: Axes, turn: NDArray[np.float64], extent: Extent, limit: float) -> None:
    """Direction-coloured tilt within grains, from (ny, nx, 3) degrees."""
    ax.imshow(
        direction_colours(turn[..., 0], turn[..., 1], limit),
        extent=extent,
        interpolation="nearest",
    )
    set_ticks(ax, extent)
    ax.set_title("Tilt within grains", fontsize="medium")


def draw_wheel(ax: Axes, limit: float) -> None:
    """Colour wheel of :func:`draw_tilt`, in degrees."""
    draw_colour_wheel(ax, (0.0, 0.0), limit)


def draw_log(
    ax: Axes,
    values: NDArray[np.float64],
    extent: Extent,
    title: str,
    cmap: str = "viridis",
    percentile: float = 99.0,
) -> None:
    """A positive image on a logarithmic scale with plain numbers; NaN and zero are grey."""
    from matplotlib.colors import LogNorm

    positive = np.where(values > 0, values, np.nan)
    low, high = robust_limit(positive, percentile) if np.any(values > 0) else (0.1, 1.0)
    if not np.nanmin(positive, initial=high) < high or low <= 0:  # all values are alike
        low, high = (low + high) / 3, 3 * (low + high) / 4
    low = max(low, 1e-4 * high)
    draw_map(ax, positive, extent, title, cmap=cmap, norm=LogNorm(low, high, clip=True))
    log_ticks(ax.images[0].colorbar, low, high)


def error_angles(xmap: CrystalMap, truth: CrystalMap) -> NDArray[np.float64]:
    """(ny, nx) misorientation in degrees; NaN where not indexed or another phase."""
    one, two = scan_arrays(xmap), scan_arrays(truth)
    if one.shape != two.shape:
        raise ValueError(f"truth: its scan is {two.shape}, that of the map {one.shape}.")
    error = np.full(one.shape, np.nan)
    for i, group in one.groups.items():
        at = (one.phase == i) & (two.phase == i)
        error[at] = misorientation_angle(one.quaternions[at], two.quaternions[at], group)
    return error
