"""Libraries on disk by content: simulated once for each crystal, beam, orientation and range.

What is kept is what the library is needed for: anything that saves itself to a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

__all__ = ["LibraryCache", "content_key", "default_folder"]

PHYSICS = 2
"""Raised whenever the simulator's answers change: cached libraries of before are not used then."""

ENDING = ".npz"


class Kept(Protocol):
    """What can be kept."""

    def save(self, path: str | Path) -> None:
        """Write a single file."""


Item = TypeVar("Item", bound=Kept)


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
    """Files in a folder, named by their content, at most so many bytes of them.

    Parameters
    ----------
    folder
        Made when first needed. None: the user's cache folder.
    largest
        Bytes. What was not used for longest is removed when it is exceeded.

    Attributes
    ----------
    hits, misses
        How often something was found, and how often it had to be made.
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
        """Where the file of that key is or will be."""
        return self.folder / f"{key}{ENDING}"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def get(self, key: str, make: Callable[[], Item], load: Callable[[Path], Item]) -> Item:
        """What has that key, from disk or made now and kept.

        A file that ``load`` refuses (``ValueError``, ``OSError``) is made again. Where the folder
        cannot be written the item is made and not kept, with a warning.
        """
        path = self.path(key)
        if path.is_file():
            try:
                item = load(path)
                os.utime(path)
                self.hits += 1
                return item
            except (OSError, ValueError):
                path.unlink(missing_ok=True)
        item = make()
        self.misses += 1
        try:
            self._keep(item, path)
        except OSError as error:
            import warnings

            warnings.warn(
                f"cache folder {str(self.folder)!r} cannot be written ({error}); the library is "
                "simulated again next time. Give another cache=.",
                stacklevel=2,
            )
        return item

    def _keep(self, item: Kept, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.new")
        try:
            item.save(partial)
            partial.replace(path)  # the same content if another process was first
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self.shrink(keep=path)

    def size(self) -> int:
        """Bytes in the folder."""
        return sum(stat.st_size for _, stat in self._files())

    def shrink(self, keep: Path | None = None) -> None:
        """Remove what was not used for longest until the folder is within its limit."""
        known = self._files()
        total = sum(stat.st_size for _, stat in known)
        for path, stat in sorted(known, key=lambda pair: pair[1].st_mtime):
            if total <= self.largest:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= stat.st_size

    def clear(self) -> None:
        """Remove all files of the folder that are the cache's."""
        for path, _ in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.folder.glob(f"*{ENDING}") if self.folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                found.append((path, path.stat()))
        return found


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return np.round(value, 9).tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no content to hash.")
