"""A registry: a JSON file that says which file is which model, and what its hash is.

    {"kind": "pyxem_mlmaps.registry",
     "format_version": 1,
     "models": {
      "gasb_110": {"file": "gasb_110.keras", "sha256": "…", "description": "GaSb [110], 300 keV"},
      "silicon": {"url": "https://…/silicon.keras", "sha256": "…", "description": "…"}}}

A ``file`` lies in the folder of the registry or below it, on a disk or behind an address; a ``url``
may lead anywhere. Every model is held to its hash.
"""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pyxem_mlmaps.models.download import (
    check_hash,
    checked_hash,
    download_model,
    download_registry,
    is_address,
)
from pyxem_mlmaps.models.page import Page, Section, as_html, as_text
from pyxem_mlmaps.models.sharing import LONGEST, NAME

__all__ = ["Registry", "RegistryEntry", "add_entry", "nearest", "read_registry"]

KIND = "pyxem_mlmaps.registry"
FORMAT = 1
LARGEST = 4 * 2**20
"""Bytes of a registry."""


@dataclass(frozen=True)
class RegistryEntry:
    """One model of a registry.

    Parameters
    ----------
    name, sha256, description
        As the registry states them.
    location
        Path or address of the file.
    registry
        Path or address of the registry.
    """

    name: str
    sha256: str
    description: str
    location: str
    registry: str

    def fetch(self, sha256: str | None = None) -> Path:
        """The model's file, downloaded if need be; its hash is that of the registry.

        Parameters
        ----------
        sha256
            What the user was told by another way: the registry must say the same.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it has another hash.
        """
        if sha256 is not None and checked_hash(sha256) != self.sha256:
            raise ValueError(
                f"sha256={sha256!r}: registry {self.registry!r} states {self.sha256} for "
                f"{self.name!r}, which is another file. It is not loaded."
            )
        if is_address(self.location):
            return download_model(self.location, self.sha256)
        path = Path(self.location)
        if not path.is_file():
            raise FileNotFoundError(
                f"registry {self.registry!r} names {self.location!r} for {self.name!r}; there is "
                "no such file."
            )
        check_hash(path, self.sha256)
        return path


@dataclass(frozen=True, eq=False, repr=False)
class Registry(Mapping[str, RegistryEntry]):
    """Models by name. Printed, and in Jupyter, it is a table.

    Parameters
    ----------
    entries
        By name.
    """

    entries: Mapping[str, RegistryEntry]

    def __getitem__(self, name: str) -> RegistryEntry:
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        return as_text(self._page())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self._page())

    def _page(self) -> Page:
        sections = []
        for location in dict.fromkeys(entry.registry for entry in self.values()):
            mine = [entry for entry in self.values() if entry.registry == location]
            facts = tuple((entry.name, entry.description or "-") for entry in mine)
            sections.append(Section(location, facts))
        return Page("Models by name", "" if sections else "none", tuple(sections))


def read_registry(location: str | Path) -> Registry:
    """Read a registry and check it whole.

    Parameters
    ----------
    location
        Path or address.

    Returns
    -------
    Registry

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged, of a newer format, names a model twice, or a file outside its folder.
    """
    try:
        if is_address(location):
            address = str(location)
            return download_registry(address, lambda path: Registry(_entries(path, address)))
        path = Path(location)
        if not path.is_file():
            raise FileNotFoundError(f"registry={str(location)!r}: there is no such file.")
        return Registry(_entries(path, str(path.resolve())))
    except ValueError as error:
        raise ValueError(f"registry={str(location)!r} is not valid: {error}") from error


def nearest(name: str, names: Any) -> str:
    """What to say of a name that is not known: those that are near it, or all."""
    names = sorted(set(names))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    return f"There are: {', '.join(names[:20])}." if names else "It names no models."


def add_entry(path: Path, name: str, file: str, sha256: str, description: str) -> None:
    """Put a model into the registry at ``path``, made where there is none, and check it."""
    values = {"kind": KIND, "format_version": FORMAT, "models": {}}
    if path.exists():
        read_registry(path)
        values = _json(path)
    values["models"][name] = {"file": file, "sha256": sha256, "description": description}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / path.name
        partial.write_text(
            json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        Path(partial).replace(path)
    read_registry(path)


def _entries(path: Path, where: str) -> dict[str, RegistryEntry]:
    values = _json(path)
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ValueError(f"it is no registry of models (kind {KIND!r}).")
    version = values.get("format_version")
    if not isinstance(version, int) or version > FORMAT:
        raise ValueError(
            f"it has format {version!r}; this version of pyxem_mlmaps reads up to {FORMAT}: "
            "update the package."
        )
    models = values.get("models")
    unknown = sorted(set(values) - {"kind", "format_version", "models"})
    if unknown or not isinstance(models, dict):
        raise ValueError(f"it needs a table of models, and knows nothing of {unknown}.")
    return {name: _entry(name, values, where) for name, values in models.items()}


def _entry(name: str, values: Any, where: str) -> RegistryEntry:
    if not NAME.fullmatch(name):
        raise ValueError(f"a model is named {name!r}; letters, digits, '_' and '-' are allowed.")
    kinds = {"file", "url"} & set(values) if isinstance(values, dict) else set()
    if len(kinds) != 1 or not set(values) <= {*kinds, "sha256", "description"}:
        raise ValueError(f"{name!r} needs file or url, sha256 and description; it is {values!r}.")
    description = values.get("description", "")
    if not isinstance(description, str) or len(description) > LONGEST:
        raise ValueError(f"the description of {name!r} is no text, or too long.")
    if not isinstance(values.get("sha256"), str):
        raise ValueError(f"{name!r} has no sha256.")
    sha256 = checked_hash(values["sha256"])
    if "url" in values:
        location = values["url"]
        if not is_address(location):
            raise ValueError(f"the url of {name!r} is {location!r}; https://… is needed.")
    else:
        location = _beside(name, values["file"], where)
    return RegistryEntry(name, sha256, description, location, where)


def _beside(name: str, file: Any, where: str) -> str:
    """Path or address of a file in the folder of the registry, or below it."""
    path = PurePosixPath(file) if isinstance(file, str) else PurePosixPath()
    strange = not path.name or path.is_absolute() or ".." in path.parts
    if strange or any(c in file for c in "\\:\0"):
        raise ValueError(
            f"the file of {name!r} is {file!r}; a path with '/' within the registry's folder is "
            "needed."
        )
    if is_address(where):
        return urljoin(urlsplit(where)._replace(query="", fragment="").geturl(), quote(str(path)))
    folder = Path(where).parent
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ValueError(f"the file of {name!r} is a link that leads out of the registry's folder.")
    return str(found)


def _json(path: Path) -> Any:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it has {path.stat().st_size} bytes; {LARGEST} is the limit.")
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"it is damaged ({error}).") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON; a name that stands twice is refused, not overwritten."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{twice} is there twice.")
    return dict(pairs)
