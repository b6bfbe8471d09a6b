"""``pyxem-mlmaps train``: a network that reads tilt and thickness."""

from __future__ import annotations

import argparse

from pyxem_mlmaps.cli import _values as values
from pyxem_mlmaps.cli._batch import check_new, save_figure, say
from pyxem_mlmaps.cli._command import Command
from pyxem_mlmaps.cli._config import as_yaml, write_beside

__all__ = ["COMMAND"]

DESCRIPTION = """\
Train a network that reads tilt and thickness from disk intensities.

Reads one library, or several on the same axes that differ in what is unknown of the experiment.
Writes a model (.keras), which `pyxem-mlmaps map` reads, and its configuration beside it. Prints the
model's card, with its errors on patterns that training never saw.

A quantity of the noise is one number, or LOW,HIGH: every sample draws from that range."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "libraries",
        nargs="*",
        type=values.path,
        default=[],
        metavar="LIBRARY",
        help="libraries, .zarr, from `pyxem-mlmaps simulate` or RockingLibrary.save",
    )
    _add_noise(parser)
    group = parser.add_argument_group("training")
    group.add_argument("--seed", type=values.whole, default=0, metavar="N", help="of all draws")
    group.add_argument(
        "--steps", type=values.whole, default=2400, metavar="N", help="gradient steps"
    )
    group.add_argument(
        "--batch-size", type=values.whole, default=2048, metavar="N", help="samples in a step"
    )
    group.add_argument(
        "--hidden",
        type=values.widths,
        default=(256, 256, 256, 256),
        metavar="N,N,...",
        help="widths of the hidden layers",
    )
    group.add_argument(
        "--learning-rate", type=values.number, default=0.02, metavar="R", help="at the start"
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", type=values.ending_in(".keras"), metavar="FILE", help="model, .keras"
    )
    group.add_argument(
        "--figure", type=values.figure, metavar="FILE", help="training curve, .png, .pdf or .svg"
    )
    group.add_argument("--overwrite", action="store_true", help="replace outputs that exist")


def _add_noise(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("noise", "what lies between simulation and measurement")
    group.add_argument(
        "--dose",
        type=values.range_or_none,
        default=(1e4, 1e6),
        metavar="LOW,HIGH",
        help="electrons in all disks of a pattern together; none for no Poisson noise",
    )
    for name, text in (
        ("white", "white noise of a disk's sum, as a fraction of the mean disk"),
        ("background", "inelastic background under the disks, as a fraction of their counts"),
        ("psf", "fraction of a disk's counts that the detector puts into its neighbours"),
        ("model-error", "relative error of a simulated intensity"),
    ):
        group.add_argument(
            f"--{name}",
            type=values.number_or_range,
            default=(0.0, 0.0),
            metavar="LOW,HIGH",
            help=text,
        )
    group.add_argument(
        "--dead-disks",
        type=values.number,
        default=0.0,
        metavar="P",
        help="probability that a disk carries no signal",
    )


def _run(options: argparse.Namespace) -> None:
    check_new(options, options.output, *([] if options.figure is None else [options.figure]))
    import pyxem_mlmaps as mlmaps

    noise = mlmaps.NoiseModel(
        dose=options.dose,
        white=options.white,
        background=options.background,
        psf=options.psf,
        model_error=options.model_error,
        dead_disks=options.dead_disks,
    )
    model = mlmaps.train_orientation_model(
        [mlmaps.RockingLibrary.load(library) for library in options.libraries],
        noise,
        seed=options.seed,
        steps=options.steps,
        batch_size=options.batch_size,
        hidden=options.hidden,
        learning_rate=options.learning_rate,
        show_progressbar=not options.quiet,
    )
    model.save(options.output)
    write_beside(options.output, as_yaml(COMMAND.name, options))
    history = model.card.training["history"]
    save_figure(options.figure, lambda: mlmaps.plotting.plot_training(history))
    say(options, f"{options.output}: {model}")


COMMAND = Command(
    name="train",
    summary="train a network on a library",
    description=DESCRIPTION,
    example="pyxem-mlmaps train silicon_110.zarr --dose none --white 0.02,0.1 --background 0,0.4 "
    "--model-error 0.05,0.2 --output silicon_110.keras",
    add_options=_add_options,
    run=_run,
    needs=("libraries", "output"),
)
