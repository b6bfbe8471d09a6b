"""py4DSTEM's ``DataCube`` and HyperSpy's lazy or computed diffraction signals."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._views import as_dask
from pyxem_mlmaps.interop._py4dstem import require_py4dstem
from pyxem_mlmaps.interop.calibration import CubeCalibration

if TYPE_CHECKING:
    from py4DSTEM import DataCube
    from pyxem.signals import ElectronDiffraction2D

__all__ = ["as_signal", "from_datacube", "to_datacube"]

MEMORY_SHARE = 0.8
"""Of the available memory that a scan may take when it is computed."""


def from_datacube(
    datacube: DataCube, *, lazy: bool | None = None, beam_energy: float | None = None
) -> ElectronDiffraction2D:
    """A pyxem signal of a py4DSTEM ``DataCube``, with its calibration.

    Parameters
    ----------
    datacube
        (scan y, scan x, ky, kx), which py4DSTEM calls (Rx, Ry, Qx, Qy): nothing is transposed.
    lazy
        Whether the signal is lazy. None: as the data are, lazy for a memory map (``import_file``
        with ``mem="MEMMAP"``), an HDF5 data set or a dask array, computed for an array in memory.
    beam_energy
        keV; py4DSTEM has no fixed place for it. None reads ``accelerating_voltage`` (V) of the
        calibration, where :func:`to_datacube` puts it.

    Returns
    -------
    signal
        ``ElectronDiffraction2D`` or its lazy variant. An array in memory is shared, not copied.
        The axes have their zero at the mean origin and py4DSTEM's units (Å⁻¹, mrad or px); beam
        energy and convergence angle are in the metadata. What has no place in a signal (the origin
        of each pattern, the rotation between detector and scan, the ellipse) is kept in
        ``metadata.Py4DSTEM`` for the way back.

    Raises
    ------
    TypeError
        If it is no ``DataCube``.
    ValueError
        If the data have other than four dimensions, or are complex.

    Warns
    -----
    UserWarning
        If the detector is not calibrated. Strain does not need it, orientation does.

    Examples
    --------
    >>> import py4DSTEM  # doctest: +SKIP
    >>> from pyxem_mlmaps import interop
    >>> cube = py4DSTEM.import_file("scan.dm4", mem="MEMMAP")  # doctest: +SKIP
    >>> cube.calibration.set_Q_pixel_size(0.0123)  # doctest: +SKIP
    >>> cube.calibration.set_Q_pixel_units("A^-1")  # doctest: +SKIP
    >>> s = interop.from_datacube(cube)  # doctest: +SKIP
    """
    if not hasattr(datacube, "calibration") or not hasattr(datacube, "data"):
        raise TypeError(
            f"datacube is a {type(datacube).__name__}; a py4DSTEM DataCube is needed. A file is "
            "read with pyxem_mlmaps.interop.read_py4dstem."
        )
    calibration = CubeCalibration.from_params(datacube.calibration._params, beam_energy)
    return as_signal(datacube.data, calibration, lazy, str(datacube.name))


def as_signal(data: Any, calibration: CubeCalibration, lazy: bool | None, title: str) -> Any:
    """The signal of (scan y, scan x, ky, kx) data of any kind."""
    from pyxem.signals import ElectronDiffraction2D, LazyElectronDiffraction2D

    if len(data.shape) != 4:
        raise ValueError(
            f"datacube: data of shape {data.shape}; (scan y, scan x, ky, kx) is needed. Give one "
            "slice of a stack."
        )
    if np.dtype(data.dtype).kind == "c":
        raise ValueError(f"datacube: complex data ({data.dtype}); intensities are needed.")
    shift = calibration.origin_shift
    if shift is not None and shift.shape[:2] != data.shape[:2]:
        raise ValueError(
            f"datacube: its origin is calibrated for a scan of {shift.shape[:2]} points, and the "
            f"scan has {data.shape[:2]}. Measure the origin again."
        )
    in_memory = isinstance(data, np.ndarray) and not isinstance(data, np.memmap)
    if lazy is None:
        lazy = not in_memory
    if lazy:
        if not hasattr(data, "dask"):
            data = as_dask(data, ("auto", "auto", -1, -1))
        signal = LazyElectronDiffraction2D(data)
    else:
        signal = ElectronDiffraction2D(np.asarray(data))
    calibration.describe(signal)
    signal.metadata.General.title = title
    if calibration.q_units == "pixels":
        warnings.warn(
            "the detector of this datacube is not calibrated (Q_pixel_units is 'pixels'): strain "
            "does not need it, orientations do. Set it with "
            "datacube.calibration.set_Q_pixel_size and set_Q_pixel_units('A^-1').",
            stacklevel=3,
        )
    return signal


def to_datacube(
    signal: ElectronDiffraction2D,
    *,
    out: str | Path | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> DataCube:
    """A py4DSTEM ``DataCube`` of a diffraction signal, with its calibration.

    py4DSTEM works on arrays. A lazy signal is computed, with a progress bar; give ``out`` for one
    that is too large for memory.

    Parameters
    ----------
    signal
        Diffraction2D with at most two scan dimensions; a line becomes a scan of one row, a
        pattern a scan of one point.
    out
        Path of a ``.npy`` file. A lazy signal is written into it block by block, and the data of
        the ``DataCube`` are a memory map of it. The file must not exist.
    show_progressbar, num_workers
        For lazy signals. None follows HyperSpy's preference; ``num_workers`` goes to dask.

    Returns
    -------
    datacube
        ``DataCube`` with pixel sizes and units (nm⁻¹ becomes Å⁻¹; py4DSTEM knows Å⁻¹, mrad and
        pixels), origin, convergence angle and, as ``accelerating_voltage`` in V, the beam energy.
        An array in memory is shared, not copied.

    Raises
    ------
    ImportError
        Without py4DSTEM.
    MemoryError
        If a lazy signal would take most of the available memory.
    ValueError
        If there are more than two scan dimensions, or axes that py4DSTEM cannot hold: it has one
        pixel size for ky and kx, and one for the scan.
    FileExistsError
        If ``out`` is there already.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> s = mlmaps.data.finfet((8, 12))  # doctest: +SKIP
    >>> cube = mlmaps.interop.to_datacube(s)  # doctest: +SKIP
    >>> cube.get_virtual_image(  # doctest: +SKIP
    ...     mode="annulus", geometry=(cube.calibration.get_origin_mean(), (20, 80)), name="df"
    ... )
    """
    py4dstem = require_py4dstem("to_datacube")
    if not hasattr(signal, "axes_manager") or signal.axes_manager.signal_dimension != 2:
        raise TypeError(f"signal is a {type(signal).__name__}; a Diffraction2D is needed.")
    data, scan = signal.data, signal.data.shape[:-2]
    if len(scan) > 2:
        raise ValueError(
            f"signal: {len(scan)} scan dimensions; a DataCube has two. Take one slice of the "
            "others with inav."
        )
    calibration = CubeCalibration.from_signal(signal)
    shape = (1,) * (2 - len(scan)) + data.shape
    data = _in_memory(data.reshape(shape), out, show_progressbar, num_workers)
    title = signal.metadata.get_item("General.title", default="")
    name = title.replace("/", "-") or "datacube"  # names become paths in py4DSTEM's files
    datacube = py4dstem.DataCube(data, name=name)
    calibration.write_to(datacube.calibration)
    return datacube


def _in_memory(
    data: Any, out: str | Path | None, show_progressbar: bool | None, num_workers: int | None
) -> Any:
    bars = {"show_progressbar": show_progressbar, "num_workers": num_workers}
    if out is not None:
        import dask.array as da

        path = Path(out)
        if path.exists():
            raise FileExistsError(f"out={str(out)!r} exists already: delete it or give another.")
        file = np.lib.format.open_memmap(path, mode="w+", dtype=data.dtype, shape=data.shape)
        blocks = data if hasattr(data, "dask") else as_dask(data, "auto")
        writing = da.store(blocks, file, lock=False, compute=False)
        compute(writing, text="Writing", **bars)
        file.flush()
        return file
    if not hasattr(data, "dask"):
        return np.asarray(data)
    available = _available_memory()
    if available is not None and data.nbytes > MEMORY_SHARE * available:
        raise MemoryError(
            f"signal: {data.nbytes / 2**30:.1f} GiB when computed, with {available / 2**30:.1f} "
            "GiB of memory available. Give out='scan.npy' to have py4DSTEM work on a memory map, "
            "or cut (inav, isig) or rebin the signal first."
        )
    return compute(data, text="Computing", **bars)[0]


def _available_memory() -> int | None:
    """Bytes, or None where it cannot be told. psutil comes with py4DSTEM."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
