"""``ml_orientation_map``: block by block from patterns to tilt and thickness."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps import conventions
from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._version import __version__
from pyxem_mlmaps.mapping.blocks import check_directions, check_signal, described, map_blocks
from pyxem_mlmaps.mapping.checks import check_calibration, in_plane_transform, order_lattice
from pyxem_mlmaps.mapping.intensity import (
    Pixels,
    disk_intensities,
    disk_windows,
    find_shifts,
    pixel_intensities,
)
from pyxem_mlmaps.mapping.resumable import compute_into, describe_input
from pyxem_mlmaps.models.packed import digest
from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from pyxem.signals import Diffraction2D

    from pyxem_mlmaps.models.orientation import OrientationModel
    from pyxem_mlmaps.signals import MLOrientationMap

__all__ = ["extract_intensities", "map_intensities", "map_orientation"]

Float = NDArray[np.floating]

NEGATIVE = -0.2
"""A disk below this fraction of the mean disk makes its pattern unusable: no noise does that."""
DESCAN_REACH = 6


def map_orientation(
    signal: Diffraction2D,
    model: OrientationModel,
    lattice: DiskLattice,
    check: Literal["raise", "warn"] = "raise",
    lazy_output: bool | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    background: Literal["none", "local"] = "none",
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    refine: bool = True,
    batch_size: int = 4096,
    out: str | Path | None = None,
) -> MLOrientationMap:
    """Map tilt and thickness; see ``Diffraction2D.ml_orientation_map`` for everything."""
    from pyxem_mlmaps.signals import LazyMLOrientationMap, MLOrientationMap

    lattice = _checked(signal, model, lattice, check)
    if background not in ("none", "local"):
        raise ValueError(f"background={background!r}: 'none' or 'local' is allowed.")
    turn = _turn(model, lattice)
    read = _Reader(lattice, signal.data.shape[-2:], background, signal.data.dtype)
    data = map_blocks(_BlockMap(read, model, turn, refine, batch_size), signal, descan, (7,))
    lazy = signal._lazy if lazy_output is None else bool(lazy_output)
    options = {"background": background, "descan": described(descan), "refine": bool(refine)}
    bars = {"show_progressbar": show_progressbar, "num_workers": num_workers, "text": "Orientation"}
    sha256 = digest(model)
    if out is not None:
        job = {"method": "ml_orientation_map", "model": sha256, "lattice": lattice.to_dict()}
        job |= {"options": options, "input": describe_input(signal)}
        data = compute_into(out, data, job, **bars)
    if not lazy:
        (data,) = compute(data, **bars)
    axes = [a.get_axis_dictionary() for a in signal.axes_manager.navigation_axes[::-1]]
    axes.append({"name": "channel", "size": 7, "navigate": False})
    result = (LazyMLOrientationMap if lazy else MLOrientationMap)(data, axes=axes)
    title = signal.metadata.get_item("General.title", default="")
    _describe(result, title, model, lattice, turn, options, sha256)
    if not lazy:
        result.warn_of_bad_points()
    return result


def map_intensities(
    intensities: ArrayLike,
    model: OrientationModel,
    lattice: DiskLattice,
    refine: bool = True,
    batch_size: int = 4096,
) -> MLOrientationMap:
    """Map tilt and thickness from disk intensities that were summed elsewhere.

    For virtual-aperture or disk-sum data sets whose patterns were not kept.

    Parameters
    ----------
    intensities
        (scan y, scan x, n_disk), (scan, n_disk) or (n_disk,), in the order of ``lattice``, any
        positive scale.
    model
        Trained for these disks.
    lattice
        Where the disks were on the detector: it tells how the pattern was turned.
    refine, batch_size
        As in ``Diffraction2D.ml_orientation_map``.

    Returns
    -------
    MLOrientationMap
        Tilts in detector axes, as from patterns; the scan axes are uncalibrated.

    Examples
    --------
    >>> from pyxem_mlmaps import map_intensities
    >>> omap = map_intensities(disk_sums, model, lattice)  # doctest: +SKIP
    """
    from pyxem_mlmaps.signals import MLOrientationMap

    values = np.asarray(intensities)
    if np.iscomplexobj(values) or not 1 <= values.ndim <= 3 or values.shape[-1] != len(lattice):
        raise ValueError(
            f"intensities have shape {values.shape} and dtype {values.dtype}; real numbers of "
            f"shape (scan y, scan x, {len(lattice)}) are needed, one for each disk of the lattice."
        )
    ordered = order_lattice(model, lattice)
    column = {tuple(index): n for n, index in enumerate(lattice.indices.tolist())}
    values = values[..., [column[tuple(index)] for index in ordered.indices.tolist()]]
    turn = _turn(model, ordered)
    flat = _usable(values.reshape(-1, len(lattice)).astype(float), model.noise.dead_disks > 0)
    data = _channels(model, flat, turn, refine, batch_size).reshape(*values.shape[:-1], 7)
    result = MLOrientationMap(data)
    _describe(result, "", model, ordered, turn, {"refine": bool(refine)}, digest(model))
    result.warn_of_bad_points()
    return result


def _turn(model: OrientationModel, lattice: DiskLattice) -> Float:
    """(2, 2) rotation from the library's detector axes to the recorded ones."""
    if model.card.vectors is None:
        return np.eye(2)
    return in_plane_transform(model, lattice)[0]


def _channels(
    model: OrientationModel, intensities: Float, turn: Float, refine: bool, batch_size: int
) -> Float:
    """(n, 7) channels with the tilts and their σ in detector axes."""
    values = model.predict(intensities, refine, batch_size).stack()
    values[:, 0:2] = values[:, 0:2] @ turn.T
    values[:, 3:5] = np.sqrt(values[:, 3:5] ** 2 @ (turn**2).T)
    return values


def extract_intensities(
    signal: Diffraction2D,
    lattice: DiskLattice,
    background: Literal["none", "local"] = "none",
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> Float:
    """Disk intensities of every pattern, (scan y, scan x, n_disk), in counts.

    What ``ml_orientation_map`` gives to its model; NaN for disks off the detector or saturated.
    """
    lattice.check_fits(signal.data.shape[-2:])
    read = _Reader(lattice, signal.data.shape[-2:], background, signal.data.dtype)
    data = map_blocks(read, signal, descan, (len(lattice),))
    return compute(
        data, show_progressbar=show_progressbar, num_workers=num_workers, text="Intensities"
    )[0]


@dataclass(frozen=True, eq=False)
class _BlockMap:
    """From a block of patterns to its channels (scan block, 7)."""

    read: _Reader
    model: OrientationModel
    turn: Float
    refine: bool
    batch_size: int

    def __call__(self, block: NDArray, shifts: NDArray | None = None) -> Float:
        sums = self.read(block, shifts).reshape(-1, len(self.read.lattice))
        sums = _usable(sums, self.model.noise.dead_disks > 0)
        values = _channels(self.model, sums, self.turn, self.refine, self.batch_size)
        return values.reshape(*block.shape[:-2], 7)


class _Reader:
    """Reads the disk intensities (scan block, n_disk) of a block of patterns."""

    def __init__(
        self, lattice: DiskLattice, shape: tuple[int, int], background: str, dtype: np.dtype
    ) -> None:
        self.lattice = lattice
        self.windows, self.rings = disk_windows(lattice, tuple(shape))
        self.local = background == "local"
        self.ring_pixels = Pixels.of(self.rings, tuple(shape)) if self.local else None
        if self.local and self.rings.area.min() == 0:
            raise ValueError(
                "background='local': no pixels lie between the disks; they are too close. Use "
                "background='none' and a model trained with NoiseModel(background=...)."
            )
        self.saturation = float(np.iinfo(dtype).max) if dtype.kind in "iu" else np.inf

    def __call__(self, block: NDArray, shifts: NDArray | None = None) -> Float:
        patterns = block.reshape(-1, *block.shape[-2:])
        if patterns.dtype.byteorder == ">":
            patterns = patterns.astype(patterns.dtype.newbyteorder("="))
        if patterns.dtype == np.float16 or patterns.dtype.kind == "b":
            patterns = patterns.astype(np.float32)
        if shifts is None:
            shifts = np.zeros((len(patterns), 2), dtype=np.int64)
        elif shifts.size == 0:
            shifts = find_shifts(
                patterns, np.asarray(self.lattice.origin), self.lattice.radius, DESCAN_REACH
            )
        shifts = shifts.reshape(-1, 2)
        sums = np.empty((len(patterns), len(self.lattice)))
        disk_intensities(patterns, shifts, *self.windows[:4], self.saturation, sums)
        if self.local:
            rings = np.empty_like(sums)
            pixel_intensities(patterns, shifts, self.ring_pixels, self.saturation, rings)
            sums -= rings / self.rings.area * self.windows.area
        return sums.reshape(*block.shape[:-2], -1)


def _usable(intensities: Float, allow_dead: bool) -> Float:
    """Patterns with missing disks (unless the model knows dead disks) or negative ones are NaN."""
    bad = np.zeros(len(intensities), dtype=bool)
    if not allow_dead:
        bad |= ~np.isfinite(intensities).all(axis=1)
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(np.where(np.isfinite(intensities), intensities, 0), axis=1)
        bad |= (np.nan_to_num(intensities, nan=0.0) < NEGATIVE * mean[:, None]).any(axis=1)
    return np.where(bad[:, None], np.nan, intensities)


def _checked(signal: Any, model: Any, lattice: DiskLattice, check: Any) -> DiskLattice:
    check_signal(signal)
    check_directions(signal)
    if not isinstance(lattice, DiskLattice):
        raise TypeError(f"lattice is a {type(lattice).__name__}; a DiskLattice is needed.")
    lattice = order_lattice(model, lattice)
    lattice.check_fits(signal.data.shape[-2:])
    check_calibration(signal, model, lattice, check)
    return lattice


def _describe(
    result: Any,
    title: str,
    model: Any,
    lattice: DiskLattice,
    turn: Float,
    options: dict[str, Any],
    sha256: str,
) -> None:
    """Provenance and title; the base rotation is the library's, turned as the pattern is."""
    card = model.card
    base = card.base_rotation
    if base is not None:
        from orix.quaternion import Rotation

        matrix = np.eye(3)
        matrix[:2, :2] = turn
        library = conventions.rotation_to_detector_matrix(Rotation(np.asarray(base)))
        turned = conventions.detector_matrix_to_rotation(matrix @ library.reshape(3, 3))
        base = turned.data.ravel().tolist()
    result.set_provenance(
        card=card.to_dict(),
        lattice=lattice.to_dict(),
        base_rotation=base,
        phase=card.crystal,
        versions={
            "pyxem_mlmaps": __version__,
            "hyperspy": version("hyperspy"),
            "pyxem": version("pyxem"),
        },
        options=options,
        model_sha256=sha256,
    )
    result.metadata.General.title = f"Orientation map of {title}" if title else "Orientation map"
