"""The same numbers from a process that compiles its kernels and from one that finds them compiled.

Sums in any order (fastmath) gave 1e-7 of a difference when a kernel was inlined in one process and
called in the other: see :mod:`pyxem_mlmaps._compiled`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

CHILD = """
import sys
import numpy as np
import pyxem_mlmaps as mlmaps

with np.load("input.npz") as given:
    images, intensities = given["images"], given["intensities"]
if sys.argv[2] == "orientation":
    tilts = mlmaps.load_model("model.keras").predict(intensities)
disks = mlmaps.load_model("disks").predict(images, radius=15)
tilts = mlmaps.load_model("model.keras").predict(intensities)
np.savez(sys.argv[1], *disks, *tilts)
"""


def test_compiling_or_not(model, library, tmp_path):
    rng = np.random.default_rng(1)
    y, x = np.indices((61, 61)) - 30
    disks = [
        50 * np.clip(15.5 - np.hypot(y - a, x - b), 0, 1) * (1 + 0.3 * np.sin(y / 5 + a))
        for a, b in rng.uniform(-3, 3, (40, 2))
    ]
    where = rng.integers(0, library.intensities.shape[:3], (40, 3))
    intensities = rng.poisson(1e6 * np.asarray(library.intensities)[tuple(where.T)])
    np.savez(tmp_path / "input.npz", images=rng.poisson(disks), intensities=intensities)
    model.save(tmp_path / "model.keras")
    answers = []
    for k, first in enumerate(["disks", "orientation"]):
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CHILD, f"{k}.npz", first],
            cwd=tmp_path,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "compiled")},
            check=True,
        )
        with np.load(tmp_path / f"{k}.npz") as file:
            answers.append([file[name] for name in file.files])
    assert list((tmp_path / "compiled").rglob("*.nbc"))
    for later in answers[1:]:
        for one, other in zip(answers[0], later, strict=True):
            np.testing.assert_array_equal(one, other)
