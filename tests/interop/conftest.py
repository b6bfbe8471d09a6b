"""Scans of uniform disks whose deformation is known, and the same lattices as bare vectors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

RADIUS = 9.0
ORIGIN = np.array([101.3, 93.8])  # y, x px of the direct beam
BASIS = np.array([[5.0, 31.0], [-28.0, 9.0]])  # g1, g2 as (y, x) px
SHAPE = (208, 192)  # detector
INDICES = np.array([(h, k) for h in range(-2, 3) for k in range(-2, 3)])


def turned(degrees):
    """From x towards y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def lattice_of(gradient):
    """(2, 2) basis (y, x) of a crystal deformed by F, components (x, y): g = F⁻ᵀ·g0."""
    return (np.linalg.inv(gradient).T @ BASIS[:, ::-1].T).T[:, ::-1]


@pytest.fixture(scope="session")
def gradients():
    """(2, 3) deformation gradients, components (x, y): each kind of strain alone, then mixed."""
    stretch = {(0, 1): (0.02, 0, 0), (0, 2): (0, 0.02, 0), (1, 0): (0, 0, 0.015)}
    all_of_them = np.tile(np.eye(2), (2, 3, 1, 1))
    for point, (e11, e22, e12) in stretch.items():
        all_of_them[point] = np.eye(2) + np.array([[e11, e12], [e12, e22]])
    all_of_them[1, 1] = turned(1.0)
    all_of_them[1, 2] = (np.eye(2) + [[0.01, -0.005], [-0.005, -0.015]]) @ turned(-0.7)
    return all_of_them


@pytest.fixture(scope="session")
def known_strain():
    """(4, 2, 3) e11, e22, e12, θ of these."""
    known = np.zeros((4, 2, 3))
    known[0, 0, 1] = known[1, 0, 2] = 0.02
    known[2, 1, 0] = 0.015
    known[3, 1, 1] = np.radians(1.0)
    known[:, 1, 2] = 0.01, -0.015, -0.005, np.radians(-0.7)
    return known


@pytest.fixture(scope="session")
def patterns(gradients):
    """(2, 3, ky, kx) float32 patterns of disks; the direct beam is the brightest."""
    y, x = np.indices(SHAPE)
    scan = np.full((*gradients.shape[:2], *SHAPE), 2.0, dtype=np.float32)
    for point in np.ndindex(gradients.shape[:2]):
        for index in INDICES:
            centre = ORIGIN + index @ lattice_of(gradients[point])
            if np.any(centre < RADIUS + 3) or np.any(centre > np.array(SHAPE) - RADIUS - 4):
                continue
            height = 300.0 / (1 + np.sum(index**2))
            distance = np.hypot(y - centre[0], x - centre[1]) - RADIUS
            scan[point] += height * 0.5 * erfc(distance / 0.7)
    return scan


@pytest.fixture(scope="session")
def signal(patterns):
    """The scan as a calibrated signal: 0.01 Å⁻¹ a pixel, 2 nm a step, 200 keV."""
    from pyxem.signals import ElectronDiffraction2D

    s = ElectronDiffraction2D(patterns.copy())
    for axis, name in zip(s.axes_manager.navigation_axes, "xy", strict=True):
        axis.name, axis.scale, axis.units = name, 2.0, "nm"
    for axis, name, zero in zip(
        s.axes_manager.signal_axes, ("kx", "ky"), ORIGIN[::-1], strict=True
    ):
        axis.name, axis.scale, axis.units, axis.offset = name, 0.01, "$A^{-1}$", -0.01 * zero
    s.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    s.metadata.set_item("Acquisition_instrument.TEM.convergence_angle", 2.26)
    s.metadata.General.title = "known"
    return s


@pytest.fixture(scope="session")
def exact_vectors(gradients):
    """pyxem vectors at the exact positions, in Å⁻¹, with h and k; each pattern shifted a little."""
    from pyxem.signals import DiffractionVectors

    scan = np.empty(gradients.shape[:2], dtype=object)
    for point in np.ndindex(scan.shape):
        places = INDICES @ lattice_of(gradients[point]) + [0.3 * point[0], -0.2 * point[1]]
        intensity = 1e5 / (1 + np.sum(INDICES**2, axis=1))
        scan[point] = np.column_stack([0.01 * places, intensity, INDICES])
    axes = [
        {"name": n, "size": size, "scale": 2.0, "units": "nm", "navigate": True}
        for n, size in zip("yx", scan.shape, strict=True)
    ]
    return DiffractionVectors(
        scan,
        axes=axes,
        ragged=True,
        scales=[0.01, 0.01, 1.0, 1.0, 1.0],
        offsets=[*(-0.01 * ORIGIN), 0.0, 0.0, 0.0],
        detector_shape=SHAPE,
        column_names=["ky", "kx", "intensity", "h", "k"],
        units=["$A^{-1}$", "$A^{-1}$", "counts", "", ""],
    )


@pytest.fixture()
def quiet_figures():
    """py4DSTEM draws whether it is asked to or not."""
    import matplotlib.pyplot as plt

    backend = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


@pytest.fixture()
def py4dstem_strain(quiet_figures):
    """py4DSTEM's own pipeline: basis, indexing, fit and strain against the first pattern."""

    def run(braggvectors, **options):
        from py4DSTEM import StrainMap

        strainmap = StrainMap(braggvectors)
        strainmap.choose_basis_vectors(
            minSpacing=12, minAbsoluteIntensity=0, maxNumPeaks=25, edgeBoundary=2, sigma=2
        )
        strainmap.fit_basis_vectors(max_peak_spacing=7)
        here = np.zeros(braggvectors.Rshape, dtype=bool)
        here[0, 0] = True
        strainmap.get_strain(gvects=here, **options)
        return strainmap

    return run
