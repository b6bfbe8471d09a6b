"""Merging of noisy regions: greedy at first, then by a test of the step at every border.

Pure arrays: vectors of three components with their weights 1/σ², and labels.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["StepTest", "border_pairs", "merge_by_steps", "merge_greedily"]

Float = NDArray[np.float64]
Labels = NDArray[np.int64]
LEAST = 80
"""Points on either side of a border that a step is measured on, if the region has so many."""


def border_pairs(labels: Labels) -> tuple[Labels, Float]:
    """Borders between regions, point by point.

    Parameters
    ----------
    labels
        (ny, nx), −1 outside.

    Returns
    -------
    pairs
        (m, 2) labels, ascending in each row, of direct neighbours with different labels.
    place
        (m, 2) their midpoints (y, x).

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.region_merging import border_pairs
    >>> border_pairs(np.array([[1, 0, 0]]))
    (array([[0, 1]]), array([[0. , 0.5]]))
    """
    pairs, places = [], []
    for axis in (0, 1):
        n = labels.shape[axis]
        a, b = (np.take(labels, range(i, n - 1 + i), axis=axis) for i in (0, 1))
        at = np.nonzero((a != b) & (a >= 0) & (b >= 0))
        pairs.append(np.sort(np.stack([a[at], b[at]], axis=-1), axis=-1))
        places.append(
            np.stack(at, axis=-1) + (0.5, 0.0) if axis == 0 else np.stack(at, -1) + (0, 0.5)
        )
    return np.concatenate(pairs), np.concatenate(places)


def merge_greedily(
    labels: Labels, vectors: Float, weight: Float, limit: float, min_size: int
) -> Labels:
    """Merge neighbours as long as that costs little for the border it removes.

    Parameters
    ----------
    labels
        (ny, nx) regions 0 … n − 1, −1 outside.
    vectors, weight
        (ny, nx, 3) values and 1/σ²; points of weight zero count for nothing.
    limit
        Two regions merge if χ² rises by less than this per point of their border.
    min_size
        At the end regions of fewer points merge with the neighbour that fits them best.

    Returns
    -------
    labels
        (ny, nx), not renumbered.

    Notes
    -----
    The functional of D. Mumford and J. Shah with constant regions, merged greedily as G. Koepfler,
    C. Lopez and J. M. Morel do, SIAM J. Numer. Anal. 31 (1994) 282.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.region_merging import merge_greedily
    >>> step = np.repeat([0.0, 0.1, 5.0, 5.1], 3).reshape(4, 3)[None]
    >>> merge_greedily(np.arange(4)[None], step, np.ones_like(step), 1.0, 1)
    array([[1, 1, 2, 2]])
    """
    n = int(labels.max()) + 1
    inside = labels >= 0
    which = labels[inside]
    size = np.bincount(which, minlength=n).tolist()
    sums = [
        np.bincount(which, v, minlength=n).tolist()
        for v in [*weight[inside].T, *(weight * vectors)[inside].T]
    ]
    state = [list(row) for row in zip(*sums, strict=True)]
    borders: list[dict[int, int]] = [{} for _ in range(n)]
    pairs, count = np.unique(border_pairs(labels)[0], axis=0, return_counts=True)
    for (a, b), length in zip(pairs.tolist(), count.tolist(), strict=True):
        borders[a][b] = borders[b][a] = length

    def cost(a: int, b: int) -> float:
        p, q, rise = state[a], state[b], 0.0
        for c in (0, 1, 2):
            u, v = p[c], q[c]
            if u > 0 and v > 0:
                rise += (p[c + 3] / u - q[c + 3] / v) ** 2 * u * v / (u + v)
        return rise / borders[a][b]

    root, version = list(range(n)), [0] * n
    heap = [(cost(a, b), a, b, 0, 0) for a, b in pairs.tolist()]
    heapq.heapify(heap)

    def join(a: int, b: int) -> int:
        if len(borders[a]) < len(borders[b]):
            a, b = b, a
        root[b] = a
        size[a] += size[b]
        state[a] = [u + v for u, v in zip(state[a], state[b], strict=True)]
        version[a] += 1
        version[b] = -1
        for c, length in borders[b].items():
            del borders[c][b]
            if c != a:
                borders[a][c] = borders[c][a] = borders[a].get(c, 0) + length
        borders[b] = {}
        return a

    while heap and heap[0][0] < limit:
        _, a, b, i, j = heapq.heappop(heap)
        if version[a] == i and version[b] == j:
            a = join(a, b)
            for c in borders[a]:
                heapq.heappush(heap, (cost(a, c), a, c, version[a], version[c]))
    for a in sorted(range(n), key=size.__getitem__):
        while version[a] >= 0 and size[a] < min_size and borders[a]:
            a = join(a, min(borders[a], key=lambda c: cost(a, c)))
    return _rooted(labels, root)


def _rooted(labels: Labels, root: list[int]) -> Labels:
    final = np.array(root)
    while np.any(final != final[final]):
        final = final[final]
    return np.where(labels >= 0, final[np.maximum(labels, 0)], -1)


class StepTest:
    """Whether two regions differ at their border, by how much and how surely.

    Values on both sides, within about five points of the border, are fitted with one plane and a
    step. So bending on both sides is no step, and what is not known of it widens the uncertainty.

    Parameters
    ----------
    vectors, weight
        (ny, nx, 3) in degrees, and 1/σ².
    min_angle
        Degrees. Steps of at least this are to be kept.
    bending
        Degrees per point that are usual within a region, of all components or (3,) of each: the
        prior's standard deviation.
    significance
        χ² of three degrees of freedom that a step must reach.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.region_merging import StepTest
    >>> values = np.zeros((6, 12, 3))
    >>> values[:, 6:, 2] = 0.1
    >>> test = StepTest(values, np.full((6, 12, 3), 1e4), 0.1, 0.002, 30)
    >>> left, right = np.argwhere(values[..., 2] == 0), np.argwhere(values[..., 2] > 0)
    >>> border = np.stack([np.arange(6), np.full(6, 5.5)], axis=-1)
    >>> test.score(left, right, border) > 1
    True
    """

    def __init__(
        self, vectors: Float, weight: Float, min_angle: float, bending: Any, significance: float
    ) -> None:
        self.vectors, self.weight = vectors, weight
        self.min_angle, self.bending, self.significance = min_angle, bending, significance

    def step(self, one: Labels, two: Labels, border: Float) -> tuple[Float, Float]:
        """(3,) step from one to two, and (3,) its variances.

        ``one`` and ``two`` are (n, 2) points (y, x) of the regions, ``border`` (m, 2) midpoints.
        """
        one, two = self._near(one, border), self._near(two, border)
        points = np.concatenate([one, two])
        values, weight = self.vectors[tuple(points.T)], self.weight[tuple(points.T)]
        place = points - border.mean(axis=0)
        side = np.repeat([-0.5, 0.5], [len(one), len(two)])
        design = np.column_stack([np.ones(len(points)), place, side])
        prior = np.zeros((3, 4, 4))
        prior[:, [0, 3], [0, 3]] = 1e-9
        prior[:, [1, 2], [1, 2]] = np.broadcast_to(self.bending, 3)[:, None] ** -2.0
        huber = np.ones(len(points))
        for _ in range(4):
            w = (weight * huber[:, None]).T[:, None, :]
            normal = design.T * w @ design + prior
            right = (design.T * w) @ values.T[..., None]
            fit = np.linalg.solve(normal, right)[..., 0]
            residual = values - design @ fit.T
            far = np.sqrt(np.sum(weight * residual**2, axis=-1))
            huber = np.minimum(1, 2.5 / np.maximum(far, 1e-9))
        return fit[:, 3], np.linalg.inv(normal)[:, 3, 3]

    def score(self, one: Labels, two: Labels, border: Float) -> float:
        """Above 1 the border is to be kept; the smaller, the sooner the regions merge."""
        step, variance = self.step(one, two, border)
        angle = np.sqrt(max(np.sum(step**2 - variance), 0.0))
        spread = np.sqrt(np.sum(step**2 * variance) / max(np.sum(step**2), 1e-30))
        sure = np.sum(step**2 / variance) / self.significance
        return float(min(sure, ((angle + 3 * spread) / (0.9 * self.min_angle)) ** 2))

    def _near(self, points: Labels, border: Float) -> Labels:
        """The points next to the border, of those with a weight."""
        known = points[np.all(self.weight[tuple(points.T)] > 0, axis=-1)]
        points = known if len(known) else points
        n = max(LEAST, 5 * len(border))
        if len(points) <= n:
            return points
        distance, _ = cKDTree(border).query(points)
        return points[np.argpartition(distance, n)[:n]]


def merge_by_steps(labels: Labels, test: StepTest) -> Labels:
    """Merge neighbours whose step does not pass, the least certain first.

    Parameters
    ----------
    labels
        (ny, nx), −1 outside.
    test
        Judges a border.

    Returns
    -------
    labels
        (ny, nx), not renumbered.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.region_merging import StepTest, merge_by_steps
    >>> values = np.zeros((4, 9, 3))
    >>> values[:, 6:] = 1.0
    >>> test = StepTest(values, np.full((4, 9, 3), 1e4), 0.1, 0.002, 30)
    >>> labels = np.repeat([0, 1, 2], 3) + np.zeros((4, 1), dtype=int)
    >>> np.unique(merge_by_steps(labels, test)).size
    2
    """
    inside = np.argwhere(labels >= 0)
    which = labels[tuple(inside.T)]
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which))
    points = [inside[order[i:j]] for i, j in pairwise([0, *ends])]
    borders: list[dict[int, Float]] = [{} for _ in points]
    pairs, places = border_pairs(labels)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    for k, (a, b) in enumerate(unique.tolist()):
        borders[a][b] = borders[b][a] = places[inverse.ravel() == k]
    root, version = list(range(len(points))), [0] * len(points)

    def entry(a: int, b: int) -> tuple[float, int, int, int, int]:
        score = test.score(points[a], points[b], borders[a][b])
        return score, a, b, version[a], version[b]

    heap = [entry(a, b) for a, b in unique.tolist()]
    heapq.heapify(heap)
    while heap and heap[0][0] < 1:
        _, a, b, i, j = heapq.heappop(heap)
        if version[a] != i or version[b] != j:
            continue
        root[b] = a
        points[a] = np.concatenate([points[a], points[b]])
        version[a] += 1
        version[b] = -1
        for c, place in borders[b].items():
            del borders[c][b]
            if c != a:
                both = np.concatenate([borders[a][c], place]) if c in borders[a] else place
                borders[a][c] = borders[c][a] = both
        for c in borders[a]:
            heapq.heappush(heap, entry(a, c))
    return _rooted(labels, root)
