"""Run all benchmarks one after the other: ``make bench``, or some: ``run.py network foil``.

At the end the figures are compared with those that are committed (``compare.py``).
"""

import subprocess
import sys
from pathlib import Path

PARTS = (
    "simulator", "network", "experiment", "foil", "mapping", "profiles", "scale", "disks",
    "polycrystal", "plan",
)  # fmt: skip

for part in [*(sys.argv[1:] or PARTS), "compare"]:
    subprocess.run([sys.executable, Path(__file__).with_name(f"{part}.py")], check=True)
