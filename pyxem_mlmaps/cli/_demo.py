"""``pyxem-mlmaps demo``: all jobs on synthetic scans."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyxem_mlmaps.cli import _values as values
from pyxem_mlmaps.cli._command import Command

__all__ = ["COMMAND"]

DESCRIPTION = """\
Run every job on synthetic scans whose truth is known, and show figures of all that happens.

Reads nothing. Writes a folder with a page (index.html), scans, maps and a model."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=values.path,
        default=Path("demo-output"),
        metavar="FOLDER",
        help="for page, figures and data",
    )
    parser.add_argument("--quick", action="store_true", help="a small run, to try it out")
    parser.add_argument(
        "--shared",
        type=values.path,
        metavar="FOLDER",
        help="that holds data/gasb-yuan2021, the published experiment, to map it as well. "
        "Default: ../shared is tried",
    )


def _run(options: argparse.Namespace) -> None:
    from pyxem_mlmaps import demo

    arguments = ["--output", str(options.output)]
    arguments += ["--quick"] if options.quick else []
    arguments += [] if options.shared is None else ["--shared", str(options.shared)]
    demo.main(arguments)


COMMAND = Command(
    name="demo",
    summary="run all jobs on synthetic scans",
    description=DESCRIPTION,
    example="pyxem-mlmaps demo --output demo-output",
    add_options=_add_options,
    run=_run,
)
