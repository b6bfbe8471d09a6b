"""Polycrystals: errors, boundaries, another simulator's patterns, pyxem's frame, time.

``python benchmarks/polycrystal.py [rows] [--seeds 3] [--cache FOLDER]`` with rows out of ``own``,
``py4dstem``, ``frame``, ``dose``, ``detector``, ``alternatives``, ``time``; all by default.
Libraries are kept in ``--cache`` (a temporary folder unless told), so ``time`` simulates all of its
own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings

import numpy as np
from common import keep
from polycrystal_scores import boundaries, errors, summary

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data

BEAM = mlmaps.Beam(300, 1.5)
THICKNESS = (35, 85)
"""nm that the map is told; the scans hold 45 to 75."""


def mapped(scan, cache, **options):
    """(map, truth, seconds) of a scan."""
    truth = data.ground_truth(scan)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xmap = mlmaps.map_polycrystal(
            scan, truth.phases, BEAM, thickness=THICKNESS, cache=cache, show_progressbar=False,
            **options,
        )  # fmt: skip
    return xmap, truth, time.perf_counter() - begin


def own(cache, seeds, **scan):
    """Errors and sub-grain boundaries with patterns of this package's simulator."""
    parts = []
    for seed in range(seeds):
        signal = data.polycrystal(
            **{"shape": (40, 40), "grains": 4, "seed": seed, "show_progressbar": False} | scan
        )
        signal.compute(show_progressbar=False)
        xmap, truth, _ = mapped(signal, cache)
        parts.append((errors(xmap, truth), boundaries(xmap, truth)))
    return summary(parts)


def py4dstem(cache, seeds):
    """The same with patterns from py4DSTEM's Bloch waves, Weickenmeier-Kohl with absorption."""
    from polycrystal_oracle import patterns_by_py4dstem

    with patterns_by_py4dstem():
        return own(cache, seeds, shape=(20, 20), grains=1, subgrains=2)


def frame(cache, seeds):
    """Angle between this package's orientations and pyxem's of the same patterns, degrees."""
    from polycrystal_scores import against_pyxem

    figures = {}
    for phase in (data.uo2(), data.zirconium()):
        angles = []
        for seed in range(seeds):
            signal = data.polycrystal(
                (16, 16), phases=[phase], grains=3, subgrains=1, seed=seed, show_progressbar=False
            )
            signal.compute(show_progressbar=False)
            xmap, truth, _ = mapped(signal, cache)
            angles += against_pyxem(signal, xmap, truth, BEAM)
        figures[phase.name] = {
            "grains": len(angles),
            "nearest of 40 templates, median and largest": np.round(
                [np.median([a[0] for a in angles]), max(a[0] for a in angles)], 2
            ).tolist(),
            "best template within 3 degrees": float(np.mean([a[1] < 3 for a in angles])),
        }
    return figures


def alternatives(cache, seeds):
    """Networks in place of the search, and disk positions in place of pixels, for one grain."""
    from polycrystal_alternatives import alternatives as other

    return other(BEAM, THICKNESS, cache)


def timed(cache, seeds):
    """First and second run over two scans of 100 x 100 patterns of 128 x 128 px, 10 grains."""
    rows = {}
    for seed in (7, 0)[:seeds]:
        signal = data.polycrystal((100, 100), grains=10, seed=seed, show_progressbar=False)
        signal.compute(show_progressbar=False)
        with tempfile.TemporaryDirectory() as folder:
            xmap, truth, first = mapped(signal, folder)
            _, _, second = mapped(signal, folder)
        figures = summary([(errors(xmap, truth), boundaries(xmap, truth))])
        times = {"first run, s": round(first, 1), "second run, s": round(second, 1)}
        rows[f"scan {seed}"] = times | figures
    return rows


ROWS = {
    "own": own,
    "py4dstem": py4dstem,
    "frame": frame,
    "dose": lambda cache, seeds: {
        f"{dose:g} electrons": own(cache, seeds, electrons=dose, shape=(24, 24), grains=2)
        for dose in (1e4, 1e6)
    },
    "detector": lambda cache, seeds: own(
        cache, seeds, detector=(256, 256), shape=(24, 24), grains=2
    ),
    "alternatives": alternatives,
    "time": timed,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for row in arguments.rows or ROWS:
            keep(f"polycrystal-{row}", ROWS[row](arguments.cache or temporary, arguments.seeds))
