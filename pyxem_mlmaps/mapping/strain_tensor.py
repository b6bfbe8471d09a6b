"""From lattice vectors to strain and rotation with their covariance: formulas on arrays.

Components are in (x, y) order here: e11 is along x (kx, to the right), e22 along y (ky, down). A
turn is positive from x towards y, as in :mod:`pyxem_mlmaps.conventions`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["axis_transformation", "deformation_gradient", "strain_components"]

Float = NDArray[np.float64]


def deformation_gradient(basis: ArrayLike, reference: ArrayLike) -> Float:
    """Real-space deformation gradient F from two reciprocal bases.

    Parameters
    ----------
    basis
        (..., 2, 2) measured reciprocal lattice, rows g1 and g2, columns (y, x).
    reference
        (2, 2) the same lattice vectors without strain, in the same unit.

    Returns
    -------
    F
        (..., 2, 2), components (x, y): a = F·a0 for every lattice vector of the crystal, hence
        g = F⁻ᵀ·g0 for the reciprocal ones.

    Examples
    --------
    A crystal stretched by 2 % along y has reciprocal vectors shorter by 1/1.02 along ky:

    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_tensor import deformation_gradient
    >>> deformation_gradient([[1 / 1.02, 0], [0, 1]], np.eye(2)).round(12) + 0.0
    array([[1.  , 0.  ],
           [0.  , 1.02]])
    """
    measured = np.asarray(basis, dtype=float)[..., ::-1]
    return _inverse(measured) @ np.asarray(reference, dtype=float)[:, ::-1]


def strain_components(
    basis: ArrayLike, covariance: ArrayLike, reference: ArrayLike
) -> tuple[Float, Float]:
    """Strain and rotation of lattices against a reference, with their covariance.

    Parameters
    ----------
    basis
        (n, 2, 2) measured reciprocal lattices, rows g1 and g2, columns (y, x), any unit.
    covariance
        (n, 2, 2, 2): covariance of the y components of (g1, g2), then of the x components, as in
        :class:`pyxem_mlmaps.mapping.strain_fit.LatticeFits`.
    reference
        (2, 2) unstrained lattice, taken as exact.

    Returns
    -------
    components
        (n, 4): e11 (along x = kx), e22 (along y = ky), e12, and the rotation θ in radians.
        NaN where the basis is NaN or mirrored.
    covariance
        (n, 4, 4), full.

    Notes
    -----
    The polar decomposition F = V·R separates the rotation R(θ) from the stretch V = √(F·Fᵀ). The
    strain is e = V − I, in axes fixed to the detector: a bar drawn out to 1.02 of its length has
    e = 0.02 however far it is turned besides. In two dimensions θ = atan2(F21 − F12, F11 + F22).
    From dF = dV·R + V·dR follow, with M = dF·Rᵀ and J = R(90°), dθ = (M21 − M12)/tr V and
    dV = M − V·J dθ; and dF = −G⁻¹·dG·F.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_tensor import strain_components
    >>> reference = np.array([[30.0, 0.0], [0.0, 30.0]])
    >>> measured = reference / [1.02, 1.0]
    >>> components, _ = strain_components(measured[None], np.zeros((1, 2, 2, 2)), reference)
    >>> components.round(12) + 0.0
    array([[0.  , 0.02, 0.  , 0.  ]])
    """
    gradient = deformation_gradient(basis, reference)
    determinant = gradient[:, 0, 0] * gradient[:, 1, 1] - gradient[:, 0, 1] * gradient[:, 1, 0]
    with np.errstate(invalid="ignore"):
        gradient[~(determinant > 0)] = np.nan
    sine = gradient[:, 1, 0] - gradient[:, 0, 1]
    cosine = gradient[:, 0, 0] + gradient[:, 1, 1]
    trace = np.hypot(sine, cosine)  # of V
    theta = np.arctan2(sine, cosine)
    unturn = np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1) / trace[:, None, None]
    stretch = gradient @ unturn
    components = np.stack(
        [stretch[:, 0, 0] - 1, stretch[:, 1, 1] - 1, stretch[:, 0, 1], theta], axis=-1
    )
    inverse = _inverse(np.asarray(basis, dtype=float)[..., ::-1])
    # change of V and θ with component j (x, y) of lattice vector i; M is (n, i, j, 2, 2)
    change = -np.einsum("nai,njb->nijab", inverse, stretch)
    turn = (change[..., 1, 0] - change[..., 0, 1]) / trace[:, None, None]
    v11, v12 = stretch[:, 0, 0, None, None], stretch[:, 0, 1, None, None]
    jacobian = np.stack(
        [
            change[..., 0, 0] - v12 * turn,
            change[..., 1, 1] + v12 * turn,
            change[..., 0, 1] + v11 * turn,
            turn,
        ],
        axis=1,
    )
    by_axis = np.asarray(covariance, dtype=float)[:, ::-1]  # (x, y)
    return components, np.einsum("ncij,njik,ndkj->ncd", jacobian, by_axis, jacobian)


def axis_transformation(angle: float) -> Float:
    """Matrix that takes (e11, e22, e12, θ) to axes turned by an angle.

    Parameters
    ----------
    angle
        Degrees from x towards y.

    Returns
    -------
    T
        (4, 4): ``T @ components`` is e' = Qᵀ·e·Q with the new axes in the columns of Q; θ stays.
        A covariance C becomes T·C·Tᵀ.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.strain_tensor import axis_transformation
    >>> (axis_transformation(90) @ [0.02, 0.0, 0.0, 0.1]).round(12) + 0.0
    array([0.  , 0.02, 0.  , 0.1 ])
    """
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array(
        [
            [c * c, s * s, 2 * c * s, 0],
            [s * s, c * c, -2 * c * s, 0],
            [-c * s, c * s, c * c - s * s, 0],
            [0, 0, 0, 1],
        ]
    )


def _inverse(matrix: Float) -> Float:
    """Inverse of (..., 2, 2) matrices; NaN, not an error, where there is none."""
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    rows = [np.stack([d, -b], axis=-1), np.stack([-c, a], axis=-1)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(rows, axis=-2) / (a * d - b * c)[..., None, None]
