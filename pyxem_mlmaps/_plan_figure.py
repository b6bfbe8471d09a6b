"""The figure of a plan: the pattern to scale, how the tilt shows, precision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._panels import hkl_label
from pyxem_mlmaps.planning.precision import disks_in_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyxem_mlmaps.planning.plan import Plan

__all__ = ["plot_plan"]

Float = NDArray[np.floating]

_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
"""Okabe and Ito's: told apart by all common kinds of colour vision."""
_OVERLAP = "#D55E00"
_CURVES = (
    ("tilt_x", "tilt x (m°)", 1e3, "#0072B2", "-"),
    ("tilt_y", "tilt y (m°)", 1e3, "#0072B2", "--"),
    ("thickness", "thickness (nm)", 1.0, "#009E73", "-."),
    ("e_xx", r"$\varepsilon_{xx}$ (%)", 1e2, "#D55E00", "-"),
    ("e_yy", r"$\varepsilon_{yy}$ (%)", 1e2, "#D55E00", "--"),
)
_FAINTEST = 1e-5
"""Brightness of a disk, as a fraction of the dose, below which all look the same."""


def plot_plan(plan: Plan, figsize: tuple[float, float] | None = None) -> Figure:
    """Draw a planned experiment.

    Parameters
    ----------
    plan
        Of :func:`pyxem_mlmaps.plan`.
    figsize
        Width and height in inches.

    Returns
    -------
    figure
        The pattern on the detector, disks to scale and coloured by their electrons, those cut by
        the detector's edge dotted, overlaps in vermilion; rocking curves of the disks that tell the
        tilt best, whose outline in the pattern has the colour of the curve; expected precision
        against dose and against the convergence semi-angle.

    Examples
    --------
    >>> import pyxem_mlmaps as mlmaps
    >>> plan = mlmaps.plan(
    ...     mlmaps.data.silicon(), mlmaps.Beam(300, 1.1), zone_axis=(1, 1, 0), scale=0.01,
    ...     g_max=1.5, show_progressbar=False)
    >>> figure = mlmaps.plotting.plot_plan(plan)
    """
    import matplotlib.pyplot as plt

    from pyxem_mlmaps.planning.page import title

    figure = plt.figure(figsize=figsize or (11, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    above, below = right.subfigures(2, 1)
    shown = _most_sensitive(plan)
    _draw_pattern(left.subplots(), plan, shown)
    _draw_rocking(above.subplots(1, 2, sharey=True), plan, shown)
    doses, angles = below.subplots(1, 2)
    _draw_precision(doses, *_over_dose(plan))
    doses.set(xlabel="Electrons a pattern", ylabel="σ of one pattern", xscale="log")
    doses.axvline(plan.dose, color="0.5", linewidth=0.8)
    if plan.overlaps:
        doses.set_title(f"at α = {_widest(plan):.2f} mrad", fontsize="small")
    _draw_precision(angles, *_over_angle(plan))
    _mark_angles(angles, plan)
    _legend(below, doses, 3)
    figure.suptitle(title(plan), fontsize="medium")
    return figure


def _most_sensitive(plan: Plan) -> NDArray[np.integer]:
    """The disks whose sums change most with tilt, one of each pair g and -g."""
    size = np.hypot(*plan.disks.sensitivity.T)
    chosen: dict[tuple[int, ...], int] = {}
    for number in np.argsort(-size, kind="stable"):
        g = tuple(plan.disks.indices[number].tolist())
        chosen.setdefault(max(g, tuple(-i for i in g)), int(number))
    return np.array(list(chosen.values())[: len(_COLOURS)])


def _widest(plan: Plan) -> float:
    """Largest semi-angle that is simulated and keeps disks apart, mrad."""
    return min(plan.library.beam.convergence_angle, plan.max_convergence_angle)


def _legend(figure: Any, ax: Axes, columns: int) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside upper center", ncols=columns, fontsize="x-small",
            frameon=False, handlelength=2.2, columnspacing=1.0,
        )  # fmt: skip


def _draw_pattern(ax: Axes, plan: Plan, shown: NDArray[np.integer]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Circle

    view, radius = plan.conditions.view, plan.beam.aperture_radius
    half_y, half_x = (n * view.scale / 2 for n in view.detector)
    every = view.positions(plan.library.vectors) * view.scale
    near = np.all(np.abs(every) - radius < [half_y, half_x], axis=1)
    every, library = every[near], plan.library.mean_intensity[near]
    whole = view.holds(plan.library.vectors[near], radius)
    electrons = plan.dose * np.maximum(library, _FAINTEST)
    disks = PatchCollection(
        [Circle((x, y), radius) for y, x in every],
        cmap="cividis",
        norm=LogNorm(plan.dose * _FAINTEST, plan.dose * max(float(library.max()), 1e-3)),
        edgecolor="none",
    )
    disks.set_array(electrons)
    ax.add_collection(disks)
    for y, x in every[~whole]:
        ax.add_patch(Circle((x, y), radius, fill=False, color="white", linestyle=":", linewidth=1))
    lenses = PatchCollection(_lenses(every, radius), facecolor=_OVERLAP, edgecolor="none")
    ax.add_collection(lenses)
    for colour, number in zip(_COLOURS, shown, strict=False):
        y, x = plan.disks.positions[number] * view.scale
        ax.add_patch(Circle((x, y), radius, fill=False, color="white", linewidth=3.5, zorder=3))
        ax.add_patch(Circle((x, y), radius, fill=False, color=colour, linewidth=2, zorder=4))
    ax.set_facecolor("black")
    ax.set(xlim=(-half_x, half_x), ylim=(half_y, -half_y), aspect="equal")
    ax.set(xlabel="kx (Å⁻¹)", ylabel="ky (Å⁻¹)")
    apart = f"overlap by {-plan.gap:.1f} px" if plan.overlaps else f"gap {plan.gap:.1f} px"
    ax.set_title(f"{plan.n_disks} disks, radius {plan.radius:.1f} px, {apart}", fontsize="medium")
    ax.figure.colorbar(disks, ax=ax, label="Electrons a disk", shrink=0.7, extend="min")


def _lenses(centres: Float, radius: float) -> list[Any]:
    """Where circles of one radius overlap, as polygons."""
    from matplotlib.patches import Polygon

    lenses = []
    for i, first in enumerate(centres):
        for second in centres[i + 1 :]:
            away = second - first
            distance = float(np.hypot(*away))
            if not 0 < distance < 2 * radius:
                continue
            half = np.arccos(distance / 2 / radius)
            towards = np.arctan2(*away)
            arcs = [
                centre + radius * np.stack([np.sin(phi), np.cos(phi)], axis=-1)
                for centre, phi in (
                    (first, towards + np.linspace(-half, half, 24)),
                    (second, towards + np.pi + np.linspace(-half, half, 24)),
                )
            ]
            lenses.append(Polygon(np.concatenate(arcs)[:, ::-1], closed=True))
    return lenses


def _draw_rocking(panels: Any, plan: Plan, shown: NDArray[np.integer]) -> None:
    library = plan.library
    place = {tuple(hkl): i for i, hkl in enumerate(library.indices.tolist())}
    columns = [place[tuple(hkl)] for hkl in plan.disks.indices[shown].tolist()]
    for direction, ax in enumerate(panels):
        tilts = (library.tilt_x, library.tilt_y)[direction]
        points = np.zeros((200, 3))
        points[:, direction] = np.linspace(tilts[0], tilts[-1], 200)
        points[:, 2] = np.mean(plan.conditions.thickness)
        curves = plan.rocking(points)[:, columns].T
        for i, (hkl, curve) in enumerate(zip(plan.disks.indices[shown], curves, strict=True)):
            # dashed ones show curves of the same course that lie below
            ax.plot(
                points[:, direction], curve, ("-", "--")[i % 2], color=_COLOURS[i],
                label=hkl_label(hkl), linewidth=1.5, zorder=2 + 0.1 * (i % 2),
            )  # fmt: skip
        ax.set_xlabel(f"Tilt {'xy'[direction]} (°)")
        ax.margins(x=0)
        ax.grid(alpha=0.3)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("Fraction of the beam")
    _legend(panels[0].figure, panels[0], 5)


def _over_dose(plan: Plan) -> tuple[Float, list[Any]]:
    doses = plan.dose * np.geomspace(0.01, 100, 9)
    doses = doses[doses >= 1]
    disks = plan.disks
    if plan.overlaps:
        beam = replace(plan.beam, convergence_angle=_widest(plan))
        disks = disks_in_view(plan.library, beam, plan.conditions)
    return doses, [disks.precision(float(d)) for d in doses]


def _over_angle(plan: Plan) -> tuple[Float, list[Any]]:
    high = _widest(plan)
    angles = np.linspace(0.15 * high, high, 7)
    return angles, [plan.precision_at(convergence_angle=float(a)) for a in angles]


def _draw_precision(ax: Axes, x: Float, precision: list[Any]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for name, label, factor, colour, style in _CURVES:
        values = factor * np.array([getattr(p, name) for p in precision])
        if np.isfinite(values).any():
            ax.plot(x, values, style, color=colour, label=label, linewidth=1.5)
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 200 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0)
    ax.grid(alpha=0.3)


def _mark_angles(ax: Axes, plan: Plan) -> None:
    limit, planned = plan.max_convergence_angle, plan.beam.convergence_angle
    right = 1.15 * max(min(plan.library.beam.convergence_angle, limit), planned * 1.05)
    ax.set_xlim(0, right)
    ax.axvline(planned, color="0.5", linewidth=0.8)
    if limit < right:
        ax.axvspan(limit, right, color=_OVERLAP, linewidth=0)
        style = {"rotation": 90, "ha": "center", "va": "center", "color": "white"}
        if limit < 0.92 * right:
            ax.text(
                (limit + right) / 2, 0.3, "overlap", transform=ax.get_xaxis_transform(), **style
            )
    ax.set_xlabel("α (mrad)")
