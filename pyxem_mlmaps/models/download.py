"""Files named by an address: fetched once, kept in the user's cache, held to their hash."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["check_hash", "checked_hash", "download_model", "download_registry", "is_address"]

T = TypeVar("T")

PROJECT = "pyxem_mlmaps"
TIMEOUT = 30
"""Seconds that a server may be silent."""


def is_address(path: object) -> bool:
    """Whether ``path`` is fetched rather than opened."""
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def checked_hash(sha256: str) -> str:
    """64 lower-case hexadecimal digits."""
    digits = str(sha256).lower().removeprefix("sha256:")
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"sha256={sha256!r}: 64 hexadecimal digits are needed.")
    return digits


def check_hash(path: Path, sha256: str) -> None:
    """Raise ``ValueError`` unless the file has that hash."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(
            f"path={str(path)!r} has SHA-256 {found}, not {sha256}: it is another file than "
            "the one that was meant, or was changed on the way. It is not loaded."
        )


def download_model(address: str, sha256: str | None) -> Path:
    """Where the file of that hash lies, fetched from ``address`` if need be."""
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
            path=pooch.os_cache(PROJECT) / "models",
        )
    except ValueError as error:
        raise ValueError(
            f"path={address!r}: what was downloaded has another SHA-256 than {sha256}. It is not "
            "loaded."
        ) from error
    except OSError as error:
        raise FileNotFoundError(f"path={address!r} cannot be downloaded: {error}.") from error
    return Path(file)


def download_registry(address: str, read: Callable[[Path], T]) -> T:
    """What ``read`` makes of the registry as it is now, or, without a connection, as it was last.

    What ``read`` refuses with a ``ValueError`` does not replace the copy that is kept.

    Raises
    ------
    FileNotFoundError
        If it cannot be fetched and never was.
    """
    import pooch

    folder = Path(pooch.os_cache(PROJECT)) / "registries"
    kept = folder / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        fetched = Path(temporary) / "registry.json"
        try:
            pooch.HTTPDownloader(timeout=TIMEOUT)(address, str(fetched), None)
        except OSError as error:
            if not kept.is_file():
                raise FileNotFoundError(
                    f"registry={address!r} cannot be downloaded: {error}."
                ) from error
            warnings.warn(
                f"registry={address!r} cannot be downloaded ({error}); the copy that was fetched "
                "last is used.",
                stacklevel=2,
            )
            return read(kept)
        result = read(fetched)
        Path(fetched).replace(kept)
    return result
