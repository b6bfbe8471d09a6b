"""What stands on the page of a model card: one function for each kind of card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyxem_mlmaps.models.page import Page, Section
from pyxem_mlmaps.models.wording import (
    brackets,
    counts,
    listed,
    number,
    numbers_in,
    or_not_stated,
    span,
)
from pyxem_mlmaps.training.disk_conditions import DiskConditions

if TYPE_CHECKING:
    from pyxem_mlmaps.models.card import ModelCard
    from pyxem_mlmaps.models.disk_card import DiskCard
    from pyxem_mlmaps.models.sharing import Sharing

__all__ = ["disk_page", "orientation_page"]

UNSEEN = "Errors on simulated {} that training never saw"
STAGES = {"bare": "network alone", "refined": "with the fit"}
TOLD = {
    "unknown": "nothing",
    "known": "optics",
    "unknown, placed": "direct beam",
    "known, placed": "both",
}
"""What the disk network was told, as a printed table calls it."""

ORIENTATION_CODE = (
    "lattice = mlmaps.DiskLattice.from_signal(s, model)",
    "omap = s.ml_orientation_map(model, lattice)",
)
DISK_CODE = ("strain = mlmaps.strain_map(s.ml_disk_positions(model))",)


def orientation_page(card: ModelCard) -> Page:
    """The page of a :class:`ModelCard`."""
    crystal = card.crystal or {}
    name = crystal.get("name", "a crystal that is not stated")
    zone = _zone(card)
    title = f"Tilt and thickness of {name}{f' {zone}' if zone else ''}{_at(card.energy)}"
    return Page(
        title,
        card.description,
        (
            Section("Trained on", _simulated(card, crystal, zone)),
            Section("Noise in training", _noise(card.noise)),
            Section(UNSEEN.format("patterns"), table=_orientation_errors(card.validation)),
            Section("Limits", texts=_orientation_limits(card, str(name))),
            Section("How to use it", code=_code(card, ORIENTATION_CODE)),
            _origin(card, [("network", _layers(card)), ("disks", _indices(card.indices))]),
        ),
    )


def disk_page(card: DiskCard) -> Page:
    """The page of a :class:`DiskCard`."""
    c = DiskConditions.from_dict(card.conditions)
    facts = [
        ("disk radius", f"{span(c.radius)} px, told within {c.radius_error:g} px"),
        ("edge", f"standard deviation {span(c.edge)} px"),
        ("place", f"expected within {c.shift:g} radii"),
        *_crystals(card.crystals),
    ]
    noise = (
        ("dose", f"{counts(c.electrons)} electrons in a disk"),
        (
            "white noise",
            f"{span(c.white)} of the disk's mean, in {100 * c.white_share:g} % of disks",
        ),
        ("background", f"{span(c.background)} of the disk's mean"),
        ("ellipticity", f"up to {c.ellipticity:g}"),
        ("dead or hot pixels", f"up to {100 * c.dead_pixels:g} %"),
        ("no disk at all", f"{100 * c.blank:g} % of windows"),
    )
    errors = Section(
        UNSEEN.format("disks"),
        table=_disk_errors(card.validation),
        texts=(
            "Told says what the network was told beside the image: the optics (radius and edge as "
            "measured on many disks), the place of the direct beam, both, as in a scan, or "
            "nothing, as for an image on its own.",
        ),
    )
    return Page(
        f"Positions of diffraction disks with radii of {span(c.radius)} px",
        card.description,
        (
            Section("Trained on", tuple(facts)),
            Section("Noise in training", noise),
            errors,
            Section("Limits", texts=_disk_limits(card, c)),
            Section("How to use it", code=_code(card, DISK_CODE)),
            _origin(card, [("architecture", card.architecture)]),
        ),
    )


def _simulated(card: ModelCard, crystal: Mapping[str, Any], zone: str) -> tuple:
    facts = [("crystal", f"{crystal.get('name', 'not stated')}{_cell(crystal)}")]
    if zone or card.base_rotation is None:
        facts.append(("zone axis", zone or "not stated"))
    else:
        facts.append(("orientation", f"quaternion {listed(card.base_rotation)}"))
    facts += [
        ("beam", _beam(card)),
        ("tilt", f"x {span(card.tilt_x)}°, y {span(card.tilt_y)}°"),
        ("thickness", f"{span(card.thickness)} nm"),
    ]
    first = card.library[0] if card.library else {}
    if isinstance(first.get("debye_waller"), Mapping):
        sigma = ", ".join(f"{k} {number(v)}" for k, v in first["debye_waller"].items())
        facts.append(("RMS displacement", f"{sigma} Å"))
    for key, label in (("absorption", "absorption"), ("n_beams", "beams")):
        if first.get(key) is not None:
            facts.append((label, number(first[key])))
    if len(card.library) > 1:
        facts.append(("simulations", f"{len(card.library)} that differ in what is not known"))
    return tuple(facts)


def _noise(noise: Mapping[str, Any]) -> tuple:
    dose = noise.get("dose")
    facts = [
        ("dose", "no Poisson noise" if dose is None else f"{counts(dose)} electrons a pattern")
    ]
    for key, label, of in (
        ("white", "white noise", "of the mean disk"),
        ("background", "background", "of the counts in the disks"),
        ("psf", "point spread", "of a disk into its neighbours"),
        ("model_error", "error of the simulation", "of an intensity"),
    ):
        value = noise.get(key, 0)
        pair = value if isinstance(value, Sequence) else (value, value)
        facts.append((label, f"{span(pair)} {of}" if any(pair) else "none"))
    facts.append(("disks without signal", f"{100 * noise.get('dead_disks', 0):g} %"))
    return tuple(facts)


def _orientation_errors(validation: Mapping[str, Any]) -> tuple:
    if not validation:
        return (("not validated",),)
    head = ("", "tilt x", "tilt y", "thickness", "within 1σ", "misfit above 1")
    rows = [head]
    for stage, values in validation.items():
        x, y, t = values["rms"]
        inside = ", ".join(f"{100 * share:.0f}" for share in values["within_one_sigma"])
        above = values.get("misfit_above_one")
        rows.append(
            (
                STAGES.get(stage, str(stage)),
                f"{x:.5f}°",
                f"{y:.5f}°",
                f"{t:.3f} nm",
                f"{inside} %",
                "not stated" if above is None else f"{100 * above:.2f} %",
            )
        )
    return tuple(rows)


def _disk_errors(validation: Sequence[Mapping[str, Any]]) -> tuple:
    if not validation:
        return (("not validated",),)
    rows = [("electrons", "told", "RMS", "median", "within 1σ", "found")]
    for row in validation:
        rows.append(
            (
                f"{row['electrons']:,.0f}",
                TOLD.get(row["optics"], str(row["optics"])),
                f"{row['rms']:.3f} px",
                f"{row['median']:.3f} px",
                f"{100 * row['within_one_sigma']:.0f} %",
                f"{100 * row['found']:.1f} %",
            )
        )
    return tuple(rows)


def _orientation_limits(card: ModelCard, name: str) -> tuple[str, ...]:
    return (
        f"For {name} within {span(card.tilt_x)}° by {span(card.tilt_y)}° of its zone axis and "
        f"{span(card.thickness)} nm, one crystal throughout. A misfit above 1 says that a "
        "pattern is not explained.",
        f"For this beam ({_beam(card)}) and these {card.n_disk} disks, which must not overlap.",
        "Absolute tilts also carry what is wrong with the simulation.",
        *((card.limits,) if card.limits else ()),
    )


def _disk_limits(card: DiskCard, c: DiskConditions) -> tuple[str, ...]:
    return (
        f"For disks with radii of {span(c.radius)} px that do not overlap; rebin larger ones.",
        "Small disks and steep contrast at the edge are the hardest: the errors above are means "
        "over all radii.",
        *((card.limits,) if card.limits else ()),
    )


def _code(card: Sharing, lines: tuple[str, ...]) -> str:
    load = (
        "import hyperspy.api as hs",
        "import pyxem_mlmaps as mlmaps",
        "",
        f'model = mlmaps.load_model("{card.name or "model"}.keras")  # or a name it is known by',
        's = hs.load("scan.zspy", lazy=True)',
    )
    return "\n".join(load + lines)


def _origin(card: Any, facts: list[tuple[str, str]]) -> Section:
    stated = [
        (name, getattr(card, name) or "not stated") for name in ("author", "licence", "citation")
    ]
    done = {k: card.training.get(k) for k in ("steps", "samples", "batch_size")}
    training = ", ".join(f"{k.replace('_', ' ')} {number(v)}" for k, v in done.items() if v)
    versions = ", ".join(f"{k} {v}" for k, v in card.versions.items())
    facts += [("training", training or "not stated"), ("seed", str(card.seed))]
    return Section("Origin", (*stated, *facts, ("versions", versions or "not stated")))


def _crystals(crystals: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    zones: dict[str, list[str]] = {}
    energies, angles, thickness = set(), set(), []
    for each in crystals:
        axis = brackets(each.get("zone_axis"))
        found = zones.setdefault(str(each.get("name", "?")), [])
        if axis and axis not in found:
            found.append(axis)
        energies |= numbers_in(each.get("energy"))
        angles |= numbers_in(each.get("convergence_angle"))
        thickness += sorted(numbers_in(each.get("thickness")))
    all_zones = ", ".join(" ".join([name, *axes]) for name, axes in zones.items())
    facts = [("crystals", all_zones or "not stated")]
    for label, values, unit in (
        ("beam energy", energies, "keV"),
        ("semi-angle", angles, "mrad"),
        ("thickness", thickness, "nm"),
    ):
        if values:
            facts.append((label, f"{span((min(values), max(values)))} {unit}"))
    return facts


def _zone(card: ModelCard) -> str:
    return brackets(card.library[0].get("zone_axis")) if card.library else ""


def _beam(card: ModelCard) -> str:
    energy, angle = or_not_stated(card.energy), or_not_stated(card.convergence_angle)
    return f"{energy} keV, semi-angle {angle} mrad"


def _cell(crystal: Mapping[str, Any]) -> str:
    parts = []
    if crystal.get("space_group"):
        parts.append(f"space group {crystal['space_group']}")
    lattice = crystal.get("lattice")
    if isinstance(lattice, Sequence) and len(lattice) == 6:
        parts.append(f"a, b, c {listed(lattice[:3])} Å")
        parts.append(f"α, β, γ {listed(lattice[3:])}°")
    return f" ({'; '.join(parts)})" if parts else ""


def _indices(indices: Sequence[Sequence[int]]) -> str:
    some = ", ".join(brackets(row, "()") for row in indices[:8])
    return f"{len(indices)}: {some}{', …' if len(indices) > 8 else ''}"


def _layers(card: ModelCard) -> str:
    return " → ".join(map(str, [card.n_disk, *card.hidden, 6]))


def _at(energy: float | None) -> str:
    return "" if energy is None else f", {energy:g} keV"
