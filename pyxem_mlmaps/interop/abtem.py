"""Simulated 4D-STEM from abTEM as pyxem signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from abtem.measurements import DiffractionPatterns
    from pyxem.signals import ElectronDiffraction2D

__all__ = ["from_abtem"]


def from_abtem(measurement: DiffractionPatterns) -> ElectronDiffraction2D:
    """A pyxem signal of an abTEM measurement of diffraction patterns.

    Parameters
    ----------
    measurement
        ``DiffractionPatterns``, as from ``PixelatedDetector`` or ``waves.diffraction_patterns()``:
        (…, scan x, scan y, kx, ky), computed or not. Further ensemble axes, such as thickness, come
        before the scan, and become its slow navigation axes.

    Returns
    -------
    signal
        ``ElectronDiffraction2D``, lazy if the measurement is: (…, scan y, scan x, ky, kx), the
        direct beam where the axes are zero. Diffraction axes are in Å⁻¹, scan axes in Å; beam
        energy (keV) and, if the measurement knows it, the convergence semi-angle (mrad) are in the
        metadata. abTEM's x and y are kept: x to the right, y downwards, the beam into the page.

    Raises
    ------
    TypeError
        If it is another kind of measurement.

    Notes
    -----
    abTEM's own ``to_hyperspy`` leaves the scan axes the other way round.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> measurement = probe.scan(  # doctest: +SKIP
    ...     potential, scan=abtem.GridScan(), detectors=abtem.PixelatedDetector()
    ... )
    >>> s = interop.from_abtem(measurement)  # doctest: +SKIP
    """
    from abtem.core.axes import ScanAxis
    from abtem.measurements import DiffractionPatterns
    from pyxem.signals import ElectronDiffraction2D, LazyElectronDiffraction2D

    if not isinstance(measurement, DiffractionPatterns):
        raise TypeError(
            f"measurement is a {type(measurement).__name__}; abTEM's DiffractionPatterns are "
            "needed, as PixelatedDetector makes them."
        )
    if isinstance(measurement.array, np.ndarray) or measurement.is_lazy:
        array = measurement.array
    else:  # on a GPU
        array = measurement.to_cpu().array
    ensemble = list(measurement.ensemble_axes_metadata)
    scan = [i for i, axis in enumerate(ensemble) if isinstance(axis, ScanAxis)]
    order = [i for i in range(len(ensemble)) if i not in scan] + scan[::-1]
    n = len(ensemble)
    array = array.transpose(*order, n + 1, n)
    lazy = hasattr(array, "dask")
    if not measurement.fftshift:
        array = _fftshift(array)
    if lazy:
        array = array.rechunk({n: -1, n + 1: -1})
    signal = (LazyElectronDiffraction2D if lazy else ElectronDiffraction2D)(array)
    axes = signal.axes_manager.navigation_axes[::-1]
    for axis, known in zip(axes, (ensemble[i] for i in order), strict=True):
        _describe(axis, known)
    for axis, sampling in zip(signal.axes_manager.signal_axes, measurement.sampling, strict=True):
        axis.scale, axis.units = float(sampling), "$A^{-1}$"
        axis.offset = -(axis.size // 2) * float(sampling)
    for axis, name in zip(signal.axes_manager.signal_axes, ("kx", "ky"), strict=True):
        axis.name = name
    metadata = measurement.metadata or {}
    known = {"beam_energy": ("energy", 1e-3), "convergence_angle": ("semiangle_cutoff", 1.0)}
    for name, (key, factor) in known.items():
        if metadata.get(key) is not None:
            value = float(metadata[key]) * factor
            signal.metadata.set_item(f"Acquisition_instrument.TEM.{name}", value)
    signal.metadata.General.title = "abTEM"
    return signal


def _fftshift(array: Any) -> Any:
    import dask.array as da

    module = da if hasattr(array, "dask") else np
    return module.fft.fftshift(array, axes=(array.ndim - 2, array.ndim - 1))


def _describe(axis: Any, known: Any) -> None:
    """A HyperSpy axis from abTEM's description of it."""
    label = str(getattr(known, "label", "") or "")
    if label:
        axis.name = label
    units = getattr(known, "units", None)
    if units:
        axis.units = str(units)
    if getattr(known, "sampling", None) is not None:
        axis.scale, axis.offset = float(known.sampling), float(known.offset)
        return
    values = np.asarray(getattr(known, "values", ()), dtype=object)
    if values.shape == (axis.size,) and axis.size > 1:
        try:
            numbers = values.astype(float)
        except (TypeError, ValueError):
            return
        steps = np.diff(numbers)
        if np.allclose(steps, steps[0]) and steps[0] != 0:
            axis.scale, axis.offset = float(steps[0]), float(numbers[0])
