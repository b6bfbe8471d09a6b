"""Checks of arguments that every layer makes in the same words."""

from __future__ import annotations

import numpy as np

__all__ = ["check_numbers"]


def check_numbers(**numbers: tuple[float, float, float]) -> None:
    """Raise unless each number, given as (value, low, high) by its name, is within its range.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, its value and what is allowed.

    Examples
    --------
    >>> from pyxem_mlmaps._checks import check_numbers
    >>> check_numbers(edge=(0.5, 0.05, 5))
    """
    for name, (value, low, high) in numbers.items():
        if not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name}={value!r}: a number of {low:g} to {high:g} is needed.")
        if not low <= value <= high:
            raise ValueError(f"{name}={value!r}: {low:g} to {high:g} is allowed.")
