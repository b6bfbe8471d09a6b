"""Models as bytes: how they travel to other processes, and how they are told apart.

A model is a card (JSON) and plain arrays. Both are checked when a process builds the model from
them, once, whatever the number of tasks that need it. No code travels.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from pyxem_mlmaps.models.sharing import NOT_STATED

if TYPE_CHECKING:
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.orientation import OrientationModel

__all__ = ["digest", "pack", "unpack"]

CARD = "card"
_lock = threading.Lock()


def pack(model: OrientationModel | DiskModel) -> bytes:
    """Card and arrays of a model as one NumPy archive."""
    card, arrays = _contents(model)
    file = io.BytesIO()
    np.savez(file, **{CARD: np.frombuffer(card, dtype=np.uint8)}, **arrays)
    return file.getvalue()


def unpack(data: bytes) -> OrientationModel | DiskModel:
    """The model that :func:`pack` wrote, built once per process.

    Raises
    ------
    ValueError
        If the bytes are none of a model, or not consistent.
    """
    with _lock:
        return _build(data)


@lru_cache(maxsize=8)
def _build(data: bytes) -> OrientationModel | DiskModel:
    from pyxem_mlmaps.models.io import KINDS

    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = dict(archive)
    header = json.loads(arrays.pop(CARD).tobytes())
    card_type, assemble, _ = KINDS[header["kind"]]
    return assemble(card_type.from_dict(header["card"]), arrays)


def digest(model: OrientationModel | DiskModel) -> str:
    """SHA-256 of card and arrays: equal for models that give equal answers.

    What the owner states of the model (author, licence, …) is not in it.
    """
    known = _digests.get(model)
    if known is None:
        known = _digests[model] = _digest(model)
    return known


_digests: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _digest(model: Any) -> str:
    card, arrays = _contents(model.with_card(**NOT_STATED))
    total = hashlib.sha256(card)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _contents(model: Any) -> tuple[bytes, dict[str, Any]]:
    from pyxem_mlmaps.models.contents import disk_arrays, orientation_arrays
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.io import header_of

    arrays = disk_arrays(model) if isinstance(model, DiskModel) else orientation_arrays(model)
    return json.dumps(header_of(model), sort_keys=True).encode(), arrays
