"""``ml_disk_positions``: block by block from patterns to the positions of their disks."""

from __future__ import annotations

import functools
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._version import __version__
from pyxem_mlmaps.mapping.blocks import (
    check_signal,
    checked_shifts,
    described,
    map_blocks,
    sample_patterns,
    sampled,
)
from pyxem_mlmaps.mapping.disk_locator import COLUMNS, PRESENT, UNREADABLE, DiskLocator
from pyxem_mlmaps.mapping.disk_optics import given_optics, with_optics
from pyxem_mlmaps.mapping.disk_vectors import RaggedRows, make_vectors, warn_of_bad_pixels
from pyxem_mlmaps.mapping.moving_lattice import find_moving_lattice
from pyxem_mlmaps.mapping.resumable import compute_into, describe_input
from pyxem_mlmaps.models.disk import DiskModel
from pyxem_mlmaps.models.packed import digest
from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from pyxem.signals import Diffraction2D, DiffractionVectors

__all__ = ["map_disk_positions"]


def map_disk_positions(
    signal: Diffraction2D,
    model: Any = None,
    lattice: DiskLattice | None = None,
    lazy_output: bool | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    absent: Literal["drop", "nan"] = "drop",
    max_strain: float = 0.05,
    min_presence: float = 0.9,
    optics: ArrayLike | Literal["measure"] | None = "measure",
    batch_size: int = 2048,
    out: str | Path | None = None,
) -> DiffractionVectors:
    """Measure the disks of every pattern; see ``Diffraction2D.ml_disk_positions``."""
    check_signal(signal)
    _check_options(absent, max_strain, min_presence, batch_size)
    model = _checked_model(model)
    given = given_optics(optics)
    sample = functools.cache(lambda: sample_patterns(signal, show_progressbar))
    if lattice is None:
        lattice = find_moving_lattice(signal, show_progressbar, sample, _shifts_of(signal, descan))
    if given is not None and isinstance(lattice, DiskLattice):
        lattice = lattice.replace(radius=given.radius)
    _check_lattice(
        signal, lattice, model, "lattice.radius" if given is None else "radius of optics"
    )

    dtype = signal.data.dtype
    saturation = float(np.iinfo(dtype).max) if dtype.kind in "iu" else np.inf
    locator = DiskLocator(model, lattice, min_presence, max_strain, int(batch_size), saturation)
    locator = with_optics(locator, sample, optics)
    lattice = locator.lattice
    tables = map_blocks(locator, signal, descan, (len(lattice), len(COLUMNS)), whole_pixels=False)
    lazy = signal._lazy if lazy_output is None else bool(lazy_output)
    options = {
        "descan": described(descan),
        "max_strain": float(max_strain),
        "min_presence": float(min_presence),
        "radius": float(lattice.radius),
        "edge": float(locator.edge) or None,
    }
    bars = {"show_progressbar": show_progressbar, "num_workers": num_workers}
    bars["text"] = "Disk positions"
    sha256 = digest(model) if isinstance(model, DiskModel) else None
    if out is not None:
        job = {"method": "ml_disk_positions", "model": sha256, "lattice": lattice.to_dict()}
        job |= {"options": options, "input": describe_input(signal)}
        tables = compute_into(out, tables, job, **bars)
    provenance = {
        "lattice": lattice.to_dict(),
        "card": _card_of(model),
        "model_sha256": sha256,
        "options": options | {"absent": absent},
        "versions": {n: version(n) for n in ("hyperspy", "pyxem")} | {"pyxem_mlmaps": __version__},
    }
    axes = signal.axes_manager.signal_axes[::-1]
    scan = tables.ndim > 2
    ragged = RaggedRows(axes, lattice, absent, warn=lazy and scan)
    rows = _ragged(tables, ragged) if scan else tables
    if not (lazy and scan):
        rows, *counts = compute(rows, *_counts(tables), **bars)
        _warn(*(int(n) for n in counts), n_point=int(np.prod(tables.shape[:-2])))
    vectors = make_vectors(rows if scan else ragged.vectors(rows), signal, provenance)
    return vectors.as_lazy() if lazy and not scan else vectors


def _shifts_of(signal: Any, descan: Any) -> Any:
    """(n, 2) shifts of the sampled patterns where ``descan`` gives them, else None."""
    if descan is None or isinstance(descan, str) or signal.axes_manager.navigation_dimension == 0:
        return None
    shifts = checked_shifts(descan, signal.data.shape[:-2])
    return shifts[sampled(signal)].reshape(-1, 2)


def _ragged(tables: Any, function: RaggedRows) -> Any:
    """A dask array of objects over the scan."""
    n = tables.ndim
    return tables.map_blocks(
        function,
        dtype=object,
        drop_axis=[n - 2, n - 1],
        meta=np.empty((0,) * (n - 2), dtype=object),
    )


def _counts(tables: Any) -> tuple[Any, Any, Any]:
    """How many points have unreadable disks, how many such disks, how many disks were found."""
    status = tables[..., COLUMNS.index("status")]
    unreadable = status == UNREADABLE
    return unreadable.any(axis=-1).sum(), unreadable.sum(), (status == PRESENT).sum()


def _warn(n_bad: int, n_unreadable: int, n_found: int, n_point: int) -> None:
    warn_of_bad_pixels(n_bad, n_point, n_unreadable)
    if n_found == 0:
        warnings.warn(
            f"no disk was found in any of {n_point} patterns. Look at lattice.plot(s) whether the "
            "lattice lies on the disks, and at its radius. Take off a camera's constant offset.",
            stacklevel=4,
        )


def _check_options(absent: Any, max_strain: Any, min_presence: Any, batch_size: Any) -> None:
    if absent not in ("drop", "nan"):
        raise ValueError(f"absent={absent!r}: 'drop' or 'nan' is allowed.")
    check_numbers(
        max_strain=(max_strain, 1e-4, 0.3),
        min_presence=(min_presence, 0.0, 1.0),
        batch_size=(batch_size, 1, 1e9),
    )
    if batch_size != int(batch_size):
        raise TypeError(f"batch_size={batch_size!r}: a whole number of disks is needed.")


def _checked_model(model: Any) -> Any:
    if model is None:
        from pyxem_mlmaps.models.io import load_model

        model = load_model("disks")
    if not hasattr(model, "locate"):
        raise TypeError(
            f"model is a {type(model).__name__}; a DiskModel is needed, from train_disk_model or "
            "load_model, or None for the one that comes with the package."
        )
    return model


def _check_lattice(signal: Any, lattice: Any, model: Any, name: str) -> None:
    """Radius (which the caller knows by ``name``) within the model's range, no overlap, and disks
    on the detector."""
    if not isinstance(lattice, DiskLattice):
        raise TypeError(f"lattice is a {type(lattice).__name__}; a DiskLattice is needed.")
    low, high = model.radius_range
    if not low <= lattice.radius <= high:
        factor = max(2, int(np.ceil(lattice.radius / high)))
        scan = ", ".join(["1"] * signal.axes_manager.navigation_dimension + [f"{factor}"] * 2)
        remedy = (
            f"Bin the patterns, s.rebin(scale=({scan}))"
            if lattice.radius > high
            else "Record with a longer camera length or a larger convergence angle"
        )
        raise ValueError(
            f"{name}={lattice.radius:g} px is not within the {low:g} to {high:g} px that "
            f"the model covers. {remedy}, or train a model for it."
        )
    shape = signal.data.shape[-2:]
    room = np.array(shape) - 0.5 - lattice.radius
    inside = np.all(
        (lattice.positions >= lattice.radius - 0.5) & (lattice.positions <= room), axis=1
    )
    if not inside.any():
        lattice.check_fits(shape)
    lattice.replace(indices=lattice.indices[inside]).check_fits(shape)
    if not inside.all():
        warnings.warn(
            f"{int((~inside).sum())} of the lattice's {len(lattice)} disks lie off the detector of "
            f"{shape[0]} x {shape[1]} px; they are absent unless descan or strain brings them in.",
            stacklevel=4,
        )


def _card_of(model: Any) -> dict[str, Any] | None:
    card = getattr(model, "card", None)
    return card.to_dict() if hasattr(card, "to_dict") else None
