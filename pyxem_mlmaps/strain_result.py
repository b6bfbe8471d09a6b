"""The strain map that ``strain_map`` returns: pyxem's ``StrainMap`` with its uncertainties."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import hyperspy.signals
import numpy as np
from hyperspy.signals import LazySignal, Signal2D
from numpy.typing import NDArray
from pyxem.signals import StrainMap

from pyxem_mlmaps.mapping.strain_tensor import axis_transformation

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import Figure

__all__ = ["CHANNELS", "MAPS", "LazyMLStrainMap", "MLStrainMap"]

CHANNELS = ("e11", "e22", "e12", "theta")
"""What the navigation axis holds: strains as fractions, the rotation in radians, as in pyxem."""

MAPS = ("rotation", *(f"sigma_{name}" for name in (*CHANNELS, "rotation")), "residual", "n_disks")
"""Further maps that :meth:`MLStrainMap.channel` gives."""

_PYXEM_PLOT = {
    *("cmap", "axes_decor", "scalebar", "scalebar_color", "tight_layout", "per_row", "label")
}
_UNITS = {"theta": "rad", "rotation": "deg", "residual": "px"}
_NODE = "MLStrainMap"
_PAIRS = np.triu_indices(len(CHANNELS))
_N_PAIRS = len(_PAIRS[0])


def _map_property(name: str, text: str) -> property:
    return property(lambda self: self.channel(name), doc=text)


class MLStrainMap(StrainMap):
    """Strain and rotation at every scan position, with standard uncertainties.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`pyxem.signals.StrainMap`: data (4, scan y, scan x), the channels
        :data:`CHANNELS` along the navigation axis. :func:`pyxem_mlmaps.strain_map` makes it; a
        line scan is an image of one row, a single pattern an image of one pixel.

    Notes
    -----
    Strain is that of the crystal in real space, tension positive. e11 is along the chosen x axis
    (kx, to the right, by default), e22 along y, a quarter turn further (ky, down), e12 the tensor
    shear. θ turns the crystal from x towards y. See :func:`pyxem_mlmaps.strain_map`.

    Covariances, residual and number of disks are kept in ``metadata.MLStrainMap.maps``. They are
    saved with the map, and ranges of ``isig`` cut them along; after arithmetic, ``rebin``,
    ``crop`` or ``transpose`` they are no longer to be had.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.strain_result import MLStrainMap
    >>> strain = MLStrainMap(np.zeros((4, 20, 30)))
    >>> strain.e11
    <Signal2D, title: e11, dimensions: (|30, 20)>
    """

    _signal_type = "ml_strain_map"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        basis = kwargs.pop("current_basis_x", None)
        # Past StrainMap.__init__, which would put the basis back to (1, 0) at every reload.
        Signal2D.__init__(self, *args, **kwargs)
        if basis is not None:
            self._set("basis_x", [float(v) for v in basis])

    # ---- channels ---------------------------------------------------------------------------

    def channel(self, name: str) -> BaseSignal:
        """One channel, or one of the further maps, as an image of the scan.

        Parameters
        ----------
        name
            One of :data:`CHANNELS` or :data:`MAPS`. ``rotation`` is θ in degrees.

        Returns
        -------
        signal
            ``Signal2D`` for a two-dimensional scan, ``Signal1D`` for a line, ``BaseSignal`` for a
            point, lazy if this signal is lazy; axes calibrated as the scan.

        Raises
        ------
        ValueError
            If there is no such map, or channels were cut away with ``inav``, or the further maps
            do not belong to this scan (any more).
        """
        if name not in CHANNELS + MAPS:
            allowed = ", ".join(CHANNELS + MAPS)
            raise ValueError(f"name={name!r} is not valid: maps are {allowed}.")
        plain = name.replace("rotation", "theta")  # the same map in degrees
        if plain in CHANNELS:
            self._require_all_channels()
            values = self.data[CHANNELS.index(plain)]
        elif plain.startswith("sigma_"):
            i = CHANNELS.index(plain.removeprefix("sigma_"))
            values = np.sqrt(self.covariance[i, i])
        else:
            values = self._maps()[_N_PAIRS + ("residual", "n_disks").index(plain)]
        signal = self._as_image(np.degrees(values) if "rotation" in name else values)
        unit = _UNITS.get(name.removeprefix("sigma_"), "")
        title = name.replace("sigma_", "σ ").replace("n_disks", "number of disks")
        signal.metadata.General.title = title
        signal.metadata.set_item("Signal.quantity", f"{title} ({unit})" if unit else title)
        return signal

    e11 = _map_property("e11", "Strain along the x axis, a fraction.")
    e22 = _map_property("e22", "Strain along the y axis, a fraction.")
    e12 = _map_property("e12", "Tensor shear strain (half the engineering shear), a fraction.")
    theta = _map_property("theta", "Rotation of the crystal from x towards y in radians.")
    rotation = _map_property("rotation", "Rotation of the crystal from x towards y in degrees.")
    residual = _map_property("residual", "Weighted rms distance of the disks from the lattice, px.")
    n_disks = _map_property("n_disks", "Number of disks that the lattice was fitted to.")

    @property
    def sigma(self) -> BaseSignal:
        """Standard uncertainties, laid out as the map: e11, e22, e12, θ in radians."""
        values = np.sqrt(np.einsum("ii...->i...", self.covariance))
        signal = Signal2D(values, axes=[a.get_axis_dictionary() for a in self._axes])
        signal.metadata.General.title = "σ of strain and rotation"
        return signal

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(4, 4, scan y, scan x) covariance of (e11, e22, e12, θ) at every scan position."""
        maps = self._maps()
        full = np.empty((4, 4, *maps.shape[1:]))
        full[_PAIRS] = full[_PAIRS[::-1]] = maps[:_N_PAIRS]
        return full

    @property
    def reference(self) -> dict[str, Any]:
        """The unstrained lattice: ``source``, ``g1`` and ``g2`` as (ky, kx), ``units``."""
        return self._get("reference") or {}

    @property
    def current_basis_x(self) -> list[float]:
        """Unit vector of the x axis, (kx, ky) components."""
        return [float(v) for v in self._get("basis_x") or (1.0, 0.0)]

    @property
    def current_basis_y(self) -> list[float]:
        """Unit vector of the y axis, a quarter turn from x, (kx, ky) components."""
        x, y = self.current_basis_x
        return [-y, x]

    # ---- other axes, figures ----------------------------------------------------------------

    def rotate_strain_basis(self, x_new: Sequence[float]) -> MLStrainMap:
        """The same strain in other axes, with its uncertainties.

        Parameters
        ----------
        x_new
            (x, y) of a point on the new x axis, in (kx, ky) and not in the present axes.

        Returns
        -------
        strain
            A new map. θ is the same in all axes.

        Raises
        ------
        ValueError
            If ``x_new`` is not two finite numbers or both are zero.

        Examples
        --------
        >>> import numpy as np
        >>> from pyxem_mlmaps.strain_result import MLStrainMap
        >>> strain = MLStrainMap(np.full((4, 2, 2), [[[0.02]], [[0.0]], [[0.0]], [[0.0]]]))
        >>> float(strain.rotate_strain_basis([0, 1]).e22.data[0, 0].round(12))
        0.02
        """
        vector = np.asarray(x_new, dtype=float)
        if vector.shape != (2,) or not np.all(np.isfinite(vector)) or not np.any(vector):
            raise ValueError(
                f"x_new={x_new!r} is not valid: give two numbers (x, y), not both zero, that point "
                "along the new x axis."
            )
        self._require_all_channels()
        x, y = self.current_basis_x
        angle = np.degrees(np.arctan2(vector[1], vector[0]) - np.arctan2(y, x))
        to_new = axis_transformation(angle)
        data = sum(to_new[:, i, None, None] * self.data[i] for i in range(len(CHANNELS)))
        result = self._deepcopy_with_new_data(data)
        result._set("basis_x", (vector / np.hypot(*vector)).tolist())
        if self._get("maps") is not None:
            covariance = np.einsum("ai,ij...,bj->ab...", to_new, self.covariance, to_new)
            result.set_maps(covariance, *self._maps()[_N_PAIRS:])
        return result

    def plot(self, *args: Any, return_figure: bool = False, **kwargs: Any) -> Any:
        """Draw strain in per cent and rotation in degrees.

        Parameters
        ----------
        *args, return_figure, **kwargs
            For :meth:`plot_strain`. Arguments of :meth:`pyxem.signals.StrainMap.plot` (``cmap``,
            ``label``, ``scalebar``, …) draw pyxem's figure of the four channels instead.

        Examples
        --------
        >>> import numpy as np
        >>> from pyxem_mlmaps.strain_result import MLStrainMap
        >>> figure = MLStrainMap(np.zeros((4, 20, 30))).plot(return_figure=True, figsize=3.4)
        """
        if args or set(kwargs) & _PYXEM_PLOT:
            return super().plot(*args, **kwargs)
        return self.plot_strain(return_figure=return_figure, **kwargs)

    def plot_strain(self, *, return_figure: bool = False, **kwargs: Any) -> Figure | None:
        """Draw strain in per cent and rotation in degrees.

        Parameters
        ----------
        return_figure
            Whether to return the figure.
        **kwargs
            For :func:`pyxem_mlmaps.plotting.plot_strain_map`.
        """
        from pyxem_mlmaps.plotting import plot_strain_map

        figure = plot_strain_map(self, **kwargs)
        return figure if return_figure else None

    # ---- what strain_map records ------------------------------------------------------------

    def set_maps(
        self,
        covariance: NDArray[np.floating],
        residual: NDArray[np.floating],
        n_disks: NDArray[np.floating],
    ) -> None:
        """Keep covariance, residual and number of disks with the map.

        Parameters
        ----------
        covariance
            (4, 4, scan y, scan x) of e11, e22, e12 and θ.
        residual
            (scan y, scan x) in px.
        n_disks
            (scan y, scan x).
        """
        self._set("maps", np.concatenate([covariance[_PAIRS], [residual, n_disks]]))

    def warn_of_bad_points(self) -> None:
        """Warn with a count if scan points have no answer; the rest of the map stands."""
        bad = int(np.isnan(self.data[0]).sum())
        if bad:
            warnings.warn(
                f"{bad} of {self.data[0].size} scan points have fewer than three usable disks that "
                "are not on one line, or are mirrored against the reference, and are NaN.",
                stacklevel=3,
            )

    def _slicer(self, slices: Any, isNavigation: bool | None = None, out: Any = None) -> Any:
        """HyperSpy's slicing; ``isig`` takes the further maps along."""
        result = super()._slicer(slices, isNavigation, out=out)
        if isNavigation is False and self._get("maps") is not None:
            scan = self._get_array_slices(slices, isNavigation)[-2:]
            target = result if out is None else out
            target.metadata.set_item(f"{_NODE}.maps", self._maps()[(slice(None), *scan)])
        return result

    def transpose(self, *args: Any, **kwargs: Any) -> MLStrainMap:
        """As in HyperSpy; the further maps are not taken along.

        Parameters
        ----------
        *args, **kwargs
            As for every signal of HyperSpy.
        """
        return _without_maps(super().transpose(*args, **kwargs))

    def swap_axes(self, *args: Any, **kwargs: Any) -> MLStrainMap:
        """As in HyperSpy; the further maps are not taken along.

        Parameters
        ----------
        *args, **kwargs
            As for every signal of HyperSpy.
        """
        return _without_maps(super().swap_axes(*args, **kwargs))

    def _binary_operator_ruler(self, other: Any, op_name: str) -> MLStrainMap:
        """Arithmetic makes other numbers, which the uncertainties are not those of."""
        return _without_maps(super()._binary_operator_ruler(other, op_name))

    def _unary_operator_ruler(self, op_name: str) -> MLStrainMap:
        return _without_maps(super()._unary_operator_ruler(op_name))

    def _maps(self) -> NDArray[np.float64]:
        maps = self._get("maps")
        if maps is None or np.shape(maps)[1:] != self.data.shape[-2:]:
            raise ValueError(
                "this map has no uncertainties, residual and number of disks (any more): they come "
                "with strain_map, and are lost by arithmetic, rebin, crop and transpose. Cut with "
                "ranges of isig instead, and take channels before you calculate."
            )
        return np.asarray(maps, dtype=float)

    def _require_all_channels(self) -> None:
        if self.data.ndim != 3 or len(self.data) != len(CHANNELS):
            raise ValueError(
                f"the data have shape {self.data.shape}, but a strain map is (4, scan y, scan x) "
                f"with the channels {', '.join(CHANNELS)}. Do not slice it with inav: use "
                "channel(name) on the whole map."
            )

    def _as_image(self, values: Any) -> BaseSignal:
        n = self.scan_dimension
        axes = [a.get_axis_dictionary() for a in self.axes_manager.signal_axes[::-1]][2 - n :]
        lazy = hasattr(values, "dask")
        kinds = ("LazySignal", "LazySignal1D", "LazySignal2D")
        name = (kinds if lazy else ("BaseSignal", "Signal1D", "Signal2D"))[n]
        values = values.reshape(values.shape[2 - n :] if n else (1,))
        signal_class = getattr(hyperspy.signals, name)
        return signal_class(values if lazy else np.array(values), **({"axes": axes} if n else {}))

    @property
    def scan_dimension(self) -> int:
        """2 for an area, 1 for a line (an image of one row), 0 for a point."""
        return int(self._get("scan_dimension", 2))

    @property
    def _axes(self) -> tuple[Any, ...]:
        return (*self.axes_manager.navigation_axes, *self.axes_manager.signal_axes[::-1])

    def _get(self, key: str, default: Any = None) -> Any:
        value = self.metadata.get_item(f"{_NODE}.{key}", default=default)
        return value.as_dictionary() if hasattr(value, "as_dictionary") else value

    def _set(self, key: str, value: Any) -> None:
        self.metadata.set_item(f"{_NODE}.{key}", value)


def _without_maps(result: Any) -> Any:
    """A signal that keeps the record of where it comes from but not what belongs to each point."""
    if isinstance(result, MLStrainMap) and result._get("maps") is not None:
        del result.metadata[_NODE].maps
    return result


class LazyMLStrainMap(LazySignal, MLStrainMap):
    """The lazy variant of :class:`MLStrainMap`.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`MLStrainMap`.
    """

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, then draw.

        Parameters
        ----------
        *args, **kwargs
            As for :meth:`MLStrainMap.plot`.
        """
        computed = self.deepcopy()
        computed.compute()
        return MLStrainMap.plot(computed, *args, **kwargs)
