"""What the disks of a training set may look like: ranges for everything an experimenter varies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from pyxem_mlmaps._checks import check_numbers

__all__ = ["WIDEST_EDGE", "DiskConditions"]

Pair = tuple[float, float]

WIDEST_EDGE = 0.25
"""Radii: a disk whose edge is blurred more (standard deviation) has no plateau left."""


@dataclass(frozen=True)
class DiskConditions:
    """Ranges from which every training disk draws; pairs are (low, high), most are logarithmic.

    Parameters
    ----------
    radius
        Disk radius, px.
    edge
        Standard deviation of the blurred edge, px; at most :data:`WIDEST_EDGE` of the radius
        is used. The pixel's own width comes on top.
    electrons
        Of one disk.
    white
        Standard deviation of additive noise over the disk's mean pixel.
    white_share
        Share of the disks with white noise; half of those have no Poisson noise.
    background
        Between the disks, over the disk's mean pixel.
    shift
        Largest distance of the disk from where it is expected, in radii.
    radius_error
        Largest error of the radius that is told to the network, px (at most a fifth of it).
    ellipticity
        Largest relative difference of a semi-axis from the radius.
    dead_pixels
        Largest share of dead and hot pixels.
    blank
        Share of windows without a disk.

    Raises
    ------
    ValueError
        Naming the range that is not one.

    Examples
    --------
    >>> from pyxem_mlmaps.training.disk_conditions import DiskConditions
    >>> DiskConditions(radius=(5, 9)).radius
    (5.0, 9.0)
    """

    radius: Pair = (4.0, 60.0)
    edge: Pair = (0.25, 2.5)
    electrons: Pair = (30.0, 1e7)
    white: Pair = (1e-3, 0.6)
    white_share: float = 0.5
    background: Pair = (1e-3, 2.0)
    shift: float = 0.45
    radius_error: float = 1.5
    ellipticity: float = 0.03
    dead_pixels: float = 0.004
    blank: float = 0.1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("radius", 3.0, 200.0),
            ("edge", 0.05, 20.0),
            ("electrons", 1.0, 1e12),
            ("white", 1e-6, 10.0),
            ("background", 1e-6, 100.0),
        ):
            pair = tuple(float(v) for v in np.ravel(getattr(self, name)))
            if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: a pair (low, high) within {low:g} to "
                    f"{high:g} is needed."
                )
            object.__setattr__(self, name, pair)
        check_numbers(
            white_share=(self.white_share, 0, 1),
            shift=(self.shift, 0, 0.6),
            radius_error=(self.radius_error, 0, 10),
            ellipticity=(self.ellipticity, 0, 0.1),
            dead_pixels=(self.dead_pixels, 0, 0.1),
            blank=(self.blank, 0, 0.9),
        )

    def widest_edge(self, radius: float) -> float:
        """Widest edge that is drawn for disks of a radius, px.

        Parameters
        ----------
        radius
            Of the disks, px.
        """
        return min(self.edge[1], WIDEST_EDGE * radius)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as kept in the model card."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DiskConditions:
        """The inverse of :meth:`to_dict`."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            raise ValueError(f"conditions={values!r}: fields {sorted(known)} are known.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
