"""The orientation map that ``ml_orientation_map`` returns, as a HyperSpy signal."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import hyperspy.signals
import numpy as np
from hyperspy.signals import LazySignal, Signal1D
from numpy.typing import NDArray
from traits.api import Undefined

from pyxem_mlmaps._provenance import Provenance

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import Figure
    from orix.crystal_map import CrystalMap, Phase
    from orix.quaternion import Rotation

__all__ = ["CHANNELS", "UNITS", "LazyMLOrientationMap", "MLOrientationMap"]

CHANNELS = (
    "tilt_x",
    "tilt_y",
    "thickness",
    "sigma_tilt_x",
    "sigma_tilt_y",
    "sigma_thickness",
    "misfit",
)
"""What the signal axis holds, in this order."""

UNITS = ("deg", "deg", "nm", "deg", "deg", "nm", "")
"""Unit of each channel; the misfit is a pure number, above 1 where the library does not explain
the pattern."""


def _channel_property(name: str, text: str) -> property:
    return property(lambda self: self.channel(name), doc=text)


class MLOrientationMap(Provenance, Signal1D):
    """Crystal tilt and thickness at every scan position, with standard uncertainties.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`hyperspy.api.signals.Signal1D`. The data are (scan y, scan x, 7), (scan, 7)
        or (7,); the last axis holds :data:`CHANNELS`: tilts and their sigmas in degrees, thickness
        and its sigma in nm, misfit as a pure number. Points that could not be evaluated are NaN.

    Notes
    -----
    Tilts are in the detector frame, kx to the right and ky downwards: the zone axis pierces the
    detector plane at k0·(tilt_x, tilt_y), see :mod:`pyxem_mlmaps.conventions`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.signals import MLOrientationMap
    >>> omap = MLOrientationMap(np.zeros((4, 5, 7)))
    >>> omap.tilt_x
    <Signal2D, title: Tilt x, dimensions: (|5, 4)>
    """

    _signal_type = "ml_orientation_map"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.axes_manager.signal_dimension == 1:
            axis = self.axes_manager.signal_axes[0]
            if axis.name is Undefined:
                axis.name = "channel"

    # ---- channels ---------------------------------------------------------------------------

    def channel(self, name: str) -> BaseSignal:
        """One channel as an image of the scan.

        Parameters
        ----------
        name
            One of :data:`CHANNELS`.

        Returns
        -------
        signal
            ``Signal2D`` for a two-dimensional scan, ``Signal1D`` for a line, ``BaseSignal`` for a
            point, lazy if this signal is lazy; axes calibrated as the scan.

        Raises
        ------
        ValueError
            If there is no such channel, or if channels were cut away with ``isig``.
        """
        if name not in CHANNELS:
            raise ValueError(f"name={name!r} is not valid: channels are {', '.join(CHANNELS)}.")
        self._require_all_channels()
        index = CHANNELS.index(name)
        axes = [axis.get_axis_dictionary() for axis in self._scan_axes]
        for position, axis in enumerate(axes):
            axis["navigate"] = position < len(axes) - 2
        calibration = {"axes": axes} if axes else {}
        data = self.data[..., index] if axes else self.data[index : index + 1]
        kind = ("BaseSignal", "Signal1D", "Signal2D")[min(len(axes), 2)]
        if self._lazy:
            kind = "LazySignal" if kind == "BaseSignal" else f"Lazy{kind}"
        signal_class = getattr(hyperspy.signals, kind)
        signal = signal_class(data if self._lazy else np.array(data), **calibration)
        signal.metadata.General.title = _title(name)
        signal.metadata.set_item("Signal.quantity", _quantity(name))
        return signal

    tilt_x = _channel_property("tilt_x", "Tilt along kx in degrees.")
    tilt_y = _channel_property("tilt_y", "Tilt along ky (downwards) in degrees.")
    thickness = _channel_property("thickness", "Thickness along the beam in nm.")
    sigma_tilt_x = _channel_property("sigma_tilt_x", "Standard uncertainty of tilt_x, degrees.")
    sigma_tilt_y = _channel_property("sigma_tilt_y", "Standard uncertainty of tilt_y, degrees.")
    sigma_thickness = _channel_property("sigma_thickness", "Standard uncertainty of thickness, nm.")
    misfit = _channel_property("misfit", "What the model leaves unexplained; a pure number.")

    @property
    def _scan_axes(self) -> tuple[Any, ...]:
        """Navigation axes in the order of the data: (y, x)."""
        return self.axes_manager.navigation_axes[::-1]

    def _require_all_channels(self) -> None:
        size = self.data.shape[-1]
        if size != len(CHANNELS):
            raise ValueError(
                f"the signal axis has {size} points, but an orientation map has {len(CHANNELS)} "
                f"channels ({', '.join(CHANNELS)}). Do not slice it with isig: use "
                "channel(name) on the whole map."
            )

    def warn_of_bad_points(self) -> None:
        """Warn with a count if scan points have no answer; the rest of the map stands."""
        bad = int(np.isnan(self.data[..., 0]).sum())
        if bad:
            warnings.warn(
                f"{bad} of {self.data[..., 0].size} scan points could not be evaluated (missing, "
                "negative, saturated or empty disks) and are NaN. Dead pixels that all patterns "
                "share: s.correct_bad_pixels, or train with NoiseModel(dead_disks=...).",
                stacklevel=2,
            )

    # ---- results ----------------------------------------------------------------------------

    def to_crystal_map(
        self, phase: Phase | None = None, rotation: Rotation | None = None
    ) -> CrystalMap:
        """Convert to an orix crystal map.

        Parameters
        ----------
        phase, rotation
            The crystal and its orix rotation at zero tilt. By default those of the model card;
            needed where the model was trained from arrays without a crystal.

        Returns
        -------
        xmap
            :class:`orix.crystal_map.CrystalMap` in the frame of pyxem's
            ``OrientationMap.to_crystal_map``, with the channels as properties and coordinates in
            the scan's unit. Points without a tilt are kept, not indexed (phase id −1). A lazy
            signal is computed first.

        Raises
        ------
        ValueError
            If no crystal or orientation is known, or the scan has more than two dimensions.

        Examples
        --------
        >>> import numpy as np
        >>> from orix.crystal_map import Phase
        >>> from pyxem_mlmaps.conventions import zone_axis_rotation
        >>> from pyxem_mlmaps.signals import MLOrientationMap
        >>> si = Phase("Si", space_group=227)
        >>> omap = MLOrientationMap(np.zeros((4, 5, 7)))
        >>> xmap = omap.to_crystal_map(phase=si, rotation=zone_axis_rotation(si, (1, 1, 0)))
        >>> xmap.shape
        (4, 5)
        """
        from orix.quaternion import Rotation

        from pyxem_mlmaps._crystal_map import crystal_map_from_tilts, phase_from_dict

        missing = []
        if phase is None:
            missing += ["phase"] if self.phase is None else []
        if rotation is None:
            missing += ["rotation"] if self.base_rotation is None else []
        if missing:
            raise ValueError(
                f"this map does not know its {' and '.join(missing)}: the model was trained "
                "without a crystal. Pass phase= (an orix Phase) and rotation= (the orix Rotation "
                "at zero tilt, for instance pyxem_mlmaps.conventions.zone_axis_rotation)."
            )
        axes = self._scan_axes
        if len(axes) > 2:
            raise ValueError(
                f"the scan has {len(axes)} dimensions and a crystal map at most 2: select one "
                "frame with inav first."
            )
        units = axes[-1].units if axes else Undefined
        channels = self.channel_arrays()
        return crystal_map_from_tilts(
            channels,
            [axis.axis for axis in axes],
            "px" if units is Undefined or not units else str(units),
            phase_from_dict(self.phase) if phase is None else phase,
            Rotation(self.base_rotation) if rotation is None else rotation,
        )

    def channel_arrays(self) -> dict[str, NDArray[np.floating]]:
        """All channels as NumPy arrays of the scan's shape; a lazy signal is computed."""
        self._require_all_channels()
        signal = self
        if self._lazy:
            signal = self.deepcopy()
            signal.compute()
        return {name: signal.data[..., i] for i, name in enumerate(CHANNELS)}

    # ---- figures ----------------------------------------------------------------------------

    def plot(
        self,
        navigator: Any = None,
        axes_manager: Any = None,
        *,
        return_figure: bool = False,
        **kwargs: Any,
    ) -> Figure | None:
        """Draw tilts, thickness, uncertainties and misfit in one figure.

        Parameters
        ----------
        navigator, axes_manager
            If one is given, HyperSpy's interactive plot is drawn instead, see
            :meth:`plot_channels`.
        return_figure
            Whether to return the figure.
        **kwargs
            For :func:`pyxem_mlmaps.plotting.plot_orientation_map`.
        """
        if navigator is not None or axes_manager is not None:
            self.plot_channels(
                navigator="auto" if navigator is None else navigator,
                axes_manager=axes_manager,
                **kwargs,
            )
            return None
        from pyxem_mlmaps.plotting import plot_orientation_map

        figure = plot_orientation_map(self, **kwargs)
        return figure if return_figure else None

    def plot_channels(self, *args: Any, **kwargs: Any) -> None:
        """HyperSpy's own plot: a navigator, and the seven channels at the position under it.

        Parameters
        ----------
        *args, **kwargs
            As for every one-dimensional signal of HyperSpy.
        """
        super().plot(*args, **kwargs)

    def plot_tilt(self, *, return_figure: bool = False, **kwargs: Any) -> Figure | None:
        """Draw the tilt as one map, coloured by direction.

        Parameters
        ----------
        return_figure
            Whether to return the figure.
        **kwargs
            For :func:`pyxem_mlmaps.plotting.plot_tilt`.
        """
        from pyxem_mlmaps.plotting import plot_tilt

        figure = plot_tilt(self, **kwargs)
        return figure if return_figure else None


class LazyMLOrientationMap(LazySignal, MLOrientationMap):
    """The lazy variant of :class:`MLOrientationMap`.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`MLOrientationMap`.
    """

    def plot(self, *args: Any, **kwargs: Any) -> Figure | None:
        """Compute, then draw; see :meth:`MLOrientationMap.plot`."""
        return MLOrientationMap.plot(self, *args, **kwargs)

    plot.__doc__ = MLOrientationMap.plot.__doc__

    def compute(self, *args: Any, **kwargs: Any) -> None:
        """Compute in place as every lazy signal does, then count points without an answer.

        Parameters
        ----------
        *args, **kwargs
            As for every lazy signal of HyperSpy.
        """
        super().compute(*args, **kwargs)
        if self.data.shape[-1] == len(CHANNELS):
            MLOrientationMap.warn_of_bad_points(self)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _quantity(name: str) -> str:
    unit = UNITS[CHANNELS.index(name)]
    return f"{_title(name)} ({unit})" if unit else _title(name)
