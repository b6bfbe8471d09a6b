"""The published library alone: precision of the network and of the refined answer.

Noise: white noise of 15 to 30 dB (uniform in dB) on an image of 512 × 512 px whose disks (radius
11.6 px) have the library's values as their level; a disk's noise has the σ of one pixel, which is
0.1 to 1.4 in the library's units.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from common import keep, published_library
from scipy.interpolate import RegularGridInterpolator

import pyxem_mlmaps as mlmaps

AREA = np.pi * 11.6**2
N_TEST = 20000
NOISE = mlmaps.NoiseModel(dose=None, white=(0.01, 0.15))


def test_set(library: mlmaps.RockingLibrary, seed: int = 2021) -> tuple:
    """Patterns between the grid points, by SciPy's interpolator rather than this package's."""
    rng = np.random.default_rng(seed)
    axes = (library.tilt_x, library.tilt_y, library.thickness)
    truth = np.stack([rng.uniform(a[0], a[-1], N_TEST) for a in axes], axis=1)
    surface = RegularGridInterpolator(axes, np.asarray(library.intensities, float), method="cubic")
    clean = surface(truth)
    rms = np.sqrt((clean**2).sum(axis=1) * AREA / 512**2)
    sigma = rms * 10 ** (-rng.uniform(15, 30, N_TEST) / 20)
    return truth, clean + sigma[:, None] * rng.standard_normal(clean.shape), sigma


def bound(model: mlmaps.OrientationModel, truth: np.ndarray, sigma: np.ndarray, level: float):
    """RMS Cramér-Rao bound of tilt x, tilt y, thickness, with thickness and scale unknown."""
    values, gradient = model.spline.with_gradient(truth)
    jacobian = level * np.concatenate([gradient, values[:, None]], axis=1).astype(float)
    information = np.einsum("nid,njd->nij", jacobian, jacobian) / sigma[:, None, None] ** 2
    variance = np.einsum("nii->ni", np.linalg.inv(information))
    return np.sqrt(variance[:, :3].mean(axis=0))


def judge(prediction, truth: np.ndarray) -> dict:
    values = prediction.stack()
    error = values[:, :3] - truth
    return {
        "RMS tilt x, tilt y (deg), thickness (nm)": np.sqrt((error**2).mean(axis=0)).tolist(),
        "largest tilt error (deg)": float(np.abs(error[:, :2]).max()),
        "errors above 0.01 deg": int((np.abs(error[:, :2]) > 0.01).any(axis=1).sum()),
        "within 1 sigma": np.mean(np.abs(error) < values[:, 3:6], axis=0).tolist(),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    library = published_library()
    truth, measured, sigma = test_set(library)
    start = time.perf_counter()
    model = mlmaps.train_orientation_model(library, NOISE, seed=0)
    seconds = time.perf_counter() - start
    limit = bound(model, truth, sigma, float(library.mean_intensity.mean()))
    keep(
        "network",
        {
            "training seconds": seconds,
            "noise sigma, library units (min, max)": [float(sigma.min()), float(sigma.max())],
            "Cramer-Rao bound, RMS": limit.tolist(),
            "refined": judge(model.predict(measured), truth),
            "bare network": judge(model.predict(measured, refine=False), truth),
            "network": model.card.hidden,
            "training": {
                k: model.card.training[k] for k in ("steps", "batch_size", "learning_rate")
            },
            "seed": model.card.seed,
        },
    )
