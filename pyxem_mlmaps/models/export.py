"""A folder that one can hand on: model files, their pages, hashes, and a registry of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyxem_mlmaps.models.card import ModelCard
from pyxem_mlmaps.models.io import save_model
from pyxem_mlmaps.models.page import Page, Section, as_markdown, html_document
from pyxem_mlmaps.models.registry import add_entry, read_registry
from pyxem_mlmaps.models.sharing import NAME

if TYPE_CHECKING:
    from pyxem_mlmaps.models.disk import DiskModel
    from pyxem_mlmaps.models.orientation import OrientationModel

__all__ = ["ExportedModel", "export_model", "name_of"]

REGISTRY = "registry.json"
SUMS = "SHA256SUMS"
WANTED = ("author", "licence")
"""Without these others cannot use a model."""


@dataclass(frozen=True)
class ExportedModel:
    """What :func:`export_model` wrote.

    Parameters
    ----------
    name
        Of the model in the registry.
    file, pages, sums, registry
        The model, its pages (Markdown, HTML), ``SHA256SUMS``, ``registry.json``.
    sha256
        Of the model's file.
    missing
        What the card does not state and others will ask for.
    """

    name: str
    file: Path
    pages: tuple[Path, ...]
    sums: Path
    registry: Path
    sha256: str
    missing: tuple[str, ...]

    def __str__(self) -> str:
        files = (self.file, *self.pages, self.sums, self.registry)
        lines = [f"{self.name} in {self.file.parent}: {', '.join(f.name for f in files)}"]
        lines += [f"  SHA-256  {self.sha256}"]
        lines += [
            f'  to load  mlmaps.load_model("{self.name}", registry="{self.registry.as_posix()}")'
        ]
        if self.missing:
            fields = ", ".join(f'{name}="…"' for name in self.missing)
            lines += [f"  not stated: {', '.join(self.missing)}; model.with_card({fields})"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def export_model(
    model: OrientationModel | DiskModel, folder: Path, name: str | None, overwrite: bool
) -> ExportedModel:
    """See :meth:`~pyxem_mlmaps.models.shareable.Shareable.export`."""
    name = name_of(model) if name is None else str(name)
    if not NAME.fullmatch(name):
        raise ValueError(
            f"name={name!r}: letters, digits, '_' and '-' are allowed, at most 64. It is also the "
            "name of the file."
        )
    registry, file = folder / REGISTRY, folder / f"{name}.keras"
    known: Mapping = read_registry(registry) if registry.exists() else {}
    if not overwrite and (file.exists() or name in known):
        raise FileExistsError(
            f"{str(folder)!r} has a model {name!r}; give another name=, or overwrite=True. Who "
            "uses that one knows it by its hash, and will not get another under its name."
        )
    folder.mkdir(parents=True, exist_ok=True)
    model = model.with_card(name=name)
    save_model(model, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    page = _page(model, file, sha256)
    pages = (file.with_suffix(".md"), file.with_suffix(".html"))
    pages[0].write_text(as_markdown(page), encoding="utf-8")
    pages[1].write_text(html_document(page), encoding="utf-8")
    add_entry(registry, name, file.name, sha256, model.card.description or page.title)
    sums = folder / SUMS
    sums.write_text(_sums(read_registry(registry), folder), encoding="utf-8", newline="\n")
    missing = tuple(field for field in WANTED if not getattr(model.card, field))
    return ExportedModel(name, file, pages, sums, registry, sha256, missing)


def name_of(model: OrientationModel | DiskModel) -> str:
    """The name that the card states, or one made of crystal, zone axis and energy, or of radii."""
    card = model.card
    if card.name:
        return card.name
    if isinstance(card, ModelCard):
        crystal = (card.crystal or {}).get("name", "orientation")
        zone = card.library[0].get("zone_axis") if card.library else None
        parts = [crystal, "".join(map(str, zone)) if isinstance(zone, (list, tuple)) else ""]
        parts.append("" if card.energy is None else f"{card.energy:g}kv")
    else:
        parts = ["disks", "-".join(f"{r:g}" for r in card.conditions["radius"]), "px"]
    words = filter(None, (_letters(str(part)) for part in parts))
    return "_".join(words)[:64].rstrip("_-") or "model"


def _letters(text: str) -> str:
    """Lower-case letters and digits, what lies between as "_"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_-")


def _page(model: OrientationModel | DiskModel, file: Path, sha256: str) -> Page:
    page = model.card.page()
    facts = (
        ("file", file.name),
        ("size", f"{file.stat().st_size:,} bytes"),
        ("SHA-256", sha256),
    )
    code = "\n".join(
        (
            "import pyxem_mlmaps as mlmaps",
            "",
            'address = "https://…/registry.json"  # where this folder was put',
            f'model = mlmaps.load_model("{model.card.name}", registry=address)',
            "print(mlmaps.check_model(model))",
        )
    )
    return page._replace(sections=(*page.sections, Section("File", facts, code=code)))


def _sums(registry: Mapping, folder: Path) -> str:
    """As ``sha256sum -c`` reads it: the models that lie in the folder."""
    inside = {
        Path(entry.location).relative_to(folder.resolve()).as_posix(): entry.sha256
        for entry in registry.values()
        if Path(entry.location).is_relative_to(folder.resolve())
    }
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(inside.items()))
