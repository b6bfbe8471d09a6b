"""Both jobs from end to end, on scans whose truth is known: ``python -m pyxem_mlmaps.demo``.

GaSb ⟨110⟩ at 300 kV is simulated, a network is trained, a lazy 4D-STEM scan of a bent foil is
mapped through ``s.ml_orientation_map`` and compared with its truth. A lazy scan of a strained
transistor is mapped through ``s.ml_disk_positions`` and ``strain_map``, without training. Grains of
UO2 are mapped through ``map_polycrystal``. Where the published experiment of Yuan, Zhang, He and
Zuo, Ultramicroscopy 231 (2021) 113256, is at hand, it is mapped too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import numpy as np
from numpy.typing import ArrayLike, NDArray

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import _demo_grains as grains
from pyxem_mlmaps import _demo_page as pages
from pyxem_mlmaps import _demo_strain as strains

__all__ = ["EFFORT", "QUICK", "Effort", "disk_numbers", "main", "scatter", "simulate"]

BEAM = mlmaps.Beam(energy=300, convergence_angle=1.10)
EXPERIMENT = Path("data", "gasb-yuan2021", "experiment_50x50.mat")
PUBLISHED_SCATTER = 4.3
"""Scatter of the published network's tilt on the experiment, millidegrees."""


@dataclass(frozen=True)
class Effort:
    """How large the demo is: tilts and their step in degrees, thicknesses in nm, scans, steps."""

    tilt_range: float = 0.5
    tilt_step: float = 0.02
    thickness: tuple[float, ...] = tuple(np.arange(60, 96, 2.5).tolist())
    g_max: float | None = None
    bend: float = 0.35
    scan: tuple[int, int] = (64, 64)
    transistor: tuple[int, int] = (48, 72)
    polycrystal: tuple[int, int] = (32, 32)
    grains: int = 3
    steps: int = 1000
    robust_steps: int = 1000


EFFORT = Effort()
QUICK = Effort(
    tilt_range=0.2,
    thickness=(60, 65, 70, 75),
    g_max=1.5,
    bend=0.15,
    scan=(12, 16),
    transistor=(12, 18),
    polycrystal=(8, 8),
    grains=1,
    steps=192,
    robust_steps=128,
)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Run the demo from the command line.

    Parameters
    ----------
    arguments
        As on the command line; None takes ``sys.argv``.

    Returns
    -------
    numbers
        What is printed at the end, by name; the unit is part of the name.
    """
    options = _parser().parse_args(arguments)
    _quiet()
    effort = QUICK if options.quick else EFFORT
    experiment = _find_experiment(options.shared, search=not options.quick)
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    page = pages.Page(output)
    step = _steps(8 if experiment else 6)

    step("simulate the rocking library of GaSb ⟨110⟩")
    library = simulate(effort)
    page.add_library(library)

    step("train the network on it")
    model = mlmaps.train_orientation_model(
        library,
        mlmaps.NoiseModel(dose=(1e5, 1e6)),
        steps=effort.steps,
        batch_size=512,
    )
    print(model)
    page.add_training(model)

    step("record a 4D-STEM scan of a bent foil, load it lazily and find the disks")
    scan = mlmaps.data.bent_foil(effort.scan, library=library, bend=effort.bend)
    scan.save(output / "scan.zspy", overwrite=True)
    s = hs.load(output / "scan.zspy", lazy=True)
    lattice = mlmaps.DiskLattice.from_signal(s, model)
    print(s, f"{len(lattice)} disks of radius {lattice.radius:.2f} px", sep="\n")
    page.add_lattice(s, lattice)

    step("map it and compare with the truth")
    omap = s.ml_orientation_map(model, lattice, background="local", lazy_output=False)
    numbers = judge(omap, mlmaps.data.ground_truth(s))
    page.add_foil(omap, mlmaps.data.ground_truth(s), numbers)
    model.save(output / "gasb_110.keras")
    omap.save(output / "orientation_map.hspy", overwrite=True)

    step("map the strain of a transistor; the network for its disks comes with the package")
    maps = strains.map_device(effort.transistor, output)
    print(maps.signal, maps.vectors, maps.strain, sep="\n")
    numbers |= strains.judge_strain(maps.absolute, maps.truth)
    page.add_transistor(maps, numbers)

    step("map the orientations of a polycrystal; its libraries are simulated on the way")
    crystal = grains.map_grains(effort.polycrystal, effort.grains, output)
    print(crystal.signal, crystal.xmap, sep="\n")
    numbers |= grains.judge_grains(crystal)
    page.add_grains(crystal, numbers)

    if experiment:
        step("train a second network that allows for what the simulation does not know")
        robust = train_robust(library, effort.robust_steps)
        print(robust)
        step("map the published 50 x 50 experiment")
        measured = map_experiment(robust, experiment)
        numbers |= judge_experiment(measured)
        page.add_experiment(measured, numbers)

    _print(numbers)
    print(f"The page that shows it all: {page.write()}")
    return numbers


# ---- tilt, of a foil and of the experiment ------------------------------------------------------


def disk_numbers() -> NDArray[np.int64]:
    """(43, 2) disks (n1, n2) of the published experiment, in its order."""
    first = {3: -3, 2: -3, 1: -3, 0: -3, -1: -3, -2: -2, -3: -1}
    last = {3: 1, 2: 2, 1: 3, 0: 3, -1: 3, -2: 3, -3: 3}
    return np.array([(i, j) for i in first for j in range(first[i], last[i] + 1)])


def simulate(effort: Effort) -> mlmaps.RockingLibrary:
    """GaSb along [110] with the reflections of the published experiment, in its order."""
    n1, n2 = disk_numbers().T[..., None]
    return mlmaps.simulate_rocking(
        mlmaps.data.gasb(),
        BEAM,
        zone_axis=(1, 1, 0),
        tilt_range=effort.tilt_range,
        tilt_step=effort.tilt_step,
        thickness=effort.thickness,
        reflections=n1 * np.array([1, -1, -1]) + n2 * np.array([1, -1, 1]),
        g_max=effort.g_max,
    )


def judge(omap: mlmaps.MLOrientationMap, truth: Any) -> dict[str, float]:
    """Errors of a map of known tilts."""
    numbers: dict[str, float] = {}
    for name, unit, factor in (
        ("tilt_x", "m°", 1e3),
        ("tilt_y", "m°", 1e3),
        ("thickness", "nm", 1.0),
    ):
        error = omap.channel(name).data - getattr(truth, name)
        sigma = omap.channel(f"sigma_{name}").data
        label = name.replace("_", " ")
        numbers[f"foil: RMS error of {label} ({unit})"] = factor * _rms(error)
        numbers[f"foil: RMS σ of {label} ({unit})"] = factor * _rms(sigma)
        numbers[f"foil: {label} within 1σ (%)"] = 100 * float(np.mean(np.abs(error) <= sigma))
    numbers["foil: points with misfit above 1 (%)"] = 100 * float(np.mean(omap.misfit.data > 1))
    return numbers


def train_robust(library: mlmaps.RockingLibrary, steps: int) -> mlmaps.OrientationModel:
    """A model for a real measurement: inelastic background, and intensities that are not exact."""
    noise = mlmaps.NoiseModel(
        dose=None, white=(0.02, 0.1), background=(0, 0.4), model_error=(0.05, 0.2)
    )
    return mlmaps.train_orientation_model(library, noise, steps=steps, batch_size=512)


def map_experiment(model: mlmaps.OrientationModel, path: Path) -> mlmaps.MLOrientationMap:
    """The 50 x 50 scan: its patterns are published as disk sums, so the model takes them bare.

    The pattern is turned against the library as direct beam, g1 and g2 of the publication say
    (512 x 512 px); the tilts are turned with it into the axes of the image.
    """
    from scipy.io import loadmat

    disks = loadmat(path)["diskList"]
    if not np.array_equal(disks[:, :2, 0], disk_numbers()):
        raise ValueError(f"{path}: its disks are not the 43 of the publication in their order.")
    lattice = mlmaps.DiskLattice((257, 257), (-48, -34), (-48, 34), disk_numbers(), 11.6)
    size = round(disks.shape[2] ** 0.5)
    return mlmaps.map_intensities(disks[:, 2].T.reshape(size, size, -1), model, lattice)


def judge_experiment(omap: mlmaps.MLOrientationMap) -> dict[str, float]:
    """What can be said of a map without a truth: how much neighbours scatter."""
    return {
        "experiment: scatter of tilt x (m°)": 1e3 * scatter(omap.tilt_x.data),
        "experiment: scatter of tilt y (m°)": 1e3 * scatter(omap.tilt_y.data),
        "experiment: scatter of the published network (m°)": PUBLISHED_SCATTER,
        "experiment: median σ of tilt x (m°)": 1e3 * float(np.nanmedian(omap.sigma_tilt_x.data)),
        "experiment: median thickness (nm)": float(np.nanmedian(omap.thickness.data)),
        "experiment: points with misfit above 1 (%)": 100 * float(np.mean(omap.misfit.data > 1)),
    }


def scatter(values: ArrayLike) -> float:
    """Pixel-to-pixel noise of a map that is smooth otherwise.

    Every point less the mean of its four neighbours has √1.25 times the noise of one point; the
    median over the map, times 1.48, is the standard deviation without its outliers.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(100, 100))
    >>> round(scatter(noise + np.arange(100)), 1)
    1.0
    """
    v = np.asarray(values, dtype=float)
    around = v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, :-2] + v[1:-1, 2:]
    return float(1.48 * np.nanmedian(np.abs(v[1:-1, 1:-1] - around / 4)) / np.sqrt(1.25))


# ---- command line -------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pyxem_mlmaps.demo", description=__doc__)
    parser.add_argument("--output", default="demo-output", help="folder for page and figures")
    parser.add_argument("--quick", action="store_true", help="a small run, for tests")
    parser.add_argument(
        "--shared", type=Path, help=f"folder that holds {EXPERIMENT}; without it ../shared is tried"
    )
    return parser


def _find_experiment(shared: Path | None, search: bool) -> Path | None:
    if shared is not None:
        if not (shared / EXPERIMENT).is_file():
            raise SystemExit(f"--shared {shared}: there is no {EXPERIMENT} in it.")
        return shared / EXPERIMENT
    if not search:
        return None
    places = (Path.cwd().parent, Path(__file__).resolve().parents[2])
    found = [p / "shared" / EXPERIMENT for p in places]
    return next((path for path in found if path.is_file()), None)


def _quiet() -> None:
    """Figures go to files."""
    import matplotlib

    matplotlib.use("Agg")


def _steps(total: int) -> Any:
    numbers = iter(range(1, total + 1))
    return lambda text: print(f"\nstep {next(numbers)} of {total}: {text}", flush=True)


def _print(numbers: dict[str, float]) -> None:
    print()
    for name, value in numbers.items():
        print(f"  {name:58s} {value:9.3g}")
    print()


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


if __name__ == "__main__":
    main()
