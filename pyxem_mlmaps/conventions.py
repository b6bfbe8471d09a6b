"""Frames, signs and units, stated once and used everywhere.

Detector frame
    Right-handed: x = +kx (detector column, to the right), y = +ky (detector row, downwards),
    z along the beam, from the source to the detector. Reciprocal vectors in Å⁻¹.
Tilt
    In degrees. The zone axis pierces the detector plane at k0·(tilt_x along kx, tilt_y along ky)
    with the tilts in radians: that point is the centre of the Laue circle. Seen from the crystal,
    the beam's transverse wavevector is K_t = −k0·(tilt_x, tilt_y).
Crystal frame
    orix's: cartesian, x along a and z along c*, as :class:`orix.crystal_map.Phase` aligns a cell.
Rotation
    An orix rotation R takes the lab frame of pyxem to the crystal frame, v_crystal = R · v_lab.
    For rotations from pyxem's ``OrientationMap.to_crystal_map`` (0.21) that lab frame has
    x = −kx (to the *left* on the detector), y = +ky (downwards) and z = −z_beam (towards
    the source), so

        g_detector = diag(−1, 1, −1) · (~R · g_crystal).

How the last line was found: reflections of randomly oriented crystals, placed where the curved
Ewald sphere puts them, were indexed with pyxem. For a triclinic cell the fitted in-plane angle
agrees with this relation (within 1.2° in 11 patterns of 12, 3.4° in the last) and with none of the
three others that keep the axes; for a cubic one the orientation does, 12 of 12 within 2.4° for
templates 2° apart. ``tests/test_conventions.py`` repeats both. The more obvious diag(1, −1, −1),
y up and x right, is half a turn about the beam away: diffsims lays templates out like that and
pyxem's azimuth does grow anticlockwise on the screen, but its axis starts at −180°, so a template
that fits as it stands is reported as turned by −180°. ``OrientationMap.to_vectors`` makes up for it
by negating all coordinates. Inverse-pole-figure colours cannot tell the two apart.

Where pyxem reports a mirrored template (factor −1) it takes Φ → −Φ, φ2 → −φ2: a mirror plane normal
to the crystal's y axis. Crystals whose Laue class lacks that plane (triclinic, 4/m, −3, 6/m) then
get a wrong rotation from pyxem, and agree with this package for factor +1 only.

py4DSTEM (0.14)
    Its x runs along rows (down: qx = ky), its y along columns (right: qy = kx), its z towards the
    source. The columns of an orientation matrix O are these axes in the crystal frame, which is
    orix's, so g = Oᵀ·g_crystal. Strain is infinitesimal in reciprocal space: with g = β·g0 for the
    reciprocal lattice vectors, β = F⁻ᵀ,

        e_xx = 1 − β_xx,  e_yy = 1 − β_yy,  e_xy = −(β_xy + β_yx)/2,  theta = (β_xy − β_yx)/2.

    Nothing is lost in that, so both ways are exact: a bar drawn out by 2 % has 0.0200 here and
    0.0196 there. If the rotation between scan and detector is calibrated, all of it is in the axes
    of the scan. ``tests/interop`` compares with py4DSTEM's own answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from orix.crystal_map import Phase
    from orix.quaternion import Rotation

__all__ = [
    "detector_matrix_to_rotation",
    "in_plane_matrix",
    "py4dstem_axes",
    "py4dstem_matrix_to_rotation",
    "rotation_to_detector_matrix",
    "rotation_to_py4dstem_matrix",
    "strain_from_py4dstem",
    "strain_to_py4dstem",
    "tilt_matrix",
    "tilted_rotation",
    "transverse_wavevector",
    "zone_axis_rotation",
]

# Lab frame of pyxem's crystal maps to detector frame, and back: it is its own inverse.
LAB_TO_DETECTOR = np.diag([-1.0, 1.0, -1.0])
LAB_TO_DETECTOR.flags.writeable = False


def rotation_to_detector_matrix(rotation: Rotation) -> NDArray[np.float64]:
    """Matrix that takes cartesian crystal vectors to the detector frame.

    Parameters
    ----------
    rotation
        orix rotation(s) of any shape, as in ``CrystalMap.rotations``: lab to crystal.

    Returns
    -------
    M
        (..., 3, 3) proper rotation matrices, ``g_detector = M @ g_crystal`` with x = kx, y = ky,
        z along the beam. A single rotation gives (1, 3, 3), as orix keeps its shape (1,).

    Raises
    ------
    ValueError
        If a rotation is improper (contains an inversion).

    Examples
    --------
    The identity rotation looks down c, with the crystal's x axis to the left on the detector:

    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import rotation_to_detector_matrix
    >>> (rotation_to_detector_matrix(Rotation.identity()) @ [1, 0, 0]).astype(int)
    array([[-1,  0,  0]])
    """
    if np.any(rotation.improper):
        raise ValueError(
            "rotation: contains improper rotations, but a crystal's orientation is a proper "
            "rotation. Multiply them by an inversion of the crystal first."
        )
    lab_to_crystal = rotation.to_matrix()
    return LAB_TO_DETECTOR @ np.swapaxes(lab_to_crystal, -1, -2)


def detector_matrix_to_rotation(matrix: ArrayLike) -> Rotation:
    """The orix rotation of a crystal-to-detector matrix.

    Parameters
    ----------
    matrix
        (..., 3, 3) proper rotation matrices M with ``g_detector = M @ g_crystal``.

    Returns
    -------
    rotation
        orix rotations of shape (...), or (1,) for a single matrix.

    Raises
    ------
    ValueError
        If a matrix is not a proper rotation to within 1e-6.

    Examples
    --------
    >>> from pyxem_mlmaps.conventions import detector_matrix_to_rotation
    >>> detector_matrix_to_rotation([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]).data
    array([[1., 0., 0., 0.]])
    """
    from orix.quaternion import Rotation
    from scipy.spatial.transform import Rotation as SciPyRotation

    m = np.asarray(matrix, dtype=float)
    if m.shape[-2:] != (3, 3):
        raise ValueError(f"matrix: shape {m.shape} is not valid, give (..., 3, 3).")
    proper = np.allclose(m @ np.swapaxes(m, -1, -2), np.eye(3), atol=1e-6)
    if not (proper and np.all(np.linalg.det(m) > 0)):
        raise ValueError(
            "matrix: not every matrix is a proper rotation (orthogonal, determinant +1, finite). "
            "Leave out points that hold NaN, and do not mirror axes."
        )
    # Not Rotation.from_matrix: in orix 0.15 it gives wrong signs for many half turns and loses up
    # to 1e-5 rad near them. SciPy's quaternions have the scalar last.
    lab_to_crystal = np.swapaxes(LAB_TO_DETECTOR @ m, -1, -2)
    quaternion = SciPyRotation.from_matrix(lab_to_crystal.reshape(-1, 3, 3)).as_quat()
    quaternion = np.roll(quaternion, 1, axis=-1)
    quaternion *= np.where(quaternion[:, :1] < 0, -1, 1)
    return Rotation(quaternion.reshape(*(m.shape[:-2] or (1,)), 4))


def tilt_matrix(tilt_x: ArrayLike, tilt_y: ArrayLike) -> NDArray[np.float64]:
    """Rotation, in the detector frame, from an untilted crystal to a tilted one.

    It goes the shortest way, without a turn about the beam.

    Parameters
    ----------
    tilt_x, tilt_y
        Tilts in degrees, of shapes that broadcast. NaN gives a matrix of NaN.

    Returns
    -------
    T
        (..., 3, 3). ``T @ (0, 0, 1)`` has the transverse components
        ``(radians(tilt_x), radians(tilt_y))`` exactly: a tilt is the position where the zone axis
        pierces the detector, in units of k0.

    Raises
    ------
    ValueError
        If the zone axis would have to be longer than one (more than 57.3° of tilt).

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.conventions import tilt_matrix
    >>> np.round(tilt_matrix(1.0, 0.0) @ [0, 0, 1], 4)
    array([0.0175, 0.    , 0.9998])
    """
    a, b = np.broadcast_arrays(np.radians(tilt_x), np.radians(tilt_y))
    square = a**2 + b**2
    if np.any(square > 1):
        worst = np.degrees(np.sqrt(np.nanmax(square)))
        raise ValueError(
            f"tilt_x, tilt_y: {worst:.1f} degrees in all is not valid, at most 57.3 degrees are "
            "allowed because a tilt is a position on the detector divided by k0. Give degrees, "
            "and describe large tilts by another zone axis."
        )
    c = np.sqrt(1 - square)
    # Rodrigues' formula about the axis z × n = (−b, a, 0), written without the angle.
    f = 1 / (1 + c)
    rows = [[1 - f * a * a, -f * a * b, a], [-f * a * b, 1 - f * b * b, b], [-a, -b, c]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def in_plane_matrix(angle: ArrayLike) -> NDArray[np.float64]:
    """Rotation about the beam, in the detector frame, from +kx towards +ky.

    On the screen, with ky running down, a positive angle turns clockwise.

    Parameters
    ----------
    angle
        Degrees, any shape.

    Returns
    -------
    Z
        (..., 3, 3).

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.conventions import in_plane_matrix
    >>> np.round(in_plane_matrix(90) @ [1, 0, 0], 12) + 0.0
    array([0., 1., 0.])
    """
    phi = np.radians(np.asarray(angle, dtype=float))
    c, s, zero, one = np.cos(phi), np.sin(phi), np.zeros_like(phi), np.ones_like(phi)
    rows = [[c, -s, zero], [s, c, zero], [zero, zero, one]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def tilted_rotation(base: Rotation, tilt_x: ArrayLike, tilt_y: ArrayLike) -> Rotation:
    """Rotation of a crystal that is tilted from a base orientation.

    Parameters
    ----------
    base
        orix rotation at zero tilt, the zone axis along the beam: one, or as many as tilts.
    tilt_x, tilt_y
        Finite tilts in degrees, of shapes that broadcast with each other and with ``base``.

    Returns
    -------
    rotation
        orix rotations of the broadcast shape; (1,) if all are single values.

    Raises
    ------
    ValueError
        If a tilt is not finite.

    Examples
    --------
    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import tilted_rotation
    >>> tilted = tilted_rotation(Rotation.identity(), [0.0, 0.5], [0.0, 0.0])
    >>> tilted.angle.round(6)
    array([0.      , 0.008727])
    """
    finite = np.isfinite(tilt_x) & np.isfinite(tilt_y)
    if not np.all(finite):
        raise ValueError(
            f"tilt_x, tilt_y: {int(np.sum(~finite))} points are not finite. Select the finite "
            "ones first; a point without a tilt has no rotation."
        )
    return detector_matrix_to_rotation(
        tilt_matrix(tilt_x, tilt_y) @ rotation_to_detector_matrix(base)
    )


def zone_axis_rotation(phase: Phase, zone_axis: Sequence[int]) -> Rotation:
    """Orientation that looks down a zone axis, with a fixed turn about the beam.

    The direction [uvw] points against the beam, to the source. The shortest reciprocal lattice
    vector of the zone, forbidden or not, lies along +kx; of several as short the one with the
    largest h, then k, then l is taken.

    Parameters
    ----------
    phase
        orix phase of any crystal system; only its lattice is used.
    zone_axis
        Three integers u, v, w, not all zero.

    Returns
    -------
    rotation
        One orix rotation, shape (1,).

    Raises
    ------
    ValueError
        If ``zone_axis`` is not three integers, or all are zero.

    Examples
    --------
    In a cubic crystal along [110] the vector (001) is the shortest:

    >>> from diffpy.structure import Lattice, Structure
    >>> from orix.crystal_map import Phase
    >>> from pyxem_mlmaps.conventions import rotation_to_detector_matrix, zone_axis_rotation
    >>> cell = Structure(lattice=Lattice(6.096, 6.096, 6.096, 90, 90, 90))
    >>> rotation = zone_axis_rotation(Phase(space_group=216, structure=cell), (1, 1, 0))
    >>> (rotation_to_detector_matrix(rotation) @ [0, 0, 1]).round(6) + 0.0
    array([[1., 0., 0.]])
    """
    uvw = np.asarray(zone_axis)
    if uvw.shape != (3,) or np.any(uvw != np.round(uvw.astype(float))) or not np.any(uvw):
        raise ValueError(
            f"zone_axis={zone_axis!r} is not valid: give three integers (u, v, w), not all zero. "
            "Four-index directions [uvtw] must be converted first."
        )
    base = np.asarray(phase.structure.lattice.base, dtype=float)  # rows a, b, c in Å
    to_source = uvw @ base
    g = _shortest_in_zone(uvw.astype(int), base) @ np.linalg.inv(base).T
    x = g / np.linalg.norm(g)
    z = -to_source / np.linalg.norm(to_source)
    return detector_matrix_to_rotation(np.stack([x, np.cross(z, x), z]))


def _shortest_in_zone(uvw: NDArray[np.int64], base: NDArray[np.float64]) -> NDArray[np.int64]:
    u, v, w = uvw
    reciprocal = np.linalg.inv(base).T  # rows a*, b*, c*
    start = np.array([[v, -u, 0], [w, 0, -u], [0, w, -v]])
    start = start[np.any(start, axis=1)]
    g_max = np.linalg.norm(start @ reciprocal, axis=1).min()
    # |h| = |g · a| ≤ |g| |a| bounds the search exactly.
    reach = np.ceil(g_max * np.linalg.norm(base, axis=1)).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[(hkl @ uvw == 0) & np.any(hkl, axis=1)]
    length = np.linalg.norm(hkl @ reciprocal, axis=1)
    ties = hkl[length <= length.min() * (1 + 1e-6)]
    return max(ties, key=tuple)


def transverse_wavevector(
    wavenumber: float, tilt_x: ArrayLike, tilt_y: ArrayLike
) -> NDArray[np.float64]:
    """Transverse wavevector K_t of the beam relative to the crystal.

    Parameters
    ----------
    wavenumber
        k0 = 1/λ in Å⁻¹, see :attr:`pyxem_mlmaps.Beam.wavenumber`.
    tilt_x, tilt_y
        Tilts in degrees, of shapes that broadcast.

    Returns
    -------
    K_t
        (..., 2), along kx and ky in Å⁻¹: minus the centre of the Laue circle.

    Examples
    --------
    >>> from pyxem_mlmaps.conventions import transverse_wavevector
    >>> transverse_wavevector(50.0, 1.0, 0.0).round(4) + 0.0
    array([-0.8727,  0.    ])
    """
    tilts = np.broadcast_arrays(np.radians(tilt_x), np.radians(tilt_y))
    return -wavenumber * np.stack(tilts, axis=-1)


def py4dstem_axes(
    qr_rotation: float = 0.0, qr_flip: bool = False, coordinate_rotation: float = 0.0
) -> NDArray[np.float64]:
    """Matrix from the detector frame to the (x, y) that py4DSTEM gives strain and vectors in.

    Parameters
    ----------
    qr_rotation, qr_flip
        py4DSTEM's calibrated rotation of the detector against the scan, in degrees, and whether
        the pattern is mirrored as well. Zero and False if the vectors are not rotated.
    coordinate_rotation
        The argument of py4DSTEM's ``StrainMap.get_strain``, in degrees.

    Returns
    -------
    Q
        (2, 2) orthogonal: ``v_py4dstem = Q @ (v_kx, v_ky)``.

    Examples
    --------
    py4DSTEM's x is ky, its y is kx:

    >>> from pyxem_mlmaps.conventions import py4dstem_axes
    >>> py4dstem_axes().astype(int)
    array([[0, 1],
           [1, 0]])
    """
    columns = np.eye(2) if qr_flip else np.array([[0.0, 1.0], [1.0, 0.0]])
    turn = _turn(np.radians(qr_rotation - coordinate_rotation))
    return turn @ columns


def strain_to_py4dstem(components: ArrayLike, axes: ArrayLike | None = None) -> NDArray[np.float64]:
    """From finite strain in the detector frame to py4DSTEM's infinitesimal strain.

    Parameters
    ----------
    components
        (4, ...): e11 along kx, e22 along ky, e12 and θ in radians, of F = (I + e)·R(θ), as
        :func:`pyxem_mlmaps.strain_map` gives them without ``axis``.
    axes
        From :func:`py4dstem_axes`; by default py4DSTEM's x is ky and its y is kx.

    Returns
    -------
    components
        (4, ...): e_xx, e_yy, e_xy and theta of py4DSTEM's ``StrainMap``. NaN stays NaN.

    Examples
    --------
    A crystal stretched by 2 % along kx:

    >>> from pyxem_mlmaps.conventions import strain_to_py4dstem
    >>> strain_to_py4dstem([0.02, 0.0, 0.0, 0.0]).round(4) + 0.0
    array([0.    , 0.0196, 0.    , 0.    ])
    """
    e11, e22, e12, theta = np.asarray(components, dtype=float)
    stretch = _matrix(1 + e11, e12, e12, 1 + e22)
    q = py4dstem_axes() if axes is None else np.asarray(axes, dtype=float)
    beta = q @ _inverse_transpose(stretch @ _turn(theta)) @ q.T
    xy, yx = beta[..., 0, 1], beta[..., 1, 0]
    return np.stack([1 - beta[..., 0, 0], 1 - beta[..., 1, 1], -(xy + yx) / 2, (xy - yx) / 2])


def strain_from_py4dstem(
    components: ArrayLike, axes: ArrayLike | None = None
) -> NDArray[np.float64]:
    """From py4DSTEM's infinitesimal strain to finite strain in the detector frame.

    Parameters
    ----------
    components
        (4, ...): e_xx, e_yy, e_xy and theta of py4DSTEM's ``StrainMap``.
    axes
        From :func:`py4dstem_axes`; by default py4DSTEM's x is ky and its y is kx.

    Returns
    -------
    components
        (4, ...): e11, e22, e12 and θ in radians, as :func:`pyxem_mlmaps.strain_map` gives them.

    Examples
    --------
    >>> from pyxem_mlmaps.conventions import strain_from_py4dstem, strain_to_py4dstem
    >>> there = strain_to_py4dstem([0.02, -0.01, 0.005, 0.1])
    >>> strain_from_py4dstem(there).round(12)
    array([ 0.02 , -0.01 ,  0.005,  0.1  ])
    """
    xx, yy, xy, theta = np.asarray(components, dtype=float)
    beta = _matrix(1 - xx, theta - xy, -theta - xy, 1 - yy)
    q = py4dstem_axes() if axes is None else np.asarray(axes, dtype=float)
    gradient = _inverse_transpose(q.T @ beta @ q)
    theta = np.arctan2(
        gradient[..., 1, 0] - gradient[..., 0, 1], gradient[..., 0, 0] + gradient[..., 1, 1]
    )
    stretch = gradient @ np.swapaxes(_turn(theta), -1, -2)
    return np.stack([stretch[..., 0, 0] - 1, stretch[..., 1, 1] - 1, stretch[..., 0, 1], theta])


def rotation_to_py4dstem_matrix(
    rotation: Rotation, qr_rotation: float = 0.0
) -> NDArray[np.float64]:
    """py4DSTEM's orientation matrix of an orix rotation.

    Parameters
    ----------
    rotation
        orix rotation(s) in the frame of pyxem's crystal maps, of any shape.
    qr_rotation
        py4DSTEM's calibrated rotation of the detector against the scan, in degrees.

    Returns
    -------
    O
        (..., 3, 3): its columns are py4DSTEM's x, y and z in the crystal frame, as in
        ``OrientationMap.matrix``. A single rotation gives (1, 3, 3).

    Examples
    --------
    The identity looks down c, and has a to the left: py4DSTEM's −y.

    >>> from orix.quaternion import Rotation
    >>> from pyxem_mlmaps.conventions import rotation_to_py4dstem_matrix
    >>> rotation_to_py4dstem_matrix(Rotation.identity())[0].astype(int)
    array([[ 0, -1,  0],
           [ 1,  0,  0],
           [ 0,  0,  1]])
    """
    to_image = _detector_to_py4dstem(qr_rotation)
    return np.swapaxes(to_image @ rotation_to_detector_matrix(rotation), -1, -2)


def py4dstem_matrix_to_rotation(matrix: ArrayLike, qr_rotation: float = 0.0) -> Rotation:
    """The orix rotation of py4DSTEM's orientation matrix.

    Parameters
    ----------
    matrix
        (..., 3, 3) proper rotation matrices, as in py4DSTEM's ``OrientationMap.matrix``.
    qr_rotation
        py4DSTEM's calibrated rotation of the detector against the scan, in degrees, if the
        matched vectors were turned by it.

    Returns
    -------
    rotation
        orix rotations in the frame of pyxem's crystal maps, of shape (...), or (1,) for one matrix.

    Raises
    ------
    ValueError
        If a matrix is not a proper rotation to within 1e-6.

    Examples
    --------
    >>> from pyxem_mlmaps.conventions import py4dstem_matrix_to_rotation
    >>> py4dstem_matrix_to_rotation([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).data
    array([[1., 0., 0., 0.]])
    """
    m = np.swapaxes(np.asarray(matrix, dtype=float), -1, -2)
    return detector_matrix_to_rotation(_detector_to_py4dstem(qr_rotation).T @ m)


def _detector_to_py4dstem(qr_rotation: float) -> NDArray[np.float64]:
    """x and y change places and z is turned round, which together is a proper rotation."""
    matrix = -np.eye(3)
    matrix[:2, :2] = py4dstem_axes(qr_rotation)
    return matrix


def _turn(angle: ArrayLike) -> NDArray[np.float64]:
    """(..., 2, 2) rotation from x towards y by radians."""
    c, s = np.cos(angle), np.sin(angle)
    return _matrix(c, -s, s, c)


def _matrix(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> NDArray[np.float64]:
    return np.stack([np.stack([a, b], axis=-1), np.stack([c, d], axis=-1)], axis=-2)


def _inverse_transpose(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN, not an error, where there is none."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return _matrix(d, -c, -b, a) / np.asarray(a * d - b * c)[..., None, None]
