"""What a command is, and the options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from pyxem_mlmaps.cli import _values as values

__all__ = [
    "Command",
    "add_calibration",
    "add_crystal_physics",
    "add_job",
    "add_lattice",
    "add_outputs",
    "add_save_lattice",
    "add_scans",
    "add_threads",
]


@dataclass(frozen=True)
class Command:
    """One command: its page of help, its options, and what it does.

    Parameters
    ----------
    name, summary
        As in the list of commands.
    description, example
        For ``--help``: what it reads and writes, with units; a line to copy.
    add_options
        Adds the options to a parser.
    needs
        Options without which it cannot run; they may come from a flag or a file.
    run
        Does the job; an exception is its failure.
    resume
        What to do after Ctrl-C.
    """

    name: str
    summary: str
    description: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    needs: tuple[str, ...] = ()
    resume: str = "Nothing was kept; run the same command again."


def add_job(parser: argparse.ArgumentParser) -> None:
    """How the job runs: files, messages, threads."""
    group = parser.add_argument_group("job")
    group.add_argument(
        "--config",
        metavar="FILE",
        type=values.path,
        help="YAML file with any of these options, named as the flags; flags win. Paths in it are "
        "taken from its own folder",
    )
    group.add_argument(
        "--write-config",
        metavar="FILE",
        type=values.path,
        help="write the options as such a file, run nothing; - prints it",
    )
    group.add_argument("--quiet", action="store_true", help="no progress bars, only problems")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_threads(parser: argparse._ActionsContainer) -> None:
    """How many threads compute."""
    parser.add_argument(
        "--num-workers", type=values.whole, metavar="N", help="threads; default: one for each core"
    )


def add_scans(parser: argparse.ArgumentParser) -> None:
    """Which scans are read, and what their files do not say."""
    parser.add_argument(
        "scans",
        nargs="*",
        type=values.path,
        default=[],
        metavar="SCAN",
        help="4D-STEM scans, any file that HyperSpy loads; * and ? stand for any letters. They are "
        "read lazily, block by block",
    )
    parser.add_argument(
        "--dataset",
        type=values.whole,
        metavar="N",
        help="which data set of a file that holds several, from 0",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Calibrations, for files that lack them or have them wrong."""
    group = parser.add_argument_group(
        "calibration", "for files that lack it; a value given here wins over the file's"
    )
    group.add_argument("--beam-energy", type=values.number, metavar="KEV", help="in keV")
    group.add_argument(
        "--convergence-angle", type=values.number, metavar="MRAD", help="semi-angle in mrad"
    )
    group.add_argument(
        "--scale", type=values.number, metavar="S", help="of the patterns, in 1/Å per pixel"
    )
    group.add_argument("--scan-step", type=values.number, metavar="NM", help="of the scan, in nm")


def add_lattice(parser: argparse._ActionsContainer) -> None:
    """Where the disks lie, in ``map`` and ``strain``."""
    parser.add_argument(
        "--lattice",
        type=values.path,
        metavar="FILE",
        help="where the disks lie: JSON with origin, g1, g2, indices, radius. Default: found on "
        "the mean pattern of each scan",
    )


def add_save_lattice(parser: argparse._ActionsContainer) -> None:
    """Whether the lattice that was found is kept for :func:`add_lattice`."""
    parser.add_argument(
        "--save-lattice",
        action="store_true",
        help="also write the lattice, as OUTPUT_lattice.json, for --lattice",
    )


def add_outputs(parser: argparse.ArgumentParser, ending: str, suffixes: tuple[str, ...]) -> None:
    """Where results of scans go."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        type=values.path,
        metavar="PATH",
        help=f"a file ({', '.join(suffixes)}), or a folder, which several scans need. "
        f"Default: SCAN{ending}{suffixes[0]} beside each scan",
    )
    group.add_argument(
        "--figure",
        type=values.figure,
        metavar="FILE",
        help="also draw it, into a .png, .pdf or .svg; with several scans its name is put after "
        "that of each output",
    )
    group.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out scans whose output exists, to go on with a batch",
    )


def add_crystal_physics(parser: argparse.ArgumentParser) -> None:
    """What of the simulation is not known exactly."""
    group = parser.add_argument_group("physics")
    group.add_argument(
        "--absorption-scale",
        type=values.per_element,
        default=1.0,
        metavar="F",
        help="factor on the absorptive potential, one or for each element (Ga=1,Sb=1.2)",
    )
    group.add_argument(
        "--potential-scale", type=values.number, default=1.0, metavar="F", help="factor on all U_g"
    )
    group.add_argument(
        "--mosaic",
        type=values.number,
        default=0.0,
        metavar="DEG",
        help="standard deviation of tilt within the probed column, degrees",
    )
    group.add_argument(
        "--thickness-spread",
        type=values.number,
        default=0.0,
        metavar="NM",
        help="standard deviation of thickness within the probed column, nm",
    )
