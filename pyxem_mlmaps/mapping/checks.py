"""Does this signal, this lattice, this model belong together? Asked before any pattern is read."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.mean_pattern import calibration_of
from pyxem_mlmaps.specs import Beam, DiskLattice

__all__ = ["check_calibration", "in_plane_transform", "order_lattice"]

Float = NDArray[np.floating]
ENERGY_TOLERANCE = 0.005
ANGLE_TOLERANCE = 0.03
SCALE_TOLERANCE = 0.03
RADIUS_TOLERANCE = 0.12


def check_calibration(
    signal: Any, model: Any, lattice: DiskLattice, check: Literal["raise", "warn"]
) -> None:
    """Compare the signal's calibration with the model's card.

    Raises
    ------
    ValueError
        With ``check="raise"``, naming both values of all that disagrees.
    """
    if check not in ("raise", "warn"):
        raise ValueError(f"check={check!r}: 'raise' or 'warn' is allowed.")
    card = model.card
    wrong = []
    where = "s.metadata.Acquisition_instrument.TEM."
    for name, found, expected, unit, tolerance in (
        ("beam_energy", _stated(signal, "beam_energy"), card.energy, "keV", ENERGY_TOLERANCE),
        (
            "convergence_angle",
            _stated(signal, "convergence_angle"),
            card.convergence_angle,
            "mrad",
            ANGLE_TOLERANCE,
        ),
    ):
        if expected is not None:
            wrong += _compare(name, found, expected, unit, tolerance, where + name)
    if card.vectors is not None:
        _, pixels_per_unit, _ = in_plane_transform(model, lattice)
        wrong += _compare(
            "scale of the diffraction axes",
            calibration_of(signal).scale,
            1 / pixels_per_unit,
            "Å⁻¹ per pixel (from the lattice)",
            SCALE_TOLERANCE,
            "scale and units of the signal axes",
        )
        if card.energy is not None and card.convergence_angle is not None:
            radius = Beam(card.energy, card.convergence_angle).aperture_radius * pixels_per_unit
            if radius and abs(lattice.radius / radius - 1) > RADIUS_TOLERANCE:
                wrong.append(
                    f"the lattice's disk radius is {lattice.radius:.2f} px, the model's "
                    f"convergence angle makes it {radius:.2f} px"
                )
    if not wrong:
        return
    message = "The signal and the model do not agree: " + "; ".join(wrong) + "."
    if check == "raise":
        raise ValueError(
            message + " Correct the calibration or train for this beam; check='warn' goes on."
        )
    warnings.warn(message, stacklevel=5)


def _stated(signal: Any, name: str) -> float | None:
    value = signal.metadata.get_item(f"Acquisition_instrument.TEM.{name}", default=None)
    return None if value is None else float(value)


def _compare(
    name: str, found: float | None, expected: float, unit: str, tolerance: float, where: str
) -> list[str]:
    if found is None:
        return [f"the signal states no {name} (set {where}), the model has {expected:g} {unit}"]
    if abs(found / expected - 1) > tolerance:
        return [f"the signal's {name} is {found:g}, the model's {expected:g} {unit}"]
    return []


def order_lattice(model: Any, lattice: DiskLattice) -> DiskLattice:
    """The lattice with its disks in the model's order.

    Raises
    ------
    ValueError
        If the number of disks, their indices or their arrangement is not the model's.
    """
    if len(lattice) != model.card.n_disk:
        raise ValueError(
            f"lattice has {len(lattice)} disks and the model was trained for "
            f"{model.card.n_disk}. Give the lattice model.indices, or train with these disks."
        )
    indices = model.indices
    if indices.shape[1] == 2:
        position = {tuple(i): n for n, i in enumerate(lattice.indices.tolist())}
        missing = [tuple(i) for i in indices.tolist() if tuple(i) not in position]
        if missing:
            raise ValueError(
                f"lattice lacks the model's disks {missing[:5]}; its indices must be the model's."
            )
        lattice = lattice.replace(indices=indices)
    if model.card.vectors is not None:
        _, _, residual = in_plane_transform(model, lattice)
        if residual > 0.5 * lattice.radius:
            raise ValueError(
                f"lattice.indices do not put the disks where the model's reflections lie (off by "
                f"{residual:.1f} px RMS): give them in the order of model.indices, or find the "
                "lattice with DiskLattice.from_signal(s, model)."
            )
    return lattice


def in_plane_transform(model: Any, lattice: DiskLattice) -> tuple[Float, float, float]:
    """How the recorded pattern is turned against the library.

    Returns
    -------
    rotation : numpy.ndarray
        (2, 2) proper rotation from the library's detector axes to the recorded ones, (x, y)
        components.
    pixels_per_unit : float
        Pixels per Å⁻¹.
    residual : float
        RMS distance in pixels of the disks from where a strained, turned library has them.

    Raises
    ------
    ValueError
        If the pattern is a mirror image of the library's.
    """
    vectors = np.asarray(model.card.vectors)[:, ::-1]
    pixels = (lattice.positions - np.asarray(lattice.origin))[:, ::-1]
    matrix, *_ = np.linalg.lstsq(vectors, pixels, rcond=None)
    residual = float(np.sqrt(np.mean(np.sum((vectors @ matrix - pixels) ** 2, axis=1))))
    left, stretch, right = np.linalg.svd(matrix.T)
    rotation = left @ right
    if np.linalg.det(rotation) < 0:
        if residual < 0.5 * lattice.radius:
            raise ValueError(
                "the recorded pattern is the mirror image of the simulated one: no rotation of "
                "the crystal brings them together. Flip one detector axis of the signal, or "
                "correct g1 and g2 of the lattice."
            )
        return np.eye(2), float(stretch.mean()), residual
    return rotation, float(stretch.mean()), residual
