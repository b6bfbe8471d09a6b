"""The real GaSb scan of Yuan et al. 2021, mapped with two libraries: theirs and this package's."""

from __future__ import annotations

import warnings

import numpy as np
from common import (
    ROOT,
    experiment,
    keep,
    published_lattice,
    published_library,
    published_reflections,
)
from scipy.ndimage import convolve

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data
from pyxem_mlmaps.mapping.checks import in_plane_transform

NOISE = mlmaps.NoiseModel(
    dose=None, white=(0.02, 0.1), background=(0.0, 0.4), model_error=(0.05, 0.2)
)
STEPS = 900


def scatter(values: np.ndarray) -> float:
    """Pixel-to-pixel scatter: 1.48 × median |value - mean of 4 neighbours| / √1.25."""
    kernel = np.array([[0, -0.25, 0], [-0.25, 1, -0.25], [0, -0.25, 0]])
    return float(1.48 * np.median(np.abs(convolve(values, kernel)[1:-1, 1:-1])) / np.sqrt(1.25))


def torn_off(tilt: np.ndarray) -> int:
    """Points whose tilt differs from the median of their 3 × 3 neighbours by over 0.05°."""
    from scipy.ndimage import median_filter

    distance = np.hypot(*(t - median_filter(t, 3, mode="nearest") for t in tilt))
    return int((distance > 0.05).sum())


def map_with(library: mlmaps.RockingLibrary) -> tuple[np.ndarray, mlmaps.OrientationModel]:
    """(7, 50, 50) in image axes."""
    model = mlmaps.train_orientation_model(library, NOISE, steps=STEPS, seed=0)
    values = np.array(model.predict(experiment())).reshape(7, 50, 50)
    if library.vectors is not None:
        turn, _, _ = in_plane_transform(model, published_lattice())
        values[:2] = np.einsum("ij,jyx->iyx", turn, values[:2])
    return values, model


def figure(maps: dict[str, np.ndarray]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(len(maps) + 1, 4, figsize=(13, 3.1 * (len(maps) + 1)))
    names = ("tilt x (deg)", "tilt y (deg)", "thickness (nm)", "misfit")
    rows = list(maps.items())
    rows.append(("difference", rows[1][1] - rows[0][1]))
    for line, (label, values) in zip(axes, rows, strict=True):
        for ax, channel, name in zip(line, (0, 1, 2, 6), names, strict=True):
            image = ax.imshow(values[channel], cmap="RdBu_r" if channel < 2 else "viridis")
            fig.colorbar(image, ax=ax)
            ax.set_title(f"{label}: {name}", fontsize=9)
            ax.set_axis_off()
    fig.tight_layout()
    fig.savefig(ROOT / "results" / "experiment.png", dpi=80)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    own = mlmaps.simulate_rocking(
        data.gasb(),
        mlmaps.Beam(300, 1.10),
        zone_axis=(1, 1, 0),
        tilt_range=0.56,
        thickness=np.arange(55, 96, 2.5),
        reflections=published_reflections(),
    )
    maps, figures = {}, {}
    for name, library in (("published library", published_library()), ("own library", own)):
        values, model = map_with(library)
        maps[name] = values
        figures[name] = {
            "scatter tilt x, tilt y (deg)": [scatter(values[0]), scatter(values[1])],
            "points torn off by over 0.05 deg": torn_off(values[:2]),
            "median sigma tilt x, tilt y (deg)": np.median(values[3:5], axis=(1, 2)).tolist(),
            "median chi per degree of freedom": float(
                np.median(values[6]) * model.card.calibration["refined"]["misfit"]
            ),
            "points with misfit above 1": int((values[6] > 1).sum()),
            "training seconds steps": STEPS,
        }
    difference = maps["own library"][:2] - maps["published library"][:2]
    length = np.hypot(*difference)
    figures["the two maps"] = {
        "RMS difference tilt x, tilt y (deg)": np.sqrt((difference**2).mean(axis=(1, 2))).tolist(),
        "mean difference (deg)": difference.mean(axis=(1, 2)).tolist(),
        "share of points within 0.03 deg on each axis": float(
            (np.abs(difference) < 0.03).all(axis=0).mean()
        ),
        "largest (deg)": float(length.max()),
    }
    keep("experiment", figures)
    figure(maps)
