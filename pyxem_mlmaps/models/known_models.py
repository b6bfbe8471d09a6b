"""Which models there are by name: the package's own, and those of registries that the user adds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pyxem_mlmaps.models.download import is_address
from pyxem_mlmaps.models.registry import Registry, RegistryEntry, nearest, read_registry
from pyxem_mlmaps.models.sharing import NAME

__all__ = ["ENVIRONMENT", "OWN", "available_models", "find_model", "register_models"]

OWN = Path(__file__).resolve().parent / "shipped" / "registry.json"
ENVIRONMENT = "PYXEM_MLMAPS_REGISTRY"
"""Paths or addresses of registries, with ';' between them."""

_registered: dict[str, Registry] = {}
"""By path or address, in the order in which they were added."""


def register_models(registry: str | Path) -> Registry:
    """Make the models of a registry known by name, until Python ends.

    The environment variable ``PYXEM_MLMAPS_REGISTRY`` (several with ";" between them) does so for
    every session. The package's own names keep their meaning.

    Parameters
    ----------
    registry
        Path or address of a registry; :meth:`DiskModel.export` and :meth:`OrientationModel.export`
        write one. Behind an address it is read when it is registered, and the copy that was
        fetched last is used where there is no connection.

    Returns
    -------
    Registry
        Its models; printed, a table.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, of a newer format, names a model twice, or a file outside its folder.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> mlmaps.register_models("https://my.lab/models/registry.json")  # doctest: +SKIP
    >>> model = mlmaps.load_model("gasb_110")  # doctest: +SKIP
    """
    read = read_registry(registry)
    _registered[_key(registry)] = read
    return read


def available_models(registry: str | Path | None = None) -> Registry:
    """The models that :func:`load_model` knows by name.

    Parameters
    ----------
    registry
        Path or address of one registry. None: the package's own models and those of every
        registry that was registered or stands in ``PYXEM_MLMAPS_REGISTRY``.

    Returns
    -------
    Registry
        Names and what is known of each: ``description``, ``sha256``, ``location``. Printed, and
        in Jupyter, it is a table. A name that two registries use is listed once, as the first of
        them has it.

    Raises
    ------
    FileNotFoundError, ValueError
        If ``registry`` is not there or not valid. One that was registered before and has gone
        since is left out with a warning.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> list(mlmaps.available_models())
    ['disks']
    """
    if registry is not None:
        return read_registry(registry)
    entries: dict[str, RegistryEntry] = {}
    for known in _others():
        entries = {**known, **entries}
    own = _own()
    others = sorted(set(entries) - set(own))
    return Registry({**own, **{name: entries[name] for name in others}})


def find_model(path: str | Path, registry: str | Path | None = None) -> RegistryEntry | None:
    """The model of that name, or None where it is no name that is known.

    Raises
    ------
    ValueError
        If ``registry`` is given and has no such name, or registries use it for different files.
    FileNotFoundError
        If ``registry`` is not there.
    """
    if registry is not None:
        known = read_registry(registry)
        if str(path) not in known:
            raise ValueError(
                f"path={str(path)!r} is no model of registry {str(registry)!r}. "
                f"{nearest(str(path), known)}"
            )
        return known[str(path)]
    if not isinstance(path, str) or not NAME.fullmatch(path):
        return None
    own = _own()
    if path in own:
        return own[path]
    found = [known[path] for known in _others() if path in known]
    if len({entry.sha256 for entry in found}) > 1:
        raise ValueError(
            f"path={path!r} is another model in each of "
            f"{[entry.registry for entry in found]}: say which one with registry=."
        )
    return found[0] if found else None


def _own() -> Registry:
    """What comes with the package, under its name instead of a path."""
    entries = read_registry(OWN).entries.values()
    return Registry({e.name: replace(e, registry="pyxem_mlmaps") for e in entries})


def _others() -> Iterator[Registry]:
    """Every registry of the user's that can be read now; a warning for each that cannot."""
    stated = [part.strip() for part in os.environ.get(ENVIRONMENT, "").split(";")]
    for location in dict.fromkeys([*_registered, *(_key(part) for part in stated if part)]):
        try:
            yield _read(location)
        except (FileNotFoundError, ValueError) as error:
            warnings.warn(f"left out: {error}", stacklevel=3)


def _read(location: str) -> Registry:
    """A file as it is now; what an address gave when it was first needed."""
    if not is_address(location):
        return read_registry(location)
    if location not in _registered:
        _registered[location] = read_registry(location)
    return _registered[location]


def _key(registry: str | Path) -> str:
    return registry if is_address(registry) else str(Path(registry).resolve())
