"""The disks of a scan as HyperSpy markers, which follow the navigator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._drawn_disks import DOUBTFUL, TRUSTED, DrawnDisks
from pyxem_mlmaps.mapping.mean_pattern import calibration_of
from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from hyperspy.drawing.markers import Markers
    from pyxem.signals import Diffraction2D, DiffractionVectors

__all__ = ["disk_markers", "plot_disks"]

Float = NDArray[np.float64]

LATTICE, MOVED, SIGMA = "#BBBBBB", "#F0E442", "#CC79A7"


def plot_disks(
    signal: Diffraction2D,
    disks: DiffractionVectors | DiskLattice,
    max_misfit: float = 1.0,
    displacement: float = 10.0,
    sigma: float = 0.0,
    radius: float | None = None,
    legend: bool = True,
    **kwargs: Any,
) -> list[Markers]:
    """Plot a scan with its navigator, and on each pattern the disks that were found there.

    Parameters
    ----------
    signal
        The patterns, lazy or not, also cropped or calibrated anew since the disks were found.
    disks
        Vectors of the same scan from ``s.ml_disk_positions()``, lazy or not, also from a file, or
        other pyxem ``DiffractionVectors``; or a :class:`pyxem_mlmaps.DiskLattice`, which is
        drawn on every pattern alike.
    max_misfit
        Disks with a larger ``misfit`` are drawn in orange, the others in blue.
    displacement
        Lines show how far trusted disks are from the lattice, so many times too long: the strain.
        0 draws none. The lattice is that which the disks were looked for with, moved as the
        pattern has moved; its disks are the grey circles.
    sigma
        Draw so many standard uncertainties of each position as an ellipse about its centre. 0
        draws none. σ are small against a pixel: 10 to 100 make them visible.
    radius
        Of the disks, px. None takes that of the lattice, or else of the signal's calibration.
    legend
        Whether to say beside the pattern what the colours mean.
    **kwargs
        For ``signal.plot``. Faint disks are brightened by ``norm="power", gamma=0.25`` unless
        another norm is given.

    Returns
    -------
    markers
        HyperSpy markers that are on the plot. ``signal.add_marker(markers, permanent=True)`` keeps
        them with the signal.

    Raises
    ------
    TypeError
        If ``disks`` are neither vectors nor a lattice.
    ValueError
        If they are of another scan or detector, or their radius is not known.

    Notes
    -----
    Lazy vectors are computed chunk by chunk as the navigator comes there, once for each marker
    that follows it: ``vectors.compute()`` first if that is slow.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> s = mlmaps.data.finfet((8, 12))  # doctest: +SKIP
    >>> vectors = s.ml_disk_positions(lazy_output=False)  # doctest: +SKIP
    >>> markers = mlmaps.plotting.plot_disks(s, vectors)  # doctest: +SKIP
    """
    markers = disk_markers(signal, disks, max_misfit, displacement, sigma, radius)
    signal.plot(**({} if "norm" in kwargs else {"norm": "power", "gamma": 0.25}) | kwargs)
    signal.add_marker(markers)
    if legend:
        _draw_legend(signal._plot.signal_plot, markers)
    return markers


def disk_markers(
    signal: Diffraction2D,
    disks: DiffractionVectors | DiskLattice,
    max_misfit: float = 1.0,
    displacement: float = 10.0,
    sigma: float = 0.0,
    radius: float | None = None,
) -> list[Markers]:
    """Markers for ``signal.add_marker``; arguments and errors as for :func:`plot_disks`."""
    from hyperspy.drawing._markers.ellipses import Ellipses
    from hyperspy.drawing._markers.lines import Lines

    axes = signal.axes_manager.signal_axes[::-1]
    pixel = np.array([axis.scale for axis in axes], dtype=float)
    if isinstance(disks, DiskLattice):
        zero = np.array([axis.offset for axis in axes], dtype=float)
        size = disks.radius if radius is None else radius
        offsets = (zero + pixel * disks.positions)[:, ::-1]
        return [_circles(offsets, size * pixel, "disks", edgecolors=TRUSTED)]
    read = DrawnDisks.of(signal, disks, max_misfit, displacement, sigma)
    size = _radius(signal, read.lattice, radius) * (pixel if disks.scales is None else read.scale)
    patterns = _per_pattern(disks, signal)

    def each(draw: Callable[[Float], Any]) -> Any:
        return _mapped(draw, patterns)

    found = each(read.found)
    markers = [_circles(found, size, "disks", edgecolors=each(read.colours))]
    if read.lattice is not None:
        offsets = each(read.expected)
        markers.insert(0, _circles(offsets, size, "lattice", edgecolors=LATTICE, linestyles=":"))
    if read.lattice is not None and displacement:
        name = f"displacement × {displacement:g}"
        markers.append(Lines(each(read.lines), colors=MOVED, linewidths=1.5, name=name))
    if read.table.sigma is not None and sigma:
        height, width = each(read.sigma_y), each(read.sigma_x)
        style = {"facecolors": "none", "edgecolors": SIGMA, "linewidths": 0.8}
        markers.append(Ellipses(found, height, width, name=f"{sigma:g} σ", **style))
    return markers


def _radius(signal: Any, lattice: DiskLattice | None, radius: float | None) -> float:
    if radius is None:
        radius = calibration_of(signal).radius if lattice is None else lattice.radius
    if radius is None or not (np.isfinite(radius) and radius > 0):
        raise ValueError(
            f"radius={radius!r} is not valid: give the radius of the disks in pixels; neither the "
            "disks nor the calibration of the signal tell it."
        )
    return float(radius)


def _per_pattern(vectors: Any, signal: Any) -> Any:
    """The vectors of each pattern: one array, or arrays over the navigator (x, y)."""
    data = vectors.data
    wanted = signal.axes_manager.navigation_shape
    if data.dtype != object and data.ndim > 2:
        tables, data = data, np.empty(data.shape[:-2], dtype=object)
        for point in np.ndindex(data.shape):
            data[point] = np.asarray(tables[point])
    scan = data.T.shape if data.dtype == object else ()
    if scan == (1,) and wanted == ():
        scan, data = (), data[0]
    if scan != wanted:
        raise ValueError(
            f"disks are of a scan of {scan} points (x, y); the signal has {wanted}. Slice both "
            "alike, as with vectors.inav[...] and s.inav[...]."
        )
    if scan == ():
        return np.asarray(data.compute() if hasattr(data, "dask") else data, dtype=float)
    return data.T


def _mapped(draw: Callable[[Float], Any], patterns: Any) -> Any:
    if hasattr(patterns, "dask"):
        meta = np.empty((0,) * patterns.ndim, dtype=object)
        return patterns.map_blocks(_drawn_block, draw=draw, dtype=object, meta=meta)
    return _drawn_block(patterns, draw) if patterns.dtype == object else draw(patterns)


def _drawn_block(block: NDArray[Any], draw: Callable[[Float], Any]) -> NDArray[Any]:
    drawn = np.empty(block.shape, dtype=object)
    for point in np.ndindex(block.shape):
        drawn[point] = draw(np.asarray(block[point], dtype=float))
    return drawn


def _circles(offsets: Any, radius: Float, name: str, **style: Any) -> Markers:
    """Ellipses, since the two axes of the detector may have different scales."""
    from hyperspy.drawing._markers.ellipses import Ellipses

    height, width = 2 * np.abs(radius)
    style = {"facecolors": "none", "linewidths": 1.2} | style
    return Ellipses(offsets, (height,), (width,), name=name, **style)


def _draw_legend(plot: Any, markers: list[Markers]) -> None:
    from matplotlib.lines import Line2D

    lines = {"disks": [("disk", TRUSTED, "-")], "lattice": [("without strain", LATTICE, ":")]}
    if len(markers) > 1:
        lines["disks"] = [("found", TRUSTED, "-"), ("not to be trusted", DOUBTFUL, "-")]
    for marker in markers:
        lines.setdefault(marker.name, [(marker.name, SIGMA if "σ" in marker.name else MOVED, "-")])
    entries = [entry for marker in markers for entry in lines[marker.name]]
    handles = [Line2D([], [], color=c, linestyle=s, label=text) for text, c, s in entries]
    legend = plot.ax.legend(
        handles=handles, loc="upper right", fontsize="xx-small", handlelength=1.5,
        facecolor="0.3", framealpha=0.7, labelcolor="w",
    )  # fmt: skip
    legend.set_animated(plot.ax.figure.canvas.supports_blit)  # as all that HyperSpy draws
    plot.ax.hspy_fig.render_figure()
