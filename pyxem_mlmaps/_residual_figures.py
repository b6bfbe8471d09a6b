"""Before and after: what a fit leaves of the disks' intensities, and of their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._figure_height import fit_height
from pyxem_mlmaps._finish import label_outer, note_no_data
from pyxem_mlmaps._layout import FigSize, page_style
from pyxem_mlmaps._panels import DIVERGING, robust_limit, symmetric_limit
from pyxem_mlmaps._residual_panels import draw_arrows, draw_disks, panels_of
from pyxem_mlmaps._scan_figures import pattern_rows
from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pyxem_mlmaps.models.orientation import OrientationModel
    from pyxem_mlmaps.signals import MLOrientationMap
    from pyxem_mlmaps.strain_result import MLStrainMap

__all__ = ["plot_disk_residuals", "plot_intensity_residuals"]

Float = NDArray[np.floating]


@page_style
def plot_intensity_residuals(
    measured: Any,
    omap: MLOrientationMap,
    model: OrientationModel,
    point: tuple[int, ...] = (),
    figsize: FigSize = None,
) -> Figure:
    """Draw the disks of one pattern, and what the library leaves of them before and after the fit.

    Parameters
    ----------
    measured
        The signal that was mapped, lazy or not, or disk intensities (scan y, scan x, n_disk) in
        the order of ``omap.lattice``.
    omap
        Its orientation map.
    model
        The model that made the map.
    point
        Index of the scan point, (y, x) for an image, (x,) for a line, () for a single pattern.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Measured intensities in units of the mean disk; measured less simulated at zero tilt and
        the fitted thickness; measured less simulated at the fitted tilt, on the same scale and
        once more on its own. Residuals are in per cent of the mean disk, with their root mean
        square as title. Scale and background of the simulation are fitted in both, as in the map.

    Raises
    ------
    ValueError
        If the point is not on the scan or has no answer, or the model is not the map's.

    Examples
    --------
    >>> from pyxem_mlmaps.plotting import plot_intensity_residuals
    >>> figure = plot_intensity_residuals(s, omap, model, point=(3, 4))  # doctest: +SKIP
    """
    found = _found(omap, point)
    lattice = DiskLattice.from_dict(omap.lattice)
    if len(lattice) != model.card.n_disk:
        raise ValueError(
            f"model: it has {model.card.n_disk} disks, but the map was made with {len(lattice)}. "
            "Give the model that made the map."
        )
    disks = _measured(measured, omap, lattice, point)
    unit = disks / np.nanmean(disks)
    at_zero = 100 * (unit - _simulated(model, unit, np.array([0.0, 0.0, found[2]])))
    tilt = _to_library(model, lattice, found[:2])
    fitted = 100 * (unit - _simulated(model, unit, np.array([*tilt, found[2]])))
    limit = symmetric_limit(np.stack([at_zero, fitted]), 100)
    _, high = robust_limit(np.append(unit, 0.0), 100)

    own = symmetric_limit(fitted, 100)
    figure, axes = panels_of(4, figsize)
    scale = {"cmap": DIVERGING, "vmin": -limit, "vmax": limit}
    draw_disks(axes[0], lattice, unit, "Measured\n(mean disks)", cmap="viridis", vmin=0, vmax=high)
    draw_disks(axes[1], lattice, at_zero, f"Zero tilt (%)\nRMS {_rms(at_zero):.3g} %", **scale)
    title = f"Tilt {found[0]:.3f}°, {found[1]:.3f}° (%)\nRMS {_rms(fitted):.3g} %"
    draw_disks(axes[2], lattice, fitted, title, **scale)
    scale |= {"vmin": -own, "vmax": own}
    draw_disks(axes[3], lattice, fitted, "The same (%)\non its own scale", **scale)
    label_outer(axes, ("kx (px)", "ky (px)"))
    if np.isnan(unit).any():
        note_no_data(figure)
    fit_height(figure, figsize, axes)
    return figure


@page_style
def plot_disk_residuals(
    vectors: Any,
    strain: MLStrainMap,
    point: tuple[int, ...] | None = None,
    figsize: FigSize = None,
) -> Figure:
    """Draw how far disks lie from the unstrained lattice, and from the one fitted to them.

    Parameters
    ----------
    vectors
        pyxem ``DiffractionVectors`` that the strain was mapped from, with the columns h and k.
    strain
        Its strain map: the unstrained lattice is ``strain.reference``, and disks whose misfit was
        too large for it are left out here too.
    point
        Index of the scan point, (y, x) for an image, (x,) for a line, () for a single pattern.
        None draws the mean over the scan, which shows what all patterns share: distortion of the
        projector lenses, or a wrong disk.
    figsize
        Width and height in inches, or the width alone.

    Returns
    -------
    figure
        Arrows from where each disk should be, with a key in pixels; before the fit only the
        position of the pattern is free, after it the lattice too. Root mean square lengths are
        titles.

    Raises
    ------
    ValueError
        If the point is not on the scan or has no fit.

    Examples
    --------
    >>> from pyxem_mlmaps.plotting import plot_disk_residuals
    >>> figure = plot_disk_residuals(vectors, strain, point=(3, 4))  # doctest: +SKIP
    """
    from pyxem_mlmaps.mapping.strain_vectors import VectorTable

    record = strain.metadata.get_item("MLStrainMap", default={})
    record = record if isinstance(record, dict) else record.as_dictionary()
    floor = record.get("sigma_floor", 0.0)
    table = VectorTable.from_vectors(vectors, None, None, record.get("max_misfit"), floor)
    scale = np.asarray(table.scale)
    reference = np.array([strain.reference["g1"], strain.reference["g2"]]) / scale
    places, before, after, n = _position_residuals(vectors, table, reference, point)
    if n == 0:
        raise ValueError(f"point={point!r}: no lattice could be fitted there.")
    mean = "" if n == 1 else f"mean of {n}, "
    figure, axes = panels_of(2, figsize)
    for ax, arrows, name in ((axes[0], before, "Unstrained"), (axes[1], after, "Fitted")):
        rms = np.sqrt(np.mean(np.sum(arrows**2, axis=1)))
        draw_arrows(ax, places, arrows, f"{name} lattice\n{mean}RMS {rms:.2g} px")
    label_outer(axes, ("kx (px)", "ky (px)"))
    fit_height(figure, figsize, axes)
    return figure


def _rms(values: Float) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def _at(shape: tuple[int, ...], point: tuple[int, ...]) -> tuple[int, ...]:
    """The index, if it is on the scan."""
    index = tuple(int(i) for i in np.atleast_1d(np.asarray(point, dtype=int)).ravel())
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=False)):
        raise ValueError(f"point={point!r} is not on the scan of shape {shape}; give an index.")
    return index


def _found(omap: MLOrientationMap, point: tuple[int, ...]) -> Float:
    """(3,) tilt x, tilt y and thickness at a point of the map."""
    index = _at(omap.data.shape[:-1], point)
    found = np.asarray(omap.data[index][:3], dtype=float)  # computes dask arrays
    if not np.all(np.isfinite(found)):
        raise ValueError(f"point={point!r}: the map has no answer there (NaN).")
    return found


def _measured(measured: Any, omap: Any, lattice: DiskLattice, point: tuple[int, ...]) -> Float:
    """(n_disk,) intensities of one pattern, read as the map's were."""
    from pyxem_mlmaps.mapping.orientation import extract_intensities

    if hasattr(measured, "axes_manager"):
        index = _at(measured.data.shape[:-2], point)
        pattern = measured.inav[index[::-1]] if index else measured
        options = omap.options
        descan = "direct_beam" if options.get("descan") == "direct_beam" else None
        background = options.get("background", "none")
        return np.asarray(
            extract_intensities(pattern, lattice, background, descan, show_progressbar=False),
            dtype=float,
        )
    values = np.asarray(measured, dtype=float)
    if values.ndim == 0 or values.shape[-1] != len(lattice):
        raise ValueError(
            f"measured has shape {values.shape}; a signal or (scan y, scan x, {len(lattice)}) disk "
            "intensities are needed."
        )
    return values[_at(values.shape[:-1], point)]


def _to_library(model: OrientationModel, lattice: DiskLattice, tilt: Float) -> Float:
    """Tilt (x, y) in the library's axes of one in the detector's."""
    from pyxem_mlmaps.mapping.checks import in_plane_transform

    if model.card.vectors is None:
        return tilt
    return tilt @ in_plane_transform(model, lattice)[0]


def _simulated(model: OrientationModel, unit: Float, parameters: Float) -> Float:
    """(n_disk,) simulated intensities with the scale and background that fit ``unit`` best."""
    from pyxem_mlmaps.models.orientation import fit_model
    from pyxem_mlmaps.models.refine import noise_variance

    library = np.asarray(model.spline(parameters[None])[0], dtype=float)
    templates, precision, noise = fit_model(model.noise, model.positions)
    design = np.column_stack([library, *templates])
    use = np.isfinite(unit)
    weight = 1 / np.sqrt(noise_variance(library, *noise))
    prior = np.column_stack([np.zeros(len(precision)), np.diag(np.sqrt(precision))])
    matrix = np.concatenate([(design * weight[:, None])[use], prior])
    right = np.concatenate([(unit * weight)[use], np.zeros(len(precision))])
    return design @ np.linalg.lstsq(matrix, right, rcond=None)[0]


def _position_residuals(
    vectors: Any, table: Any, reference: Float, point: tuple[int, ...] | None
) -> tuple[Float, Float, Float, int]:
    """Places, residuals before and after, all (n_disk, 2) px, and the number of patterns."""
    from pyxem_mlmaps.mapping.strain_vectors import fit_block

    data = vectors.data.compute() if hasattr(vectors.data, "dask") else vectors.data
    if point is not None or table.scan_shape == ():
        index = _at(table.scan_shape, () if point is None else point)
        patterns = [pattern_rows(data[index] if table.scan_shape else data)]
    else:
        flat = data.ravel() if data.dtype == object else data.reshape(-1, *data.shape[-2:])
        patterns = [pattern_rows(rows) for rows in flat if len(rows)]
    sums: dict[tuple[int, int], Float] = {}
    origins, used = [], 0
    for rows in patterns:
        if len(rows) < 3:
            continue
        fit = fit_block(rows[None], table)[0]
        if not np.all(np.isfinite(fit[:6])):
            continue
        disks = table.disks(rows)
        disks = disks[np.isfinite(disks).all(axis=1)]
        hk = disks[:, 4:]
        before = disks[:, :2] - hk @ reference
        weights = disks[:, 2:4] ** -2.0
        origin = (before * weights).sum(axis=0) / weights.sum(axis=0)
        after = disks[:, :2] - fit[:2] - hk @ fit[2:6].reshape(2, 2)
        for key, one, two in zip(hk.astype(int), before - origin, after, strict=True):
            entry = sums.setdefault(tuple(key), np.zeros(5))
            entry += [*one, *two, 1]
        origins.append(origin)
        used += 1
    if not used:
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), 0
    hk, totals = np.array(list(sums)), np.array(list(sums.values()))
    means = totals[:, :4] / totals[:, 4:]
    return np.mean(origins, axis=0) + hk @ reference, means[:, :2], means[:, 2:], used
