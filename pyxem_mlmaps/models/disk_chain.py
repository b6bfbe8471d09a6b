"""From pixels to disk positions: the three networks one after the other. No files, no state."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps._compiled import inner_kernel
from pyxem_mlmaps.training._tensorflow import start_tensorflow
from pyxem_mlmaps.training.disk_circles import ANGLES
from pyxem_mlmaps.training.disk_features import (
    COARSE_INPUTS,
    SHARE,
    STRIP_INPUTS,
    coarse_picture,
    first_strip,
    last_strip,
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
from pyxem_mlmaps.training.disk_pixels import FAST, bin_factor, bin_patterns

__all__ = ["ChainResult", "DiskChain", "Targets"]

Float = NDArray[np.floating]

LARGEST_SHIFT = 0.6
"""Radii from the expected place beyond which the coarse network's answer is held."""
LARGEST_STEP = 1.2
"""Half widths of a strip beyond which its answer is held."""
WHOLLY_SEEN = 0.97
"""Share of a segment on the detector below which its edge counts for nothing."""
BATCH = 96
"""Disks at once: their images should stay in the processor's cache from one network to the next."""


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
    g
        (m, 2) place from the direct beam (y, x), px; NaN where it is not known.
    box
        (m, 4) first and last row, first and last column that belong to the window.
    """

    pattern: NDArray[np.int64]
    centre: Float
    radius: Float
    edge: Float
    g: Float
    box: NDArray[np.int64]

    def part(self, rows: slice | NDArray[np.integer]) -> Targets:
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

    def __call__(
        self,
        patterns: NDArray[np.float32],
        targets: Targets,
        near: NDArray[np.bool_] | None = None,
    ) -> ChainResult:
        """Locate ``targets`` in ``patterns`` (n, ky, kx) float32; the last network alone reads
        those (m,) that are ``near`` their disks, known to 0.05 radii or so."""
        radii, of_target = np.unique(targets.radius, return_inverse=True)
        of_target = np.array([bin_factor(r) for r in radii], dtype=np.int64)[of_target]
        near = np.zeros(len(of_target), dtype=bool) if near is None else near
        parts, order = [], []
        for factor, close in itertools.product(np.unique(of_target), (False, True)):
            rows = np.flatnonzero((of_target == factor) & (near == close))
            for k in range(0, len(rows), BATCH):
                order.append(rows[k : k + BATCH])
                parts.append(self._batch(patterns, int(factor), targets.part(order[-1]), close))
        if not parts:
            return ChainResult(
                np.zeros((0, 2)), np.zeros((0, 3, 3)), *np.zeros((5, 0)), np.zeros(0, dtype=bool)
            )
        back = np.argsort(np.concatenate(order))
        return ChainResult(*(np.concatenate(column)[back] for column in zip(*parts, strict=True)))

    def _batch(
        self, patterns: NDArray[np.float32], factor: int, targets: Targets, near: bool
    ) -> ChainResult:
        low, high = targets.pattern.min(), targets.pattern.max() + 1
        patterns = patterns[low:high]
        rough = patterns if factor == 1 else bin_patterns(patterns, factor)
        targets = targets._replace(pattern=targets.pattern - low)
        position, valid = targets.centre, np.ones(len(targets.radius), dtype=bool)
        if not near:
            start, valid = self.find(rough, factor, targets)
            position, _, _, _ = self.step(patterns, rough, factor, targets, start, 0)
            valid &= np.isfinite(position).all(axis=1)
            position[~valid] = targets.centre[~valid]
        position, half, growth, fit = self.step(patterns, rough, factor, targets, position, 1)
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
        self, rough: NDArray[np.float32], factor: int, targets: Targets
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Coarse positions (m, 2), and whether the window holds finite numbers; ``rough`` are the
        patterns binned by ``factor``."""
        features = np.zeros((len(targets.radius), COARSE_INPUTS), dtype=np.float32)
        valid = np.zeros(len(features), dtype=bool)
        _coarse_pictures(
            rough, factor, targets.pattern, targets.centre, targets.radius, targets.box,
            features, valid,
        )  # fmt: skip
        valid &= np.isfinite(features).all(axis=1)  # counts too large for single precision
        features[~valid] = 0
        shift = self.coarse(features)[:, :2].astype(np.float64)
        shift[~valid] = 0
        length = np.linalg.norm(shift, axis=1, keepdims=True)
        shift *= np.minimum(1, LARGEST_SHIFT / np.maximum(length, 1e-9))
        return targets.centre + shift * targets.radius[:, None], valid

    def step(
        self,
        patterns: NDArray[np.float32],
        rough: NDArray[np.float32],
        factor: int,
        targets: Targets,
        start: Float,
        stage: int,
    ) -> tuple[Float, Float, Float, EdgeFit]:
        """Positions after reading the edge of disks at ``start``, half widths, growth, the fit."""
        n = len(start)
        strips = np.empty((n, ANGLES, STRIP_INPUTS), dtype=np.float32)
        half = np.empty(n)
        unreadable = np.empty(n, dtype=np.bool_)  # for pixels that are no numbers
        _edge_strips(patterns, rough, factor, *targets, start, stage, strips, half, unreadable)
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
    rough, factor, pattern, centre, radius, box, features, valid
):  # pragma: no cover - compiled
    for m in range(len(radius)):
        valid[m] = coarse_picture(
            rough[pattern[m]], factor, centre[m, 0], centre[m, 1], radius[m],
            box[m, 0], box[m, 1], box[m, 2], box[m, 3], features[m],
        )  # fmt: skip


@inner_kernel(fastmath=FAST)
def _sum(strip):  # pragma: no cover - compiled
    total = np.float32(0)
    for value in strip.reshape(strip.size):
        total += value
    return total


@numba.njit(nogil=True, cache=True)
def _edge_strips(
    patterns,
    rough,
    factor,
    pattern,
    centre,
    radius,
    edge,
    g,
    box,
    start,
    stage,
    strips,
    half,
    unreadable,
):  # pragma: no cover - compiled
    for m in range(len(radius)):
        if stage == 0:
            half[m] = first_strip(
                rough[pattern[m]], factor, start[m, 0], start[m, 1], radius[m],
                box[m, 0], box[m, 1], box[m, 2], box[m, 3], strips[m],
            )  # fmt: skip
        else:
            half[m] = last_strip(
                patterns[pattern[m]], rough[pattern[m]], factor, start[m, 0], start[m, 1],
                radius[m], edge[m], g[m, 0], g[m, 1],
                box[m, 0], box[m, 1], box[m, 2], box[m, 3], strips[m],
            )  # fmt: skip
        unreadable[m] = not np.isfinite(_sum(strips[m]))
