"""``pyxem-mlmaps grains``: orientations of a polycrystal."""

from __future__ import annotations

import argparse
from typing import Any

from pyxem_mlmaps.cli import _values as values
from pyxem_mlmaps.cli._batch import Job, for_each, plan, remove, save_figure, say
from pyxem_mlmaps.cli._command import (
    Command,
    add_calibration,
    add_crystal_physics,
    add_outputs,
    add_scans,
    add_threads,
)
from pyxem_mlmaps.cli._config import UsageError
from pyxem_mlmaps.cli._scan import MICROSCOPE, load_scan

__all__ = ["COMMAND"]

ENDING, SUFFIXES = "_grains", (".h5",)
DESCRIPTION = """\
Map crystal orientation in all three angles over 4D-STEM scans of grains.

Reads scans with calibrated patterns, and CIF files or crystals that come with the package.
Writes for each scan an orix CrystalMap (.h5, for orix.io.load) with σ (degrees), thickness (nm),
misfit and numbers of grains, and its configuration beside it. Libraries that are simulated on the
way, which is most of the work, are kept in the cache folder."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_scans(parser)
    group = parser.add_argument_group("crystals")
    group.add_argument(
        "--crystal",
        type=values.crystals,
        metavar="CIF,...",
        help=f"CIF file, or one of {', '.join(values.CRYSTALS)}, sige:X (X: fraction of Ge); "
        "several phases with commas between",
    )
    group.add_argument(
        "--thickness",
        type=values.number,
        nargs=2,
        default=[20.0, 100.0],
        metavar=("THIN", "THICK"),
        help="that the foil may have, nm",
    )
    add_crystal_physics(parser)
    group = parser.add_argument_group("method")
    for name, default, text in (
        ("template-step", 1.0, "between templates"),
        ("grain-angle", 5.0, "of misorientation that separate two grains"),
        ("subgrain-angle", 0.1, "of misorientation down to which sub-grains are told apart"),
    ):
        group.add_argument(
            f"--{name}", type=values.number, default=default, metavar="DEG", help=f"degrees {text}"
        )
    group.add_argument(
        "--optics",
        type=values.optics,
        default="measure",
        metavar="O",
        help="radius and edge of the disks: measure, or RADIUS,EDGE in px",
    )
    group.add_argument(
        "--cache",
        type=values.path,
        metavar="FOLDER",
        help="of libraries that were simulated before. Default: the user's cache folder",
    )
    group.add_argument(
        "--cache-size", type=values.number, default=4e9, metavar="BYTES", help="in it at most"
    )
    add_threads(group)
    add_calibration(parser)
    add_outputs(parser, ENDING, SUFFIXES)


def _run(options: argparse.Namespace) -> None:
    if options.optics is None:
        raise UsageError("--optics none: the disks must have an edge here; measure finds it")
    jobs = plan(options, ENDING, SUFFIXES)
    phases = [_phase(source) for source in options.crystal]
    for_each(jobs, options, COMMAND.name, lambda job: _map(job, options, phases))


def _phase(source: Any) -> Any:
    phase = values.as_phase(source)
    if phase is not source:
        return phase
    from orix.crystal_map import Phase

    if not source.exists():
        raise FileNotFoundError(f"--crystal {source}: there is no such file.")
    return Phase.from_cif(str(source))


def _map(job: Job, options: argparse.Namespace, phases: list[Any]) -> None:
    from orix.io import save

    import pyxem_mlmaps as mlmaps

    signal = load_scan(job.scan, options)
    xmap = mlmaps.map_polycrystal(
        signal,
        phases,
        _beam(signal),
        thickness=tuple(options.thickness),
        template_step=options.template_step,
        grain_angle=options.grain_angle,
        subgrain_angle=options.subgrain_angle,
        optics=options.optics,
        simulation=_physics(options),
        cache=options.cache,
        cache_size=options.cache_size,
        show_progressbar=not options.quiet,
        num_workers=options.num_workers,
    )
    save_figure(job.figure, lambda: mlmaps.plotting.plot_polycrystal(xmap))
    partial = job.output.with_name(f"{job.output.stem}.partial{job.output.suffix}")
    remove(partial)
    save(str(partial), xmap)
    partial.replace(job.output)
    precise = int(xmap.prop["precise"].sum())
    say(options, f"{job.output}: {xmap.size} points, {precise} with a precise orientation")


def _beam(signal: Any) -> Any:
    from pyxem_mlmaps import Beam

    names = ("beam_energy", "convergence_angle")
    found = {name: signal.metadata.get_item(MICROSCOPE + name, default=None) for name in names}
    missing = [f"--{n.replace('_', '-')}" for n, value in found.items() if value is None]
    if missing:
        raise ValueError(f"the file does not say its beam: give {' and '.join(missing)}.")
    return Beam(*(float(value) for value in found.values()))


def _physics(options: argparse.Namespace) -> dict[str, Any]:
    """What differs from the simulation's defaults."""
    names = {"absorption_scale": 1.0, "potential_scale": 1.0, "mosaic": 0, "thickness_spread": 0}
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value != names[name]}


COMMAND = Command(
    name="grains",
    summary="map orientations of a polycrystal",
    description=DESCRIPTION,
    example="pyxem-mlmaps grains scan.zspy --crystal uo2.cif --thickness 40 80 "
    "--output grains.h5 --figure grains.png",
    add_options=_add_options,
    run=_run,
    needs=("scans", "crystal"),
    resume="Simulated libraries are in the cache folder: the same command finds them there.",
)
