"""What is read of a model file, and no more: the card, plain arrays, the self-test.

Members are named, their sizes limited, their arrays unpickled never; anything else is refused or,
where it belongs to Keras, left alone.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.self_test import INPUTS, OUTPUTS, SelfTest

__all__ = [
    "ARRAYS",
    "CARD",
    "LARGEST",
    "SELF_TEST",
    "check_members",
    "read_arrays",
    "read_json",
    "read_self_test",
    "write_arrays",
    "write_self_test",
]

OURS = "pyxem_mlmaps/"
CARD = OURS + "card.json"
ARRAYS = OURS + "arrays/"
SELF_TEST = OURS + "self_test/"
RECORD = SELF_TEST + "record.json"
LARGEST = {CARD: 64 * 2**20, "array": 8 * 2**30, SELF_TEST: 4 * 2**20, RECORD: 2**16}
"""Bytes of a member."""


def check_members(archive: zipfile.ZipFile) -> None:
    """Raise unless every name stands once, so that all readers read the same."""
    names = archive.namelist()
    twice = sorted({name for name in names if names.count(name) > 1 and name.startswith(OURS)})
    if twice:
        raise ValueError(f"the model file holds {twice} more than once.")


def read_json(archive: zipfile.ZipFile, name: str) -> Any:
    """A member as plain values."""
    try:
        return json.loads(_read(archive, name, LARGEST[name]))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is damaged ({error}).") from error


def read_arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """The arrays of the model, by name."""
    arrays = {}
    for name in archive.namelist():
        if name.startswith(ARRAYS) and name.endswith(".npy"):
            array = _read_array(archive, name, LARGEST["array"])
            if array.dtype.kind not in "fi" or not np.all(np.isfinite(array)):
                raise ValueError(f"{name} in the model file does not hold finite numbers.")
            arrays[name[len(ARRAYS) : -len(".npy")]] = array
    return arrays


def read_self_test(archive: zipfile.ZipFile, kind: str) -> SelfTest | None:
    """The self-test of a model of that kind ("orientation", "disk"); None in files without one."""
    found = {name for name in archive.namelist() if name.startswith(SELF_TEST)}
    if not found:
        return None
    members = {name: f"{SELF_TEST}{name}.npy" for name in (*INPUTS[kind], *OUTPUTS[kind])}
    needed = {RECORD, *members.values()}
    if found != needed:
        raise ValueError(
            f"its self-test is not whole: missing {sorted(needed - found)}, "
            f"not known {sorted(found - needed)}."
        )
    arrays = {
        name: _read_array(archive, member, LARGEST[SELF_TEST]) for name, member in members.items()
    }
    record = read_json(archive, RECORD)
    if not isinstance(record, dict) or set(record) != {"sha256", "versions"}:
        raise ValueError(f"{RECORD} in the model file is not valid.")
    return SelfTest(
        {name: arrays[name] for name in INPUTS[kind]},
        {name: arrays[name] for name in OUTPUTS[kind]},
        **record,
    )


def write_arrays(
    archive: zipfile.ZipFile, arrays: Mapping[str, NDArray[Any]], folder: str = ARRAYS
) -> None:
    """The inverse of :func:`read_arrays`."""
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        archive.writestr(f"{folder}{name}.npy", buffer.getvalue())


def write_self_test(archive: zipfile.ZipFile, test: SelfTest) -> None:
    """The inverse of :func:`read_self_test`."""
    write_arrays(archive, {**test.inputs, **test.outputs}, SELF_TEST)
    record = {"sha256": test.sha256, "versions": dict(test.versions)}
    archive.writestr(RECORD, json.dumps(record, indent=1))


def _read_array(archive: zipfile.ZipFile, name: str, largest: int) -> NDArray[Any]:
    raw = _read(archive, name, largest)
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{name} in the model file is not a plain array: {error}") from None


def _read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A member's bytes; a header that claims more than the file can hold is refused."""
    size = archive.getinfo(name).file_size
    if size > largest:
        raise ValueError(f"{name} in the model file claims {size} bytes; {largest} is the limit.")
    with archive.open(name) as member:
        return member.read(largest + 1)
