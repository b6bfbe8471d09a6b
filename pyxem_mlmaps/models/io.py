"""Model files: a zip of a card and plain arrays. Nothing in a file is ever executed.

The file is also a Keras archive (``keras.models.load_model`` opens the bare network), but this
package reads none of that part: it rebuilds its own architecture from the validated card.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.card import FORMAT, KIND, ModelCard
from pyxem_mlmaps.models.contents import (
    assemble_disk,
    assemble_orientation,
    disk_arrays,
    orientation_arrays,
)
from pyxem_mlmaps.models.disk import DiskModel
from pyxem_mlmaps.models.disk_card import DISK_KIND, DiskCard
from pyxem_mlmaps.models.orientation import OrientationModel

__all__ = ["header_of", "load_model", "save_model"]

CARD = "pyxem_mlmaps/card.json"
ARRAYS = "pyxem_mlmaps/arrays/"
SHIPPED = {"disks": "disks.keras"}
"""Models in the package, by name; ``benchmarks/train_disks.py`` makes them."""
LARGEST = {CARD: 64 * 2**20, "array": 8 * 2**30}


def load_model(path: str | Path, sha256: str | None = None) -> OrientationModel | DiskModel:
    """Load a model: one that ships with the package, a file, or one from the web.

    Parameters
    ----------
    path
        ``"disks"`` for the disk model that ships with the package, a ``.keras`` file that
        :meth:`OrientationModel.save` or :meth:`DiskModel.save` wrote, or an ``https`` address of
        such a file. It is downloaded once, into the user's cache folder.
    sha256
        Hash that the file must have, 64 hexadecimal digits; needed for an address. Ask whoever
        offers the model, by another way than the address.

    Returns
    -------
    OrientationModel or DiskModel
        Whichever the file holds.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is truncated, damaged, of a newer format, has another hash, or is not one of this
        package's models. No code in a file is ever run.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> mlmaps.load_model("disks").radius_range
    (4.0, 60.0)
    >>> model = mlmaps.load_model("gasb_110.keras")  # doctest: +SKIP
    """
    if isinstance(path, str) and path in SHIPPED:
        return _load_shipped(path)
    if sha256 is not None:
        sha256 = _checked_hash(sha256)
    if isinstance(path, str) and path.startswith(("http://", "https://")):
        path = _downloaded(path, sha256)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"path={str(path)!r}: no such model file. Models that ship with the package: "
            f"{', '.join(SHIPPED)}."
        )
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"path={str(path)!r} has SHA-256 {found}, not {sha256}: it is another file than "
                "the one that was meant, or was changed on the way. It is not loaded."
            )
    return _load(path)


def _checked_hash(sha256: str) -> str:
    digits = str(sha256).lower().removeprefix("sha256:")
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"sha256={sha256!r}: 64 hexadecimal digits are needed.")
    return digits


def _downloaded(address: str, sha256: str | None) -> Path:
    import pooch

    if sha256 is None:
        raise ValueError(
            f"path={address!r} is an address: give sha256=, the hash that whoever offers the model "
            "states, so that no other file is taken for it."
        )
    try:
        file = pooch.retrieve(
            address,
            known_hash=f"sha256:{sha256}",
            fname=f"{sha256}.keras",
            path=pooch.os_cache("pyxem_mlmaps") / "models",
        )
    except ValueError as error:
        raise ValueError(
            f"path={address!r}: what was downloaded has another SHA-256 than {sha256}. It is not "
            "loaded."
        ) from error
    except OSError as error:
        raise FileNotFoundError(f"path={address!r} cannot be downloaded: {error}.") from error
    return Path(file)


@functools.cache
def _load_shipped(name: str) -> OrientationModel | DiskModel:
    return _load(Path(__file__).parent / "shipped" / SHIPPED[name])


def _load(path: Path) -> OrientationModel | DiskModel:
    try:
        with zipfile.ZipFile(path) as archive:
            kind, card = _read_card(archive, path)
            arrays = _read_arrays(archive)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"path={str(path)!r} is truncated, damaged or no model file ({error}). Copy or train "
            "it again."
        ) from error
    except (EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as error:
        raise ValueError(f"path={str(path)!r} cannot be read as a model: {error!r}.") from error
    try:
        return KINDS[kind][1](card, arrays)
    except ValueError as error:
        raise ValueError(f"path={str(path)!r} is not consistent: {error}") from error


def save_model(model: OrientationModel | DiskModel, path: Path) -> None:
    """Write ``model``; an existing file is replaced only when the new one is complete."""
    arrays = disk_arrays(model) if isinstance(model, DiskModel) else orientation_arrays(model)
    text = json.dumps(header_of(model), indent=1)
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


def header_of(model: OrientationModel | DiskModel) -> dict[str, Any]:
    """What a file says of its model beside the arrays."""
    return {
        "kind": DISK_KIND if isinstance(model, DiskModel) else KIND,
        "format_version": FORMAT,
        "card": model.card.to_dict(),
    }


def _read_card(archive: zipfile.ZipFile, path: Path) -> tuple[str, ModelCard | DiskCard]:
    if CARD not in archive.namelist():
        raise ValueError(
            f"path={str(path)!r} is an archive without a pyxem_mlmaps card: a model of another "
            "program. Only models saved by pyxem_mlmaps are loaded."
        )
    try:
        header = json.loads(_read(archive, CARD, LARGEST[CARD]))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"path={str(path)!r}: its card is damaged ({error}).") from error
    kind = header.get("kind") if isinstance(header, dict) else type(header).__name__
    if not isinstance(header, dict) or kind not in KINDS:
        raise ValueError(f"path={str(path)!r} holds a {kind!r}; one of {list(KINDS)} is needed.")
    version = header.get("format_version")
    if not isinstance(version, int) or version > FORMAT:
        raise ValueError(
            f"path={str(path)!r} has model format {version!r}; this version of pyxem_mlmaps reads "
            f"up to {FORMAT}: update the package."
        )
    try:
        return kind, KINDS[kind][0].from_dict(header.get("card"))
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


KINDS: dict[str, tuple[Any, Callable[..., Any]]] = {
    KIND: (ModelCard, assemble_orientation),
    DISK_KIND: (DiskCard, assemble_disk),
}
