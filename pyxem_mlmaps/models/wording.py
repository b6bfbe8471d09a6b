"""Numbers as a card writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["brackets", "counts", "listed", "number", "numbers_in", "or_not_stated", "span"]


def brackets(axis: Any, kind: str = "[]") -> str:
    """[110], or with spaces that no line is broken at where an index is not one digit."""
    if not isinstance(axis, (list, tuple)):
        return ""
    numbers = [number(v) for v in axis]
    between = "" if all(len(n) == 1 for n in numbers) else "\N{NO-BREAK SPACE}"
    return f"{kind[0]}{between.join(numbers)}{kind[1]}"


def listed(values: Sequence[Any]) -> str:
    return ", ".join(number(v) for v in values)


def numbers_in(value: Any) -> set[float]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return {float(v) for v in values if isinstance(v, (int, float))}


def span(pair: Sequence[Any]) -> str:
    low, high = pair
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def counts(pair: Sequence[float]) -> str:
    low, high = (f"{n:,.0f}" for n in pair)
    return low if low == high else f"{low} to {high}"


def number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def or_not_stated(value: Any) -> str:
    return "not stated" if value is None else number(value)
