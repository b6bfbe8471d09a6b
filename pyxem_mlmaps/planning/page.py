"""A plan as a page: in a terminal, in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyxem_mlmaps.planning.plan import Plan

__all__ = ["as_html", "as_text", "title"]

NOTE = (
    "Precision is the Cramér-Rao bound of one pattern: what its counts allow. It knows nothing of "
    "a wrong crystal or calibration."
)


def title(plan: Plan) -> str:
    """Crystal, zone axis, beam, foil and dose in one line."""
    along = "" if plan.zone_axis is None else f" [{' '.join(map(str, plan.zone_axis))}]"
    return (
        f"{plan.name}{along}, {plan.beam.energy:g} keV, α = {plan.beam.convergence_angle:g} mrad, "
        f"{_span(plan.conditions.thickness)} nm, {plan.dose:.3g} electrons a pattern"
    )


def rows(plan: Plan) -> list[tuple[str, str]]:
    """(heading, text) of the page."""
    low, high = plan.radius_range
    view = plan.conditions.view
    covered = "covers" if low <= plan.radius <= high else "does not cover"
    apart = "overlap by" if plan.overlaps else "apart, with a gap of"
    share = plan.disks.mean_intensity.sum()
    return [
        ("tilt", _tilt(plan)),
        ("strain", _strain(plan)),
        (
            "overlap",
            f"disks {apart} {abs(plan.gap):.1f} px: 2α is {2 * plan.beam.convergence_angle:.2f} "
            f"mrad, the closest are {2 * plan.max_convergence_angle:.2f} mrad apart "
            f"({plan.smallest_distance:.3f} Å⁻¹)",
        ),
        (
            "angle",
            f"disks keep apart below α = {plan.max_convergence_angle:.2f} mrad; probe radius "
            f"0.61 λ/α = {plan.probe_size:.2g} nm",
        ),
        (
            "disks",
            f"{plan.n_disks} on the detector, {plan.n_strong} of 100 electrons or more; "
            f"{100 * share:.0f} % of the dose in {len(plan.disks)} evaluated",
        ),
        (
            "radius",
            f"{plan.radius:.1f} px, which the disk model {covered} ({low:g} to {high:g} px)",
        ),
        (
            "detector",
            f"{view.detector[0]} x {view.detector[1]} px of {plan.scale:.4g} Å⁻¹"
            + ("" if view.camera_length is None else f" at {view.camera_length:g} mm"),
        ),
        ("tilt shows", _sensitive(plan)),
    ]


def as_text(plan: Plan) -> str:
    """For ``print``."""
    lines = [f"Plan: {title(plan)}", ""]
    lines += [f"  {heading:12s}{text}" for heading, text in rows(plan)]
    if plan.advice:
        lines += ["", "Advice", *(f"  - {text}" for text in plan.advice)]
    return "\n".join([*lines, "", NOTE])


def as_html(plan: Plan) -> str:
    """For notebooks."""
    table = "".join(
        f'<tr><th style="text-align:left">{escape(heading)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for heading, text in rows(plan)
    )
    advice = "".join(f"<li>{escape(text)}</li>" for text in plan.advice)
    return (
        f"<div><b>Plan: {escape(title(plan))}</b><table>{table}</table>"
        + (f"<b>Advice</b><ul>{advice}</ul>" if advice else "")
        + f"<small>{escape(NOTE)}</small></div>"
    )


def _tilt(plan: Plan) -> str:
    p = plan.precision
    sigma = (
        f"σ {1e3 * p.tilt_x:.2g} m° on tilt x, {1e3 * p.tilt_y:.2g} m° on tilt y, "
        f"{p.thickness:.2g} nm on thickness"
    )
    return f"works: {sigma}" if plan.tilt_works else "does not work, see below"


def _strain(plan: Plan) -> str:
    p = plan.precision
    sigma = (
        f"σ {100 * p.e_xx:.2g} % xx, {100 * p.e_yy:.2g} % yy, {100 * p.e_xy:.2g} % xy, rotation "
        f"{1e3 * p.rotation:.2g} m°"
    )
    return f"works: {sigma}" if plan.strain_works else "does not work, see below"


def _sensitive(plan: Plan) -> str:
    size = np.hypot(*plan.disks.sensitivity.T)
    most = np.argsort(-size, kind="stable")[:3]
    disks = ", ".join(f"({' '.join(map(str, plan.disks.indices[i]))}) {size[i]:.2g}" for i in most)
    return f"dI/dtilt is largest in {disks} of the beam per degree"


def _span(pair: tuple[float, float]) -> str:
    low, high = pair
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
