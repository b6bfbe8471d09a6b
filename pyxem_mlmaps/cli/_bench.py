"""``pyxem-mlmaps bench``: the measured figures, from a checkout."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from pyxem_mlmaps.cli._command import Command

__all__ = ["COMMAND"]

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "run.py"
DESCRIPTION = """\
Measure the errors and times of benchmarks/README.md again. Takes long.

Needs a checkout of the repository with the extras py4dstem and benchmarks. Writes
benchmarks/results and compares it with what is committed."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        default=[],
        help="some of the benchmarks, by the name of their file (network, foil, ...). Default: all",
    )


def _run(options: argparse.Namespace) -> None:
    if not SCRIPT.is_file():
        raise RuntimeError(
            f"the benchmarks are not part of the installed package ({SCRIPT} does not exist): run "
            "this from a checkout of the repository, installed with pip install -e ."
        )
    there = sorted(path.stem for path in SCRIPT.parent.glob("*.py"))
    unknown = [part for part in options.parts if part not in there]
    if unknown:
        raise ValueError(
            f"there is no benchmark {', '.join(unknown)}; there are {', '.join(there)}."
        )
    done = subprocess.run([sys.executable, str(SCRIPT), *options.parts], check=False)
    if done.returncode:
        raise RuntimeError(f"the benchmarks ended with exit code {done.returncode}.")


COMMAND = Command(
    name="bench",
    summary="measure errors and times (from a checkout)",
    description=DESCRIPTION,
    example="pyxem-mlmaps bench network foil",
    add_options=_add_options,
    run=_run,
)
