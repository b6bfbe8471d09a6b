"""Mapping from a zarr store: time against ``s.sum()``, memory against scan size."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import keep

if TYPE_CHECKING:
    import pyxem_mlmaps as mlmaps

SIZES = (48, 96)


def make_model(folder: Path) -> mlmaps.RockingLibrary:
    """A library of GaSb, and a model of it that is quickly trained, saved in the folder."""
    import hyperspy.api as hs

    import pyxem_mlmaps as mlmaps
    from pyxem_mlmaps import data

    hs.preferences.General.show_progressbar = False
    library = mlmaps.simulate_rocking(
        data.gasb(), mlmaps.Beam(300, 1.10), zone_axis=(1, 1, 0), tilt_range=0.5,
        thickness=np.arange(60, 91, 5.0), reflections=43,
    )  # fmt: skip
    model = mlmaps.train_orientation_model(library, mlmaps.NoiseModel(dose=(3e4, 1e6)), steps=300)
    model.save(folder / "model.keras")
    return library


def make(folder: Path) -> None:
    """A model, and two scans of different size in zarr."""
    from pyxem_mlmaps import data

    library = make_model(folder)
    for n in SIZES:
        s = data.bent_foil((n, n), library=library, electrons=2e5, background=0.05, chunks=(16, 16))
        s.save(folder / f"scan_{n}.zspy")


def peak_kib() -> int:
    """Peak resident memory of this program; getrusage would inherit its parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM in /proc/self/status")


def measure(folder: Path, n: int) -> None:
    """Medians of five alternating runs, in this process alone."""
    import hyperspy.api as hs

    import pyxem_mlmaps as mlmaps
    from pyxem_mlmaps import data

    hs.preferences.General.show_progressbar = False
    s = hs.load(folder / f"scan_{n}.zspy", lazy=True)
    model = mlmaps.load_model(folder / "model.keras")
    lattice = data.ground_truth(s).lattice
    loaded = peak_kib()
    s.inav[:2, :2].ml_orientation_map(model, lattice, lazy_output=False)  # compiles the kernels
    times = {"sum": [], "none": [], "local": []}
    for _ in range(5):
        start = time.perf_counter()
        s.sum().compute(show_progressbar=False)
        times["sum"].append(time.perf_counter() - start)
        for background in ("none", "local"):
            start = time.perf_counter()
            s.ml_orientation_map(model, lattice, background=background, lazy_output=False)
            times[background].append(time.perf_counter() - start)
    peak = peak_kib()
    total, plain, local = (float(np.median(times[k])) for k in ("sum", "none", "local"))
    print(n, total, plain, local, (peak - loaded) / 1024, peak / 1024)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "N"))
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), int(arguments.measure[1]))
        raise SystemExit
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        for n in SIZES:
            out = subprocess.run(
                [sys.executable, __file__, "--measure", name, str(n)],
                capture_output=True, text=True, check=True,
            ).stdout.split()[-6:]  # fmt: skip
            total, plain, local, above, peak = map(float, out[1:])
            figures[f"{n} x {n} patterns of 256 x 256 uint16"] = {
                "s.sum() seconds": total,
                "map / sum": plain / total,
                "map with local background / sum": local / total,
                "patterns per second": n * n / plain,
                "memory above the loaded program, MiB": above,
                "peak of the process, MiB": peak,
            }
    keep("mapping", figures)
