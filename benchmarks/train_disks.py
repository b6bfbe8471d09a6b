"""Make the disk model that ships with the package: ``python benchmarks/train_disks.py``.

Simulates fourteen zones of ten crystals, trains on fresh disks from one seed, validates, writes
``pyxem_mlmaps/models/shipped/disks.keras``. 37 minutes on two shared cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ase.build import bulk

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models.train_disks import DEFAULT_SAMPLES

SHIPPED = Path(mlmaps.__file__).parent / "models" / "shipped" / "disks.keras"
ZONES = [
    # element, structure and a (Å) where ase does not know them, zone axis, keV, largest mrad
    ("Si", None, None, (1, 1, 0), 200, 3.4),
    ("Si", None, None, (1, 0, 0), 300, 3.0),
    ("Si", None, None, (1, 1, 2), 200, 2.2),
    ("GaAs", "zincblende", 5.653, (1, 1, 0), 200, 3.2),
    ("InP", "zincblende", 5.869, (1, 0, 0), 300, 2.4),
    ("Au", None, None, (1, 1, 0), 200, 4.5),
    ("Au", None, None, (1, 0, 0), 300, 4.0),
    ("Al", None, None, (1, 1, 0), 200, 4.0),
    ("Al", None, None, (1, 1, 1), 120, 6.0),
    ("Fe", None, None, (1, 0, 0), 200, 5.0),
    ("W", None, None, (1, 1, 1), 300, 4.2),
    ("MgO", "rocksalt", 4.212, (1, 0, 0), 200, 4.5),
    ("NaCl", "rocksalt", 5.640, (1, 1, 0), 80, 4.0),
    ("Ge", None, None, (1, 1, 0), 300, 2.6),
]
THICKNESS = [8, 16, 28, 42, 60, 85, 120]


def libraries() -> list[mlmaps.RockingLibrary]:
    """Plane-wave maps over ± 0.6° of every zone."""
    made = []
    for element, structure, a, zone, energy, angle in ZONES:
        atoms = bulk(element, structure, a=a, cubic=True) if a else bulk(element, cubic=True)
        made.append(
            mlmaps.simulate_rocking(
                atoms, mlmaps.Beam(energy, angle), zone_axis=zone, tilt_range=0.6, tilt_step=0.02,
                thickness=THICKNESS, reflections=24, g_max=2.0, show_progressbar=False,
            )
        )  # fmt: skip
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=DEFAULT_SAMPLES["new"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=SHIPPED)
    options = parser.parse_args()
    started = time.time()
    model = mlmaps.train_disk_model(libraries(), samples=options.samples, seed=options.seed)
    model.save(options.output)
    print(model.card)
    print(f"{time.time() - started:.0f} s, {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
