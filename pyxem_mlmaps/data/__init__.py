"""Scans to work on: lazy 4D signals whose truth is known, and the crystals they are made of."""

from pyxem_mlmaps.data._crystals import gasb, sige, silicon, uo2, zirconium
from pyxem_mlmaps.data._finfet import finfet
from pyxem_mlmaps.data._foil import bent_foil
from pyxem_mlmaps.data._polycrystal import polycrystal
from pyxem_mlmaps.data._truth import PolycrystalTruth, ScanTruth, StrainTruth, ground_truth

__all__ = [
    "PolycrystalTruth",
    "ScanTruth",
    "StrainTruth",
    "bent_foil",
    "finfet",
    "gasb",
    "ground_truth",
    "polycrystal",
    "sige",
    "silicon",
    "uo2",
    "zirconium",
]
