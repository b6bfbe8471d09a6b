"""Scans to work on: lazy 4D signals whose truth is known, and the crystals they are made of."""

from pyxem_mlmaps.data._crystals import gasb, sige, silicon
from pyxem_mlmaps.data._finfet import finfet
from pyxem_mlmaps.data._foil import bent_foil
from pyxem_mlmaps.data._truth import ScanTruth, StrainTruth, ground_truth

__all__ = [
    "ScanTruth",
    "StrainTruth",
    "bent_foil",
    "finfet",
    "gasb",
    "ground_truth",
    "sige",
    "silicon",
]
