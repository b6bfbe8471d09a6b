"""Value types: numbers of the electron, geometry of the lattice, errors that name the argument."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import Beam, DiskLattice, NoiseModel

LATTICE = {
    "origin": (64.0, 60.0),
    "g1": (0.0, 30.0),
    "g2": (28.0, 3.0),
    "indices": [(0, 0), (1, 0), (0, 1), (-1, 0)],
    "radius": 8.0,
}


class TestBeam:
    @pytest.mark.parametrize(
        ("energy", "picometres"), [(100, 3.701), (200, 2.508), (300, 1.969), (1000, 0.872)]
    )
    def test_wavelength(self, energy, picometres):
        """Reimer & Kohl 2008, table 2.1."""
        assert 100 * Beam(energy, 1).wavelength == pytest.approx(picometres, abs=6e-4)

    def test_aperture(self):
        beam = Beam(300, 1.1)
        assert beam.wavenumber * beam.wavelength == pytest.approx(1)
        assert beam.aperture_radius == pytest.approx(1.1e-3 / beam.wavelength)

    @pytest.mark.parametrize("energy", [0, 5, 5000, np.nan])
    def test_energy(self, energy):
        with pytest.raises(ValueError, match=r"energy=.*10 to 3000 keV"):
            Beam(energy, 1)

    @pytest.mark.parametrize("angle", [-0.1, 60, np.nan])
    def test_angle(self, angle):
        with pytest.raises(ValueError, match=r"convergence_angle=.*0 to 50 mrad"):
            Beam(300, angle)

    def test_frozen(self):
        with pytest.raises(AttributeError):
            Beam(300, 1).energy = 200


class TestDiskLattice:
    def test_positions(self):
        lattice = DiskLattice(**LATTICE)
        np.testing.assert_array_equal(lattice.positions, [(64, 60), (64, 90), (92, 63), (64, 30)])
        assert len(lattice) == 4
        assert lattice.smallest_distance == pytest.approx(np.hypot(28, 3))

    def test_dict_round_trip(self):
        lattice = DiskLattice(**LATTICE)
        assert DiskLattice.from_dict(lattice.to_dict()) == lattice
        assert lattice.replace(radius=7) != lattice
        assert lattice != "lattice"

    def test_indices_are_copied_and_locked(self):
        indices = np.array(LATTICE["indices"])
        lattice = DiskLattice(**(LATTICE | {"indices": indices}))
        indices[0] = 9
        assert lattice.indices[0].tolist() == [0, 0]
        with pytest.raises(ValueError, match="read-only"):
            lattice.indices[0] = 1

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("origin", (1, 2, 3)),
            ("origin", (np.nan, 0)),
            ("g1", (0, np.inf)),
            ("g1", (0, 0)),
            ("g2", (0, 60)),
            ("indices", [(0, 0), (0, 0)]),
            ("indices", [(0, 0.5)]),
            ("indices", [(0, 0, 0)]),
            ("indices", []),
            ("radius", 0),
            ("radius", -3),
            ("radius", np.nan),
        ],
    )
    def test_bad_values_are_named(self, name, value):
        with pytest.raises(ValueError, match=name):
            DiskLattice(**(LATTICE | {name: value}))

    def test_off_the_detector(self):
        lattice = DiskLattice(**LATTICE)
        lattice.check_fits((128, 128))
        with pytest.raises(ValueError, match=r"1 of 4 disks fall off.*128 x 96.*\(1, 0\)"):
            lattice.check_fits((128, 96))

    def test_edge_counts_as_inside(self):
        """Pixel centres are whole numbers: the detector runs from −0.5 to n − 0.5."""
        lattice = DiskLattice((7.5, 7.5), (0, 30), (30, 0), [(0, 0)], 8.0)
        lattice.check_fits((16, 16))
        with pytest.raises(ValueError, match="fall off"):
            lattice.check_fits((16, 15))

    def test_overlap(self):
        lattice = DiskLattice(**(LATTICE | {"radius": 14.5}))
        with pytest.raises(ValueError, match=r"radius=14.5 px makes neighbouring disks overlap"):
            lattice.check_fits((1000, 1000))


class TestNoiseModel:
    def test_numbers_become_ranges(self):
        noise = NoiseModel(dose=1e5, white=0.1, background=(0.1, 0.2))
        assert noise.dose == (1e5, 1e5) and noise.white == (0.1, 0.1)
        assert noise.background == (0.1, 0.2)
        assert NoiseModel(dose=None).dose is None

    def test_dict_round_trip(self):
        noise = NoiseModel(dose=(1e4, 1e5), white=(0.01, 0.1), psf=0.05, dead_disks=0.1)
        assert NoiseModel.from_dict(noise.to_dict()) == noise
        assert NoiseModel.from_dict(NoiseModel(dose=None).to_dict()).dose is None
        with pytest.raises(ValueError, match=r"noise=\['colour'\]"):
            NoiseModel.from_dict({"colour": 1})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dose", 0.1),
            ("dose", (1e5, 1e4)),
            ("dose", np.nan),
            ("white", -0.1),
            ("white", (0.0, 0.1)),
            ("background", (0.1, 0.2, 0.3)),
            ("background", -1),
            ("psf", 0.7),
            ("model_error", 2.0),
            ("dead_disks", 0.9),
        ],
    )
    def test_bad_values_are_named(self, name, value):
        with pytest.raises(ValueError, match=name):
            NoiseModel(**{name: value})
