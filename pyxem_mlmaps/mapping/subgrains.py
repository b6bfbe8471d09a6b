"""Sub-grains: regions a few hundredths of a degree apart, found in spite of noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.mapping.grain_means import turns_from_means
from pyxem_mlmaps.mapping.grain_rotations import ScanArrays, scan_arrays
from pyxem_mlmaps.mapping.grains import connected_labels, connected_parts, renumbered, spread_labels
from pyxem_mlmaps.mapping.region_merging import StepTest, merge_by_steps, merge_greedily
from pyxem_mlmaps.mapping.subgrain_noise import usual_slope, weights, without_outliers

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = ["label_subgrains"]

Float = NDArray[np.float64]
Labels = NDArray[np.int64]
LIMIT = 3.0
"""Rise of χ² per point of border up to which regions merge before steps are tested."""

FLOOR = 0.2
"""σ is at least this part of the angle looked for: what matters less need not divide a region."""


def label_subgrains(
    xmap: CrystalMap,
    min_angle: float = 0.1,
    grains: NDArray[np.integer] | None = None,
    min_size: int = 8,
    bending: float = 0.001,
    significance: float = 20.0,
) -> Labels:
    """Regions of grains that are turned against each other by a small angle.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx) of precise orientations, with the properties ``sigma_tilt_x``,
        ``sigma_tilt_y`` and ``sigma_in_plane`` in degrees if they are known. Points with
        ``precise`` 0 or ``misfit`` above 1 do not count as measured.
    min_angle
        Degrees. Boundaries of at least this angle are looked for; clearly smaller ones are not
        reported.
    grains
        (ny, nx) labels of grains, −1 for points to leave out; None finds them with
        :func:`pyxem_mlmaps.mapping.grains.label_grains` at 5 degrees.
    min_size
        Regions of fewer points go to the neighbour that they fit best.
    bending
        Degrees per point of smooth bending to be expected within a sub-grain; where more is
        measured, that is taken.
    significance
        χ² of three degrees of freedom that a step at a boundary must reach. 30 is passed by chance
        once in 10⁶; it is this high because the regions were chosen on the same data.

    Returns
    -------
    labels
        (ny, nx) numbers from 0, every one within one grain; −1 where not indexed.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or ``grains`` is not of the scan's shape.

    Notes
    -----
    Single points may be too noisy to tell. Points are first merged where that raises χ² least for
    the length of border removed; then, the least certain first, regions whose step at their common
    border is below ``min_angle`` or not significant; borders are put where the points on either
    side fit best. A step is that of a robust fit of one plane and a step to the points next to the
    border, so that bending does not divide a region. σ is enlarged where neighbours scatter more
    than it says, and taken from this scatter where the map knows none.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import tilted_rotation
    >>> from pyxem_mlmaps.mapping.subgrains import label_subgrains
    >>> y, x = np.indices((8, 12)).reshape(2, -1)
    >>> noise = np.random.default_rng(0).normal(scale=0.02, size=x.size)
    >>> tilted = tilted_rotation(Rotation.identity(), 0.2 * (x > 5) + noise, 0.0)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> label_subgrains(CrystalMap(tilted, x=x, y=y, phase_list=cubic))[0]
    array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    """
    check_numbers(
        min_angle=(min_angle, 1e-6, 60),
        min_size=(min_size, 1, np.inf),
        bending=(bending, 1e-9, 60),
        significance=(significance, 0, np.inf),
    )
    scan = scan_arrays(xmap)
    good, sigma = scan.good(xmap), scan.sigma(xmap)
    if grains is None:
        grains = connected_labels(_bridged(scan, good), scan.phase >= 0, 5.0, min_size)
        rest = connected_labels(scan, (scan.phase >= 0) & (grains < 0), 5.0, 1)
        grains = np.where(rest >= 0, rest + grains.max() + 1, grains)
    elif np.shape(grains) != scan.shape:
        raise ValueError(f"grains: shape {np.shape(grains)} is not valid, the map is {scan.shape}.")
    grains = renumbered(np.where(scan.phase >= 0, grains, -1))
    if not np.any(grains >= 0):
        return grains
    vectors = np.nan_to_num(turns_from_means(scan, sigma, good, grains))
    weight = weights(vectors, sigma, good, grains, FLOOR * min_angle)
    labels = np.full(scan.shape, -1, dtype=np.int64)
    for i, window in enumerate(find_objects(grains + 1)):
        at = grains[window] == i
        found = _divide(
            at, vectors[window], weight[window], min_angle, min_size, bending, significance
        )
        labels[window][at] = found[at] + labels.max() + 1
    return renumbered(labels)


def _bridged(scan: ScanArrays, good: NDArray[np.bool_]) -> ScanArrays:
    """The scan, with the orientations of bad points taken from the nearest good ones."""
    quaternions = scan.quaternions.copy()
    for i in scan.groups:
        known = good & (scan.phase == i)
        if known.any():
            at = ~good & (scan.phase == i)
            near = distance_transform_edt(~known, return_distances=False, return_indices=True)
            quaternions[at] = scan.quaternions[tuple(near)][at]
    return replace(scan, quaternions=quaternions)


def _divide(
    at: NDArray[np.bool_],
    vectors: Float,
    weight: Float,
    min_angle: float,
    min_size: int,
    bending: float,
    significance: float,
) -> Labels:
    """Sub-grains (ny, nx) of one grain, the points of ``at``."""
    known = at & np.all(weight > 0, axis=-1)
    if not known.any():
        return np.where(at, 0, -1)
    number = np.full(at.shape, -1, dtype=np.int64)
    number[known] = np.arange(known.sum())
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    labels = np.where(at, number[tuple(nearest)], -1)
    labels = merge_greedily(labels, vectors, weight, LIMIT, min_size)
    weight = without_outliers(labels, vectors, weight)
    labels = _settle(labels, vectors, weight, min_size)
    slope = np.maximum(bending, 2 * usual_slope(labels, vectors, weight))
    test = StepTest(vectors, weight, min_angle, slope, significance)
    labels = merge_by_steps(renumbered(labels), test)
    labels = _settle(renumbered(labels), vectors, weight, min_size)
    return renumbered(merge_by_steps(labels, test))


def _settle(
    labels: Labels, vectors: Float, weight: Float, min_size: int, rounds: int = 4
) -> Labels:
    """Put borders where the points on either side fit best, and keep regions in one piece.

    Every point at a border takes, of its own label and those of its direct neighbours, the one of
    least energy: χ² against the label's mean around, at most 25, plus 1.5 for every one of the
    eight neighbours that has another label (iterated conditional modes, J. Besag, J. R. Statist.
    Soc. B 48 (1986) 259). Points without weight follow their neighbours.
    """
    labels = renumbered(labels)
    y, x = np.indices(labels.shape)
    for _ in range(rounds):
        means = _local_means(labels, vectors, weight)
        for parity in (0, 1):
            padded = np.pad(labels, 1, constant_values=-1)
            around = [
                padded[1 + dy : 1 + dy + labels.shape[0], 1 + dx : 1 + dx + labels.shape[1]]
                for dy, dx in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
                + ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            border = (labels >= 0) & ((y + x) % 2 == parity)
            border &= np.any([(a != labels) & (a >= 0) for a in around[1:5]], axis=0)
            at = np.nonzero(border)
            if at[0].size == 0:
                continue
            choice = np.stack([a[at] for a in around[:5]], axis=-1)
            neighbours = np.stack([a[at] for a in around[1:]], axis=-1)
            unlike = (choice[:, :, None] != neighbours[:, None]) & (neighbours[:, None] >= 0)
            energy = 1.5 * unlike.sum(axis=-1)
            for j in range(5):
                energy[:, j] += _misfit(choice[:, j], at, means, vectors, weight)
            best = np.argmin(np.where(choice >= 0, energy, np.inf), axis=-1)
            labels[at] = np.take_along_axis(choice, best[:, None], axis=-1)[:, 0]
    where = labels >= 0
    parts = connected_parts(labels)
    size = np.bincount(parts[where])
    keep = where & (size[np.maximum(parts, 0)] >= min(min_size, size.max()))
    parts[~keep] = -1
    spread_labels(parts, where)
    return renumbered(parts)


def _local_means(labels: Labels, vectors: Float, weight: Float) -> dict[int, tuple]:
    """Label to the corner of its window and the (h, w, 3) smoothed means in it."""
    means = {}
    for i, box in enumerate(find_objects(labels + 1)):
        if box is None:  # the last point of a region went to a neighbour
            continue
        rows, columns = box
        window = (
            slice(max(rows.start - 2, 0), rows.stop + 2),
            slice(max(columns.start - 2, 0), columns.stop + 2),
        )
        w = weight[window] * (labels[window] == i)[..., None]
        # The far tail of an exponent keeps the sums above zero throughout the window.
        total = gaussian_filter(w, (3, 3, 0), mode="constant", truncate=4) + 1e-12 * w.sum((0, 1))
        value = gaussian_filter(w * vectors[window], (3, 3, 0), mode="constant", truncate=4)
        value += 1e-12 * (w * vectors[window]).sum((0, 1))
        mean = value / np.maximum(total, 1e-300)
        means[i] = (window[0].start, window[1].start, mean)
    return means


def _misfit(choice: Labels, at: tuple, means: dict, vectors: Float, weight: Float) -> Float:
    chi_square = np.zeros(choice.size)
    order = np.argsort(choice, kind="stable")
    values, start = np.unique(choice[order], return_index=True)
    for i, points in zip(values.tolist(), np.split(order, start[1:]), strict=True):
        if i >= 0:
            y, x = at[0][points], at[1][points]
            top, left, mean = means[i]
            difference = vectors[y, x] - mean[y - top, x - left]
            chi_square[points] = np.sum(weight[y, x] * difference**2, axis=-1)
    return np.minimum(chi_square, 25)
