"""The lattice of a scan whose pattern moves: patterns are aligned before their mean is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from pyxem_mlmaps.mapping.blocks import sample_patterns
from pyxem_mlmaps.mapping.lattice_disks import clean_pattern
from pyxem_mlmaps.specs import DiskLattice

__all__ = ["find_moving_lattice", "pattern_shifts"]

Float = NDArray[np.floating]

STANDING, JUMP = 1.5, 5.0
"""px: patterns this close have not moved; those that have without a third, not either."""
STILL = 0.5
"""px: a scan whose patterns move by less (rms) needs no alignment."""


def find_moving_lattice(
    signal: Any,
    show_progressbar: bool | None = None,
    sample: Callable[[], NDArray] | None = None,
    known: Float | None = None,
) -> DiskLattice:
    """Find the lattice on the mean pattern, undoing descan first where there is any.

    A pattern that moves over the scan blurs the mean: at a few pixels the disks' radius comes out
    wrong, at half a radius they are lost. So the shifts of some patterns, spread evenly over the
    scan, are measured by cross-correlation.

    Parameters
    ----------
    signal
        Diffraction2D, lazy or not, with 0 to 2 navigation axes.
    show_progressbar
        None follows HyperSpy's preference.
    sample
        Gives patterns spread over the scan, where somebody has them already.
    known
        (n, 2) shifts of the sampled patterns (y, x), px, instead of measuring them.

    Returns
    -------
    DiskLattice
        Its origin is where the direct beam lies in the middle (median) of the measured shifts, or
        where a pattern of no shift has it if they are known.

    Raises
    ------
    ValueError
        As :meth:`pyxem_mlmaps.DiskLattice.from_signal`.
    """
    if signal.axes_manager.navigation_dimension == 0:
        return DiskLattice.from_signal(signal)
    patterns = sample() if sample else sample_patterns(signal, show_progressbar)
    patterns = np.stack([_clean(pattern) for pattern in patterns])
    if known is not None:
        aligned = _mean_of_aligned(patterns, np.round(known).astype(np.int64))
        return DiskLattice.from_signal(_as_pattern_of(signal, aligned))
    shifts = pattern_shifts(patterns)
    if np.sqrt(np.mean((shifts - shifts.mean(axis=0)) ** 2)) < STILL:
        return DiskLattice.from_signal(signal, show_progressbar=show_progressbar)
    middle = np.round(np.median(shifts, axis=0)).astype(int)
    aligned = _mean_of_aligned(patterns, shifts - middle)
    return DiskLattice.from_signal(_as_pattern_of(signal, aligned))


def pattern_shifts(patterns: Float) -> NDArray[np.int64]:
    """Whole-pixel shifts of patterns against each other, by cross-correlation of square roots.

    Parameters
    ----------
    patterns
        (n, ky, kx) finite, non-negative counts.

    Returns
    -------
    shifts
        (n, 2), (y, x) in pixels from the brightest pattern, at most a quarter of the detector.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.moving_lattice import pattern_shifts
    >>> y, x = np.indices((48, 48))
    >>> one = 1.0 * (np.hypot(y - 20, x - 25) < 6)
    >>> pattern_shifts(np.stack([2 * one, np.roll(one, (3, -2), axis=(0, 1))]))
    array([[ 0,  0],
           [ 3, -2]])
    """
    roots = np.sqrt(patterns)
    roots = roots - roots.mean(axis=(1, 2), keepdims=True)
    first = int(np.argmax(patterns.sum(axis=(1, 2))))
    shifts = _against(roots, roots[first])
    again = _against(roots, _mean_of_aligned(roots, shifts))
    return _without_jumps(again - again[first])


def _without_jumps(shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shifts of a scan that stands still, less those to another disk of the lattice.

    A diffracted disk that outshines the direct beam draws the correlation a whole lattice vector
    away. Descan fills the space between; where most patterns stand still and nothing is between
    them and the few that seem to have jumped, these have not.
    """
    middle = np.round(np.median(shifts, axis=0)).astype(np.int64)
    distance = np.hypot(*(shifts - middle).T)
    still = distance <= STANDING
    if 2 * still.sum() <= len(shifts) or np.any(~still & (distance < JUMP)):
        return shifts
    return np.where(still[:, None], shifts, middle)


def _against(images: Float, reference: Float) -> NDArray[np.int64]:
    """Shift (n, 2) at which each image correlates most with ``reference``."""
    size = [next_fast_len(2 * n, real=True) for n in reference.shape]
    limits = [n // 4 for n in reference.shape]
    wanted = np.conj(rfft2(reference, size))
    rows, columns = (np.arange(-limit, limit + 1) for limit in limits)
    shifts = np.empty((len(images), 2), dtype=np.int64)
    for n, image in enumerate(images):
        correlation = irfft2(rfft2(image, size) * wanted, size)[np.ix_(rows, columns)]
        y, x = np.unravel_index(np.argmax(correlation), correlation.shape)
        shifts[n] = rows[y], columns[x]
    return shifts


def _mean_of_aligned(images: Float, shifts: NDArray[np.int64]) -> Float:
    """Mean over what each pixel was seen by, after moving the images back."""
    total, count = np.zeros(images.shape[1:]), np.zeros(images.shape[1:])
    for image, (dy, dx) in zip(images, shifts, strict=True):
        to_y, from_y = _overlap(dy, len(image))
        to_x, from_x = _overlap(dx, image.shape[1])
        total[to_y, to_x] += image[from_y, from_x]
        count[to_y, to_x] += 1
    return total / np.maximum(count, 1)


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where pixels go to and come from when an image is moved back by ``shift``."""
    return (
        slice(max(-shift, 0), size - max(shift, 0)),
        slice(max(shift, 0), size + min(shift, 0)),
    )


def _clean(pattern: Float) -> NDArray[np.float32]:
    return np.clip(np.nan_to_num(clean_pattern(pattern)), 0, None).astype(np.float32)


def _as_pattern_of(signal: Any, pattern: Float) -> Any:
    """``pattern`` with the calibration of ``signal``."""
    from pyxem.signals import Diffraction2D

    axes = [a.get_axis_dictionary() for a in signal.axes_manager.signal_axes[::-1]]
    result = Diffraction2D(pattern, axes=axes)
    microscope = signal.metadata.get_item("Acquisition_instrument")
    if microscope is not None:
        result.metadata.set_item("Acquisition_instrument", microscope.as_dictionary())
    return result
