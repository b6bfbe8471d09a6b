"""A handful of figures that whole runs have to give: not only no worse, but no other.

They are those of the quick demo (``python -m pyxem_mlmaps.demo --quick`` prints them), whose seeds
are fixed. What an error may be is set by the counts: an error well below its anchor means that the
truth has leaked into the map, or that the scan is not what it was. What the simulation itself is
anchored to (extinction distances, another program) is in ``tests/simulation``.
"""

from __future__ import annotations

import pytest

ANCHORS = {
    # GaSb, 10^6 electrons a pattern: the noise limit of 43 disk sums
    "foil: RMS error of tilt x (m°)": (0.17, 0.25),
    "foil: RMS error of tilt y (m°)": (0.18, 0.25),
    "foil: RMS error of thickness (nm)": (0.050, 0.25),
    "foil: RMS σ of tilt x (m°)": (0.20, 0.15),
    # Si/SiGe: the noise limit of some sixty disks, and what contrast adds to it
    "transistor: RMS error of ε_xx (%)": (0.021, 0.25),
    "transistor: RMS error of ε_yy (%)": (0.019, 0.25),
    "transistor: RMS error of ε_xy (%)": (0.014, 0.25),
    "transistor: RMS error of rotation (m°)": (7.4, 0.25),
    "transistor: median σ of ε_xx (%)": (0.0187, 0.1),
    # UO2 on 128 x 128 pixels: the angle about the beam, from where edges are
    "grains: median angle to the truth (m°)": (16, 0.6),
    # disk sums of a foil of 68 nm, by a model that allows for what simulations do not know
    "experiment: scatter of tilt x (m°)": (0.65, 0.3),
    "experiment: median thickness (nm)": (68, 0.005),
}
"""Figure and how far it may be off, relative."""


@pytest.mark.parametrize("name", ANCHORS)
def test_anchor(demo_run, name):
    expected, tolerance = ANCHORS[name]
    assert demo_run[0][name] == pytest.approx(expected, rel=tolerance)
