"""Segments along boundaries: patterns that are sums of their neighbours', not of one crystal.

Where two grains overlap under the beam the pattern is a sum of both, whatever they are. That can be
told from the patterns alone, before any orientation is known, and saves the search for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixture", "adjacent", "mixture_of"]

Float = NDArray[np.floating]

NEAR = 4
"""Points between segments that still count as neighbours."""
MOST = 6
"""Neighbours that a segment is compared with."""
EXPLAINED = 2.0
"""Reduced chi-square of a sum of neighbours that explains a pattern."""
GAIN = 0.6
"""What is left of chi-square, at most, if two patterns are taken instead of one."""
MINOR = 0.03
"""Share of the counts that makes a second pattern one."""
UNLIKE = 0.03
"""Relative error allowed for: thickness and tilt vary a little within a grain."""


class Mixture(NamedTuple):
    """``shares`` (n,) of the counts, and the reduced chi-square."""

    shares: Float
    chi_square: float


def adjacent(labels: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """For each segment those next to it, the one with most points close by first.

    Parameters
    ----------
    labels
        (ny, nx) numbers of segments from 0, -1 for none.
    """
    from scipy.ndimage import binary_dilation, find_objects

    padded = np.pad(labels + 1, NEAR)
    around = []
    for k, box in enumerate(find_objects(padded)):
        grown = tuple(slice(s.start - NEAR, s.stop + NEAR) for s in box)
        part = padded[grown]
        reached = part[binary_dilation(part == k + 1, iterations=NEAR)]
        count = np.bincount(reached, minlength=2)
        count[[0, k + 1]] = 0
        order = np.argsort(-count, kind="stable")
        around.append(order[count[order] > 0] - 1)
    return around


def mixture_of(pattern: Float, others: Sequence[Float], gain: float = 1.0) -> Mixture | None:
    """The sum of other patterns that a pattern is, or None if it is no sum, or just one of them.

    Parameters
    ----------
    pattern
        (ky, kx) counts.
    others
        Patterns of the same shape, the nearest first.
    gain
        Counts for one electron.

    Returns
    -------
    Mixture or None
        Shares in the order of ``others``.

    Notes
    -----
    Least squares with positive weights (Lawson and Hanson, by SciPy), the noise of all patterns
    taken into account.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.mixtures import mixture_of
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = rng.uniform(0, 100, (3, 32, 32))
    >>> mixture_of(rng.poisson(0.7 * a + 0.3 * b), [a, b, c]).shares.round(1)
    array([0.7, 0.3, 0. ])
    >>> mixture_of(rng.poisson(c), [a, b]) is None
    True
    """
    if len(others) < 2:
        return None
    table = np.stack([np.ravel(o) for o in others[:MOST]], axis=1).astype(float)
    counts = np.ravel(pattern).astype(float)
    good = np.isfinite(counts) & np.isfinite(table).all(axis=1)
    table, counts = table[good], counts[good]
    weights, chi_square = _fit(table, counts, gain)
    shares = weights * table.sum(axis=0)
    shares /= max(shares.sum(), 1e-30)
    if not chi_square < EXPLAINED or np.sum(shares > MINOR) < 2:
        return None
    alone = min(_fit(table[:, [k]], counts, gain)[1] for k in range(table.shape[1]))
    if chi_square > GAIN * alone:
        return None
    return Mixture(np.pad(shares, (0, len(others) - len(shares))), chi_square)


def _fit(table: Float, counts: Float, gain: float) -> tuple[Float, float]:
    from scipy.optimize import nnls

    variance = gain * np.maximum(counts, gain)
    for _ in range(3):  # noise is that of the model, not of the counts
        scale = 1 / np.sqrt(variance)
        weights, _ = nnls(table * scale[:, None], counts * scale)
        model = table @ weights
        variance = gain * (np.maximum(model, 0.02 * gain) + table @ weights**2)
        variance += (UNLIKE * model) ** 2
    use = model > 0.3 * gain
    degrees = max(int(use.sum()) - table.shape[1], 1)
    return weights, float(np.sum((counts - model)[use] ** 2 / variance[use]) / degrees)
