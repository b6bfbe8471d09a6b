"""The model card: what a model was made of and how well it did, validated on the way in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pyxem_mlmaps.models.card_pages import orientation_page
from pyxem_mlmaps.models.page import Page, as_html, as_text
from pyxem_mlmaps.models.sharing import Sharing
from pyxem_mlmaps.specs import NoiseModel

__all__ = ["FORMAT", "KIND", "ModelCard"]

KIND = "pyxem_mlmaps.OrientationModel"
FORMAT = 2
"""1: without the statements of :class:`Sharing`; a file without them is still written as 1."""

VALIDATED = "a table with three numbers each of rms and within_one_sigma for every stage"


@dataclass(frozen=True)
class ModelCard(Sharing):
    """Everything about an orientation model but its numbers.

    ``print(card)`` shows it as a page, and so does Jupyter.

    Parameters
    ----------
    n_disk
        Disks that the model expects.
    indices
        (n_disk, 2 or 3) disk numbers or Miller indices, as lists.
    tilt_x, tilt_y, thickness
        (low, high) of the library: degrees, degrees, nm.
    hidden
        Widths of the network's hidden layers.
    noise
        Fields of the :class:`NoiseModel` it was trained with.
    validation
        RMS errors and σ calibration on samples that training never saw, ``bare`` and ``refined``.
    calibration
        Factors found on those samples: on each σ, and the misfit of the worst 0.1 %.
    energy, convergence_angle
        keV and mrad, None where the library does not say.
    crystal, base_rotation, vectors, mean_intensity
        Of the library, where known; the rotation as a unit quaternion.
    library
        Parameters of the simulation.
    seed, training, versions
        Reproduction.
    name, description, author, licence, citation, limits
        What its owner states; see :class:`~pyxem_mlmaps.models.sharing.Sharing`.

    Raises
    ------
    ValueError
        If a value is not of its kind: a card from a foreign file never reaches the model.
    """

    n_disk: int
    indices: list[list[int]]
    tilt_x: list[float]
    tilt_y: list[float]
    thickness: list[float]
    hidden: list[int]
    noise: dict[str, Any]
    validation: dict[str, Any]
    calibration: dict[str, Any]
    energy: float | None = None
    convergence_angle: float | None = None
    crystal: dict[str, Any] | None = None
    base_rotation: list[float] | None = None
    vectors: list[list[float]] | None = None
    mean_intensity: list[float] | None = None
    library: list[dict[str, Any]] = field(default_factory=list)
    seed: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()

        def need(ok: bool, name: str, allowed: str) -> None:
            if not ok:
                raise ValueError(f"card: {name}={getattr(self, name)!r} is not {allowed}.")

        need(isinstance(self.n_disk, int) and 1 <= self.n_disk <= 10000, "n_disk", "1 to 10000")
        rows = {len(r) for r in self.indices}
        need(
            len(self.indices) == self.n_disk and rows <= {2, 3},
            "indices",
            "n_disk pairs or triples",
        )
        for name in ("tilt_x", "tilt_y", "thickness"):
            pair = getattr(self, name)
            need(len(pair) == 2 and pair[0] <= pair[1], name, "(low, high)")
        need(
            1 <= len(self.hidden) <= 16 and all(1 <= int(h) <= 8192 for h in self.hidden),
            "hidden",
            "1 to 16 widths of 1 to 8192",
        )
        need(
            self.base_rotation is None or len(self.base_rotation) == 4, "base_rotation", "4 numbers"
        )
        need(self.vectors is None or len(self.vectors) == self.n_disk, "vectors", "n_disk pairs")
        for name in ("energy", "convergence_angle"):
            value = getattr(self, name)
            need(value is None or _is_number(value), name, "a number")
        need(self.crystal is None or isinstance(self.crystal, dict), "crystal", "a table")
        for name in ("validation", "calibration", "training", "versions"):
            need(isinstance(getattr(self, name), dict), name, "a table")
        need(
            isinstance(self.library, list) and all(isinstance(p, dict) for p in self.library),
            "library",
            "a list of tables",
        )
        need(all(_is_validation(v) for v in self.validation.values()), "validation", VALIDATED)
        NoiseModel.from_dict(self.noise)

    def __str__(self) -> str:
        return as_text(self.page())

    def _repr_html_(self) -> str:
        return as_html(self.page())

    def page(self) -> Page:
        """What it says, in sections."""
        return orientation_page(self)

    def summary(self) -> str:
        """The most important of it, in some ten lines."""
        name = (self.crystal or {}).get("name", "crystal not stated")
        layers = [self.n_disk, *self.hidden, 6]
        lines = [
            f"Orientation model of {name}",
            f"  beam        {self.energy} keV, semi-angle {self.convergence_angle} mrad",
            f"  tilt        x {_range(self.tilt_x)}°, y {_range(self.tilt_y)}°",
            f"  thickness   {_range(self.thickness)} nm",
            f"  disks       {self.n_disk}",
            f"  network     {' → '.join(map(str, layers))}, seed {self.seed}",
            f"  noise       {self.noise}",
        ]
        for stage, values in self.validation.items():
            rms = values["rms"]
            lines.append(
                f"  {stage:11s} RMS error {rms[0]:.5f}° {rms[1]:.5f}° {rms[2]:.3f} nm, "
                f"within 1σ {', '.join(f'{100 * c:.0f} %' for c in values['within_one_sigma'])}"
            )
        return "\n".join(lines)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelCard:
        """The inverse of :meth:`to_dict`; unknown or missing fields are refused."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            extra = sorted(set(values) - known) if isinstance(values, dict) else type(values)
            raise ValueError(f"card has unknown fields {extra}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"card is incomplete: {error}") from error


def _range(pair: list[float]) -> str:
    return f"{pair[0]:g} to {pair[1]:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_validation(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    above = values.get("misfit_above_one", 0.0)
    triples = [values.get(name) for name in ("rms", "within_one_sigma")]
    return _is_number(above) and all(
        isinstance(t, (list, tuple)) and len(t) == 3 and all(map(_is_number, t)) for t in triples
    )
