"""Settings of the other methods: a grid for each, the best printed first.

    python benchmarks/disk_tune.py hough 60

Windows (A) are judged by the mean logarithm of the RMSE at 10³, 10⁴ and 10⁵ electrons, failures
included; patterns (B) by that of the strain error, for each weighting of the lattice fit.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import warnings
from typing import Any

import disk_opponents as finders
import disk_scores as scores
import disk_sets as sets
import numpy as np

DOSES = (1e3, 1e4, 1e5)
SEED = 77
TRENCHES = (None, (1.0, 1.1), (1.0, 1.3), (1.0, 2.0))
GRIDS: dict[str, tuple[type, dict[str, tuple]]] = {
    "hough": (
        finders.CircularHough,
        {
            "canny": (1.0, 1.5, 2.0, 3.0, 4.0),
            "quantiles": ((0.7, 0.8), (0.8, 0.9), (0.9, 0.9), (0.9, 0.95)),
            "smooth": (1.0, 2.0),
            "radii": ((0,), (-1, 0, 1)),
        },
    ),
    "phase": (finders.PhaseCorrelation, {"edge": (0.5, 1.0, 1.5, 2.0), "upsampling": (20, 50)}),
    "pyxem": (finders.Pyxem, {"square": (4, 6, 10, 16), "grow": (-1, 0, 1)}),
    **{
        f"{name}-{power:g}": (
            cls,
            {
                "power": (power,),
                "edge": (1.0, 2.0, 4.0),
                "trench": TRENCHES,
                "sigma": (0.0, 1.0, 2.0),
                "subpixel": ("multicorr", "poly"),
            },
        )
        for name, cls, power in (
            ("py4dstem", finders.Py4DSTEM, 1.0),
            ("py4dstem", finders.Py4DSTEM, 0.5),
            ("windows", finders.Py4DSTEMInWindows, 0.25),
            ("windows", finders.Py4DSTEMInWindows, 0.0),
        )
    },
    "blobfinder": (
        finders.Blobfinder,
        {
            "match": (
                "RadialGradient",
                "BackgroundSubtraction",
                "RadialGradientBackgroundSubtraction",
            ),
            "upsample": (False, 20),
            "gain": (0.01, 1.0, 30.0),
            "grow": (0.0, 0.5, 1.0),
        },
    ),
}


def candidates(name: str) -> list[Any]:
    """Every combination of a grid."""
    cls, options = GRIDS[name]
    return [cls(**dict(zip(options, v, strict=True))) for v in itertools.product(*options.values())]


def tune_windows(methods: list[Any], n: int) -> list[tuple[float, str]]:
    """(score, what it belongs to), best first."""
    drawn = [sets.geometry_a(n, dose, SEED) for dose in DOSES]
    results = []
    for method in methods:
        rmse = [
            scores.position_figures(method.windows(a.images, 30.0), a.truth)["all_rmse"]
            for a in drawn
        ]
        results.append((_score(rmse), f"{np.round(rmse, 3)} px, {finders.settings(method)}"))
    return sorted(results)


def tune_patterns(methods: list[Any], n: int) -> list[tuple[float, str]]:
    """The same for whole patterns; a lost pattern counts as one of 5 % strain."""
    drawn = [sets.geometry_b(n, dose, SEED) for dose in DOSES]
    results = []
    for method in methods:
        found = [method.patterns(b.patterns, b.lattice) for b in drawn]
        for weighting in scores.WEIGHTS:
            errors = []
            for positions, b in zip(found, drawn, strict=True):
                error = scores.strain_figures(positions, b, weighting)
                kept = np.nan_to_num(error["sigma"]) ** 2 * (1 - error["lost"])
                errors.append(np.sqrt(kept + 25 * error["lost"]))
            text = f"{np.round(errors, 3)} %, weights {weighting}, {finders.settings(method)}"
            results.append((_score(errors), text))
    return sorted(results)


def _score(errors: list[float]) -> float:
    return float(np.log(errors).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=GRIDS)
    parser.add_argument("n", type=int, nargs="?", default=60, help="windows; a fifth of patterns")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for title, results in (
        ("A", tune_windows(candidates(given.method), given.n)),
        ("B", tune_patterns(candidates(given.method), max(given.n // 5, 3))),
    ):
        print(title)
        for score, text in results[:8]:
            print(f"  {score:.3f}: {text}")
