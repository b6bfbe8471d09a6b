"""Lattice fits: exact where positions are, at the noise limit where not, deaf to wrong disks."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.mapping.strain_fit import fit_lattices, index_disks
from pyxem_mlmaps.mapping.strain_tensor import axis_transformation, strain_components

BASIS = np.array([[21.0, -3.0], [9.0, 26.0]])
ORIGIN = np.array([130.3, 127.8])


def disk_indices(radius):
    h, k = np.indices((9, 9)).reshape(2, -1) - 4.0
    keep = np.hypot(h, k) <= radius
    return np.column_stack([h, k])[keep]


ALL = disk_indices(3.3)  # 37 disks
FEW = disk_indices(1.5)  # 9 disks


def scan(n, indices, sigma, rng, true_sigma=None):
    """n patterns of the same lattice; σ (n, n_disk, 2) or what broadcasts to it."""
    sigma = np.broadcast_to(sigma, (n, len(indices), 2))
    true_sigma = sigma if true_sigma is None else true_sigma
    positions = ORIGIN + indices @ BASIS + true_sigma * rng.normal(size=sigma.shape)
    table = np.concatenate([positions, sigma, np.broadcast_to(indices, sigma.shape)], axis=2)
    return np.arange(n + 1) * len(indices), table.reshape(-1, 6)


def scatter_over_sigma(fits):
    """Ratio of true error to stated σ for strain and rotation, e11, e22, e12, θ."""
    components, covariance = strain_components(fits.basis, fits.covariance, BASIS)
    sigma = np.sqrt(np.einsum("nii->ni", covariance))
    return np.sqrt(np.mean(components**2, axis=0) / np.mean(sigma**2, axis=0))


def test_exact_positions_and_free_origin():
    first, disks = scan(3, ALL, 0.1, np.random.default_rng(0), true_sigma=0.0)
    disks[37:74, :2] += (5.5, -40.25)
    fits = fit_lattices(first, disks)
    np.testing.assert_allclose(fits.basis, np.tile(BASIS, (3, 1, 1)), atol=1e-11)
    np.testing.assert_allclose(fits.origin - ORIGIN, [[0, 0], [5.5, -40.25], [0, 0]], atol=1e-11)
    np.testing.assert_allclose(fits.residual, 0, atol=1e-11)
    np.testing.assert_array_equal(fits.n_disks, 37)


def test_equals_weighted_least_squares():
    """σ of y and of x weight their own fits; the covariance is (AᵀWA)⁻¹ where χ² is not large."""
    rng = np.random.default_rng(1)
    sigma = rng.uniform(0.02, 0.2, (1, 37, 2))
    first, disks = scan(1, ALL, sigma, rng, true_sigma=0.5 * sigma)
    fits = fit_lattices(first, disks)
    design = np.column_stack([np.ones(37), ALL])
    for axis in (0, 1):
        root = 1 / sigma[0, :, axis]
        expected, *_ = np.linalg.lstsq(design * root[:, None], disks[:, axis] * root, rcond=None)
        np.testing.assert_allclose(fits.origin[0, axis], expected[0], rtol=1e-12)
        np.testing.assert_allclose(fits.basis[0, :, axis], expected[1:], rtol=1e-11)
        normal = np.linalg.inv(design.T @ (design * root[:, None] ** 2))
        np.testing.assert_allclose(fits.covariance[0, axis], normal[1:, 1:], rtol=1e-10)


@pytest.mark.parametrize(("indices", "tolerance"), [(ALL, 0.05), (FEW, 0.1)], ids=["37", "9"])
@pytest.mark.parametrize("equal", [True, False])
def test_sigma_is_the_scatter(indices, tolerance, equal):
    rng = np.random.default_rng(2)
    low = 0.1 if equal else 0.02
    sigma = np.exp(rng.uniform(np.log(low), np.log(0.1 + 1e-9), (6000, len(indices), 2)))
    ratio = scatter_over_sigma(fit_lattices(*scan(6000, indices, sigma, rng)))
    np.testing.assert_allclose(ratio, 1, atol=tolerance)


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_sigma_grows_where_the_residuals_ask_for_it(factor):
    rng = np.random.default_rng(3)
    first, disks = scan(4000, ALL, 0.05, rng, true_sigma=0.05 * factor)
    fits = fit_lattices(first, disks)
    np.testing.assert_allclose(scatter_over_sigma(fits), 1, atol=0.05)
    assert fits.n_disks.mean() > 36.9, "sound disks stay, whatever their σ claim"


def test_unknown_sigma_is_taken_from_the_residuals():
    rng = np.random.default_rng(4)
    first, disks = scan(4000, ALL, 1.0, rng, true_sigma=0.07)
    fits = fit_lattices(first, disks, known_sigma=False)
    np.testing.assert_allclose(scatter_over_sigma(fits), 1, atol=0.05)
    np.testing.assert_allclose(
        np.sqrt(np.mean(fits.residual**2)), 0.07 * np.sqrt(68 / 74), rtol=0.02
    )


def test_weights_pay():
    """With σ from 0.02 to 0.2 px the weighted lattice is better than the unweighted one, by what
    the ratio of harmonic and arithmetic mean of σ² says."""
    rng = np.random.default_rng(5)
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(0.2), (4000, 37, 2)))
    first, disks = scan(4000, ALL, sigma, rng)
    weighted = fit_lattices(first, disks).basis - BASIS
    disks[:, 2:4] = 1
    equal = fit_lattices(first, disks, known_sigma=False).basis - BASIS
    gain = equal.std() / weighted.std()
    expected = np.sqrt(np.mean(sigma**2) * np.mean(sigma**-2))
    assert expected > 2
    assert 0.85 * expected < gain < 1.1 * expected


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [1.0, 8.0, 500.0])
def test_one_wrong_disk_does_not_matter(size, known):
    rng = np.random.default_rng(6)
    first, disks = scan(370, ALL, 0.05, rng)
    clean = fit_lattices(first, disks, known)
    wrong = disks.copy()
    at = first[:-1] + np.arange(370) % 37  # each disk ten times
    direction = rng.normal(size=(370, 2))
    wrong[at, :2] += size * direction / np.hypot(*direction.T)[:, None]
    fits = fit_lattices(first, wrong, known)
    assert np.mean(fits.n_disks == 36) > 0.98, "chance takes another disk now and then"
    without = disks.copy()
    without[at] = np.nan
    expected = fit_lattices(first, without, known)
    same = (fits.n_disks == 36) & (expected.n_disks == 36)
    np.testing.assert_allclose(fits.basis[same], expected.basis[same], rtol=0, atol=1e-11)
    assert np.std(fits.basis - BASIS) < 1.1 * np.std(clean.basis - BASIS)


def test_a_third_wrong():
    rng = np.random.default_rng(7)
    first, disks = scan(100, ALL, 0.05, rng)
    table = disks.reshape(100, 37, 6)
    table[:, ::3, :2] += rng.uniform(-9, 9, (100, 13, 2))
    error = fit_lattices(first, disks).basis - BASIS
    assert np.abs(error).max() < 0.1, "least squares errs by 1 px"


def test_wrong_disk_among_nine():
    rng = np.random.default_rng(8)
    first, disks = scan(900, FEW, 0.05, rng)
    disks[first[:-1] + np.arange(900) % 9, 0] += 4
    fits = fit_lattices(first, disks)
    assert np.mean(fits.n_disks == 8) > 0.98
    assert np.abs(fits.basis - BASIS).max() < 0.3


@pytest.mark.parametrize(
    "indices",
    [[(0, 0), (1, 0)], [(0, 0), (1, 1), (2, 2), (-3, -3)], []],
    ids=["two", "on one line", "none"],
)
def test_too_few_disks(indices):
    indices = np.array(indices, dtype=float).reshape(-1, 2)
    fits = fit_lattices(*scan(1, indices, 0.1, np.random.default_rng(0)))
    assert all(np.isnan(part).all() for part in fits[:-1])
    assert fits.n_disks[0] == 0


def test_three_disks():
    """No residual: σ from the disks if known, else no σ."""
    triangle = np.array([(0, 0), (1, 0), (0, 1)], dtype=float)
    first, disks = scan(1, triangle, 0.1, np.random.default_rng(0))
    fits = fit_lattices(first, disks)
    np.testing.assert_allclose(fits.covariance[0, 0], 0.01 * np.array([[2, 1], [1, 2]]), rtol=1e-12)
    unknown = fit_lattices(first, disks, known_sigma=False)
    assert np.isnan(unknown.covariance).all() and np.isfinite(unknown.basis).all()


@pytest.mark.parametrize("column", range(6))
def test_rows_with_nan_are_passed_over(column):
    first, disks = scan(1, ALL, 0.1, np.random.default_rng(9))
    expected = fit_lattices(np.array([0, 34]), disks[3:])
    disks[:3, column] = np.nan
    fits = fit_lattices(first, disks)
    for part, other in zip(fits, expected, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-12)


def test_zero_sigma_is_no_disk():
    first, disks = scan(1, ALL, 0.1, np.random.default_rng(10))
    disks[5, 2] = 0
    assert fit_lattices(first, disks).n_disks[0] == 36


@pytest.mark.parametrize("far", [1e6, 1e9])
def test_a_line_of_disks_and_one_that_weighs_nothing(far):
    """Not a lattice, and no reason to lose the rest of the map."""
    line = np.array([(0, 0), (1, 0), (2, 0), (0, 1)], dtype=float)
    first, disks = scan(2, line, 0.01, np.random.default_rng(0))
    disks[3, 2:4] = far
    fits = fit_lattices(first, disks)
    assert np.isfinite(fits.basis[1]).all()
    assert np.isnan(fits.basis[0]).any() or fits.covariance[0, 0, 1, 1] > 1


def test_unit_does_not_matter():
    first, disks = scan(20, ALL, 0.05, np.random.default_rng(11))
    disks[4, 0] += 3
    fits = fit_lattices(first, disks)
    disks[:, :4] *= 1e-3
    scaled = fit_lattices(first, disks)
    np.testing.assert_allclose(scaled.basis, 1e-3 * fits.basis, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(scaled.covariance, 1e-6 * fits.covariance, rtol=1e-9, atol=1e-20)
    np.testing.assert_array_equal(scaled.n_disks, fits.n_disks)


class TestIndexDisks:
    @pytest.mark.parametrize("descan", [(0, 0), (8.4, -9.9), (-10.2, 12.0)])
    def test_shift_of_the_pattern(self, descan):
        """Descan up to half a lattice vector; a whole one would be unseen, and harmless."""
        positions = ORIGIN + ALL @ BASIS + descan
        found = index_disks(np.array([0, 37]), positions, ORIGIN[None], BASIS[None], 0.25)
        shift = found[0] - ALL[0]
        np.testing.assert_array_equal(found - ALL, np.tile(shift, (37, 1)))

    def test_peaks_between_the_lattice_points_are_left_out(self):
        positions = np.vstack([ORIGIN + ALL @ BASIS, ORIGIN + np.array([0.5, 0.4]) @ BASIS])
        found = index_disks(np.array([0, 38]), positions, ORIGIN[None], BASIS[None], 0.25)
        np.testing.assert_array_equal(found[:37], ALL)
        assert np.isnan(found[37]).all()

    def test_pattern_without_lattice(self):
        basis = np.stack([BASIS, np.full((2, 2), np.nan)])
        positions = np.vstack([ORIGIN + ALL @ BASIS] * 2)
        found = index_disks(np.array([0, 37, 74]), positions, np.tile(ORIGIN, (2, 1)), basis, 0.25)
        np.testing.assert_array_equal(found[:37], ALL)
        assert np.isnan(found[37:]).all()


class TestTensor:
    def test_covariance_is_carried_by_the_right_jacobian(self):
        """Against numerical differences, far from zero strain and rotation."""
        rng = np.random.default_rng(12)
        basis = BASIS @ np.array([[1.1, 0.2], [-0.3, 0.9]])
        by_axis = np.stack([np.cov(rng.normal(size=(2, 9))) for _ in range(2)])
        _, covariance = strain_components(basis[None], by_axis[None], BASIS)
        jacobian = np.empty((4, 2, 2))
        for i, j in np.ndindex(2, 2):
            step = np.zeros((2, 2))
            step[i, j] = 1e-5
            pair = np.stack([basis + step, basis - step])
            values, _ = strain_components(pair, np.zeros((2, 2, 2, 2)), BASIS)
            jacobian[:, i, j] = (values[0] - values[1]) / 2e-5
        expected = np.einsum("aij,jik,bkj->ab", jacobian, by_axis, jacobian)
        np.testing.assert_allclose(covariance[0], expected, rtol=1e-6)

    def test_mirrored_lattice_has_no_strain(self):
        components, _ = strain_components(BASIS[None, ::-1], np.zeros((1, 2, 2, 2)), BASIS)
        assert np.isnan(components).all()

    @pytest.mark.parametrize("angle", [0, 30, 90, -137])
    def test_axes(self, angle):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = np.array([[c, -s], [s, c]])
        tensor = np.array([[0.013, 0.004], [0.004, -0.007]])
        turned = turn.T @ tensor @ turn
        result = axis_transformation(angle) @ [0.013, -0.007, 0.004, 0.5]
        np.testing.assert_allclose(
            result, [turned[0, 0], turned[1, 1], turned[0, 1], 0.5], atol=1e-15
        )
