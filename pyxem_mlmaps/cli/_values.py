"""From the text of a flag to its value. Each function is an argparse ``type``."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = [
    "CRYSTALS",
    "absorption",
    "as_phase",
    "axis",
    "crystal",
    "crystals",
    "descan",
    "ending_in",
    "figure",
    "number",
    "number_or_none",
    "number_or_range",
    "optics",
    "path",
    "per_element",
    "range_or_none",
    "reference",
    "shipped_or_path",
    "whole",
    "widths",
]

CRYSTALS = ("gasb", "silicon", "uo2", "zirconium")
"""Crystals of :mod:`pyxem_mlmaps.data` that go by their name; ``sige:0.3`` is an alloy."""


def path(text: str) -> Path:
    """A file or folder; ~ is the home folder."""
    return Path(text).expanduser()


def ending_in(*suffixes: str) -> Callable[[str], Path]:
    """The type of a file whose name has one of these endings."""

    def file(text: str) -> Path:
        found = path(text)
        if found.suffix.lower() not in suffixes:
            raise ArgumentTypeError(f"{text!r} must end in {' or '.join(suffixes)}")
        return found

    return file


figure = ending_in(".png", ".pdf", ".svg")
"""The file of a figure."""


def number(text: str) -> float:
    """One finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a number")
    return value


def whole(text: str) -> int:
    """One whole number."""
    value = number(text)
    if value != int(value):
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(value)


def number_or_none(text: str) -> float | None:
    """A number, or ``none``."""
    return None if text.lower() == "none" else number(text)


def number_or_range(text: str) -> float | tuple[float, float]:
    """A number, or ``low,high``."""
    values = _numbers(text, number)
    if len(values) > 2:
        raise ArgumentTypeError(f"{text!r}: one number, or LOW,HIGH, is needed")
    return values[0] if len(values) == 1 else (values[0], values[1])


def range_or_none(text: str) -> float | tuple[float, float] | None:
    """A number, ``low,high`` or ``none``."""
    return None if text.lower() == "none" else number_or_range(text)


def widths(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between."""
    return tuple(_numbers(text, whole))


def per_element(text: str) -> float | dict[str, float]:
    """One number, or one for each element: ``Ga=0.08,Sb=0.09``."""
    if "=" not in text:
        return number(text)
    pairs = [part.partition("=") for part in text.split(",")]
    return {element.strip(): number(value) for element, _, value in pairs}


def absorption(text: str) -> float | str:
    """``thermal``, or the ratio U'/U."""
    return text if text == "thermal" else number(text)


def crystal(text: str) -> str | Path:
    """The name of a crystal that comes with the package, or a CIF file."""
    name, _, fraction = text.partition(":")
    if text in CRYSTALS or (name == "sige" and fraction):
        return text
    found = path(text)
    if found.suffix:
        return found
    raise ArgumentTypeError(
        f"{text!r} is neither a CIF file nor one of {', '.join(CRYSTALS)}, sige:X (X is the "
        "fraction of germanium, as in sige:0.3)"
    )


def crystals(text: str) -> tuple[str | Path, ...]:
    """One or more crystals with commas between; a file whose name has a comma is one."""
    parts = [text] if path(text).exists() else text.split(",")
    return tuple(crystal(part.strip()) for part in parts)


def as_phase(source: str | Path) -> Any:
    """The crystal itself: an orix phase, or the path of its CIF file."""
    if isinstance(source, Path):
        return source
    from pyxem_mlmaps import data

    name, _, fraction = source.partition(":")
    return data.sige(number(fraction)) if fraction else getattr(data, name)()


def shipped_or_path(text: str) -> str | Path:
    """``disks``, the model that comes with the package, or a model file."""
    return text if text == "disks" else path(text)


def descan(text: str) -> str | Path | None:
    """``direct_beam``, ``none``, or a .npy file of shifts."""
    if text.lower() == "none":
        return None
    return text if text == "direct_beam" else path(text)


def optics(text: str) -> str | tuple[float, float] | None:
    """``measure``, ``none``, or ``radius,edge``."""
    if text.lower() == "none":
        return None
    if text == "measure":
        return text
    values = _numbers(text, number)
    if len(values) != 2:
        raise ArgumentTypeError(f"{text!r}: measure, none or RADIUS,EDGE (px) is needed")
    return values[0], values[1]


def reference(text: str) -> str | tuple[float, ...] | Path:
    """``median``, a box ``left,top,right,bottom``, or the file of a mask."""
    if text == "median":
        return text
    try:
        values = tuple(_numbers(text, number))
    except ArgumentTypeError:
        return path(text)
    if len(values) != 4:
        raise ArgumentTypeError(f"{text!r}: median, a file or LEFT,TOP,RIGHT,BOTTOM is needed")
    return values


def axis(text: str) -> float | tuple[int, int]:
    """Degrees, or two indices ``h,k``."""
    if "," not in text:
        return number(text)
    values = _numbers(text, whole)
    if len(values) != 2:
        raise ArgumentTypeError(f"{text!r}: an angle in degrees, or H,K, is needed")
    return values[0], values[1]


def _numbers(text: str, kind: Callable[[str], Any]) -> list[Any]:
    return [kind(part.strip()) for part in text.split(",")]
