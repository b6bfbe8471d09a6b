"""What the owner of a model states of it for those it is shared with. All of it may be left out."""

from __future__ import annotations

import difflib
import pickle
import re
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

__all__ = ["NAME", "NOT_STATED", "Sharing", "changed"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A model's name: also that of its file, the same on every system, and never a path."""
LONGEST = 4000
"""Characters of a statement."""

Card = TypeVar("Card", bound="Sharing")


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Fields that every card has; none of them changes what a model answers.

    Parameters
    ----------
    name
        Of the model, and of its file: letters, digits, "_" and "-", at most 64.
    description
        One line.
    author, licence, citation
        Who made it, under which licence it may be used, what to cite.
    limits
        What it is not to be used for, beside what the card says by itself.

    Raises
    ------
    ValueError
        If a statement is no text, too long, or the name has other characters.
    """

    name: str = ""
    description: str = ""
    author: str = ""
    licence: str = ""
    citation: str = ""
    limits: str = ""

    def __post_init__(self) -> None:
        for name in NOT_STATED:
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > LONGEST:
                raise ValueError(
                    f"card: {name} is a {type(value).__name__} of {len(str(value))} characters; "
                    f"a text of at most {LONGEST} is needed."
                )
        if self.name and not NAME.fullmatch(self.name):
            raise ValueError(
                f"card: name={self.name!r}; letters, digits, '_' and '-' are allowed, at most 64."
            )

    def stated(self) -> dict[str, str]:
        """The fields that are not empty."""
        return {name: getattr(self, name) for name in NOT_STATED if getattr(self, name)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved. What is not stated is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = pickle.loads(pickle.dumps(values))  # a copy, in a tenth of deepcopy's time
        return {k: v for k, v in values.items() if k not in NOT_STATED or v}


NOT_STATED = {f.name: "" for f in fields(Sharing)}
"""The fields as they are when nothing is stated."""


def changed(card: Card, changes: dict[str, Any]) -> Card:
    """``card`` with some fields changed.

    Raises
    ------
    TypeError
        Naming a field that there is not, and those that are near.
    """
    known = [f.name for f in fields(card)]
    for name in changes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or known
            raise TypeError(f"with_card({name}=...): a card has no such field; {near} are there.")
    return replace(card, **changes)
