"""Small libraries of silicon and its alloy, made once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture(scope="session")
def libraries(simulate_silicon_and_alloy):
    """Si and Si₀.₇Ge₀.₃ to 0.1°."""
    return simulate_silicon_and_alloy(0.1)


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
