"""How compiled kernels that call each other stay reproducible.

Where sums may be done in any order (``fastmath``), their last digits depend on how a function was
compiled. A function that several kernels call exists several times, alone and optimised into each
of its callers, and which of them runs depends on what else the process has compiled or read from
Numba's cache: two processes differed by 1e-7 of a disk's position. A function that is always
inlined exists in its callers alone.

Numba's cache notices a change of the file that a kernel stands in, not of those that it takes
others from: ``make clean-kernels`` after such a change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["inner_kernel"]


def inner_kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` for functions with, or above others with, ``fastmath`` that kernels call."""
    return numba.njit(nogil=True, cache=True, forceinline=True, **options)
