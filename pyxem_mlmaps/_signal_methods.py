"""The methods that ``import pyxem_mlmaps`` attaches to pyxem's diffraction signals.

HyperSpy's extension file registers classes, not methods, and declaring ``Diffraction2D`` anew would
depend on the order of entry points. An attribute of the class reaches every subclass, lazy or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from pyxem.signals import Diffraction2D

    from pyxem_mlmaps.signals import MLOrientationMap
    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["register", "unregister"]


def ml_orientation_map(
    self: Diffraction2D,
    model: Any,
    lattice: DiskLattice,
    check: Literal["raise", "warn"] = "raise",
    lazy_output: bool | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    *,
    background: Literal["none", "local"] = "none",
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    refine: bool = True,
    batch_size: int = 4096,
) -> MLOrientationMap:
    """Map crystal tilt and thickness from the intensities of the diffraction disks.

    At every scan position the counts inside each disk of ``lattice`` are summed. A network that was
    trained on dynamical simulations of this crystal turns the sums into tilt and thickness, each
    with its standard uncertainty. No pattern is compared with templates: the tilt is continuous.

    Parameters
    ----------
    model
        An ``OrientationModel``, from ``pyxem_mlmaps.train_orientation_model`` or
        ``pyxem_mlmaps.load_model``. It must have been trained for this crystal, zone axis, beam
        energy and convergence angle.
    lattice
        Where the disks lie, a :class:`pyxem_mlmaps.DiskLattice`, with the disks that the model was
        trained on, in its order.
    check
        What to do when the calibration of the signal (beam energy, camera length, convergence
        angle) disagrees with the model card: ``"raise"`` stops with the two values, ``"warn"``
        says so and goes on.
    lazy_output
        Whether to return a lazy signal. None does as the input.
    show_progressbar
        Whether to show progress. None follows HyperSpy's preference.
    num_workers
        Number of dask workers. None leaves it to dask. A running ``dask.distributed`` client is
        used as it is.
    background
        ``"local"`` subtracts from each disk the mean of a ring around it; ``"none"`` leaves the
        counts as they are, right for energy-filtered data and for models trained with background.
    descan
        How far the pattern moves over the scan: an array (scan y, scan x, 2) of (y, x) shifts in
        pixels, ``"direct_beam"`` to measure it on the direct beam of every pattern, or None if the
        pattern stands still.
    refine
        Whether to finish the network's answer with a fit to the simulated library. It costs a few
        times the network's time and brings the error down to what the noise allows.
    batch_size
        Patterns that go through the network at once. Larger is not faster beyond some thousand.

    Returns
    -------
    omap
        :class:`pyxem_mlmaps.signals.MLOrientationMap` over the same scan, with ``tilt_x``,
        ``tilt_y`` (degrees), ``thickness`` (nm), their sigmas, and ``misfit``. The zone axis
        pierces the detector plane at k0·(tilt_x along kx, tilt_y along ky). ``to_crystal_map()``
        gives orix rotations.

    Raises
    ------
    ValueError
        If the lattice does not fit the detector or the model, or if ``check="raise"`` finds a
        calibration that the model was not trained for.

    See Also
    --------
    pyxem.signals.PolarDiffraction2D.get_orientation : template matching, for unknown orientations.

    Notes
    -----
    *When does it apply?* Disks must not overlap, and the crystal must stay within the tilt and
    thickness range of the training library. Look at ``misfit`` and at the sigmas before believing
    a number: where ``misfit`` is above 1 the library does not explain the pattern (another grain or
    phase, a tilt or thickness beyond the library).

    *Is the pattern's orientation on the detector important?* Yes. The library is simulated for one
    in-plane orientation, and g1 and g2 of ``lattice`` tell which disk is which.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import pyxem_mlmaps as mlmaps
    >>> s = hs.load("gasb.zspy", lazy=True)  # doctest: +SKIP
    >>> model = mlmaps.load_model("gasb_110.keras")  # doctest: +SKIP
    >>> lattice = mlmaps.DiskLattice.from_signal(s)  # doctest: +SKIP
    >>> omap = s.ml_orientation_map(model, lattice)  # doctest: +SKIP
    >>> omap.plot()  # doctest: +SKIP
    """
    from pyxem_mlmaps.mapping.orientation import map_orientation

    return map_orientation(
        self,
        model,
        lattice,
        check=check,
        lazy_output=lazy_output,
        show_progressbar=show_progressbar,
        num_workers=num_workers,
        background=background,
        descan=descan,
        refine=refine,
        batch_size=batch_size,
    )


_METHODS = {"ml_orientation_map": ml_orientation_map}


def register() -> None:
    """Attach the methods to :class:`pyxem.signals.Diffraction2D`; a second call changes nothing.

    Raises
    ------
    RuntimeError
        If pyxem or another extension already has an attribute of that name.

    Examples
    --------
    >>> from pyxem_mlmaps._signal_methods import register
    >>> register()
    >>> from pyxem.signals import ElectronDiffraction2D
    >>> hasattr(ElectronDiffraction2D, "ml_orientation_map")
    True
    """
    from pyxem.signals import Diffraction2D

    for name, method in _METHODS.items():
        present = getattr(Diffraction2D, name, None)
        if present is not None and not _is_ours(present, method):
            raise RuntimeError(
                f"pyxem.signals.Diffraction2D already has an attribute {name!r}, from "
                f"{getattr(present, '__module__', type(present).__name__)}. pyxem_mlmaps does not "
                "overwrite it: uninstall or disable the extension that set it."
            )
    for name, method in _METHODS.items():
        setattr(Diffraction2D, name, method)


def unregister() -> None:
    """Take the methods away again; attributes that others set are left alone."""
    from pyxem.signals import Diffraction2D

    for name, method in _METHODS.items():
        if _is_ours(vars(Diffraction2D).get(name), method):
            delattr(Diffraction2D, name)


def _is_ours(present: Any, method: Any) -> bool:
    """The same function, or the one of an earlier import of this module (``importlib.reload``)."""
    same_place = (
        getattr(present, "__module__", None) == __name__
        and getattr(present, "__qualname__", None) == method.__qualname__
    )
    return present is method or same_place
