"""Small scans whose truth is known, for chains of HyperSpy's, pyxem's and this package's methods.

``foil`` is for tilts, ``device`` for strain: neither pattern is square, and the direct beam is not
in the middle.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import DiskLattice, data


@pytest.fixture(scope="session")
def files():
    """The module that writes cameras' files."""
    spec = importlib.util.spec_from_file_location("_files", Path(__file__).with_name("_files.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def foil(library):
    """3 x 4 patterns of 150 x 176 px, GaSb bent by 0.15°."""
    s = data.bent_foil((3, 4), (150, 176), library, bend=0.15, background=0.05)
    s.compute()
    return s


@pytest.fixture(scope="session")
def device_libraries(simulate_silicon_and_alloy):
    """Si and Si₀.₇Ge₀.₃ to 0.06°."""
    return simulate_silicon_and_alloy(0.06)


@pytest.fixture(scope="session")
def make_device(device_libraries):
    """Strained silicon, radius of the disks 9.3 px on 250 x 236 px."""

    def make(shape=(3, 4), descan=0.0, detector=(250, 236), **options):
        s = data.finfet(
            shape, detector, device_libraries, bend=0.05, thickness=(42, 58), amorphous=False,
            descan=descan, **options,
        )  # fmt: skip
        s.compute()
        return s

    return make


@pytest.fixture(scope="session")
def device(make_device):
    """3 x 4 patterns that move by 2 px."""
    return make_device(descan=2.0)


@pytest.fixture(scope="session")
def device_vectors(device):
    return device.ml_disk_positions(lattice=data.ground_truth(device).lattice)


class Judge:
    """Compares answers with the truth of the scan that they were made from."""

    def tilts(self, omap: Any, signal: Any, points: Any = ..., tolerance: float = 0.002) -> None:
        """Tilts within ``tolerance``, thickness to 0.5 nm, no misfit well above 1.

        ``points`` of the signal's scan.
        """
        omap = computed(omap)
        truth = data.ground_truth(signal)
        assert np.nanmax(omap.misfit.data) < 1.2
        for name, allowed in (("tilt_x", tolerance), ("tilt_y", tolerance), ("thickness", 0.5)):
            expected = getattr(truth, name)[points]
            got = getattr(omap, name).data.reshape(expected.shape)
            np.testing.assert_allclose(got, expected, atol=allowed)

    def positions(self, vectors: Any, signal: Any, points: Any = ..., at_least: int = 19) -> None:
        """Every trusted disk is where one is in reciprocal space, to 5 σ; none is far off."""
        vectors = computed(vectors)
        axes = signal.axes_manager.signal_axes[::-1]
        scale = np.array([axis.scale for axis in axes])
        truth = data.ground_truth(signal).positions[points]
        places = np.array([axis.offset for axis in axes]) + scale * truth
        assert vectors.data.shape == places.shape[:-2]
        for point in np.ndindex(places.shape[:-2]):
            rows = vectors.data[point]
            rows = rows[rows[:, 5] < 1]
            assert len(rows) >= at_least
            apart = (rows[:, None, :2] - places[point]) / scale
            nearest = np.hypot(*np.moveaxis(apart, 2, 0)).argmin(axis=1)
            error = apart[np.arange(len(rows)), nearest]
            sigma = np.hypot(rows[:, 3:5] / scale, 0.01)
            assert np.abs(error / sigma).max() < 5
            assert np.abs(error).max() < 1.5

    def strain(self, vectors: Any, signal: Any, points: Any = ..., tolerance: float = 8e-4) -> None:
        """Strain and rotation against the unstrained lattice, which is that of ``signal``."""
        truth = data.ground_truth(signal)
        scale = np.array([axis.scale for axis in signal.axes_manager.signal_axes[::-1]])
        node = vectors.metadata.MLDiskPositions.lattice.as_dictionary()
        basis = np.array([node["g1"], node["g2"]]) * np.asarray(vectors.scales[:2])
        unstrained = truth.lattice.basis * scale
        turn = np.round(basis @ np.linalg.inv(unstrained))  # other g1 and g2 of the same lattice
        strain = mlmaps.strain_map(computed(vectors), reference=turn @ unstrained)
        for name, expected, allowed in (
            ("e11", truth.e_xx, tolerance),
            ("e22", truth.e_yy, tolerance),
            ("e12", truth.e_xy, tolerance),
            ("rotation", truth.rotation, np.degrees(tolerance)),
        ):
            expected = np.asarray(expected[points])
            got = getattr(strain, name).data.reshape(expected.shape)
            np.testing.assert_allclose(got, expected, atol=allowed)


@pytest.fixture(scope="session")
def judge():
    return Judge()


def computed(result: Any) -> Any:
    if result._lazy:
        result.compute()
    return result


def lattice_of(vectors: Any) -> DiskLattice:
    return DiskLattice.from_dict(vectors.metadata.MLDiskPositions.lattice.as_dictionary())
