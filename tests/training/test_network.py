"""The network: plain products and Keras agree, seeds decide, training learns."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import NoiseModel, RockingLibrary, train_orientation_model
from pyxem_mlmaps.training.network import Network, build_keras, features


def test_forward_pass_is_keras(model, library):
    """Means to 1e-5 of the output range, σ to 1e-5 of itself."""
    x = np.random.default_rng(0).random((200, len(library.indices))).astype(np.float32) * 3
    network = model.network
    keras_out = np.asarray(
        model.to_keras()((features(x) - network.input_mean) / network.input_scale), dtype=float
    )
    parameters, sigma = network(x)
    scaled = (parameters - network.output_mean) / network.output_scale
    scale = np.abs(keras_out).max()
    np.testing.assert_allclose(scaled, keras_out[:, :3], atol=1e-5 * scale)
    np.testing.assert_allclose(
        np.log(sigma / network.output_scale),
        np.clip(keras_out[:, 3:], -20, 5),
        atol=1e-5 * scale,
    )


def test_architecture():
    model = build_keras(25, [32, 16])
    assert model.input_shape == (None, 25) and model.output_shape == (None, 6)
    assert [layer.name for layer in model.layers[1:]] == ["hidden_0", "hidden_1", "output"]
    assert model.count_params() == 25 * 32 + 32 + 32 * 16 + 16 + 16 * 6 + 6


def test_seed_of_the_weights():
    one, two, other = (build_keras(5, [8], seed).get_weights()[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_dead_disks_are_zero():
    np.testing.assert_array_equal(features([[1, np.nan, np.inf, -np.inf]]), [[1, 0, 0, 0]])


def make(kernels, n_input=3):
    return Network(
        kernels=kernels,
        biases=tuple(np.zeros(k.shape[-1], np.float32) for k in kernels),
        input_mean=np.zeros(n_input),
        input_scale=np.ones(n_input),
        output_mean=np.zeros(3),
        output_scale=np.ones(3),
    )


def test_layers_must_fit():
    good = make((np.ones((3, 4), np.float32), np.ones((4, 6), np.float32)))
    assert good.hidden == [4]
    with pytest.raises(ValueError, match="does not fit"):
        make((np.ones((3, 4), np.float32), np.ones((5, 6), np.float32)))
    with pytest.raises(ValueError, match="7 outputs; 6"):
        make((np.ones((3, 7), np.float32),))


class TestTraining:
    """On an analytic library: eight disks, each a different function of tilt and thickness."""

    @pytest.fixture(scope="class")
    def analytic(self):
        tilt = np.linspace(-0.1, 0.1, 6)
        x, y = np.meshgrid(tilt, tilt, indexing="ij")
        disks = np.stack(
            [2 + np.sin(9 * x + 7 * n) + np.cos(11 * y - n) for n in range(8)], axis=-1
        )
        disks = disks[:, :, None] * np.linspace(1, np.arange(2, 10) / 3, 4)
        indices = [(n // 4, n % 4) for n in range(8)]
        return RockingLibrary(disks, tilt, tilt, [50, 55, 60, 65], indices)

    def train(self, analytic, seed, **options):
        return train_orientation_model(
            analytic,
            noise=NoiseModel(dose=(1e6, 1e7)),
            seed=seed,
            steps=64,
            batch_size=256,
            hidden=(16, 16),
            show_progressbar=False,
            **options,
        )

    def test_reproducible_from_a_seed(self, analytic):
        """The same seed, the same bits; another seed, another network."""
        one, two, other = (self.train(analytic, seed) for seed in (1, 1, 2))
        x = np.random.default_rng(0).random((20, 8)) + 0.5
        np.testing.assert_array_equal(one.predict(x).stack(), two.predict(x).stack())
        for a, b in zip(one.network.kernels, two.network.kernels, strict=True):
            np.testing.assert_array_equal(a, b)
        assert one.card == two.card
        assert not np.array_equal(one.network.kernels[0], other.network.kernels[0])

    def test_learns(self, model):
        """Real validation errors in degrees, falling, in the card."""
        history = model.card.training["history"]
        assert history["step"][-1] == 384
        assert history["error_tilt_x"][-1] < 0.01 < 0.4 / np.sqrt(12)
        bare = model.card.validation["bare"]["rms"]
        assert bare[0] == pytest.approx(history["error_tilt_x"][-1], rel=0.1)

    def test_bad_libraries(self, analytic, library):
        with pytest.raises(ValueError, match="empty list"):
            train_orientation_model([])
        with pytest.raises(ValueError, match="library 1 has another tilt_x"):
            train_orientation_model([analytic, library])
        with pytest.raises(ValueError, match="steps=0"):
            train_orientation_model(analytic, steps=0)
        few = RockingLibrary(
            analytic.intensities[..., :5], analytic.tilt_x, analytic.tilt_y, analytic.thickness,
            analytic.indices[:5],
        )  # fmt: skip
        with pytest.raises(ValueError, match="5 disks"):
            train_orientation_model(few)
        dark = np.array(analytic.intensities)
        dark[..., 3] = 0
        with pytest.raises(ValueError, match=r"disks \[\[0, 3\]\] are dark"):
            train_orientation_model(
                RockingLibrary(
                    dark, analytic.tilt_x, analytic.tilt_y, analytic.thickness, analytic.indices
                )
            )
