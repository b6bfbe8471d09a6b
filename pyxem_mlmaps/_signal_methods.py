"""The methods that ``import pyxem_mlmaps`` attaches to pyxem's diffraction signals.

HyperSpy's extension file registers classes, not methods, and declaring ``Diffraction2D`` anew would
depend on the order of entry points. An attribute of the class reaches every subclass, lazy or not.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from pyxem.signals import Diffraction2D, DiffractionVectors

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
    out: str | Path | None = None,
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
    out
        Folder of a zarr store for long jobs. Every block of the scan is kept there when it is
        finished; called again with the same arguments, a job that was stopped, killed or ran into
        a full disk goes on where it was, and one that is finished is read. A store of another
        model, scan or option is refused. The result is computed at once, and read from the store
        if it is lazy: keep the folder, or ``save`` the result.

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
        If the lattice does not fit the detector or the model, if ``check="raise"`` finds a
        calibration that the model was not trained for, or if ``out`` holds another job.
    RuntimeError
        If blocks could not be computed into ``out``; the others are kept.

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
        out=out,
    )


def ml_disk_positions(
    self: Diffraction2D,
    model: Any = None,
    lattice: DiskLattice | None = None,
    lazy_output: bool | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    *,
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    absent: Literal["drop", "nan"] = "drop",
    max_strain: float = 0.05,
    min_presence: float = 0.9,
    optics: ArrayLike | Literal["measure"] | None = "measure",
    batch_size: int = 2048,
    out: str | Path | None = None,
) -> DiffractionVectors:
    """Measure where every diffraction disk is, to a fraction of a pixel, with its uncertainty.

    At every scan position the disks of ``lattice`` are looked for where they are expected. A
    network that was trained on dynamical disks of many crystals measures each of them from its
    edge, whatever the contrast inside, and says how sure it is. The answers of a pattern tell its
    shift and strain; disks that were far from where they were expected are looked at once more
    there, so that none is mistaken for its neighbour.

    Parameters
    ----------
    model
        A ``DiskModel``, from ``pyxem_mlmaps.train_disk_model`` or ``pyxem_mlmaps.load_model``.
        None takes the one that comes with the package: no training is needed.
    lattice
        Where the disks lie, a :class:`pyxem_mlmaps.DiskLattice`. None finds it on the mean
        pattern as ``DiskLattice.from_signal(s)`` does, but undoes descan first. The radius
        matters, origin, g1 and g2 need only be about right.
    lazy_output
        Whether to return lazy vectors. None does as the input. A single pattern (no scan axes) is
        computed at once.
    show_progressbar
        Whether to show progress. None follows HyperSpy's preference.
    num_workers
        Number of dask workers. None leaves it to dask. A running ``dask.distributed`` client is
        used as it is.
    descan
        How far the pattern moves over the scan. None follows the disks themselves, up to half the
        distance of neighbouring disks. ``"direct_beam"`` follows the direct beam up to a whole
        distance; it must be the brightest disk there. An array (scan y, scan x, 2) gives (y, x)
        shifts in pixels, and zeros say that the pattern stands still to within 0.4 disk radii.
    absent
        Disks that are not there, too uncertain, not wholly on the detector or unreadable are left
        out (``"drop"``), or keep their row with NaN for ky, kx and their sigmas (``"nan"``), so
        that row i is disk i of the lattice everywhere.
    max_strain
        Strain or rotation (radians) that is expected at most, 0.05 is 5 % or 3°: the width of the
        prior of the lattice fit. It is no limit where many disks agree; beyond three times it they
        keep their positions, with misfits above 1: another grain, or the halo of an amorphous part.
    min_presence
        A disk counts as absent below this probability. At 0.9 about one blank place in two hundred
        passes for a disk, with a large sigma, and one faint disk in a hundred is missed.
    optics
        Radius and edge that all disks of the scan share. ``"measure"`` finds them on some
        patterns first: they tell an edge from contrast beside it. A pair (radius, standard
        deviation of the edge's blur), px, gives them; None lets every disk speak for itself.
    batch_size
        Disks that go through the network at once. Larger is not faster beyond some thousand.
    out
        Folder of a zarr store for long jobs. Every block of the scan is kept there when it is
        finished; called again with the same arguments, a job that was stopped, killed or ran into
        a full disk goes on where it was, and one that is finished is read. A store of another
        model, scan or option is refused. The result is computed at once, and read from the store
        if it is lazy: keep the folder, or ``save`` the result.

    Returns
    -------
    vectors
        ``pyxem.signals.DiffractionVectors`` over the same scan, ragged: at each point an array
        (n_disk, 8) with the columns ``ky``, ``kx``, ``intensity``, ``sigma_ky``, ``sigma_kx``,
        ``misfit``, ``h``, ``k``. Positions and sigmas are in the units of the signal axes, ky first
        (downwards). ``intensity`` is the counts inside the disk where it was measured, background
        included. Above 1, ``misfit`` says not to trust a position. ``h``, ``k`` are the disk's
        indices in ``lattice``. ``DiffractionVectors2D`` without scan axes. Lattice, model card and
        versions are in ``vectors.metadata.MLDiskPositions`` and are saved with the data.

    Raises
    ------
    TypeError
        If the data are complex.
    ValueError
        If disks overlap, their radius is none that the model covers, no disk of the lattice lies
        on the detector, ``out`` holds another job, or an argument is not allowed.
    RuntimeError
        If blocks could not be computed into ``out``; the others are kept.

    Warns
    -----
    UserWarning
        With counts, if disks of the lattice are off the detector, if scan points have NaN or
        infinite pixels (lazy vectors: when they are computed, block by block), or, unless the
        vectors are lazy, if no disk was found at all.

    See Also
    --------
    pyxem.signals.Diffraction2D.get_diffraction_vectors : peaks of spot patterns.

    Notes
    -----
    *What does misfit mean here?* The model's own judgement of the disk's image, and the deviation
    of the disk from the lattice of its pattern over what is tolerated (1.5 px or 0.15 radii,
    whichever is more, plus four standard deviations): the larger of the two. A disk of another
    grain keeps the position that was measured, with a misfit above 1.

    *What becomes of saturated disks?* A pixel at the largest value of an integer type makes the
    intensity NaN; the position stands.

    *Which methods of pyxem go on from here?* ``filter_magnitude``, ``filter_basis``,
    ``get_strain_maps``, ``to_markers``, ``get_diffracting_pixels_map``, ``to_polar``, ``save`` and
    columns by name, ``vectors.ivec[["ky", "kx"]]``; ``vectors.ivec[:, vectors.ivec["misfit"] < 1]``
    keeps rows. pyxem's ``flatten_diffraction_vectors`` wants computed vectors, its ``to_mask`` the
    axes ``vectors.metadata.set_item("Peaks.signal_axes", s.axes_manager.signal_axes[::-1])``.
    For strain, ``pyxem_mlmaps.strain_map(vectors)`` uses the sigmas.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import pyxem_mlmaps as mlmaps
    >>> s = hs.load("finfet.zspy", lazy=True)  # doctest: +SKIP
    >>> vectors = s.ml_disk_positions()  # doctest: +SKIP
    >>> vectors.compute()  # doctest: +SKIP
    >>> vectors.inav[3, 5].data[0][:, :2]  # doctest: +SKIP
    >>> s.plot()  # doctest: +SKIP
    >>> s.add_marker(vectors.to_markers(color="red"))  # doctest: +SKIP
    """
    from pyxem_mlmaps.mapping.disks import map_disk_positions

    return map_disk_positions(
        self,
        model,
        lattice,
        lazy_output=lazy_output,
        show_progressbar=show_progressbar,
        num_workers=num_workers,
        descan=descan,
        absent=absent,
        max_strain=max_strain,
        min_presence=min_presence,
        optics=optics,
        batch_size=batch_size,
        out=out,
    )


_METHODS = {"ml_orientation_map": ml_orientation_map, "ml_disk_positions": ml_disk_positions}


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
    with warnings.catch_warnings():  # pyxem 0.21 takes a name from where HyperSpy 2.5 had it
        warnings.filterwarnings("ignore", message=".*_get_block_pattern")
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
