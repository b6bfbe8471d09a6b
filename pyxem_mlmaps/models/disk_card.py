"""The card of a disk model: what it was trained on and how well it did, validated on the way in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pyxem_mlmaps.models.card_pages import disk_page
from pyxem_mlmaps.models.disk_calibration import check_calibration
from pyxem_mlmaps.models.page import Page, as_html, as_text
from pyxem_mlmaps.models.sharing import Sharing
from pyxem_mlmaps.training.disk_conditions import DiskConditions

__all__ = ["ARCHITECTURES", "CALIBRATIONS", "DISK_KIND", "DiskCard"]

DISK_KIND = "pyxem_mlmaps.DiskModel"
ARCHITECTURES = ("edge", "yuan2021")
CALIBRATIONS = {
    "unknown": (False, False),
    "known": (True, False),
    "unknown, placed": (False, True),
    "known, placed": (True, True),
}
"""What a disk's σ is calibrated by: are its optics known, is its place from the direct beam?"""
VALIDATED = ("electrons", "optics", "rms", "median", "within_one_sigma", "found")
SHOWN = {"unknown": "on its own", "known, placed": "in a scan "}
"""How a printed card calls the least and the most that a model is told."""


@dataclass(frozen=True)
class DiskCard(Sharing):
    """Everything about a disk model but its weights.

    ``print(card)`` shows it as a page, and so does Jupyter.

    Parameters
    ----------
    architecture
        "edge": a coarse network and two that read the disk's edge; "yuan2021": the published one.
    conditions
        Fields of the :class:`DiskConditions` it was trained under.
    crystals
        What its disks' contrast was simulated from.
    calibration
        For each of :data:`CALIBRATIONS`, or for "unknown" alone, what
        ``pyxem_mlmaps.models.disk_calibration.fit_calibration`` found.
    validation
        RMS errors and σ calibration by dose, on disks that training never saw.
    seed, training, versions
        Reproduction.
    name, description, author, licence, citation, limits
        What its owner states; see :class:`~pyxem_mlmaps.models.sharing.Sharing`.

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
        super().__post_init__()
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"card: architecture={self.architecture!r}; one of {ARCHITECTURES} is known."
            )
        DiskConditions.from_dict(self.conditions)
        if not set(self.calibration) <= set(CALIBRATIONS):
            raise ValueError(f"card: calibration has the entries {sorted(self.calibration)}.")
        for row in self.validation:
            if not isinstance(row, dict) or not set(VALIDATED) <= set(row):
                raise ValueError(f"card: a row of the validation needs {VALIDATED}; it is {row!r}.")
            if not all(isinstance(row[n], (int, float)) for n in VALIDATED if n != "optics"):
                raise ValueError(f"card: a row of the validation holds no numbers: {row!r}.")
        if not all(isinstance(each, dict) for each in self.crystals):
            raise ValueError(f"card: crystals={self.crystals!r} is not a list of tables.")
        for name in ("training", "versions"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"card: {name}={getattr(self, name)!r} is not a table.")
        for entry in self.calibration.values():
            check_calibration(entry)

    def __str__(self) -> str:
        return as_text(self.page())

    def _repr_html_(self) -> str:
        return as_html(self.page())

    def page(self) -> Page:
        """What it says, in sections."""
        return disk_page(self)

    def summary(self) -> str:
        """The most important of it, in some fifteen lines."""
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
            if row["optics"] in SHOWN:
                lines.append(
                    f"  {row['electrons']:9.0e} e, {SHOWN[row['optics']]}  RMS {row['rms']:.3f} px,"
                    f" median {row['median']:.3f} px, within 1σ "
                    f"{100 * row['within_one_sigma']:.0f} %, found {100 * row['found']:.1f} %"
                )
        return "\n".join(lines)

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
