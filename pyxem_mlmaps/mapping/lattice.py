"""Find the lattice of diffraction disks on the mean pattern of a scan."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps.mapping import disk_edges
from pyxem_mlmaps.mapping import lattice_disks as disks
from pyxem_mlmaps.mapping import lattice_fit as fit
from pyxem_mlmaps.mapping.lattice_template import (
    LatticeTemplate,
    in_plane_indices,
    lattice_symmetries,
    match_rotation,
)
from pyxem_mlmaps.mapping.mean_pattern import Calibration, calibration_of, mean_pattern
from pyxem_mlmaps.specs import DiskLattice

__all__ = ["LatticeTemplate", "find_lattice", "find_lattice_candidates", "in_plane_indices"]

Floats = NDArray[np.float64]
STEPS = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])

TIE = 0.05
"""Difference of two orientations' correlation scores below which the intensities do not decide."""


def find_lattice(
    signal: Any,
    template: Any = None,
    *,
    radius: float | None = None,
    n_disks: int | None = None,
    mirror: bool = False,
    show_progressbar: bool | None = None,
    max_patterns: int = 1000,
) -> DiskLattice:
    """Find origin, lattice vectors and radius of the disks on the mean pattern.

    Parameters
    ----------
    signal
        Diffraction2D, lazy or not, with 0 to 2 (or more) navigation axes; or a (ky, kx) array,
        which is then the mean pattern. The direct beam is the brightest disk, preferably near
        the zero of the signal axes, or near the centre where they have none.
    template
        :class:`LatticeTemplate`, or anything with a method ``lattice_template()`` that returns
        one. The result then has the template's disks in the template's order. None: all disks of
        the lattice that lie on the detector, the innermost first.
    radius
        Disk radius in pixels. None: from beam energy and convergence angle in the metadata and
        the calibrated axes, else measured on the pattern.
    n_disks
        Only without template: keep the most intense ones, the most intense first.
    mirror
        Also try the mirrored template.
    show_progressbar
        None follows HyperSpy's preference.
    max_patterns
        The mean is taken over at most so many patterns, spread evenly over the scan.

    Returns
    -------
    DiskLattice
        In pixels of the signal.

    Raises
    ------
    ValueError
        If there are no disks or too few for a lattice, if the radius is impossible, if disks
        overlap or leave the detector, or if the template does not fit the pattern.

    Notes
    -----
    Disk by disk the edge is fitted, not the disk's contents. On synthetic patterns with strong
    fringes in the disks the lattice is right to about 0.02 px rms.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice import find_lattice
    >>> y, x = np.indices((96, 96))
    >>> offset = np.hypot((y - 48.3 + 10) % 20 - 10, (x - 47.6 + 13) % 26 - 13)
    >>> lattice = find_lattice(np.clip(6.5 - offset, 0, 1))
    >>> np.round([lattice.origin, lattice.g1, lattice.g2], 0) + 0
    array([[ 48.,  48.],
           [ 20.,   0.],
           [  0., -26.]])
    """
    if template is not None:
        if n_disks is not None:
            raise ValueError(f"n_disks={n_disks}: a template sets the disks; leave n_disks out.")
        options = dict(radius=radius, mirror=mirror, max_patterns=max_patterns)
        found = find_lattice_candidates(
            signal, template, show_progressbar=show_progressbar, **options
        )
        if len(found) > 1 and found[0][1] - found[1][1] < TIE:
            warnings.warn(
                f"two orientations of the pattern fit about equally well (scores "
                f"{found[0][1]:.3f} and {found[1][1]:.3f}); the first is taken. Map a few points "
                "with each of find_lattice_candidates(...) and keep the one of smaller misfit.",
                stacklevel=3,
            )
        return found[0][0]
    pattern, calibration, result_radius, seen_radius = _prepare(
        signal, radius, max_patterns, show_progressbar
    )
    origin, basis = _free_lattice(pattern, seen_radius, calibration)
    origin, basis, _, _ = fit.refine_lattice(pattern, origin, basis, seen_radius)
    origin, basis, _, used = fit.refine_lattice(pattern, origin, basis, seen_radius)
    if len(used) < 3:
        raise ValueError(
            f"signal: only {len(used)} disks with a clear edge; a lattice needs three that are not "
            "on one line. Record more counts, or give `template` or the DiskLattice itself."
        )
    basis = fit.reduce_basis(basis)
    indices = fit.points_on_detector(origin, basis, pattern.shape, result_radius)
    if n_disks is not None:
        if not 1 <= n_disks <= len(indices):
            raise ValueError(f"n_disks={n_disks}: 1 to {len(indices)} lie on the detector.")
        gap = np.hypot(*basis[0]) - 2 * seen_radius
        sums = disks.disk_sums(pattern, origin + indices @ basis, seen_radius, gap)
        indices = indices[np.argsort(-sums, kind="stable")[:n_disks]]
    lattice = DiskLattice(origin, basis[0], basis[1], indices, result_radius)
    lattice.check_fits(pattern.shape)
    return lattice


def find_lattice_candidates(
    signal: Any,
    template: Any,
    *,
    radius: float | None = None,
    mirror: bool = False,
    show_progressbar: bool | None = None,
    max_patterns: int = 1000,
) -> list[tuple[DiskLattice, float]]:
    """All orientations of a template that fit the disk positions, best intensities first.

    A lattice turned by one of its own symmetries (always 180 degrees) has its disks in the same
    places; only the intensities tell which one it is.

    Parameters
    ----------
    signal
        As in :func:`find_lattice`.
    template
        A ``LatticeTemplate`` or an object with a method ``lattice_template()``.
    radius, mirror, show_progressbar, max_patterns
        As in :func:`find_lattice`.

    Returns
    -------
    list of (DiskLattice, float)
        The lattice, and the correlation of the square roots of measured and expected intensities
        without the direct beam. All have the template's disks in the template's order.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps.mapping.lattice import LatticeTemplate, find_lattice_candidates
    >>> y, x = np.indices((96, 96))
    >>> offset = np.hypot((y - 48 + 10) % 20 - 10, (x - 47 + 13) % 26 - 13)
    >>> pattern = np.clip(6.5 - offset, 0, 1) * np.exp(x / 40 - 0.003 * (y - 48) ** 2)
    >>> indices = np.array([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)])
    >>> template = LatticeTemplate(indices, indices @ [(0, 26), (20, 0)], [3, 5, 1, 2, 1])
    >>> best, other = find_lattice_candidates(pattern, template)
    >>> np.round(best[0].g1) + 0, np.round(other[0].g1) + 0, best[1] > other[1]
    (array([ 0., 26.]), array([  0., -26.]), True)
    """
    template = template.lattice_template() if hasattr(template, "lattice_template") else template
    indices, basis0 = in_plane_indices(template.indices, template.vectors)
    pattern, calibration, result_radius, seen_radius = _prepare(
        signal, radius, max_patterns, show_progressbar
    )
    image = np.sqrt(pattern)
    points, _ = disks.find_disks(image, seen_radius)
    free = fit.search_basis(points, seen_radius)
    measured = None if free is None else float(np.sqrt(abs(np.linalg.det(free[1]))))
    expected = float(np.sqrt(abs(np.linalg.det(basis0))))
    if calibration.scale is not None:
        magnification = 1 / calibration.scale
    elif measured is not None:
        magnification = measured / expected
    else:
        _too_few(len(points), seen_radius)
    expected *= magnification
    direct = _direct_beam(pattern, points, seen_radius, calibration, expected)

    vectors = template.vectors * magnification
    span = 0.05 * float(np.hypot(*vectors.T).max())
    n_scales = 2 * int(np.ceil(span / (0.5 * seen_radius))) + 1
    weights = np.sqrt(template.mean_intensity) + 1e-3 * np.sqrt(
        template.mean_intensity.max() + 1e-30
    )
    matches = match_rotation(
        disks.disk_map(image, seen_radius)[0],
        vectors,
        weights,
        direct,
        seen_radius,
        np.linspace(0.95, 1.05, n_scales),
        mirror,
    )
    refined = []
    for _, matrix in matches:
        start = basis0 @ matrix * magnification
        origin, basis, _, _ = fit.refine_lattice(pattern, direct, start, seen_radius)
        origin, basis, _, used = fit.refine_lattice(pattern, origin, basis, seen_radius)
        ours = {tuple(i) for i in indices} & {tuple(i) for i in used}
        stretch = np.linalg.svd(np.linalg.solve(basis0 * magnification, basis))[1]
        if len(ours) >= 3 and np.all(np.abs(stretch - 1) < 0.08):
            refined.append((len(ours), -float(np.ptp(stretch)), origin, basis))
            if len(ours) > 0.9 * len(indices):
                break  # the other matches are its symmetric equivalents
    fraction = max((entry[0] for entry in refined), default=0) / len(indices)
    if fraction < 0.4:
        seen = "no lattice was found" if measured is None else f"{measured:.2f} px were measured"
        raise ValueError(
            f"template: only {fraction:.0%} of its {len(indices)} disks are seen on the pattern. "
            f"Expected is a spacing (root of the cell's area) of {expected:.2f} px; {seen}. "
            "Check the calibration of the signal axes, the crystal and the zone axis."
        )
    if measured is not None and abs(measured / expected - 1) > 0.1:
        warnings.warn(
            f"template: a spacing of {expected:.2f} px is expected, {measured:.2f} px is measured. "
            "Check the calibration and the zone axis, unless the template leaves disks out.",
            stacklevel=2,
        )
    _, _, origin, basis = max(refined, key=lambda entry: entry[:2])

    def oriented(start: Floats) -> list[tuple[DiskLattice, float]]:
        return _equivalents(
            pattern, template, indices, basis0, start, basis, seen_radius, result_radius, mirror
        )

    # A bright disk beside the direct beam may have been taken for it: intensities tell.
    sums = disks.disk_sums(pattern, origin + STEPS @ basis, seen_radius)
    bright = STEPS[1:][sums[1:] > 0.3 * sums.max()]
    neighbours = [found for step in bright if (found := oriented(origin + step @ basis))]
    found = oriented(origin)
    best = max(neighbours, key=lambda f: f[0][1], default=None)
    clearly_better = best and (not found or (found[0][1] < 0.7 and best[0][1] > found[0][1] + 0.2))
    found = best if clearly_better else found
    if not found:
        DiskLattice(origin, *basis, indices, result_radius).check_fits(pattern.shape)
    return found


def _prepare(
    signal: Any, radius: float | None, max_patterns: int, show_progressbar: bool | None
) -> tuple[Floats, Calibration, float, float]:
    """Mean pattern, calibration, the radius to report and the radius that is seen."""
    pattern = disks.clean_pattern(mean_pattern(signal, max_patterns, show_progressbar))
    if pattern.max() <= pattern.min():
        raise ValueError("signal: the mean pattern is constant, there are no disks on it.")
    calibration = calibration_of(signal)
    nominal = calibration.radius if radius is None else float(radius)
    largest = min(pattern.shape) / 3
    if nominal is not None and not 1.5 <= nominal <= largest:
        source = "given" if radius is not None else "from the metadata's convergence angle"
        raise ValueError(
            f"radius={nominal:g} px ({source}) is impossible on {pattern.shape[0]} x "
            f"{pattern.shape[1]} px: 1.5 to {largest:.0f} px are allowed. Check the calibration."
        )
    limits = (2.0, None) if nominal is None else (max(1.5, nominal / 2), 2 * nominal)
    measured = disk_edges.measure_radius(pattern, *limits)
    if nominal is None:
        if measured is None:
            raise ValueError("signal: no disks were found; give `radius` or record more counts.")
        return pattern, calibration, measured, measured
    if measured is None:
        return pattern, calibration, nominal, nominal
    if radius is None and abs(measured / nominal - 1) > 0.1:
        warnings.warn(
            f"radius: {nominal:.2f} px follow from the metadata, {measured:.2f} px are measured. "
            "Check convergence angle (semi-angle, mrad) and calibration, or give `radius`.",
            stacklevel=3,
        )
    return pattern, calibration, nominal, measured if 0.7 < measured / nominal < 1.4 else nominal


def _too_few(n: int, radius: float) -> None:
    raise ValueError(
        f"signal: {n} disks of radius {radius:.1f} px were found, too few for a lattice, which "
        "needs three that are not on one line. Check the radius, or record more counts; for one or "
        "two disks say where they are, DiskLattice(origin, g1, g2, indices, radius), with "
        "indices=[(0, 0)] for the direct beam alone."
    )


def _free_lattice(
    pattern: Floats, radius: float, calibration: Calibration
) -> tuple[Floats, Floats]:
    points, _ = disks.find_disks(np.sqrt(pattern), radius)
    free = fit.search_basis(points, radius)
    if free is None:
        _too_few(len(points), radius)
    origin, basis, fraction = free
    if fraction < 0.5:
        raise ValueError(
            f"signal: only {fraction:.0%} of {len(points)} disks lie on one lattice. Several "
            "grains? Give the pattern of one grain, or a template."
        )
    spacing = float(np.hypot(*basis[0]))
    direct = _direct_beam(pattern, points, radius, calibration, spacing)
    return origin + np.round((direct - origin) @ np.linalg.inv(basis)) @ basis, basis


def _direct_beam(
    pattern: Floats, points: Floats, radius: float, calibration: Calibration, spacing: float
) -> Floats:
    """The brightest disk near the axes' zero, or near the centre.

    A disk one spacing from the zero must be seven times as bright as one there: at some thicknesses
    a diffracted disk is brighter than the direct beam. Without a zero a third of the detector is
    near.
    """
    if len(points) == 0:
        _too_few(0, radius)
    inside = calibration.zero is not None and all(
        0.1 * n < z < 0.9 * n for z, n in zip(calibration.zero, pattern.shape, strict=True)
    )
    centre = np.array(calibration.zero if inside else (np.array(pattern.shape) - 1) / 2)
    sigma = spacing / 2 if inside else min(pattern.shape) / 3
    sums = disks.disk_sums(pattern, points, radius, spacing - 2 * radius)
    distance = np.hypot(*(points - centre).T)
    with np.errstate(divide="ignore"):
        return points[
            np.argmax(np.log(np.clip(sums, 1e-300, None)) - 0.5 * (distance / sigma) ** 2)
        ]


def _equivalents(
    pattern: Floats,
    template: LatticeTemplate,
    indices: NDArray[np.int64],
    basis0: Floats,
    origin: Floats,
    basis: Floats,
    seen_radius: float,
    radius: float,
    mirror: bool,
) -> list[tuple[DiskLattice, float]]:
    """The lattice in all its own symmetries, with the correlation of intensities."""
    expected = np.sqrt(template.mean_intensity)
    gap = float(np.hypot(*fit.reduce_basis(basis)[0])) - 2 * seen_radius
    others = np.any(indices != 0, axis=1)
    found = []
    for matrix in lattice_symmetries(basis0):
        turned = matrix @ basis
        if not mirror and np.linalg.det(turned) * np.linalg.det(basis0) < 0:
            continue
        sums = disks.disk_sums(pattern, origin + indices @ turned, seen_radius, gap)
        seen = np.sqrt(np.clip(sums, 0, None))[others]
        if (
            others.sum() < 2
            or np.ptp(seen) == 0
            or np.ptp(expected[others]) < 1e-9 * expected.max()
        ):
            score = 0.0
        else:
            score = float(np.corrcoef(seen, expected[others])[0, 1])
        found.append((DiskLattice(origin, turned[0], turned[1], indices, radius), score))
    found.sort(key=lambda entry: -entry[1])
    on = []
    for lattice, score in found:
        try:
            lattice.check_fits(pattern.shape)
        except ValueError:
            continue
        on.append((lattice, score))
    return on
