"""py4DSTEM's ``OrientationMap`` and orix crystal maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.conventions import py4dstem_matrix_to_rotation, rotation_to_py4dstem_matrix
from pyxem_mlmaps.interop._py4dstem import require_py4dstem

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase
    from py4DSTEM import BraggVectors
    from py4DSTEM.process.diffraction.utils import OrientationMap

    from pyxem_mlmaps.signals import MLOrientationMap

__all__ = ["from_orientation_map", "to_orientation_map"]


def to_orientation_map(
    xmap: CrystalMap | MLOrientationMap,
    braggvectors: BraggVectors | None = None,
    *,
    correlation: str | None = None,
) -> OrientationMap:
    """Turn orientations into py4DSTEM's ``OrientationMap``.

    Parameters
    ----------
    xmap
        orix ``CrystalMap`` in the frame of pyxem's, as from ``map_polycrystal`` or
        ``omap.to_crystal_map()``, or an ``MLOrientationMap`` that knows its crystal. All points of
        a rectangle, at most two scan dimensions. Several rotations a point become matches.
    braggvectors
        Disks whose calibrated rotation between detector and scan is to be applied, as it is to
        what ``Crystal.match_orientations`` finds for them. None leaves all in the axes of the
        detector.
    correlation
        Property of the map that becomes ``corr``, which py4DSTEM shades its figures by. None gives
        1 to every indexed point. Points that are not indexed have 0, as py4DSTEM leaves those that
        it did not match.

    Returns
    -------
    orientation_map
        With ``matrix``, ``corr`` and ``angles``; ``family`` is not reduced by symmetry and repeats
        ``matrix``; ``mirror`` is False, ``inds`` 0.

    Raises
    ------
    ImportError
        Without py4DSTEM.
    TypeError, ValueError
        If it is no crystal map, not a rectangle, ``correlation`` is no property, the
        ``braggvectors`` are of another scan, or are calibrated as mirrored.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> matched = interop.to_orientation_map(omap)  # doctest: +SKIP
    >>> crystal.plot_orientation_maps(matched)  # doctest: +SKIP
    """
    require_py4dstem("to_orientation_map")
    from py4DSTEM.process.diffraction.utils import OrientationMap as Py4DSTEMMap
    from scipy.spatial.transform import Rotation as SciPyRotation

    if hasattr(xmap, "to_crystal_map"):
        xmap = xmap.to_crystal_map()
    if not hasattr(xmap, "rotations") or not hasattr(xmap, "phase_id"):
        raise TypeError(
            f"xmap is a {type(xmap).__name__}; an orix CrystalMap or an MLOrientationMap is needed."
        )
    scan = (1,) * (2 - len(xmap.shape)) + tuple(xmap.shape)
    if len(scan) > 2 or xmap.size != np.prod(scan):
        raise ValueError(
            f"xmap: {xmap.size} points in a map of shape {tuple(xmap.shape)}; a full rectangle of "
            "at most two dimensions is needed. Undo a selection, as with xmap[xmap.is_indexed]."
        )
    if correlation is not None and correlation not in xmap.prop:
        raise ValueError(
            f"correlation={correlation!r}: the map has the properties {sorted(xmap.prop)}."
        )
    _check_scan(braggvectors, scan)
    n = xmap.rotations_per_point
    matrix = rotation_to_py4dstem_matrix(xmap.rotations, _qr_rotation(braggvectors))
    matrix = matrix.reshape(*scan, n, 3, 3)
    indexed = xmap.is_indexed.reshape(*scan, 1)
    result = Py4DSTEMMap(*scan, n)
    values = 1.0 if correlation is None else xmap.prop[correlation].reshape(*scan, -1)
    result.corr[:] = np.where(indexed, np.nan_to_num(values), 0.0)
    result.matrix[:] = result.family[:] = matrix
    # py4DSTEM's matrix is Rz(a)ᵀ·Rx(b)ᵀ·Rz(c)ᵀ of the angles (a, b, c)
    transposed = np.swapaxes(matrix, -1, -2).reshape(-1, 3, 3)
    euler = _quiet_euler(SciPyRotation.from_matrix(transposed))
    result.angles[:] = euler[:, ::-1].reshape(*scan, n, 3)
    return result


def from_orientation_map(
    orientation_map: OrientationMap, phase: Phase, braggvectors: BraggVectors | None = None
) -> CrystalMap:
    """Turn py4DSTEM's ``OrientationMap`` into an orix crystal map.

    Parameters
    ----------
    orientation_map
        From ``Crystal.match_orientations``.
    phase
        The crystal, with its point group: orix's ``Phase``.
    braggvectors
        The disks that were matched: their scan step is used, and their rotation between detector
        and scan is undone where it was applied.

    Returns
    -------
    xmap
        ``CrystalMap`` in the frame of pyxem's ``OrientationMap.to_crystal_map`` and of this
        package, with the property ``corr``. Several matches become several rotations a point.
        Points that were not matched (``corr`` 0) are not indexed: phase id −1. It can be given to
        ``map_polycrystal`` as ``coarse``.

    Raises
    ------
    TypeError, ValueError
        If it is no ``OrientationMap``, or the ``braggvectors`` are of another scan, or are
        calibrated as mirrored.

    Notes
    -----
    py4DSTEM's own ``orientation_map_to_orix_CrystalMap`` uses another frame than pyxem, and
    transposes the scan by default.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> matched = crystal.match_orientations(braggvectors)  # doctest: +SKIP
    >>> xmap = interop.from_orientation_map(matched, phase, braggvectors)  # doctest: +SKIP
    """
    from orix.crystal_map import CrystalMap, PhaseList
    from orix.quaternion import Rotation

    for name in ("matrix", "corr", "num_matches"):
        if not hasattr(orientation_map, name):
            raise TypeError(
                f"orientation_map is a {type(orientation_map).__name__}; py4DSTEM's "
                "OrientationMap, from Crystal.match_orientations, is needed."
            )
    matrix = np.asarray(orientation_map.matrix, dtype=float)
    scan, n = matrix.shape[:2], matrix.shape[2]
    _check_scan(braggvectors, scan)
    corr = np.asarray(orientation_map.corr, dtype=float)
    matched = (corr > 0) & _is_rotation(matrix)
    quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (*scan, n, 1))
    if matched.any():
        found = py4dstem_matrix_to_rotation(matrix[matched], _qr_rotation(braggvectors))
        quaternions[matched] = found.data
    step, unit = 1.0, "px"
    if braggvectors is not None:
        step = float(braggvectors.calibration.get_R_pixel_size())
        unit = braggvectors.calibration.get_R_pixel_units()
        unit = {"pixels": "px", "A": "Å"}.get(unit, unit)
    y, x = (step * values.ravel() for values in np.indices(scan))
    points = int(np.prod(scan))
    quaternions, corr = quaternions.reshape(points, n, 4), corr.reshape(points, n)
    if n == 1:
        quaternions, corr = quaternions[:, 0], corr[:, 0]
    return CrystalMap(
        rotations=Rotation(quaternions),
        phase_id=np.where(matched[..., 0].ravel(), 0, -1),
        x=x,
        y=y,
        phase_list=PhaseList(phase, ids=0),
        prop={"corr": corr},
        scan_unit=unit,
    )


def _check_scan(braggvectors: Any, scan: tuple[int, ...]) -> None:
    if braggvectors is not None and tuple(braggvectors.Rshape) != tuple(scan):
        raise ValueError(
            f"braggvectors of a scan of {tuple(braggvectors.Rshape)} points do not belong to a map "
            f"of {tuple(scan)}."
        )


def _qr_rotation(braggvectors: Any) -> float:
    """Degrees that py4DSTEM turned the vectors by."""
    if braggvectors is None or not braggvectors.calstate["rotate"]:
        return 0.0
    if braggvectors.calibration.get_QR_flip():
        raise ValueError(
            "braggvectors: calibrated as mirrored (QR_flip), and no rotation of the crystal takes "
            "a mirror image back. Flip the patterns before the disks are measured."
        )
    return float(braggvectors.calibration.get_QR_rotation_degrees())


def _is_rotation(matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """False for the zeros that py4DSTEM leaves where it did not match."""
    return np.isclose(np.linalg.det(matrix), 1.0)


def _quiet_euler(rotations: Any) -> NDArray[np.float64]:
    """ZXZ angles; where only a sum of two is defined SciPy warns, and any will do."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gimbal lock")
        return rotations.as_euler("ZXZ")
