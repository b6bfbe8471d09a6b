"""What a synthetic scan was made from, and how it travels in the metadata of the signal."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.specs import DiskLattice

if TYPE_CHECKING:
    from orix.crystal_map import CrystalMap, Phase

__all__ = [
    "PolycrystalTruth",
    "ScanTruth",
    "StrainTruth",
    "ground_truth",
    "strain_and_rotation",
    "truth_to_dict",
]

Float = NDArray[np.floating]
Index = NDArray[np.integer]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScanTruth:
    """What a synthetic scan was made from.

    Parameters
    ----------
    tilt_x, tilt_y
        Degrees, detector axes of the recorded pattern, of the scan's shape.
    thickness
        nm, of the scan's shape.
    lattice
        Where the disks are at zero descan.
    """

    tilt_x: Float
    tilt_y: Float
    thickness: Float
    lattice: DiskLattice


@dataclass(frozen=True, eq=False)
class StrainTruth(ScanTruth):
    """What a synthetic scan of a strained crystal was made from.

    Maps have the shape of the scan. Strain is that of the crystal in real space, tensile
    positive, in detector axes: x along +kx (to the right), y along +ky (downwards). A vector
    a0 = (x, y) of the unstrained crystal has become a = F a0 with F = (I + ε)·R: first turned by
    R, then strained along the axes of the detector (left polar decomposition, finite strain, so
    e_xx = 0.01 makes a crystal in that direction 1.00 % longer). A reciprocal vector g0 has
    become g = F⁻ᵀ g0, about the direct beam. Points without a crystal hold NaN.

    Parameters
    ----------
    tilt_x, tilt_y
        Degrees, detector axes of the recorded pattern.
    thickness
        nm.
    lattice
        Disks of the unstrained crystal at zero descan.
    e_xx, e_yy, e_xy
        Components of ε, fractions. e_xy is the tensor component, half the engineering shear.
    rotation
        Of the crystal lattice against ``lattice``, degrees from +kx towards +ky (clockwise on
        the screen).
    composition
        0 in silicon, 1 in the full alloy; between, the fraction of electrons scattered as by the
        alloy.
    shift_y, shift_x
        Descan: displacement of the whole pattern, px.
    crystal, alloy, channel, reference
        Masks: where there is a crystal, where it is more than half alloyed, the channel between
        the pockets, and the substrate far from them (not entirely unstrained).
    electrons
        Incident electrons per pattern.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> truth = data.ground_truth(data.finfet((8, 12)))  # doctest: +SKIP
    >>> truth.positions.shape  # doctest: +SKIP
    (8, 12, 37, 2)
    """

    e_xx: Float
    e_yy: Float
    e_xy: Float
    rotation: Float
    composition: Float
    shift_y: Float
    shift_x: Float
    crystal: Mask
    alloy: Mask
    channel: Mask
    reference: Mask
    electrons: float

    @property
    def deformation(self) -> Float:
        """(..., 2, 2) F = (I + ε)·R in (x, y), NaN where there is no crystal."""
        stretch = _matrix([[1 + self.e_xx, self.e_xy], [self.e_xy, 1 + self.e_yy]])
        c, s = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        return stretch @ _matrix([[c, -s], [s, c]])

    @property
    def positions(self) -> Float:
        """(..., n_disk, 2) where the disks are, (y, x) px with descan; NaN without a crystal."""
        origin = np.asarray(self.lattice.origin)
        g = (self.lattice.positions - origin)[:, ::-1]  # (x, y)
        moved = g @ np.linalg.inv(self.deformation)  # rows F⁻ᵀ g
        shifts = np.stack([self.shift_y, self.shift_x], axis=-1)
        return moved[..., ::-1] + origin + shifts[..., None, :]


@dataclass(frozen=True, eq=False)
class PolycrystalTruth:
    """What a synthetic scan of a polycrystal was made from.

    Maps have the shape (n_y, n_x) of the scan. Where two sub-grains share a point, ``rotations``,
    ``grain_id``, ``subgrain_id`` and ``phase_id`` are those of the one with more electrons.

    Parameters
    ----------
    rotations
        (n_y, n_x, 4) unit quaternions, scalar first: orix rotations in the frame of pyxem's
        ``OrientationMap.to_crystal_map``, see :mod:`pyxem_mlmaps.conventions`.
    grain_id, subgrain_id, phase_id
        Numbers from 0. Those of sub-grains are unique over the scan.
    second_id
        Sub-grain across the nearest boundary, −1 where it has no share.
    fraction
        Electrons that fall on that second sub-grain, 0 to 0.5.
    thickness
        nm.
    electrons
        Incident electrons per pattern.
    origin
        (y, x) px of the direct beam.
    radius
        Of the disks, px.
    scale
        Å⁻¹ per pixel.
    crystals
        Of each phase, as libraries describe them: name, lattice, space group, atoms.

    Examples
    --------
    >>> from pyxem_mlmaps import data
    >>> truth = data.ground_truth(data.polycrystal((32, 32)))  # doctest: +SKIP
    >>> truth.rotations.shape  # doctest: +SKIP
    (32, 32, 4)
    """

    rotations: Float
    grain_id: Index
    subgrain_id: Index
    phase_id: Index
    second_id: Index
    fraction: Float
    thickness: Float
    electrons: float
    origin: tuple[float, float]
    radius: float
    scale: float
    crystals: tuple[dict[str, Any], ...]

    @property
    def pure(self) -> Mask:
        """(n_y, n_x) where all electrons fall on one sub-grain."""
        return self.fraction == 0

    @property
    def phases(self) -> tuple[Phase, ...]:
        """orix phases, in the order of ``phase_id``."""
        from pyxem_mlmaps._crystal_map import phase_from_dict

        return tuple(phase_from_dict(crystal) for crystal in self.crystals)

    def to_crystal_map(self, signal: Any = None) -> CrystalMap:
        """As an orix map, with the numbers, fractions and thicknesses as its properties.

        Parameters
        ----------
        signal
            The scan, which gives the map its step and unit. None counts in scan pixels.
        """
        from orix.crystal_map import CrystalMap, PhaseList
        from orix.quaternion import Rotation

        shape = self.grain_id.shape
        steps, unit = (1.0, 1.0), "px"
        if signal is not None:
            axes = signal.axes_manager.navigation_axes[::-1]  # y, x
            if tuple(axis.size for axis in axes) != shape:
                raise ValueError(
                    f"signal has scan axes of {[axis.size for axis in axes]} points (y, x); "
                    f"{list(shape)} is needed, as in the scan that this truth is of."
                )
            steps, unit = tuple(axis.scale for axis in axes), str(axes[0].units)
        y, x = (step * at for step, at in zip(steps, np.indices(shape), strict=True))
        names = ("grain_id", "subgrain_id", "second_id", "fraction", "thickness")
        phases = list(self.phases)
        for n, phase in enumerate(phases):
            phase.color = f"C{n}"
        return CrystalMap(
            rotations=Rotation(self.rotations.reshape(-1, 4)),
            phase_id=self.phase_id.ravel(),
            x=x.ravel(),
            y=y.ravel(),
            phase_list=PhaseList(phases, ids=list(range(len(phases)))),
            prop={name: getattr(self, name).ravel() for name in names},
            scan_unit=unit,
        )


def ground_truth(signal: Any) -> ScanTruth | StrainTruth | PolycrystalTruth:
    """What a scan of this module was made from.

    Parameters
    ----------
    signal
        From :func:`~pyxem_mlmaps.data.bent_foil`, :func:`~pyxem_mlmaps.data.finfet` or
        :func:`~pyxem_mlmaps.data.polycrystal`, also reloaded from a file. Navigation slicing does
        not slice the truth.

    Returns
    -------
    ScanTruth, StrainTruth or PolycrystalTruth
        The second for :func:`~pyxem_mlmaps.data.finfet`, the last for
        :func:`~pyxem_mlmaps.data.polycrystal`.

    Raises
    ------
    ValueError
        If the signal carries no truth, as any measured one.
    """
    node = signal.metadata.get_item("Truth", default=None)
    if node is None:
        raise ValueError("this signal carries no truth: it was not made by pyxem_mlmaps.data.")
    values = node.as_dictionary()
    if "rotations" in values:
        return _polycrystal_truth(values)
    kind = StrainTruth if "e_xx" in values else ScanTruth
    arguments = {f.name: np.asarray(values[f.name]) for f in fields(kind) if f.name in values}
    arguments["lattice"] = DiskLattice.from_dict(values["lattice"])
    if kind is StrainTruth:
        arguments["electrons"] = float(values["electrons"])
    return kind(**arguments)


def truth_to_dict(truth: ScanTruth | PolycrystalTruth) -> dict[str, Any]:
    """As it is kept in the metadata."""
    if isinstance(truth, PolycrystalTruth):
        values = {f.name: getattr(truth, f.name) for f in fields(truth)}
        # text, since files do not give lists of dictionaries back as they were
        crystals = json.dumps(list(truth.crystals))
        return values | {"origin": np.array(truth.origin), "crystals": crystals}
    kind = StrainTruth if isinstance(truth, StrainTruth) else ScanTruth
    values = {f.name: getattr(truth, f.name) for f in fields(kind)}
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.ndim == 0:
            values[name] = value.item()  # HyperSpy's files do not take arrays without a dimension
    # an array, since HyperSpy's files give long lists of lists back in another order
    lattice = truth.lattice.to_dict() | {"indices": np.array(truth.lattice.indices)}
    return values | {"lattice": lattice}


def _polycrystal_truth(values: dict[str, Any]) -> PolycrystalTruth:
    maps = ("rotations", "grain_id", "subgrain_id", "phase_id", "second_id", "fraction")
    y, x = np.asarray(values["origin"]).tolist()
    return PolycrystalTruth(
        **{name: np.asarray(values[name]) for name in (*maps, "thickness")},
        **{name: float(values[name]) for name in ("electrons", "radius", "scale")},
        origin=(y, x),
        crystals=tuple(json.loads(values["crystals"])),
    )


def strain_and_rotation(deformation: Float) -> tuple[Float, Float]:
    """ε (n, 2, 2) and the angle (n,) in degrees, x towards y, of F = (I + ε)·R (n, 2, 2)."""
    w, _, vt = np.linalg.svd(deformation)
    r = w @ vt  # the rotation of the polar decomposition
    stretch = deformation @ np.swapaxes(r, -1, -2)
    return stretch - np.eye(2), np.degrees(np.arctan2(r[:, 1, 0], r[:, 0, 0]))


def _matrix(rows: list[list[Float]]) -> Float:
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
