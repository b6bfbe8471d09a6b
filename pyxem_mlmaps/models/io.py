"""Model files: a zip of a card and plain arrays. Nothing in a file is ever executed.

The file is also a Keras archive (``keras.models.load_model`` opens the bare network), but this
package reads none of that part: it rebuilds its own architecture from the validated card.
"""

from __future__ import annotations

import functools
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyxem_mlmaps.models.archive import (
    ARRAYS,
    CARD,
    LARGEST,
    check_members,
    read_arrays,
    read_json,
    read_self_test,
    write_arrays,
    write_self_test,
)
from pyxem_mlmaps.models.card import FORMAT, KIND, ModelCard
from pyxem_mlmaps.models.contents import (
    assemble_disk,
    assemble_orientation,
    disk_arrays,
    orientation_arrays,
)
from pyxem_mlmaps.models.disk import DiskModel
from pyxem_mlmaps.models.disk_card import DISK_KIND, DiskCard
from pyxem_mlmaps.models.download import check_hash, checked_hash, download_model, is_address
from pyxem_mlmaps.models.known_models import OWN, available_models, find_model
from pyxem_mlmaps.models.orientation import OrientationModel
from pyxem_mlmaps.models.registry import nearest
from pyxem_mlmaps.models.self_test import check_fits, make_self_test

__all__ = ["ARRAYS", "CARD", "LARGEST", "header_of", "load_model", "locate_model", "save_model"]


def load_model(
    path: str | Path, sha256: str | None = None, registry: str | Path | None = None
) -> OrientationModel | DiskModel:
    """Load a model: by name, from a file, or from the web.

    Parameters
    ----------
    path
        A name that :func:`pyxem_mlmaps.available_models` lists, as ``"disks"`` for the disk model
        that ships with the package; a ``.keras`` file that :meth:`OrientationModel.save` or
        :meth:`DiskModel.save` wrote; or an ``https`` address of such a file. What is fetched is
        kept in the user's cache folder.
    sha256
        Hash that the file must have, 64 hexadecimal digits; needed for an address. Ask whoever
        offers the model, by another way than the address.
    registry
        Path or address of a registry that ``path`` is a name of; its hashes are enough then. Who
        controls a registry behind an address decides which models its names stand for.

    Returns
    -------
    OrientationModel or DiskModel
        Whichever the file holds.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no such name.
    ValueError
        If it is truncated, damaged, of a newer format, has another hash, or is not one of this
        package's models; if ``registry`` is not valid or has no such name. No code in a file is
        ever run.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> mlmaps.load_model("disks").radius_range
    (4.0, 60.0)
    >>> model = mlmaps.load_model("gasb_110.keras")  # doctest: +SKIP
    >>> model = mlmaps.load_model("gasb_110", registry="to_share/registry.json")  # doctest: +SKIP
    """
    found = locate_model(path, sha256, registry)
    return _load_own(found) if found.parent == OWN.parent else _load(found)


def locate_model(
    path: str | Path, sha256: str | None = None, registry: str | Path | None = None
) -> Path:
    """The file that :func:`load_model` would load, its hash checked."""
    entry = find_model(path, registry)
    if entry is not None:
        return entry.fetch(sha256)
    if sha256 is not None:
        sha256 = checked_hash(sha256)
    if is_address(path):
        return download_model(str(path), sha256)
    file = Path(path)
    if not file.is_file():
        hint = "" if file.suffix else f" {nearest(str(path), available_models())}"
        raise FileNotFoundError(
            f"path={str(path)!r}: there is no such model file, and no model of that name.{hint} "
            "available_models() lists the names."
        )
    if sha256 is not None:
        check_hash(file, sha256)
    return file


@functools.cache
def _load_own(path: Path) -> OrientationModel | DiskModel:
    return _load(path)


def _load(path: Path) -> OrientationModel | DiskModel:
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive)
            kind, card = _read_card(archive, path)
            arrays = read_arrays(archive)
            test = read_self_test(archive, KINDS[kind][2])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"path={str(path)!r} is truncated, damaged or no model file ({error}). Copy or train "
            "it again."
        ) from error
    except (EOFError, OSError, NotImplementedError, RuntimeError, KeyError) as error:
        raise ValueError(f"path={str(path)!r} cannot be read as a model: {error!r}.") from error
    try:
        model = replace(KINDS[kind][1](card, arrays), self_test=test)
        check_fits(model)
        return model
    except ValueError as error:
        raise ValueError(f"path={str(path)!r} is not consistent: {error}") from error


def save_model(model: OrientationModel | DiskModel, path: Path) -> None:
    """Write ``model``; an existing file is replaced only when the new one is complete."""
    arrays = disk_arrays(model) if isinstance(model, DiskModel) else orientation_arrays(model)
    text = json.dumps(header_of(model), indent=1)
    test = make_self_test(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / "model.keras"
        model.to_keras().save(partial)
        with zipfile.ZipFile(partial, "a", compression=zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(CARD, text)
            write_arrays(archive, arrays)
            write_self_test(archive, test)
        partial.replace(path)


def header_of(model: OrientationModel | DiskModel) -> dict[str, Any]:
    """What a file says of its model beside the arrays."""
    return {
        "kind": DISK_KIND if isinstance(model, DiskModel) else KIND,
        "format_version": FORMAT if model.card.stated() else 1,
        "card": model.card.to_dict(),
    }


def _read_card(archive: zipfile.ZipFile, path: Path) -> tuple[str, ModelCard | DiskCard]:
    if CARD not in archive.namelist():
        raise ValueError(
            f"path={str(path)!r} is an archive without a pyxem_mlmaps card: a model of another "
            "program. Only models saved by pyxem_mlmaps are loaded."
        )
    header = read_json(archive, CARD)
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


KINDS: dict[str, tuple[Any, Callable[..., Any], str]] = {
    KIND: (ModelCard, assemble_orientation, "orientation"),
    DISK_KIND: (DiskCard, assemble_disk, "disk"),
}
