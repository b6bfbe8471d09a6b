"""Figures and tables of the documentation, computed from small synthetic scans.

``python docs/make_figures.py`` writes them into ``docs/_figures``; the build of the documentation
runs it where they are missing or this file has changed. About a minute on two cores.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import pyxem_mlmaps as mlmaps

FOLDER = Path(__file__).parent / "_figures"
SCAN = (12, 16)
DEVICE = (10, 15)
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"

Float = NDArray[np.float64]


class Case(NamedTuple):
    """One scan of a table: what was done to it, its errors over σ, and what the map says."""

    name: str
    columns: tuple[str, ...]
    error: Float
    misfit: Float


def main() -> None:
    """Write all figures and tables."""
    hs.preferences.General.show_progressbar = False
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "stamp").unlink(missing_ok=True)
    warnings.simplefilter("ignore")
    _overlap_figure()
    library = _library(np.arange(65, 81, 2.5))
    _rocking_figure(library)
    model = _orientation_cases(library)
    _strain_cases()
    _map_figures(library, model)
    (FOLDER / "stamp").write_text(stamp())


def stamp() -> str:
    """What the figures depend on: this file and the version of the package."""
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return f"{source} {mlmaps.__version__}"


def up_to_date() -> bool:
    """Whether the figures that lie there are those of this file."""
    kept = FOLDER / "stamp"
    return kept.is_file() and kept.read_text() == stamp()


# ---- maps ---------------------------------------------------------------------------------------


def _map_figures(library: mlmaps.RockingLibrary, model: mlmaps.OrientationModel) -> None:
    """What the two methods map: a bent foil, and a transistor."""
    foil = mlmaps.data.bent_foil((30, 40), library=library, bend=0.15, electrons=1e6)
    foil.compute()
    lattice = mlmaps.DiskLattice.from_signal(foil, model)
    omap = foil.ml_orientation_map(model, lattice, lazy_output=False, background="local")
    _keep(omap.plot(return_figure=True), "orientation-map")
    device = mlmaps.data.finfet((20, 30))
    device.compute()  # lazy, it would be made anew each time that it is read
    reference = mlmaps.data.ground_truth(device).reference
    strain = mlmaps.strain_map(device.ml_disk_positions(lazy_output=False), reference=reference)
    _keep(strain.plot_strain(sigma=True, return_figure=True), "strain-map")


# ---- planning -----------------------------------------------------------------------------------


def _overlap_figure() -> None:
    """Disks of one row of reflections for three convergence angles."""
    beam_energy, spacing = 300, 3.52  # keV; Å, {111} of GaSb
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    wavelength = mlmaps.Beam(beam_energy, 1.0).wavelength
    bragg = 1e3 * wavelength / spacing  # distance of neighbouring disks in mrad
    for ax, alpha in zip(axes, (1.1, 0.48 * bragg, 0.62 * bragg), strict=True):
        for n in range(-2, 3):
            for m in (-1, 0, 1):
                centre = (n * bragg, m * bragg)
                ax.add_patch(plt.Circle(centre, alpha, fc=BLUE, ec="k", alpha=0.35))
        ax.set(xlim=(-13, 13), ylim=(-7, 7), aspect="equal", xlabel="mrad")
        gap = bragg - 2 * alpha
        ax.set_title(f"α = {alpha:.1f} mrad, gap {gap:+.1f} mrad", fontsize=10)
        ax.set_yticks([])
    _keep(figure, "overlap")


# ---- orientation --------------------------------------------------------------------------------


def _library(thickness: Float, reflections: int | NDArray = 31) -> mlmaps.RockingLibrary:
    return mlmaps.simulate_rocking(
        mlmaps.data.gasb(),
        mlmaps.Beam(energy=300, convergence_angle=1.10),
        zone_axis=(1, 1, 0),
        tilt_range=0.2,
        thickness=thickness,
        reflections=reflections,
        g_max=1.5,
    )


def _rocking_figure(library: mlmaps.RockingLibrary) -> None:
    """Two disks against tilt, at two thicknesses: what tilt and thickness are read from."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.9), layout="constrained", sharey=True)
    middle = len(library.tilt_y) // 2
    order = np.argsort(library.mean_intensity)[::-1]
    for ax, disk in zip(axes, order[[1, 5]], strict=True):
        for depth, colour in ((0, BLUE), (-1, ORANGE)):
            curve = library.intensities[:, middle, depth, disk]
            label = f"{library.thickness[depth]:g} nm"
            ax.plot(library.tilt_x, 100 * curve, color=colour, label=label)
        h, k, l = library.indices[disk]  # noqa: E741
        ax.set(title=f"({h} {k} {l})", xlabel="tilt x (°)")
    axes[0].set_ylabel("intensity (% of the beam)")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    _keep(figure, "rocking")


def _orientation_cases(library: mlmaps.RockingLibrary) -> mlmaps.OrientationModel:
    """What models say of scans that are as they were told, and of scans that are not. Returns the
    first of them."""
    model = mlmaps.train_orientation_model(
        library, noise=mlmaps.NoiseModel(dose=(1e5, 1e6)), steps=384, batch_size=512
    )
    thin = _library(np.array([44.0, 47, 50, 53, 56]), library.indices)
    good = _foil(library)
    lattice = mlmaps.DiskLattice.from_signal(good, model)
    other = mlmaps.data.bent_foil(SCAN, library=library, bend=0.15, electrons=5e5, seed=5)
    half = mlmaps.data.bent_foil(SCAN, library=library, bend=0.15, electrons=5e5)
    halo = good.deepcopy()
    halo.data = _with_halo(np.asarray(good.data), 1e6, np.asarray(lattice.origin))
    tolerant = mlmaps.train_orientation_model(
        library,
        noise=mlmaps.NoiseModel(
            dose=None, white=(0.02, 0.1), background=(0, 0.4), model_error=(0.05, 0.2)
        ),
        steps=384,
        batch_size=512,
    )
    scans: list[tuple[str, Any, Any, str]] = [
        ("as the model was told", good, model, "local"),
        ("amorphous layer, local background", halo, model, "local"),
        ("amorphous layer, no background taken off", halo, model, "none"),
        ("amorphous layer, noise model for measurements", halo, tolerant, "local"),
        ("two crystals in every pattern, half each", _sum(half, other), model, "local"),
        ("45 to 55 nm, the library begins at 65 nm", _foil(thin), model, "local"),
    ]
    cases = []
    for name, scan, trained, background in scans:
        truth = mlmaps.data.ground_truth(scan)
        omap = scan.ml_orientation_map(trained, lattice, lazy_output=False, background=background)
        error = omap.data[..., :2] - np.stack([truth.tilt_x, truth.tilt_y], axis=-1)
        sigma = omap.data[..., 3:5]
        misfit = omap.misfit.data
        cases.append(Case(name, _orientation_row(error, sigma, misfit), error[..., 0], misfit))
    head = ("RMS error (m°)", "median σ (m°)", "errors within 1σ", "median misfit", "misfit > 1")
    _table("orientation", head, cases)
    _maps("orientation", cases, 1e3, "error of tilt x (m°)", "misfit", 5)
    return model


def _foil(library: mlmaps.RockingLibrary) -> Any:
    return mlmaps.data.bent_foil(SCAN, library=library, bend=0.15, electrons=1e6)


def _orientation_row(error: Float, sigma: Float, misfit: Float) -> tuple[str, ...]:
    return (
        f"{1e3 * np.sqrt(np.nanmean(error**2)):.2f}",
        f"{1e3 * np.nanmedian(sigma):.2f}",
        f"{np.mean(np.abs(error) <= sigma):.0%}",
        f"{np.nanmedian(misfit):.2f}",
        f"{np.mean(misfit > 1):.0%}",
    )


def _with_halo(patterns: NDArray, electrons: float, origin: Float) -> NDArray:
    """Half of the electrons scattered by an amorphous layer into a ring about the direct beam."""
    rng = np.random.default_rng(3)
    y, x = np.indices(patterns.shape[-2:])
    distance = np.hypot(y - origin[0], x - origin[1])
    ring = np.exp(-0.5 * ((distance - 45) / 12) ** 2) + 3 * np.exp(-distance / 25)
    kept = rng.binomial(patterns, 0.5)
    return kept + rng.poisson(0.5 * electrons * ring / ring.sum(), kept.shape)


def _sum(first: Any, second: Any) -> Any:
    both = first.deepcopy()
    both.data = np.asarray(first.data) + np.asarray(second.data)
    return both


# ---- strain -------------------------------------------------------------------------------------


def _strain_cases() -> None:
    """The same device four times: as it is, under an amorphous layer, and with a second grain."""
    good = mlmaps.data.finfet(DEVICE)
    few = mlmaps.data.finfet(DEVICE, electrons_per_disk=1e3)
    turned = mlmaps.data.finfet(DEVICE, rotation=2.0, seed=4)
    for scan in (good, few, turned):
        scan.compute()  # lazy, it would be made anew each time that it is read
    truth = mlmaps.data.ground_truth(good)
    vectors = good.ml_disk_positions(lazy_output=False)
    record = vectors.metadata.MLDiskPositions.lattice.as_dictionary()
    lattice = mlmaps.DiskLattice.from_dict(record)
    _disk_figure(good, vectors, truth)
    halo = good.deepcopy()
    electrons = float(np.asarray(good.data[0, 0]).sum())
    halo.data = _with_halo(np.asarray(good.data), electrons, np.asarray(lattice.origin))
    scans: list[tuple[str, Any]] = [
        ("10⁵ electrons a disk", good),
        ("10³ electrons a disk", few),
        ("amorphous layer over the crystal", halo),
        ("a second grain, turned by 2°, in every pattern", _sum(good, turned)),
    ]
    cases = []
    for name, scan in scans:
        found = vectors if scan is good else scan.ml_disk_positions(
            lattice=lattice, lazy_output=False
        )  # fmt: skip
        strain = mlmaps.strain_map(found, reference=truth.reference)
        known = np.stack([truth.e_xx, truth.e_yy, truth.e_xy])
        known -= np.median(known[:, truth.reference], axis=1)[:, None, None]
        error = np.where(truth.crystal, strain.data[:3] - known, np.nan)
        residual = np.where(truth.crystal, strain.residual.data, np.nan)
        row = _strain_row(error, strain, residual, truth.crystal)
        cases.append(Case(name, row, error[0], residual))
    head = (
        "RMS error (%)",
        "median σ (%)",
        "errors within 1σ",
        "residual (px)",
        "disks",
        "points with strain",
    )
    _table("strain", head, cases)
    _maps("strain", cases, 1e2, "error of ε_xx (%)", "residual (px)", 0.2)


def _strain_row(
    error: Float, strain: mlmaps.MLStrainMap, residual: Float, crystal: NDArray[np.bool_]
) -> tuple[str, ...]:
    finite = np.isfinite(error)
    sigma = strain.sigma.data[:3]
    return (
        f"{100 * np.sqrt(np.nanmean(error**2)):.3f}",
        f"{100 * np.median(sigma[finite]):.3f}",
        f"{np.mean((np.abs(error) <= sigma)[finite]):.0%}",
        f"{np.nanmedian(residual):.3f}",
        f"{np.nanmedian(strain.n_disks.data[crystal]):.0f}",
        f"{finite[0].sum()} of {crystal.sum()}",
    )


def _disk_figure(signal: Any, vectors: Any, truth: mlmaps.data.StrainTruth) -> None:
    """A pattern, one of its disks, and where the edge was found."""
    y, x = map(int, np.argwhere(truth.alloy)[0])
    pattern = np.asarray(signal.data[y, x])
    radius = truth.lattice.radius
    rows = vectors.data[y, x]
    offset = [axis.offset for axis in signal.axes_manager.signal_axes[::-1]]
    positions = (rows[:, :2] - offset) / vectors.scales[0]
    figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
    axes[0].imshow(np.log1p(pattern), cmap="gray")
    brightest = np.argsort(rows[:, 2])[::-1][[1, 4, 9]]
    for number, (row, ax) in enumerate(zip(brightest, axes[1:], strict=True), 1):
        cy, cx = positions[row]
        window = [slice(int(c) - 11, int(c) + 12) for c in (cy, cx)]
        extent = (window[1].start - 0.5, window[1].stop - 0.5, window[0].stop - 0.5, window[0].start - 0.5)  # noqa: E501  # fmt: skip
        ax.imshow(pattern[tuple(window)], cmap="gray", extent=extent)
        ax.add_patch(plt.Circle((cx, cy), radius, fill=False, ec="#56B4E9", lw=1.5))
        sigma = np.hypot(*rows[row, 3:5]) / vectors.scales[0] / np.sqrt(2)
        ax.set_title(f"disk {number}: σ {sigma:.3f} px", fontsize=10)
        axes[0].annotate(str(number), (cx, cy), color="w", ha="center", va="center")
        ax.set_axis_off()
    for cy, cx in positions:
        axes[0].add_patch(plt.Circle((cx, cy), radius, fill=False, ec="#56B4E9", lw=0.8))
    axes[0].set_axis_off()
    axes[0].set_title("disks as they were found", fontsize=10)
    _keep(figure, "disks")


# ---- tables and maps ----------------------------------------------------------------------------


def _table(name: str, head: tuple[str, ...], cases: list[Case]) -> None:
    lines = [f"| the scan | {' | '.join(head)} |", f"|---|{'---:|' * len(head)}"]
    lines += [f"| {case.name} | {' | '.join(case.columns)} |" for case in cases]
    (FOLDER / f"{name}-cases.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _maps(
    name: str, cases: list[Case], factor: float, error: str, other: str, limit: float
) -> None:
    """Error above, misfit or residual below, one column for each case."""
    figure, axes = plt.subplots(
        2, len(cases), figsize=(2.5 * len(cases), 4.4), layout="constrained", squeeze=False
    )
    good = factor * np.nanpercentile(np.abs(cases[0].error), 99)
    for column, case in enumerate(cases):
        title = "\n".join(_wrapped(case.name, 24))
        axes[0, column].set_title(title, fontsize=9)
        above = axes[0, column].imshow(
            factor * case.error, cmap="RdBu_r", vmin=-5 * good, vmax=5 * good
        )
        below = axes[1, column].imshow(case.misfit, cmap="viridis", vmin=0, vmax=limit)
    for ax in axes.ravel():
        ax.set_facecolor("0.6")
        ax.set(xticks=[], yticks=[])
    figure.colorbar(above, ax=axes[0], label=error, extend="both")
    figure.colorbar(below, ax=axes[1], label=other, extend="max")
    _keep(figure, f"{name}-cases")


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)


def _keep(figure: plt.Figure, name: str) -> None:
    figure.savefig(FOLDER / f"{name}.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
