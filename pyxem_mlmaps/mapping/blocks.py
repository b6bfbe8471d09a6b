"""Blocks of whole patterns: how the mapping methods walk through a scan, lazy or not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._views import as_dask

__all__ = [
    "check_directions",
    "check_signal",
    "checked_shifts",
    "described",
    "map_blocks",
    "rows_of_block",
    "sample_patterns",
    "sampled",
    "whole_patterns",
]

BLOCK_BYTES = 2**25
"""Patterns of a signal in memory are cut into blocks of about so many bytes."""
SAMPLE_PATTERNS = 64
SAMPLE_BYTES = 2**28
"""A sample of a scan is at most so many patterns and bytes."""
SQUARE = 1.2
"""Ratio of the two scales of a detector above which its disks are no circles."""


def check_signal(signal: Any) -> None:
    """Raise if the patterns are not real numbers over 0, 1 or 2 scan axes, on square pixels.

    Raises
    ------
    TypeError
        For complex data.
    ValueError
        For more than two navigation dimensions, for patterns whose axes are named the other way
        round or not uniform, and for pixels that are far from square.
    """
    if np.issubdtype(signal.data.dtype, np.complexfloating):
        raise TypeError(
            f"the signal's data are complex ({signal.data.dtype}); intensities are real: use "
            "abs(s) ** 2 if these are wave amplitudes."
        )
    n = signal.axes_manager.navigation_dimension
    if n > 2:
        raise ValueError(
            f"the signal has {n} navigation dimensions; 0, 1 or 2 can be mapped. Take one slice "
            "of the others with s.inav first; s.squeeze() takes off those of size one."
        )
    x, y = signal.axes_manager.signal_axes
    if (x.name, y.name) == ("ky", "kx"):
        raise ValueError(
            "the patterns are transposed: the axis of their columns is named 'ky', that of their "
            "rows 'kx'. s.transpose(signal_axes=('kx', 'ky')) turns them back."
        )
    for axis in (x, y):
        if not axis.is_uniform:
            raise ValueError(
                f"signal axis {axis.name!r} is not uniform: disks are looked for in pixels, and "
                "each axis needs one scale and offset. Interpolate the patterns to a uniform axis."
            )
    if str(x.units) == str(y.units) and x.scale and y.scale:
        ratio = abs(x.scale / y.scale)
        if not 1 / SQUARE < ratio < SQUARE:
            raise ValueError(
                f"the pixels are not square: the scales of the signal axes are {x.scale:g} along "
                f"{x.name} and {y.scale:g} along {y.name}, so that disks are ellipses. Bin both "
                "axes alike, or correct the calibration."
            )


def check_directions(signal: Any) -> None:
    """Raise if a signal axis runs backwards: tilts are along kx and ky, and the axes tell which.

    Raises
    ------
    ValueError
        For an axis of negative scale.
    """
    x, y = signal.axes_manager.signal_axes
    if min(x.scale, y.scale) < 0:
        back = ", ".join("::-1" if axis.scale < 0 else ":" for axis in (x, y))
        raise ValueError(
            f"the signal axes have scales of {x.scale:g} along {x.name} and {y.scale:g} along "
            f"{y.name}: a negative one runs against the detector, which makes the sign of tilts "
            f"ambiguous. s.isig[{back}] turns data and axis round."
        )


def map_blocks(
    function: Callable[..., NDArray],
    signal: Any,
    descan: ArrayLike | str | None,
    size: tuple[int, ...],
    whole_pixels: bool = True,
) -> Any:
    """``function`` over blocks of whole patterns, scan chunks as they are stored.

    Parameters
    ----------
    function
        Takes a block (scan block, ky, kx), and unless ``descan`` is None the shifts of its patterns
        as ``shifts`` (n, 2), which are empty where they are to be measured; returns float64 of
        shape (scan block, *size).
    signal
        Diffraction2D, lazy or not.
    descan
        (scan, 2) shifts of the patterns (y, x) in pixels, ``"direct_beam"`` or None.
    size
        Shape of what the function makes of one pattern.
    whole_pixels
        Round the shifts of ``descan`` to integers.

    Returns
    -------
    dask array
        (scan, *size) float64.

    Raises
    ------
    ValueError
        If ``descan`` is neither of these, not of the scan's shape or not finite.
    """
    import dask
    import dask.array as da

    data = whole_patterns(signal)
    scan = tuple(range(data.ndim - 2))
    pattern = (data.ndim - 2, data.ndim - 1)
    answer = tuple(range(data.ndim, data.ndim + len(size)))
    # a node of the graph: it travels to each worker once, not with every task
    shared = dask.delayed(_Shared(function), traverse=False)
    arrays: list[Any] = [data, scan + pattern]
    shifts = None
    if isinstance(descan, str):
        if descan != "direct_beam":
            raise ValueError(f"descan={descan!r}: an array, 'direct_beam' or None is allowed.")
        shifts = np.empty((0, 2), dtype=np.int64)
    elif descan is not None:
        moved = checked_shifts(descan, data.shape[:-2])
        if whole_pixels:
            moved = np.round(moved).astype(np.int64)
        moved = da.from_array(moved, chunks=(*data.chunks[:-2], (2,)))
        arrays += [moved, (*scan, answer[-1] + 1)]
    # not da.map_blocks: where axes are dropped it copies every block
    return da.blockwise(
        _call,
        scan + answer,
        *arrays,
        function=shared,
        shifts=shifts,
        new_axes=dict(zip(answer, size, strict=True)),
        dtype=np.float64,
        meta=np.empty((0,) * (len(scan) + len(size))),
    )


class _Shared(NamedTuple):
    """Keeps dask from calling what it should hand on."""

    function: Callable[..., NDArray]


def _call(
    block: Any, moved: Any = None, *, function: _Shared, shifts: NDArray | None = None
) -> NDArray:
    """``function`` of a block and of the shifts of its patterns, if there are any."""
    if moved is not None:
        shifts = _alone(moved).reshape(-1, 2)
    block = _alone(block)
    return function.function(block) if shifts is None else function.function(block, shifts=shifts)


def _alone(blocks: Any) -> NDArray:
    """The one block along each axis that is not of the scan, out of dask's lists."""
    while isinstance(blocks, list):
        (blocks,) = blocks
    return blocks


def whole_patterns(signal: Any) -> Any:
    """The signal's data as a dask array whose blocks hold whole patterns, as they are stored."""
    data = signal.data
    if not hasattr(data, "dask"):
        rows = rows_of_block(data) if data.ndim > 2 else data.shape[0]
        data = as_dask(data, (rows, *data.shape[1:]))
    return data.rechunk({data.ndim - 2: -1, data.ndim - 1: -1})


def rows_of_block(data: NDArray) -> int:
    """Steps along the first scan axis that a block of an array in memory has."""
    per_block = max(1, BLOCK_BYTES // max(int(np.prod(data.shape[-2:])) * data.itemsize, 1))
    return max(1, per_block // max(int(np.prod(data.shape[1:-2])), 1))


def checked_shifts(descan: Any, scan: tuple[int, ...]) -> NDArray[np.float64]:
    """(scan, 2) shifts of the patterns (y, x), px.

    Raises
    ------
    ValueError
        If ``descan`` is a pyxem ``BeamShift``, not of the scan's shape or not finite.
    """
    if type(descan).__name__.endswith("BeamShift"):
        raise ValueError(
            "descan is a pyxem BeamShift: (x, y) shifts that would centre the beam. Give where the "
            "pattern moved, (y, x) in pixels: descan = -shifts.data[..., ::-1] for shifts in "
            "pixels, less their mean over the scan."
        )
    shifts = np.asarray(getattr(descan, "data", descan), dtype=float)
    if shifts.shape != (*scan, 2) or not np.all(np.isfinite(shifts)):
        raise ValueError(
            f"descan has shape {shifts.shape}; {(*scan, 2)} is needed: finite (y, x) shifts in "
            "pixels for every scan point."
        )
    return shifts


def described(descan: Any) -> Any:
    """``descan`` as plain values: shifts by their hash."""
    if descan is None or isinstance(descan, str):
        return descan
    shifts = np.ascontiguousarray(getattr(descan, "data", descan), dtype=float)
    return f"given, SHA-256 {hashlib.sha256(shifts.tobytes()).hexdigest()}"


def sample_patterns(
    signal: Any,
    show_progressbar: bool | None = None,
    text: str = "Looking at patterns",
    largest: int = SAMPLE_PATTERNS,
) -> NDArray:
    """(n, ky, kx) of the signal's patterns, at most ``largest``, spread evenly over the scan."""
    data = signal.data
    shape = data.shape[-2:]
    data = data[sampled(signal, largest)]
    if hasattr(data, "compute"):
        (data,) = compute(data, show_progressbar=show_progressbar, text=text)
    return np.asarray(data).reshape(-1, *shape)


def sampled(signal: Any, largest: int = SAMPLE_PATTERNS) -> tuple[slice, ...]:
    """Which scan points :func:`sample_patterns` takes."""
    scan, shape = signal.data.shape[:-2], signal.data.shape[-2:]
    most = int(np.clip(SAMPLE_BYTES // (4 * np.prod(shape)), 8, largest))
    step = 1
    while np.prod([-(-n // step) for n in scan]) > most:
        step += 1
    return tuple(slice(min(step // 2, n - 1), None, step) for n in scan)
