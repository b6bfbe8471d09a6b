"""The centre of a disk: bounds against pixels, and what unknown contrast costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from pyxem_mlmaps.planning.positions import contrast_modes, disk_nodes, disk_position_bound
from pyxem_mlmaps.simulation.scan import map_spline


def pixel_bound(counts, radius, edge, background):
    """Fisher information of a pixelated disk, by differences, brightness and background unknown."""
    half = int(radius + 8 * edge) + 3
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
    blur = np.sqrt(edge**2 + 1 / 12)

    def disk(cy, cx):
        form = erfc((np.hypot(y - cy, x - cx) - radius) / (np.sqrt(2) * blur)) / 2
        return counts / (np.pi * radius**2) * form

    at, h = (0.21, -0.34), 1e-3
    d_y = (disk(at[0] + h, at[1]) - disk(at[0] - h, at[1])) / (2 * h)
    d_x = (disk(at[0], at[1] + h) - disk(at[0], at[1] - h)) / (2 * h)
    jacobian = np.stack([d_y, d_x, disk(*at), np.ones_like(d_y)]).reshape(4, -1)
    expected = (disk(*at) + background).ravel()
    information = jacobian / np.maximum(expected, 1e-12) @ jacobian.T
    if background == 0:
        information = information[:3, :3]
    return np.sqrt(np.linalg.inv(information)[[0, 1], [0, 1]].mean())


@pytest.mark.parametrize("background", [0.0, 0.5, 20.0])
@pytest.mark.parametrize(("radius", "edge"), [(30, 1.0), (7, 0.5), (4, 1.5)])
def test_even_disk_against_pixels(radius, edge, background):
    found = disk_position_bound([1e4], disk_nodes(radius, edge), background)
    assert found[0] == pytest.approx(pixel_bound(1e4, radius, edge, background), rel=0.03)


def test_nodes_cover_the_disk():
    nodes = disk_nodes(12.0, 0.5)
    assert (nodes.area * nodes.aperture).sum() == pytest.approx(np.pi * 12**2, rel=0.01)


@pytest.fixture(scope="module")
def modes(library, beam):
    points = np.array([[x, y, 72.5] for x in (-0.1, 0, 0.1) for y in (-0.1, 0, 0.1)])
    return contrast_modes(map_spline(library), points, beam.convergence_angle, disk_nodes(15, 0.5))


def test_modes_are_the_contrast_of_the_disks(modes, library, beam):
    """Their variance, over the disk, is that of the plane-wave maps within the aperture."""
    nodes = disk_nodes(15, 0.5)
    inside = nodes.area * nodes.aperture
    variance = ((modes**2).sum(axis=0) * inside).sum() / inside.sum()
    step = library.tilt_x[1] - library.tilt_x[0]
    n = np.degrees(beam.convergence_angle * 1e-3) / step
    margin = (library.maps.shape[0] - len(library.tilt_x)) // 2
    y, x = np.mgrid[-4:5, -4:5]
    aperture = np.hypot(y, x) <= n
    contrast = []
    for i in (5, 10, 15):
        for j in (5, 10, 15):
            window = library.maps[margin + i - 4 :, margin + j - 4 :, 3][:9, :9][aperture]
            contrast.append((window / window.mean(axis=0)).T)
    about = np.concatenate(contrast)
    assert variance == pytest.approx(about.var(axis=0).mean(), rel=0.25)


def test_contrast_that_is_not_known_costs_more_the_more_electrons(modes):
    """Few electrons do not show it. At many it is what limits."""
    counts, nodes = [1e1, 1e3, 1e5, 1e7], disk_nodes(15, 0.5)
    ratio = disk_position_bound(counts, nodes, modes=modes) / disk_position_bound(counts, nodes)
    assert np.all(np.diff(ratio) > 0)
    assert ratio[0] < 1.2 and ratio[-1] > 1.5


def test_known_contrast_falls_with_the_root_of_the_dose():
    nodes = disk_nodes(10, 0.5)
    one, hundred = disk_position_bound([1e3, 1e5], nodes, background=[0.1, 10.0])
    assert hundred == pytest.approx(one / 10)
