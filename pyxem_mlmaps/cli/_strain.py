"""``pyxem-mlmaps strain``: disk positions, and the strain that they tell."""

from __future__ import annotations

import argparse
from pathlib import Path
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
from pyxem_mlmaps.cli._scan import load_lattice, load_scan, load_shifts, save_lattice

__all__ = ["COMMAND"]

ENDING, SUFFIXES = "_strain", (".zspy", ".hspy")
DESCRIPTION = """\
Map lattice strain and rotation over 4D-STEM scans, with uncertainties.

Reads scans. No crystal and no training is needed: the model comes with the package.
Writes for each scan a strain map (an MLStrainMap, for hs.load; strain as a fraction of the crystal
in real space, tension positive, x along kx, y down along ky, rotation in radians), the positions of
its disks (pyxem DiffractionVectors, OUTPUT_vectors), and its configuration beside it. Blocks that
are finished are kept in a folder MAP.blocks until the map is whole: a job that was stopped goes on
when the same command is run again."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_scans(parser)
    _add_disks(parser)
    group = parser.add_argument_group("strain")
    group.add_argument(
        "--reference",
        type=values.reference,
        default="median",
        metavar="R",
        help="what is unstrained: median of the scan; LEFT,TOP,RIGHT,BOTTOM, the median in a box "
        "in the units of the scan axes (--reference=-1,0,... if the first is negative); or a mask, "
        ".npy or an image that HyperSpy loads, not 0 where the crystal is unstrained",
    )
    group.add_argument(
        "--axis",
        type=values.axis,
        default=0.0,
        metavar="A",
        help="x axis of the strain: degrees from kx towards ky, or H,K for the direction of "
        "h·g1 + k·g2 (--axis=-1,1 if the first is negative)",
    )
    group.add_argument(
        "--max-misfit",
        type=values.number_or_none,
        default=1.0,
        metavar="M",
        help="disks with a larger misfit are left out; none keeps all",
    )
    group.add_argument(
        "--sigma-floor",
        type=values.number,
        default=0.005,
        metavar="PX",
        help="systematic part of a disk's position error, px",
    )
    add_calibration(parser)
    add_outputs(parser, ENDING, SUFFIXES)
    parser.add_argument(
        "--vectors",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also write the positions of the disks",
    )
    add_save_lattice(parser)


def _add_disks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("disks")
    group.add_argument(
        "--model",
        type=values.shipped_or_path,
        default="disks",
        metavar="FILE",
        help="model of disks, .keras; disks is the one that comes with the package",
    )
    add_lattice(group)
    group.add_argument(
        "--descan",
        type=values.descan,
        metavar="D",
        help="how the pattern moves over the scan: direct_beam follows it farther, a .npy file "
        "holds (scan y, scan x, 2) shifts (y, x) in px. Default: the disks are followed",
    )
    group.add_argument(
        "--max-strain",
        type=values.number,
        default=0.05,
        metavar="E",
        help="strain, or rotation in radians, that is expected at most",
    )
    group.add_argument(
        "--min-presence",
        type=values.number,
        default=0.9,
        metavar="P",
        help="a disk counts as absent below this probability",
    )
    group.add_argument(
        "--optics",
        type=values.optics,
        default="measure",
        metavar="O",
        help="radius and edge that all disks share: measure, RADIUS,EDGE in px, or none",
    )
    add_threads(group)


def _run(options: argparse.Namespace) -> None:
    jobs = plan(options, ENDING, SUFFIXES, lambda job: _further(job, options))
    descan = load_shifts(options.descan)
    import pyxem_mlmaps as mlmaps

    model = mlmaps.load_model(options.model)
    given = None if options.lattice is None else load_lattice(options.lattice)
    reference = _reference(options.reference)
    for_each(
        jobs,
        options,
        COMMAND.name,
        lambda job: _map(job, options, model, given, descan, reference),
    )


def _vectors_file(job: Job) -> Path:
    return job.beside(f"_vectors{job.output.suffix}")


def _further(job: Job, options: argparse.Namespace) -> list[Path]:
    files = [_vectors_file(job)] if options.vectors else []
    return files + ([job.beside("_lattice.json")] if options.save_lattice else [])


def _reference(given: Any) -> Any:
    """As ``strain_map`` takes it."""
    if isinstance(given, tuple):
        import hyperspy.api as hs

        return hs.roi.RectangularROI(*given)
    if not isinstance(given, Path):
        return given
    import numpy as np

    if given.suffix == ".npy":
        return np.load(given, allow_pickle=False) != 0
    import hyperspy.api as hs

    return hs.load(given).data != 0


def _map(
    job: Job, options: argparse.Namespace, model: Any, given: Any, descan: Any, reference: Any
) -> None:
    import numpy as np

    from pyxem_mlmaps import strain_map

    bars = {"show_progressbar": not options.quiet, "num_workers": options.num_workers}
    vectors = load_scan(job.scan, options).ml_disk_positions(
        model,
        given,
        lazy_output=False,
        descan=descan,
        max_strain=options.max_strain,
        min_presence=options.min_presence,
        optics=options.optics,
        out=job.store,
        **bars,
    )
    strain = strain_map(
        vectors,
        reference,
        axis=options.axis,
        max_misfit=options.max_misfit,
        sigma_floor=options.sigma_floor,
        **bars,
    )
    text = configuration(job, options, COMMAND.name)
    strain.metadata.set_item("MLStrainMap.configuration", text)
    vectors.metadata.set_item("MLDiskPositions.configuration", text)
    if options.save_lattice:
        lattice = vectors.metadata.MLDiskPositions.lattice.as_dictionary()
        save_lattice(job.beside("_lattice.json"), lattice)
    if options.vectors:
        save_signal(vectors, _vectors_file(job))
    save_figure(job.figure, lambda: strain.plot_strain(sigma=True, return_figure=True))
    save_signal(strain, job.output)
    remove(job.store)
    e11 = strain.data[0]
    say(options, f"{job.output}: {e11.size} points, {int(np.isnan(e11).sum())} without an answer")


COMMAND = Command(
    name="strain",
    summary="map strain over scans, no training needed",
    description=DESCRIPTION,
    example="pyxem-mlmaps strain scan.zspy --reference 0,0,20,100 --output strain.zspy "
    "--figure strain.png",
    add_options=_add_options,
    run=_run,
    needs=("scans",),
    resume="Finished blocks are kept: the same command goes on where it was "
    "(with --skip-existing if scans before were finished).",
)
