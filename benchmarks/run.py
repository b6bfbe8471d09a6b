"""Run all benchmarks one after the other: ``make bench``, or some: ``run.py network foil``."""

import subprocess
import sys
from pathlib import Path

PARTS = ("simulator", "network", "experiment", "foil", "mapping", "disks", "polycrystal")

for part in sys.argv[1:] or PARTS:
    subprocess.run([sys.executable, Path(__file__).with_name(f"{part}.py")], check=True)
