"""What py4DSTEM and HyperSpy both say about a scan, in one value between the two."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._provenance import _plain
from pyxem_mlmaps.mapping.mean_pattern import units_to_inverse_angstrom
from pyxem_mlmaps.specs import Beam

__all__ = ["NODE", "CubeCalibration", "detector_units", "one_step", "scan_units", "step_of"]

NODE = "Py4DSTEM"
"""Where what has no place in a HyperSpy signal lies in its metadata."""

Float = NDArray[np.float64]

_TEM = "Acquisition_instrument.TEM."
_EQUAL = 1e-3
_Q_UNITS = {"A^-1": "$A^{-1}$", "mrad": "mrad", "pixels": "px"}
_ANGSTROM = {"A", "Å", "\u212b"}


@dataclass(frozen=True, eq=False)
class CubeCalibration:
    """Calibration of a scan, in the terms of py4DSTEM.

    Parameters
    ----------
    q_size, q_units
        Of a detector pixel; the unit is ``"A^-1"``, ``"mrad"`` or ``"pixels"``.
    r_size, r_units
        Of a scan step; ``"pixels"`` where nothing is known.
    origin
        (y, x) px of the direct beam, the mean over the scan, or None.
    origin_shift
        (scan y, scan x, 2): how far the direct beam is from there in each pattern, px, or None.
    qr_rotation, qr_flip
        Of the detector against the scan, degrees; None if not calibrated.
    ellipse
        py4DSTEM's (a, b, theta), or None.
    beam_energy, convergence_angle
        keV, and the semi-angle in mrad; None if not known.
    """

    q_size: float = 1.0
    q_units: str = "pixels"
    r_size: float = 1.0
    r_units: str = "pixels"
    origin: tuple[float, float] | None = None
    origin_shift: Float | None = None
    qr_rotation: float | None = None
    qr_flip: bool = False
    ellipse: tuple[float, float, float] | None = None
    beam_energy: float | None = None
    convergence_angle: float | None = None

    def __post_init__(self) -> None:
        if self.q_units not in _Q_UNITS:
            raise ValueError(f"q_units={self.q_units!r}: {', '.join(_Q_UNITS)} are allowed.")
        for name, size in (("q_size", self.q_size), ("r_size", self.r_size)):
            if not (np.isfinite(size) and size > 0):
                raise ValueError(f"{name}={size!r}: a positive number is needed.")

    # ---- py4DSTEM ---------------------------------------------------------------------------

    @classmethod
    def from_params(
        cls, params: Mapping[str, Any], beam_energy: float | None = None
    ) -> CubeCalibration:
        """From the items of a py4DSTEM ``Calibration``, as they are in memory or in a file."""
        known = {key: value for key, value in params.items() if value is not None}
        origin = origin_shift = None
        if "qx0" in known and "qy0" in known:
            places = np.stack(np.broadcast_arrays(known["qx0"], known["qy0"]), axis=-1)
            places = places.astype(float)
            origin = places if places.ndim == 1 else np.nanmean(places, axis=(0, 1))
            origin_shift = None if places.ndim == 1 else places - origin
            origin = (float(origin[0]), float(origin[1]))
        if beam_energy is None and "accelerating_voltage" in known:
            beam_energy = float(known["accelerating_voltage"]) / 1e3
        ellipse = [known.get(key) for key in ("a", "b", "theta")]
        single = all(value is not None and np.ndim(value) == 0 for value in ellipse)
        rotation = known.get("QR_rotation_degrees")
        q_size, q_units = float(known["Q_pixel_size"]), str(known["Q_pixel_units"])
        return cls(
            q_size,
            q_units,
            float(known["R_pixel_size"]),
            str(known["R_pixel_units"]),
            origin,
            origin_shift,
            None if rotation is None else float(rotation),
            bool(known.get("QR_flip", False)),
            tuple(float(value) for value in ellipse) if single else None,
            beam_energy,
            _convergence_angle(known, q_size, q_units, beam_energy),
        )

    def write_to(self, calibration: Any) -> None:
        """Set the items of a py4DSTEM ``Calibration``; what is not known is left as it is."""
        calibration.set_Q_pixel_size(self.q_size)
        calibration.set_Q_pixel_units(self.q_units)
        calibration.set_R_pixel_size(self.r_size)
        calibration.set_R_pixel_units(self.r_units)
        if self.origin is not None:
            calibration.set_origin(self.origins())
        if self.qr_rotation is not None:
            calibration.set_QR_rotation_degrees(self.qr_rotation)
            calibration.set_QR_flip(self.qr_flip)
        if self.ellipse is not None:
            calibration.set_ellipse(self.ellipse)
        if self.beam_energy is not None:
            calibration["accelerating_voltage"] = self.beam_energy * 1e3
        if self.convergence_angle is not None:
            calibration.set_convergence_semiangle_mrad(self.convergence_angle)

    def origins(self) -> tuple[Any, Any]:
        """(qx0, qy0) as py4DSTEM has them: two numbers, or two arrays over the scan."""
        if self.origin_shift is None:
            return self.origin
        places = np.asarray(self.origin) + self.origin_shift
        return places[..., 0].copy(), places[..., 1].copy()

    # ---- HyperSpy ---------------------------------------------------------------------------

    @classmethod
    def from_signal(cls, signal: Any) -> CubeCalibration:
        """From the axes and the metadata of a diffraction signal.

        Raises
        ------
        ValueError
            If py4DSTEM cannot hold the axes: it has one pixel size for both.
        """
        y, x = signal.axes_manager.signal_axes[::-1]
        size = step_of((y, x), "detector")
        units, factor = detector_units(y.units)
        offsets = np.array([y.offset, x.offset], dtype=float)
        origin = tuple(float(v) for v in -offsets / size) if offsets.any() else None
        scan = signal.axes_manager.navigation_axes[::-1]
        r_size = step_of(scan)
        kept = signal.metadata.get_item(NODE, default=None)
        kept = kept.as_dictionary() if kept is not None else {}
        ellipse = kept.get("ellipse")
        return cls(
            size * factor,
            units,
            r_size,
            scan_units(scan),
            origin,
            None if origin is None else _shift_of(kept, signal.data.shape),
            kept.get("QR_rotation_degrees"),
            bool(kept.get("QR_flip", False)),
            None if ellipse is None else tuple(float(v) for v in ellipse),
            signal.metadata.get_item(_TEM + "beam_energy", default=None),
            signal.metadata.get_item(_TEM + "convergence_angle", default=None),
        )

    @classmethod
    def from_vectors(cls, vectors: Any, scales: Sequence[float], units: str) -> CubeCalibration:
        """From diffraction vectors with these scales and this unit; without an origin.

        Raises
        ------
        ValueError
            As for :meth:`from_signal`.
        """
        q_units, factor = detector_units(units)
        scan = vectors.axes_manager.navigation_axes[::-1]
        return cls(
            q_size=one_step(scales, "detector") * factor,
            q_units=q_units,
            r_size=step_of(scan),
            r_units=scan_units(scan),
            beam_energy=vectors.metadata.get_item(_TEM + "beam_energy", default=None),
            convergence_angle=vectors.metadata.get_item(_TEM + "convergence_angle", default=None),
        )

    def describe(self, signal: Any) -> None:
        """Set the axes and the metadata of a diffraction signal."""
        units = "px" if self.r_units == "pixels" else self.r_units
        units = "Å" if units in _ANGSTROM else units
        for axis, name in zip(signal.axes_manager.navigation_axes, ("x", "y"), strict=False):
            axis.name, axis.scale, axis.units = name, self.r_size, units
        zero = self.origin or (0.0, 0.0)
        axes = signal.axes_manager.signal_axes
        for axis, name, pixels in zip(axes, ("kx", "ky"), zero[::-1], strict=True):
            axis.name, axis.scale, axis.units = name, self.q_size, _Q_UNITS[self.q_units]
            axis.offset = -pixels * self.q_size
        for name in ("beam_energy", "convergence_angle"):
            if getattr(self, name) is not None:
                signal.metadata.set_item(_TEM + name, float(getattr(self, name)))
        kept = {"ellipse": self.ellipse, "detector_shape": signal.data.shape[-2:]}
        if self.qr_rotation is not None:
            kept |= {"QR_rotation_degrees": self.qr_rotation, "QR_flip": self.qr_flip}
        if self.origin_shift is not None:
            kept["origin_shift"] = self.origin_shift
        if len(kept) > 2 or self.ellipse is not None:
            for key, value in kept.items():
                if value is not None:
                    signal.metadata.set_item(f"{NODE}.{key}", _plain(value))


def _convergence_angle(
    known: Mapping[str, Any], q_size: float, q_units: str, beam_energy: float | None
) -> float | None:
    """mrad, from the radius of the probe in pixels if need be."""
    if "convergence_semiangle_mrad" in known:
        return float(known["convergence_semiangle_mrad"])
    radius = known.get("convergence_semiangle_pixels", known.get("probe_semiangle"))
    if radius is None:
        return None
    if q_units == "mrad":
        return float(radius) * q_size
    if q_units == "A^-1" and beam_energy:
        return float(radius) * q_size * Beam(beam_energy, 0.0).wavelength * 1e3
    return None


def step_of(axes: Any, what: str = "scan") -> float:
    """The one scale of HyperSpy axes (y, x); 1 if there are none. See :func:`one_step`."""
    scales = [float(axis.scale) if axis.is_uniform else np.nan for axis in axes]
    return one_step(scales, what) if scales else 1.0


def one_step(scales: Sequence[float], what: str) -> float:
    """The scale that axes share.

    Raises
    ------
    ValueError
        If they have different scales, or such as py4DSTEM does not know.
    """
    if not (np.isfinite(scales).all() and min(scales) > 0):
        raise ValueError(
            f"signal: the {what} axes have scales {list(scales)}; py4DSTEM needs uniform ones that "
            "grow. Interpolate an axis that is not uniform; flip data and axis of a negative scale."
        )
    if abs(scales[0] / scales[-1] - 1) > _EQUAL:
        raise ValueError(
            f"signal: the {what} axes have scales {list(scales)}, and py4DSTEM has one pixel size "
            "for both. Rebin or interpolate to equal pixels."
        )
    return float(scales[0])


def detector_units(units: Any) -> tuple[str, float]:
    """py4DSTEM's name of a unit, and how many of these one unit is."""
    if str(units) in ("mrad", "rad"):
        return "mrad", 1.0 if str(units) == "mrad" else 1e3
    factor = units_to_inverse_angstrom(units)
    return ("pixels", 1.0) if factor is None else ("A^-1", factor)


def scan_units(axes: Any) -> str:
    """py4DSTEM's name of the unit of HyperSpy's scan axes."""
    units = axes[-1].units if axes else None
    if not isinstance(units, str) or units in ("", "px"):
        return "pixels"
    return "A" if units in _ANGSTROM else units


def _shift_of(kept: Mapping[str, Any], shape: tuple[int, ...]) -> Float | None:
    """The origin of each pattern, if the signal has not been cut or binned since."""
    if "origin_shift" not in kept:
        return None
    shift = np.asarray(kept["origin_shift"], dtype=float)
    if (*shift.shape[:-1], *(int(n) for n in kept["detector_shape"])) == shape:
        return shift
    warnings.warn(
        f"the origin of each pattern, known for a scan of {shift.shape[:-1]} points, does not "
        f"belong to data of shape {shape} any more (cut or binned); only their mean is kept.",
        stacklevel=4,
    )
    return None
