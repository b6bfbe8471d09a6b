"""Disk positions and strain: this package and everyone else on the same patterns, in one run.

    python benchmarks/disks.py                     all tables (with --n 600 and --published FILE,
                                                   but "time": six minutes on one core)
    python benchmarks/disks.py --quick             small sets, minutes
    python benchmarks/disks.py --only A,time       some parts
    python benchmarks/disks.py --model FILE        another model than the shipped one
    python benchmarks/disks.py --published none    without the published CNN, or from a file

Prints Markdown and keeps it in ``results/disks*.md``, the figures in ``results/disks*.json``. One
core: thread pools are limited before NumPy is imported.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # not where a test imports this file: numba's threads may run by then
    for _pool in ("OMP", "OPENBLAS", "MKL", "NUMBA", "TF_NUM_INTEROP", "TF_NUM_INTRAOP"):
        os.environ[f"{_pool}_NUM_THREADS" if "TF" not in _pool else f"{_pool}_THREADS"] = "1"

import argparse  # noqa: E402
import contextlib  # noqa: E402
import io  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from importlib.metadata import PackageNotFoundError, version  # noqa: E402
from importlib.util import find_spec  # noqa: E402
from typing import Any  # noqa: E402

import disk_rows  # noqa: E402
import disk_scores as scores  # noqa: E402
import disk_sets as sets  # noqa: E402
import hyperspy.api as hs  # noqa: E402
import numpy as np  # noqa: E402
from common import RESULTS, keep  # noqa: E402
from disk_bound import position_bound, strain_bound  # noqa: E402
from disk_opponents import Package, Positions, settings  # noqa: E402
from disk_rows import Row  # noqa: E402
from disk_tables import print_tables  # noqa: E402

DOSES = (1e2, 1e3, 1e4, 1e5)
SEED = 2026
RADIUS = 30.0
PARTS = ("A", "radius", "B", "lines", "crystals", "time", "bound")


def geometry_a(rows: list[Row], n: int) -> dict[str, Any]:
    """Position figures for every dose and noise; ``contrast`` of the set beside them."""
    decibel = np.random.default_rng(SEED).uniform(15, 30, n)
    conditions: dict[str, dict[str, Any]] = {
        "15 dB": {"snr": 15.0},
        "30 dB": {"snr": 30.0},
        "15-30 dB": {"snr": decibel},
        **{f"{dose:g}": {"electrons": dose} for dose in DOSES},
        "no noise": {"electrons": None},
    }
    figures: dict[str, Any] = {row.name: {} for row in rows}
    for name, condition in conditions.items():
        drawn = sets.geometry_a(n, seed=SEED, radius=RADIUS, **condition)
        figures["contrast 10/50/90 %"] = np.percentile(drawn.contrast, (10, 50, 90)).tolist()
        for row in rows:
            found = row.on_windows.windows(drawn.images, RADIUS)
            figures[row.name][name] = scores.position_figures(found, drawn.truth)
    return figures


def misjudged(rows: list[Row], n: int) -> dict[str, Any]:
    """At 10⁵ electrons: the radius told to the method off by 1 px; other edge widths.

    This package also answers with radius and edge told as they are: what it loses by not knowing.
    """
    cases = [("R - 1", -1, 1.0), ("R", 0, 1.0), ("R + 1", 1, 1.0)]
    cases += [(f"edge {edge:g}", 0, edge) for edge in (0.5, 1.6)]
    figures: dict[str, Any] = {row.name: {} for row in rows}
    for name, off, edge in cases:
        drawn = sets.geometry_a(n, 1e5, SEED, RADIUS, edge)
        for row in rows:
            found = row.on_windows.windows(drawn.images, RADIUS + off)
            figures[row.name][name] = scores.position_figures(found, drawn.truth)
            if isinstance(row.on_windows, Package):
                found = row.on_windows.windows(drawn.images, RADIUS, edge)
                told = figures.setdefault(f"{row.name}, told both", {})
                told[name] = scores.position_figures(found, drawn.truth)
    return figures


def geometry_b(rows: list[Row], n: int) -> dict[str, Any]:
    """Strain error for every dose."""
    figures: dict[str, Any] = {row.name: {} for row in rows}
    for dose in DOSES:
        drawn = sets.geometry_b(n, dose, SEED)
        for row in rows:
            found = row.on_patterns.patterns(drawn.patterns, drawn.lattice)
            figures[row.name][f"{dose:g}"] = scores.strain_figures(found, drawn, row.weighting)
    return figures


def lines(rows: list[Row], quick: bool) -> dict[str, Any]:
    """False strain along a tilt line and a thickness line, noise-free."""
    step = 5 if quick else 1
    drawn = {
        "tilt": sets.tilt_line(50 // step + 1),
        "thickness": sets.thickness_line(70 // step + 1),
    }
    return {
        row.name: {
            name: scores.false_strain(
                row.on_patterns.patterns(line.patterns, line.lattice), line, row.weighting
            )
            for name, line in drawn.items()
        }
        for row in rows
    }


def crystals(rows: list[Row], n: int, n_patterns: int, full: bool) -> dict[str, Any]:
    """Other crystals and zones: RMSE in A at 10³ to 10⁵, strain error in B at 10⁴ and 10⁵.

    A full run also computes the bounds, and silicon by py4DSTEM's solver.
    """
    figures: dict[str, Any] = {}
    for material, about in sets.MATERIALS.items():
        if about.solver == "py4DSTEM" and (not full or find_spec("py4DSTEM") is None):
            continue
        here: dict[str, Any] = {row.name: {} for row in rows}
        if full:
            here["bound"] = {}
        for dose in DOSES[1:]:
            drawn = sets.geometry_a(n, dose, SEED + 1, RADIUS, material=material)
            here["contrast 10/50/90 %"] = np.percentile(drawn.contrast, (10, 50, 90)).tolist()
            for row in rows:
                found = row.on_windows.windows(drawn.images, RADIUS)
                here[row.name][f"A {dose:g}"] = scores.position_figures(found, drawn.truth)["rmse"]
            if full:
                limit = position_bound(dose, material=material, n=80)
                here["bound"][f"A {dose:g}"] = limit.rms
        for dose in DOSES[2:]:
            whole = sets.geometry_b(n_patterns, dose, SEED + 1, material=material)
            for row in rows:
                if row.on_patterns is not None:
                    found = row.on_patterns.patterns(whole.patterns, whole.lattice)
                    error = scores.strain_figures(found, whole, row.weighting)
                    here[row.name][f"B {dose:g}"] = error["sigma"]
            if full:
                limit = strain_bound(dose, material=material, n=8)
                here["bound"][f"B {dose:g}"] = 100 * limit.rms
        figures[material] = here
    return figures


QUICK = ("pyxem_mlmaps", "blobfinder")


def timing(rows: list[Row], quick: bool) -> dict[str, Any]:
    """Seconds per disk (A) and per pattern (B), one core; methods take turns in every repeat.

    ``scan``: B ten times over, for methods that do something once for a scan or have an answer as
    quick as theirs; the others' cost of a pattern does not depend on how many there are.
    """
    n, m, repeats = (32, 2, 3) if quick else (512, 32, 5)
    windows = sets.geometry_a(n, 1e4, SEED).images
    whole = sets.geometry_b(m, 1e4, SEED)
    scan = np.concatenate([whole.patterns] * 10)
    sizes = {"disk": n, "pattern": m, "scan": len(scan)}
    clock: dict[str, dict[str, list[float]]] = {r.name: {k: [] for k in sizes} for r in rows}

    def one(row: Row, kind: str) -> Positions:
        if kind == "disk":
            return row.on_windows.windows(windows, RADIUS)
        patterns = scan if kind == "scan" else whole.patterns
        return row.on_patterns.patterns(patterns, whole.lattice)

    for repeat in range(repeats + 1):
        for row in rows:
            for kind, size in sizes.items():
                if kind != "disk" and row.on_patterns is None:
                    continue
                if kind == "scan" and not any(name in row.name for name in QUICK):
                    continue
                start = time.perf_counter()
                one(row, kind)
                if repeat:  # the first compiles
                    clock[row.name][kind].append((time.perf_counter() - start) / size)
    hough = next((np.array(clock[r.name]["disk"]) for r in rows if "Hough" in r.name), None)
    figures: dict[str, Any] = {}
    for row in rows:
        mine = clock[row.name]
        figures[row.name] = {kind: float(np.median(v)) for kind, v in mine.items() if v}
        if hough is not None:
            figures[row.name]["disk / Hough"] = float(np.median(np.array(mine["disk"]) / hough))
    return figures


def bounds(quick: bool) -> dict[str, Any]:
    """Cramér-Rao bounds of A (px) and B (% strain): rms, median, mean information."""
    n, m = (20, 3) if quick else (200, 24)
    a = {f"{dose:g}": position_bound(dose, n=n)._asdict() for dose in DOSES}
    white = {f"{snr} dB": position_bound(snr=snr, n=n)._asdict() for snr in (15, 20, 25, 30)}
    uniform = sum(w * v["rms"] ** 2 for w, v in zip((1, 2, 2, 1), white.values(), strict=True)) / 6
    edges = {f"edge {e:g}": position_bound(1e5, edge=e, n=n)._asdict() for e in (0.5, 1.6)}
    b = {
        f"{dose:g}": {k: 100 * v for k, v in strain_bound(dose, n=m)._asdict().items()}
        for dose in DOSES
    }
    return {"A": {**a, **white, "15-30 dB": {"rms": float(np.sqrt(uniform))}, **edges}, "B": b}


def versions() -> dict[str, str]:
    """Of the other codes."""
    found = {}
    for name in ("py4DSTEM", "scikit-image", "libertem-blobfinder", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def run(parts: list[str], n: int, quick: bool, paths: dict[str, str | None]) -> dict[str, Any]:
    """Figures of the parts."""
    figures: dict[str, Any] = {
        "seed": SEED, "windows": n, "quick": quick, "versions": versions(), "left out": {},
    }  # fmt: skip
    rows: list[Row] = []
    for found, skipped in (
        disk_rows.package(paths["model"]),
        disk_rows.opponents(),
        disk_rows.published(paths["published"], train=not quick),
    ):
        rows += found
        figures["left out"] |= skipped
    whole = [row for row in rows if row.on_patterns is not None]
    figures["settings"] = {
        row.name: {
            "A": settings(row.on_windows),
            "B": settings(row.on_patterns) if row.on_patterns else "",
            "weights of the lattice fit": row.weighting,
        }
        for row in rows
    }
    patterns = max(n // 20, 4)
    actions = {
        "A": lambda: geometry_a(rows, n),
        "radius": lambda: misjudged(rows, max(n // 2, 20)),
        "B": lambda: geometry_b(whole, patterns),
        "lines": lambda: lines(whole, quick),
        "crystals": lambda: crystals(rows, max(n // 4, 20), max(patterns // 4, 3), not quick),
        "time": lambda: timing(rows, quick),
        "bound": lambda: bounds(quick),
    }
    for part in parts:
        start = time.perf_counter()
        figures[part] = actions[part]()
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)
    return figures


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sets; nothing is trained")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--n", type=int, help="windows of each set of A (2000; quick 40)")
    parser.add_argument("--model", help="a disk model's file; the shipped one by default")
    parser.add_argument("--published", help="file of a yuan2021 model, or none: skip it")
    given = parser.parse_args(arguments)
    parts = [part.strip() for part in given.only.split(",")]
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        parser.error(f"--only {','.join(unknown)}: {', '.join(PARTS)} are there")
    warnings.simplefilter("ignore")
    hs.preferences.General.show_progressbar = False  # pyxem's refinement shows its own otherwise
    logging.disable(logging.WARNING)  # hyperspy warns of axes that template matching does not use
    n = given.n or (40 if given.quick else 2000)
    paths = {"model": given.model, "published": given.published}
    figures = run(parts, n, given.quick, paths)
    name = "disks-quick" if given.quick else "disks"
    name += "" if len(parts) == len(PARTS) else "-" + "-".join(parts)
    with contextlib.redirect_stdout(io.StringIO()):
        keep(name, figures)
    tables = io.StringIO()
    with contextlib.redirect_stdout(tables):
        print_tables(figures)
    asked = " ".join(
        "FILE" if word in (given.model, given.published) and word != "none" else word
        for word in ("python benchmarks/disks.py", *(arguments or sys.argv[1:]))
    )
    (RESULTS / f"{name}.md").write_text(f"Printed by `{asked}`.\n\n{tables.getvalue()}")
    print(tables.getvalue())


if __name__ == "__main__":
    main()
