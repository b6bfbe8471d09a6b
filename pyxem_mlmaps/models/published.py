"""The published disk network behind the interface of the package's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.models.disk_chain import ChainResult, Targets
from pyxem_mlmaps.training.disk_published import (
    PUBLISHED_SIZE,
    build_published,
    forward,
    published_shapes,
    resample,
    standardise,
)

__all__ = ["PublishedNetwork"]

SIGMA = 0.01
"""Radii. The network knows no σ: every disk gets this one, times what calibration finds."""


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    """The network of Yuan, Zhang, He & Zuo (2021); see ``training/disk_published.py``.

    Parameters
    ----------
    weights
        Kernel and bias of the two convolutions, the dense layer and the output (y, x in radii).
    """

    weights: tuple[NDArray[np.float32], ...]

    def __post_init__(self) -> None:
        found = [w.shape for w in self.weights]
        if found != published_shapes():
            raise ValueError(
                f"published network has weights {found}; {published_shapes()} are needed."
            )

    def __call__(self, patterns: NDArray[np.float32], targets: Targets) -> ChainResult:
        """Locate ``targets`` in ``patterns``, as :class:`DiskChain` does."""
        n = len(targets.radius)
        position = np.empty((n, 2))
        valid = np.zeros(n, dtype=bool)
        for k in range(0, n, 64):
            part = targets.part(slice(k, k + 64))
            shape = (len(part.radius), PUBLISHED_SIZE, PUBLISHED_SIZE)
            images = np.empty(shape, dtype=np.float32)
            resample(patterns, part.pattern, part.centre, part.radius, part.box, images)
            valid[k : k + 64] = np.isfinite(images).all(axis=(1, 2))
            shift = forward(self.weights, standardise(np.nan_to_num(images)))
            position[k : k + 64] = part.centre + shift * part.radius[:, None]
        covariance = np.eye(3)[None] * ((SIGMA * targets.radius) ** 2)[:, None, None]
        zeros = np.zeros(n)
        return ChainResult(
            position, covariance, zeros, zeros, zeros, zeros + 1e-6, zeros + 1.0, valid
        )

    def to_keras(self) -> Any:
        """The network as a ``keras.Model``, on images of mean 0 and standard deviation 1."""
        model = build_published()
        model.set_weights(list(self.weights))
        return model
