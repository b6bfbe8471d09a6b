"""What stands against a plan, and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pyxem_mlmaps.mapping.intensity import MARGIN
from pyxem_mlmaps.planning.geometry import largest_angle

if TYPE_CHECKING:
    from pyxem_mlmaps.planning.plan import Plan

__all__ = ["ENOUGH_DISKS", "Finding", "find"]

ENOUGH_DISKS = 6
"""Disks that a tilt is read from at least."""
LATTICE_DISKS = 3
"""Disks that a lattice is fitted to at least."""


class Finding(NamedTuple):
    """Advice, and whether tilt or strain cannot be mapped without it."""

    text: str
    stops_tilt: bool = False
    stops_strain: bool = False


def find(plan: Plan) -> Iterator[Finding]:
    """Everything that stands against the plan, the gravest first."""
    yield from _overlap(plan)
    yield from _number(plan)
    yield from _radius(plan)
    yield from _dose(plan)


def _overlap(plan: Plan) -> Iterator[Finding]:
    clear = largest_angle(plan.beam, plan.smallest_distance - 2 * MARGIN * plan.scale)
    planned = plan.beam.convergence_angle
    if plan.overlaps:
        gap = f"; {clear:.2f} mrad leaves a gap of {2 * MARGIN:g} px" if clear > 0 else ""
        yield Finding(
            "disks overlap: reduce the convergence semi-angle below "
            f"{plan.max_convergence_angle:.2f} mrad (2α is {2 * planned:.2f} mrad, the closest "
            f"disks are {2 * plan.max_convergence_angle:.2f} mrad apart){gap}.",
            stops_tilt=True,
            stops_strain=True,
        )
    elif plan.gap < 2 * MARGIN:
        way = f"reduce the semi-angle to {clear:.2f} mrad, or " if clear > planned / 2 else ""
        distance = plan.smallest_distance - 2 * plan.beam.aperture_radius
        yield Finding(
            f"the gap between disks is {plan.gap:.1f} px: blurred edges reach into their "
            f"neighbours. For {2 * MARGIN:g} px {way}{_finer(plan, distance / (2 * MARGIN))}."
        )


def _number(plan: Plan) -> Iterator[Finding]:
    if plan.overlaps:
        return
    if plan.n_disks >= ENOUGH_DISKS:
        if not np.isfinite(plan.precision.tilt_x):
            yield Finding(
                f"the {plan.n_disks} disks on the detector do not tell tilt and thickness apart: "
                "choose another zone axis, or record more disks.",
                stops_tilt=True,
            )
        return
    text = (
        f"{plan.n_disks} disk{'' if plan.n_disks == 1 else 's'} on the detector as a whole, "
        f"{ENOUGH_DISKS} are needed"
    )
    scale = _scale_for_enough(plan)
    low, high = plan.radius_range
    if scale is not None:
        radius = plan.beam.aperture_radius / scale
        text += f": {_coarser(plan, scale)}"
        if radius < low:
            larger = [int(np.ceil(n * low / radius)) for n in plan.conditions.view.detector]
            text += (
                f". Their radius is then {radius:.1f} px, too small for strain: for both take a "
                f"detector of {larger[0]} x {larger[1]} px, or a larger convergence angle"
            )
    else:
        text += ": choose a zone axis of lower indices"
    few = not np.isfinite(plan.precision.e_xx)
    yield Finding(text + ".", stops_tilt=True, stops_strain=few)


def _radius(plan: Plan) -> Iterator[Finding]:
    low, high = plan.radius_range
    covered = f"the disk model covers {low:g} to {high:g} px"
    if plan.radius < low:
        text = f"the disks' radius is {plan.radius:.1f} px, {covered}: "
        text += _finer(plan, plan.beam.aperture_radius / low)
        angle = plan.beam.convergence_angle * low / plan.radius
        if angle < plan.max_convergence_angle:
            text += f", or raise the semi-angle to {angle:.2f} mrad"
        yield Finding(text + ".", stops_strain=True)
    elif plan.radius > high:
        factor = int(np.ceil(plan.radius / high))
        text = f"the disks' radius is {plan.radius:.0f} px, {covered}: "
        if plan.n_disks < ENOUGH_DISKS:
            text += "a shorter camera length makes them smaller, too."
        else:
            text += f"bin the patterns by {factor} (radius {plan.radius / factor:.0f} px)."
        yield Finding(text, stops_strain=True)


def _dose(plan: Plan) -> Iterator[Finding]:
    if plan.n_strong >= ENOUGH_DISKS or len(plan.disks) < ENOUGH_DISKS:
        return
    sixth = np.sort(plan.disks.mean_intensity)[-ENOUGH_DISKS]
    yield Finding(
        f"{plan.n_strong} disks hold 100 electrons or more, {ENOUGH_DISKS} should: raise the dose "
        f"to {_round(100 / max(sixth, 1e-12), 2, up=True):g} electrons a pattern.",
        stops_strain=plan.n_strong < LATTICE_DISKS,
    )


def _scale_for_enough(plan: Plan) -> float | None:
    """Å⁻¹ per px at which enough disks fit on the detector; None if there are not as many."""
    radius = plan.beam.aperture_radius
    needed = np.sort(plan.conditions.view.scales_needed(plan.library.vectors, radius))
    return float(needed[ENOUGH_DISKS - 1]) if len(needed) >= ENOUGH_DISKS else None


def _finer(plan: Plan, scale: float) -> str:
    """Advice to come to a scale of at most so many Å⁻¹ per px."""
    longer = plan.scale / scale
    length = plan.conditions.view.camera_length
    if length is None:
        way = f"lengthen the camera length by a factor of {_round(longer, 3, up=True):g}"
    else:
        way = f"take a camera length of at least {_round(length * longer, 3, up=True):g} mm"
    return f"{way} (at most {_round(scale, 3, up=False):g} Å⁻¹/px)"


def _coarser(plan: Plan, scale: float) -> str:
    """Advice to come to a scale of at least so many Å⁻¹ per px."""
    shorter = scale / plan.scale
    length = plan.conditions.view.camera_length
    if length is None:
        way = f"shorten the camera length by a factor of {_round(shorter, 3, up=True):g}"
    else:
        way = f"take a camera length of at most {_round(length / shorter, 3, up=False):g} mm"
    return f"{way} (at least {_round(scale, 3, up=True):g} Å⁻¹/px)"


def _round(value: float, digits: int, up: bool) -> float:
    """To so many digits, so that the advice suffices."""
    unit = 10.0 ** (np.floor(np.log10(value)) - digits + 1)
    whole = np.ceil(value / unit - 1e-9) if up else np.floor(value / unit + 1e-9)
    return float(whole * unit)
