"""py4DSTEM's ``BraggVectors`` and pyxem's diffraction vectors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps.interop._py4dstem import require_py4dstem
from pyxem_mlmaps.interop.bragg_points import (
    FIELDS,
    bragg_points,
    detector_shape,
    direct_beams,
    further_columns,
    patterns_of,
    vector_table,
)
from pyxem_mlmaps.interop.calibration import CubeCalibration
from pyxem_mlmaps.interop.datacube import from_datacube

if TYPE_CHECKING:
    from py4DSTEM import BraggVectors, DataCube
    from pyxem.signals import DiffractionVectors

    from pyxem_mlmaps.specs import DiskLattice

__all__ = ["disk_positions", "from_braggvectors", "to_braggvectors"]


def disk_positions(
    datacube: DataCube,
    model: Any = None,
    lattice: DiskLattice | None = None,
    *,
    descan: ArrayLike | Literal["direct_beam"] | None = None,
    max_misfit: float | None = 1.0,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> BraggVectors:
    """Measure the disks of a py4DSTEM ``DataCube`` with the network, as ``BraggVectors``.

    One call for ``from_datacube``, ``ml_disk_positions`` and :func:`to_braggvectors`. Take these
    three for further options, or to keep σ and misfit as pyxem vectors.

    Parameters
    ----------
    datacube
        In memory or memory-mapped. The detector need not be calibrated.
    model, lattice, descan
        As for ``ml_disk_positions``: the defaults find the disks with the model that comes with
        the package.
    max_misfit
        Disks with a larger ``misfit`` are left out; None keeps all.
    show_progressbar, num_workers
        As for ``ml_disk_positions``.

    Returns
    -------
    braggvectors
        Attached to the tree of the datacube, in place of earlier ones of this name; the rest is as
        for :func:`to_braggvectors`.

    Raises
    ------
    ImportError
        Without py4DSTEM.
    ValueError
        As from ``ml_disk_positions``.

    See Also
    --------
    pyxem_mlmaps.interop.to_braggvectors : says how origin and weights are set.

    Examples
    --------
    >>> from py4DSTEM import StrainMap  # doctest: +SKIP
    >>> from pyxem_mlmaps import interop
    >>> braggvectors = interop.disk_positions(cube)  # doctest: +SKIP
    >>> strainmap = StrainMap(braggvectors)  # doctest: +SKIP
    """
    require_py4dstem("disk_positions")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the detector of this datacube is not calibrated")
        signal = from_datacube(datacube)
    vectors = signal.ml_disk_positions(
        model,
        lattice,
        lazy_output=False,
        show_progressbar=show_progressbar,
        num_workers=num_workers,
        descan=descan,
    )
    return to_braggvectors(vectors, datacube, max_misfit=max_misfit)


def to_braggvectors(
    vectors: DiffractionVectors,
    datacube: DataCube | None = None,
    *,
    max_misfit: float | None = 1.0,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> BraggVectors:
    """Turn pyxem's diffraction vectors into py4DSTEM's ``BraggVectors``.

    Parameters
    ----------
    vectors
        From ``ml_disk_positions``, or other vectors with columns ``ky``, ``kx`` (or these two
        first) and ``intensity``. Lazy ones are computed. Scan of at most two dimensions.
    datacube
        Whose calibration and tree the result shares. None makes a calibration from the axes of
        the vectors.
    max_misfit
        Disks with a larger ``misfit`` are left out, as py4DSTEM would trust them; None keeps all.
        Disks with NaN positions are left out in any case.
    show_progressbar, num_workers
        For lazy vectors. None follows HyperSpy's preference; ``num_workers`` goes to dask.

    Returns
    -------
    braggvectors
        Positions in pixels of the detector: qx = ky (rows), qy = kx (columns). py4DSTEM's
        ``StrainMap`` and ``Crystal.match_orientations`` take it as it is, ``cal`` has origin, pixel
        size and rotation applied. Columns σ, misfit, h and k are further fields of the raw
        vectors (``sigma_qx``, ``sigma_qy``, ``misfit``, ``h``, ``k``), which py4DSTEM saves.

    Raises
    ------
    ImportError
        Without py4DSTEM.
    TypeError, ValueError
        If they are no diffraction vectors, have no intensity, or do not belong to the datacube.

    Notes
    -----
    py4DSTEM weights disks by intensity in its lattice fit; a saturated disk (NaN) gets the largest
    intensity of its pattern. :func:`pyxem_mlmaps.strain_map` weights by σ.

    The origin of each pattern is the direct beam of the lattice fitted to it (the scan's median
    where there is none): the lattice point next to the origin that was calibrated, or (0, 0). It
    is set in the calibration, unless an origin was fitted for each pattern already; that one is
    kept.

    Examples
    --------
    >>> from pyxem_mlmaps import interop
    >>> vectors = s.ml_disk_positions()  # doctest: +SKIP
    >>> braggvectors = interop.to_braggvectors(vectors)  # doctest: +SKIP
    >>> py4DSTEM.save("disks.h5", braggvectors)  # doctest: +SKIP
    """
    py4dstem = require_py4dstem("to_braggvectors")
    from emdfile import PointList, PointListArray

    table = vector_table(vectors, max_misfit)
    columns = further_columns(vectors)
    data = vectors.data
    if hasattr(data, "dask"):
        data = compute(
            data, show_progressbar=show_progressbar, num_workers=num_workers, text="Disk positions"
        )[0]
    scan = (1,) * (2 - len(table.scan_shape)) + table.scan_shape
    rows = patterns_of(data, scan)
    detector = detector_shape(vectors, datacube)
    if datacube is not None and datacube.Rshape != scan:
        raise ValueError(
            f"vectors of a scan of {scan} points do not belong to this datacube of "
            f"{datacube.Rshape}."
        )
    calibration = py4dstem.data.Calibration() if datacube is None else datacube.calibration
    if datacube is None:
        CubeCalibration.from_vectors(vectors, table.scale, table.units).write_to(calibration)
    known = calibration.get_origin()
    if known is None or np.ndim(known[0]) == 0:
        origin = direct_beams(rows, table, known)
        calibration.set_origin((origin[..., 0].copy(), origin[..., 1].copy()))
    braggvectors = py4dstem.BraggVectors(
        scan, detector, calibration=calibration if datacube is None else None
    )
    names = [("qx", float), ("qy", float), ("intensity", float)]
    names += [(field, int if name in "hk" else float) for name, field in columns[1].items()]
    peaks = PointListArray(dtype=names, shape=scan, name="_v_uncal")
    saturated = 0
    for point in np.ndindex(scan):
        points, bad = bragg_points(rows[point], table, columns, np.dtype(names))
        peaks[point] = PointList(points)
        saturated += bad
    braggvectors.set_raw_vectors(peaks)
    if saturated:
        warnings.warn(
            f"{saturated} disks without an intensity (saturated) get the largest of their pattern.",
            stacklevel=2,
        )
    if datacube is not None:
        datacube.attach(braggvectors)
    braggvectors.setcal()
    return braggvectors


def from_braggvectors(braggvectors: BraggVectors, *, calibrated: bool = True) -> DiffractionVectors:
    """Turn py4DSTEM's ``BraggVectors`` into pyxem's diffraction vectors.

    Parameters
    ----------
    braggvectors
        From py4DSTEM's disk detection, from a file that it saved, or from :func:`to_braggvectors`.
    calibrated
        Whether to undo descan and ellipse where they are calibrated. False keeps the positions on
        the detector as they were measured. py4DSTEM's rotation between detector and scan is not
        applied in either case: vectors stay in the axes of the detector.

    Returns
    -------
    vectors
        Computed ``DiffractionVectors`` with columns ``ky``, ``kx``, ``intensity``, and
        ``sigma_ky``, ``sigma_kx``, ``misfit``, ``h``, ``k`` where the vectors have them; in the
        unit of the calibration, with their zero at the mean origin. pyxem's methods and
        :func:`pyxem_mlmaps.strain_map` take it; the latter needs ``lattice=`` if there are no
        ``h`` and ``k``, as for disks that py4DSTEM detected.

    Raises
    ------
    TypeError
        If they are no ``BraggVectors``.

    Examples
    --------
    Strain with this package of disks that py4DSTEM detected:

    >>> import pyxem_mlmaps as mlmaps
    >>> vectors = mlmaps.interop.from_braggvectors(peaks)  # doctest: +SKIP
    >>> lattice = mlmaps.DiskLattice.from_signal(s)  # doctest: +SKIP
    >>> strain = mlmaps.strain_map(vectors, lattice=lattice)  # doctest: +SKIP
    """
    from pyxem.signals import DiffractionVectors

    if not hasattr(braggvectors, "get_vectors") or not hasattr(braggvectors, "Rshape"):
        raise TypeError(
            f"braggvectors is a {type(braggvectors).__name__}; py4DSTEM BraggVectors are needed."
        )
    known = CubeCalibration.from_params(braggvectors.calibration._params)
    origin = np.array(known.origin or (0.0, 0.0))
    center = calibrated and known.origin is not None
    ellipse = calibrated and braggvectors.calibration.get_ellipse() is not None
    if ellipse and not center:
        raise ValueError(
            "braggvectors: an ellipse is calibrated without an origin, about which it is to be "
            "undone. Measure the origin first, or give calibrated=False."
        )
    scan = tuple(braggvectors.Rshape)
    raw = braggvectors.raw[0, 0].data.dtype.names
    further = {name: field for name, field in FIELDS.items() if field in raw}
    rows = np.empty(scan, dtype=object)
    for point in np.ndindex(scan):
        points = braggvectors.get_vectors(
            *point, center=center, ellipse=ellipse, pixel=False, rotate=False
        ).data
        values = [points["qx"], points["qy"], points["intensity"]]
        values += [points[field] for field in further.values()]
        table = np.column_stack(values).astype(float)
        table[:, :2] = (table[:, :2] - (0 if center else origin)) * known.q_size
        for column, name in enumerate(further, start=3):
            if name.startswith("sigma"):
                table[:, column] *= known.q_size
        rows[point] = table
    signal = _empty_signal(scan, tuple(braggvectors.Qshape), known)
    k = signal.axes_manager.signal_axes[0]
    vectors = DiffractionVectors(
        rows,
        axes=[a.get_axis_dictionary() for a in signal.axes_manager.navigation_axes[::-1]],
        ragged=True,
        scales=[known.q_size] * 2 + [1.0] * (1 + len(further)),
        offsets=[*(-origin * known.q_size), *[0.0] * (1 + len(further))],
        detector_shape=tuple(int(n) for n in braggvectors.Qshape),
        column_names=["ky", "kx", "intensity", *further],
        units=[k.units] * 2 + ["counts"] + [k.units if "sigma" in n else "" for n in further],
    )
    vectors.metadata.General.title = str(braggvectors.name)
    microscope = signal.metadata.get_item("Acquisition_instrument")
    if microscope is not None:
        vectors.metadata.set_item("Acquisition_instrument", microscope.as_dictionary())
    return vectors


def _empty_signal(scan: tuple[int, ...], detector: tuple[int, ...], known: CubeCalibration) -> Any:
    """A signal of no data, for its axes."""
    import dask.array as da
    from pyxem.signals import LazyElectronDiffraction2D

    signal = LazyElectronDiffraction2D(da.zeros((*scan, *detector), dtype=np.uint8))
    known.describe(signal)
    return signal
