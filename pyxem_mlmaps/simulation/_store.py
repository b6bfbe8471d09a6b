"""Rocking libraries on disk: one zarr group, parameters in its attributes."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pyxem_mlmaps._views import as_dask
from pyxem_mlmaps.simulation.library import FORMAT, RockingLibrary
from pyxem_mlmaps.specs import Beam

_AXES = ("tilt_x", "tilt_y", "thickness", "indices", "vectors", "base_rotation")


def save_library(
    library: RockingLibrary, path: Path, overwrite: bool, show_progressbar: bool | None = None
) -> None:
    import zarr

    from pyxem_mlmaps._progress import compute

    if path.exists() and not overwrite:
        raise FileExistsError(f"path={str(path)!r} exists; give overwrite=True to replace it.")
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.open_group(str(partial), mode="w")
    for name in _AXES:
        value = getattr(library, name)
        if value is not None:
            group.create_dataset(name, data=np.asarray(value))
    stores = []
    for name in ("intensities", "maps"):
        value = getattr(library, name)
        if value is None:
            continue
        array = value if hasattr(value, "dask") else as_dask(value, (32, 32, -1, -1))
        chunks = tuple(c[0] for c in array.chunks)
        target = group.create_dataset(name, shape=array.shape, chunks=chunks, dtype="f4")
        stores.append(array.astype("f4").rechunk(chunks).store(target, compute=False, lock=False))
    compute(*stores, show_progressbar=show_progressbar, text="Saving")
    group.attrs.update(
        format="pyxem_mlmaps.RockingLibrary",
        format_version=FORMAT,
        beam=None if library.beam is None else asdict(library.beam),
        crystal=library.crystal,
        parameters=json.loads(json.dumps(library.parameters, default=_plain)),
    )
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)


def load_library(path: Path, lazy: bool) -> RockingLibrary:
    import dask.array as da
    import zarr

    if not path.exists():
        raise FileNotFoundError(f"path={str(path)!r}: no such library.")
    try:
        group = zarr.open_group(str(path), mode="r")
    except Exception as error:
        raise ValueError(f"path={str(path)!r} is not a zarr group: {error}") from error
    attributes = dict(group.attrs)
    if attributes.get("format") != "pyxem_mlmaps.RockingLibrary":
        raise ValueError(f"path={str(path)!r} is a zarr group, but not a RockingLibrary.")
    if attributes["format_version"] > FORMAT:
        raise ValueError(
            f"path={str(path)!r} has format {attributes['format_version']}, this version of "
            f"pyxem_mlmaps reads up to {FORMAT}: update the package."
        )
    values = {name: group[name][...] for name in _AXES if name in group}
    for name in ("intensities", "maps"):
        if name in group:
            values[name] = da.from_zarr(group[name]) if lazy else group[name][...]
    beam = attributes["beam"]
    return RockingLibrary(
        **values,
        beam=None if beam is None else Beam(**beam),
        crystal=attributes["crystal"],
        parameters=attributes["parameters"],
    )


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a library's parameters.")
