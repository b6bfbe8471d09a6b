"""The dense network: architecture in Keras, and the same forward pass as plain array products.

Prediction needs no TensorFlow: a net this small is three matrix products, which are thread-safe
and start at once. Keras builds and trains it, and :func:`build_keras` gives it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.training._tensorflow import start_tensorflow

__all__ = ["Network", "build_keras", "features"]

Float = NDArray[np.floating]


def features(intensities: Float) -> NDArray[np.float32]:
    """What the network sees of intensities (n, n_disk) in units of the mean disk: dead disks 0."""
    return np.nan_to_num(np.asarray(intensities, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)


@dataclass(frozen=True, eq=False)
class Network:
    """Weights of a dense network and the scalings round it.

    Parameters
    ----------
    kernels, biases
        Of each layer; SiLU between the layers, none after the last. The last has 6 outputs:
        tilt x, tilt y, thickness, then the logarithm of the σ of each, all scaled.
    input_mean, input_scale
        (n_disk,) of the features.
    output_mean, output_scale
        (3,) of tilt x, tilt y (degrees) and thickness (nm).
    """

    kernels: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    input_mean: Float
    input_scale: Float
    output_mean: Float
    output_scale: Float

    def __post_init__(self) -> None:
        widths = [len(self.input_mean)]
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            if kernel.ndim != 2 or kernel.shape[0] != widths[-1] or bias.shape != kernel.shape[1:]:
                raise ValueError(f"network layer of shape {kernel.shape} does not fit {widths}.")
            widths.append(kernel.shape[1])
        if widths[-1] != 6:
            raise ValueError(f"network has {widths[-1]} outputs; 6 are needed.")

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers."""
        return [k.shape[1] for k in self.kernels[:-1]]

    def __call__(self, intensities: Float) -> tuple[Float, Float]:
        """Parameters (n, 3) and σ (n, 3) for intensities (n, n_disk) in units of the mean disk."""
        x = ((features(intensities) - self.input_mean) / self.input_scale).astype(np.float32)
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = x @ kernel
            x += bias
            gate = np.negative(x)
            np.minimum(gate, 60, out=gate)
            np.exp(gate, out=gate)
            gate += 1
            x /= gate  # SiLU
        x = (x @ self.kernels[-1] + self.biases[-1]).astype(np.float64)
        parameters = x[:, :3] * self.output_scale + self.output_mean
        return parameters, np.exp(np.clip(x[:, 3:], -20, 5)) * self.output_scale


def build_keras(n_input: int, hidden: list[int], seed: int = 0) -> Any:
    """The untrained Keras model of this architecture: n_input → hidden (SiLU) → 6."""
    start_tensorflow()
    import keras

    inputs = keras.Input((n_input,), name="intensities")
    x = inputs
    for index, width in enumerate(hidden):
        x = keras.layers.Dense(
            width,
            activation="silu",
            kernel_initializer=keras.initializers.LecunNormal(seed=seed * 1000 + index),
            name=f"hidden_{index}",
        )(x)
    outputs = keras.layers.Dense(
        6, kernel_initializer=keras.initializers.LecunNormal(seed=seed * 1000 + 999), name="output"
    )(x)
    return keras.Model(inputs, outputs, name="orientation")
