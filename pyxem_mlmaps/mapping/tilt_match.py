"""The tilt of a template, moved to where the reflections with bright disks are excited.

Templates take everything near the Ewald sphere, so theirs is off by up to three degrees. How bright
a disk is tells how near its reflection lies; compared over the tilts around a template this leaves
0.3-0.45° (medians; largest 1.3° of 28 orientations of UO2 and zirconium).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions

__all__ = ["excited_tilt"]

Float = NDArray[np.floating]

SPAN, STEP = 4.0, 0.4
"""Degrees: tilts about a template that are compared."""
CLOSER, FINER = 0.3, 0.1
"""The same about the best of them."""
EXCITED = 0.02
"""Å⁻¹: excitation error at which the compressed intensity of a disk has fallen to exp(-1/2)."""
LIKELY = 2.0
"""Degrees: error of a template that is not yet unlikely."""
UNLIKELY = 0.05
"""What the cosine loses at that error, times the square of the error in units of it."""


def excited_tilt(
    matrix: Float,
    places: Float,
    seen: Float,
    g: Float,
    strength: Float,
    wavenumber: float,
    tolerance: float,
) -> Float:
    """Orientation near ``matrix`` that excites what is seen.

    Parameters
    ----------
    matrix
        (3, 3) crystal to detector.
    places
        (n, 2) x, y of the disks in Å⁻¹ from the direct beam.
    seen
        (n,) their compressed counts.
    g
        (m, 3) reciprocal vectors in the crystal's frame, those within the detector.
    strength
        (m,) of the reflections, compressed as the counts are.
    wavenumber
        1 / λ in Å⁻¹.
    tolerance
        Å⁻¹ by which a disk may lie off its reflection.

    Returns
    -------
    matrix
        (3, 3), tilted by at most 4.3° along each axis.

    Notes
    -----
    Seen and expected disks are compared by the cosine of their angle. Expected is
    strength · exp(-s²/2σ²) with excitation error s = g_z + g²/2k: kinematical, and broad enough to
    hold for foils of 20 to 200 nm.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.tilt_match import excited_tilt
    >>> g = np.array([(h, k, 0.0) for h in range(-6, 7) for k in range(-6, 7) if h or k]) / 4
    >>> tilted = np.radians(1.0) * g[:, 0]  # excitation errors at one degree about y
    >>> seen = np.exp(-0.5 * ((tilted + (g**2).sum(1) / 100) / 0.02) ** 2)
    >>> found = excited_tilt(np.eye(3), g[:, :2], seen, g, np.ones(len(g)), 50.0, 0.02)
    >>> np.degrees(found[2, :2]).round() + 0.0
    array([1., 0.])
    """
    turned = g @ matrix.T
    apart = np.sum((places[:, None] - turned[None, :, :2]) ** 2, axis=-1)
    observed = np.max(seen[:, None] * np.exp(-0.5 * apart / tolerance**2), axis=0, initial=0)
    if not observed.any():
        return matrix
    beyond = np.sum(turned**2, axis=1) / (2 * wavenumber)

    def best(centre: Float, span: float, step: float) -> Float:
        axis = np.arange(-span, span + step / 2, step)
        tilts = centre + np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        rows = conventions.tilt_matrix(tilts[:, 0], tilts[:, 1])[:, 2]
        excitation = rows @ turned.T + beyond
        expected = strength * np.exp(-0.5 * (excitation / EXCITED) ** 2)
        length = np.linalg.norm(expected, axis=1) * np.linalg.norm(observed)
        cosine = expected @ observed / np.maximum(length, 1e-30)
        return tilts[np.argmax(cosine - UNLIKELY * np.sum(tilts**2, axis=1) / LIKELY**2)]

    found = best(best(np.zeros(2), SPAN, STEP), CLOSER, FINER)
    return conventions.tilt_matrix(found[0], found[1]) @ matrix
