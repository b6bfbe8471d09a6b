"""Cost of a pattern and peak memory against the size of the scan, up to 21 GB: generated patterns.

``python benchmarks/scale.py [--long]``: blocks of 16 x 16 patterns of 256 x 256 uint16 are copies
of one, made when they are needed. Each size runs in a process of its own. ``--long`` takes the
disk positions to 10^5 patterns as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from common import keep
from mapping import make_model, peak_kib

SIDES = {"orientation": (32, 96, 400), "positions": (32, 96)}
LONG = 320


def make(folder: Path) -> None:
    """A model, its lattice, and one block."""
    from pyxem_mlmaps import data

    library = make_model(folder)
    s = data.bent_foil((16, 16), library=library, electrons=2e5, background=0.05)
    s.save(folder / "block.zspy")


def measure(folder: Path, method: str, side: int) -> None:
    """Seconds, and MiB at most, of one map over side x side patterns."""
    import dask.array as da
    import hyperspy.api as hs

    import pyxem_mlmaps as mlmaps
    from pyxem_mlmaps import data

    hs.preferences.General.show_progressbar = False
    s = hs.load(folder / "block.zspy", lazy=True)
    lattice = data.ground_truth(s).lattice
    model = mlmaps.load_model(folder / "model.keras")
    block = s.data.compute()
    scan = s.deepcopy()
    shape = (side, side, *block.shape[2:])
    grid = da.zeros(shape, dtype=block.dtype, chunks=(16, 16, -1, -1))
    scan.data = grid.map_blocks(lambda b: block.copy(), dtype=block.dtype, meta=grid._meta)
    scan.axes_manager.navigation_axes[0].size = scan.axes_manager.navigation_axes[1].size = side

    def run(signal):
        if method == "orientation":
            signal.ml_orientation_map(model, lattice, background="local", lazy_output=False)
        else:
            signal.ml_disk_positions(lattice=lattice, optics=OPTICS, lazy_output=False)

    run(scan.inav[:4, :4])  # compiles the kernels
    begin = time.perf_counter()
    run(scan)
    print(time.perf_counter() - begin, peak_kib() / 1024)


OPTICS = (11.0, 1.0)

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "METHOD", "SIDE"))
    arguments = parser.parse_args()
    if arguments.measure:
        folder, method, side = arguments.measure
        measure(Path(folder), method, int(side))
        raise SystemExit
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        for method, sides in SIDES.items():
            for side in [*sides, *([LONG] if arguments.long and method == "positions" else [])]:
                out = subprocess.run(
                    [sys.executable, __file__, "--measure", name, method, str(side)],
                    capture_output=True, text=True, check=True,
                ).stdout.split()[-2:]  # fmt: skip
                seconds, peak = map(float, out)
                figures[f"{method}, {side**2} patterns, {side**2 / 7629:.1f} GB"] = {
                    "µs a pattern": seconds / side**2 * 1e6,
                    "peak of the process, MiB": peak,
                }
    keep("scale", figures)
