"""From pixels to disk positions: the three networks one after the other. No files, no state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.training._tensorflow import start_tensorflow
from pyxem_mlmaps.training.disk_features import (
    ANGLES,
    COARSE_INPUTS,
    SHARE,
    STRIP_INPUTS,
    coarse_features,
    strip_features,
    strip_half_width,
)
from pyxem_mlmaps.training.disk_network import (
    LARGEST_LOG,
    CoarseNetwork,
    EdgeFit,
    StripNetwork,
    build_coarse,
    build_strip,
    fit_edges,
    put_weights,
)

__all__ = ["ChainResult", "DiskChain", "Targets"]

Float = NDArray[np.floating]

LARGEST_SHIFT = 0.6
"""Radii from the expected place beyond which the coarse network's answer is held."""
LARGEST_STEP = 1.2
"""Half widths of a strip beyond which its answer is held."""
WHOLLY_SEEN = 0.97
"""Share of a segment on the detector below which its edge counts for nothing."""
BATCH = 512


class Targets(NamedTuple):
    """Disks to locate in a stack of patterns.

    Attributes
    ----------
    pattern
        (m,) which pattern.
    centre
        (m, 2) expected (y, x), px.
    radius
        (m,) px.
    edge
        (m,) standard deviation of the edge's blur, px; 0 where it and the radius are not exact.
    box
        (m, 4) first and last row, first and last column that belong to the window.
    """

    pattern: NDArray[np.int64]
    centre: Float
    radius: Float
    edge: Float
    box: NDArray[np.int64]

    def part(self, rows: slice) -> Targets:
        """Some of the targets."""
        return Targets(*(a[rows] for a in self))


class ChainResult(NamedTuple):
    """For m disks: ``position`` (m, 2) px, ``covariance`` (m, 3, 3) px² of y, x, radius, ``growth``
    (m,) true minus told radius, px, ``log_edge`` and its ``edge_precision`` (m,), ``chi_square``,
    ``presence`` and ``valid`` (m,)."""

    position: Float
    covariance: Float
    growth: Float
    log_edge: Float
    edge_precision: Float
    chi_square: Float
    presence: Float
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DiskChain:
    """A coarse network on the whole window, then two strip networks on the edge.

    Parameters
    ----------
    coarse, first, last
        The networks in order.
    """

    coarse: CoarseNetwork
    first: StripNetwork
    last: StripNetwork

    def __call__(self, patterns: NDArray[np.float32], targets: Targets) -> ChainResult:
        """Locate ``targets`` in ``patterns`` (n, ky, kx) float32."""
        parts = [
            self._batch(patterns, targets.part(slice(k, k + BATCH)))
            for k in range(0, len(targets.radius), BATCH)
        ]
        if not parts:
            return ChainResult(
                np.zeros((0, 2)), np.zeros((0, 3, 3)), *np.zeros((5, 0)), np.zeros(0, dtype=bool)
            )
        return ChainResult(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _batch(self, patterns: NDArray[np.float32], targets: Targets) -> ChainResult:
        start, valid = self.find(patterns, targets)
        position, _, _, _ = self.step(patterns, targets, start, 0)
        valid &= np.isfinite(position).all(axis=1)
        position[~valid] = targets.centre[~valid]
        position, half, growth, fit = self.step(patterns, targets, position, 1)
        return ChainResult(
            position,
            fit.covariance * (half**2)[:, None, None],
            growth,
            fit.log_edge,
            fit.edge_precision,
            fit.chi_square,
            fit.presence,
            valid & np.isfinite(position).all(axis=1),
        )

    def find(
        self, patterns: NDArray[np.float32], targets: Targets
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Coarse positions (m, 2), and whether the window holds finite numbers."""
        features = np.zeros((len(targets.radius), COARSE_INPUTS), dtype=np.float32)
        valid = np.zeros(len(features), dtype=bool)
        _coarse_pictures(patterns, *targets, features, valid)
        features[~valid] = 0
        shift = self.coarse(features)[:, :2].astype(np.float64)
        shift[~valid] = 0
        length = np.linalg.norm(shift, axis=1, keepdims=True)
        shift *= np.minimum(1, LARGEST_SHIFT / np.maximum(length, 1e-9))
        return targets.centre + shift * targets.radius[:, None], valid

    def step(
        self, patterns: NDArray[np.float32], targets: Targets, start: Float, stage: int
    ) -> tuple[Float, Float, Float, EdgeFit]:
        """Positions after reading the edge of disks at ``start``, half widths, growth, the fit."""
        n = len(start)
        strips = np.empty((n, ANGLES, STRIP_INPUTS), dtype=np.float32)
        half = np.empty(n)
        _edge_strips(patterns, *targets, start, stage, strips, half)
        unreadable = ~np.isfinite(strips.sum(axis=(1, 2)))  # pixels that are no numbers
        strips[unreadable] = 0
        edges, pooled = (self.last if stage else self.first)(strips)
        hidden = strips[:, :, SHARE] < WHOLLY_SEEN
        edges[..., 1] = np.where(hidden, -LARGEST_LOG, edges[..., 1])
        fit = fit_edges(edges, pooled)
        moved = np.clip(fit.shift, -LARGEST_STEP, LARGEST_STEP) * half[:, None]
        moved[unreadable] = np.nan
        return start + moved[:, :2], half, moved[:, 2], fit

    def to_keras(self) -> Any:
        """The three networks as one ``keras.Model`` of three inputs and three outputs."""
        start_tensorflow()
        import keras

        parts = []
        for name in ("coarse", "first", "last"):
            network = getattr(self, name)
            part = build_coarse() if name == "coarse" else build_strip(name=name)
            put_weights(part, network.weights)
            parts.append(part)
        return keras.Model([p.input for p in parts], [p.output for p in parts], name="disks")


@numba.njit(nogil=True, cache=True)
def _coarse_pictures(
    patterns, pattern, centre, radius, edge, box, features, valid
):  # pragma: no cover - compiled
    for m in range(len(radius)):
        valid[m] = coarse_features(
            patterns[pattern[m]], centre[m, 0], centre[m, 1], radius[m],
            box[m, 0], box[m, 1], box[m, 2], box[m, 3], features[m],
        )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _edge_strips(
    patterns, pattern, centre, radius, edge, box, start, stage, strips, half
):  # pragma: no cover - compiled
    for m in range(len(radius)):
        half[m] = strip_half_width(radius[m], stage)
        strip_features(
            patterns[pattern[m]], start[m, 0], start[m, 1], radius[m],
            edge[m] if stage else 0.0, half[m],
            box[m, 0], box[m, 1], box[m, 2], box[m, 3], strips[m],
        )  # fmt: skip
