"""Jobs that go on where they stopped: answers are written to a zarr store, block by block.

A store holds the answers, a flag for each block that is finished, and a description of the job: the
model, the input, every option that changes an answer. A flag is written after its block, and both
replace whole files, so a job can be killed at any moment.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._version import __version__

__all__ = ["compute_into", "describe_input"]

ANSWERS, FINISHED, JOB = "answers", "finished", "pyxem_mlmaps_job"
LOOKED_AT = 3
"""Patterns along each scan axis that identify an input."""
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""A disk that is full or read-only takes no other block either."""


def describe_input(signal: Any) -> dict[str, Any]:
    """What tells a scan from another one: shape, type, axes, and a hash of some patterns.

    Parameters
    ----------
    signal
        Diffraction2D, lazy or not. Corners, middles of the edges and the middle of the scan are
        read.
    """
    import dask

    data, axes = signal.data, signal.axes_manager
    places = [np.unique(np.linspace(0, n - 1, LOOKED_AT).astype(int)) for n in data.shape[:-2]]
    patterns = [data[place] for place in itertools.product(*(p.tolist() for p in places))]
    total = hashlib.sha256()
    for pattern in dask.compute(*patterns, scheduler="threads"):
        total.update(np.ascontiguousarray(pattern).tobytes())
    return {
        "shape": list(data.shape),
        "dtype": str(data.dtype),
        "axes": [[str(a.units), float(a.scale), float(a.offset)] for a in axes.signal_axes],
        "patterns": total.hexdigest(),
    }


def compute_into(
    path: str | Path,
    array: Any,
    job: dict[str, Any],
    show_progressbar: bool | None,
    num_workers: int | None,
    text: str,
) -> Any:
    """Compute a dask array into a zarr store; blocks that are there already are not computed again.

    Parameters
    ----------
    path
        Of the store. It is made, or goes on if it holds the same job.
    array
        (scan, ...) in one block but for the scan axes.
    job
        Everything that the answers depend on, as plain values.
    show_progressbar, num_workers, text
        As in :func:`pyxem_mlmaps._progress.compute`.

    Returns
    -------
    dask array
        The answers, read from the store.

    Raises
    ------
    ValueError
        If the store belongs to another job or is none of this package's, naming what differs.
    RuntimeError
        If blocks could not be computed or written, naming them. All others are kept.
    """
    import dask.array as da

    path = Path(path)
    array = array.rechunk(tuple(max(sizes) for sizes in array.chunks))
    job = json.loads(json.dumps(job | {"version": __version__, "chunks": list(array.chunksize)}))
    finished = _open(path, array, job)
    blocks = array.to_delayed().reshape(array.numblocks)
    pending = {
        index: _write(blocks[index], str(path), index, array.chunksize)
        for index in np.ndindex(array.numblocks)
        if not finished[index]
    }
    failed = _compute_all(
        pending,
        path,
        {"show_progressbar": show_progressbar, "num_workers": num_workers, "text": text},
    )
    if failed:
        index, error = next(iter(failed.items()))
        low = [i * size for i, size in zip(index, array.chunksize, strict=True)]
        high = [min(a + c, n) for a, c, n in zip(low, array.chunksize, array.shape, strict=True)]
        scan = ", ".join(f"{a} to {b - 1}" for a, b in zip(low, high, strict=True))
        raise RuntimeError(
            f"out={str(path)!r}: {len(failed)} of {len(pending)} blocks were not finished, the "
            f"first at index {scan} of the answers: {error!r}. All others are kept; call again "
            "with the same arguments to go on."
        ) from error
    return da.from_zarr(str(path), component=ANSWERS)


def _open(path: Path, array: Any, job: dict[str, Any]) -> NDArray[np.bool_]:
    """Flags of the store's blocks; what is missing of the store is made, the description first."""
    import zarr

    if path.exists() and not path.is_dir():
        raise ValueError(f"out={str(path)!r} is a file; give the path of a folder to be made.")
    try:
        group = zarr.open_group(str(path), mode="a")
        begun = sorted(group.attrs) or [item for item in path.iterdir() if item.name != ".zgroup"]
        there = group.attrs.get(JOB)
        if there is None and begun:
            raise ValueError(
                f"out={str(path)!r} exists and holds no job of pyxem_mlmaps: give another path."
            )
        if there is None:
            group.attrs[JOB] = there = job
        different = sorted(k for k in job.keys() | there.keys() if job.get(k) != there.get(k))
        if different:
            raise ValueError(
                f"out={str(path)!r} holds another job: {', '.join(different)} differ. Give another "
                "path, or delete the folder to begin anew."
            )
        sizes = {"shape": array.shape, "chunks": array.chunksize}
        group.require_dataset(ANSWERS, **sizes, dtype="f8", fill_value=np.nan)
        sizes = {"shape": array.numblocks, "chunks": (1,) * array.ndim}
        flags = group.require_dataset(FINISHED, **sizes, dtype="u1", fill_value=0)
        return np.asarray(flags[...], dtype=bool)
    except OSError as error:
        raise RuntimeError(f"out={str(path)!r} cannot be written: {error}.") from error


def _write(block: Any, path: str, index: tuple[int, ...], size: tuple[int, ...]) -> Any:
    import dask

    return dask.delayed(_write_block, pure=False)(block, path, list(index), list(size))


def _write_block(block: NDArray, path: str, index: list[int], size: list[int]) -> None:
    import zarr

    group = zarr.open_group(path, mode="r+")
    where = tuple(slice(i * c, i * c + n) for i, c, n in zip(index, size, block.shape, strict=True))
    group[ANSWERS][where] = block
    group[FINISHED][tuple(index)] = 1


def _compute_all(
    pending: dict[tuple[int, ...], Any], path: Path, bars: dict[str, Any]
) -> dict[tuple[int, ...], Exception]:
    """Errors of the blocks that cannot be finished: the others are, whatever happens to these."""
    import zarr

    if not pending:
        return {}
    try:
        compute(*pending.values(), **bars)
        return {}
    except Exception as error:
        finished = zarr.open_group(str(path), mode="r")[FINISHED][...]
        left = {index: task for index, task in pending.items() if not finished[index]}
        if not left:
            raise
        if len(left) == 1 or getattr(error, "errno", None) in HOPELESS:
            return dict.fromkeys(left, error)
    indices = list(left)
    failed: dict[tuple[int, ...], Exception] = {}
    for half in (indices[: len(indices) // 2], indices[len(indices) // 2 :]):
        fatal = [e for e in failed.values() if getattr(e, "errno", None) in HOPELESS]
        if fatal:
            return failed | dict.fromkeys(half, fatal[0])
        failed |= _compute_all({index: left[index] for index in half}, path, bars)
    return failed
