"""Crystals of the synthetic scans, as orix phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["gasb", "sige", "silicon", "uo2", "zirconium"]

SILICON_CELL = 5.4310
"""Å, at room temperature."""
SILICON_SIGMA = 0.076
GERMANIUM_SIGMA = 0.085


def gasb() -> Phase:
    """Gallium antimonide: zinc blende, a = 6.0959 Å, σ of 0.0843 Å (Ga) and 0.0944 Å (Sb).

    The displacements are those with which this package's simulation meets the published GaSb
    library best (``benchmarks/README.md``).

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> data.gasb().space_group.short_name
    'F-43m'
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    structure = Structure(
        lattice=Lattice(6.0959, 6.0959, 6.0959, 90, 90, 90),
        atoms=[
            Atom("Ga", [0, 0, 0], Uisoequiv=0.0843**2),
            Atom("Sb", [0.25, 0.25, 0.25], Uisoequiv=0.0944**2),
        ],
    )
    return Phase(name="GaSb", space_group=216, structure=structure)


def uo2() -> Phase:
    """Uranium dioxide: fluorite, a = 5.4704 Å, B of 0.33 Å² (U) and 0.60 Å² (O).

    The displacements, σ = √(B/8π²) of 0.065 Å and 0.087 Å, are rounded values within the spread
    of neutron diffraction at room temperature (Willis 1963, Proc. R. Soc. A 274, 122; Ruello et
    al. 2005, J. Phys. Chem. Solids 66, 823).

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> data.uo2().space_group.short_name
    'Fm-3m'
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    structure = Structure(
        lattice=Lattice(5.4704, 5.4704, 5.4704, 90, 90, 90),
        atoms=[
            Atom("U", [0, 0, 0], Uisoequiv=_mean_square(0.33)),
            Atom("O", [0.25, 0.25, 0.25], Uisoequiv=_mean_square(0.60)),
        ],
    )
    return Phase(name="UO2", space_group=225, structure=structure)


def zirconium() -> Phase:
    """α-zirconium: hexagonal close packed, a = 3.2316 Å, c = 5.1475 Å, B of 0.55 Å².

    The displacement is a typical one of the metal at room temperature, σ = √(B/8π²) = 0.083 Å.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> data.zirconium().space_group.short_name
    'P63/mmc'
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    structure = Structure(
        lattice=Lattice(3.2316, 3.2316, 5.1475, 90, 90, 120),
        atoms=[Atom("Zr", [1 / 3, 2 / 3, 0.25], Uisoequiv=_mean_square(0.55))],
    )
    return Phase(name="Zr", space_group=194, structure=structure)


def _mean_square(b: float) -> float:
    """U_iso in Å² of a B factor in Å²."""
    return b / (8 * np.pi**2)


def silicon() -> Phase:
    """Silicon: diamond structure, a = 5.4310 Å, σ of 0.076 Å (B = 0.46 Å²).

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> data.silicon().space_group.short_name
    'Fd-3m'
    """
    return sige(0.0)


def sige(x: float) -> Phase:
    """Random alloy Si₁₋ₓGeₓ without strain, as a virtual crystal: every site holds both elements.

    The lattice parameter is 5.4310 + 0.200 x + 0.027 x² Å (Vegard's law with the bowing of
    Dismukes, Ekstrom & Paff 1964, J. Phys. Chem. 68, 3021). σ is 0.076 Å (Si) and 0.085 Å (Ge),
    room temperature values of the elements; static displacements in the alloy are left out.

    Parameters
    ----------
    x
        Fraction of germanium, 0 to 1.

    Raises
    ------
    ValueError
        If ``x`` is not a fraction.

    Examples
    --------
    30 % germanium make the lattice 1.15 % larger:

    >>> from pyxem_mlmaps import data
    >>> round(data.sige(0.3).structure.lattice.a / data.silicon().structure.lattice.a - 1, 4)
    0.0115
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    if not 0 <= x <= 1:
        raise ValueError(f"x={x!r}: a fraction of germanium from 0 to 1 is allowed.")
    a = SILICON_CELL + 0.200 * x + 0.027 * x**2
    sites = (("Si", 1 - x, SILICON_SIGMA), ("Ge", x, GERMANIUM_SIGMA))
    atoms = [
        Atom(element, [0, 0, 0], occupancy=share, Uisoequiv=sigma**2)
        for element, share, sigma in sites
        if share > 0
    ]
    structure = Structure(lattice=Lattice(a, a, a, 90, 90, 90), atoms=atoms)
    name = {0.0: "Si", 1.0: "Ge"}.get(float(x), f"Si{1 - x:.3g}Ge{x:.3g}")
    return Phase(name=name, space_group=227, structure=structure)
