"""Radius and edge of the disks, measured on some patterns before all are mapped."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps.mapping.blocks import sample_patterns
from pyxem_mlmaps.mapping.disk_locator import COLUMNS, PRESENT, DiskLocator

__all__ = ["with_optics"]

ENOUGH_DISKS = 600
"""Disks that are looked at: some hundred bright ones tell radius and edge well enough."""
WIDE = 0.9
"""Share of the widest edge that the model covers above which a measured one is doubtful."""


def with_optics(
    locator: DiskLocator,
    signal: Any,
    optics: ArrayLike | str | None,
    show_progressbar: bool | None = None,
) -> DiskLocator:
    """The locator with radius and edge of the instrument.

    All disks of a scan have one radius and one blur of their edge. Patterns spread over the scan
    tell both far better than any single disk can, and who knows them can tell an edge from the
    contrast beside it. The sample depends on the scan alone, not on its chunks.

    Parameters
    ----------
    locator
        Its lattice's radius is the first guess.
    signal
        The scan.
    optics
        "measure"; (radius, edge) in px, as known; or None, to let every disk speak for itself.
    show_progressbar
        As in HyperSpy.

    Raises
    ------
    ValueError
        If ``optics`` is none of these.
    """
    if optics is None or not hasattr(locator.model, "measure_optics"):
        return locator
    if not isinstance(optics, str):
        values = np.asarray(optics, dtype=float)
        if values.shape != (2,) or not np.all(np.isfinite(values)) or values.min() <= 0:
            raise ValueError(
                f"optics={optics!r}: 'measure', None, or a pair (radius, edge) of positive px is "
                "allowed."
            )
        radius, edge = (float(v) for v in values)
        return replace(locator, lattice=locator.lattice.replace(radius=radius), edge=edge)
    if optics != "measure":
        raise ValueError(f"optics={optics!r}: 'measure', None or (radius, edge) is allowed.")
    count = int(np.clip(ENOUGH_DISKS // max(len(locator.lattice), 1), 8, 64))
    patterns = sample_patterns(signal, show_progressbar, "Measuring radius and edge", count)
    table = locator(patterns)
    y, x, status = (table[..., COLUMNS.index(name)] for name in ("y", "x", "status"))
    found = (status == PRESENT) & np.isfinite(y)
    if not found.any():
        return locator
    patterns = np.nan_to_num(patterns.astype(np.float32), posinf=0, neginf=0)
    radius, edge = locator.model.measure_optics(
        patterns,
        np.nonzero(found)[0],
        np.column_stack([y[found], x[found]]),
        locator.lattice.radius,
        locator.half_window,
    )
    _warn_of_blur(locator.model, edge)
    return replace(locator, lattice=locator.lattice.replace(radius=radius), edge=edge)


def _warn_of_blur(model: Any, edge: float) -> None:
    """An edge at the end of what the model was trained on is likely to be wider still."""
    widest = model.conditions.edge[1]
    if edge > WIDE * widest:
        warnings.warn(
            f"the edges of the disks are blurred by {edge:.2f} px (standard deviation); the model "
            f"covers up to {widest:g} px. Positions may be worse than their sigmas say. Bin the "
            "patterns, or train_disk_model(library, DiskConditions(edge=...)).",
            stacklevel=5,
        )
