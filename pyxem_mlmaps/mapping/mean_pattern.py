"""What a HyperSpy signal says about its patterns: their mean, and their calibration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps.specs import Beam

__all__ = ["Calibration", "calibration_of", "mean_pattern", "units_to_inverse_angstrom"]


@dataclass(frozen=True)
class Calibration:
    """Scale in 1/Å per pixel, the axes' zero (y, x) in pixels, the disk radius in pixels.

    Each is None where the signal does not tell.
    """

    scale: float | None = None
    zero: tuple[float, float] | None = None
    radius: float | None = None


def units_to_inverse_angstrom(units: Any, wavenumber: float | None = None) -> float | None:
    """How many 1/Å one unit is; None for units that are no calibration, such as px.

    Parameters
    ----------
    units
        As on a signal axis: ``"$A^{-1}$"``, ``"1/Å"``, ``"nm^-1"``, ``"k_nm^-1"``, ``"mrad"``, …
    wavenumber
        1/λ in 1/Å, needed for mrad.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.mean_pattern import units_to_inverse_angstrom
    >>> [units_to_inverse_angstrom(u) for u in ("$A^{-1}$", "1/Å", "nm$^{-1}$", "px")]
    [1.0, 1.0, 0.1, None]
    """
    text = re.sub(r"[\s${}\\]|k_|\^", "", str(units)).replace("⁻¹", "-1").replace("−", "-")
    if text in ("mrad", "rad"):
        return None if wavenumber is None else wavenumber * (1e-3 if text == "mrad" else 1.0)
    match = re.fullmatch(r"1/(.+)|(.+?)-1", text)
    unit = (match.group(1) or match.group(2)).strip("()") if match else ""
    if unit.lower() == "nm":
        return 0.1
    angstrom = ("a", "å", "\u212b", "aa", "angstrom", "ang", "ångström", "ångstrom")
    return 1.0 if unit.lower() in angstrom or unit == "\u212b" else None


def calibration_of(signal: Any) -> Calibration:
    """Calibration from the signal axes and the metadata; all None for a plain array."""
    if not hasattr(signal, "axes_manager"):
        return Calibration()
    x, y = signal.axes_manager.signal_axes
    node = "Acquisition_instrument.TEM."
    energy = signal.metadata.get_item(node + "beam_energy")
    angle = signal.metadata.get_item(node + "convergence_angle")
    beam = Beam(energy, angle or 0.0) if energy else None
    factors = [units_to_inverse_angstrom(a.units, beam and beam.wavenumber) for a in (y, x)]
    scales = [abs(a.scale) for a in (y, x)]
    zero = None
    if all(scales) and (x.offset or y.offset):
        zero = (-y.offset / y.scale, -x.offset / x.scale)
    if None in factors or not all(scales):
        radius = None
        if angle and all(scales) and str(x.units) == str(y.units) == "mrad":
            radius = angle / float(np.sqrt(np.prod(scales)))
        return Calibration(None, zero, radius)
    scale = float(np.sqrt(factors[0] * scales[0] * factors[1] * scales[1]))
    return Calibration(scale, zero, beam.aperture_radius / scale if beam and angle else None)


def mean_pattern(
    signal: Any, max_patterns: int = 1000, show_progressbar: bool | None = None
) -> NDArray[np.float64]:
    """Mean over the scan of at most ``max_patterns`` patterns spread evenly over it.

    Parameters
    ----------
    signal
        Diffraction2D, lazy or not, or a (ky, kx) array, which is returned as it is.
    max_patterns
        Every k-th scan point along each scan axis is taken, with the least k that will do.
    show_progressbar
        For lazy signals; None follows HyperSpy's preference.

    Returns
    -------
    ndarray
        (ky, kx) float64.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.mean_pattern import mean_pattern
    >>> mean_pattern(np.eye(2))
    array([[1., 0.],
           [0., 1.]])
    """
    if not hasattr(signal, "axes_manager"):
        data = np.asarray(signal, dtype=float)
        if data.ndim != 2:
            raise ValueError(
                f"signal: an array of shape {data.shape}; give a Diffraction2D signal, or one "
                "pattern as a (ky, kx) array."
            )
        return data
    if signal.axes_manager.signal_dimension != 2:
        raise ValueError(
            f"signal: {signal.axes_manager.signal_dimension} signal axes; two are needed (ky, kx)."
        )
    if max_patterns < 1:
        raise ValueError(f"max_patterns={max_patterns}: at least 1 is needed.")
    data = signal.data
    scan = data.shape[:-2]
    step = 1
    while np.prod([-(-n // step) for n in scan]) > max_patterns:
        step += 1
    data = data[tuple(slice(min(step // 2, n - 1), None, step) for n in scan)]
    mean = data.mean(axis=tuple(range(len(scan))), dtype=float) if scan else data
    if hasattr(mean, "compute"):
        (mean,) = compute(mean, show_progressbar=show_progressbar, text="Mean pattern")
    return np.asarray(mean, dtype=float)
