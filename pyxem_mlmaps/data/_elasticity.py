"""Displacement gradient of a body that holds misfitting inclusions: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILICON_110", "misfit_gradient"]

Float = NDArray[np.floating]

SILICON_110 = {"c11": 194.4, "c22": 165.7, "c12": 63.9, "c13": 35.2, "c23": 63.9, "c66": 79.6}
"""Stiffness of silicon in GPa in the axes 1 = [1-10], 2 = [001], 3 = [110]: C11 = 165.7,
C12 = 63.9, C44 = 79.6 of the cube axes (Hopcroft, Nix & Kenny 2010, J. Microelectromech. Syst.
19, 229), turned by 45° about [001]."""


def misfit_gradient(misfit: Float, stiffness: dict[str, float] = SILICON_110) -> Float:
    """Displacement gradient of a coherent crystal, part of which would be larger if it were free.

    Microelasticity in plane strain (Khachaturyan 1983, Theory of Structural Transformations in
    Solids, ch. 7): the stress-free expansion ε*(x) pulls with the forces ∂_j σ*_ij, σ* = C ε*,
    and the displacement in Fourier space is u_i(k) = −i (K⁻¹)_ij σ*_jl k_l with the acoustic
    tensor K_ij = C_imjn k_m k_n. The strain is that of one continuous displacement, so it is
    compatible; it is measured from the lattice of the unexpanded crystal. One stiffness holds
    everywhere, the third axis keeps its length.

    Parameters
    ----------
    misfit
        (n_y, n_x) ε*, the relative expansion in all directions, on a periodic grid of square
        cells. Rows are axis 2, columns axis 1.
    stiffness
        c11, c22, c12, c13, c23, c66 of an orthotropic body, in any unit.

    Returns
    -------
    gradient
        (n_y, n_x, 2, 2), ``gradient[..., i, j]`` = ∂u_i/∂x_j with (x, y) for i and j, of mean
        zero.

    Examples
    --------
    A film of all of a plane, for the grid is periodic, grows by ε*(1 + (C12 + C23)/C22):

    >>> import numpy as np
    >>> from pyxem_mlmaps.data._elasticity import misfit_gradient
    >>> film = np.zeros((64, 8))
    >>> film[20:30] = 0.01
    >>> gradient = misfit_gradient(film)[..., 1, 1]
    >>> round(float(gradient[25, 4] - gradient[50, 4]), 5)
    0.01771
    """
    c = stiffness
    shape = misfit.shape
    k_y = np.fft.fftfreq(shape[0])[:, None]
    k_x = np.fft.rfftfreq(shape[1])[None, :]
    k_xx = c["c11"] * k_x**2 + c["c66"] * k_y**2
    k_yy = c["c66"] * k_x**2 + c["c22"] * k_y**2
    k_xy = (c["c12"] + c["c66"]) * k_x * k_y
    determinant = k_xx * k_yy - k_xy**2
    determinant[0, 0] = 1.0  # no mean strain
    expansion = np.fft.rfft2(misfit)
    force_x = (c["c11"] + c["c12"] + c["c13"]) * expansion * k_x
    force_y = (c["c12"] + c["c22"] + c["c23"]) * expansion * k_y
    u_x = (k_yy * force_x - k_xy * force_y) / determinant
    u_y = (k_xx * force_y - k_xy * force_x) / determinant
    gradient = np.empty((*shape, 2, 2))
    for i, u in enumerate((u_x, u_y)):
        for j, k in enumerate((k_x, k_y)):
            gradient[..., i, j] = np.fft.irfft2(u * k, s=shape)
    return gradient
