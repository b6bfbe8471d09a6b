"""Model files: a zip of a card and plain arrays. Nothing in a file is ever executed.

The file is also a Keras archive (``keras.models.load_model`` opens the bare network), but this
package reads none of that part: it rebuilds its own architecture from the validated card.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.card import FORMAT, KIND, ModelCard
from pyxem_mlmaps.models.orientation import OrientationModel
from pyxem_mlmaps.simulation.spline import LibrarySpline
from pyxem_mlmaps.training.network import Network

__all__ = ["load_model", "save_model"]

CARD = "pyxem_mlmaps/card.json"
ARRAYS = "pyxem_mlmaps/arrays/"
LARGEST = {CARD: 64 * 2**20, "array": 8 * 2**30}


def load_model(path: str | Path) -> OrientationModel:
    """Load a model saved by :meth:`OrientationModel.save`.

    Parameters
    ----------
    path
        A ``.keras`` file written by this package.

    Returns
    -------
    OrientationModel

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, damaged, of a newer format, or not one of this package's models. No
        code in a file is ever run.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> model = mlmaps.load_model("gasb_110.keras")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path={str(path)!r}: no such model file.")
    try:
        with zipfile.ZipFile(path) as archive:
            card = _read_card(archive, path)
            arrays = _read_arrays(archive)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"path={str(path)!r} is truncated, damaged or no model file ({error}). Copy or train "
            "it again."
        ) from error
    except (EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as error:
        raise ValueError(f"path={str(path)!r} cannot be read as a model: {error!r}.") from error
    return _assemble(card, arrays, path)


def save_model(model: OrientationModel, path: Path) -> None:
    """Write ``model``; an existing file is replaced only when the new one is complete."""
    arrays = {
        "coefficients": model.spline.coefficients,
        "start": model.spline.start,
        "step": model.spline.step,
        "size": np.asarray(model.spline.size, dtype=np.int64),
    }
    for name in ("input_mean", "input_scale", "output_mean", "output_scale"):
        arrays[name] = getattr(model.network, name)
    for index, (kernel, bias) in enumerate(
        zip(model.network.kernels, model.network.biases, strict=True)
    ):
        arrays[f"kernel_{index}"], arrays[f"bias_{index}"] = kernel, bias
    header = {"kind": KIND, "format_version": FORMAT, "card": model.card.to_dict()}
    text = json.dumps(header, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / "model.keras"
        model.to_keras().save(partial)
        with zipfile.ZipFile(partial, "a", compression=zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(CARD, text)
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
                archive.writestr(f"{ARRAYS}{name}.npy", buffer.getvalue())
        os.replace(partial, path)


def _read_card(archive: zipfile.ZipFile, path: Path) -> ModelCard:
    if CARD not in archive.namelist():
        raise ValueError(
            f"path={str(path)!r} is an archive without a pyxem_mlmaps card: a model of another "
            "program. Only models saved by pyxem_mlmaps are loaded."
        )
    try:
        header = json.loads(_read(archive, CARD, LARGEST[CARD]))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"path={str(path)!r}: its card is damaged ({error}).") from error
    if not isinstance(header, dict) or header.get("kind") != KIND:
        kind = header.get("kind") if isinstance(header, dict) else type(header).__name__
        raise ValueError(f"path={str(path)!r} holds a {kind!r}, not a {KIND!r}.")
    version = header.get("format_version")
    if not isinstance(version, int) or version > FORMAT:
        raise ValueError(
            f"path={str(path)!r} has model format {version!r}; this version of pyxem_mlmaps reads "
            f"up to {FORMAT}: update the package."
        )
    try:
        return ModelCard.from_dict(header.get("card"))
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"path={str(path)!r}: its card is not valid: {error}") from error


def _read_arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name in archive.namelist():
        if name.startswith(ARRAYS) and name.endswith(".npy"):
            raw = _read(archive, name, LARGEST["array"])
            try:
                array = np.load(io.BytesIO(raw), allow_pickle=False)
            except ValueError as error:
                raise ValueError(
                    f"{name} in the model file is not a plain array: {error}"
                ) from None
            if array.dtype.kind not in "fi" or not np.all(np.isfinite(array)):
                raise ValueError(f"{name} in the model file does not hold finite numbers.")
            arrays[name[len(ARRAYS) : -len(".npy")]] = array
    return arrays


def _read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A member's bytes; a header that claims more than the file can hold is refused."""
    size = archive.getinfo(name).file_size
    if size > largest:
        raise ValueError(f"{name} in the model file claims {size} bytes; {largest} is the limit.")
    with archive.open(name) as member:
        return member.read(largest + 1)


def _assemble(card: ModelCard, arrays: dict[str, NDArray[Any]], path: Path) -> OrientationModel:
    n_layer = len(card.hidden) + 1
    needed = {"coefficients", "start", "step", "size"}
    needed |= {"input_mean", "input_scale", "output_mean", "output_scale"}
    needed |= {f"{kind}_{i}" for kind in ("kernel", "bias") for i in range(n_layer)}
    missing = sorted(needed - set(arrays))
    unknown = sorted(set(arrays) - needed)
    if missing or unknown:
        raise ValueError(
            f"path={str(path)!r} does not hold what its card says: missing {missing}, "
            f"not known {unknown}."
        )
    try:
        network = Network(
            kernels=tuple(arrays[f"kernel_{i}"] for i in range(n_layer)),
            biases=tuple(arrays[f"bias_{i}"] for i in range(n_layer)),
            **{n: arrays[n] for n in ("input_mean", "input_scale", "output_mean", "output_scale")},
        )
        if network.hidden != list(card.hidden):
            raise ValueError(
                f"the card states layers {card.hidden}, the file has {network.hidden}."
            )
        for name in ("start", "step", "size", "output_mean", "output_scale"):
            if arrays[name].shape != (3,):
                raise ValueError(f"{name} has shape {arrays[name].shape}, not (3,).")
        if network.input_scale.shape != network.input_mean.shape:
            raise ValueError("input_mean and input_scale are of different length.")
        spline = LibrarySpline(*(arrays[n] for n in ("coefficients", "start", "step", "size")))
        if spline.coefficients.ndim != 4 or not np.array_equal(
            np.asarray(spline.coefficients.shape[:3]), np.asarray(spline.size) + 2
        ):
            raise ValueError(
                f"the library's coefficients have shape {spline.coefficients.shape} for "
                f"{spline.size.tolist()} grid points."
            )
        return OrientationModel(network, spline, card)
    except ValueError as error:
        raise ValueError(f"path={str(path)!r} is not consistent: {error}") from error
