"""What explains a pattern, and which of two answers explains more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping.grain_models import ModelKey
from pyxem_mlmaps.models.grain import GrainModel
from pyxem_mlmaps.models.pattern_fit import PatternFit

__all__ = ["Solution", "angle_between", "better_of", "merge_fits"]

Float = NDArray[np.floating]

BRIGHT, FAINT = 5e5, 0.1
"""Electrons of a bright pattern, and the share of them that counts for fainter ones at least."""


class Solution(NamedTuple):
    """One explained pattern: its model, (6,) values, reduced chi-square (1 is noise), matrix, and
    the electrons of the incident beam that it asks for."""

    key: ModelKey
    values: Float
    chi_square: float
    matrix: Float
    electrons: float

    @classmethod
    def of(cls, key: ModelKey, model: GrainModel, fit: PatternFit, gain: float) -> Solution | None:
        """From the first row of a fit; None where it has no answer."""
        chi_square = float(fit.chi_square[0])
        if not np.isfinite(chi_square):
            return None
        matrix = model.matrices(fit.values)[0]
        return cls(key, fit.values[0], chi_square, matrix, float(fit.amplitude[0]) / gain)

    @property
    def excess(self) -> float:
        """Chi-square above that of noise, as it would be for a bright pattern: an error of the
        model shows in proportion to the electrons."""
        return (self.chi_square - 1) / float(np.clip(self.electrons / BRIGHT, FAINT, 1.0))


def angle_between(one: Float, other: Float) -> float:
    """Degrees between two orientations (3, 3), without symmetry."""
    cosine = (np.trace(one @ other.T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def better_of(one: Solution | None, other: Solution | None) -> Solution | None:
    """The one that explains more."""
    if one is None or other is None:
        return other if one is None else one
    return other if other.chi_square < one.chi_square else one


def merge_fits(mine: PatternFit, other: PatternFit, rows: NDArray[np.integer]) -> PatternFit:
    """``mine`` with the rows replaced that ``other`` (one for each of ``rows``) explains better."""
    with np.errstate(invalid="ignore"):
        ours = np.where(np.isfinite(mine.chi_square[rows]), mine.chi_square[rows], np.inf)
        better = other.chi_square < ours
    fields = [np.array(f) for f in mine]
    for field, theirs in zip(fields, other, strict=True):
        field[rows[better]] = theirs[better]
    return PatternFit(*fields)
