"""Radius and edge of the disks, measured on some patterns before all are mapped."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.disk_locator import COLUMNS, PRESENT, DiskLocator
from pyxem_mlmaps.models.disk import DiskOptics

__all__ = ["given_optics", "with_optics"]

ENOUGH_DISKS = 600
"""Disks that are looked at: some hundred bright ones tell radius and edge well enough."""
WIDE = 0.9
"""Share of the widest edge that the model covers above which a measured one is doubtful."""


def given_optics(optics: Any) -> DiskOptics | None:
    """Radius and edge where the caller gives them; None where they are measured or left open.

    Raises
    ------
    ValueError
        If ``optics`` is neither "measure", None nor a pair of positive numbers.
    """
    if optics is None or (isinstance(optics, str) and optics == "measure"):
        return None
    try:
        values = np.asarray(optics, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (2,) or not np.all(np.isfinite(values)) or values.min() <= 0:
        raise ValueError(
            f"optics={optics!r}: 'measure', None, or a pair (radius, edge) of positive px is "
            "allowed."
        )
    return DiskOptics(*(float(v) for v in values))


def with_optics(locator: DiskLocator, sample: Callable[[], NDArray], optics: Any) -> DiskLocator:
    """The locator with radius and edge of the instrument.

    All disks of a scan have one radius and one blur of their edge. Patterns spread over the scan
    tell both far better than any single disk can, and who knows them can tell an edge from the
    contrast beside it. The sample depends on the scan alone, not on its chunks.

    Parameters
    ----------
    locator
        Its lattice's radius is the first guess.
    sample
        Gives (n, ky, kx) patterns spread over the scan; called only where they are needed.
    optics
        "measure"; (radius, edge) in px, as known; or None, to let every disk speak for itself.

    Raises
    ------
    ValueError
        If ``optics`` is none of these.
    """
    given = given_optics(optics)
    if optics is None or not hasattr(locator.model, "measure_optics"):
        return locator
    if given is not None:
        _warn_of_blur(locator.model, given)
        lattice = locator.lattice.replace(radius=given.radius)
        return replace(locator, lattice=lattice, edge=given.edge)
    patterns = sample()
    count = int(np.clip(ENOUGH_DISKS // max(len(locator.lattice), 1), 8, 64))
    some = np.unique(np.linspace(0, len(patterns) - 1, min(count, len(patterns))).astype(int))
    patterns = patterns[some]
    table = locator(patterns)
    y, x, status = (table[..., COLUMNS.index(name)] for name in ("y", "x", "status"))
    found = (status == PRESENT) & np.isfinite(y)
    if not found.any():
        return locator
    patterns = np.nan_to_num(patterns.astype(np.float32), posinf=0, neginf=0)
    measured = locator.model.measure_optics(
        patterns,
        np.nonzero(found)[0],
        np.column_stack([y[found], x[found]]),
        locator.lattice.radius,
        locator.half_window,
        (locator.lattice.indices @ locator.lattice.basis)[np.nonzero(found)[1]],
        near=np.ones(int(found.sum()), dtype=bool),
    )
    _warn_of_blur(locator.model, measured)
    return replace(
        locator, lattice=locator.lattice.replace(radius=measured.radius), edge=measured.edge
    )


def _warn_of_blur(model: Any, optics: DiskOptics) -> None:
    """An edge at the end of what the model was trained on is likely to be wider still."""
    widest = model.conditions.widest_edge(optics.radius)
    if optics.edge > WIDE * widest:
        warnings.warn(
            f"the edges of the disks are blurred by {optics.edge:.2f} px (standard deviation); for "
            f"a radius of {optics.radius:.1f} px the model covers up to {widest:.2f} px. Positions "
            "may be worse than their sigmas say. Bin the patterns, focus the pattern better, or "
            "train_disk_model(library, DiskConditions(edge=...)).",
            stacklevel=5,
        )
