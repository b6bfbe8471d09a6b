"""What a pattern's time goes to: ``python benchmarks/profiles.py``. One thread, its own CPU time.

Orientation: 256 x 256 uint16 from a zarr store, 43 disks. Positions: 37 disks of 7 px on 256 x 256.
"""

from __future__ import annotations

import cProfile
import pstats
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from common import keep
from mapping import SIZES, make
from threadpoolctl import threadpool_limits


def microseconds(function, n, repeat=9):
    """Median CPU time of this thread for each of n patterns."""
    function()
    times = []
    for _ in range(repeat):
        begin = time.thread_time()
        function()
        times.append(time.thread_time() - begin)
    return float(np.median(times)) / n * 1e6


def orientation(folder: Path) -> dict[str, float]:
    """µs for each pattern."""
    import hyperspy.api as hs

    import pyxem_mlmaps as mlmaps
    from pyxem_mlmaps import data
    from pyxem_mlmaps.mapping.checks import order_lattice
    from pyxem_mlmaps.mapping.orientation import _Reader

    make(folder)
    s = hs.load(folder / f"scan_{SIZES[0]}.zspy", lazy=True)
    model = mlmaps.load_model(folder / "model.keras")
    lattice = order_lattice(model, data.ground_truth(s).lattice)
    block = s.data.blocks[0, 0]
    patterns = block.compute()
    n = patterns.shape[0] * patterns.shape[1]
    figures = {
        "read from zarr": microseconds(lambda: block.compute(scheduler="synchronous"), n),
        "sum of all pixels": microseconds(patterns.sum, n),
    }
    for background in ("none", "local"):
        read = _Reader(lattice, patterns.shape[2:], background, patterns.dtype)
        figures[f"disk sums, background {background}"] = microseconds(partial(read, patterns), n)
    sums = read(patterns).reshape(n, -1)
    bare = microseconds(lambda: model.predict(sums, refine=False), n)
    figures["network"] = bare
    figures["fit"] = microseconds(lambda: model.predict(sums), n) - bare
    return figures


def groups() -> dict[str, tuple[str, ...]]:
    """Which functions a share belongs to, as ``file:line name``."""
    from pyxem_mlmaps.training import disk_network

    def place(function) -> str:
        return f"disk_network.py:{function.__code__.co_firstlineno} "

    strip, coarse = disk_network.StripNetwork.__call__, disk_network.CoarseNetwork.__call__
    return {
        "strip network": ("_convolve", place(strip)),
        "strips (pixels to network)": ("_edge_strips",),
        "coarse network": (place(coarse),),
        "coarse picture": ("_coarse_pictures",),
    }


def positions() -> dict[str, float]:
    """Share of the time, and µs for each pattern."""
    import pyxem_mlmaps as mlmaps
    from pyxem_mlmaps.mapping.disk_locator import DiskLocator

    indices = np.array([(i, j) for i in range(-5, 6) for j in range(-5, 6)])
    g1, g2 = np.array([3.0, 21.0]), np.array([19.0, -8.0])
    near = np.argsort(np.hypot(*(indices @ np.stack([g1, g2])).T), kind="stable")[:37]
    lattice = mlmaps.DiskLattice((127.3, 128.6), g1, g2, indices[near], 7.0)
    rng = np.random.default_rng(0)
    y, x = np.indices((256, 256))
    patterns = np.full((32, 256, 256), 0.2)
    for pattern in patterns:
        moved = np.eye(2) + rng.uniform(-0.02, 0.02, (2, 2))
        places = lattice.indices @ lattice.basis @ moved + lattice.origin + rng.uniform(-2, 2, 2)
        for cy, cx in places:
            pattern += 20 / (1 + np.exp(2 * (np.hypot(y - cy, x - cx) - lattice.radius)))
    patterns = rng.poisson(patterns).astype(np.uint16)
    locate = DiskLocator(mlmaps.load_model("disks"), lattice, edge=0.8)
    total = microseconds(lambda: locate(patterns), len(patterns))
    profile = cProfile.Profile()
    profile.runcall(locate, patterns)
    stats = pstats.Stats(profile).stats
    whole = sum(row[2] for row in stats.values())
    own = {f"{Path(f).name}:{line} {name}": row[2] for (f, line, name), row in stats.items()}
    figures = {"all, µs": total}
    for group, names in groups().items():
        part = sum(t for key, t in own.items() if any(n in key for n in names))
        figures[f"{group}, share"] = part / whole
    figures["rest, share"] = 1 - sum(v for k, v in figures.items() if k.endswith("share"))
    return figures


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with threadpool_limits(1), tempfile.TemporaryDirectory() as name:
        keep("profiles", {"orientation, µs": orientation(Path(name)), "positions": positions()})
