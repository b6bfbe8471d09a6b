"""``pyxem-mlmaps map``: tilt and thickness of every pattern."""

from __future__ import annotations

import argparse
from typing import Any

from pyxem_mlmaps.cli import _values as values
from pyxem_mlmaps.cli._batch import (
    Job,
    configuration,
    for_each,
    plan,
    remove,
    save_figure,
    save_signal,
    say,
)
from pyxem_mlmaps.cli._command import (
    Command,
    add_calibration,
    add_lattice,
    add_outputs,
    add_save_lattice,
    add_scans,
    add_threads,
)
from pyxem_mlmaps.cli._scan import (
    load_lattice,
    load_scan,
    load_shifts,
    save_lattice,
    with_flags_named,
)

__all__ = ["COMMAND"]

ENDING, SUFFIXES = "_orientation", (".zspy", ".hspy")
DESCRIPTION = """\
Map crystal tilt and thickness over 4D-STEM scans, with uncertainties.

Reads scans, and a model from `pyxem-mlmaps train` for their crystal, zone axis and beam.
Writes for each scan a map (an MLOrientationMap, for hs.load) with tilts in degrees, thickness in
nm, their σ, and the misfit; its configuration beside it. Blocks that are finished are kept in a
folder MAP.blocks until the map is whole: a job that was stopped goes on when the same command is
run again."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_scans(parser)
    group = parser.add_argument_group("method")
    group.add_argument("--model", type=values.path, metavar="FILE", help="model, .keras")
    add_lattice(group)
    group.add_argument(
        "--background",
        choices=("none", "local"),
        default="none",
        help="local subtracts from each disk the mean of a ring around it",
    )
    group.add_argument(
        "--descan",
        type=values.descan,
        metavar="D",
        help="how the pattern moves over the scan: direct_beam measures it, a .npy file holds "
        "(scan y, scan x, 2) shifts (y, x) in px. Default: it stands still",
    )
    group.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="finish the network's answer with a fit to the library",
    )
    group.add_argument(
        "--check",
        choices=("raise", "warn"),
        default="raise",
        help="what to do if the scan's calibration is not the model's: fail, or warn and go on",
    )
    add_threads(group)
    add_calibration(parser)
    add_outputs(parser, ENDING, SUFFIXES)
    add_save_lattice(parser)


def _run(options: argparse.Namespace) -> None:
    jobs = plan(options, ENDING, SUFFIXES, lambda job: _further(job, options))
    descan = load_shifts(options.descan)
    import pyxem_mlmaps as mlmaps

    model = mlmaps.load_model(options.model)
    if not isinstance(model, mlmaps.OrientationModel):
        raise ValueError(
            f"--model {options.model} is a {type(model).__name__}; a model of tilt and thickness "
            "is needed, from pyxem-mlmaps train."
        )
    given = None if options.lattice is None else load_lattice(options.lattice)
    for_each(jobs, options, COMMAND.name, lambda job: _map(job, options, model, given, descan))


def _further(job: Job, options: argparse.Namespace) -> list[Any]:
    return [job.beside("_lattice.json")] if options.save_lattice else []


def _map(job: Job, options: argparse.Namespace, model: Any, given: Any, descan: Any) -> None:
    import numpy as np

    from pyxem_mlmaps import DiskLattice

    bars = {"show_progressbar": not options.quiet}
    signal = load_scan(job.scan, options)
    lattice = DiskLattice.from_signal(signal, model, **bars) if given is None else given
    try:
        omap = signal.ml_orientation_map(
            model,
            lattice,
            check=options.check,
            lazy_output=False,
            num_workers=options.num_workers,
            background=options.background,
            descan=descan,
            refine=options.refine,
            out=job.store,
            **bars,
        )
    except ValueError as error:
        raise with_flags_named(error) from error
    omap.metadata.set_item(
        "MLOrientationMap.configuration", configuration(job, options, COMMAND.name)
    )
    if options.save_lattice:
        save_lattice(job.beside("_lattice.json"), lattice.to_dict())
    save_figure(job.figure, lambda: omap.plot(return_figure=True))
    save_signal(omap, job.output)
    remove(job.store)
    misfit = omap.misfit.data
    say(
        options,
        f"{job.output}: {misfit.size} points, {int(np.isnan(misfit).sum())} without an answer, "
        f"{int((misfit > 1).sum())} with a misfit above 1",
    )


COMMAND = Command(
    name="map",
    summary="map tilt and thickness over scans",
    description=DESCRIPTION,
    example="pyxem-mlmaps map scan.zspy --model silicon_110.keras --background local "
    "--output map.zspy --figure map.png",
    add_options=_add_options,
    run=_run,
    needs=("scans", "model"),
    resume="Finished blocks are kept: the same command goes on where it was "
    "(with --skip-existing if scans before were finished).",
)
