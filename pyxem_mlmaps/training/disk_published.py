"""The published disk network, for comparison: Yuan, Zhang, He & Zuo, Ultramicroscopy 231 (2021).

Two 3 × 3 convolutions of 8 channels, pooling, a dense layer of 128 and one output an axis, on a
sub-image of 121 × 121 px with a disk of 30 px radius. Other sizes are resampled to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.training._tensorflow import start_tensorflow
from pyxem_mlmaps.training.disk_samples import DiskImages, DiskSampler

__all__ = ["build_published", "forward", "published_shapes", "resample", "train_published"]

PUBLISHED_SIZE = 121
PUBLISHED_RADIUS = 30.0
CHANNELS = 8
DENSE = 128
POOLED = (PUBLISHED_SIZE - 4) // 2
PER_ROUND = 6000
EPOCHS = 20
"""6000 images, seen 20 times, as published."""


def published_shapes() -> list[tuple[int, ...]]:
    """Shapes of the kernel and bias of each layer."""
    return [
        (3, 3, 1, CHANNELS), (CHANNELS,), (3, 3, CHANNELS, CHANNELS), (CHANNELS,),
        (POOLED * POOLED * CHANNELS, DENSE), (DENSE,), (DENSE, 2), (2,),
    ]  # fmt: skip


def train_published(
    sampler: DiskSampler,
    samples: int,
    seed: int = 0,
    on_round: Callable[[int, dict[str, float]], None] | None = None,
) -> tuple[NDArray[np.float32], ...]:
    """Train as published: a fixed set of images, 20 epochs, squared error, Adam.

    Parameters
    ----------
    sampler
        Source of the images.
    samples
        Gradient samples in all; a 20th of them are different images.
    seed
        For weights and images.
    on_round
        Called after each epoch with the error on its images.
    """
    model = build_published(seed)
    images = sampler.images(max(samples // EPOCHS, 1), np.random.default_rng([seed, 61]))
    there = images.present
    x = standardise(_windows(images))[there]
    y = (images.centre / images.told_radius[:, None])[there].astype(np.float32)
    model.compile(optimizer="adam", loss="mse")
    for epoch in range(EPOCHS):
        result = model.fit(x[..., None], y, batch_size=32, epochs=1, verbose=0, shuffle=False)
        if on_round is not None:
            on_round(epoch + 1, {"rms": float(np.sqrt(result.history["loss"][0]))})
    return tuple(np.asarray(w) for w in model.get_weights())


def build_published(seed: int = 0) -> Any:
    """The untrained Keras model, on images in units of their standard deviation."""
    start_tensorflow()
    import keras
    from keras import layers

    def start(index: int) -> Any:
        return keras.initializers.GlorotUniform(seed=seed * 1000 + index)

    inputs = keras.Input((PUBLISHED_SIZE, PUBLISHED_SIZE, 1), name="sub_image")
    x = layers.Conv2D(
        CHANNELS, 3, activation="relu", kernel_initializer=start(0), name="convolution_0"
    )(inputs)
    x = layers.Conv2D(
        CHANNELS, 3, activation="relu", kernel_initializer=start(1), name="convolution_1"
    )(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(DENSE, activation="relu", kernel_initializer=start(2), name="dense")(
        layers.Flatten()(x)
    )
    outputs = layers.Dense(2, kernel_initializer=start(3), name="position")(x)
    return keras.Model(inputs, outputs, name="yuan2021")


def forward(weights: tuple[NDArray[np.float32], ...], images: NDArray[np.float32]) -> NDArray:
    """(n, 2) shifts in radii for standardised images (n, 121, 121), as plain array products."""
    w = weights
    x = _convolve(images[..., None], w[0], w[1])
    x = _convolve(x, w[2], w[3])
    n, size = len(x), 2 * POOLED
    x = x[:, :size, :size].reshape(n, POOLED, 2, POOLED, 2, CHANNELS).max(axis=(2, 4))
    x = np.maximum(x.reshape(n, -1) @ w[4] + w[5], 0)
    return (x @ w[6] + w[7]).astype(np.float64)


def _convolve(x: NDArray, kernel: NDArray, bias: NDArray) -> NDArray:
    """Valid 3 × 3 convolution with ReLU."""
    n, height, width, _ = x.shape
    out = np.zeros((n, height - 2, width - 2, kernel.shape[3]), dtype=np.float32)
    for i in range(3):
        for j in range(3):
            out += x[:, i : i + height - 2, j : j + width - 2] @ kernel[i, j]
    return np.maximum(out + bias, 0)


def standardise(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and standard deviation 1, in place."""
    images -= images.mean(axis=(1, 2), keepdims=True)
    images /= np.maximum(images.std(axis=(1, 2), keepdims=True), 1e-20)
    return images


def _windows(images: DiskImages) -> NDArray[np.float32]:
    out = np.empty((len(images.size), PUBLISHED_SIZE, PUBLISHED_SIZE), dtype=np.float32)
    for m, side in enumerate(images.size):
        window = images.pixels[images.first[m] : images.first[m] + side * side]
        middle = (side - 1) / 2
        resample(
            window.reshape(1, side, side), np.zeros(1, dtype=np.int64),
            np.array([[middle, middle]]), images.told_radius[m : m + 1],
            np.array([[0, side - 1, 0, side - 1]]), out[m : m + 1],
        )  # fmt: skip
    return out


@numba.njit(nogil=True, cache=True)
def resample(patterns, pattern, centre, radius, box, out):  # pragma: no cover - compiled
    """Fill ``out`` (n, 121, 121) with windows in which the disk has a radius of 30 px."""
    middle = (PUBLISHED_SIZE - 1) / 2
    for m in range(len(radius)):
        image = patterns[pattern[m]]
        y0, y1, x0, x1 = box[m]
        step = radius[m] / PUBLISHED_RADIUS
        for i in range(PUBLISHED_SIZE):
            y = min(max(centre[m, 0] + (i - middle) * step, y0), y1 - 1e-3)
            a = int(y)
            s = y - a
            for j in range(PUBLISHED_SIZE):
                x = min(max(centre[m, 1] + (j - middle) * step, x0), x1 - 1e-3)
                b = int(x)
                t = x - b
                out[m, i, j] = (1 - s) * ((1 - t) * image[a, b] + t * image[a, b + 1]) + s * (
                    (1 - t) * image[a + 1, b] + t * image[a + 1, b + 1]
                )
