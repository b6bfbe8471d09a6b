"""From what a user has (orix Phase, CIF path, ase Atoms) to one description of the crystal."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms
    from orix.crystal_map import Phase

__all__ = ["DEFAULT_SIGMA", "Crystal", "as_crystal"]

DEFAULT_SIGMA = 0.08
"""RMS thermal displacement per direction (Å) where neither user nor structure gives one; room
temperature values of common metals and semiconductors lie between 0.06 and 0.10 Å (Peng, Ren,
Dudarev & Whelan 1996, Acta Cryst. A52, 456)."""


SAME_SITE = 0.05
"""Å. Atoms of one element closer than this are one atom."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """A unit cell: what the simulator needs, nothing else. Equal where the content is.

    Parameters
    ----------
    phase
        orix Phase, with lattice and symmetry.
    symbols
        Element of each atom of the cell.
    positions
        (n_atom, 3) fractional coordinates.
    occupancy
        (n_atom,).
    sigma
        (n_atom,) RMS thermal displacement per direction in Å.
    """

    phase: Phase
    symbols: tuple[str, ...]
    positions: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    sigma: NDArray[np.float64]

    @property
    def content(self) -> str:
        """All that tells it from others, as text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crystal) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    @property
    def cell(self) -> NDArray[np.float64]:
        """(3, 3) Å, rows a, b, c in orix's cartesian frame (x ∥ a, z ∥ c*)."""
        return np.array(self.phase.structure.lattice.base)

    @property
    def reciprocal(self) -> NDArray[np.float64]:
        """(3, 3) Å⁻¹, rows a*, b*, c*: g = hkl @ reciprocal."""
        return np.linalg.inv(self.cell).T

    def to_ase(self) -> Atoms:
        """ase Atoms of the unit cell."""
        from ase import Atoms

        return Atoms(self.symbols, scaled_positions=self.positions, cell=self.cell, pbc=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as kept in libraries, cards and metadata."""
        lattice = self.phase.structure.lattice
        return {
            "name": self.phase.name,
            "space_group": None
            if self.phase.space_group is None
            else self.phase.space_group.number,
            "point_group": None if self.phase.point_group is None else self.phase.point_group.name,
            "lattice": [float(v) for v in lattice.abcABG()],
            "symbols": list(self.symbols),
            "positions": self.positions.tolist(),
            "occupancy": self.occupancy.tolist(),
            "sigma": self.sigma.tolist(),
        }


def as_crystal(
    source: Phase | Atoms | str | Path, debye_waller: float | dict[str, float] | None = None
) -> Crystal:
    """Read a crystal.

    Parameters
    ----------
    source
        orix ``Phase`` with a structure (its asymmetric unit is expanded by the space group), a
        path to a CIF file, or an ase ``Atoms`` unit cell.
    debye_waller
        RMS thermal displacement σ in Å (B = 8π²σ²): one number, or one for each element. None
        takes the structure's own (U_iso) and :data:`DEFAULT_SIGMA` where it has none.

    Raises
    ------
    TypeError, ValueError
        If the source is of another kind, has no atoms, or a σ is missing or out of 0 to 0.5 Å.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from pyxem_mlmaps.simulation.crystal import as_crystal
    >>> as_crystal(bulk("Si", cubic=True), debye_waller=0.078).symbols[:2]
    ('Si', 'Si')
    """
    from ase import Atoms
    from orix.crystal_map import Phase

    if isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"phase={str(source)!r}: no such CIF file.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = Phase.from_cif(str(path))
    if isinstance(source, Atoms):
        source = _phase_from_ase(source)
    if not isinstance(source, Phase):
        raise TypeError(
            f"phase is a {type(source).__name__}; give an orix Phase, the path of a CIF file or "
            "an ase Atoms unit cell."
        )
    if len(source.structure) == 0:
        raise ValueError(
            f"phase {source.name!r} has no atoms; give it a structure "
            "(orix Phase(structure=...), or Phase.from_cif)."
        )
    if source.space_group is not None:
        source = source.expand_asymmetric_unit()
    positions = _fractional(source)
    kept = _distinct(source, positions)
    atoms = [source.structure[i] for i in kept]
    symbols = tuple(_element(a.element) for a in atoms)
    return Crystal(
        phase=source,
        symbols=symbols,
        positions=positions[kept],
        occupancy=np.array([a.occupancy for a in atoms], dtype=float),
        sigma=_sigma(symbols, [float(a.Uisoequiv) for a in atoms], debye_waller),
    )


def _fractional(phase: Phase) -> NDArray[np.float64]:
    """(n_atom, 3) fractional coordinates within 0 to 1, as they were given to orix.

    A ``Phase`` turns the axes of a cell to x ∥ a, z ∥ c* and leaves its atoms where they were in
    space (orix 0.15). Where a was not along x before, as in hexagonal cells of diffpy, the
    coordinates that the phase shows are therefore not those of the crystal.
    """
    structure = phase.structure
    given = getattr(phase, "_diffpy_lattice", structure.lattice.base)
    positions = structure.xyz_cartn @ np.linalg.inv(given)
    return np.round(positions, 9) % 1.0


def _distinct(phase: Phase, positions: NDArray[np.float64]) -> list[int]:
    """Atoms without repetitions: rounded coordinates (0.3333) expand to several copies of one."""
    cell = np.asarray(phase.structure.lattice.base)
    elements = [_element(a.element) for a in phase.structure]
    kept: list[int] = []
    for i, element in enumerate(elements):
        same = [j for j in kept if elements[j] == element]
        apart = positions[same] - positions[i]
        distance = np.linalg.norm((apart - np.round(apart)) @ cell, axis=1)
        if not np.any(distance < SAME_SITE):
            kept.append(i)
    return kept


def _element(label: str) -> str:
    """Element symbol of a diffpy label such as 'Ga3+' or 'Sb1'."""
    letters = "".join(c for c in str(label) if c.isalpha())
    return letters[:1].upper() + letters[1:2].lower()


def _phase_from_ase(atoms: Atoms) -> Phase:
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    if abs(atoms.cell.volume) < 1e-6:
        raise ValueError(
            f"phase: these Atoms ({atoms.get_chemical_formula()}) have no unit cell, so there is "
            "no lattice to diffract. Give them a cell (atoms.cell), or a CIF file."
        )
    lattice = Lattice(*atoms.cell.cellpar())
    xyz = atoms.get_scaled_positions()
    structure = Structure(
        lattice=lattice,
        atoms=[Atom(s, x) for s, x in zip(atoms.get_chemical_symbols(), xyz, strict=True)],
    )
    return Phase(
        name=atoms.get_chemical_formula(empirical=True), structure=structure, point_group="1"
    )


def _sigma(
    symbols: tuple[str, ...], u_iso: list[float], given: float | dict[str, float] | None
) -> NDArray[np.float64]:
    if given is None:
        sigma = [np.sqrt(u) if u > 0 else DEFAULT_SIGMA for u in u_iso]
    elif isinstance(given, dict):
        missing = sorted(set(symbols) - set(given))
        if missing:
            raise ValueError(f"debye_waller={given!r} lacks {missing}: give a σ for each element.")
        sigma = [given[s] for s in symbols]
    else:
        sigma = [float(given)] * len(symbols)
    sigma = np.asarray(sigma, dtype=float)
    if not np.all((sigma >= 0) & (sigma <= 0.5)):
        raise ValueError(f"debye_waller={given!r}: RMS displacements of 0 to 0.5 Å are allowed.")
    return sigma
