"""Strain maps of both packages: infinitesimal or finite, rows first or columns first."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.conventions import py4dstem_axes, strain_from_py4dstem, strain_to_py4dstem
from pyxem_mlmaps.interop._py4dstem import require_py4dstem
from pyxem_mlmaps.interop.calibration import scan_units, step_of

if TYPE_CHECKING:
    from py4DSTEM import BraggVectors, RealSlice

    from pyxem_mlmaps.strain_result import MLStrainMap

__all__ = ["from_strainmap", "to_strainmap"]

COMPONENTS = ("e_xx", "e_yy", "e_xy", "theta")
"""Slices of py4DSTEM's strain maps; x runs down, y to the right."""


def to_strainmap(strain: MLStrainMap, braggvectors: BraggVectors | None = None) -> RealSlice:
    """Turn a strain map into py4DSTEM's.

    Parameters
    ----------
    strain
        From :func:`pyxem_mlmaps.strain_map`, in any axes.
    braggvectors
        The disks, from :func:`to_braggvectors`. With them the result is a py4DSTEM ``StrainMap``
        in their tree, and in the axes of the scan if they have a calibrated rotation.

    Returns
    -------
    strainmap
        ``RealSlice``, or ``StrainMap``, with the slices ``e_xx``, ``e_yy``, ``e_xy``, ``theta``
        (radians), ``mask`` (1 where there is an answer; the others are 0 elsewhere) and ``error``
        (the fit residual, px). A ``RealSlice`` has also ``sigma_e_xx``, … where the map knows
        them. Infinitesimal strain, x along rows (down), y along columns: exactly what py4DSTEM
        finds for these lattices.

    Raises
    ------
    ImportError
        Without py4DSTEM.
    TypeError, ValueError
        If it is no strain map, or ``braggvectors`` are those of another scan.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> interop.to_strainmap(strain, braggvectors).show_strain()  # doctest: +SKIP
    """
    py4dstem = require_py4dstem("to_strainmap")
    if not hasattr(strain, "rotate_strain_basis") or strain.data.ndim != 3:
        raise TypeError(
            f"strain is a {type(strain).__name__}; the map from pyxem_mlmaps.strain_map is needed, "
            "with all its channels."
        )
    if strain._lazy:
        strain = strain.deepcopy()
        strain.compute(show_progressbar=False)
    known = _has_maps(strain)
    strain = strain.rotate_strain_basis([1, 0])
    rotation, flip = _qr_rotation(braggvectors)
    axes = py4dstem_axes(rotation, flip)
    found = np.isfinite(strain.data).all(axis=0)
    error = strain._maps()[-2] if known else np.zeros(found.shape)
    slices = dict(zip(COMPONENTS, strain_to_py4dstem(strain.data, axes), strict=True))
    slices |= {"mask": found, "error": error}
    if braggvectors is None and known:
        slices |= _sigmas(strain, axes)
    data = np.where(found, np.stack([np.asarray(v, dtype=float) for v in slices.values()]), 0.0)
    if braggvectors is None:
        calibration = py4dstem.data.Calibration()
        scan_axes = strain.axes_manager.signal_axes[::-1]
        calibration.set_R_pixel_size(step_of(scan_axes))
        calibration.set_R_pixel_units(scan_units(scan_axes))
        return py4dstem.RealSlice(
            data, name="strainmap", slicelabels=list(slices), calibration=calibration
        )
    if tuple(braggvectors.Rshape) != found.shape:
        raise ValueError(
            f"braggvectors of a scan of {tuple(braggvectors.Rshape)} points do not belong to a "
            f"strain map of {found.shape}."
        )
    from py4DSTEM import StrainMap

    result = StrainMap(braggvectors)
    result.data[:] = data
    result.mask = found
    result.coordinate_rotation_degrees = result.coordinate_rotation_radians = 0.0
    reference = strain.reference
    if reference.get("g1") is not None:  # drawn by show_strain
        size = braggvectors.calibration.get_Q_pixel_size()
        for name in ("g1", "g2"):
            setattr(result, name, tuple(axes @ np.asarray(reference[name])[::-1] / size))
    return result


def from_strainmap(strainmap: RealSlice) -> MLStrainMap:
    """Turn py4DSTEM's strain map into this package's.

    Parameters
    ----------
    strainmap
        py4DSTEM's ``StrainMap`` after ``get_strain``, or a ``RealSlice`` with the slices ``e_xx``,
        ``e_yy``, ``e_xy``, ``theta`` and ``mask``. A ``StrainMap`` knows its axes: the rotation
        between detector and scan and the ``coordinate_rotation`` are undone. A ``RealSlice`` is
        taken as in the axes of the detector.

    Returns
    -------
    strain
        :class:`pyxem_mlmaps.MLStrainMap`: finite strain in the detector frame, e11 along kx.
        Points that are masked out are NaN. It has no uncertainties: py4DSTEM gives none.

    Raises
    ------
    TypeError
        If it has not these slices.

    Notes
    -----
    The strain of ``Crystal.calculate_strain`` has the turn of the orientation in its ``theta``:
    take the strain components from it, and no rotation.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> strain = interop.from_strainmap(strainmap)  # doctest: +SKIP
    >>> strain.plot_strain()  # doctest: +SKIP
    """
    from pyxem_mlmaps.strain_result import MLStrainMap

    labels = list(getattr(strainmap, "slicelabels", None) or [])
    if not {*COMPONENTS, "mask"} <= set(labels):
        raise TypeError(
            f"strainmap is a {type(strainmap).__name__} with the slices {labels}; py4DSTEM's "
            f"StrainMap, or a RealSlice with {', '.join(COMPONENTS)} and mask, is needed."
        )
    layers = {name: np.array(strainmap.data[labels.index(name)], float) for name in labels}
    rotation, flip = _qr_rotation(strainmap)
    turned = float(getattr(strainmap, "coordinate_rotation_degrees", 0.0))
    axes = py4dstem_axes(rotation, flip, turned)
    components = strain_from_py4dstem(np.stack([layers[name] for name in COMPONENTS]), axes)
    components[:, ~(layers["mask"] > 0)] = np.nan
    calibration = strainmap.calibration
    units = {"pixels": "px", "A": "Å"}
    unit = calibration.get_R_pixel_units()
    step = {"scale": float(calibration.get_R_pixel_size()), "units": units.get(unit, unit)}
    sizes = zip("yx", components.shape[1:], strict=True)
    scan = [{"name": n, "size": size, "navigate": False} | step for n, size in sizes]
    result = MLStrainMap(components, axes=[{"name": "strain", "size": 4, "navigate": True}, *scan])
    result.metadata.General.title = f"Strain of {strainmap.name}"
    record = {"basis_x": [1.0, 0.0], "scan_dimension": 2}
    record["reference"] = {"source": "py4DSTEM"}
    for key, value in record.items():
        result.metadata.set_item(f"MLStrainMap.{key}", value)
    return result


def _has_maps(strain: Any) -> bool:
    try:
        strain._maps()
    except ValueError:
        return False
    return True


def _qr_rotation(what: Any) -> tuple[float, bool]:
    """Degrees and flip that the vectors were turned by; what is not rotated says (0, False)."""
    state = getattr(what, "calstate", types.MappingProxyType({}))
    if not state.get("rotate"):
        return 0.0, False
    calibration = what.calibration
    return float(calibration.get_QR_rotation_degrees()), bool(calibration.get_QR_flip())


def _sigmas(strain: Any, axes: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """σ of py4DSTEM's components, which are linear in ours to first order."""
    step = 1e-6
    to_there = np.stack([strain_to_py4dstem(step * unit, axes) / step for unit in np.eye(4)], 1)
    covariance = np.einsum("ai,ijyx,aj->ayx", to_there, strain.covariance, to_there)
    return {f"sigma_{n}": np.sqrt(v) for n, v in zip(COMPONENTS, covariance, strict=True)}
