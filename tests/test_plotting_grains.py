"""Figures of a polycrystal: units, calibration, colours, points not indexed; no pixel tests."""

from __future__ import annotations

import numpy as np
import pytest
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation

from pyxem_mlmaps import plotting
from pyxem_mlmaps._grain_panels import boundary_segments, ipf_colours, map_extent

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


def make(shape=(12, 20), hexagonal=False, **properties):
    """Left half and right half 0.5° apart, two top rows 30°; one point not indexed."""
    y, x = np.indices(shape).reshape(2, -1)
    right = x >= shape[1] // 2
    angle = 0.5 * right + 30 * (y < 2) if shape[0] > 1 else 0.5 * right
    phase = np.zeros(y.size, int)
    phase[np.flatnonzero((y == 3) & (x == 4))] = -1
    phases = [Phase("Al", point_group="m-3m")]
    if hexagonal:
        phases.append(Phase("Ti", point_group="6/mmm"))
        phase[-3 * shape[1] :] = 1
    return CrystalMap(
        Rotation.from_axes_angles([1, 0.3, 0.2], angle + 10, degrees=True),
        phase_id=phase,
        x=2.5 * x,
        y=2.5 * y,
        phase_list=PhaseList(phases, ids=range(len(phases))),
        prop={name: np.asarray(values) for name, values in properties.items()},
        scan_unit="nm",
    )


@pytest.fixture
def xmap():
    y, x = np.indices((12, 20)).reshape(2, -1)
    rng = np.random.default_rng(0)
    return make(
        misfit=rng.uniform(0.2, 1.4, 240),
        sigma_tilt_x=np.full(240, 0.005),
        sigma_in_plane=np.full(240, 0.05),
        subgrain_id=(x >= 10) + 2 * (y < 2),
        grain_id=(y < 2).astype(int),
    )


def panel(figure, start):
    (ax,) = [a for a in figure.axes if a.get_title().startswith(start)]
    return ax


def test_ipf_is_calibrated_and_has_a_key(xmap):
    figure = plotting.plot_ipf_map(xmap)
    ax = panel(figure, "IPF")
    assert ax.images[0].get_extent() == [-1.25, 48.75, 28.75, -1.25]
    assert ax.get_xlabel() == "x (nm)" and ax.get_ylabel() == "y (nm)"
    np.testing.assert_allclose(ax.images[0].get_array()[3, 4], 0.6, err_msg="not indexed is grey")
    assert sum(a.name == "ipf" for a in figure.axes) == 1
    figure = plotting.plot_ipf_map(make(hexagonal=True), "x")
    assert sum(a.name == "ipf" for a in figure.axes) == 2


def test_cube_axis_along_the_beam_is_red():
    cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    y, x = np.indices((2, 2)).reshape(2, -1)
    flat = CrystalMap(Rotation.identity((4,)), x=x, y=y, phase_list=cubic)
    np.testing.assert_allclose(ipf_colours(flat, "z")[0, 0], [1, 0, 0], atol=1e-6)
    with pytest.raises(ValueError, match="direction"):
        ipf_colours(flat, "w")


def test_boundaries_lie_between_points_and_have_their_angle(xmap):
    extent, _ = map_extent(xmap)
    labels = xmap.subgrain_id.reshape(12, 20)
    lines, angles = boundary_segments(xmap, extent, 0.05, labels)
    small = np.isclose(angles, 0.5)
    np.testing.assert_allclose(angles[~small], 30, atol=1e-6)
    assert small.sum() == 12 and (~small).sum() == 20
    np.testing.assert_allclose(lines[small][..., 0], 23.75, err_msg="between columns 9 and 10")
    np.testing.assert_allclose(lines[~small][..., 1], 3.75, err_msg="between rows 1 and 2")
    every, _ = boundary_segments(xmap, extent, 1.0, None)
    assert len(every) == 20, "without labels, pairs from one degree on"


def test_boundaries_figure(xmap):
    figure = plotting.plot_boundaries(xmap)
    (lines,) = panel(figure, "Boundaries (°)").collections
    assert lines.get_clim() == (0.05, 60)
    assert lines.colorbar.ax.get_yticklabels()[0].get_text() == "0.1"
    with pytest.raises(ValueError, match="background"):
        plotting.plot_boundaries(xmap, background="height")


def test_background_is_lighter_than_missing_points(xmap):
    tones = np.asarray(panel(plotting.plot_boundaries(xmap), "Boundaries").images[0].get_array())
    missing = np.isclose(tones, 0.6)
    assert missing.sum() == 1 and missing[3, 4]
    assert tones[~missing].min() > 0.75


def test_kam_is_logarithmic_in_degrees(xmap):
    image = panel(plotting.plot_kam(xmap), "Kernel average misorientation (°)").images[0]
    assert isinstance(image.norm, matplotlib.colors.LogNorm)
    drawn = image.get_array()
    assert drawn.mask[3, 4] and drawn[6, 10] == pytest.approx(0.125)


def test_tilt_has_a_wheel_in_degrees(xmap):
    figure = plotting.plot_grain_tilt(xmap)
    image = panel(figure, "Tilt within grains").images[0].get_array()
    np.testing.assert_allclose(image[3, 4], (0.6, 0.6, 0.6, 1))
    assert not np.allclose(image[8, 5], image[8, 15]), "the two halves are tilted apart"
    assert any(ax.get_xlabel() == "tilt x (°)" for ax in figure.axes)


def test_polycrystal(xmap):
    figure = plotting.plot_polycrystal(xmap)
    for title in ("IPF, beam", "Boundaries", "Tilt", "KAM", "Largest σ (°)", "Misfit"):
        assert panel(figure, title)
    sigma = panel(figure, "Largest σ").images[0]
    assert sigma.get_array().max() == pytest.approx(0.05) and sigma.get_clim()[0] > 1e-3
    truth = make()
    figure = plotting.plot_polycrystal(xmap, truth)
    assert panel(figure, "IPF, truth") and panel(figure, "Error (°)")
    figure.canvas.draw()


def test_error_is_the_angle_to_the_truth(xmap):
    truth = xmap.deepcopy()
    turn = Rotation.from_axes_angles([0, 0, 1], 0.02, degrees=True)
    truth._rotations = truth._rotations * turn
    image = panel(plotting.plot_polycrystal(xmap, truth), "Error (°)").images[0].get_array()
    np.testing.assert_allclose(image.compressed(), 0.02, atol=1e-9)
    assert image.mask.sum() == 1
    with pytest.raises(ValueError, match="truth"):
        plotting.plot_polycrystal(xmap, make((4, 5)))


@pytest.mark.parametrize("shape", [(1, 20), (8, 1), (1, 1)])
def test_lines_and_points_without_properties(shape):
    xmap = make(shape)
    for draw in (
        plotting.plot_ipf_map,
        plotting.plot_kam,
        plotting.plot_boundaries,
        plotting.plot_grain_tilt,
        plotting.plot_polycrystal,
    ):
        draw(xmap).canvas.draw()
        matplotlib.pyplot.close("all")


def test_nothing_indexed():
    xmap = make()
    xmap = CrystalMap(xmap.rotations, phase_id=np.full(240, -1), x=xmap.x, y=xmap.y)
    plotting.plot_polycrystal(xmap, xmap).canvas.draw()
