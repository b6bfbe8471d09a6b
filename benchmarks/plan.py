"""What `mlmaps.plan` expects, against maps of synthetic scans: ratio of scatter to expectation."""

from __future__ import annotations

import warnings

import numpy as np
from common import keep

import pyxem_mlmaps as mlmaps

CASES = {
    "Si [110], 50 nm": (mlmaps.data.silicon, (1, 1, 0), mlmaps.Beam(300, 1.35), 50.0),
    "UO2 [001], 50 nm": (mlmaps.data.uo2, (0, 0, 1), mlmaps.Beam(200, 1.8), 50.0),
    "Si [110], 100 nm": (mlmaps.data.silicon, (1, 1, 0), mlmaps.Beam(300, 1.35), 100.0),
}
DOSES = (1e4, 1e5, 1e6, 1e7)


def strain_ratio(case: str) -> dict[str, list[float]]:
    """RMS error of e_xx, e_yy, e_xy and rotation on an unstrained bent foil, by the plan's."""
    crystal, zone, beam, thickness = CASES[case]
    library = mlmaps.simulate_rocking(
        crystal(), beam, zone, tilt_range=0.2, thickness=thickness + 2.5 * np.arange(-2, 3.0),
        reflections=37, g_max=2.0, show_progressbar=False,
    )  # fmt: skip
    plan, ratios = None, {}
    for dose in DOSES:
        s = mlmaps.data.bent_foil(
            (16, 16), library=library, electrons=dose, bend=0.2, dtype=np.uint32
        )
        lattice = mlmaps.data.ground_truth(s).lattice
        if plan is None:
            plan = mlmaps.plan(
                crystal(), beam, zone, scale=beam.aperture_radius / lattice.radius,
                thickness=(thickness - 4, thickness + 4), reflections=37, g_max=2.0,
                show_progressbar=False,
            )  # fmt: skip
        vectors = s.ml_disk_positions(lattice=lattice, lazy_output=False, show_progressbar=False)
        strain = mlmaps.strain_map(vectors, reference=lattice, show_progressbar=False)
        rms = np.sqrt(np.nanmean(strain.data**2, axis=(1, 2)))
        expected = plan.precision_at(dose)
        planned = [*expected[3:6], np.radians(expected.rotation)]
        ratios[f"{dose:g} electrons"] = [round(float(r), 2) for r in rms / planned]
    return ratios


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    keep("plan", {case: strain_ratio(case) for case in CASES})
