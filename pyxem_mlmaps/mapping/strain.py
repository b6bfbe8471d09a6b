"""``strain_map``: from disk positions to strain, with uncertainties."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxem_mlmaps._progress import compute
from pyxem_mlmaps._version import __version__
from pyxem_mlmaps._views import as_dask
from pyxem_mlmaps.mapping.strain_reference import reference_basis
from pyxem_mlmaps.mapping.strain_tensor import axis_transformation, strain_components
from pyxem_mlmaps.mapping.strain_vectors import VectorTable, fit_block

if TYPE_CHECKING:
    from pyxem.signals import DiffractionVectors

    from pyxem_mlmaps.specs import DiskLattice
    from pyxem_mlmaps.strain_result import MLStrainMap

__all__ = ["strain_map"]

Float = NDArray[np.float64]

BLOCK_PATTERNS = 8192


def strain_map(
    vectors: DiffractionVectors,
    reference: Literal["median"] | ArrayLike | DiskLattice | Any = "median",
    lattice: DiskLattice | None = None,
    axis: float | tuple[int, int] = 0.0,
    *,
    max_misfit: float | None = 1.0,
    sigma_floor: float = 0.005,
    lazy_output: bool | None = None,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
) -> MLStrainMap:
    """Map strain and lattice rotation from the positions of diffraction disks.

    In every pattern the lattice origin + h·g1 + k·g2 is fitted to the disks, weighted by their
    uncertainties and not misled by single wrong disks; the origin is free, so that descan does
    not matter. The lattice vectors are then compared with those of the reference.

    Parameters
    ----------
    vectors
        From ``s.ml_disk_positions()``, or any pyxem ``DiffractionVectors`` with 0, 1 or 2 scan
        dimensions, lazy or not. Positions are the columns named ``ky`` and ``kx``, or the first two
        as (y, x). Columns ``sigma_ky``, ``sigma_kx``, ``misfit``, ``h``, ``k`` are used if they
        are there. Without ``h`` and ``k`` the disks are indexed by ``lattice``; without sigmas
        all disks weigh the same in pixels.
    reference
        What is taken as unstrained:

        - ``"median"``: the median lattice vectors of the scan;
        - a boolean array of the scan's shape: the median of the points that are True;
        - a HyperSpy ROI in the units of the scan axes: the median inside it;
        - a :class:`pyxem_mlmaps.DiskLattice`: its g1 and g2, in pixels;
        - an array ``(g1, g2)``, each (ky, kx) in the unit of the vectors.
    lattice
        Where to expect the disks of vectors without indices, in pixels. Default: the reference,
        if it is a ``DiskLattice``.
    axis
        Direction of the x axis: degrees from kx towards ky (clockwise on the screen), or two
        integers (h, k) for the direction of h·g1 + k·g2 of the reference (the normal of these
        lattice planes).
    max_misfit
        Disks with a larger ``misfit`` are left out; None keeps all.
    sigma_floor
        Systematic part of each disk's position error in pixels, added to its σ in quadrature: no
        disk gets an unlimited weight. Not used if ``vectors.scales`` states no size of a pixel.
    lazy_output
        True: return a lazy signal. The lattices are fitted at once in any case, since a reference
        needs the whole scan, and the map is small; so None returns a computed one.
    show_progressbar, num_workers
        None follows HyperSpy's preference; ``num_workers`` goes to dask.

    Returns
    -------
    strain
        :class:`pyxem_mlmaps.MLStrainMap`, a pyxem ``StrainMap`` with channels e11, e22, e12 and
        theta (rad), and as properties the ``sigma`` of each, the fit ``residual`` in pixels, the
        number of disks ``n_disks``, ``rotation`` in degrees. Scan points with fewer than three
        usable disks that are not on one line are NaN, and a warning counts them.

    Raises
    ------
    ValueError
        Naming the argument: vectors that cannot be indexed, a reference of the wrong shape, without
        a single fitted lattice, or with other g1 and g2 than the vectors' indices.
    TypeError
        If ``vectors`` are not diffraction vectors.

    Notes
    -----
    Frame and signs: the strain is that of the crystal in **real space, tension positive**. e11 is
    along x = kx (detector column, to the right), e22 along y = ky (row, downwards), e12 the tensor
    shear (half the engineering shear, positive where the diagonal x = y is stretched), unless
    ``axis`` turns the axes. θ is the turn of the crystal from x towards y: clockwise on the screen
    if positive. It is finite strain: with F = G⁻¹·G0 = V·R the strain is V − I, in axes fixed to
    the detector; right and down are where kx and ky grow, also on axes of negative scale. If the
    detector is turned against the scan, ``axis`` brings the strain into scan
    axes.

    Against pyxem's ``get_strain_maps`` (0.21): that has e11 along ky, its first column, and with
    ``columns=[1, 0]`` along kx as here. Then e11, e22 and θ agree, and its e12, taken from
    reciprocal space, has the opposite sign; exactly, pyxem has e11 − e12²/(1 + e22) and
    −e12/det(I + e). With its default columns θ changes sign too. py4DSTEM's strain is
    infinitesimal in reciprocal space with x along rows: e_xx = e22, e_yy = e11, e_xy = e12,
    theta = θ to first order.

    σ contain the disks' σ, made larger by √(χ²/(2n − 6)) where the disks lie farther from the
    lattice than their σ allow, carried through the full covariance; the reference is taken as
    exact. Systematic errors common to all disks of a pattern, such as distortions of the
    projector lenses, are not in them and cancel against a reference from the same scan.

    Examples
    --------
    A scan of one row, its last pattern of a crystal stretched by 2 % along ky:

    >>> import numpy as np
    >>> from pyxem.signals import DiffractionVectors
    >>> from pyxem_mlmaps.mapping.strain import strain_map
    >>> h, k = np.indices((5, 5)).reshape(2, -1) - 2
    >>> scan = np.empty(4, dtype=object)
    >>> for i, stretch in enumerate([1, 1, 1, 1.02]):
    ...     scan[i] = np.column_stack([h * 0.3 / stretch, k * 0.2, h, k])
    >>> vectors = DiffractionVectors(scan, column_names=["ky", "kx", "h", "k"])
    >>> strain_map(vectors).e22.data.round(6) + 0.0
    array([0.  , 0.  , 0.  , 0.02])
    """
    from pyxem_mlmaps.strain_result import MLStrainMap

    table = VectorTable.from_vectors(vectors, lattice, reference, max_misfit, sigma_floor)
    scan_axes = table.scan_axes(vectors)
    fits = _fit_scan(vectors, table, show_progressbar, num_workers)
    basis, source = reference_basis(
        reference, fits.basis.reshape(*table.scan_shape, 2, 2), table.scale, scan_axes
    )
    components, covariance = _strain(fits, basis, axis_transformation(_angle(axis, basis)))
    if not isinstance(reference, str):
        _check_same_basis(components[np.isfinite(fits.basis).all(axis=(1, 2))])

    shape = (1,) * (2 - len(table.scan_shape)) + table.scan_shape
    axes = [{"name": "strain", "size": 4, "navigate": True}]
    axes += [{"name": name, "size": 1, "navigate": False} for name in "yx"[: 2 - len(scan_axes)]]
    axes += [a.get_axis_dictionary() | {"navigate": False} for a in scan_axes]
    result = MLStrainMap(components.T.reshape(4, *shape), axes=axes)
    result.set_maps(
        np.moveaxis(covariance, 0, -1).reshape(4, 4, *shape),
        fits.residual.reshape(shape),
        fits.n_disks.reshape(shape),
    )
    _describe(result, vectors, table, basis, source, _angle(axis, basis))
    result.warn_of_bad_points()
    return result.as_lazy() if lazy_output else result


def _fit_scan(vectors: Any, table: VectorTable, show_progressbar: Any, num_workers: Any) -> Any:
    """Lattice fits of all patterns, block by block; pixels are turned into calibrated units."""
    import dask.array as da

    from pyxem_mlmaps.mapping.strain_fit import LatticeFits

    data, n_scan = vectors.data, len(table.scan_shape)
    if n_scan == 0:
        data = data[None] if data.dtype != object else data
        n_scan = 1
    if not hasattr(data, "dask"):
        rows = max(1, BLOCK_PATTERNS // max(int(np.prod(data.shape[1:n_scan])), 1))
        data = as_dask(data, (rows, *data.shape[1:]))
    inner = tuple(range(n_scan, data.ndim))
    data = data.rechunk(dict.fromkeys(inner, -1))
    fitted = da.map_blocks(
        lambda block: fit_block(block, table),
        data,
        dtype=np.float64,
        drop_axis=inner,
        new_axis=[n_scan],
        chunks=(*data.chunks[:n_scan], (16,)),
        meta=np.empty((0,) * (n_scan + 1)),
    )
    (values,) = compute(
        fitted, show_progressbar=show_progressbar, num_workers=num_workers, text="Strain"
    )
    values = values.reshape(-1, 16)
    scale = np.asarray(table.scale)
    return LatticeFits(
        values[:, :2] * scale,
        values[:, 2:6].reshape(-1, 2, 2) * scale,
        values[:, 6:14].reshape(-1, 2, 2, 2) * scale[:, None, None] ** 2,
        values[:, 14],
        values[:, 15],
    )


def _strain(fits: Any, basis: Float, to_axes: Float) -> tuple[Float, Float]:
    """(n, 4) and (n, 4, 4) in the chosen axes, in pieces that fit into memory."""
    parts = []
    for start in range(0, len(fits.basis), 100_000):
        piece = slice(start, start + 100_000)
        components, covariance = strain_components(fits.basis[piece], fits.covariance[piece], basis)
        parts.append((components @ to_axes.T, to_axes @ covariance @ to_axes.T))
    components, covariance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return components, covariance


def _check_same_basis(strains: Float) -> None:
    """A reference that means other lattice vectors shows as an absurd strain of most patterns."""
    strange = ~(np.abs(strains[:, :3]).max(axis=1, initial=0) < 0.3)  # NaN: mirrored
    strange |= np.abs(strains[:, 3]) > np.pi / 4
    if np.sum(strange) <= len(strains) / 2:
        return
    raise ValueError(
        f"reference: against it {int(strange.sum())} of {len(strains)} patterns would be strained "
        "by more than 30 %, turned by more than 45° or mirrored, which no crystal bears. Its g1 "
        "and g2 must be the lattice vectors that the disks' indices (h, k) refer to, in pixels for "
        "a DiskLattice and in the unit of the vectors for an array."
    )


def _angle(axis: float | tuple[int, int], basis: Float) -> float:
    """Degrees from kx towards ky."""
    try:
        value = np.asarray(axis, dtype=float)
    except ValueError:
        value = np.empty(0)  # refused below
    if value.shape == () and np.isfinite(value):
        return float(value)
    if value.shape != (2,) or not np.any(value) or np.any(value != np.round(value)):
        raise ValueError(
            f"axis={axis!r} is not valid: give an angle in degrees from kx towards ky, or two "
            "integers (h, k), not both zero."
        )
    y, x = value @ basis
    return float(np.degrees(np.arctan2(y, x)))


def _describe(
    result: Any, vectors: Any, table: VectorTable, basis: Float, source: str, angle: float
) -> None:
    """Title and provenance: plain numbers and strings, which every file format keeps."""
    title = vectors.metadata.get_item("General.title", default="")
    result.metadata.General.title = f"Strain of {title}" if title else "Strain"
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    record = {
        "basis_x": [float(c), float(s)],
        "scan_dimension": len(table.scan_shape),
        "reference": {
            "source": source,
            "g1": basis[0].tolist(),
            "g2": basis[1].tolist(),
            "units": table.units,
        },
        "weighted": table.sigma is not None,
        "sigma_floor": table.sigma_floor,
        "versions": {
            "pyxem_mlmaps": __version__,
            "hyperspy": version("hyperspy"),
            "pyxem": version("pyxem"),
        },
    }
    if table.max_misfit is not None:
        record["max_misfit"] = table.max_misfit
    for key, value in record.items():
        result.metadata.set_item(f"MLStrainMap.{key}", value)
    origin = vectors.metadata.get_item("MLDiskPositions", default=None)
    if origin is not None:
        result.metadata.set_item("MLDiskPositions", origin.as_dictionary())
