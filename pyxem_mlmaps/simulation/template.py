"""What a library or a model tells the lattice finder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LatticeTemplate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LatticeTemplate:
    """Which disks a model expects, and where.

    Parameters
    ----------
    indices
        (n, 2) or (n, 3) integers: in-plane indices or Miller indices of the disks.
    vectors
        (n, 2) positions (ky, kx) in 1/Å from the direct beam, at zero in-plane rotation, in
        detector axes.
    mean_intensity
        (n,) relative intensities; they tell an orientation from the one turned by 180 degrees.

    Raises
    ------
    ValueError
        If the shapes do not agree or a vector is not finite.

    Examples
    --------
    >>> from pyxem_mlmaps.mapping.lattice import LatticeTemplate
    >>> vectors = [(0, 0), (0, 0.3), (0.5, 0)]
    >>> template = LatticeTemplate([(0, 0), (1, 0), (0, 1)], vectors, [1, 1, 2])
    >>> template.vectors.shape
    (3, 2)
    """

    indices: NDArray[np.int64]
    vectors: Floats
    mean_intensity: Floats

    def __post_init__(self) -> None:
        indices, vectors = np.array(self.indices), np.array(self.vectors, dtype=float)
        intensity = np.array(self.mean_intensity, dtype=float)
        n = len(indices)
        if indices.ndim != 2 or indices.shape[1] not in (2, 3) or np.any(indices % 1 != 0):
            raise ValueError(f"indices: shape {indices.shape}; give integers (n, 2) or (n, 3).")
        if vectors.shape != (n, 2) or not np.all(np.isfinite(vectors)):
            raise ValueError(f"vectors: shape {vectors.shape}; give finite 1/Å of shape ({n}, 2).")
        if intensity.shape != (n,):
            raise ValueError(f"mean_intensity: shape {intensity.shape}; give shape ({n},).")
        object.__setattr__(self, "indices", indices.astype(np.int64))
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "mean_intensity", np.clip(np.nan_to_num(intensity), 0, None))
