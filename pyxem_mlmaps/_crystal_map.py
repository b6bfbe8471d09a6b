"""From tilts and a base orientation to an orix crystal map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.conventions import tilted_rotation

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase
    from orix.quaternion import Rotation

__all__ = ["crystal_map_from_tilts", "phase_from_dict"]


def crystal_map_from_tilts(
    properties: Mapping[str, NDArray[np.floating]],
    coordinates: Sequence[NDArray[np.floating]],
    scan_unit: str,
    phase: Phase,
    base: Rotation,
) -> CrystalMap:
    """Build the map.

    Parameters
    ----------
    properties
        Arrays of the scan's shape: ``tilt_x`` and ``tilt_y`` in degrees, and whatever else is to
        become a property of the map.
    coordinates
        Positions along the scan's axes, slow axis first: (y, x), (x,) or nothing for a point.
        They are counted from the first point, as in pyxem.
    scan_unit
        Unit of the coordinates.
    phase, base
        The crystal, and its orix rotation at zero tilt.

    Returns
    -------
    xmap
        Points whose tilt is not finite are kept and not indexed (phase id −1, identity rotation).

    Examples
    --------
    >>> import numpy as np
    >>> from orix.crystal_map import Phase
    >>> from orix.quaternion import Rotation
    >>> tilts = {"tilt_x": np.array([0.0, np.nan]), "tilt_y": np.zeros(2)}
    >>> xmap = crystal_map_from_tilts(
    ...     tilts, [np.arange(2.0)], "nm", Phase("Si", space_group=227), Rotation.identity()
    ... )
    >>> xmap.phase_id
    array([ 0, -1])
    """
    from orix.crystal_map import CrystalMap, PhaseList
    from orix.quaternion import Rotation

    flat = {name: np.asarray(values, dtype=float).ravel() for name, values in properties.items()}
    indexed = np.isfinite(flat["tilt_x"]) & np.isfinite(flat["tilt_y"])
    quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (indexed.size, 1))
    if indexed.any():
        tilted = tilted_rotation(base, flat["tilt_x"][indexed], flat["tilt_y"][indexed])
        quaternions[indexed] = tilted.data
    grid = np.meshgrid(*[np.asarray(c) - np.min(c) for c in coordinates], indexing="ij")
    grid = [c.ravel() for c in grid] or [np.zeros(1)]
    return CrystalMap(
        rotations=Rotation(quaternions),
        phase_id=np.where(indexed, 0, -1),
        x=grid[-1],
        y=grid[-2] if len(grid) > 1 else None,
        phase_list=PhaseList(phase, ids=0),
        prop=flat,
        scan_unit=scan_unit,
    )


def phase_from_dict(values: Mapping[str, Any]) -> Phase:
    """orix phase from the plain values that libraries, cards and metadata keep.

    Parameters
    ----------
    values
        ``lattice`` (a, b, c in Å, then angles in degrees) is needed; ``name``, ``space_group``
        (number), ``point_group`` (name, used without a space group), ``symbols``, ``positions``
        (fractional), ``occupancy`` and ``sigma`` (RMS displacement in Å) are optional.

    Returns
    -------
    phase

    Examples
    --------
    >>> phase_from_dict({"name": "Si", "space_group": 227, "lattice": [5.43] * 3 + [90] * 3})
    <name: Si. space group: Fd-3m. point group: m-3m. proper point group: 432. color: tab:blue>
    """
    from diffpy.structure import Atom, Lattice, Structure
    from orix.crystal_map import Phase

    symbols = values.get("symbols") or []
    positions = values.get("positions") or []
    occupancy = values.get("occupancy") or [1.0] * len(symbols)
    sigma = values.get("sigma") or [0.0] * len(symbols)
    atoms = [
        Atom(symbol, xyz, occupancy=float(o), Uisoequiv=float(u) ** 2)
        for symbol, xyz, o, u in zip(symbols, positions, occupancy, sigma, strict=True)
    ]
    structure = Structure(atoms=atoms, lattice=Lattice(*[float(v) for v in values["lattice"]]))
    space_group, point_group = values.get("space_group"), values.get("point_group")
    return Phase(
        name=values.get("name") or "",
        space_group=None if space_group is None else int(space_group),
        point_group=point_group if space_group is None else None,
        structure=structure,
    )
