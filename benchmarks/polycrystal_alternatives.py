"""Other ways to the angles of a grain, on the same patterns as the fit of whole patterns.

* **A network for each node** (``train_orientation_model`` on the node's library): tilts from sums
  over disks, with and without its refinement. What a network conditioned on orientation could save
  is the start of the fit, so the share of the search in the time of a point is measured.
* **In-plane angle from disk positions**: the disk model that ships with the package measures every
  disk, a weighted least-squares fit turns and shifts the pattern.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace

import numpy as np
from polycrystal_scores import matrices, rms, small_rotations

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data
from pyxem_mlmaps.mapping.grain_candidates import Solver
from pyxem_mlmaps.mapping.grain_models import GrainModels
from pyxem_mlmaps.mapping.template_match import Camera
from pyxem_mlmaps.models.pattern_fit import Optics
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.library_cache import LibraryCache
from pyxem_mlmaps.simulation.orientation_nodes import proper_operations


def alternatives(beam, thickness, cache, seed=0, shape=(12, 12)):
    """Figures of one grain; its orientation is known to 0.1° and its disks to a pixel."""
    signal = data.polycrystal(shape, grains=1, subgrains=1, seed=seed, show_progressbar=False)
    signal.compute(show_progressbar=False)
    truth = data.ground_truth(signal)
    patterns = signal.data.reshape(-1, *signal.data.shape[2:]).astype(np.float32)
    true = matrices(truth.rotations)
    crystal = as_crystal(truth.phases[0])
    operations = proper_operations(crystal.phase)
    models = GrainModels([crystal], beam, thickness, 1.7, LibraryCache(cache))
    centre = (float(truth.origin[0]), float(truth.origin[1]))
    optics = Optics(
        truth.radius, 0.5, truth.scale, float(np.degrees(truth.scale * beam.wavelength))
    )
    solver = Solver(models, [operations], Camera(centre, truth.scale, truth.radius), optics)
    key, turned = solver.key_of(0, true[0])
    model = models[key]
    begin = time.perf_counter()
    start = np.repeat(solver.near(key, turned, np.mean(thickness), centre)[None], len(true), 0)
    around = (float(start[0, 0]), float(start[0, 1]))
    fit = solver.fit(model, patterns, start, 1.0, 3, around, 0.2, 1.05)
    fitted = time.perf_counter() - begin
    begin = time.perf_counter()
    model.search(patterns, start, optics, around, 0.2, 3)
    searched = time.perf_counter() - begin

    def error(values):
        found = model.matrices(values)
        return small_rotations(found, true, operations)[0]

    figures = {
        "fit of pixels: RMS tilt x, tilt y, in-plane": rms(error(fit.values)),
        "fit of pixels: ms a pattern": round(1e3 * fitted / len(true), 2),
        "of which the search": round(1e3 * searched / len(true), 3),
    }
    places = model.places(fit.values, optics.scale)
    figures |= _network(models, key, patterns, places, fit.values, optics, error)
    figures |= _positions(model, patterns, places, fit.values, optics, error)
    return figures


def _network(models, key, patterns, places, values, optics, error):
    """A small network on the disks that lie wholly on the detector."""
    library = models._simulate(key)
    reach = optics.radius + 2.5
    size = np.array(patterns.shape[1:])
    whole = np.all((places > reach) & (places < size - 1 - reach), axis=(0, 2))
    part = replace(
        library,
        intensities=library.intensities[..., whole].compute(),
        indices=library.indices[whole],
        vectors=library.vectors[whole],
        maps=None,
    )
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlmaps.train_orientation_model(part, show_progressbar=False)
    figures = {
        "network of one node: disks": int(whole.sum()),
        "network of one node: s of training": round(time.perf_counter() - begin),
    }
    sums = _sums(patterns, places[:, whole], optics.radius)
    for name, refine in (("bare", False), ("refined", True)):
        begin = time.perf_counter()
        answer = model.predict(sums, refine=refine)
        seconds = time.perf_counter() - begin
        guess = values.copy()
        guess[:, 0], guess[:, 1] = answer.tilt_x, answer.tilt_y
        figures[f"network, {name}: RMS tilt x, tilt y"] = rms(error(guess)[:, :2])
        figures[f"network, {name}: ms a pattern"] = round(1e3 * seconds / len(sums), 3)
    return figures


def _sums(patterns, places, radius):
    """(n, n_disk) counts in disks, less the ring around each."""
    y, x = np.indices(patterns.shape[1:])
    out = np.empty(places.shape[:2])
    for n, d in np.ndindex(out.shape):
        r = np.hypot(y - places[n, d, 0], x - places[n, d, 1])
        disk, ring = r < radius + 1, (r > radius + 1.5) & (r < radius + 2.5)
        out[n, d] = patterns[n][disk].sum() - patterns[n][ring].mean() * disk.sum()
    return np.maximum(out, 0)


def _positions(model, patterns, places, values, optics, error):
    """In-plane angle from the positions of disks, tilt and thickness as the fit has them."""
    disks = mlmaps.load_model("disks")
    half = int(np.ceil(2 * optics.radius)) + 2
    size = np.array(patterns.shape[1:])
    guess = values.copy()
    begin = time.perf_counter()
    for n, pattern in enumerate(patterns):
        corner = np.rint(places[n]).astype(int) - half
        inside = np.flatnonzero(np.all((corner >= 0) & (corner + 2 * half + 1 <= size), axis=1))
        cut = np.stack(
            [
                pattern[y : y + 2 * half + 1, x : x + 2 * half + 1]
                for y, x in corner[inside]
            ]
        )  # fmt: skip
        origin = values[n, 4:6]
        found = disks.predict(cut, optics.radius, optics.edge, places[n, inside] - origin)
        seen = (found.presence > 0.9) & (found.misfit < 1)
        here = corner[inside] + half + np.stack([found.y, found.x], axis=1)
        moved = (here - places[n, inside])[seen]
        arm = (places[n, inside] - origin)[seen]
        guess[n, 3] += _turn(moved, arm, found.sigma_y[seen], found.sigma_x[seen])
    seconds = time.perf_counter() - begin
    return {
        "disk positions: RMS in-plane": rms(error(guess)[:, 2:])[0],
        "disk positions: ms a pattern": round(1e3 * seconds / len(patterns), 2),
    }


def _turn(moved, arm, sigma_y, sigma_x):
    """Degrees from kx towards ky by which disks are turned about the beam, shift free."""
    one = np.ones(len(arm))
    zero = np.zeros(len(arm))
    rows = np.concatenate(
        [np.stack([arm[:, 1], one, zero], 1), np.stack([-arm[:, 0], zero, one], 1)]
    )
    weight = 1 / np.concatenate([sigma_y, sigma_x])
    right = np.concatenate([moved[:, 0], moved[:, 1]])
    solved = np.linalg.lstsq(rows * weight[:, None], right * weight, rcond=None)[0]
    return np.degrees(solved[0])
