"""Start TensorFlow without its start-up log; errors of the start are still raised."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["start_tensorflow"]


def start_tensorflow() -> None:
    """Import TensorFlow and touch its devices and compiler once, with stderr set aside.

    What it logs there (no GPU found, CPU features, compiler start) tells a microscopist nothing.
    Later messages appear as usual. Of a GPU's memory no more is taken than training needs, where
    TensorFlow would take all of it. Does nothing where the user has imported TensorFlow already.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = level or "3"
    with _stderr_aside():
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))
    if level is None:
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]


@contextmanager
def _stderr_aside() -> Iterator[None]:
    """Point file descriptor 2 at nothing: the log comes from C++, beneath sys.stderr."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        sys.stderr.flush()
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
