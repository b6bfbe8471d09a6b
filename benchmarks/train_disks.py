"""Make the disk model that ships with the package: ``python benchmarks/train_disks.py``.

Simulates thirty zones of two dozen crystals, trains on fresh disks from one seed, validates,
writes ``pyxem_mlmaps/models/shipped/disks.keras`` and its hash into the registry beside it. The
crystals that ``disks.py`` tests as never trained on are not among them.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

from ase import Atoms
from ase.build import bulk

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models.registry import add_entry

SHIPPED = Path(mlmaps.__file__).parent / "models" / "shipped" / "disks.keras"
STATED = {
    "name": "disks",
    "description": "Positions of diffraction disks of any crystal; comes with pyxem_mlmaps",
    "author": "pyxem_mlmaps developers",
    "licence": "GPL-3.0-or-later",
    "citation": "pyxem_mlmaps (CITATION.cff), and R. Yuan, J. Zhang, L. He, J.-M. Zuo, "
    "Ultramicroscopy 231 (2021) 113256, doi:10.1016/j.ultramic.2021.113256",
}
HEXAGONAL = ("Mg", "Zn", "Zr")
ZONES = [
    # name, structure and cell (Å) where ase does not know them, zone axis, keV, largest mrad
    ("Si", None, None, (1, 1, 0), 200, 3.4),
    ("Si", None, None, (1, 0, 0), 300, 3.0),
    ("Si", None, None, (1, 1, 2), 200, 2.2),
    ("Ge", None, None, (1, 1, 0), 300, 2.6),
    ("C", "diamond", 3.567, (1, 1, 0), 200, 5.0),
    ("GaAs", "zincblende", 5.653, (1, 1, 0), 200, 3.2),
    ("InP", "zincblende", 5.869, (1, 0, 0), 300, 2.4),
    ("CdTe", "zincblende", 6.482, (1, 1, 2), 300, 1.7),
    ("Al", None, None, (1, 1, 0), 200, 4.0),
    ("Al", None, None, (1, 1, 1), 120, 6.0),
    ("Al", None, None, (1, 1, 2), 200, 2.6),
    ("Ni", None, None, (1, 1, 2), 200, 3.0),
    ("Ag", None, None, (1, 1, 2), 300, 2.2),
    ("Au", None, None, (1, 1, 0), 200, 4.5),
    ("Au", None, None, (1, 0, 0), 300, 4.0),
    ("Pt", None, None, (1, 2, 3), 200, 2.6),
    ("Fe", None, None, (1, 0, 0), 200, 5.0),
    ("Fe", None, None, (1, 1, 3), 200, 2.4),
    ("W", None, None, (1, 1, 1), 300, 4.2),
    ("Mo", None, None, (1, 1, 0), 120, 5.0),
    ("Mg", None, None, (0, 0, 1), 200, 3.6),
    ("Zn", None, None, (0, 0, 1), 300, 3.2),
    ("Zr", None, None, (0, 1, 0), 200, 2.4),
    ("ZnO", "wurtzite", (3.250, 5.207), (0, 0, 1), 200, 4.0),
    ("GaN", "wurtzite", (3.189, 5.185), (1, 1, 0), 300, 1.8),
    ("MgO", "rocksalt", 4.212, (1, 0, 0), 200, 4.5),
    ("NaCl", "rocksalt", 5.640, (1, 1, 0), 80, 4.0),
    ("PbTe", "rocksalt", 6.462, (1, 0, 0), 300, 1.8),
    ("CsCl", "cesiumchloride", 4.123, (1, 1, 0), 200, 2.8),
    ("CaF2", "fluorite", 5.463, (1, 1, 0), 200, 3.0),
]
STRONG, ALL = 24, 60
"""Reflections of each zone: first the strong ones, then the faint and far ones too, whose contrast
is steeper and which weigh most in a lattice fit."""
SAMPLES = {STRONG: 20_000_000, ALL: 6_000_000}
THICKNESS = [8, 16, 28, 42, 60, 85, 120]


def libraries(reflections: int) -> list[mlmaps.RockingLibrary]:
    """Plane-wave maps over ± 0.6° of every zone."""
    made = []
    for name, structure, cell, zone, energy, angle in ZONES:
        made.append(
            mlmaps.simulate_rocking(
                atoms(name, structure, cell), mlmaps.Beam(energy, angle), zone_axis=zone,
                tilt_range=0.6, tilt_step=0.02, thickness=THICKNESS, g_max=2.0,
                reflections=reflections, show_progressbar=False,
            )
        )  # fmt: skip
    return made


def atoms(name: str, structure: str | None, cell: float | tuple[float, float] | None) -> Atoms:
    """A conventional cell; wurtzite and hexagonal metals in their own."""
    if structure == "wurtzite":
        return bulk(name, structure, a=cell[0], c=cell[1])
    if structure is not None:
        return bulk(name, structure, a=cell, cubic=True)
    return bulk(name) if name in HEXAGONAL else bulk(name, cubic=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the samples, for a trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=SHIPPED)
    options = parser.parse_args()
    started = time.time()
    model = None
    for reflections, samples in SAMPLES.items():
        model = mlmaps.train_disk_model(
            libraries(reflections), start=model, samples=int(options.share * samples),
            seed=options.seed,
        )  # fmt: skip
    keep(model, options.output)
    print(model.card)
    print(f"{time.time() - started:.0f} s, {options.output.stat().st_size / 1e6:.2f} MB")


def keep(model: mlmaps.DiskModel, path: Path) -> None:
    """Write the model and its hash into the registry of its folder."""
    model.with_card(**STATED).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    add_entry(
        path.with_name("registry.json"), STATED["name"], path.name, sha256, STATED["description"]
    )


if __name__ == "__main__":
    main()
