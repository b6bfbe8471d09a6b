"""Kernels that turn disks into a lattice: search and refinement.

A basis is a (2, 2) array with rows g1 and g2 as (y, x) in pixels; a disk with indices (h, k) lies
at ``origin + h g1 + k g2``. Arrays in, arrays out.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from pyxem_mlmaps.mapping.disk_edges import edge_shifts
from pyxem_mlmaps.mapping.lattice_disks import background, disk_map

__all__ = [
    "points_on_detector",
    "reduce_basis",
    "refine_lattice",
    "search_basis",
]

Floats = NDArray[np.float64]


def reduce_basis(basis: ArrayLike) -> Floats:
    """The two shortest vectors of a lattice (Lagrange and Gauss), in one definite choice.

    Parameters
    ----------
    basis
        (2, 2) rows g1, g2 as (y, x).

    Returns
    -------
    ndarray
        (2, 2): g1 is the shortest vector, of equally short ones (1 %) and their negatives the one
        closest to a line 20 degrees from +x towards +y (so that lattices along x or y do not flip
        with noise); g2 the next shortest, 60 to 120 degrees from g1 and on the +y side of it when
        g1 points along +x (x turns into y).

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice_fit import reduce_basis
    >>> reduce_basis([(0, 10), (20, 31)])
    array([[ 0., 10.],
           [20.,  1.]])
    """
    short, long = (np.asarray(v, dtype=float) for v in np.asarray(basis, dtype=float))
    for _ in range(1000):
        if short @ short > long @ long:
            short, long = long, short
        n = np.round((short @ long) / (short @ short))
        if n == 0:
            break
        long = long - n * short
    candidates = [
        i * short + j * long for i, j in product((-1, 0, 1), repeat=2) if (i, j) != (0, 0)
    ]
    least = min(np.hypot(*v) for v in candidates)
    shortest = [v for v in candidates if np.hypot(*v) < 1.01 * least]
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))
    g1 = max(shortest, key=lambda v: (v[1] * cos + v[0] * sin) / np.hypot(*v))
    right = [v for v in candidates if g1[1] * v[0] - g1[0] * v[1] > 1e-9 * least**2]
    least = min(np.hypot(*v) for v in right)
    # of equally long ones the angle nearest to 90 degrees, then the smaller one
    second = [v for v in right if np.hypot(*v) < 1.001 * least]
    g2 = min(second, key=lambda v: (round(abs(v @ g1) / least**2, 6), -(v @ g1)))
    return np.array([g1, g2])


def points_on_detector(
    origin: ArrayLike, basis: ArrayLike, shape: tuple[int, int], radius: float
) -> NDArray[np.int64]:
    """Indices of all lattice points whose disks lie on the detector, the innermost first.

    Parameters
    ----------
    origin
        (y, x) of the direct beam in pixels.
    basis
        (2, 2) rows g1, g2.
    shape
        (ky, kx) size of the detector in pixels.
    radius
        Disk radius in pixels.

    Returns
    -------
    ndarray
        (n, 2) integers.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice_fit import points_on_detector
    >>> points_on_detector((10, 10), [(0, 12), (30, 0)], (21, 30), 5)
    array([[0, 0],
           [1, 0]])
    """
    origin, basis = np.asarray(origin, dtype=float), np.asarray(basis, dtype=float)
    corners = np.array(list(product((0, shape[0]), (0, shape[1]))), dtype=float)
    extent = np.ceil(np.abs((corners - origin) @ np.linalg.inv(basis)).max(axis=0)).astype(int)
    extent = np.minimum(extent, 500)
    grid = np.mgrid[-extent[0] : extent[0] + 1, -extent[1] : extent[1] + 1].reshape(2, -1).T
    points = origin + grid @ basis
    on = np.all((points - radius >= -0.5) & (points + radius <= np.array(shape) - 0.5), axis=1)
    grid, points = grid[on], points[on]
    distance = np.round(np.hypot(*(points - origin).T), 3)
    return grid[np.lexsort((-grid[:, 1], -grid[:, 0], distance))]


def _spans_plane(indices: NDArray) -> bool:
    """Whether points fix a lattice: at least three that are not on one line."""
    return len(indices) >= 3 and np.linalg.matrix_rank(indices - indices[0]) == 2


def _affine(indices: Floats, points: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares: origin and basis that carry indices to points."""
    design = np.column_stack([np.ones(len(indices)), indices])
    root = np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(design * root, points * root, rcond=None)[0]
    return solution[0], solution[1:]


def _grow(points: Floats, origin: Floats, basis: Floats) -> tuple[Floats, Floats, NDArray, float]:
    """Fit a lattice to points from the origin outwards; also residuals, and area of a cell."""
    distance = np.hypot(*(points - origin).T)
    for reach in (2.2, 4.5, 9.0, np.inf):
        area = abs(np.linalg.det(basis))
        if area < 1:
            break
        indices = np.round((points - origin) @ np.linalg.inv(basis))
        residuals = np.hypot(*(points - origin - indices @ basis).T)
        near = (residuals < 0.2 * np.sqrt(area)) & (distance < reach * np.sqrt(area))
        if not _spans_plane(indices[near]):
            continue
        origin, basis = _affine(indices[near], points[near], np.ones(int(near.sum())))
    area = abs(np.linalg.det(basis))
    if area < 1:
        return origin, basis, np.full(len(points), np.inf), area
    indices = np.round((points - origin) @ np.linalg.inv(basis))
    return origin, basis, np.hypot(*(points - origin - indices @ basis).T), area


def search_basis(points: ArrayLike, radius: float) -> tuple[Floats, Floats, float] | None:
    """The lattice on which most of the points lie.

    The most frequent difference vectors are combined in pairs; a pair is scored by the fraction
    of points within a tolerance of its lattice, less the fraction that chance would put there.
    Of all lattices within 10 % of the best score the one with the largest cell wins, so that a
    few stray points do not halve it.

    Parameters
    ----------
    points
        (n, 2) disk positions (y, x) in pixels, the most certain first.
    radius
        Disk radius in pixels: lattice vectors are at least 1.5 times that long.

    Returns
    -------
    origin, basis, fraction
        One of the lattice points (y, x), the reduced (2, 2) basis and the fraction of points on
        the lattice; None with fewer than three points or all of them on one line.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice_fit import search_basis
    >>> points = [(50 + 20 * i, 60 + 15 * j) for i in range(3) for j in range(3)]
    >>> search_basis(points, radius=4)[1].round(3) + 0.0
    array([[ 0., 15.],
           [20.,  0.]])
    """
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    if len(points) < 3:
        return None
    strong = points[:80]
    i, j = np.triu_indices(len(strong), 1)
    differences = strong[i] - strong[j]
    flip = (differences[:, 1] < 0) | ((differences[:, 1] == 0) & (differences[:, 0] < 0))
    differences[flip] *= -1
    lengths = np.hypot(*differences.T)
    order = np.argsort(lengths, kind="stable")
    differences = differences[order][lengths[order] > 1.5 * radius][:800]
    both_signs = np.concatenate([differences, -differences])
    tree = cKDTree(both_signs)
    groups = tree.query_ball_point(differences, max(1.5, 0.25 * radius))
    votes = np.array([len(group) for group in groups])
    vectors: list[Floats] = []
    for k in np.argsort(-votes, kind="stable"):
        mean = both_signs[groups[k]].mean(axis=0)
        if all(
            min(np.hypot(*(mean - v)), np.hypot(*(mean + v))) > max(2.0, 0.5 * radius)
            for v in vectors
        ):
            vectors.append(mean)
        if len(vectors) == 12:
            break

    tolerance = max(1.0, 0.15 * radius)
    found = []
    for first, second in combinations(vectors, 2):
        cross = abs(first[0] * second[1] - first[1] * second[0])
        if cross < 0.15 * np.hypot(*first) * np.hypot(*second):
            continue
        reduced = reduce_basis([first, second])
        for start in strong[:3]:
            origin, basis, residuals, area = _grow(points, start, reduced)
            fraction = float(np.mean(residuals < tolerance))
            chance = np.pi * tolerance**2 / area
            if chance < 0.5:
                found.append(((fraction - chance) / (1 - chance), area, origin, basis, fraction))
    if not found:
        return None
    best = max(entry[0] for entry in found)
    _, _, origin, basis, fraction = max(
        (entry for entry in found if entry[0] >= 0.9 * best), key=lambda e: (round(e[1], -1), e[0])
    )
    return origin, reduce_basis(basis), fraction


def refine_lattice(
    pattern: Floats, origin: ArrayLike, basis: ArrayLike, radius: float
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Weighted least squares of origin, g1 and g2 on the edges of all disks on the detector.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    origin, basis
        Start values: (y, x) and (2, 2) in pixels, right to a fraction of the radius.
    radius
        Start value of the disk radius in pixels.

    Returns
    -------
    origin, basis
        Refined values.
    residuals
        (n, 2) measured minus fitted positions of the disks that were used, in pixels.
    used
        (n, 2) indices of those disks: an edge is seen there, and it is no outlier.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice_fit import refine_lattice
    >>> y, x = np.indices((64, 64))
    >>> offset = np.hypot((y - 2.3 + 10) % 20 - 10, (x - 5.6 + 10) % 20 - 10)
    >>> pattern = np.clip(6.5 - offset, 0, 1)
    >>> origin, basis, _, used = refine_lattice(pattern, (22, 26), [(0, 20.1), (19.9, 0)], 6)
    >>> bool(np.all(abs(origin - (22.3, 25.6)) < 0.06)), len(used)
    (True, 6)
    """
    origin, basis = np.array(origin, dtype=float), np.array(basis, dtype=float)
    correlation, _ = disk_map(np.sqrt(pattern), radius)
    none = np.empty((0, 2))
    residuals, used, level = none, none.astype(np.int64), 0.0
    gap = np.hypot(*reduce_basis(basis)[0]) - 2 * radius
    reach = float(
        np.clip(0.6 * gap, 1.5, max(1.6, 0.18 * radius))
    )  # the shorter, the less contrast
    spacing = np.hypot(*reduce_basis(basis)[0])
    for width, extent in ((1.5, 2.5), (1.2, 6.0), (1.0, np.inf), (0.8, np.inf), (0.8, np.inf)):
        indices = points_on_detector(origin, basis, pattern.shape, radius)
        indices = indices[np.hypot(*(indices @ basis).T) < extent * spacing]
        predicted = origin + indices @ basis
        if len(indices) < 3:
            continue
        if extent == np.inf:
            level = background(pattern, predicted, radius)
        far = float(np.clip(2 * width, reach, max(reach, 0.6 * gap)))
        shifts, _, sigmas = edge_shifts(pattern - level, predicted, radius, far, width)
        visible = map_coordinates(correlation, predicted.T, order=1, mode="nearest") > 0.25
        limit = max(1.5, 0.3 * radius)
        good = visible & (np.hypot(*shifts.T) < limit) & (sigmas < 0.25 * limit)
        for _ in range(4):
            if not _spans_plane(indices[good]):
                return origin, basis, none, none.astype(np.int64)
            weights = 1 / (sigmas[good] ** 2 + 0.03**2)
            points = predicted + shifts
            new_origin, new_basis = _affine(indices[good], points[good], weights)
            errors = points - new_origin - indices @ new_basis
            pulls = np.hypot(*errors.T) / np.hypot(sigmas, 0.03)
            keep = good & (pulls < 4 * max(np.median(pulls[good]), 0.5))
            if np.array_equal(keep, good):
                break
            good = keep
        origin, basis = new_origin, new_basis
        residuals, used = errors[good], indices[good]
    return origin, basis, residuals, used
