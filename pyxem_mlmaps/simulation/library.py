"""The rocking library: disk intensities over tilt and thickness, and what made them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps.simulation.template import LatticeTemplate
from pyxem_mlmaps.specs import Beam

__all__ = ["RockingLibrary"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class RockingLibrary:
    """Integrated disk intensities I_g(tilt, thickness) of a crystal.

    Parameters
    ----------
    intensities
        (n_tilt_x, n_tilt_y, n_thickness, n_disk), any scale, finite and not negative. NumPy or
        dask array.
    tilt_x, tilt_y
        (n_tilt_x,), (n_tilt_y,) evenly spaced and ascending, degrees: the zone axis pierces the
        detector plane at k0·(tilt_x along kx, tilt_y along ky).
    thickness
        (n_thickness,) ascending, nm.
    indices
        (n_disk, 2 or 3) integers: disk numbers (n1, n2) of a lattice, or Miller indices.
    vectors
        (n_disk, 2) reciprocal lattice vectors (ky, kx) in Å⁻¹ in detector axes, where known.
        With them a map can tell how the recorded pattern is turned against the library.
    beam
        The beam it was simulated for, where known.
    crystal
        Description of the crystal (name, lattice, atoms), where known.
    base_rotation
        Unit quaternion (4,) of the crystal at zero tilt, in pyxem's frame, where known.
    parameters
        Everything else that made it.
    maps
        (n_tilt_x + 2m, n_tilt_y + 2m, n_thickness, n_disk) plane-wave intensities behind the
        disks, on the same tilt step, m grid points beyond the library on each side.

    Raises
    ------
    ValueError
        Naming the argument that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps import RockingLibrary
    >>> tilt = np.linspace(-0.1, 0.1, 5)
    >>> intensities = np.random.default_rng(0).random((5, 5, 3, 4))
    >>> RockingLibrary(intensities, tilt, tilt, [60, 65, 70], [(0, 0), (1, 0), (0, 1), (1, 1)])
    RockingLibrary(5 x 5 tilts (±0.1°, ±0.1°), 3 thicknesses (60 to 70 nm), 4 disks)
    """

    intensities: Any
    tilt_x: NDArray[np.float64]
    tilt_y: NDArray[np.float64]
    thickness: NDArray[np.float64]
    indices: NDArray[np.int64]
    vectors: NDArray[np.float64] | None = None
    beam: Beam | None = None
    crystal: dict[str, Any] | None = None
    base_rotation: NDArray[np.float64] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    maps: Any = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in ("tilt_x", "tilt_y", "thickness"):
            put(name, _axis(name, getattr(self, name), even=name != "thickness"))
        indices = np.array(self.indices)
        if indices.ndim != 2 or indices.shape[1] not in (2, 3):
            raise ValueError(f"indices has shape {indices.shape}; (n_disk, 2 or 3) is needed.")
        put("indices", indices.astype(np.int64))
        if not hasattr(self.intensities, "dask"):
            put("intensities", np.asarray(self.intensities, dtype=np.float32))
        expected = (len(self.tilt_x), len(self.tilt_y), len(self.thickness), len(indices))
        if self.intensities.shape != expected:
            raise ValueError(
                f"intensities has shape {self.intensities.shape}; tilt_x, tilt_y, thickness and "
                f"indices make {expected} (n_tilt_x, n_tilt_y, n_thickness, n_disk)."
            )
        if isinstance(self.intensities, np.ndarray) and not (
            np.all(np.isfinite(self.intensities)) and self.intensities.min() >= 0
        ):
            raise ValueError("intensities has NaN, infinite or negative values; clean them first.")
        if self.vectors is not None:
            put("vectors", np.asarray(self.vectors, dtype=float))
            if self.vectors.shape != (len(indices), 2):
                raise ValueError(
                    f"vectors has shape {self.vectors.shape}; (n_disk, 2) = ({len(indices)}, 2) "
                    "is needed, (ky, kx) in Å⁻¹."
                )
        if self.base_rotation is not None:
            put("base_rotation", np.asarray(self.base_rotation, dtype=float).ravel())

    def __repr__(self) -> str:
        x, y, t = self.tilt_x, self.tilt_y, self.thickness
        return (
            f"RockingLibrary({len(x)} x {len(y)} tilts ({_span(x)}, {_span(y)}), {len(t)} "
            f"thickness{'es' if len(t) > 1 else ''} ({t[0]:g} to {t[-1]:g} nm), "
            f"{len(self.indices)} disks)"
        )

    @property
    def is_lazy(self) -> bool:
        """Whether the intensities are a dask array."""
        return hasattr(self.intensities, "dask")

    @property
    def mean_intensity(self) -> NDArray[np.float64]:
        """(n_disk,) mean over tilt and thickness."""
        return np.asarray(self.intensities.mean(axis=(0, 1, 2)), dtype=float)

    def lattice_template(self) -> LatticeTemplate:
        """What :meth:`DiskLattice.from_signal` needs to know of the crystal."""
        if self.vectors is None:
            raise ValueError(
                "this library was made from arrays without reciprocal lattice vectors; give "
                "vectors=(n_disk, 2) in Å⁻¹, or call DiskLattice.from_signal without it."
            )
        return LatticeTemplate(
            indices=self.indices, vectors=self.vectors, mean_intensity=self.mean_intensity
        )

    def compute(self, show_progressbar: bool | None = None, num_workers: int | None = None):
        """The library in memory.

        Parameters
        ----------
        show_progressbar, num_workers
            As in HyperSpy.
        """
        if not self.is_lazy:
            return self
        from pyxem_mlmaps._progress import compute

        arrays = [self.intensities] if self.maps is None else [self.intensities, self.maps]
        values = compute(
            *arrays, show_progressbar=show_progressbar, num_workers=num_workers, text="Simulating"
        )
        return replace(self, intensities=values[0], maps=None if len(values) == 1 else values[1])

    def sel(self, thickness: slice | ArrayLike) -> RockingLibrary:
        """The library at some of its thicknesses.

        Parameters
        ----------
        thickness
            A slice in nm, both ends included, or the values themselves.
        """
        if isinstance(thickness, slice):
            low = -np.inf if thickness.start is None else thickness.start
            high = np.inf if thickness.stop is None else thickness.stop
            chosen = np.flatnonzero((self.thickness >= low) & (self.thickness <= high))
        else:
            wanted = np.atleast_1d(np.asarray(thickness, dtype=float))
            chosen = np.array([int(np.argmin(np.abs(self.thickness - w))) for w in wanted])
            if not np.allclose(self.thickness[chosen], wanted):
                raise ValueError(f"thickness={wanted}: the library has {self.thickness} nm.")
        if not len(chosen):
            raise ValueError(f"thickness={thickness!r} selects none of {self.thickness} nm.")
        return replace(
            self,
            intensities=self.intensities[:, :, chosen],
            thickness=self.thickness[chosen],
            maps=None if self.maps is None else self.maps[:, :, chosen],
        )

    def plot(self, **kwargs: Any) -> Any:
        """Draw rocking maps; see :func:`pyxem_mlmaps.plotting.plot_rocking`.

        Parameters
        ----------
        **kwargs
            As for :func:`pyxem_mlmaps.plotting.plot_rocking`.
        """
        from pyxem_mlmaps.plotting import plot_rocking

        return plot_rocking(self, **kwargs)

    def save(
        self, path: str | Path, overwrite: bool = False, show_progressbar: bool | None = None
    ) -> None:
        """Write a zarr group with every parameter that made the library.

        Parameters
        ----------
        path
            For example ``"gasb.zarr"``.
        overwrite
            Whether an existing store may be replaced.
        show_progressbar
            As in HyperSpy.
        """
        from pyxem_mlmaps.simulation._store import save_library

        save_library(self, Path(path), overwrite, show_progressbar)

    @classmethod
    def load(cls, path: str | Path, lazy: bool = False) -> RockingLibrary:
        """Read a library written by :meth:`save`.

        Parameters
        ----------
        path
            Of the zarr group.
        lazy
            Whether the arrays stay on disk.
        """
        from pyxem_mlmaps.simulation._store import load_library

        return load_library(Path(path), lazy)


def _axis(name: str, values: ArrayLike, even: bool) -> NDArray[np.float64]:
    axis = np.atleast_1d(np.array(values, dtype=float))
    unit = "degrees" if even else "nm"
    if axis.ndim != 1 or not np.all(np.isfinite(axis)):
        raise ValueError(f"{name} must be a 1-D array of finite numbers in {unit}.")
    steps = np.diff(axis)
    if np.any(steps <= 0):
        raise ValueError(f"{name}={axis[:4]}… must ascend strictly ({unit}).")
    if even and (len(axis) < 4 or np.ptp(steps) > 1e-3 * steps.mean()):
        raise ValueError(
            f"{name} must be at least 4 evenly spaced values; steps run from {steps.min():g} to "
            f"{steps.max():g} degrees. Interpolate the library onto an even grid first."
            if len(axis) > 1
            else f"{name} has one value; at least 4 evenly spaced ones are needed."
        )
    if not even and axis[0] <= 0:
        raise ValueError(f"thickness={axis[0]:g} nm: it must be above 0.")
    return axis


def _span(axis: NDArray[np.float64]) -> str:
    if np.isclose(axis[0], -axis[-1]):
        return f"±{axis[-1]:g}°"
    return f"{axis[0]:g} to {axis[-1]:g}°"
