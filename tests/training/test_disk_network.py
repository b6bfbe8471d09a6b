"""The disk networks: plain array products equal Keras, and the edge fit is least squares."""

import numpy as np
import pytest

from pyxem_mlmaps.training.disk_circles import ANGLES, directions
from pyxem_mlmaps.training.disk_features import COARSE_INPUTS, SEEN, STRIP_INPUTS
from pyxem_mlmaps.training.disk_network import (
    CoarseNetwork,
    StripNetwork,
    build_coarse,
    build_strip,
    fit_edges,
    get_weights,
    put_weights,
)

FLAT = 30.0


def edges_of(shift, log_weight, noise=0.0, n=1, seed=0):
    rng = np.random.default_rng(seed)
    u = directions() @ np.asarray(shift) + noise * rng.normal(size=(n, ANGLES))
    return np.stack([u, np.broadcast_to(log_weight, u.shape)], axis=-1)


class TestEdgeFit:
    def test_finds_the_shift(self):
        fit = fit_edges(edges_of([0.3, -0.2, 0.1], 2.0), np.array([[-FLAT, -FLAT, 0.0, 0.0, 0.0]]))
        np.testing.assert_allclose(fit.shift[0], [0.3, -0.2, 0.1], atol=1e-6)
        assert fit.chi_square[0] == pytest.approx(0, abs=1e-9)
        assert fit.presence[0] == 0.5

    def test_covariance_is_that_of_evenly_spread_edges(self):
        # Σ cos² = N/2 and Σ 1 = N of N segments of weight w
        fit = fit_edges(edges_of([0, 0, 0], np.log(5.0)), np.array([[-FLAT, -FLAT, 0.0, 0.0, 0.0]]))
        expected = np.diag([2, 2, 1]) / (5.0 * ANGLES)
        np.testing.assert_allclose(fit.covariance[0], expected, atol=1e-8)

    def test_covariance_is_the_scatter(self):
        fit = fit_edges(
            edges_of([0.1, 0.2, 0.0], np.log(1 / 0.04), noise=0.2, n=4000),
            np.tile([-FLAT, -FLAT, 0.0, 0.0, 0.0], (4000, 1)),
        )
        scatter = np.cov(fit.shift.T)
        np.testing.assert_allclose(scatter, fit.covariance[0], atol=0.08 * scatter.max())
        assert fit.chi_square.mean() == pytest.approx(1 - 3 / ANGLES, rel=0.03)

    def test_half_an_edge_is_uncertain_across_it(self):
        weight = np.where(directions()[:, 0] > 0.3, 3.0, -14.0)
        fit = fit_edges(edges_of([0, 0, 0], weight), np.array([[-FLAT, 8.0, 0.0, 0.0, 0.0]]))
        full = fit_edges(edges_of([0, 0, 0], 3.0), np.array([[-FLAT, 8.0, 0.0, 0.0, 0.0]]))
        assert np.all(np.diag(fit.covariance[0]) >= np.diag(full.covariance[0]) - 1e-12)
        assert fit.covariance[0, 1, 1] > fit.covariance[0, 0, 0]

    def test_without_an_edge_the_prior_remains(self):
        fit = fit_edges(
            edges_of([3, 0, 0], -14.0), np.array([[np.log(4.0), np.log(9.0), 0.0, 0.0, 0.0]])
        )
        np.testing.assert_allclose(fit.shift[0], 0, atol=1e-3)
        np.testing.assert_allclose(np.diag(fit.covariance[0]), [1 / 4, 1 / 4, 1 / 9], rtol=1e-3)


class TestForward:
    @pytest.mark.parametrize("seed", [0, 3])
    def test_coarse_equals_keras(self, seed):
        model = build_coarse(seed)
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(9, COARSE_INPUTS)).astype(np.float32)
        mean = rng.normal(size=COARSE_INPUTS).astype(np.float32)
        scale = rng.uniform(0.5, 2, COARSE_INPUTS).astype(np.float32)
        network = CoarseNetwork(get_weights(model), mean, scale)
        for wholly_seen in (False, True):
            if wholly_seen:
                x[:, SEEN] = 1
            expected = model.predict((x - mean) / scale, verbose=0)
            np.testing.assert_allclose(network(x), expected, atol=1e-4)

    @pytest.mark.parametrize("seed", [0, 3])
    def test_strip_equals_keras(self, seed):
        model = build_strip(seed)
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(9, ANGLES, STRIP_INPUTS)).astype(np.float32)
        mean, scale = np.zeros(STRIP_INPUTS, np.float32), np.ones(STRIP_INPUTS, np.float32)
        network = StripNetwork(get_weights(model), mean, scale)
        edges, pooled = network(x)
        expected = model.predict(x, verbose=0)
        np.testing.assert_allclose(edges.reshape(9, -1), expected[:, : 2 * ANGLES], atol=1e-4)
        np.testing.assert_allclose(pooled, expected[:, 2 * ANGLES :], atol=1e-4)

    def test_turning_the_strip_turns_the_edges(self):
        network = StripNetwork(
            get_weights(build_strip(1)), np.zeros(STRIP_INPUTS, np.float32),
            np.ones(STRIP_INPUTS, np.float32),
        )  # fmt: skip
        x = np.random.default_rng(0).normal(size=(4, ANGLES, STRIP_INPUTS)).astype(np.float32)
        edges, pooled = network(x)
        turned, same = network(np.roll(x, 5, axis=1))
        np.testing.assert_allclose(turned, np.roll(edges, 5, axis=1), atol=1e-5)
        np.testing.assert_allclose(same, pooled, atol=1e-5)

    def test_weights_go_in_and_out(self):
        weights = get_weights(build_strip(4))
        other = build_strip(5)
        put_weights(other, weights)
        for a, b in zip(weights, get_weights(other), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_wrong_shapes_are_refused(self):
        weights = get_weights(build_strip(0))
        flat = np.zeros(STRIP_INPUTS, np.float32)
        with pytest.raises(ValueError, match="strip network"):
            StripNetwork(weights[:-1], flat, flat)
        with pytest.raises(ValueError, match="strip network"):
            StripNetwork(weights, flat[1:], flat)


def test_loss_is_the_likelihood_of_the_fit():
    """The differentiable fit in the loss and the one used for prediction are the same."""
    import tensorflow as tf

    from pyxem_mlmaps.training.disk_loop import EDGE_WEIGHT, STUDENT, _strip_loss

    rng = np.random.default_rng(2)
    n = 20
    edges = rng.normal(size=(n, ANGLES, 2))
    pooled = rng.normal(size=(n, 5))
    truth = np.column_stack([rng.normal(size=(n, 3)), np.ones(n), rng.normal(size=n)])
    output = np.concatenate([edges.reshape(n, -1), pooled], axis=1).astype(np.float32)
    loss = float(_strip_loss(tf.constant(truth, tf.float32), tf.constant(output)))
    fit = fit_edges(edges, pooled)
    error = truth[:, :3] - fit.shift
    q = np.einsum("ni,nij,nj->n", error, np.linalg.inv(fit.covariance), error)
    expected = 0.5 * np.linalg.slogdet(fit.covariance)[1]
    expected += (STUDENT + 3) / 2 * np.log(1 + q / STUDENT)
    expected -= np.log(fit.presence)
    blur = fit.edge_precision * (truth[:, 4] - fit.log_edge) ** 2 - np.log(fit.edge_precision)
    expected += EDGE_WEIGHT * 0.5 * blur
    assert loss == pytest.approx(expected.mean(), rel=1e-4)
