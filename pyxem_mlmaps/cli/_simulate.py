"""``pyxem-mlmaps simulate``: the rocking library of a crystal."""

from __future__ import annotations

import argparse

from pyxem_mlmaps.cli import _values as values
from pyxem_mlmaps.cli._batch import check_new, save_figure, say
from pyxem_mlmaps.cli._command import Command, add_crystal_physics, add_threads
from pyxem_mlmaps.cli._config import UsageError, as_yaml, write_beside

__all__ = ["COMMAND"]

DESCRIPTION = """\
Simulate the disk intensities of a crystal over tilt and thickness by dynamical diffraction.

Reads a CIF file, or takes a crystal that comes with the package.
Writes a library (.zarr), which `pyxem-mlmaps train` reads, and its configuration beside it."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    _add_crystal(parser)
    _add_range(parser)
    add_crystal_physics(parser)
    _add_beams(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", type=values.ending_in(".zarr"), metavar="FILE", help="library, .zarr"
    )
    group.add_argument(
        "--maps",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the plane-wave maps, most of the file; only rendering disks needs them",
    )
    group.add_argument(
        "--figure", type=values.figure, metavar="FILE", help="rocking maps, .png, .pdf or .svg"
    )
    group.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    add_threads(group)


def _add_crystal(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("crystal and beam")
    group.add_argument(
        "--crystal",
        type=values.crystal,
        metavar="CIF",
        help=f"CIF file, or one of {', '.join(values.CRYSTALS)}, sige:X (X: fraction of Ge)",
    )
    group.add_argument(
        "--debye-waller",
        type=values.per_element,
        metavar="Å",
        help="RMS displacement in Å, one or for each element (Ga=0.084,Sb=0.094). Default: what "
        "the crystal's file says, else 0.08",
    )
    group.add_argument("--beam-energy", type=values.number, metavar="KEV", help="in keV")
    group.add_argument(
        "--convergence-angle", type=values.number, metavar="MRAD", help="semi-angle in mrad"
    )
    group.add_argument(
        "--zone-axis",
        type=values.whole,
        nargs=3,
        metavar=("U", "V", "W"),
        help="along the beam at zero tilt",
    )


def _add_range(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("range")
    group.add_argument(
        "--tilt-range",
        type=values.number,
        default=0.5,
        metavar="DEG",
        help="largest tilt on each axis, degrees: somewhat more than the foil bends",
    )
    group.add_argument(
        "--tilt-step", type=values.number, default=0.02, metavar="DEG", help="degrees"
    )
    group.add_argument(
        "--thickness",
        type=values.number,
        nargs=3,
        metavar=("FIRST", "LAST", "STEP"),
        help="in nm, the last one included: somewhat more than the foil has, in steps of about 2.5",
    )
    group.add_argument(
        "--reflections",
        type=values.whole,
        default=45,
        metavar="N",
        help="how many of the strongest disks",
    )


def _add_beams(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("beams")
    group.add_argument(
        "--absorption",
        type=values.absorption,
        default="thermal",
        metavar="A",
        help="thermal (thermal diffuse scattering), or the ratio U'/U",
    )
    group.add_argument(
        "--g-max",
        type=values.number_or_none,
        metavar="G",
        help="beam cut-off in 1/Å. Default: raised until the intensities stand still",
    )
    group.add_argument(
        "--convergence",
        type=values.number,
        default=0.05,
        metavar="R",
        help="relative change of the intensities that counts as standing still",
    )
    group.add_argument(
        "--laue-zones", type=values.whole, default=0, metavar="N", help="zones up to ±N"
    )
    group.add_argument(
        "--weak-beams",
        type=values.number_or_none,
        metavar="S",
        help="excitation error in 1/Å beyond which beams are folded into the others. Default: none",
    )
    group.add_argument(
        "--overlap",
        choices=("raise", "avoid", "ignore"),
        default="raise",
        help="what becomes of disks that overlap: an error, only others are taken, nothing",
    )


def _run(options: argparse.Namespace) -> None:
    check_new(options, options.output, *([] if options.figure is None else [options.figure]))
    thickness = _thicknesses(*options.thickness)
    import pyxem_mlmaps as mlmaps

    library = mlmaps.simulate_rocking(
        values.as_phase(options.crystal),
        mlmaps.Beam(options.beam_energy, options.convergence_angle),
        zone_axis=tuple(options.zone_axis),
        tilt_range=options.tilt_range,
        tilt_step=options.tilt_step,
        thickness=thickness,
        reflections=options.reflections,
        absorption=options.absorption,
        absorption_scale=options.absorption_scale,
        debye_waller=options.debye_waller,
        potential_scale=options.potential_scale,
        mosaic=options.mosaic,
        thickness_spread=options.thickness_spread,
        g_max=options.g_max,
        convergence=options.convergence,
        laue_zones=options.laue_zones,
        weak_beams=options.weak_beams,
        overlap=options.overlap,
        keep_maps=options.maps,
        show_progressbar=not options.quiet,
        num_workers=options.num_workers,
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    library.save(options.output, overwrite=options.overwrite, show_progressbar=not options.quiet)
    write_beside(options.output, as_yaml(COMMAND.name, options))
    save_figure(options.figure, lambda: mlmaps.plotting.plot_rocking(library))
    say(options, f"{options.output}: {library}")


def _thicknesses(first: float, last: float, step: float) -> list[float]:
    """The last one is included where the steps meet it."""
    if not (0 < first <= last and step > 0):
        raise UsageError(
            f"--thickness {first:g} {last:g} {step:g}: 0 < FIRST <= LAST and a positive STEP (nm) "
            "are needed"
        )
    return [first + i * step for i in range(int((last - first) / step + 1e-9) + 1)]


COMMAND = Command(
    name="simulate",
    summary="simulate the library of a crystal",
    description=DESCRIPTION,
    example="pyxem-mlmaps simulate --crystal silicon.cif --beam-energy 200 --convergence-angle 1.0 "
    "--zone-axis 1 1 0 --tilt-range 0.3 --thickness 40 80 2.5 --output silicon_110.zarr",
    add_options=_add_options,
    run=_run,
    needs=("crystal", "beam_energy", "convergence_angle", "zone_axis", "thickness", "output"),
)
