"""Frozen value types that validate themselves: a bad value never reaches a kernel.

Positions are (y, x) pairs in pixels everywhere, as in pyxem's (ky, kx) vectors.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Beam", "DiskLattice", "NoiseModel"]


def _check(condition: bool, argument: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{argument}={value!r} is not valid: {allowed}.")


def _pair(name: str, value: ArrayLike) -> tuple[float, float]:
    pair = np.asarray(value, dtype=float).ravel()
    _check(
        pair.shape == (2,) and bool(np.all(np.isfinite(pair))),
        name,
        value,
        "give two finite numbers (y, x) in pixels",
    )
    return float(pair[0]), float(pair[1])


@dataclass(frozen=True)
class Beam:
    """The electron probe.

    Parameters
    ----------
    energy
        Beam energy in keV.
    convergence_angle
        Convergence semi-angle in mrad. 0 is a plane wave.

    Raises
    ------
    ValueError
        If the energy is not within 10 to 3000 keV or the angle not within 0 to 50 mrad.

    Examples
    --------
    >>> from pyxem_mlmaps import Beam
    >>> beam = Beam(energy=300, convergence_angle=1.10)
    >>> round(beam.wavelength, 5)
    0.01969
    """

    energy: float
    convergence_angle: float

    def __post_init__(self) -> None:
        _check(10 <= self.energy <= 3000, "energy", self.energy, "10 to 3000 keV is allowed")
        _check(
            0 <= self.convergence_angle <= 50,
            "convergence_angle",
            self.convergence_angle,
            "0 to 50 mrad (semi-angle) is allowed",
        )

    @property
    def wavelength(self) -> float:
        """Relativistic wavelength in Å (300 keV: 0.01969 Å; Reimer & Kohl 2008, eq. 2.5)."""
        h_c = 12.398419843320026  # keV Å
        return h_c / float(np.sqrt(self.energy * (self.energy + 2 * 510.99895)))

    @property
    def wavenumber(self) -> float:
        """k0 = 1/λ in Å⁻¹."""
        return 1 / self.wavelength

    @property
    def aperture_radius(self) -> float:
        """Radius of the diffraction disks in Å⁻¹: k0 times the semi-angle."""
        return self.wavenumber * self.convergence_angle * 1e-3


@dataclass(frozen=True, eq=False)
class DiskLattice:
    """Where the diffraction disks lie on the detector.

    Disk ``i`` is centred at ``origin + indices[i, 0] * g1 + indices[i, 1] * g2``.

    Parameters
    ----------
    origin, g1, g2
        (y, x) pairs in pixels: the direct beam and the two lattice vectors.
    indices
        (n, 2) integers, the disks that are used.
    radius
        Disk radius in pixels.

    Raises
    ------
    ValueError
        If a number is not finite, g1 and g2 are collinear, the radius is not positive,
        an index appears twice or ``indices`` is not (n, 2).

    Examples
    --------
    >>> from pyxem_mlmaps import DiskLattice
    >>> lattice = DiskLattice((64, 64), (0, 30), (30, 0), [(0, 0), (1, 0), (0, 1)], 8)
    >>> lattice.positions
    array([[64., 64.],
           [64., 94.],
           [94., 64.]])
    """

    origin: tuple[float, float]
    g1: tuple[float, float]
    g2: tuple[float, float]
    indices: NDArray[np.int64]
    radius: float

    def __post_init__(self) -> None:
        for name in ("origin", "g1", "g2"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        indices = np.array(self.indices)
        _check(
            indices.ndim == 2 and indices.shape[1] == 2 and len(indices) > 0,
            "indices",
            f"array of shape {indices.shape}",
            "give an (n, 2) array of integers, n >= 1",
        )
        _check(
            bool(np.all(indices == np.round(indices))),
            "indices",
            "non-integer values",
            "disk indices are integers",
        )
        indices = indices.astype(np.int64)
        _check(
            len(np.unique(indices, axis=0)) == len(indices),
            "indices",
            "repeated rows",
            "each disk may appear once",
        )
        indices.flags.writeable = False
        object.__setattr__(self, "indices", indices)
        radius = float(self.radius)
        _check(np.isfinite(radius) and radius > 0, "radius", self.radius, "positive pixels")
        object.__setattr__(self, "radius", radius)
        area = abs(self.g1[0] * self.g2[1] - self.g1[1] * self.g2[0])
        lengths = np.hypot(*self.g1) * np.hypot(*self.g2)
        _check(
            area > 1e-3 * lengths and lengths > 0,
            "g1, g2",
            (self.g1, self.g2),
            "the two lattice vectors must not be zero or collinear",
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DiskLattice):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    @property
    def basis(self) -> NDArray[np.float64]:
        """(2, 2) array, rows g1 and g2 as (y, x)."""
        return np.array([self.g1, self.g2])

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n, 2) disk centres, (y, x) in pixels."""
        return np.asarray(self.origin) + self.indices @ self.basis

    @property
    def smallest_distance(self) -> float:
        """Distance in pixels between the two closest neighbouring disks of the lattice."""
        n = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4) if (i, j) != (0, 0)])
        return float(np.min(np.hypot(*(n @ self.basis).T)))

    def replace(self, **changes: Any) -> DiskLattice:
        """A copy with some fields changed.

        Parameters
        ----------
        **changes
            New values by the names of the fields.
        """
        return replace(self, **changes)

    def check_fits(self, detector_shape: tuple[int, int]) -> None:
        """Raise if a disk leaves the detector or if disks overlap.

        Parameters
        ----------
        detector_shape
            (ky, kx) size of a pattern in pixels.

        Raises
        ------
        ValueError
            Naming the first disk that does not fit, or the overlap.
        """
        if self.smallest_distance < 2 * self.radius:
            raise ValueError(
                f"radius={self.radius:g} px makes neighbouring disks overlap: they are "
                f"{self.smallest_distance:.2f} px apart and that is less than two radii. Give a "
                "smaller radius, or record with a smaller convergence angle or a longer camera "
                "length."
            )
        low = self.positions - self.radius
        high = self.positions + self.radius
        off = np.any((low < -0.5) | (high > np.array(detector_shape) - 0.5), axis=1)
        if off.any():
            first = int(np.flatnonzero(off)[0])
            y, x = self.positions[first]
            raise ValueError(
                f"lattice: {int(off.sum())} of {len(self)} disks fall off the detector of "
                f"{detector_shape[0]} x {detector_shape[1]} px, the first is "
                f"{tuple(int(i) for i in self.indices[first])} at (y, x) = ({y:.1f}, {x:.1f}) "
                f"with radius {self.radius:g}. Leave those indices out and train with the rest, "
                "or correct origin, g1 and g2."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as kept in metadata."""
        return {
            "origin": list(self.origin),
            "g1": list(self.g1),
            "g2": list(self.g2),
            "indices": self.indices.tolist(),
            "radius": self.radius,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DiskLattice:
        """The inverse of :meth:`to_dict`."""
        return cls(**values)

    @classmethod
    def from_signal(cls, signal: Any, *args: Any, **kwargs: Any) -> DiskLattice:
        """Find the lattice on the mean pattern.

        Parameters
        ----------
        signal
            Diffraction2D, lazy or not, or a (ky, kx) array that is the mean pattern.
        *args, **kwargs
            As for :func:`pyxem_mlmaps.mapping.lattice.find_lattice`: a model or library whose disks
            are looked for, ``radius``, ``n_disks``, ``mirror``, ``max_patterns``.

        Returns
        -------
        DiskLattice
            The disks of the model in its order, or all that lie on the detector.

        Examples
        --------
        >>> lattice = DiskLattice.from_signal(s, model)  # doctest: +SKIP
        """
        from pyxem_mlmaps.mapping.lattice import find_lattice

        return find_lattice(signal, *args, **kwargs)

    def plot(self, pattern: Any = None, **kwargs: Any) -> Any:
        """Draw the disks on a pattern.

        Parameters
        ----------
        pattern
            (ky, kx) array, or a signal whose mean over the scan is taken; None draws the disks
            alone.
        **kwargs
            For :func:`pyxem_mlmaps.plotting.plot_lattice`.
        """
        from pyxem_mlmaps.plotting import plot_lattice

        return plot_lattice(self, pattern, **kwargs)


def _range(name: str, value: ArrayLike, low: float, high: float, unit: str):
    pair = np.atleast_1d(np.asarray(value, dtype=float))
    if pair.size == 1:
        pair = np.repeat(pair, 2)
    _check(
        pair.shape == (2,) and low <= pair[0] <= pair[1] <= high,
        name,
        value,
        f"give one number or (low, high) within {low:g} to {high:g} {unit}",
    )
    return float(pair[0]), float(pair[1])


@dataclass(frozen=True)
class NoiseModel:
    """What lies between a simulated disk intensity and a measured one.

    A number fixes a quantity, a pair (low, high) is a range from which every training sample
    draws: log-uniform for ``dose`` and ``white``, uniform for the others.

    Parameters
    ----------
    dose
        Electrons in all disks of a pattern together: Poisson noise. None: no Poisson noise.
    white
        Standard deviation of white noise on a disk's summed intensity, as a fraction of the
        mean disk intensity of the pattern. 0: none.
    background
        Inelastic background under the disks, as a fraction of all counts in the disks: half flat,
        half a tail around the direct beam. Under-subtracted backgrounds have the same form.
    psf
        Fraction of a disk's counts that the detector's point spread puts into the neighbouring
        disks' windows.
    model_error
        Relative error of a simulated intensity that remains after all else: unknown bonding,
        Debye-Waller factors, absorption. Drawn for every disk, log-normal.
    dead_disks
        Probability that a disk carries no signal (dead pixels, beam stop): it is then to be
        given as NaN to ``predict``, and the network sees a zero.

    Raises
    ------
    ValueError
        Naming the argument, the value and the allowed range.

    Examples
    --------
    >>> from pyxem_mlmaps import NoiseModel
    >>> NoiseModel(dose=(1e4, 1e6), background=(0, 0.3)).dose
    (10000.0, 1000000.0)
    """

    dose: tuple[float, float] | float | None = (1e4, 1e6)
    white: tuple[float, float] | float = 0.0
    background: tuple[float, float] | float = 0.0
    psf: tuple[float, float] | float = 0.0
    model_error: tuple[float, float] | float = 0.0
    dead_disks: float = 0.0

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if self.dose is not None:
            set_field(self, "dose", _range("dose", self.dose, 1.0, 1e15, "electrons"))
        for name, high in (
            ("white", 10.0),
            ("background", 10.0),
            ("psf", 0.5),
            ("model_error", 1.0),
        ):
            set_field(self, name, _range(name, getattr(self, name), 0.0, high, "(a fraction)"))
        _check(
            0 <= self.dead_disks <= 0.5, "dead_disks", self.dead_disks, "a probability up to 0.5"
        )
        low, high = self.white
        _check(low > 0 or high == 0, "white", self.white, "the low end of a range must be above 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as kept in a model card."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NoiseModel:
        """The inverse of :meth:`to_dict`; unknown keys are refused."""
        known = {f.name for f in fields(cls)}
        _check(set(values) <= known, "noise", sorted(set(values) - known), f"fields are {known}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
