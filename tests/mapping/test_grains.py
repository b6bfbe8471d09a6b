"""Misorientations, grains, means and sub-grains of made-up polycrystals."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from orix.quaternion import Orientation, Rotation

from pyxem_mlmaps.conventions import (
    in_plane_matrix,
    rotation_to_detector_matrix,
    tilt_matrix,
)
from pyxem_mlmaps.mapping.grain_rotations import multiply, rotated, rotation_vector, scan_arrays
from pyxem_mlmaps.mapping.grains import (
    kernel_average_misorientation,
    label_grains,
    mean_orientations,
    neighbour_misorientation,
    renumbered,
    tilt_within_grains,
)
from pyxem_mlmaps.mapping.subgrains import label_subgrains

_spec = importlib.util.spec_from_file_location(
    "_synthetic_grains", Path(__file__).with_name("_synthetic_grains.py")
)
synthetic = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = synthetic
_spec.loader.exec_module(synthetic)
crystal_map, polycrystal = synthetic.crystal_map, synthetic.polycrystal
agreement = synthetic.agreement


def random_quaternions(shape, seed=0):
    q = np.random.default_rng(seed).normal(size=(*shape, 4))
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def scrambled(quaternions, xmap, seed=0):
    """Every point replaced by a symmetry-equivalent of its own."""
    group = xmap.phases[0].point_group.proper_subgroup.data.reshape(-1, 4)
    rng = np.random.default_rng(seed)
    return multiply(group[rng.integers(len(group), size=quaternions.shape[:-1])], quaternions)


def turned(vectors, point_group="m-3m", **kwargs):
    """Map of one random orientation, turned by (ny, nx, 3) degrees and scrambled."""
    q = rotated(random_quaternions((1, 1)), np.asarray(vectors, dtype=float))
    xmap = crystal_map(q, point_group=point_group)
    return crystal_map(scrambled(q, xmap), point_group=point_group, **kwargs)


# ---- rotation vectors ------------------------------------------------------------------------


def test_rotation_vector_is_that_of_the_detector_frame():
    start = Rotation(random_quaternions((1,)))
    turn = rotated(start.data, np.array([[0.02, -0.03, 0.05]]))
    matrix = rotation_to_detector_matrix(Rotation(turn))
    expected = in_plane_matrix(0.05) @ tilt_matrix(0.02, -0.03) @ rotation_to_detector_matrix(start)
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    vector = rotation_vector(turn, start.data)
    np.testing.assert_allclose(vector, [[0.02, -0.03, 0.05]], atol=1e-12)


def test_rotation_vector_of_nothing_and_of_large_turns():
    start = random_quaternions((5,))
    np.testing.assert_allclose(rotation_vector(start, start), 0, atol=1e-13)
    vectors = np.random.default_rng(1).uniform(-80, 80, size=(5, 3))
    np.testing.assert_allclose(rotation_vector(rotated(start, vectors), start), vectors)


# ---- neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("point_group", ["m-3m", "-43m", "6/mmm", "-3m", "mmm", "-1"])
def test_known_turns_under_symmetry(point_group):
    steps = np.array([0, 1e-7, 1e-3, 0.1, 3.0])
    vectors = np.zeros((2, 5, 3))
    vectors[:, :, 2] = np.cumsum(steps)
    right, below = neighbour_misorientation(turned(vectors, point_group))
    np.testing.assert_allclose(right, np.tile(steps[1:], (2, 1)), atol=1e-12)
    np.testing.assert_allclose(below, 0, atol=1e-12)


@pytest.mark.parametrize("point_group", ["m-3m", "6/mmm"])
def test_agrees_with_orix(point_group):
    xmap = crystal_map(random_quaternions((6, 7)), point_group=point_group)
    proper = xmap.phases[0].point_group.proper_subgroup
    q = xmap.rotations.data.reshape(6, 7, 4)
    one, two = Orientation(q[:, :-1], symmetry=proper), Orientation(q[:, 1:], symmetry=proper)
    right, _ = neighbour_misorientation(xmap)
    np.testing.assert_allclose(right, one.angle_with(two, degrees=True), atol=1e-5)
    assert right.max() < {"m-3m": 62.8, "6/mmm": 93.85}[point_group]


def test_zinc_blende_has_a_polarity():
    """A quarter turn about a cube axis swaps the two atoms of -43m, but not those of m-3m."""
    q = np.array([[[1, 0, 0, 0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]]])
    assert neighbour_misorientation(crystal_map(q, point_group="m-3m"))[0][0, 0] < 1e-9
    right, _ = neighbour_misorientation(crystal_map(q, point_group="-43m"))
    np.testing.assert_allclose(right, 90)


def test_not_indexed_and_phases():
    phase = np.array([[0, 0, 1, -1, 1]])
    right, below = neighbour_misorientation(crystal_map(np.tile([1.0, 0, 0, 0], (1, 5, 1)), phase))
    np.testing.assert_array_equal(right, [[0, np.inf, np.nan, np.nan]])
    assert below.shape == (0, 5)


def test_column_and_single_point():
    vectors = np.zeros((4, 1, 3))
    vectors[:, 0, 0] = [0, 0.1, 0.3, 0.3]
    right, below = neighbour_misorientation(turned(vectors))
    assert right.shape == (4, 0)
    np.testing.assert_allclose(below[:, 0], [0.1, 0.2, 0], atol=1e-12)
    point = crystal_map(np.array([[[1.0, 0, 0, 0]]]))
    assert [a.shape for a in neighbour_misorientation(point)] == [(1, 0), (0, 1)]
    assert label_grains(point).tolist() == [[0]]
    assert np.isnan(kernel_average_misorientation(point)).all()


def test_part_of_a_map_and_points_left_out():
    xmap = polycrystal(0, shape=(20, 30)).xmap
    right, _ = neighbour_misorientation(xmap)
    part, _ = neighbour_misorientation(xmap[5:15, 10:])
    np.testing.assert_array_equal(part, right[5:15, 10:])
    keep = np.ones(xmap.size, bool)
    keep[31] = False
    assert np.isnan(neighbour_misorientation(xmap[keep])[0][1, :2]).all()


def test_no_point_group_is_named():
    from orix.crystal_map import CrystalMap

    with pytest.raises(ValueError, match="no point group"):
        scan_arrays(CrystalMap.empty((3, 4)))


# ---- grains ----------------------------------------------------------------------------------


def test_grains_are_found():
    p = polycrystal(0, bad_on_boundary=0, outliers=0)
    np.testing.assert_array_equal(label_grains(p.xmap), renumbered(p.grain))


def test_small_regions_join_or_are_left():
    vectors = np.zeros((6, 6, 3))
    vectors[2, 2] = 20
    xmap = turned(vectors)
    assert label_grains(xmap).max() == 1
    assert np.all(label_grains(xmap, min_size=2) == 0)
    phase = np.zeros((6, 6), int)
    phase[2, 2], phase[5, 5] = 1, -1
    labels = label_grains(crystal_map(np.tile([1.0, 0, 0, 0], (6, 6, 1)), phase), min_size=2)
    assert labels[2, 2] == labels[5, 5] == -1 and np.sum(labels == 0) == 34


def test_nothing_indexed():
    xmap = crystal_map(random_quaternions((4, 5)), np.full((4, 5), -1))
    for labels in (label_grains(xmap), label_subgrains(xmap)):
        assert labels.shape == (4, 5) and np.all(labels == -1)


def test_bad_arguments():
    xmap = turned(np.zeros((3, 4, 3)))
    with pytest.raises(ValueError, match="threshold"):
        label_grains(xmap, threshold=-1)
    with pytest.raises(ValueError, match=r"labels: shape \(4, 3\)"):
        mean_orientations(xmap, np.zeros((4, 3), int))
    with pytest.raises(ValueError, match="grains: shape"):
        label_subgrains(xmap, grains=np.zeros((4, 3), int))


def test_kernel_average():
    vectors = np.zeros((5, 9, 3))
    vectors[:, :, 0] = 0.1 * np.arange(9) + 20 * (np.arange(9) > 5)
    kam = kernel_average_misorientation(turned(vectors))
    np.testing.assert_allclose(kam[1:4, 1:5], 0.05, atol=1e-9)
    np.testing.assert_allclose(kam[2, 5], 0.1 / 3, atol=1e-9, err_msg="the other grain is left out")
    second = kernel_average_misorientation(turned(vectors), order=2)
    # right and left 0.1 and 0.2, corners 0.1, above and below 0
    np.testing.assert_allclose(second[2, 2:4], (2 * 0.1 + 2 * 0.2 + 4 * 0.1) / 12, atol=1e-9)


# ---- means -----------------------------------------------------------------------------------


@pytest.mark.parametrize("point_group", ["m-3m", "6/mmm", "-1"])
def test_mean_and_its_uncertainty(point_group):
    rng = np.random.default_rng(0)
    sigma = np.array([0.005, 0.01, 0.05])
    pulls = []
    for seed in range(12):
        noise = rng.normal(size=(15, 20, 3)) * sigma
        noise[3, 4] = 25
        prop = {f"sigma_{n}": np.full((15, 20), s) for n, s in zip(NAMES, sigma, strict=True)}
        start = random_quaternions((1, 1), seed)
        clean = rotated(start, noise)
        q = scrambled(clean, crystal_map(clean, point_group=point_group), seed)
        xmap = crystal_map(q, prop=prop, point_group=point_group)
        mean = mean_orientations(xmap, np.zeros((15, 20), int))
        variants = multiply(
            xmap.phases[0].point_group.proper_subgroup.data.reshape(-1, 4), mean.rotations.data
        )
        best = variants[np.argmax(np.abs(variants @ start[0, 0]))]
        pulls.append(rotation_vector(best, start[0, 0]) / mean.sigma[0])
        assert np.all((mean.sigma[0] / sigma > 0.9 / 17.3) & (mean.sigma[0] / sigma < 1.3 / 17.3))
    assert 0.6 < np.std(pulls) < 1.4 and np.abs(pulls).max() < 4


NAMES = ("tilt_x", "tilt_y", "in_plane")


def test_points_that_do_not_fit_are_left_out_of_means():
    vectors = np.zeros((1, 5, 3))
    vectors[0, 3:] = 1
    prop = {"misfit": np.array([[0.5, 0.5, 0.5, 3, 3]]), "precise": np.array([[1, 1, 1, 1, 0]])}
    xmap = turned(vectors, prop=prop)
    turn = tilt_within_grains(xmap, np.zeros((1, 5), int))
    np.testing.assert_allclose(turn, vectors, atol=1e-9)
    means = mean_orientations(xmap, np.array([[0, 0, 0, 7, 7]]))
    assert means.labels.tolist() == [0, 7] and means.size.tolist() == [3, 2]


def test_tilt_within_grains_is_signed():
    y, x = np.indices((9, 11)) - np.array([4, 5])[:, None, None]
    vectors = np.stack([0.01 * x, 0.02 * y, 0 * x], axis=-1)
    labels = np.zeros((9, 11), int)
    labels[0, 0] = -1
    turn = tilt_within_grains(turned(vectors), labels)
    assert np.isnan(turn[0, 0]).all()
    labelled = labels == 0
    np.testing.assert_allclose(turn[labelled], vectors[labelled], atol=2e-3)


# ---- sub-grains ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_all_subgrains_and_no_others(seed):
    p = polycrystal(seed, point_group=("m-3m", "6/mmm")[seed % 2])
    found = agreement(label_subgrains(p.xmap), p.sub, p.wrong)
    assert found.matched == found.true == found.found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 124))
def test_all_subgrains_of_many_maps(seed):
    p = polycrystal(seed)
    found = agreement(label_subgrains(p.xmap), p.sub, p.wrong)
    assert found.matched == found.true == found.found


def test_points_are_put_on_the_right_side():
    p = polycrystal(1)
    labels = label_subgrains(p.xmap)
    owner = {k: np.bincount(p.sub[labels == k]).argmax() for k in np.unique(labels)}
    right = np.vectorize(owner.get)(labels) == p.sub
    assert right[~p.wrong].mean() > 0.995 and right[p.wrong].mean() > 0.7


def test_noise_bending_and_bad_points_alone_divide_nothing():
    for seed in range(3):
        p = polycrystal(seed, (60, 60), 1, 1, bending=0.05, outliers=0.03)
        assert label_subgrains(p.xmap).max() == 0


def test_a_row_of_flagged_points_divides_nothing():
    vectors = np.random.default_rng(0).normal(size=(20, 30, 3)) * [0.005, 0.005, 0.05]
    vectors[:, 14] += 40
    misfit = np.full((20, 30), 0.5)
    misfit[:, 14] = 3
    labels = label_subgrains(turned(vectors, prop={"misfit": misfit}))
    assert np.all(labels == 0), "σ is not given: it is taken from the scatter"


def test_row_scan():
    vectors = np.random.default_rng(0).normal(scale=0.005, size=(1, 60, 3))
    vectors[0, 25:, 1] += 0.15
    labels = label_subgrains(turned(vectors))
    assert labels.max() == 1 and np.flatnonzero(np.diff(labels[0])).tolist() == [24]


def test_grains_are_kept_apart():
    """Given labels divide even where nothing is seen, and points outside stay outside."""
    grains = np.zeros((10, 10), int)
    grains[:, 5:] = 1
    grains[0] = -1
    labels = label_subgrains(turned(np.zeros((10, 10, 3))), grains=grains)
    np.testing.assert_array_equal(labels, grains)
