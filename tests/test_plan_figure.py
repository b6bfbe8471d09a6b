"""The figure of a plan shows the pattern to scale, and what can be told when."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PatchCollection

import pyxem_mlmaps as mlmaps

matplotlib.use("Agg")


def planned(angle, **options):
    options = {"scale": 0.012, "g_max": 1.5, "tilt_range": 0.1, "detector": (160, 200)} | options
    return mlmaps.plan(
        mlmaps.data.silicon(), mlmaps.Beam(300, angle), zone_axis=(1, 1, 0), **options
    )


@pytest.fixture(scope="module")
def plan():
    return planned(1.3)


@pytest.fixture(scope="module")
def axes(plan):
    yield {ax.get_xlabel() or ax.get_ylabel(): ax for ax in plan.plot().axes}
    matplotlib.pyplot.close("all")


def filled(ax):
    """Outlines of the disks and of the overlaps, each path in data units."""
    return [c.get_paths() for c in ax.collections if isinstance(c, PatchCollection)]


def test_pattern_is_to_scale(plan, axes):
    ax = axes["kx (Å⁻¹)"]
    assert ax.get_xlim() == pytest.approx((-1.2, 1.2))
    assert ax.get_ylim() == pytest.approx((0.96, -0.96)), "ky runs downwards"
    disks, lenses = filled(ax)
    box = disks[0].get_extents()
    assert box.width == pytest.approx(2 * plan.beam.aperture_radius, rel=1e-3)
    assert lenses == []
    assert f"{plan.n_disks} disks" in ax.get_title()


def test_rocking_curves_are_those_of_the_outlined_disks(plan, axes):
    """At zero tilt both panels show the same intensities, in the library's fractions."""
    curves = {d: axes[f"Tilt {d} (°)"].lines for d in "xy"}
    assert len(curves["x"]) == len(curves["y"]) == 5
    for one, other in zip(curves["x"], curves["y"], strict=True):
        at_zero = [np.interp(0, *line.get_data()) for line in (one, other)]
        assert at_zero[0] == pytest.approx(at_zero[1], rel=1e-2)
    outlined = {p.get_edgecolor() for p in axes["kx (Å⁻¹)"].patches}
    assert {matplotlib.colors.to_rgba(line.get_color()) for line in curves["x"]} <= outlined


def test_precision_falls_with_dose_and_grows_with_the_angle(axes):
    for curve in axes["Electrons a pattern"].lines[:5]:
        assert np.all(np.diff(curve.get_ydata()) < 0)
    tilt = axes["α (mrad)"].lines[0].get_ydata()
    assert tilt[-1] > tilt[0]


def test_planned_precision_lies_on_the_curve(plan, axes):
    doses, values = axes["Electrons a pattern"].lines[0].get_data()
    at_dose = np.exp(np.interp(np.log(plan.dose), np.log(doses), np.log(values)))
    assert at_dose == pytest.approx(1e3 * plan.precision.tilt_x, rel=0.01)


def test_overlap_is_drawn():
    """Lenses as wide as the disks overlap; the precision is that of the largest angle."""
    wide = planned(3.5)
    axes = {ax.get_xlabel(): ax for ax in wide.plot((7, 4)).axes}
    _, lenses = filled(axes["kx (Å⁻¹)"])
    assert lenses
    thickness = min(np.ptp(p.vertices @ wide_axis(p), axis=0).min() for p in lenses)
    assert thickness == pytest.approx(-wide.gap * wide.scale, rel=0.5)
    assert "at α = 3.14 mrad" in axes["Electrons a pattern"].get_title()
    assert "overlap by" in axes["kx (Å⁻¹)"].get_title()
    matplotlib.pyplot.close("all")


def wide_axis(path):
    """Principal axes of a lens."""
    return np.linalg.svd(path.vertices - path.vertices.mean(axis=0))[2].T


def test_one_disk_alone_is_drawn():
    """It tells nothing: no precision is drawn."""
    one = planned(1.3, detector=(24, 24))
    assert one.n_disks == 1
    axes = {ax.get_xlabel(): ax for ax in one.plot().axes}
    assert not any(line.get_label().startswith("tilt") for line in axes["α (mrad)"].lines)
    matplotlib.pyplot.close("all")
