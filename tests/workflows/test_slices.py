"""Parts of scans, cropped, turned and flipped patterns: the same answers at the same points."""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import ElectronDiffraction2D

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data

ALL = slice(None)

# what inav takes (x first), and the same points of an array
PARTS = {
    "line": ((ALL, 1), (1, ALL)),
    "column": ((2,), (ALL, 2)),
    "steps": ((slice(None, None, 2), slice(1, None)), (slice(1, None), slice(None, None, 2))),
    "backwards": ((slice(None, None, -1),), (ALL, slice(None, None, -1))),
    "point": ((2, 1), (1, 2)),
    "row of one": ((ALL, slice(1, 2)), (slice(1, 2), ALL)),
}


@pytest.fixture(scope="module")
def lattice(foil):
    return data.ground_truth(foil).lattice


@pytest.mark.parametrize(("part", "lazy"), [(part, n % 2 == 1) for n, part in enumerate(PARTS)])
class TestScanPoints:
    def test_orientation(self, foil, lattice, model, judge, part, lazy):
        where, points = PARTS[part]
        s = (foil.as_lazy() if lazy else foil).inav[where]
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil, points)

    def test_positions_and_strain(self, device, judge, part, lazy):
        where, points = PARTS[part]
        s = (device.as_lazy() if lazy else device).inav[where]
        vectors = s.ml_disk_positions(lattice=data.ground_truth(device).lattice)
        judge.strain(vectors, device, points)


def test_points_of_a_mask(device, judge):
    """HyperSpy's inav takes no two-dimensional mask: the patterns themselves are a line."""
    mask = data.ground_truth(device).e_xx > 0
    assert 2 < mask.sum() < 12
    s = ElectronDiffraction2D(device.data[mask])
    for mine, theirs in zip(
        s.axes_manager.signal_axes, device.axes_manager.signal_axes, strict=True
    ):
        mine.scale, mine.offset, mine.units = theirs.scale, theirs.offset, theirs.units
    vectors = s.ml_disk_positions(lattice=data.ground_truth(device).lattice)
    judge.strain(vectors, device, mask)


class TestCroppedPatterns:
    """isig keeps the calibration by an offset: positions in Å⁻¹ are the same."""

    @pytest.mark.parametrize("lazy", [False, True])
    def test_positions(self, device, judge, lazy):
        s = (device.as_lazy() if lazy else device).isig[20:-11, 17:-3]
        vectors = s.ml_disk_positions()
        judge.positions(vectors, device, at_least=17)
        judge.strain(vectors, device)

    def test_only_the_middle(self, device, judge):
        """Seven disks are left."""
        vectors = device.isig[50:-50, 60:-60].ml_disk_positions()
        judge.positions(vectors, device, at_least=7)
        judge.strain(vectors, device, tolerance=2e-3)

    @pytest.mark.filterwarnings("ignore:two orientations of the pattern")
    def test_orientation(self, foil, model, judge):
        s = foil.isig[4:-6, 3:]
        lattice = mlmaps.DiskLattice.from_signal(s, model)
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)

    def test_too_much_is_cut(self, foil, lattice, model):
        s = foil.isig[30:-30, :]
        moved = lattice.replace(origin=(lattice.origin[0], lattice.origin[1] - 30))
        with pytest.raises(ValueError, match="disks fall off the detector of 150 x 116 px"):
            s.ml_orientation_map(model, moved)


class TestFlippedAxes:
    """Data and scale are turned round together: nothing has happened to the crystal."""

    @pytest.mark.parametrize("turn", [(ALL, slice(None, None, -1)), (slice(None, None, -1),) * 2])
    def test_positions_and_strain(self, device, device_vectors, judge, turn):
        s = device.isig[turn]
        assert s.axes_manager.signal_axes[1].scale < 0
        vectors = s.ml_disk_positions()
        rows, expected = vectors.data[1, 2], device_vectors.data[1, 2]
        apart = np.hypot(*np.moveaxis(rows[:, None, :2] - expected[:, :2], 2, 0))
        assert np.all(apart.min(axis=1) < 5 * np.hypot(*rows[:, 3:5].T))
        one, other = (mlmaps.strain_map(v) for v in (vectors, device_vectors))
        np.testing.assert_allclose(one.data, other.data, atol=4e-4)

    @pytest.mark.parametrize(
        ("turn", "back"),
        [((ALL, slice(None, None, -1)), r":, ::-1"), ((slice(None, None, -1),), "::-1, :")],
    )
    def test_tilts_are_refused(self, foil, lattice, model, judge, turn, back):
        """Is a tilt along ky downwards, or where ky grows? The remedy that is named works."""
        s = foil.isig[turn]
        with pytest.raises(ValueError, match=rf"s\.isig\[{back}\] turns data and axis round"):
            s.ml_orientation_map(model, lattice)
        with pytest.raises(ValueError, match="a negative one runs against the detector"):
            mlmaps.map_polycrystal(s, data.gasb(), mlmaps.Beam(300, 1.1))
        s = s.isig[turn]
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)


def test_axes_that_are_not_uniform_are_refused(foil, lattice, model):
    """Their scale is asked for nowhere: they have none."""
    s = foil.deepcopy()
    s.axes_manager.signal_axes[1].convert_to_non_uniform_axis()
    for call in (
        s.ml_disk_positions,
        lambda: s.ml_orientation_map(model, lattice),
        lambda: mlmaps.map_polycrystal(s, data.gasb(), mlmaps.Beam(300, 1.1)),
    ):
        with pytest.raises(ValueError, match="'ky' is not uniform.*Interpolate"):
            call()


class TestTransposed:
    def test_scan_axes(self, foil, lattice, model):
        """x and y of the scan change places, the tilts do not."""
        s = foil.transpose(navigation_axes=("y", "x"))
        omap = s.ml_orientation_map(model, lattice, background="local")
        expected = foil.ml_orientation_map(model, lattice, background="local")
        np.testing.assert_allclose(omap.data, expected.data.transpose(1, 0, 2))
        assert omap.axes_manager.navigation_axes[0].name == "y"

    def test_patterns_are_refused(self, foil, lattice, model):
        """A transposed pattern is that of a mirrored crystal: its ky would be called kx."""
        s = foil.transpose(signal_axes=("ky", "kx"))
        for call in (s.ml_disk_positions, lambda: s.ml_orientation_map(model, lattice)):
            with pytest.raises(ValueError, match="patterns are transposed.*turns them back"):
                call()
        s.transpose(signal_axes=("kx", "ky")).ml_disk_positions(lattice=lattice)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_scan_and_patterns(self, foil, lattice, model, judge, lazy):
        """Images of the scan are no patterns; turned back they are."""
        s = foil.as_lazy() if lazy else foil
        for call in (
            lambda: s.T.ml_orientation_map(model, lattice),
            lambda: s.T.ml_disk_positions(lattice=lattice),
        ):
            with pytest.raises(ValueError, match="25 disks fall off the detector of 3 x 4 px"):
                call()
        judge.tilts(s.T.T.ml_orientation_map(model, lattice, background="local"), foil)


class TestAxesOfSizeOne:
    def test_named_remedies_work(self, foil, lattice, model, judge):
        """A series of scans has three scan axes, also where it is cut down to one."""
        s = hs.stack([foil, foil]).inav[:, :, :1]
        with pytest.raises(ValueError, match=r"3 navigation dimensions.*s\.squeeze\(\)"):
            s.ml_orientation_map(model, lattice)
        for one in (s.squeeze(), s.inav[:, :, 0]):
            judge.tilts(one.ml_orientation_map(model, lattice, background="local"), foil)

    def test_frames_of_one_pattern(self, device, judge):
        s = device.inav[1:2, 2:3]
        vectors = s.ml_disk_positions(lattice=data.ground_truth(device).lattice)
        assert vectors.data.shape == (1, 1)
        judge.strain(vectors, device, (slice(2, 3), slice(1, 2)))


@pytest.mark.parametrize("kind", ["diffraction", "electron_diffraction"])
def test_both_signal_types(foil, lattice, model, judge, kind):
    s = foil.deepcopy()
    s.set_signal_type(kind)
    assert type(s).__name__ == {"diffraction": "Diffraction2D"}.get(kind, "ElectronDiffraction2D")
    judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)
    s.set_signal_type("")
    assert not hasattr(s, "ml_orientation_map")
