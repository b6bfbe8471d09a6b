"""The unstrained lattice that strain is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.specs import DiskLattice

__all__ = ["reference_basis"]

Float = NDArray[np.float64]


def reference_basis(
    reference: Any, measured: Float, scale: tuple[float, float], scan_axes: list[Any]
) -> tuple[Float, str]:
    """Unstrained lattice vectors, and in words where they come from.

    Parameters
    ----------
    reference
        As for :func:`pyxem_mlmaps.strain_map`.
    measured
        (scan..., 2, 2) fitted lattices, rows g1 and g2, columns (ky, kx), calibrated.
    scale
        (y, x) size of a detector pixel, for a lattice in pixels.
    scan_axes
        HyperSpy axes of the scan, (y, x), for a ROI.

    Returns
    -------
    basis : numpy.ndarray
        (2, 2), rows g1 and g2, calibrated (ky, kx).
    source : str

    Raises
    ------
    ValueError
        If the reference is not one of the kinds allowed, has the wrong shape, or holds no fitted
        lattice.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_reference import reference_basis
    >>> measured = np.eye(2) * np.array([1.0, 1.0, 2.0])[:, None, None]
    >>> reference_basis("median", measured, (1.0, 1.0), [])
    (array([[1., 0.],
           [0., 1.]]), 'median of the scan')
    """
    from hyperspy.roi import BaseROI

    scan = measured.shape[:-2]
    if isinstance(reference, DiskLattice):
        return _checked(reference.basis * scale, "DiskLattice"), "DiskLattice"
    if isinstance(reference, str):
        if reference != "median":
            raise ValueError(_allowed(repr(reference), scan))
        return _median(measured, np.ones(scan, dtype=bool), "the scan")
    if isinstance(reference, BaseROI):
        return _median(measured, _roi_mask(reference, scan, scan_axes), f"{reference}")
    try:
        array = np.asarray(reference.data if hasattr(reference, "axes_manager") else reference)
    except ValueError:
        raise ValueError(_allowed(f"{reference!r}, ragged", scan)) from None
    if array.dtype == bool:
        if array.shape != scan:
            raise ValueError(_allowed(f"a boolean array of shape {array.shape}", scan))
        return _median(measured, array, f"a mask of {int(array.sum())} points")
    if array.shape != (2, 2) or array.dtype.kind not in "iuf":
        hint = " A mask must be boolean: mask.astype(bool)." if array.shape == scan else ""
        raise ValueError(_allowed(f"of shape {array.shape} and dtype {array.dtype}", scan) + hint)
    return _checked(array.astype(float), f"{array.tolist()}"), "given vectors"


def _median(measured: Float, mask: NDArray[np.bool_], where: str) -> tuple[Float, str]:
    chosen = measured[mask]
    chosen = chosen[np.isfinite(chosen).all(axis=(1, 2))]
    if len(chosen) == 0:
        raise ValueError(
            f"reference: none of the {int(mask.sum())} patterns in {where} has a fitted lattice "
            "(three disks that are not on one line, with finite positions and a misfit below "
            "max_misfit). Choose another region, or give lattice vectors."
        )
    return np.median(chosen, axis=0), f"median of {where}"


def _roi_mask(roi: Any, scan: tuple[int, ...], scan_axes: list[Any]) -> NDArray[np.bool_]:
    """Scan points that a ROI cuts out of an image of their own numbers."""
    from hyperspy.roi import Line2DROI
    from hyperspy.signals import BaseSignal, Signal1D, Signal2D

    if isinstance(roi, Line2DROI):
        raise ValueError(f"reference={roi}: a line interpolates; give a ROI that encloses points.")
    if roi.ndim > len(scan) or len(scan) == 0:
        raise ValueError(
            f"reference={roi}: a ROI of {roi.ndim} dimensions does not fit a scan of {len(scan)}."
        )
    axes = [a.get_axis_dictionary() | {"navigate": False} for a in scan_axes]
    numbers = np.arange(np.prod(scan), dtype=float).reshape(scan)
    signal_class = (BaseSignal, Signal1D, Signal2D)[len(scan)]
    try:
        inside = roi(signal_class(numbers, axes=axes)).data.ravel()
    except (ValueError, IndexError) as error:
        ends = ", ".join(f"{a.low_value:g} to {a.high_value:g}" for a in scan_axes[::-1])
        raise ValueError(
            f"reference={roi}: {error}. A ROI is in the units of the scan axes (x, y), which reach "
            f"from {ends}."
        ) from error
    inside = inside[np.isfinite(inside)]  # round ROIs mark what is outside by NaN
    mask = np.zeros(int(np.prod(scan)), dtype=bool)
    mask[inside.astype(np.int64)] = True
    return mask.reshape(scan)


def _checked(basis: Float, what: str) -> Float:
    area = abs(basis[0, 0] * basis[1, 1] - basis[0, 1] * basis[1, 0])
    if not area > 1e-3 * np.hypot(*basis[0]) * np.hypot(*basis[1]):
        raise ValueError(
            f"reference={what}: g1 and g2 must be finite, and neither zero nor collinear."
        )
    return basis


def _allowed(value: str, scan: tuple[int, ...]) -> str:
    return (
        f"reference is {value}, which is not valid: give 'median', a boolean array of the scan's "
        f"shape {scan}, a HyperSpy ROI, a DiskLattice, or an array (g1, g2) with rows (ky, kx)."
    )
