"""The disk networks: architecture in Keras, and the same forward pass as plain array products.

The coarse network is dense: a picture of the window in, a position out. The strip network is
convolutional round the edge of the disk: it says for every segment where the edge is and how
much that is worth, and a weighted least-squares fit makes position, radius and their covariance
of it. Turning a disk turns the answer, whatever the contrast; a dark or hidden part of the edge
is worth nothing, and the σ says so.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm

from pyxem_mlmaps.training._tensorflow import start_tensorflow
from pyxem_mlmaps.training.disk_circles import ANGLES, directions
from pyxem_mlmaps.training.disk_features import COARSE_INPUTS, PICTURE, SEEN, STRIP_INPUTS
from pyxem_mlmaps.training.disk_pixels import FAST

__all__ = [
    "CoarseNetwork",
    "EdgeFit",
    "StripNetwork",
    "build_coarse",
    "build_strip",
    "fit_edges",
    "get_weights",
    "put_weights",
]

Float = NDArray[np.floating]
Weights = tuple[NDArray[np.float32], ...]

COARSE_HIDDEN = (192, 128, 64)
CHANNELS = {"first": 24, "last": 48}
"""Of the two strip networks: the first need only bring the disk into the strip of the last."""
POOLED = 24
POOLED_OUT = 5
LARGEST_LOG = 14.0
"""Logarithms of weights are held within ± this."""


class EdgeFit(NamedTuple):
    """Least-squares fit of n disks; lengths in half widths of the strip.

    ``shift`` (n, 3): y, x, radius. ``covariance`` (n, 3, 3). ``chi_square`` (n,): weighted mean
    square of what the edge leaves. ``presence`` (n,): probability that there is a disk.
    ``log_edge``, ``edge_precision`` (n,): logarithm of the edge's blur (px) and one over its
    variance.
    """

    shift: Float
    covariance: Float
    chi_square: Float
    presence: Float
    log_edge: Float
    edge_precision: Float


def fit_edges(edges: Float, pooled: Float) -> EdgeFit:
    """Position and radius from the edge's places.

    Solves for d in u_k = n_k · d with weights w_k and a Gaussian prior round zero:
    d = (Σ w n nᵀ + P)⁻¹ Σ w u n, covariance (Σ w n nᵀ + P)⁻¹.

    Parameters
    ----------
    edges
        (n, ANGLES, 2): place u of the edge and logarithm of its weight w.
    pooled
        (n, POOLED_OUT): logarithms of the prior's precision of position and radius, presence
        logit, logarithm of the edge's blur and of the precision of that.
    """
    n = len(edges)
    shift, covariance, chi_square = np.empty((n, 3)), np.empty((n, 3, 3)), np.empty(n)
    pooled = pooled.astype(np.float64)
    prior = np.exp(np.clip(pooled[:, :2], -LARGEST_LOG, LARGEST_LOG))
    edges = np.ascontiguousarray(edges, dtype=np.float64)
    _fit_each(edges, prior, NORMALS, shift, covariance, chi_square)
    presence = 1 / (1 + np.exp(-np.clip(pooled[:, 2], -60, 60)))
    edge_precision = np.exp(np.clip(pooled[:, 4], -LARGEST_LOG, LARGEST_LOG))
    return EdgeFit(shift, covariance, chi_square, presence, pooled[:, 3], edge_precision)


NORMALS = directions()


@numba.njit(nogil=True, cache=True)
def _fit_each(edges, prior, normals, shift, covariance, chi_square):  # pragma: no cover - compiled
    """:func:`fit_edges` disk by disk; the 3 × 3 matrix is inverted by its factor L D Lᵀ."""
    weight = np.empty(len(normals))
    for m in range(len(edges)):
        a, b, c = prior[m, 0], prior[m, 0], prior[m, 1]
        ab = ac = bc = right_a = right_b = right_c = 0.0
        for k in range(len(normals)):
            w = math.exp(min(max(edges[m, k, 1], -LARGEST_LOG), LARGEST_LOG))
            y, x, r = normals[k, 0], normals[k, 1], normals[k, 2]
            u = w * edges[m, k, 0]
            weight[k] = w
            a += w * y * y
            b += w * x * x
            c += w * r * r
            ab += w * y * x
            ac += w * y * r
            bc += w * x * r
            right_a += u * y
            right_b += u * x
            right_c += u * r
        l_ba, l_ca = ab / a, ac / a
        d_b = b - l_ba * ab
        l_cb = (bc - l_ba * ac) / d_b
        d_c = c - l_ca * ac - l_cb * l_cb * d_b
        down_ca = l_ba * l_cb - l_ca  # of the inverse of L, below its diagonal
        inverse = covariance[m]
        inverse[2, 2] = 1 / d_c
        inverse[1, 2] = inverse[2, 1] = -l_cb / d_c
        inverse[0, 2] = inverse[2, 0] = down_ca / d_c
        inverse[1, 1] = 1 / d_b + l_cb * l_cb / d_c
        inverse[0, 1] = inverse[1, 0] = -l_ba / d_b - l_cb * down_ca / d_c
        inverse[0, 0] = 1 / a + l_ba * l_ba / d_b + down_ca * down_ca / d_c
        for i in range(3):
            row = inverse[i]
            shift[m, i] = row[0] * right_a + row[1] * right_b + row[2] * right_c
        left = 0.0
        for k in range(len(normals)):
            y, x, r = normals[k, 0], normals[k, 1], normals[k, 2]
            off = edges[m, k, 0] - shift[m, 0] * y - shift[m, 1] * x - shift[m, 2] * r
            left += weight[k] * off * off
        chi_square[m] = left / len(normals)


@dataclass(frozen=True, eq=False)
class CoarseNetwork:
    """Dense network on the coarse picture.

    Parameters
    ----------
    weights
        Kernel and bias of each layer in turn; the last has 4 outputs: y, x (radii), logarithm of
        their σ (radii), presence logit.
    mean, scale
        (COARSE_INPUTS,) of the features.
    """

    weights: Weights
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_shapes("coarse network", self.weights, coarse_shapes())
        _check_shapes("coarse network", (self.mean, self.scale), [(COARSE_INPUTS,)] * 2)

    def __call__(self, features: NDArray[np.float32]) -> Float:
        """(n, 4) for features (n, COARSE_INPUTS)."""
        first, start, start_seen = self._first
        if (features[:, SEEN] == 1).all():  # as nearly always: half of the inputs are ones
            x = features[:, PICTURE] @ first[PICTURE]
            x += features[:, SEEN.stop :] @ first[SEEN.stop :]
            x += start_seen
        else:
            x = features @ first
            x += start
        for index in range(2, len(self.weights), 2):
            np.maximum(x, 0, out=x)
            x = x @ self.weights[index]
            x += self.weights[index + 1]
        return x

    @functools.cached_property
    def _first(self) -> tuple[Float, Float, Float]:
        """Kernel and bias of the first layer for features as they are; the bias with what the
        kernel makes of cells that are all seen."""
        kernel = _unscaled(self.weights[0], self.scale)
        bias = self.weights[1] - self.mean @ kernel
        return kernel, bias, bias + kernel[SEEN].sum(axis=0)


@dataclass(frozen=True, eq=False)
class StripNetwork:
    """Convolutional network on the strip round the edge.

    Parameters
    ----------
    weights
        In the order of :func:`strip_shapes`.
    mean, scale
        (STRIP_INPUTS,) of the features.
    """

    weights: Weights
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        stages = [strip_shapes(stage) for stage in CHANNELS]
        same = [shapes for shapes in stages if self.weights[0].shape == shapes[0]]
        _check_shapes("strip network", self.weights, (same or stages[-1:])[0])
        _check_shapes("strip network", (self.mean, self.scale), [(STRIP_INPUTS,)] * 2)

    def __call__(self, strips: NDArray[np.float32]) -> tuple[Float, Float]:
        """Edges (n, ANGLES, 2) and pooled (n, POOLED_OUT) for strips (n, ANGLES, STRIP_INPUTS)."""
        w, n = self.weights, len(strips)
        x = np.empty((ANGLES + 2, n, STRIP_INPUTS), dtype=np.float32)
        np.subtract(strips.transpose(1, 0, 2), self.mean, out=x[1:-1])
        x, seen = _convolve(x, self._first, 2)
        _rectify(seen, np.tile(w[1], (n, 1)))
        x, seen = _convolve(x, w[2], 2)
        pooled = np.maximum(_rectify(seen, np.tile(w[3], (n, 1))) @ w[4] + w[5], 0)
        y, _ = _convolve(x, w[6], 0)
        _rectify(y, pooled @ w[7] + w[8])
        y = (y.reshape(ANGLES * n, -1) @ w[9]).reshape(ANGLES, n, -1)
        edges = np.empty((n, ANGLES, 2), dtype=np.float32)
        mean = _edges(y, w[10], np.ascontiguousarray(w[11].T), w[12], edges)
        return edges, np.concatenate([mean, pooled], axis=1) @ w[13] + w[14]

    @functools.cached_property
    def _first(self) -> Float:
        return _unscaled(self.weights[0], self.scale)


def _unscaled(kernel: Float, scale: Float) -> Float:
    """Kernel of a first layer that takes features without their scale: a pass less over them."""
    return (kernel / np.tile(scale, len(kernel) // len(scale))[:, None]).astype(np.float32)


def _convolve(x: Float, kernel: Float, margin: int) -> tuple[Float, Float]:
    """Circular convolution along the first axis, one product for each place of the kernel.

    Angles come first, so that a shift along them is a contiguous part of the same array.

    Parameters
    ----------
    x
        (ANGLES + 2 h, n, channels); the h angles at each end are free, to close the circle.
    kernel
        ((2 h + 1) channels, channels_out).
    margin
        Angles that are left free at each end of the answer, for the next convolution.

    Returns
    -------
    array, array
        (ANGLES + 2 margin, n, channels_out), and the part of it without the margin.
    """
    n, channels = x.shape[1:]
    half = (len(x) - ANGLES) // 2
    if half:
        x[:half], x[-half:] = x[-2 * half : -half], x[half : 2 * half]
    out = np.empty((ANGLES + 2 * margin, n, kernel.shape[1]), dtype=np.float32)
    middle = out[margin : margin + ANGLES]
    rows = x.reshape(-1, channels)
    for k in range(2 * half + 1):
        sgemm(
            1.0, kernel[k * channels : (k + 1) * channels].T, rows[k * n : (k + ANGLES) * n].T,
            beta=float(k > 0), c=middle.reshape(ANGLES * n, -1).T, overwrite_c=True,
        )  # fmt: skip
    return out, middle


@numba.njit(nogil=True, cache=True)
def _rectify(x, bias):  # pragma: no cover - compiled
    """Add ``bias`` (n, channels) to x (ANGLES, n, channels) and cut off what is negative, in
    place; returns the mean over the angles."""
    mean = np.zeros(x.shape[1:], dtype=np.float32)
    for k in range(ANGLES):
        for m in range(x.shape[1]):
            for c in range(x.shape[2]):
                value = x[k, m, c] + bias[m, c]
                value = value if value > 0 else np.float32(0)
                x[k, m, c] = value
                mean[m, c] += value
    mean *= np.float32(1 / ANGLES)
    return mean


@numba.njit(nogil=True, cache=True, fastmath=FAST)
def _edges(x, bias, kernel, last, edges):  # pragma: no cover - compiled
    """Rectified x (ANGLES, n, channels) + ``bias``: its mean over the angles is returned, its
    products with ``kernel`` (2, channels) + ``last`` (2,) fill ``edges`` (n, ANGLES, 2)."""
    mean = np.zeros(x.shape[1:], dtype=np.float32)
    for k in range(ANGLES):
        for m in range(x.shape[1]):
            place = np.float32(0)
            weight = np.float32(0)
            for c in range(x.shape[2]):
                value = x[k, m, c] + bias[c]
                value = value if value > 0 else np.float32(0)
                mean[m, c] += value
                place += value * kernel[0, c]
                weight += value * kernel[1, c]
            edges[m, k, 0] = place + last[0]
            edges[m, k, 1] = weight + last[1]
    mean *= np.float32(1 / ANGLES)
    return mean


def coarse_shapes() -> list[tuple[int, ...]]:
    """Shapes of the coarse network's weights."""
    widths = [COARSE_INPUTS, *COARSE_HIDDEN, 4]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return [shape for a, b in pairs for shape in ((a, b), (b,))]


def strip_shapes(stage: str) -> list[tuple[int, ...]]:
    """Shapes of the weights of the "first" or the "last" strip network."""
    c, p = CHANNELS[stage], POOLED
    return [
        (3 * STRIP_INPUTS, c), (c,), (5 * c, c), (c,), (c, p), (p,), (5 * c, c), (p, c), (c,),
        (c, 32), (32,), (32, 2), (2,), (32 + p, POOLED_OUT), (POOLED_OUT,),
    ]  # fmt: skip


def _check_shapes(name: str, arrays: Weights, shapes: list[tuple[int, ...]]) -> None:
    found = [a.shape for a in arrays]
    if found != shapes:
        raise ValueError(f"{name} has weights of shapes {found}; {shapes} are needed.")


def build_coarse(seed: int = 0) -> Any:
    """The untrained Keras model of the coarse network, on scaled features."""
    start_tensorflow()
    import keras

    inputs = keras.Input((COARSE_INPUTS,), name="picture")
    x = inputs
    for index, width in enumerate(COARSE_HIDDEN):
        x = keras.layers.Dense(
            width, "relu", kernel_initializer=_he(seed, index), name=f"hidden_{index}"
        )(x)
    outputs = keras.layers.Dense(4, kernel_initializer=_he(seed, 9, 0.1), name="position")(x)
    return keras.Model(inputs, outputs, name="coarse")


def build_strip(seed: int = 0, name: str = "last") -> Any:
    """The untrained Keras model of a strip network, on scaled features; outputs side by side.

    ``name`` is "first" or "last".

    Output (n, 2 ANGLES + POOLED_OUT): places and weights of the edge by segment, then pooled.
    """
    start_tensorflow()
    import keras
    from keras import layers

    def circular(x: Any, width: int, index: int, activation: str | None, bias: bool = True) -> Any:
        half = width // 2
        ends = layers.Cropping1D((ANGLES - half, 0))(x), layers.Cropping1D((0, ANGLES - half))(x)
        wrapped = layers.Concatenate(axis=1)([ends[0], x, ends[1]])
        moved = [layers.Cropping1D((k, width - 1 - k))(wrapped) for k in range(width)]
        return layers.Dense(
            CHANNELS[name], activation, use_bias=bias, kernel_initializer=_he(seed, index),
            name=f"{name}_round_{index}",
        )(layers.Concatenate()(moved))  # fmt: skip

    inputs = keras.Input((ANGLES, STRIP_INPUTS), name=f"{name}_input")
    x = circular(inputs, 3, 0, "relu")
    x = circular(x, 5, 1, "relu")
    pooled = layers.GlobalAveragePooling1D()(x)
    pooled = layers.Dense(POOLED, "relu", kernel_initializer=_he(seed, 2), name=f"{name}_whole")(
        pooled
    )
    told = layers.Dense(CHANNELS[name], kernel_initializer=_he(seed, 4), name=f"{name}_told")(
        pooled
    )
    y = circular(x, 5, 3, None, bias=False)
    y = layers.Add()([y, layers.Reshape((1, CHANNELS[name]))(told)])
    y = layers.ReLU()(y)
    y = layers.Dense(32, "relu", kernel_initializer=_he(seed, 5), name=f"{name}_segment")(y)
    edges = layers.Dense(2, kernel_initializer=_he(seed, 6, 0.1), name=f"{name}_edge")(y)
    summary = layers.Concatenate()([layers.GlobalAveragePooling1D()(y), pooled])
    whole = layers.Dense(POOLED_OUT, kernel_initializer=_he(seed, 7, 0.1), name=f"{name}_summary")(
        summary
    )
    outputs = layers.Concatenate()([layers.Flatten()(edges), whole])
    return keras.Model(inputs, outputs, name=name)


STRIP_LAYERS = ("round_0", "round_1", "whole", "round_3", "told", "segment", "edge", "summary")


def get_weights(model: Any) -> Weights:
    """Of a model made here, in the order of ``coarse_shapes`` or ``strip_shapes``."""
    if model.name == "coarse":
        return tuple(np.asarray(w) for w in model.get_weights())
    layers = [model.get_layer(f"{model.name}_{name}") for name in STRIP_LAYERS]
    return tuple(np.asarray(w) for layer in layers for w in layer.get_weights())


def put_weights(model: Any, weights: Weights) -> None:
    """The inverse of :func:`get_weights`."""
    if model.name == "coarse":
        model.set_weights(list(weights))
        return
    left = list(weights)
    for name in STRIP_LAYERS:
        layer = model.get_layer(f"{model.name}_{name}")
        layer.set_weights([left.pop(0) for _ in layer.weights])


def _he(seed: int, index: int, scale: float = 2.0) -> Any:
    import keras

    return keras.initializers.VarianceScaling(scale, seed=seed * 1000 + index)
