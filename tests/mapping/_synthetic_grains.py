"""A made-up polycrystal with sub-grains, noise, bending and bad points, and its truth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from orix.crystal_map import CrystalMap, Phase, PhaseList
from orix.quaternion import Rotation
from scipy.ndimage import distance_transform_edt

from pyxem_mlmaps.mapping.grain_rotations import multiply, rotated
from pyxem_mlmaps.mapping.grains import renumbered


def crystal_map(quaternions, phase_id=None, prop=None, point_group="m-3m", step=2.5):
    """Map in nm of (ny, nx, 4) quaternions, with properties given as images."""
    ny, nx = quaternions.shape[:2]
    y, x = np.indices((ny, nx))
    phase_id = np.zeros((ny, nx), int) if phase_id is None else phase_id
    phases = [Phase(f"phase {i}", point_group=point_group) for i in range(phase_id.max() + 1)]
    return CrystalMap(
        Rotation(quaternions.reshape(-1, 4)),
        phase_id=phase_id.ravel(),
        x=step * x.ravel(),
        y=step * y.ravel(),
        phase_list=PhaseList(phases, ids=range(len(phases))),
        prop={name: np.ravel(values) for name, values in (prop or {}).items()},
        scan_unit="nm",
    )


def voronoi(rng, shape, n, apart):
    """Cells of points that keep a distance."""
    points = []
    for _ in range(20000):
        p = rng.uniform(0, 1, 2) * shape
        if all(np.hypot(*(p - o)) >= apart for o in points):
            points.append(p)
        if len(points) == n:
            break
    y, x = np.indices(shape)
    distance = [(y - p[0]) ** 2 + (x - p[1]) ** 2 for p in points]
    return np.argmin(distance, axis=0)


def without_slivers(sub, grain, smallest):
    """Sub-grains of fewer points, cut off by a grain's border, go to their grain's others."""
    size = np.bincount(sub.ravel())
    keep = size[sub] >= smallest
    for i in np.unique(grain):
        if np.any(keep & (grain == i)):
            outside = ~(keep & (grain == i))
            near = distance_transform_edt(outside, return_distances=False, return_indices=True)
            sub = np.where(outside & (grain == i), sub[tuple(near)], sub)
    return renumbered(sub)


def polycrystal(
    seed=0,
    shape=(100, 100),
    grains=4,
    per_grain=6,
    apart=12.0,
    smallest=40,
    steps=(0.1, 2.0),
    in_plane_share=0.4,
    sigma=(0.005, 0.005, 0.05),
    bending=0.02,
    bad_on_boundary=0.08,
    outliers=0.01,
    flagged=0.5,
    point_group="m-3m",
):
    """Nested Voronoi cells: grains, and sub-grains a few tenths of a degree apart.

    Neighbouring sub-grains of one grain differ by at least ``steps[0]``; of the steps, one part is
    purely in plane and as small as allowed. ``bending`` is the change over a whole sub-grain.
    Half of the bad points on boundaries have a misfit above 1 and are not precise.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    grain = voronoi(rng, shape, grains, 0.6 * np.sqrt(shape[0] * shape[1] / grains))
    cell = voronoi(rng, shape, grains * per_grain, apart)
    sub = without_slivers(renumbered(grain * 10_000 + cell), grain, smallest)
    n = sub.max() + 1
    near = set()
    for a, b in ((sub[:, :-1], sub[:, 1:]), (sub[:-1], sub[1:])):
        near |= {tuple(sorted(p)) for p in np.stack([a[a != b], b[a != b]], -1).tolist()}
    of_grain = np.array([grain[sub == k][0] for k in range(n)])
    vector = np.zeros((n, 3))
    for k in range(n):
        others = [j for j in range(k) if (j, k) in near and of_grain[j] == of_grain[k]]
        for _ in range(2000):
            size = np.exp(rng.uniform(*np.log(steps)))
            axis = rng.normal(size=3)
            axis = axis / np.linalg.norm(axis)
            if rng.uniform() < in_plane_share:
                size, axis = steps[0], np.array([0, 0, rng.choice([-1, 1])])
            start = vector[rng.choice(others)] if others else np.zeros(3)
            vector[k] = start + size * axis
            if all(np.linalg.norm(vector[k] - vector[j]) >= 0.999 * steps[0] for j in others):
                break
    base = rng.normal(size=(grains, 4))
    base /= np.linalg.norm(base, axis=-1, keepdims=True)
    true = vector[sub]
    for k in range(n):
        at = sub == k
        direction, axis = rng.uniform(0, 2 * np.pi), rng.normal(size=3)
        along = np.cos(direction) * x[at] + np.sin(direction) * y[at]
        along = along - along.mean()
        axis[2] *= 0.3
        true[at] += np.outer(along / max(np.ptp(along), 1), bending * axis / np.linalg.norm(axis))
    truth = rotated(base[grain], true)
    measured = rotated(base[grain], true + rng.normal(size=true.shape) * sigma)

    padded = np.pad(sub, 1, mode="edge")
    boundary = np.zeros(shape, bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        boundary |= padded[dy : dy + shape[0], dx : dx + shape[1]] != sub
    bad = boundary & (rng.uniform(size=shape) < bad_on_boundary)
    wrong = bad | (rng.uniform(size=shape) < outliers)
    offset = rng.normal(size=(*shape, 3)) * rng.choice([0.5, 5, 30], size=shape)[..., None]
    measured[wrong] = rotated(measured[wrong], offset[wrong])
    flag = wrong & (rng.uniform(size=shape) < flagged)
    xmap0 = crystal_map(truth, point_group=point_group)
    group = xmap0.phases[0].point_group.proper_subgroup.data.reshape(-1, 4)
    measured = multiply(group[rng.integers(len(group), size=shape)], measured)
    prop = {
        "misfit": np.where(flag, 3.0, rng.uniform(0.3, 0.9, shape)),
        "precise": (~flag).astype(int),
        "thickness": 70 + 0.05 * x,
        "grain_id": grain,
        "subgrain_id": sub,
    }
    for name, value in zip(("tilt_x", "tilt_y", "in_plane"), sigma, strict=True):
        prop[f"sigma_{name}"] = np.where(flag, np.nan, value)
    xmap = crystal_map(measured, prop=prop, point_group=point_group)
    return SimpleNamespace(
        xmap=xmap, truth=xmap0, grain=grain, sub=sub, wrong=wrong, n=n, vector=vector
    )


def agreement(found, true, wrong):
    """True regions that have one label of their own, in numbers: matched, missed, invented."""
    matched = 0
    for k in np.unique(true):
        at = (true == k) & ~wrong
        values, count = np.unique(found[at], return_counts=True)
        best = values[count.argmax()]
        union = ((true == k) | (found == best)) & ~wrong
        matched += count.max() / union.sum() > 0.5
    n, m = len(np.unique(true)), len(np.unique(found[found >= 0]))
    return SimpleNamespace(matched=int(matched), true=n, found=m)
