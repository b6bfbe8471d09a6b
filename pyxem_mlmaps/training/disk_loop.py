"""The training loops of the disk networks: every sample is new, every stage starts from the last.

The strip networks are trained on the starts that the stage before them leaves, so that the σ they
learn is that of the whole chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.training.disk_circles import ANGLES, directions
from pyxem_mlmaps.training.disk_features import COARSE_REACH
from pyxem_mlmaps.training.disk_network import (
    CoarseNetwork,
    StripNetwork,
    build_coarse,
    build_strip,
    fit_edges,
    get_weights,
    put_weights,
)
from pyxem_mlmaps.training.disk_samples import DiskImages, DiskSampler, coarse_of, strips_of

__all__ = ["train_coarse", "train_strip"]

Float = NDArray[np.floating]
OnRound = Callable[[int, dict[str, float]], None]
Pair = tuple[float, float]

PER_ROUND = 8192
ADAM_RATIO = 0.1
WEIGHT_DECAY = 0.05
STUDENT = 6.0
"""Degrees of freedom of the likelihood: a disk that went wrong does not rule the training."""
BLANK_WEIGHT = 0.3
UNSEEN = 1e6
"""Scale of features that do not vary in training: what they do later must not matter."""
EDGE_WEIGHT = 0.1
STRIP_WINDOW = (1.35, 1.8)
"""Half width of the windows in radii; a strip sees no farther."""
KNOWN_SHARE = 0.6
"""Of disks whose radius and edge the last network is told exactly, as from the whole scan."""
PLACE_SHARE = 0.6
"""Of disks whose place from the direct beam it is told."""
LOOKS = 2
"""Times an image is looked at, from other starts and mirrored: rendering costs most."""


def train_coarse(
    sampler: DiskSampler,
    rounds: int,
    batch_size: int = 512,
    learning_rate: float = 0.02,
    seed: int = 0,
    start: CoarseNetwork | None = None,
    on_round: OnRound | None = None,
) -> CoarseNetwork:
    """Train the network that finds the disk in its window.

    Parameters
    ----------
    sampler
        Source of images.
    rounds
        Of 8192 fresh images each.
    batch_size, learning_rate
        Of the Muon optimizer (Jordan 2024), with a cosine decay to zero.
    seed
        For weights and samples.
    start
        Weights to start from (fine-tuning).
    on_round
        Called with the round and errors on images that were not yet trained on.
    """

    def prepare(images: DiskImages, _: np.random.Generator) -> tuple[NDArray, NDArray]:
        target = np.column_stack([images.centre / images.told_radius[:, None], images.present])
        return coarse_of(images), target.astype(np.float32)

    def report(x: NDArray, y: NDArray, network: CoarseNetwork) -> dict[str, float]:
        out = network(x)
        error = np.linalg.norm(out[:, :2] - y[:, :2], axis=1)[y[:, 2] > 0]
        return {"median": float(np.median(error)), "q99": float(np.quantile(error, 0.99))}

    model = build_coarse(seed)
    return _train(
        model, _coarse_loss, sampler, prepare, lambda m, a, b: CoarseNetwork(get_weights(m), a, b),
        report, rounds, batch_size, learning_rate, [seed, 21], start, on_round, (1.3, 2.05),
    )  # fmt: skip


def train_strip(
    sampler: DiskSampler,
    stage: int,
    starts: Callable[[DiskImages], Float],
    rounds: int,
    batch_size: int = 512,
    learning_rate: float = 0.02,
    seed: int = 0,
    start: StripNetwork | None = None,
    on_round: OnRound | None = None,
) -> StripNetwork:
    """Train a network that reads the edge of the disk.

    Parameters
    ----------
    sampler
        Source of images.
    stage
        0: a third of the radius on each side of the edge; 1: a few pixels.
    starts
        Gives (n, 2) positions at which the stages before leave images; a little is added to
        them.
    rounds, batch_size, learning_rate, seed, start, on_round
        As in :func:`train_coarse`.
    """

    def prepare(images: DiskImages, jitter: np.random.Generator) -> tuple[NDArray, NDArray]:
        first = starts(images)
        looks = [look(images, first, jitter, bool(k % 2)) for k in range(LOOKS)]
        return tuple(np.concatenate(parts) for parts in zip(*looks, strict=True))

    def look(
        images: DiskImages, first: Float, jitter: np.random.Generator, mirrored: bool
    ) -> tuple[NDArray, NDArray]:
        n = len(first)
        spread = np.exp(jitter.uniform(np.log(0.002), np.log(0.06 if stage == 0 else 0.02), n))
        first = first + (images.told_radius * spread)[:, None] * jitter.normal(size=(n, 2))
        if stage:
            images = images.with_known(
                jitter.random(n) < KNOWN_SHARE, jitter.random(n) < PLACE_SHARE, jitter
            )
        strips, _, target = strips_of(images, first, stage)
        if mirrored:  # y to -y: segment k becomes the one at minus its angle
            strips = strips[:, ::-1]
            target[:, 0] *= -1
        truth = np.column_stack([target, images.present, np.log(images.edge)])
        return strips, truth.astype(np.float32)

    def report(x: NDArray, y: NDArray, network: StripNetwork) -> dict[str, float]:
        fit = fit_edges(*network(x))
        there = y[:, 3] > 0
        error = (fit.shift[:, :2] - y[:, :2])[there]
        sigma = np.sqrt(fit.covariance[there][:, [0, 1], [0, 1]])
        return {
            "median": float(np.median(np.abs(error))),
            "within": float(np.mean(np.abs(error) < sigma)),
            "presence": float(np.mean((fit.presence > 0.5) == there)),
            "log_sigma": float(np.mean(np.log(sigma))),
        }

    model = build_strip(seed * 10 + stage, ("first", "last")[stage])
    return _train(
        model, _strip_loss, sampler, prepare, lambda m, a, b: StripNetwork(get_weights(m), a, b),
        report, rounds, batch_size, learning_rate, [seed, 22 + stage], start, on_round,
        STRIP_WINDOW, LOOKS,
    )  # fmt: skip


def _train(
    model: Any,
    loss: Any,
    sampler: DiskSampler,
    prepare: Callable,
    extract: Callable,
    report: Callable,
    rounds: int,
    batch_size: int,
    learning_rate: float,
    seed: list[int],
    start: Any,
    on_round: OnRound | None,
    window: Pair,
    looks: int = 1,
) -> Any:
    import keras

    rng = np.random.default_rng([*seed, 0])
    size = PER_ROUND // looks
    x, _ = prepare(sampler.images(size, rng, window), rng)
    axes = tuple(range(x.ndim - 1))
    mean, scale = x.mean(axis=axes), x.std(axis=axes) + 1e-3
    scale[scale < 2e-3] = UNSEEN  # always the same in training: no weight was learnt for it
    if start is not None:
        mean, scale = start.mean, start.scale
        put_weights(model, start.weights)
    model.compile(
        optimizer=keras.optimizers.Muon(
            learning_rate, adam_lr_ratio=ADAM_RATIO, weight_decay=WEIGHT_DECAY
        ),
        loss=loss,
        jit_compile=True,
        steps_per_execution=8,
    )
    for index, (x, y) in enumerate(_ahead(sampler, prepare, rounds, seed, window, size)):
        rate = learning_rate * min(1.0, (index + 1) / 4) * _cosine(index / rounds)
        model.optimizer.learning_rate.assign(rate)
        errors = {}
        if index % 8 == 7 or index == rounds - 1:
            errors = report(x, y, extract(model, mean, scale))
        x -= mean
        x *= 1 / scale
        model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0, shuffle=False)
        if on_round is not None:
            on_round(index + 1, errors)
    return extract(model, mean, scale)


def _ahead(
    sampler: DiskSampler, prepare: Callable, rounds: int, seed: list[int], window: Pair, size: int
) -> Iterator[tuple[NDArray, NDArray]]:
    """Rounds of samples, the next two drawn in threads while this one is trained on."""

    def draw(index: int) -> tuple[NDArray, NDArray]:
        rng = np.random.default_rng([*seed, 1 + index])
        return prepare(sampler.images(size, rng, window), rng)

    with ThreadPoolExecutor(2) as pool:
        coming = [pool.submit(draw, index) for index in range(min(2, rounds))]
        for index in range(rounds):
            now = coming.pop(0).result()
            if index + 2 < rounds:
                coming.append(pool.submit(draw, index + 2))
            yield now


def _cosine(fraction: float) -> float:
    return max(0.5 * (1 + np.cos(np.pi * fraction)), 2e-3)


def _coarse_loss(truth: Any, output: Any) -> Any:
    """Student likelihood of the position (isotropic σ), and cross-entropy of the presence."""
    from keras import ops

    error = ops.sum(ops.square(truth[:, :2] - output[:, :2]), axis=1)
    log_sigma = ops.clip(output[:, 2], -7.0, 1.0)
    there = truth[:, 2]
    weight = there + BLANK_WEIGHT * (1 - there)
    q = error * ops.exp(-2 * log_sigma)
    likelihood = 2 * log_sigma + (STUDENT + 2) / 2 * ops.log(1 + q / STUDENT)
    logit = output[:, 3]
    cross = ops.maximum(logit, 0) - logit * there + ops.log(1 + ops.exp(-ops.abs(logit)))
    squared = ops.minimum(error, 4 * COARSE_REACH)
    return ops.mean(weight * likelihood + 4 * there * squared + cross)


def _strip_loss(truth: Any, output: Any) -> Any:
    """Student likelihood of position and radius under the least-squares fit's covariance.

    The same fit as :func:`~pyxem_mlmaps.training.disk_network.fit_edges`, written out by the
    symmetric 3 x 3 adjugate so that it differentiates.
    """
    import tensorflow as tf

    n = tf.constant(directions(), tf.float32)
    edges = tf.reshape(output[:, : 2 * ANGLES], (-1, ANGLES, 2))
    u = edges[..., 0]
    w = tf.exp(tf.clip_by_value(edges[..., 1], -14.0, 14.0))
    prior = tf.exp(tf.clip_by_value(output[:, 2 * ANGLES : 2 * ANGLES + 2], -14.0, 14.0))
    outer = tf.reshape(n[:, :, None] * n[:, None, :], (ANGLES, 9))
    p = w @ outer
    a, b, c = p[:, 0] + prior[:, 0], p[:, 1], p[:, 2]
    d, e, f = p[:, 4] + prior[:, 0], p[:, 5], p[:, 8] + prior[:, 1]
    right = (w * u) @ n
    i00, i01, i02 = d * f - e * e, c * e - b * f, b * e - c * d
    i11, i12, i22 = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * i00 + b * i01 + c * i02
    y = (i00 * right[:, 0] + i01 * right[:, 1] + i02 * right[:, 2]) / determinant
    x = (i01 * right[:, 0] + i11 * right[:, 1] + i12 * right[:, 2]) / determinant
    r = (i02 * right[:, 0] + i12 * right[:, 1] + i22 * right[:, 2]) / determinant
    dy, dx, dr = truth[:, 0] - y, truth[:, 1] - x, truth[:, 2] - r
    q = a * dy * dy + d * dx * dx + f * dr * dr + 2 * (b * dy * dx + c * dy * dr + e * dx * dr)
    likelihood = -0.5 * tf.math.log(determinant)
    likelihood += (STUDENT + 3) / 2 * tf.math.log(1 + q / STUDENT)
    there = truth[:, 3]
    weight = there + BLANK_WEIGHT * (1 - there)
    logit = output[:, 2 * ANGLES + 2]
    cross = tf.nn.sigmoid_cross_entropy_with_logits(labels=there, logits=logit)
    log_precision = tf.clip_by_value(output[:, 2 * ANGLES + 4], -14.0, 14.0)
    miss = tf.square(truth[:, 4] - output[:, 2 * ANGLES + 3])
    blur = there * 0.5 * (tf.exp(log_precision) * miss - log_precision)
    return tf.reduce_mean(weight * likelihood + cross + EDGE_WEIGHT * blur)
