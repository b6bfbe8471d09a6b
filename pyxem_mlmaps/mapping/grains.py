"""Grains of a crystal map: misorientation of neighbours, labels, kernel averages.

Mean orientations and turns within grains are in ``pyxem_mlmaps.mapping.grain_means``,
sub-grains in :mod:`pyxem_mlmaps.mapping.subgrains`; both can be had from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pyxem_mlmaps._checks import check_numbers
from pyxem_mlmaps.mapping.grain_means import MeanOrientations, mean_orientations, tilt_within_grains
from pyxem_mlmaps.mapping.grain_rotations import ScanArrays, misorientation_angle, scan_arrays

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = [
    "MeanOrientations",
    "kernel_average_misorientation",
    "label_grains",
    "mean_orientations",
    "neighbour_misorientation",
    "tilt_within_grains",
]

Float = NDArray[np.float64]
Labels = NDArray[np.int64]


def neighbour_misorientation(xmap: CrystalMap) -> tuple[Float, Float]:
    """Misorientation angle between every point and its neighbours to the right and below.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx); a line is one row or one column.

    Returns
    -------
    right
        (ny, nx − 1): angle in degrees between points (i, j) and (i, j + 1), the smallest one under
        the proper point group of their phase. inf between different phases, NaN where one of the
        two points is not indexed.
    below
        (ny − 1, nx): the same between (i, j) and (i + 1, j).

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.mapping.grains import neighbour_misorientation
    >>> turns = Rotation.from_axes_angles([0, 0, 1], [0.0, 0.001, 90.001], degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> right, below = neighbour_misorientation(
    ...     CrystalMap(turns, x=np.arange(3), y=np.zeros(3), phase_list=cubic)
    ... )
    >>> right.round(9) + 0.0, below.shape
    (array([[0.001, 0.   ]]), (0, 3))
    """
    scan = scan_arrays(xmap)
    return _shifted(scan, 0, 1), _shifted(scan, 1, 0)


def _shifted(scan: ScanArrays, down: int, right: int) -> Float:
    """(ny − down, nx − |right|) angles between points and those ``(down, right)`` further."""
    ny, nx = scan.shape
    first = np.s_[: max(ny - down, 0), max(-right, 0) : max(nx - max(right, 0), 0)]
    second = np.s_[down:, max(right, 0) : max(nx + min(right, 0), 0)]
    one, two = scan.phase[first], scan.phase[second]
    angle = np.full(one.shape, np.nan)
    both = (one >= 0) & (two >= 0)
    angle[both & (one != two)] = np.inf
    for i, group in scan.groups.items():
        pairs = (one == i) & (two == i)
        a, b = scan.quaternions[first][pairs], scan.quaternions[second][pairs]
        angle[pairs] = misorientation_angle(a, b, group)
    return angle


def label_grains(xmap: CrystalMap, threshold: float = 5.0, min_size: int = 1) -> Labels:
    """Connected regions in which no two neighbours differ by the threshold or more.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx); a line is one row or one column.
    threshold
        Misorientation angle in degrees. A grain can be bent by more than that over its width.
    min_size
        Regions of fewer points go to the grain of the same phase with which they share the longest
        border; those that have no such neighbour are labelled −1.

    Returns
    -------
    labels
        (ny, nx) numbers from 0, in the order in which a scan meets the grains; −1 where not
        indexed.

    Raises
    ------
    TypeError, ValueError
        If ``threshold`` or ``min_size`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.mapping.grains import label_grains
    >>> turns = Rotation.from_axes_angles([0, 0, 1], [0.0, 1.0, 9.0, 10.0], degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> label_grains(CrystalMap(turns, x=np.arange(4), phase_list=cubic))
    array([[0, 0, 1, 1]])
    """
    check_numbers(threshold=(threshold, 0, 180), min_size=(min_size, 1, np.inf))
    scan = scan_arrays(xmap)
    return connected_labels(scan, scan.phase >= 0, threshold, min_size)


def connected_labels(
    scan: ScanArrays, use: NDArray[np.bool_], threshold: float, min_size: int
) -> Labels:
    """Label the points of ``use``; then small regions and the other indexed points join them."""
    labels = _connected(use, _shifted(scan, 0, 1) < threshold, _shifted(scan, 1, 0) < threshold)
    size = np.bincount(labels[use], minlength=1)
    labels[use] = np.where(size[labels[use]] < min_size, -1, labels[use])
    for i in scan.groups:
        spread_labels(labels, scan.phase == i)
    return renumbered(labels)


def _connected(
    use: NDArray[np.bool_], right: NDArray[np.bool_], below: NDArray[np.bool_]
) -> Labels:
    """Components of the points of ``use`` along the links to the right and below."""
    number = np.arange(use.size).reshape(use.shape)
    across = right & use[:, :-1] & use[:, 1:]
    down = below & use[:-1] & use[1:]
    start = np.concatenate([number[:, :-1][across], number[:-1][down]])
    end = np.concatenate([number[:, 1:][across], number[1:][down]])
    links = coo_array((np.ones(start.size, dtype=np.int8), (start, end)), shape=(use.size,) * 2)
    _, component = connected_components(links, directed=False)
    return renumbered(np.where(use, component.reshape(use.shape), -1))


def connected_parts(labels: Labels) -> Labels:
    """Number the connected parts of all labels; −1 stays."""
    right, below = labels[:, :-1] == labels[:, 1:], labels[:-1] == labels[1:]
    return _connected(labels >= 0, right, below)


def spread_labels(labels: Labels, where: NDArray[np.bool_]) -> None:
    """Give points of ``where`` with label −1 their neighbours' most frequent label, in place.

    From the rim inwards, ring by ring, until no more can be reached.
    """
    while True:
        rows, columns = np.nonzero((labels < 0) & where)
        if rows.size == 0:
            return
        padded = np.pad(np.where(where, labels, -1), 1, constant_values=-1)
        around = [
            padded[1 + rows + dy, 1 + columns + dx]
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
        ]
        votes = np.stack(around, axis=-1)
        same = votes[:, :, None] == votes[:, None, :]
        # A direct neighbour counts more than one across a corner, and only it lets a label in.
        count = (same * ([3] * 4 + [2] * 4)).sum(axis=-1) * (votes >= 0)
        best = np.argmax(count[:, :4], axis=-1)
        chosen = np.take_along_axis(votes, best[:, None], axis=-1)[:, 0]
        if not np.any(chosen >= 0):
            return
        labels[rows, columns] = chosen


def renumbered(labels: Labels) -> Labels:
    """The same regions numbered from 0 in the order in which a scan meets them; −1 stays."""
    values, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.where(values < 0, -1, first), kind="stable")
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values)) - np.sum(values < 0)
    return rank[inverse].reshape(labels.shape)


def kernel_average_misorientation(
    xmap: CrystalMap, order: int = 1, max_angle: float = 5.0
) -> Float:
    """Mean misorientation of every point to the points around it.

    Parameters
    ----------
    xmap
        orix map of a scan (ny, nx); a line is one row or one column.
    order
        Points that can be reached by so many steps to direct neighbours are taken: 4 for 1, 12
        for 2.
    max_angle
        In degrees: points that differ by more belong to another grain and are left out.

    Returns
    -------
    kam
        (ny, nx) in degrees; NaN where not indexed or where no neighbour is left.

    Notes
    -----
    The definition is that of S. I. Wright, M. M. Nowell and D. P. Field, Microsc. Microanal. 17
    (2011) 316, doi:10.1017/S1431927611000055; orix 0.15 has none. Noise of σ degrees per
    component adds up to about 2σ to it, as angles are never negative.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.mapping.grains import kernel_average_misorientation
    >>> turns = Rotation.from_axes_angles([0, 0, 1], [0.0, 0.1, 0.4, 9.0], degrees=True)
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> kernel_average_misorientation(CrystalMap(turns, x=np.arange(4), phase_list=cubic)).round(6)
    array([[0.1, 0.2, 0.3, nan]])
    """
    check_numbers(order=(order, 1, 50), max_angle=(max_angle, 0, 180))
    scan = scan_arrays(xmap)
    ny, nx = scan.shape
    total, count = np.zeros((ny, nx)), np.zeros((ny, nx))
    for down in range(order + 1):
        reach = order - down
        for right in range(1 if down == 0 else -reach, reach + 1):
            if down >= ny or abs(right) >= nx:
                continue
            angle = _shifted(scan, down, right)
            inside = angle <= max_angle
            value = np.where(inside, angle, 0)
            left, end = max(-right, 0), nx - max(right, 0)
            for rows, columns in (
                (slice(0, ny - down), slice(left, end)),
                (slice(down, ny), slice(left + right, end + right)),
            ):
                total[rows, columns] += value
                count[rows, columns] += inside
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
