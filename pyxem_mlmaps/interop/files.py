"""Files that ``py4DSTEM.save`` wrote, read lazily and without py4DSTEM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxem_mlmaps.interop._py4dstem import require_py4dstem
from pyxem_mlmaps.interop.calibration import CubeCalibration
from pyxem_mlmaps.interop.datacube import as_signal, from_datacube

if TYPE_CHECKING:
    from pyxem.signals import ElectronDiffraction2D

__all__ = ["read_py4dstem"]


def read_py4dstem(
    path: str | Path,
    datapath: str | None = None,
    *,
    lazy: bool = True,
    beam_energy: float | None = None,
) -> ElectronDiffraction2D:
    """Read a scan from a file written by ``py4DSTEM.save``, with its calibration.

    Parameters
    ----------
    path
        HDF5 file of py4DSTEM 0.14 or later (EMD 1.0). py4DSTEM itself is not needed to read it.
        Older files are read by py4DSTEM, at once.
    datapath
        Path of the ``DataCube`` in the file, needed if there are several.
    lazy
        Whether to read patterns only when they are needed. The file must stay where it is then;
        it is not kept open, and dask workers in other processes can read it too.
    beam_energy
        keV, see :func:`from_datacube`.

    Returns
    -------
    signal
        As from :func:`from_datacube`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is not one of py4DSTEM's, or holds no scan, or several.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> s = interop.read_py4dstem("scan.h5")  # doctest: +SKIP
    >>> vectors = s.ml_disk_positions()  # doctest: +SKIP
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path={str(path)!r}: there is no such file.")
    if not h5py.is_hdf5(path):
        raise ValueError(
            f"path={str(path)!r} is not an HDF5 file as py4DSTEM.save writes it. Read files of "
            "detectors with hyperspy.api.load, or py4DSTEM.import_file and from_datacube."
        )
    with h5py.File(path, "r") as file:
        modern = "emd_group_type" in file.attrs
        if modern:
            group = _find(file, path, datapath)
            params = _calibration(file, group)
            blocks = _Blocks(path, file[group]["data"])
    if not modern:
        return from_datacube(_read_old(path, datapath), lazy=lazy, beam_energy=beam_energy)
    calibration = CubeCalibration.from_params(params, beam_energy)
    title = group.rsplit("/", 1)[-1]
    return as_signal(blocks.as_dask() if lazy else blocks[...], calibration, lazy, title)


def _read_old(path: Path, datapath: str | None) -> Any:
    """A file from before py4DSTEM 0.14, which py4DSTEM knows how to read."""
    py4dstem = require_py4dstem("reading a file older than py4DSTEM 0.14")
    try:
        return py4dstem.read(path, datapath=datapath)
    except Exception as error:  # py4DSTEM raises bare exceptions for what it does not know
        raise ValueError(
            f"path={str(path)!r} is an HDF5 file, but not one that py4DSTEM can read ({error}). "
            "HyperSpy's own files are read with hyperspy.api.load."
        ) from error


def _find(file: Any, path: Path, datapath: str | None) -> str:
    """Name of the one group that is a ``DataCube``."""
    kinds: dict[str, str] = {}
    file.visititems(lambda name, item: kinds.update({name: item.attrs.get("python_class", "")}))
    cubes = [name for name, kind in kinds.items() if kind == "DataCube"]
    if datapath is not None:
        wanted = datapath.strip("/")
        cubes = [name for name in cubes if name == wanted or name.startswith(wanted + "/")]
    if len(cubes) == 1:
        return cubes[0]
    if cubes:
        raise ValueError(f"path={str(path)!r} holds several scans: give datapath, one of {cubes}.")
    inside = sorted(f"{name} ({kind})" for name, kind in kinds.items() if kind not in ("", "Root"))
    raise ValueError(
        f"path={str(path)!r}, datapath={datapath!r}: no DataCube is there, but "
        f"{', '.join(inside) or 'nothing'}. Read BraggVectors with py4DSTEM.read, and give them to "
        "from_braggvectors."
    )


def _calibration(file: Any, group: str) -> dict[str, Any]:
    """Numbers, strings and arrays of the calibration at the root of the tree."""
    params: dict[str, Any] = {"Q_pixel_size": 1.0, "R_pixel_size": 1.0}
    params |= {"Q_pixel_units": "pixels", "R_pixel_units": "pixels"}
    bundle = file[group.split("/")[0]].get("metadatabundle", {})
    for item in bundle.values():
        if item.attrs.get("python_class") != "Calibration":
            continue
        for key, value in item.items():
            if not hasattr(value, "shape"):  # lists and tuples of arrays: none of ours
                continue
            content = value[()]
            text = isinstance(content, bytes)
            content = content.decode() if text else content
            params[key] = None if text and content == "_None" else content
    return params


class _Blocks:
    """An HDF5 data set that is opened for every block: it can be sent to other processes."""

    def __init__(self, path: Path, dataset: Any) -> None:
        self.path, self.name = str(path.resolve()), dataset.name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.chunks = dataset.chunks

    def __getitem__(self, where: Any) -> Any:
        import h5py

        with h5py.File(self.path, "r") as file:
            return np.asarray(file[self.name][where])

    def as_dask(self) -> Any:
        import dask.array as da

        wanted = ("auto",) * (self.ndim - 2) + (-1, -1)
        chunks = da.core.normalize_chunks(
            wanted, self.shape, dtype=self.dtype, previous_chunks=self.chunks
        )
        # no name from path and shape: another file may come to lie there
        return da.from_array(
            self, chunks=chunks, name=False, asarray=False, meta=np.empty(0, self.dtype)
        )
