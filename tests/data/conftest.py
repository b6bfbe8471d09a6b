"""Small libraries of silicon and its alloy, made once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data


@pytest.fixture(scope="session")
def libraries():
    """Si and Si₀.₇Ge₀.₃ ⟨110⟩ to 0.1°, 19 disks to |400|, truncated at 1.4 Å⁻¹."""
    hkl = [
        (i, -i, j)
        for i in range(-2, 3)
        for j in range(-4, 5)
        if (i - j) % 2 == 0 and 2 * i**2 + j**2 <= 16
    ]
    return tuple(
        mlmaps.simulate_rocking(
            phase, mlmaps.Beam(200, 1.6), zone_axis=(1, 1, 0), tilt_range=0.1, tilt_step=0.02,
            thickness=np.arange(40, 61, 5), reflections=hkl, g_max=1.4,
        )
        for phase in (data.silicon(), data.sige(0.3))
    )  # fmt: skip


@pytest.fixture(scope="session")
def plain(libraries):
    """The same disks, all as bright and without any contrast inside: their centroid is exact."""
    return tuple(
        replace(
            library,
            intensities=np.full(library.intensities.shape, 0.04),
            maps=np.full(library.maps.shape, 0.04),
        )
        for library in libraries
    )
