"""One scan from a file, with the calibration of its file or of the flags."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["load_lattice", "load_scan", "load_shifts", "save_lattice", "with_flags_named"]

MICROSCOPE = "Acquisition_instrument.TEM."


def load_scan(path: Path, options: argparse.Namespace) -> Any:
    """A lazy ``Diffraction2D``, calibrated.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no scan of patterns, or several.
    """
    import hyperspy.api as hs

    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    signal = _chosen(hs.load(path, lazy=True), path, options.dataset)
    if signal.axes_manager.signal_dimension != 2:
        signal = signal.transpose(signal_axes=2)
    if not hasattr(signal, "ml_disk_positions"):
        signal.set_signal_type("electron_diffraction")
    _calibrate(signal, options, path)
    return signal


def _chosen(found: Any, path: Path, number: int | None) -> Any:
    signals = found if isinstance(found, list) else [found]
    if number is not None:
        if not 0 <= number < len(signals):
            raise ValueError(f"--dataset {number}: {path} holds 0 to {len(signals) - 1}.")
        return signals[number]
    scans = [signal for signal in signals if signal.data.ndim >= 3] or signals
    if len(scans) > 1:
        held = "; ".join(f"{n}: shape {s.data.shape}" for n, s in enumerate(signals))
        raise ValueError(f"{path} holds several data sets ({held}): choose one with --dataset.")
    if scans[0].data.ndim < 2:
        raise ValueError(f"{path} holds data of shape {scans[0].data.shape}, no patterns.")
    return scans[0]


def _calibrate(signal: Any, options: argparse.Namespace, path: Path) -> None:
    for name in ("beam_energy", "convergence_angle"):
        given = getattr(options, name)
        if given is None:
            continue
        stated = signal.metadata.get_item(MICROSCOPE + name, default=None)
        if stated is not None and abs(float(stated) - given) > 1e-6 * abs(given):
            warnings.warn(f"{path}: {name} is {float(stated):g} in the file", stacklevel=2)
        signal.metadata.set_item(MICROSCOPE + name, given)
    if options.scale is not None:
        _rescale(signal.axes_manager.signal_axes, "--scale", options.scale, "$A^{-1}$")
    if options.scan_step is not None:
        _rescale(signal.axes_manager.navigation_axes, "--scan-step", options.scan_step, "nm")


def _rescale(axes: Any, flag: str, scale: float, units: str) -> None:
    """Another scale; zero stays at the pixel where it was."""
    if not scale > 0:
        raise ValueError(f"{flag} {scale:g}: a positive number is needed.")
    for axis in axes:
        axis.offset = axis.offset / axis.scale * scale
        axis.scale, axis.units = scale, units


def load_lattice(path: Path) -> DiskLattice:
    """A ``DiskLattice`` from the JSON of its ``to_dict``."""
    from pyxem_mlmaps import DiskLattice

    try:
        return DiskLattice.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is no lattice ({error}): JSON with origin, g1, g2 ([y, x] px), indices "
            "([[h, k], ...]) and radius (px) is needed, as --save-lattice writes it."
        ) from error


def save_lattice(path: Path, lattice: dict[str, Any]) -> None:
    """The inverse of :func:`load_lattice`."""
    path.write_text(json.dumps(lattice, indent=1), encoding="utf-8")


def load_shifts(descan: str | Path | None) -> Any:
    """``descan`` as the methods take it: an array where a file was given."""
    if not isinstance(descan, Path):
        return descan
    import numpy as np

    return np.load(descan, allow_pickle=False)


def with_flags_named(error: ValueError) -> ValueError:
    """The same error, for someone who has flags and not a signal's metadata."""
    text = str(error)
    if "s.metadata" in text or "calibration" in text:
        text += (
            " As flags: --beam-energy, --convergence-angle, --scale (1/Å per pixel), --check warn."
        )
    return ValueError(text)
