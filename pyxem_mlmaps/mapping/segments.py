"""Neighbouring patterns that look alike: segments, whose sums are matched with templates.

Counts in large bins of the detector are compared between neighbours, as square roots, whose noise
does not depend on the counts. Most neighbours belong to one grain, so the distances themselves tell
the noise, and the counts of one electron with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Segments", "binned_roots", "representatives", "segment_scan"]

Float = NDArray[np.floating]

BINS = 12
"""Bins along each side of the detector, at most."""
ELECTRONS = 6e5
"""Electrons on the detector that tell an orientation: so many patterns next to each other are
summed for each segment."""
FEWEST, MOST = 9, 64
"""Patterns that are summed, whatever their electrons. Few, since tilt and thickness vary."""
PART = 8
"""Part of a segment, one in so many points, that is summed at most."""
LAG = 3
"""Points between patterns that are compared to tell where the scan is smooth: soft boundaries show
over several points only."""
QUIET = 1.07
"""Roughness relative to the smoothest place of a segment that is noise alone."""
STRENGTH = 6.0
"""Standard deviations by which neighbours differ where a boundary runs between them."""


class Segments(NamedTuple):
    """``labels`` (ny, nx) from 0, -1 for points in none; ``gain`` counts for one electron;
    ``usable`` (ny, nx) patterns without bad pixels; ``electrons`` in a pattern, the median;
    ``rough`` (ny, nx) how much each pattern differs from those nearby, 1 is noise."""

    labels: NDArray[np.int64]
    gain: float
    usable: NDArray[np.bool_]
    electrons: float
    rough: NDArray[np.float32]

    @property
    def n(self) -> int:
        """How many."""
        return int(self.labels.max(initial=-1)) + 1

    @property
    def together(self) -> int:
        """Patterns to sum for each of them."""
        return int(np.clip(np.ceil(ELECTRONS / max(self.electrons, 1.0)), FEWEST, MOST))


def binned_roots(patterns: NDArray) -> NDArray[np.float32]:
    """(n, BINS²) twice the square roots of the counts in bins of (n, ky, kx) patterns.

    NaN for patterns with a pixel that is no number.
    """
    n, height, width = patterns.shape
    rows = np.linspace(0, height, min(BINS, height) + 1).astype(int)[:-1]
    columns = np.linspace(0, width, min(BINS, width) + 1).astype(int)[:-1]
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(patterns.astype(np.float64), rows, axis=1)
        sums = np.add.reduceat(sums, columns, axis=2).reshape(n, -1)
        roots = 2 * np.sqrt(np.maximum(sums, 0))
    roots[~np.isfinite(sums).all(axis=1)] = np.nan
    return roots.astype(np.float32)


def segment_scan(roots: NDArray[np.float32], smallest: int = 4) -> Segments:
    """Label connected points whose patterns differ by no more than noise.

    Parameters
    ----------
    roots
        (ny, nx, n_bin) from :func:`binned_roots`.
    smallest
        Points in a segment at least; smaller ones are none (boundary points that mix two grains).

    Returns
    -------
    Segments
        Largest first.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ny, nx, n_bin = roots.shape
    number = np.arange(ny * nx).reshape(ny, nx)
    pairs = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1),
            np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1),
        ]
    )
    flat = roots.reshape(-1, n_bin)
    distance = np.empty(len(pairs))
    for first in range(0, len(pairs), 65536):
        part = pairs[first : first + 65536]
        distance[first : first + 65536] = np.sum((flat[part[:, 0]] - flat[part[:, 1]]) ** 2, 1)
    distance /= 2 * n_bin
    finite = distance[np.isfinite(distance)]
    usable = np.isfinite(flat).all(axis=1)
    spread = np.sqrt(2 / n_bin)
    if finite.size:
        # the lower quartile of a chi-square distribution lies 0.67 standard deviations below 1
        gain = max(float(np.quantile(finite, 0.25)) / (1 - 0.67 * spread), 1e-12)
    else:
        gain = 1.0
    joined = pairs[distance <= gain * (1 + STRENGTH * spread)]
    graph = coo_matrix((np.ones(len(joined)), joined.T), shape=(ny * nx, ny * nx))
    _, label = connected_components(graph, directed=False)
    count = np.bincount(label, weights=usable.astype(float))
    order = np.argsort(-count, kind="stable")
    rank = np.full(len(count), -1)
    large = count[order] >= min(smallest, max(count.max(initial=0), 1))
    rank[order[large]] = np.arange(large.sum())
    labels = np.where(usable, rank[label], -1)
    counts = np.sum(flat[labels >= 0].astype(float) ** 2, axis=1) / 4
    electrons = float(np.median(counts)) / gain if counts.size else 0.0
    rough = _roughness(roots, gain)
    return Segments(labels.reshape(ny, nx), gain, usable.reshape(ny, nx), electrons, rough)


def _roughness(roots: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """(ny, nx) mean distance of each pattern from those ``LAG`` points away, 1 is noise."""
    total, count = np.zeros(roots.shape[:2]), np.zeros(roots.shape[:2])
    for axis in (0, 1):
        lag = min(LAG, roots.shape[axis] - 1)
        if lag < 1:
            continue
        first, second = [np.s_[:-lag], np.s_[lag:]]
        for row in range(roots.shape[1 - axis]):  # line by line: the roots are large
            line = np.take(roots, row, axis=1 - axis)
            apart = np.sum((line[first] - line[second]) ** 2, axis=1) / (2 * gain * line.shape[1])
            here = (slice(None), row) if axis == 0 else (row, slice(None))
            for part in (first, second):
                total[here][part] += apart
                count[here][part] += 1
    return (total / np.maximum(count, 1)).astype(np.float32)


def representatives(
    labels: NDArray[np.integer], n: int, rough: NDArray[np.floating] | None = None
) -> NDArray[np.int64]:
    """(n_segment, n) flat numbers of points deep inside each segment and next to each other.

    Small segments repeat points. Sums of few neighbours are sharp where orientation or thickness
    vary within a segment, and hold no boundary points. Where patterns are ``rough``, as where a
    soft boundary runs through a segment, none are taken if others can be had.
    """
    from scipy.ndimage import distance_transform_edt, find_objects, uniform_filter

    width = 2 * int(np.ceil(np.sqrt(n / np.pi))) + 1
    padded = np.pad(labels + 1, 1)
    smooth = np.ones(padded.shape)
    if rough is not None:
        filled = np.where(np.isfinite(rough), rough, 1e3)
        smooth = np.pad(uniform_filter(filled, width, mode="nearest"), 1)
    chosen = np.empty((labels.max(initial=-1) + 1, n), dtype=np.int64)
    for k, box in enumerate(find_objects(padded)):
        if box is None:
            chosen[k] = -1
            continue
        grown = tuple(slice(s.start - 1, s.stop + 1) for s in box)
        depth = distance_transform_edt(padded[grown] == k + 1)
        inside = depth >= min(2.0, depth.max())
        quiet = smooth[grown] <= QUIET * smooth[grown][inside].min()
        points = np.argwhere(depth > 0)
        middle = np.unravel_index(np.argmax(np.where(inside & quiet, depth, 0)), depth.shape)
        near = points[np.argsort(np.sum((points - middle) ** 2, axis=1), kind="stable")]
        most = min(max(FEWEST, len(near) // PART), len(near))
        near = near[np.arange(n) % most]
        row = near[:, 0] + grown[0].start - 1
        column = near[:, 1] + grown[1].start - 1
        chosen[k] = row * labels.shape[1] + column
    return chosen
