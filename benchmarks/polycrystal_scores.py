"""How a map of a polycrystal is judged against its truth."""

from __future__ import annotations

import numpy as np
from orix.quaternion import Rotation

from pyxem_mlmaps import conventions
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.orientation_nodes import proper_operations

SIGMAS = ("sigma_tilt_x", "sigma_tilt_y", "sigma_in_plane")


def matrices(quaternions):
    """(n, 3, 3) crystal to detector."""
    rotation = Rotation(np.asarray(quaternions).reshape(-1, 4))
    return conventions.rotation_to_detector_matrix(rotation).reshape(-1, 3, 3)


def small_rotations(found, truth, operations):
    """(n, 3) tilt x, tilt y, in-plane in degrees from truth to found, and the angle (n,)."""
    turns = np.einsum("nij,sjk,nlk->nsil", found, operations, truth)
    best = np.argmax(np.trace(turns, axis1=2, axis2=3), axis=1)
    turn = turns[np.arange(len(turns)), best]
    axial = np.stack(
        [
            turn[:, 2, 1] - turn[:, 1, 2],
            turn[:, 0, 2] - turn[:, 2, 0],
            turn[:, 1, 0] - turn[:, 0, 1],
        ]
    )
    angle = np.arctan2(np.linalg.norm(axial, axis=0), np.trace(turn, axis1=1, axis2=2) - 1)
    x, y, z = np.degrees(axial / 2)
    return np.stack([y, -x, z], axis=1), np.degrees(angle)


def errors(xmap, truth):
    """Errors (n, 3), their σ (n, 3), precise (n,), pure (n,), right phase and crystal (n,)."""
    phase = truth.phase_id.ravel()
    error = np.full((xmap.size, 3), np.nan)
    angle = np.full(xmap.size, np.nan)
    found, true = matrices(xmap.rotations.data), matrices(truth.rotations)
    for number, each in enumerate(truth.phases):
        rows = np.flatnonzero((phase == number) & (xmap.phase_id == number))
        operations = proper_operations(as_crystal(each).phase)
        error[rows], angle[rows] = small_rotations(found[rows], true[rows], operations)
    sigma = np.stack([xmap.prop[name] for name in SIGMAS], axis=1)
    return {
        "error": error,
        "angle": angle,
        "sigma": sigma,
        "precise": xmap.prop["precise"] > 0,
        "pure": truth.fraction.ravel() == 0,
        "second": truth.fraction.ravel(),
    }


def boundaries(xmap, truth, min_angle=0.1):
    """How many true sub-grains are found, and how many labels are no sub-grain.

    A sub-grain counts as found if one label shares more than half of their union of pure points.
    """
    true, found = truth.subgrain_id.ravel(), np.asarray(xmap.prop["subgrain_id"])
    pure = (truth.fraction.ravel() == 0) & (found >= 0)
    matched, used = 0, set()
    names = [t for t in np.unique(true) if (pure & (true == t)).sum() >= 12]
    for name in names:
        mine = pure & (true == name)
        label = np.bincount(found[mine]).argmax()
        other = pure & (found == label)
        if (mine & other).sum() > 0.5 * (mine | other).sum():
            matched += 1
            used.add(label)
    labels, counts = np.unique(found[pure], return_counts=True)
    extra = [k for k, c in zip(labels, counts, strict=True) if k not in used and c >= 12]
    return {"true": len(names), "found": matched, "invented": len(extra)}


def summary(parts):
    """One table of figures from (errors, boundaries) of several scans."""
    joined = {k: np.concatenate([e[k] for e, _ in parts]) for k in parts[0][0]}
    precise, pure = joined["precise"], joined["pure"]
    good = precise & pure
    error, sigma = joined["error"], joined["sigma"]
    with np.errstate(invalid="ignore"):
        beyond = ~(np.abs(error) <= 5 * sigma).all(axis=1)
    wrong = ~(joined["angle"] < 0.5)
    inside = good & ~wrong

    def shares(mask):
        return round(float(mask.mean()), 4) if mask.size else float("nan")

    return {
        "points": int(precise.size),
        "pure points that are precise": shares(precise[pure]),
        "mixed points that are precise": shares(precise[~pure]),
        "RMS tilt x, tilt y, in-plane, pure and precise": rms(error[good]),
        "the same without wrong orientations": rms(error[inside]),
        "mean error": np.round(np.nanmean(error[inside], axis=0), 5).tolist(),
        "median sigma": np.round(np.nanmedian(sigma[good], axis=0), 5).tolist(),
        "within one sigma": np.round((np.abs(error) < sigma)[inside].mean(axis=0), 3).tolist(),
        "precise points beyond 5 sigma": shares(beyond[precise]),
        "the same, pure points": shares(beyond[good]),
        "wrong orientation (0.5 degrees), pure and precise": shares(wrong[good]),
        "sub-grains true, found, invented": [
            sum(b[k] for _, b in parts) for k in ("true", "found", "invented")
        ],
    }


def rms(error):
    """Root mean square of each column."""
    return np.round(np.sqrt(np.nanmean(error**2, axis=0)), 5).tolist()


def against_pyxem(signal, xmap, truth, beam):
    """For each grain: angle to the nearest of pyxem's 40 best templates, and to its best one."""
    from pyxem_mlmaps.mapping.spot_patterns import draw_spots, find_spots
    from pyxem_mlmaps.mapping.template_match import POWER, Camera, _match, _polar

    camera = Camera(truth.origin, truth.scale, truth.radius)
    found = matrices(xmap.rotations.data)
    angles = []
    for grain in np.unique(truth.grain_id):
        rows = np.flatnonzero((truth.grain_id.ravel() == grain) & (xmap.prop["precise"] > 0))
        rows = rows[truth.fraction.ravel()[rows] == 0]
        if not len(rows):
            continue
        patterns = signal.data.reshape(-1, *signal.data.shape[-2:])[rows[:9]].astype(float)
        spots = find_spots(patterns.sum(axis=0), camera.radius)
        away = np.hypot(*(spots.positions - camera.origin).T) < 1.5 * camera.radius
        image = draw_spots(spots, patterns.shape[1:], POWER, 1.0, away)
        crystal = as_crystal(truth.phases[0])
        templates = _match(
            _polar(image[None], beam, camera), crystal, beam, camera, image.shape, 1.0, 40
        )[0]
        mine = np.repeat(found[rows[:1]], len(templates), axis=0)
        _, angle = small_rotations(mine, templates, proper_operations(crystal.phase))
        angles.append((float(angle.min()), float(angle[0])))
    return angles
