"""The card of a disk model: what it was trained on and how well it did, validated on the way in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from pyxem_mlmaps.training.disk_conditions import DiskConditions

__all__ = ["ARCHITECTURES", "DISK_KIND", "DiskCard"]

DISK_KIND = "pyxem_mlmaps.DiskModel"
ARCHITECTURES = ("edge", "yuan2021")


@dataclass(frozen=True)
class DiskCard:
    """Everything about a disk model but its weights.

    Parameters
    ----------
    architecture
        "edge": a coarse network and two that read the disk's edge; "yuan2021": the published one.
    conditions
        Fields of the :class:`DiskConditions` it was trained under.
    crystals
        What its disks' contrast was simulated from.
    calibration
        For disks whose optics are "unknown" and "known": "log_sigma" and "factor", what a
        predicted σ (logarithm, in px) is multiplied by; "misfit", the value that 99.5 % of good
        disks of that σ stay below.
    validation
        RMS errors and σ calibration by dose, on disks that training never saw.
    seed, training, versions
        Reproduction.

    Raises
    ------
    ValueError
        If a value is not of its kind: a card from a foreign file never reaches the model.
    """

    architecture: str
    conditions: dict[str, Any]
    crystals: list[dict[str, Any]] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    validation: list[dict[str, Any]] = field(default_factory=list)
    seed: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"card: architecture={self.architecture!r}; one of {ARCHITECTURES} is known."
            )
        DiskConditions.from_dict(self.conditions)
        if not set(self.calibration) <= {"unknown", "known"}:
            raise ValueError(f"card: calibration has the entries {sorted(self.calibration)}.")
        for entry in self.calibration.values():
            nodes, factor, misfit = (
                np.asarray(entry.get(name), dtype=float)
                for name in ("log_sigma", "factor", "misfit")
            )
            ok = nodes.ndim == 1 and nodes.shape == factor.shape == misfit.shape and len(nodes) > 0
            ok = ok and np.all(np.isfinite([nodes, factor, misfit])) and np.all(np.diff(nodes) > 0)
            if not (ok and np.all(factor > 0) and np.all(misfit > 0)):
                raise ValueError(
                    "card: calibration is not ascending log_sigma with as many factors and misfits."
                )

    def __str__(self) -> str:
        c = DiskConditions.from_dict(self.conditions)
        names = ", ".join(dict.fromkeys(str(x.get("name", "?")) for x in self.crystals))
        lines = [
            f"Disk model ({self.architecture})",
            f"  radius      {c.radius[0]:g} to {c.radius[1]:g} px, edge σ {c.edge[0]:g} to "
            f"{c.edge[1]:g} px, told within {c.radius_error:g} px",
            f"  dose        {c.electrons[0]:g} to {c.electrons[1]:g} electrons a disk",
            f"  trained on  {names or 'contrast not stated'}",
            f"  seed        {self.seed}",
        ]
        for row in self.validation:
            lines.append(
                f"  {row['electrons']:9.0e} e, optics {row['optics']:7s}  RMS {row['rms']:.3f} px, "
                f"median {row['median']:.3f} px, within 1σ {100 * row['within_one_sigma']:.0f} %, "
                f"found {100 * row['found']:.1f} %"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DiskCard:
        """The inverse of :meth:`to_dict`; unknown or missing fields are refused."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            extra = sorted(set(values) - known) if isinstance(values, dict) else type(values)
            raise ValueError(f"card has unknown fields {extra}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"card is incomplete: {error}") from error
