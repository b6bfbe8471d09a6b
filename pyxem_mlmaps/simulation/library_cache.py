"""Libraries on disk by content: simulated once for each crystal, beam, orientation and range."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyxem_mlmaps.simulation.library import RockingLibrary

__all__ = ["LibraryCache", "content_key", "default_folder"]

PHYSICS = 1
"""Raised whenever the simulator's answers change: cached libraries of before are not used then."""


def default_folder() -> Path:
    """The user's cache folder for this package."""
    import pooch

    return Path(pooch.os_cache("pyxem_mlmaps")) / "libraries"


def content_key(**content: Any) -> str:
    """Hash of everything that makes a library: values, and the versions that computed it."""
    from importlib.metadata import version

    content = content | {"physics": PHYSICS, "abtem": version("abtem")}
    text = json.dumps(content, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass
class LibraryCache:
    """Rocking libraries in a folder, at most so many bytes of them.

    Parameters
    ----------
    folder
        Made when first needed. None: the user's cache folder.
    largest
        Bytes. Libraries that were not used for longest are removed when it is exceeded.

    Attributes
    ----------
    hits, misses
        How many libraries were found, and how many had to be simulated.
    """

    folder: Path | None = None
    largest: float = 4e9
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.folder = default_folder() if self.folder is None else Path(self.folder)
        if not self.largest > 0:
            raise ValueError(f"largest={self.largest!r}: give a positive number of bytes.")

    def path(self, key: str) -> Path:
        """Where the library of that key is or will be."""
        return self.folder / f"{key}.zarr"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_dir()

    def get(self, key: str, make: Callable[[], RockingLibrary]) -> RockingLibrary:
        """The library of that key, from disk or made now and kept.

        A library that cannot be read is made again. Where the folder cannot be written the
        library is made and not kept, with a warning.
        """
        path = self.path(key)
        if path.is_dir():
            try:
                library = _checked(RockingLibrary.load(path))
                os.utime(path)
                self.hits += 1
                return library
            except (OSError, ValueError, KeyError, RuntimeError, TypeError):
                shutil.rmtree(path, ignore_errors=True)
        library = make()
        self.misses += 1
        try:
            self._keep(library, path)
        except OSError as error:
            import warnings

            warnings.warn(
                f"cache folder {str(self.folder)!r} cannot be written ({error}); the library is "
                "simulated again next time. Give another cache=.",
                stacklevel=2,
            )
        return library

    def _keep(self, library: RockingLibrary, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.new")
        try:
            library.save(partial, show_progressbar=False)
        except BaseException:
            for leftover in self.folder.glob(f"{partial.stem}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            raise
        try:
            partial.rename(path)
        except OSError:  # another process was first
            shutil.rmtree(partial, ignore_errors=True)
        self.shrink(keep=path)

    def size(self) -> int:
        """Bytes in the folder."""
        return sum(_bytes(p) for p in self.folder.glob("*.zarr")) if self.folder.is_dir() else 0

    def shrink(self, keep: Path | None = None) -> None:
        """Remove what was not used for longest until the folder is within its limit."""
        stores = sorted(self.folder.glob("*.zarr"), key=lambda p: p.stat().st_mtime)
        sizes = {p: _bytes(p) for p in stores}
        total = sum(sizes.values())
        for path in stores:
            if total <= self.largest:
                return
            if path != keep:
                shutil.rmtree(path, ignore_errors=True)
                total -= sizes[path]

    def clear(self) -> None:
        """Remove all libraries of the folder."""
        for path in self.folder.glob("*.zarr"):
            shutil.rmtree(path, ignore_errors=True)


def _checked(library: RockingLibrary) -> RockingLibrary:
    """A library without holes: a chunk that is lost reads as zeros."""
    for values in (library.intensities, library.maps):
        if values is not None and not np.all(np.asarray(values).sum(axis=3) > 0):
            raise ValueError("a part of the library is missing")
    return library


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return np.round(value, 9).tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no content to hash.")
