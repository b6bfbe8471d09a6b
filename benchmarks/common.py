"""What the benchmarks share: the published data, error measures, the machine they ran on."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

import pyxem_mlmaps as mlmaps

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
SHARED = Path(os.environ.get("MLMAPS_SHARED", ROOT.parent.parent / "shared"))
PUBLISHED = SHARED / "data" / "gasb-yuan2021"
G1, G2 = np.array([1, -1, -1]), np.array([1, -1, 1])
"""Miller indices of the published disk vectors (polarity found by fitting)."""


def published_numbers() -> np.ndarray:
    """(43, 2) disk numbers (n1, n2) of the published library and experiment."""
    import scipy.io

    data = scipy.io.loadmat(PUBLISHED / "bloch_library.mat")["diskListSim"]
    return data[:, :2, 0, 0].astype(int)


def published_reflections() -> np.ndarray:
    """(43, 3) their Miller indices."""
    n = published_numbers()
    return n[:, :1] * G1 + n[:, 1:] * G2


def published_library() -> mlmaps.RockingLibrary:
    """The authors' simulation; their K_t = k0·(-tilt x, +tilt y), so tilt y changes its sign."""
    import scipy.io

    data = scipy.io.loadmat(PUBLISHED / "bloch_library.mat")["diskListSim"]
    values = data[:, 2].reshape(43, 5, 51, 51).transpose(2, 3, 1, 0)[:, ::-1]
    tilt = 0.02 * np.arange(-25, 26)
    return mlmaps.RockingLibrary(
        values, tilt, tilt, np.arange(65, 86, 5.0), published_numbers(), beam=mlmaps.Beam(300, 1.1)
    )


def experiment() -> np.ndarray:
    """(2500, 43) disk sums of the real scan."""
    import scipy.io

    data = scipy.io.loadmat(PUBLISHED / "experiment_50x50.mat")["diskList"]
    return data[:, 2].T.astype(float)


def published_lattice() -> mlmaps.DiskLattice:
    """Where the real scan's windows were, (y, x) px."""
    return mlmaps.DiskLattice((257, 257), (-48, -34), (-48, 34), published_numbers(), 11.6)


def agreement(values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """R = Σ|I - ref| / Σref and correlation, after one scale factor by least squares."""
    scale = float((values * reference).sum() / (values * values).sum())
    difference = np.abs(scale * values - reference).sum()
    return {
        "R": float(difference / reference.sum()),
        "cc": float(np.corrcoef(values.ravel(), reference.ravel())[0, 1]),
    }


def machine() -> dict[str, str]:
    """Where and with what this ran."""
    packages = ("abtem", "hyperspy", "pyxem", "keras", "tensorflow", "numpy", "numba", "dask")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def keep(name: str, figures: dict) -> None:
    """Print the figures and keep them, with the machine, in ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    record = {"figures": figures, "machine": machine()}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1, default=float) + "\n")
    print(f"== {name}")
    for key, value in figures.items():
        print(f"  {key}: {value}")
