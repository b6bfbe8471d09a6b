"""How the lattice that a model expects may lie on the detector."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from pyxem_mlmaps.mapping.lattice_fit import reduce_basis
from pyxem_mlmaps.simulation.template import LatticeTemplate

__all__ = ["LatticeTemplate", "in_plane_indices", "lattice_symmetries", "match_rotation"]

Floats = NDArray[np.float64]


def in_plane_indices(indices: ArrayLike, vectors: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
    """Two indices for every disk of a lattice, and the basis they refer to.

    Parameters
    ----------
    indices
        (n, 3) Miller indices; or (n, 2), which are kept.
    vectors
        (n, 2) positions in any unit.

    Returns
    -------
    indices : ndarray
        (n, 2) integers.
    basis : ndarray
        (2, 2) rows g1, g2. From Miller indices: g1 is the shortest vector of the lattice, g2 the
        shortest one 60 to 120 degrees from it, x turning into y; of equally short ones that
        with the largest first, second, third Miller index.

    Raises
    ------
    ValueError
        If the vectors do not lie on one plane lattice.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice import in_plane_indices
    >>> in_plane_indices([(0, 0, 0), (2, -2, 0), (0, 0, 2)], [(0, 0), (0, 0.5), (0.35, 0)])
    (array([[ 0,  0],
           [ 0, -1],
           [ 1,  0]]), array([[ 0.35,  0.  ],
           [ 0.  , -0.5 ]]))
    """
    labels = np.asarray(indices)
    positions = np.asarray(vectors, dtype=float)
    span = np.concatenate([labels, np.zeros((1, labels.shape[1]), labels.dtype)])
    rank = np.linalg.matrix_rank(span)
    if rank != 2 or np.linalg.matrix_rank(positions, tol=1e-6 * np.abs(positions).max()) != 2:
        raise ValueError(
            f"indices: they span {rank} dimension(s), a lattice of disks needs two. Fewer: add "
            "reflections that are not on one line; three: leave disks of higher Laue zones out."
        )
    linear = np.linalg.lstsq(labels.astype(float), positions, rcond=None)[0]
    if labels.shape[1] == 2:
        result, basis = labels.astype(np.int64), linear
    else:
        pairs = (span[:, None] - span[None]).reshape(-1, 3)
        pairs = np.unique(pairs[np.any(pairs != 0, axis=1)], axis=0)[::-1]  # largest index first
        ends = pairs @ linear
        order = np.argsort(np.round(np.hypot(*ends.T) / np.hypot(*ends.T).min(), 4), kind="stable")
        ends = ends[order]
        g1 = ends[0]
        cross = g1[1] * ends[:, 0] - g1[0] * ends[:, 1]
        angle = np.degrees(np.arctan2(cross, ends @ g1))
        allowed = np.flatnonzero((angle > 59.5) & (angle < 120.5))
        if len(allowed) == 0:  # the set is too small to hold a reduced basis
            g2 = reduce_basis([g1, ends[np.flatnonzero(np.abs(cross) > 1e-6 * g1 @ g1)[0]]])[1]
            g2 = g2 if g1[1] * g2[0] - g1[0] * g2[1] > 0 else -g2
        else:
            g2 = ends[allowed[0]]
        basis = np.array([g1, g2])
        result = np.round(positions @ np.linalg.inv(basis)).astype(np.int64)
    error = np.hypot(*(positions - result @ basis).T)
    shortest = np.hypot(*reduce_basis(basis)[0])
    if error.max() > 0.03 * shortest or len(np.unique(result, axis=0)) < len(result):
        worst = int(np.argmax(error))
        raise ValueError(
            f"vectors: disk {labels[worst].tolist()} lies {error[worst]:.3g} off the lattice (its "
            f"shortest vector is {shortest:.3g}). Leave out disks of higher Laue zones."
        )
    return result, basis


def lattice_symmetries(basis: ArrayLike, tolerance: float = 0.03) -> list[NDArray[np.int64]]:
    """Integer matrices that map a lattice onto itself: rotations first, then mirrors.

    Parameters
    ----------
    basis
        (2, 2) rows g1, g2.
    tolerance
        How far lengths may differ, relatively: 0.03 lets strained or distorted lattices pass.

    Returns
    -------
    list of ndarray
        (2, 2) integers M; ``M @ basis`` is the equivalent basis. The identity is the first one.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice_template import lattice_symmetries
    >>> [len(lattice_symmetries(b)) for b in ([(0, 1), (1.4, 0)], [(0, 1), (1.4, 0.2)])]
    [4, 2]
    """
    basis = np.asarray(basis, dtype=float)
    metric = basis @ basis.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    found = []
    for entries in product((0, 1, -1, 2, -2), repeat=4):
        matrix = np.array(entries).reshape(2, 2)
        determinant = entries[0] * entries[3] - entries[1] * entries[2]
        if abs(determinant) != 1:
            continue
        if np.all(np.abs(matrix @ metric @ matrix.T - metric) < 2 * tolerance * scale):
            found.append((-determinant, not np.array_equal(matrix, np.eye(2)), len(found), matrix))
    return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:3])]


def match_rotation(
    correlation: Floats,
    vectors: Floats,
    weights: Floats,
    origin: ArrayLike,
    radius: float,
    scales: Floats,
    mirror: bool = False,
) -> list[tuple[float, Floats]]:
    """In-plane rotations at which disks lie where a template expects them, the best first.

    Parameters
    ----------
    correlation
        (ky, kx) normalised correlation from :func:`disk_map`.
    vectors
        (n, 2) expected disk positions from the direct beam at zero rotation, (y, x) in pixels.
    weights
        (n,) weights of the disks.
    origin
        (y, x) of the direct beam in pixels, right to within a radius.
    radius
        Disk radius in pixels.
    scales
        Magnifications to try.
    mirror
        Also try the mirrored template.

    Returns
    -------
    list of (float, ndarray)
        Mean correlation, and the (2, 2) matrix that turns ``vectors`` into positions
        (``vectors @ matrix``); at most eight, one for each peak.
    """
    positive = np.clip(correlation, 0, None)
    farthest = max(float(np.hypot(*vectors.T).max()), radius)
    steps = int(np.ceil(2 * np.pi * farthest / (0.5 * radius)))
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    shifts = np.array(list(product((-0.7, 0.0, 0.7), repeat=2))) * radius + np.asarray(origin)
    weights = weights / weights.sum()
    results = []
    for flip in (1, -1) if mirror else (1,):
        best = np.full(steps, -np.inf)
        matrices = np.empty((steps, 2, 2))
        for scale in scales:
            cos, sin = scale * np.cos(angles), scale * np.sin(angles)
            turn = np.stack([flip * cos, -flip * sin, sin, cos], axis=-1).reshape(-1, 2, 2)
            moved = np.einsum("nj,ajk->ank", vectors, turn)
            points = moved[:, None] + shifts[:, None]
            seen = map_coordinates(positive, np.moveaxis(points, -1, 0), order=1, cval=0.0)
            score = (seen @ weights).max(axis=1)
            better = score > best
            best[better], matrices[better] = score[better], turn[better]
        around = np.max([np.roll(best, k) for k in (-3, -2, -1, 1, 2, 3)], axis=0)
        results += [(float(best[k]), matrices[k]) for k in np.flatnonzero(best >= around)]
    return sorted(results, key=lambda entry: -entry[0])[:8]
