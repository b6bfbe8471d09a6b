"""Attach the methods when pyxem comes: importing pyxem takes seconds, and not every use needs it.

``pyxem_mlmaps.Beam``, ``pyxem-mlmaps --help`` or a worker that only unpacks a model do without.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["register_with_pyxem"]

SIGNALS = "pyxem.signals"


def register_with_pyxem() -> None:
    """Attach the methods now if pyxem's signals are imported, else as soon as they are.

    A signal can only exist once ``pyxem.signals`` is imported, so none is ever without them.
    """
    if SIGNALS in sys.modules:
        _register()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _register() -> None:
    from pyxem_mlmaps._signal_methods import register

    register()


class _Watch(importlib.abc.MetaPathFinder):
    """Finds ``pyxem.signals`` as the other finders do, and has its loader call us at the end."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != SIGNALS:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._call_at_the_end_of(spec.loader)
        return spec

    def _call_at_the_end_of(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            _register()

        loader.exec_module = exec_module
