"""A bent GaSb foil through the registered method, against the Cramér-Rao bound of that scan."""

from __future__ import annotations

import warnings

import numpy as np
from common import keep

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data
from pyxem_mlmaps.simulation.patterns import inelastic_form
from pyxem_mlmaps.simulation.spline import LibrarySpline


def bound(library, truth, electrons: float, background: float, detector) -> np.ndarray:
    """(n, 3) bounds: Poisson counts of disk and background; thickness and scale unknown.

    The background under each disk counts as known: an experimenter who subtracts a measured one
    can only do worse.
    """
    spline = LibrarySpline.fit(
        library.intensities, library.tilt_x, library.tilt_y, library.thickness
    )
    points = np.stack([truth.tilt_x, truth.tilt_y, truth.thickness], axis=-1).reshape(-1, 3)
    values, gradient = spline.with_gradient(points)
    lattice = truth.lattice
    form = inelastic_form(detector, np.asarray(lattice.origin), 4 * lattice.radius)
    y, x = np.indices(detector)
    under = np.array(
        [
            form[(y - p[0]) ** 2 + (x - p[1]) ** 2 <= lattice.radius**2].sum()
            for p in lattice.positions
        ]
    )
    variance = electrons * (values + background * under)
    jacobian = electrons * np.concatenate([gradient, values[:, None]], axis=1).astype(float)
    information = np.einsum("nid,njd->nij", jacobian / variance[:, None], jacobian)
    return np.sqrt(np.einsum("nii->ni", np.linalg.inv(information))[:, :3])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    library = mlmaps.simulate_rocking(
        data.gasb(),
        mlmaps.Beam(300, 1.10),
        zone_axis=(1, 1, 0),
        tilt_range=0.5,
        thickness=np.arange(60, 91, 2.5),
        reflections=43,
    )
    model = mlmaps.train_orientation_model(
        library, mlmaps.NoiseModel(dose=(3e4, 1e6)), steps=900, seed=0
    )
    figures = {}
    for electrons in (1e5, 1e6):
        for background in (0.0, 0.1):
            s = data.bent_foil(
                (64, 64), library=library, electrons=electrons, background=background
            )
            truth = data.ground_truth(s)
            lattice = mlmaps.DiskLattice.from_signal(s, model)
            omap = s.ml_orientation_map(
                model, lattice, background="local" if background else "none", lazy_output=False
            )
            limit = bound(library, truth, electrons, background, (256, 256))
            entry = {}
            for i, name in enumerate(("tilt_x", "tilt_y", "thickness")):
                error = omap.channel(name).data - getattr(truth, name)
                rms, best = np.sqrt((error**2).mean()), np.sqrt((limit[:, i] ** 2).mean())
                sigma = omap.channel(f"sigma_{name}").data
                entry[name] = {
                    "RMS": float(rms),
                    "bound": float(best),
                    "ratio": float(rms / best),
                    "mean error": float(error.mean()),
                    "within 1 sigma": float((np.abs(error) < sigma).mean()),
                }
            figures[f"{electrons:g} electrons, background {background:g}"] = entry
    keep("foil", figures)
