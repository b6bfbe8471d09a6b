"""The second job of the demo: disk positions and strain of a transistor whose strain is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import hyperspy.api as hs
import numpy as np
from numpy.typing import ArrayLike, NDArray

import pyxem_mlmaps as mlmaps

__all__ = [
    "COMPONENTS",
    "Component",
    "DeviceMaps",
    "averaged",
    "judge_strain",
    "map_device",
    "pulls_of",
    "strain_error",
    "substrate_offset",
    "with_indices_of",
]

Float = NDArray[np.float64]


class Component(NamedTuple):
    """Name in the truth, channel of a strain map, symbol, and the unit that errors are given in."""

    name: str
    channel: str
    symbol: str
    unit: str
    factor: float


COMPONENTS = (
    Component("e_xx", "e11", "ε_xx", "%", 100.0),
    Component("e_yy", "e22", "ε_yy", "%", 100.0),
    Component("e_xy", "e12", "ε_xy", "%", 100.0),
    Component("rotation", "rotation", "rotation", "m°", 1e3),
)

WINDOW = 5
"""Points on a side over which errors are averaged: noise falls to a fifth, an imprint stays."""


class DeviceMaps(NamedTuple):
    """The scan, what was found on it, and what it was made from.

    ``strain`` is what two lines give, against the median of the scan; ``absolute`` is against the
    unstrained lattice that the scan was made with, as the truth is.
    """

    signal: Any
    vectors: Any
    strain: mlmaps.MLStrainMap
    absolute: mlmaps.MLStrainMap
    truth: mlmaps.data.StrainTruth

    @property
    def lattice(self) -> mlmaps.DiskLattice:
        """The disks as they were found on the mean pattern."""
        record = self.vectors.metadata.MLDiskPositions.lattice
        return mlmaps.DiskLattice.from_dict(record.as_dictionary())


def map_device(shape: tuple[int, int], folder: Path) -> DeviceMaps:
    """Record the transistor, load it lazily, measure its disks and map its strain.

    Parameters
    ----------
    shape
        Scan points (y, x).
    folder
        Where the scan, the positions and the strain map are left.

    Returns
    -------
    DeviceMaps
    """
    mlmaps.data.finfet(shape).save(folder / "transistor.zspy", overwrite=True)
    s = hs.load(folder / "transistor.zspy", lazy=True)
    vectors = s.ml_disk_positions(lazy_output=False)
    strain = mlmaps.strain_map(vectors)
    truth = mlmaps.data.ground_truth(s)
    maps = DeviceMaps(s, vectors, strain, strain, truth)
    reference = with_indices_of(maps.lattice, truth.lattice)
    vectors.save(folder / "disk_positions.hspy", overwrite=True)
    strain.save(folder / "strain_map.hspy", overwrite=True)
    return maps._replace(absolute=mlmaps.strain_map(vectors, reference=reference))


def with_indices_of(found: mlmaps.DiskLattice, known: mlmaps.DiskLattice) -> mlmaps.DiskLattice:
    """The lattice ``known``, its disks counted as in ``found``.

    A lattice has many pairs of basis vectors; the pair of ``found`` is a combination of whole
    numbers of those of ``known``, but for strain and errors.

    Parameters
    ----------
    found, known
        Two descriptions of one lattice, in pixels.

    Returns
    -------
    DiskLattice
        Origin, indices and radius are those of ``found``.

    Raises
    ------
    ValueError
        If the two are different lattices.

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> from pyxem_mlmaps._demo_strain import with_indices_of
    >>> known = DiskLattice((64, 64), (0, 30), (30, 0), [(0, 0), (1, 0), (0, 1)], 8)
    >>> found = known.replace(g1=(30.2, 0.1), g2=(30.1, -29.9))
    >>> with_indices_of(found, known).basis.tolist()
    [[30.0, 0.0], [30.0, -30.0]]
    """
    combination = found.basis @ np.linalg.inv(known.basis)
    whole = np.round(combination)
    if np.abs(combination - whole).max() > 0.1 or round(abs(np.linalg.det(whole))) != 1:
        raise ValueError(
            f"found: its g1 and g2 are {combination.round(2).tolist()} of those known, not whole "
            "numbers of determinant 1: another lattice was found."
        )
    g1, g2 = whole @ known.basis + 0.0
    return found.replace(g1=g1, g2=g2)


# ---- comparison with the truth ------------------------------------------------------------------


def judge_strain(absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth) -> dict[str, float]:
    """Errors of a map of known strain, by name; the unit is part of the name."""
    numbers: dict[str, float] = {}
    for part in COMPONENTS:
        error = strain_error(absolute, truth, part)
        sigma = part.factor * absolute.channel(f"sigma_{part.channel}").data
        share = np.mean((np.abs(error) <= sigma)[np.isfinite(error)])
        of, unit = part.symbol, f"({part.unit})"
        numbers[f"transistor: RMS error of {of} {unit}"] = _rms(error)
        numbers[f"transistor: median σ of {of} {unit}"] = float(np.nanmedian(sigma))
        numbers[f"transistor: {of} within 1σ (%)"] = 100 * float(share)
    for part in COMPONENTS[:3]:
        left = averaged(strain_error(absolute, truth, part), WINDOW)
        name = f"transistor: error of {part.symbol}, mean of {WINDOW} x {WINDOW} points ({{}})"
        numbers[name.format(part.unit)] = _rms(left)
    for part in COMPONENTS:
        name = f"transistor: offset of {part.symbol} from the true lattice ({part.unit})"
        numbers[name] = substrate_offset(absolute, truth, part)
    sigma = absolute.channel("sigma_e11").data
    lost, sure = np.isnan(sigma[truth.crystal]), sigma < 10 * np.nanmedian(sigma)
    numbers["transistor: crystal without strain (%)"] = 100 * float(np.mean(lost))
    if not truth.crystal.all():
        share = 100 * float(np.mean(sure[~truth.crystal]))
        numbers["transistor: oxide with strain, σ below 10 x median (%)"] = share
    return numbers


def strain_error(
    absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth, part: Component
) -> Float:
    """Map less truth, both against the substrate, in the component's unit; NaN without answer.

    A microscope's camera length is not known to the last 0.03 %: real maps are against a part of
    the scan, and so is this error. What that takes away is :func:`substrate_offset`.
    """
    return _error(absolute, truth, part) - substrate_offset(absolute, truth, part)


def substrate_offset(
    absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth, part: Component
) -> float:
    """Median error in the substrate against the lattice that the scan was made with."""
    return float(np.nanmedian(_error(absolute, truth, part)[truth.reference]))


def _error(absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth, part: Component) -> Float:
    return part.factor * (absolute.channel(part.channel).data - getattr(truth, part.name))


def _rms(values: Float) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def pulls_of(absolute: mlmaps.MLStrainMap, truth: mlmaps.data.StrainTruth) -> dict[str, Float]:
    """Error over σ of every component."""
    return {
        part.symbol: strain_error(absolute, truth, part)
        / (part.factor * absolute.channel(f"sigma_{part.channel}").data)
        for part in COMPONENTS
    }


def averaged(values: ArrayLike, size: int) -> Float:
    """Mean of the finite neighbours within a square, NaN where the point itself is.

    Parameters
    ----------
    values
        (y, x) map.
    size
        Points on a side of the square, an odd number; it is cut off at the border.

    Returns
    -------
    means
        (y, x).

    Examples
    --------
    >>> from pyxem_mlmaps._demo_strain import averaged
    >>> averaged([[1.0, 2.0, 6.0]], 3)
    array([[1.5, 3. , 4. ]])
    """
    from scipy.ndimage import uniform_filter

    image = np.asarray(values, dtype=float)
    known = np.isfinite(image)
    total = uniform_filter(np.where(known, image, 0.0), size, mode="constant")
    count = uniform_filter(known.astype(float), size, mode="constant")
    return np.where(known, total / np.where(known, count, 1.0), np.nan)
