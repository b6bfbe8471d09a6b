"""Grains and sub-grains of a synthetic scan: where they are and how they are oriented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

__all__ = ["GrainField", "bend_waves", "draw_matrices", "grain_field", "neighbours", "wedge"]

Float = NDArray[np.floating]
Index = NDArray[np.integer]

FAINTEST = 0.01
"""A second crystal with less of the electrons is left out."""


@dataclass(frozen=True, eq=False)
class GrainField:
    """Which crystals lie at the n points of a scan.

    Parameters
    ----------
    grain, subgrain
        (n,) numbers; those of sub-grains are unique over the scan, ``grain * subgrains + k``.
    second
        (n,) the sub-grain across the nearest boundary, −1 where it has no share.
    fraction
        (n,) electrons that fall on the second sub-grain, 0 to 0.5.
    """

    grain: Index
    subgrain: Index
    second: Index
    fraction: Float


def grain_field(
    scan: tuple[int, int],
    grains: int,
    subgrains: int,
    boundary_width: float,
    rng: np.random.Generator,
) -> GrainField:
    """Voronoi cells of random seeds, each divided by the Voronoi cells of seeds within it.

    Cells are convex, so the distance to the nearest boundary is the least distance to the
    bisectors, (d2² − d1²) / 2|s2 − s1|, of the grain's seed with the others' and of the
    sub-grain's seed with those of the same grain. The probe is a Gaussian of standard deviation
    ``boundary_width`` px: 0.5·erfc(d / (√2·boundary_width)) of it lies beyond a boundary at d px.
    """
    points = np.stack(np.meshgrid(*map(np.arange, scan), indexing="ij"), axis=-1).reshape(-1, 2)
    points = points.astype(float)
    seeds = _spread(points, grains, rng)
    grain = _nearest(points, seeds)
    size = np.bincount(grain, minlength=grains)
    if size.min() < subgrains:
        raise ValueError(
            f"subgrains={subgrains}: the smallest of {grains} grains has {size.min()} scan points. "
            "Ask for fewer sub-grains or grains, or for a larger scan."
        )
    inner = np.stack([_spread(points[grain == n], subgrains, rng) for n in range(grains)])
    part = _nearest(points, inner[grain])
    subgrain = grain * subgrains + part
    outer_gap, other_grain = _boundary(
        points, np.broadcast_to(seeds, (len(points), grains, 2)), grain
    )
    inner_gap, other_part = _boundary(points, inner[grain], part)
    across = outer_gap < inner_gap
    gap = np.where(across, outer_gap, inner_gap)
    second = grain * subgrains + other_part
    if across.any():
        there = other_grain[across]
        way = seeds[there] - seeds[grain[across]]
        way /= np.linalg.norm(way, axis=1)[:, None]
        foot = points[across] + gap[across, None] * way
        second[across] = there * subgrains + _nearest(foot, inner[there])
    fraction = 0.5 * erfc(gap / (np.sqrt(2) * boundary_width))
    fraction[fraction < FAINTEST] = 0
    return GrainField(grain, subgrain, np.where(fraction > 0, second, -1), fraction)


def neighbours(field: GrainField, scan: tuple[int, int], subgrains: int) -> Index:
    """(n, 2) pairs of sub-grains of one grain that touch, each pair once, the lower first."""
    label = field.subgrain.reshape(scan)
    shifted = [
        (label[:, 1:], label[:, :-1]),
        (label[1:], label[:-1]),
        (label[1:, 1:], label[:-1, :-1]),
        (label[1:, :-1], label[:-1, 1:]),
    ]
    mixed = field.second >= 0
    pairs = [np.stack([a.ravel(), b.ravel()], axis=1) for a, b in shifted]
    pairs.append(np.stack([field.subgrain[mixed], field.second[mixed]], axis=1))
    pairs = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    same = pairs[:, 0] // subgrains == pairs[:, 1] // subgrains
    return pairs[same & (pairs[:, 0] != pairs[:, 1])]


def draw_matrices(
    grains: int,
    subgrains: int,
    touching: Index,
    misorientation: tuple[float, float],
    rng: np.random.Generator,
) -> Float:
    """(grains * subgrains, 3, 3) crystal-to-detector matrices.

    Grains are oriented at random, evenly over all rotations. Sub-grains that touch differ by an
    angle within ``misorientation`` (degrees), all of a grain by at least its lower end.
    """
    bases = _random_rotations(grains, rng)
    matrices = np.empty((grains, subgrains, 3, 3))
    for n in range(grains):
        pairs = touching[touching[:, 0] // subgrains == n] - n * subgrains
        for _ in range(100):
            turns = _small_rotations(subgrains, pairs, misorientation, rng)
            if turns is not None:
                break
        else:
            raise ValueError(
                f"misorientation={misorientation}: no orientations of the {subgrains} sub-grains "
                "of a grain were found that differ by angles within this range. Widen it."
            )
        matrices[n] = turns @ bases[n]
    return matrices.reshape(-1, 3, 3)


def bend_waves(scan: tuple[int, int], bend: float, rng: np.random.Generator) -> Float:
    """(n, 3) tilt x, tilt y and turn about the beam, each a smooth wave of up to ``bend``."""
    u, v = _unit_grid(scan)
    waves = np.empty((u.size, 3))
    for axis in range(3):
        p = rng.uniform(0, 2 * np.pi, 2)
        direction = rng.uniform(0, 2 * np.pi)
        along, across = (
            u * np.cos(direction + a) + v * np.sin(direction + a) for a in (0, np.pi / 2)
        )
        waves[:, axis] = 0.75 * np.sin(7 * along + p[0]) + 0.25 * np.sin(9 * across + p[1])
    return bend * waves


def wedge(scan: tuple[int, int], thickness: tuple[float, float], rng: np.random.Generator) -> Float:
    """(n,) nm: a wedge with waves, within ``thickness``."""
    u, v = _unit_grid(scan)
    p = rng.uniform(0, 2 * np.pi, 2)
    waves = 0.5 + 0.25 * np.sin(8 * u + 3 * v + p[0]) + 0.25 * np.sin(9 * v - 2 * u + p[1])
    share = 0.5 * u + 0.25 * v + 0.25 * waves
    return thickness[0] + (thickness[1] - thickness[0]) * share


def _unit_grid(scan: tuple[int, int]) -> tuple[Float, Float]:
    """(n,) positions 0 to 1 along columns and rows."""
    v, u = np.meshgrid(*((np.arange(n) + 0.5) / n for n in scan), indexing="ij")
    return u.ravel(), v.ravel()


def _spread(points: Float, count: int, rng: np.random.Generator) -> Float:
    """(count, 2) random seeds about as many of the ``points`` (n, 2), kept apart.

    Seeds start 0.75 of an even spacing apart; that shrinks until there is room for all. They lie
    within 0.3 px of their point, so that every seed's own point is nearest to it.
    """
    apart = 0.75 * np.sqrt(len(points) / count)
    chosen: list[int] = []
    tries = 0
    while len(chosen) < count:
        n = int(rng.integers(len(points)))
        free = n not in chosen
        if free and np.all(np.linalg.norm(points[chosen] - points[n], axis=-1) >= apart):
            chosen.append(n)
        tries += 1
        if tries % (20 * count) == 0:
            apart *= 0.9
    return points[chosen] + rng.uniform(-0.3, 0.3, (count, 2))


def _nearest(points: Float, seeds: Float) -> Index:
    """(n,) number of the nearest seed of each point; seeds are (n_seed, 2) or (n, n_seed, 2)."""
    return np.argmin(np.sum((points[:, None] - seeds) ** 2, axis=-1), axis=1)


def _boundary(points: Float, seeds: Float, own: Index) -> tuple[Float, Index]:
    """Distance (n,) to the nearest bisector with ``own``, and the seed beyond it; px.

    ``seeds`` is (n, n_seed, 2) or (1, n_seed, 2); a single seed has its boundary at infinity.
    """
    rows = np.arange(len(points))
    square = np.sum((points[:, None] - seeds) ** 2, axis=-1)
    mine = seeds[rows if len(seeds) > 1 else 0, own]
    between = np.linalg.norm(seeds - mine[:, None], axis=-1)
    between[rows, own] = 1.0
    gap = (square - square[rows, own][:, None]) / (2 * between)
    gap[rows, own] = np.inf
    other = np.argmin(gap, axis=1)
    return gap[rows, other], other


def _random_rotations(count: int, rng: np.random.Generator) -> Float:
    """(count, 3, 3), evenly distributed: normalised normal quaternions."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(rng.standard_normal((count, 4))).as_matrix()


def _small_rotations(
    count: int, pairs: Index, limits: tuple[float, float], rng: np.random.Generator
) -> Float | None:
    """(count, 3, 3) rotations, the first none, grown from neighbour to neighbour; None: stuck."""
    from scipy.spatial.transform import Rotation

    linked = np.zeros((count, count), dtype=bool)
    linked[pairs[:, 0], pairs[:, 1]] = linked[pairs[:, 1], pairs[:, 0]] = True
    turns = {0: np.eye(3)}
    while len(turns) < count:
        placed = np.array(list(turns))
        waiting = [n for n in range(count) if n not in turns]
        new = max(waiting, key=lambda n: linked[n, placed].any())
        by = linked[new, placed]
        bases = placed[by] if by.any() else placed
        for _ in range(100):
            axis = rng.standard_normal(3)
            angle = np.exp(rng.uniform(*np.log(limits)))
            step = Rotation.from_rotvec(np.radians(angle) * axis / np.linalg.norm(axis))
            trial = step.as_matrix() @ turns[int(rng.choice(bases))]
            apart = np.array([_angle(trial, turns[int(n)]) for n in placed])
            # its base may be met exactly, up to rounding
            if np.all(apart >= limits[0] - 1e-9) and np.all(apart[by] <= limits[1] + 1e-9):
                turns[new] = trial
                break
        else:
            return None
    return np.stack([turns[n] for n in range(count)])


def _angle(a: Float, b: Float) -> float:
    """Degrees between two rotation matrices, accurate for small angles."""
    return float(np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(a - b) / np.sqrt(8)))))
