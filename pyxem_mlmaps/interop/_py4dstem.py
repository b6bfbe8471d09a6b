"""The one place where py4DSTEM is imported."""

from __future__ import annotations

from typing import Any

__all__ = ["require_py4dstem"]


def require_py4dstem(what: str) -> Any:
    """py4DSTEM, for a function that cannot do without.

    Raises
    ------
    ImportError
        Naming the function and the extra.
    """
    try:
        import py4DSTEM
    except ImportError as error:
        raise ImportError(
            f"{what} needs py4DSTEM, which could not be imported ({error}). Install the extra: "
            "pip install 'pyxem_mlmaps[py4dstem]'. It needs NumPy below 2."
        ) from error
    return py4DSTEM
