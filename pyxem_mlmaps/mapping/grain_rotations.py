"""Arrays of a crystal map, and the quaternion formulas that grains are made with.

Quaternions are orix's, (..., 4) with the scalar first, lab to crystal. ``s * q`` for ``s`` in the
proper point group is the same orientation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.conventions import LAB_TO_DETECTOR

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap

__all__ = [
    "ScanArrays",
    "misorientation_angle",
    "nearest_variant",
    "rotated",
    "rotation_vector",
    "scan_arrays",
]

Float = NDArray[np.float64]
SIGMAS = ("sigma_tilt_x", "sigma_tilt_y", "sigma_in_plane")


@dataclass(frozen=True)
class ScanArrays:
    """What a crystal map holds, as images.

    Attributes
    ----------
    quaternions
        (ny, nx, 4) unit quaternions; the identity where not indexed.
    phase
        (ny, nx) phase ids, −1 where not indexed.
    groups
        Phase id to the (n, 4) proper rotations of its point group.
    place
        (ny, nx) index into the map's flat arrays, −1 where the map has no point.
    """

    quaternions: Float
    phase: NDArray[np.int64]
    groups: dict[int, Float]
    place: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.phase.shape

    def image(self, values: NDArray[np.floating]) -> Float:
        """(ny, nx, ...) image of a flat array, NaN where the map has no point."""
        flat = np.asarray(values, dtype=float)
        image = flat[np.maximum(self.place, 0)]
        image[self.place < 0] = np.nan
        return image

    def sigma(self, xmap: CrystalMap) -> Float:
        """(ny, nx, 3) standard uncertainties in degrees, NaN where not known."""
        unknown = np.full(xmap.size, np.nan)
        channels = [xmap.prop.get(name, unknown) for name in SIGMAS]
        return self.image(np.stack(channels, axis=-1))

    def good(self, xmap: CrystalMap) -> NDArray[np.bool_]:
        """(ny, nx) indexed points that are precise and fit, as far as the map says so."""
        good = self.phase >= 0
        if "precise" in xmap.prop:
            good &= self.image(xmap.prop["precise"]) > 0
        if "misfit" in xmap.prop:
            good &= ~(self.image(xmap.prop["misfit"]) > 1)
        return good


def scan_arrays(xmap: CrystalMap) -> ScanArrays:
    """Lay out a crystal map as images.

    Parameters
    ----------
    xmap
        orix map of a scan with one or two dimensions. A row is (1, nx), a column (ny, 1).

    Returns
    -------
    arrays

    Raises
    ------
    ValueError
        If an indexed phase has no point group.

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import CrystalMap, Phase, PhaseList
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.mapping.grain_rotations import scan_arrays
    >>> cubic = PhaseList(Phase("Al", point_group="m-3m"), ids=0)
    >>> line = CrystalMap(Rotation.identity((4,)), x=np.arange(4), phase_list=cubic)
    >>> scan_arrays(line).shape
    (1, 4)
    """
    if xmap.size == 1:  # orix 0.15 has no rows and columns for a single point
        row, column = np.zeros(1, dtype=int), np.zeros(1, dtype=int)
    else:
        row, column = np.asarray(xmap.row, dtype=int), np.asarray(xmap.col, dtype=int)
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    data = np.asarray(xmap.rotations.data, dtype=float)
    data = data[:, 0] if data.ndim == 3 else data  # the best of several per point
    quaternions = np.zeros((*shape, 4))
    quaternions[..., 0] = 1
    phase = np.full(shape, -1, dtype=np.int64)
    place = np.full(shape, -1, dtype=np.int64)
    length = np.linalg.norm(data, axis=-1)
    indexed = (xmap.phase_id >= 0) & np.isfinite(length) & (length > 0)
    at = row[indexed], column[indexed]
    quaternions[at] = data[indexed] / length[indexed, None]
    phase[at] = xmap.phase_id[indexed]
    place[row, column] = np.arange(xmap.size)
    groups = {}
    for i in np.unique(phase[phase >= 0]):
        point_group = xmap.phases[int(i)].point_group
        if point_group is None:
            raise ValueError(
                f"xmap: phase {int(i)} ({xmap.phases[int(i)].name!r}) has no point group, so its "
                "misorientations are not defined. Give the phase a space group or point group."
            )
        groups[int(i)] = np.asarray(point_group.proper_subgroup.data, dtype=float).reshape(-1, 4)
    return ScanArrays(quaternions, phase, groups, place)


def multiply(p: Float, q: Float) -> Float:
    """Hamilton product, (..., 4) each."""
    a, b, c, d = np.moveaxis(p, -1, 0)
    e, f, g, h = np.moveaxis(q, -1, 0)
    parts = [
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    ]
    return np.stack(parts, axis=-1)


def conjugate(q: Float) -> Float:
    """Inverse of unit quaternions."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def nearest_variant(q: Float, reference: Float, group: Float) -> Float:
    """The symmetry-equivalent of every orientation that is turned least from a reference.

    Parameters
    ----------
    q, reference
        (..., 4), of shapes that broadcast.
    group
        (n, 4) proper rotations.

    Returns
    -------
    variant
        (..., 4) with a positive scalar product with the reference.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.grain_rotations import nearest_variant
    >>> two_fold = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    >>> float(nearest_variant(np.array([0, 0, 0, 1.0]), two_fold[0], two_fold)[0])
    1.0
    """
    apart = multiply(q, conjugate(reference))
    scalar = apart @ conjugate(group).T
    best = np.argmax(np.abs(scalar), axis=-1)
    sign = np.where(np.take_along_axis(scalar, best[..., None], axis=-1) < 0, -1.0, 1.0)
    return sign * multiply(group[best], np.broadcast_to(q, apart.shape))


def misorientation_angle(a: Float, b: Float, group: Float) -> Float:
    """Smallest angle in degrees between orientations of one phase.

    Parameters
    ----------
    a, b
        (..., 4), of shapes that broadcast.
    group
        (n, 4) proper rotations.

    Returns
    -------
    angle
        (...), twice the arctangent of vector over scalar part, which keeps its digits down to
        1e-13 degrees; the arccosine of the scalar part alone is lost below 1e-6 degrees.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.grain_rotations import misorientation_angle
    >>> half = np.radians(1e-7) / 2
    >>> turned = np.array([np.cos(half), 0, 0, np.sin(half)])
    >>> angle = misorientation_angle(turned, np.eye(4)[0], np.eye(4)[:1])
    >>> round(float(angle), 12)
    1e-07
    """
    apart = multiply(nearest_variant(a, b, group), conjugate(b))
    return np.degrees(2 * np.arctan2(np.linalg.norm(apart[..., 1:], axis=-1), apart[..., 0]))


def rotation_vector(q: Float, reference: Float) -> Float:
    """Turn from a reference to orientations, in the detector frame.

    Parameters
    ----------
    q, reference
        (..., 4), of shapes that broadcast; no symmetry is applied.

    Returns
    -------
    vector
        (..., 3) in degrees: how far the zone axis moves along kx (``tilt_x``) and along ky
        (``tilt_y``), and the turn about the beam from kx towards ky. It is the rotation vector,
        so that for more than a few degrees the three are no longer turns one after the other.

    Examples
    --------
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import tilted_rotation
    >>> from pyxem_mlmaps.mapping.grain_rotations import rotation_vector
    >>> tilted = tilted_rotation(Rotation.identity(), 0.1, -0.2)
    >>> rotation_vector(tilted.data[0], Rotation.identity().data[0]).round(5) + 0.0
    array([ 0.1, -0.2,  0. ])
    """
    apart = multiply(conjugate(q), reference)
    apart = apart * np.where(apart[..., :1] < 0, -1.0, 1.0)
    length = np.linalg.norm(apart[..., 1:], axis=-1, keepdims=True)
    angle = np.degrees(2 * np.arctan2(length, apart[..., :1]))
    x, y, z = np.moveaxis(
        apart[..., 1:] * np.diag(LAB_TO_DETECTOR) * angle / np.maximum(length, 1e-300), -1, 0
    )
    return np.stack([y, -x, z], axis=-1)


def rotated(reference: Float, vector: Float) -> Float:
    """Orientation that lies a rotation vector away: the inverse of :func:`rotation_vector`.

    Parameters
    ----------
    reference
        (..., 4).
    vector
        (..., 3) in degrees, as from :func:`rotation_vector`.

    Returns
    -------
    q
        (..., 4).

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.grain_rotations import rotated, rotation_vector
    >>> start = np.array([1.0, 0, 0, 0])
    >>> rotation_vector(rotated(start, np.array([0.1, 0.2, 0.3])), start).round(9)
    array([0.1, 0.2, 0.3])
    """
    tilt_x, tilt_y, in_plane = np.moveaxis(np.radians(vector), -1, 0)
    axis = np.stack([-tilt_y, tilt_x, in_plane], axis=-1) * np.diag(LAB_TO_DETECTOR)
    angle = np.linalg.norm(axis, axis=-1, keepdims=True)
    part = np.sinc(angle / (2 * np.pi)) / 2 * axis  # sin(angle / 2) along the unit axis
    return multiply(reference, conjugate(np.concatenate([np.cos(angle / 2), part], axis=-1)))
