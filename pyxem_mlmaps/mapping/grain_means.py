"""Mean orientations of labelled regions, and how points are turned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.grain_rotations import (
    ScanArrays,
    misorientation_angle,
    nearest_variant,
    rotated,
    rotation_vector,
    scan_arrays,
)

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap
    from orix.quaternion import Rotation

__all__ = ["MeanOrientations", "mean_orientations", "tilt_within_grains"]

Float = NDArray[np.float64]


class MeanOrientations(NamedTuple):
    """Mean orientations of n labels.

    Attributes
    ----------
    labels
        (n,) the labels, ascending, without −1.
    rotations
        orix rotations (n,), lab to crystal.
    sigma
        (n, 3) standard uncertainties in degrees: zone axis along kx and ky, turn about the beam.
        NaN for a single point without σ.
    size
        (n,) number of points of every label.
    """

    labels: NDArray[np.int64]
    rotations: Rotation
    sigma: Float
    size: NDArray[np.int64]


def mean_orientations(xmap: CrystalMap, labels: NDArray[np.integer]) -> MeanOrientations:
    """Robust mean orientation of every label.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx). Points with ``precise`` 0 or ``misfit`` above 1 are left out
        where their label has others.
    labels
        (ny, nx) regions of one phase each; negative ones are left out.

    Returns
    -------
    means
        Orientation, σ and number of points of every label.

    Raises
    ------
    ValueError
        If ``labels`` is not of the scan's shape, or a label has no indexed point.

    Notes
    -----
    Every point is replaced by its symmetry-equivalent nearest to a typical point of its label. The
    mean of the rotation vectors from there is weighted by 1/σ², where the map knows σ, and with
    Huber's weights (P. J. Huber, Ann. Math. Statist. 35 (1964) 73), bounded at two deviations. The
    uncertainty is the larger of that from σ and that from the scatter of the points; bending of
    the region counts as scatter.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.mapping.grains import mean_orientations
    >>> turns = Rotation.from_axes_angles([0, 0, 1], [0.0, 90.2, 0.1], degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> xmap = CrystalMap(turns, x=np.arange(3), phase_list=cubic)
    >>> means = mean_orientations(xmap, np.zeros((1, 3), dtype=int))
    >>> np.degrees(means.rotations.angle).round(6)
    array([0.1])
    """
    from orix.quaternion import Rotation

    scan = scan_arrays(xmap)
    names, mean, sigma = label_means(scan, scan.sigma(xmap), scan.good(xmap), labels)
    size = np.bincount(np.searchsorted(names, labels[labels >= 0]), minlength=len(names))
    return MeanOrientations(names, Rotation(mean), sigma, size)


def tilt_within_grains(xmap: CrystalMap, labels: NDArray[np.integer]) -> Float:
    """How every point is turned from the mean orientation of its label.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx).
    labels
        (ny, nx) regions of one phase each; negative ones are left out.

    Returns
    -------
    turn
        (ny, nx, 3) rotation vector in degrees, detector frame: zone axis along kx (tilt_x) and
        along ky (tilt_y), turn about the beam from kx towards ky. NaN where not indexed or not
        labelled.

    Raises
    ------
    ValueError
        If ``labels`` is not of the scan's shape, or a label has no indexed point.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import tilted_rotation
    >>> from pyxem_mlmaps.mapping.grains import tilt_within_grains
    >>> tilted = tilted_rotation(Rotation.identity(), [-0.1, 0.0, 0.1], 0.0)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> xmap = CrystalMap(tilted, x=np.arange(3), phase_list=cubic)
    >>> tilt_within_grains(xmap, np.zeros((1, 3), dtype=int))[0, :, 0].round(6) + 0.0
    array([-0.1,  0. ,  0.1])
    """
    scan = scan_arrays(xmap)
    return turns_from_means(scan, scan.sigma(xmap), scan.good(xmap), labels)


def turns_from_means(
    scan: ScanArrays, sigma: Float, good: NDArray[np.bool_], labels: NDArray[np.integer]
) -> Float:
    """:func:`tilt_within_grains` of arrays."""
    names, mean, _ = label_means(scan, sigma, good, labels)
    turn = np.full((*scan.shape, 3), np.nan)
    for i, group in scan.groups.items():
        at = (scan.phase == i) & (labels >= 0)
        reference = mean[np.searchsorted(names, labels[at])]
        variant = nearest_variant(scan.quaternions[at], reference, group)
        turn[at] = rotation_vector(variant, reference)
    return turn


def label_means(
    scan: ScanArrays, sigma: Float, good: NDArray[np.bool_], labels: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Float, Float]:
    """Labels (n,), mean quaternions (n, 4) and σ (n, 3) in degrees."""
    if np.shape(labels) != scan.shape:
        raise ValueError(
            f"labels: shape {np.shape(labels)} is not valid, the map is {scan.shape}; a line scan "
            "is (1, nx) or (ny, 1)."
        )
    names = np.unique(labels[labels >= 0])
    mean, spread = np.empty((len(names), 4)), np.full((len(names), 3), np.nan)
    for i, group in scan.groups.items():
        at = (scan.phase == i) & (labels >= 0)
        own, which = np.unique(labels[at], return_inverse=True)
        best = good[at]
        use = best | (np.bincount(which, best)[which] == 0)
        q, s, which = scan.quaternions[at][use], sigma[at][use], which[use]
        there = np.searchsorted(names, own)
        mean[there], spread[there] = _means(q, s, which, len(own), group)
    missing = np.setdiff1d(names, labels[(scan.phase >= 0)])
    if missing.size:
        raise ValueError(f"labels: no indexed point has label {missing[0]}. Label it −1.")
    return names, mean, spread


def _means(q: Float, sigma: Float, which: NDArray, n: int, group: Float) -> tuple[Float, Float]:
    mean = _typical(q, which, n, group)
    weight = 1 / np.maximum(sigma, 1e-9) ** 2
    known = np.isfinite(weight)
    weight = np.where(known, weight, 0)
    # A label in which a σ is unknown is averaged without weights.
    unknown = _sums(~known, which, n) > 0
    weight = np.where(unknown[which], 1.0, weight)
    huber = np.ones(len(q))
    count = np.bincount(which, minlength=n)[:, None]
    for step in range(5):
        turn = rotation_vector(nearest_variant(q, mean[which], group), mean[which])
        if step == 0:
            mean = rotated(mean, _medians(turn, which, n))
            continue
        total = _sums(weight * huber[:, None], which, n)
        shift = _sums(weight * huber[:, None] * turn, which, n) / total
        mean = rotated(mean, shift)
        turn = turn - shift[which]
        scale = 1.4826 * _medians(np.abs(turn), which, n)
        far = np.sqrt(np.mean((turn / np.maximum(scale, 1e-12)[which]) ** 2, axis=-1))
        huber = np.minimum(1, 2 / np.maximum(far, 1e-9))
    total = _sums(weight * huber[:, None], which, n)
    square = _sums((weight * huber[:, None] * turn) ** 2, which, n) / total**2
    freedom = np.where(count > 1, count / np.maximum(count - 1, 1), np.nan)
    scattered = np.sqrt(square * freedom)
    propagated = np.where(unknown, np.nan, np.sqrt(1 / total))
    return mean, np.fmax(scattered, propagated)


def _typical(q: Float, which: NDArray, n: int, group: Float, samples: int = 9) -> Float:
    """Of some points of every label, spread over it, the one with the others nearest to it."""
    order = np.argsort(which, kind="stable")
    count = np.bincount(which, minlength=n)
    start = np.cumsum(count) - count
    position = ((np.arange(samples) + 0.5) / samples * count[:, None]).astype(int)
    sample = q[order[start[:, None] + position]]  # (n, samples, 4)
    apart = misorientation_angle(sample[:, :, None], sample[:, None], group)
    best = np.argmin(np.median(apart, axis=-1), axis=-1)
    return sample[np.arange(n), best]


def _sums(values: NDArray, which: NDArray, n: int) -> Float:
    return np.stack([np.bincount(which, v, minlength=n) for v in values.T], axis=-1)


def _medians(values: Float, which: NDArray, n: int) -> Float:
    """(n, k) medians of the columns of (m, k) over groups (m,) that all have members."""
    count = np.bincount(which, minlength=n)
    start = np.cumsum(count) - count
    columns = []
    for column in values.T:
        ordered = column[np.lexsort((column, which))]
        columns.append((ordered[start + (count - 1) // 2] + ordered[start + count // 2]) / 2)
    return np.stack(columns, axis=-1)
