"""A fixed grid of beam directions in the crystal: which library serves which orientation.

Disk intensities depend on the direction of the beam in the crystal, not on the angle about the
beam, and crystals turned by one of their own rotations look the same. So orientations are brought
to one representative under the crystal's proper rotations, and its beam direction to the nearest
node of a grid that never changes: a second scan of the same sample meets the same nodes, and finds
their libraries in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyxem_mlmaps import conventions

if TYPE_CHECKING:
    from orix.crystal_map import Phase

__all__ = ["Node", "canonical", "node_of", "proper_operations", "relative_to_node"]

Float = NDArray[np.float64]

PREFERRED = np.array([0.8203, 0.4817, 0.3084])
"""Of all equivalent beam directions the one closest to this generic direction is taken."""


@dataclass(frozen=True, order=True)
class Node:
    """A beam direction of the grid.

    Parameters
    ----------
    row, column
        Numbers of the node: polar angle, and azimuth on that ring.
    spacing
        Of the grid, degrees.
    """

    row: int
    column: int
    spacing: float

    @property
    def direction(self) -> Float:
        """(3,) unit vector of the beam in the crystal's cartesian frame."""
        polar = np.radians(self.row * self.spacing)
        ring = max(1, int(np.ceil(360 * np.sin(polar) / self.spacing - 1e-9)))
        azimuth = 2 * np.pi * self.column / ring
        sine = np.sin(polar)
        return np.array([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(polar)])

    @property
    def matrix(self) -> Float:
        """(3, 3) crystal to detector at zero tilt, with a fixed angle about the beam."""
        z = self.direction
        axis = np.eye(3)[np.argmin(np.abs(z))]
        x = axis - z * (axis @ z)
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z])


def node_of(direction: Float, spacing: float) -> Node:
    """The node nearest to a beam direction (3,), along polar angle, then azimuth."""
    polar = np.degrees(np.arccos(np.clip(direction[2] / np.linalg.norm(direction), -1, 1)))
    row = int(np.round(polar / spacing))
    ring = max(1, int(np.ceil(360 * np.sin(np.radians(row * spacing)) / spacing - 1e-9)))
    azimuth = np.arctan2(direction[1], direction[0]) / (2 * np.pi)
    return Node(row, int(np.round(azimuth * ring)) % ring, float(spacing))


def proper_operations(phase: Phase) -> Float:
    """(n, 3, 3) matrices of the proper rotations among the crystal's own symmetry operations.

    Improper operations are left out: they mirror the crystal, and the mirror image of a pattern is
    no orientation.

    Raises
    ------
    ValueError
        If the phase has no point group.
    """
    group = phase.point_group
    if phase.space_group is not None:
        # not from orix's point group: it has one setting only, with the two-fold axis along c
        base = np.asarray(phase.structure.lattice.base, dtype=float)
        turns = np.array([s.R for s in phase.space_group.iter_symops()], dtype=float)
        turns = np.round(base.T @ turns @ np.linalg.inv(base.T), 14) + 0.0
        turns = turns[np.linalg.det(turns) > 0]
        _, first = np.unique(np.round(turns, 6), axis=0, return_index=True)
        return turns[np.sort(first)]
    if group is None:
        raise ValueError(
            f"phase {phase.name!r} has neither space group nor point group: orientations of it "
            "cannot be compared. Give Phase(space_group=...), or point_group='1' for no symmetry."
        )
    return group[~np.asarray(group.improper, dtype=bool)].to_matrix().reshape(-1, 3, 3)


def canonical(matrix: Float, operations: Float) -> Float:
    """(..., 3, 3) equivalents, crystal to detector, whose beam direction is the preferred one."""
    matrix = np.asarray(matrix, dtype=float)
    beam = matrix[..., 2, :]  # the beam in the crystal: Mᵀ z
    turned = np.einsum("nij,...j->...ni", operations, beam)
    best = operations[np.argmax(turned @ PREFERRED, axis=-1)]
    return matrix @ np.swapaxes(best, -1, -2)


def relative_to_node(matrix: Float, node: Node) -> tuple[Float, Float, Float]:
    """Tilt x, tilt y and angle about the beam (degrees) of orientations M = Z(φ) T(tilt) M0.

    Parameters
    ----------
    matrix
        (..., 3, 3) crystal to detector.
    node
        Whose matrix is M0.
    """
    base = node.matrix
    beam = np.asarray(matrix, dtype=float)[..., 2, :] @ base.T
    tilt_x, tilt_y = -np.degrees(beam[..., 0]), -np.degrees(beam[..., 1])
    tilted = conventions.tilt_matrix(tilt_x, tilt_y) @ base
    turn = matrix @ np.swapaxes(tilted, -1, -2)
    return tilt_x, tilt_y, np.degrees(np.arctan2(turn[..., 1, 0], turn[..., 0, 0]))
