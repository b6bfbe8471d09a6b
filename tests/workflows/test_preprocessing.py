"""What users do to their patterns before they map them, and that the truth still comes out."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import DiskLattice, data

# the two orientations of the turned-round GaSb pattern look alike in a mean of twelve
pytestmark = pytest.mark.filterwarnings("ignore:two orientations of the pattern")


def lattice_of(vectors):
    return DiskLattice.from_dict(vectors.metadata.MLDiskPositions.lattice.as_dictionary())


def origin_of(signal):
    """(x, y) of the direct beam in whole pixels, as pyxem's masks take it."""
    return tuple(int(round(v)) for v in data.ground_truth(signal).lattice.origin[::-1])


class TestCentring:
    """pyxem finds the direct beam to a pixel or two when fringes cross it: enough to go on from."""

    @pytest.mark.parametrize(
        ("method", "lazy"),
        [
            ({"method": "center_of_mass"}, False),
            ({"method": "center_of_mass"}, True),
            ({"method": "blur", "sigma": 4, "half_square_width": 14}, False),
            ({"method": "cross_correlate", "radius_start": 7, "radius_finish": 12,
              "half_square_width": 20}, False),
        ],
    )  # fmt: skip
    def test_strain(self, device, judge, method, lazy):
        """The origin of each pattern is free: strain does not depend on how well it was centred."""
        if method["method"] == "center_of_mass":
            method = method | {"mask": (*origin_of(device), 14)}
        s = (device.as_lazy() if lazy else device).deepcopy()
        s.center_direct_beam(**method)
        vectors = s.ml_disk_positions()
        centre = (np.array(s.data.shape[-2:]) - 1) / 2
        assert np.abs(np.array(lattice_of(vectors).origin) - centre).max() < 3
        judge.strain(vectors, device)

    def test_measured_shifts_as_descan(self, device, judge):
        """A BeamShift has the other sign and order; the error says how to turn it round."""
        shifts = device.get_direct_beam_position(
            method="center_of_mass", mask=(*origin_of(device), 14)
        )
        lattice = data.ground_truth(device).lattice
        with pytest.raises(ValueError, match=r"descan = -shifts.data\[\.\.\., ::-1\]"):
            device.ml_disk_positions(lattice=lattice, descan=shifts)
        descan = -shifts.data[..., ::-1]
        descan = descan - descan.mean(axis=(0, 1))
        vectors = device.ml_disk_positions(lattice=lattice, descan=descan)
        judge.positions(vectors, device)

    def test_orientation_of_centred_patterns(self, library, model, judge):
        """Descan is taken out by pyxem to a pixel or two, and by descan= for the rest.

        The mean of such patterns is blurred, which the search for the lattice says.
        """
        s = data.bent_foil((3, 4), (150, 176), library, bend=0.15, background=0.05, descan=1.5)
        s.compute()
        truth, room = s, 8
        s = s._deepcopy_with_new_data(np.pad(s.data, 2 * [(0, 0)] + 2 * [(room, room)], "edge"))
        s.get_dimensions_from_data()
        for axis in s.axes_manager.signal_axes:
            axis.offset -= room * axis.scale
        x, y = origin_of(truth)
        s.center_direct_beam(method="center_of_mass", mask=(x + room, y + room, 8))
        with pytest.warns(UserWarning, match="px follow from the metadata"):
            lattice = DiskLattice.from_signal(s, model)
        omap = s.ml_orientation_map(model, lattice, background="local", descan="direct_beam")
        judge.tilts(omap, truth, tolerance=0.004)


class TestBinning:
    @pytest.mark.parametrize("lazy", [False, True])
    def test_patterns(self, device, judge, lazy):
        """Half the pixels: radius and calibration follow, positions in Å⁻¹ are the same."""
        s = (device.as_lazy() if lazy else device).rebin(scale=(1, 1, 2, 2))
        vectors = s.ml_disk_positions()
        judge.positions(vectors, device)
        judge.strain(vectors, device)
        whole = data.ground_truth(device).lattice.radius
        assert lattice_of(vectors).radius == pytest.approx(whole / 2, abs=0.1)

    def test_patterns_of_an_orientation_map(self, library, model, judge):
        s = data.bent_foil((3, 4), (300, 352), library, bend=0.15, background=0.05)
        s.compute()
        binned = s.rebin(scale=(1, 1, 2, 2))
        lattice = DiskLattice.from_signal(binned, model)
        judge.tilts(binned.ml_orientation_map(model, lattice, background="local"), s)

    def test_scan(self, make_device):
        """Sums of 2 x 2 patterns: the mean strain of the four, at their common centre."""
        s = make_device((4, 8))
        truth = data.ground_truth(s)
        vectors = s.rebin(scale=(2, 2, 1, 1)).ml_disk_positions(lattice=truth.lattice)
        axis = vectors.axes_manager.navigation_axes[0]
        step = s.axes_manager.navigation_axes[0].scale
        assert (axis.size, axis.scale, axis.offset) == (4, 2 * step, step / 2)
        strain = mlmaps.strain_map(vectors, reference=truth.lattice)
        for name, maps in (("e11", truth.e_xx), ("e22", truth.e_yy), ("e12", truth.e_xy)):
            expected = maps.reshape(2, 2, 4, 2).mean(axis=(1, 3))
            np.testing.assert_allclose(getattr(strain, name).data, expected, atol=1.5e-3)

    def test_rows_and_columns_unlike(self, device, foil, model):
        """Disks become ellipses, which nothing here was made for."""
        for scale in ((1, 1, 1, 2), (1, 1, 2, 1)):
            with pytest.raises(ValueError, match="pixels are not square.*Bin both axes alike"):
                device.rebin(scale=scale).ml_disk_positions()
        lattice = data.ground_truth(foil).lattice
        with pytest.raises(ValueError, match="pixels are not square"):
            foil.rebin(scale=(1, 1, 1, 2)).ml_orientation_map(model, lattice)

    def test_nearly_square_pixels_are_mapped(self, device, judge):
        """A calibration that differs by 5 % between the axes is a calibration."""
        s = device.deepcopy()
        x = s.axes_manager.signal_axes[0]
        x.scale, x.offset = 1.05 * x.scale, 1.05 * x.offset
        vectors = s.ml_disk_positions(lattice=data.ground_truth(device).lattice)
        judge.positions(vectors, s)


class TestUnits:
    """nm⁻¹ and mrad are Å⁻¹ too."""

    @pytest.mark.parametrize(
        ("units", "factor"), [("nm^-1", 10.0), ("k_nm^-1", 10.0), ("mrad", 19.687)]
    )
    def test_same(self, foil, model, judge, units, factor):
        s = foil.deepcopy()
        for axis in s.axes_manager.signal_axes:
            axis.scale, axis.offset, axis.units = axis.scale * factor, axis.offset * factor, units
        lattice = DiskLattice.from_signal(s, model)
        assert lattice.radius == pytest.approx(data.ground_truth(foil).lattice.radius, rel=1e-3)
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)

    def test_pyxem_sets_the_calibration(self, foil, model, judge):
        """As pyxem's own tool does it, the direct beam in the middle."""
        s = foil.deepcopy()
        scale = foil.axes_manager.signal_axes[0].scale
        s.calibration(scale=scale, units="k_A^-1", center=None)
        lattice = DiskLattice.from_signal(s, model)
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)


def dead_pixels(shape, n, seed=0):
    """(ky, kx) mask of ``n`` pixels anywhere."""
    mask = np.zeros(shape, dtype=bool)
    rng = np.random.default_rng(seed)
    mask[rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)] = True
    return mask


class TestMasks:
    def with_value(self, signal, mask, value, dtype):
        s = signal.deepcopy()
        s.change_dtype(dtype)
        s.data[..., mask] = value
        return s

    def test_dead_pixels_as_nan(self, device, judge):
        """Disks that hold one are left out, the others are where they are."""
        mask = dead_pixels(device.data.shape[-2:], 12)
        s = self.with_value(device, mask, np.nan, "float32")
        with pytest.warns(UserWarning, match="12 of 12 scan points have NaN"):
            vectors = s.ml_disk_positions()
        judge.positions(vectors, device, at_least=10)
        judge.strain(vectors, device, tolerance=1.2e-3)

    @pytest.mark.parametrize(
        ("dtype", "value"), [("uint16", 65535), ("uint32", 2**32 - 1), ("int32", -1)]
    )
    def test_integers_that_mean_dead(self, device, judge, dtype, value):
        """Cameras mark pixels by the largest or a negative count. No wrong disk is trusted."""
        mask = dead_pixels(device.data.shape[-2:], 12)
        vectors = self.with_value(device, mask, value, dtype).ml_disk_positions()
        judge.positions(vectors, device, at_least=15)
        judge.strain(vectors, device, tolerance=1.2e-3)

    @pytest.mark.parametrize(
        ("dtype", "value"), [("float32", np.nan), ("uint16", 65535), ("uint32", 2**32 - 1)]
    )
    def test_tilts_need_all_disks(self, foil, model, judge, dtype, value):
        """A dead pixel in a disk makes every point NaN; the warning says what to do, and it works.

        One pixel of a disk is interpolated by pyxem; the tilt stays.
        """
        lattice = data.ground_truth(foil).lattice
        mask = np.zeros(foil.data.shape[-2:], dtype=bool)
        y, x = np.round(lattice.positions[3]).astype(int)
        mask[y + 2, x] = mask[5, 7] = True
        s = self.with_value(foil, mask, value, dtype)
        with pytest.warns(UserWarning, match="12 of 12.*correct_bad_pixels.*dead_disks"):
            omap = s.ml_orientation_map(model, lattice, background="local")
        assert np.isnan(omap.data).all()
        mended = s.correct_bad_pixels(mask, inplace=False, lazy_output=False)
        judge.tilts(mended.ml_orientation_map(model, lattice, background="local"), foil)

    @pytest.mark.parametrize(("value", "known"), [(np.nan, False), (0.0, True)])
    def test_beam_stop(self, device, judge, value, known):
        """A bar from the left over the direct beam: what it covers or cuts is no disk."""
        truth = data.ground_truth(device).lattice
        y, x = np.indices(device.data.shape[-2:])
        bar = (np.abs(y - truth.origin[0]) < 16) & (x < truth.origin[1] + 16)
        s = self.with_value(device, bar, value, "float32")
        with np.testing.suppress_warnings() as quiet:
            quiet.filter(UserWarning)
            vectors = s.ml_disk_positions(lattice=truth if known else None)
        judge.positions(vectors, device, at_least=14)
        judge.strain(vectors, device, tolerance=1.2e-3)


class TestArithmetic:
    """Gain, offset and type of the counts do not matter, where they do not matter to physics."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s * 2,
            lambda s: s + 1,
            lambda s: s / 7,
            lambda s: s.as_lazy() * 3.0,
        ],
        ids=["2 s", "s + 1", "s / 7", "3 s, lazy"],
    )
    def test_same(self, foil, device, model, judge, change):
        lattice = data.ground_truth(foil).lattice
        judge.tilts(change(foil).ml_orientation_map(model, lattice, background="local"), foil)
        lattice = data.ground_truth(device).lattice
        judge.strain(change(device).ml_disk_positions(lattice=lattice), device)

    @pytest.mark.parametrize("dtype", ["uint32", "float16", "float64"])
    def test_dtypes(self, foil, device, model, judge, dtype):
        lattice = data.ground_truth(foil).lattice
        s = foil.deepcopy()
        s.change_dtype(dtype)
        judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)
        s = device.as_lazy()
        s.change_dtype(dtype)
        lattice = data.ground_truth(device).lattice
        judge.strain(s.ml_disk_positions(lattice=lattice), device)

    def test_copies(self, foil, model, judge):
        lattice = data.ground_truth(foil).lattice
        lazy = foil.as_lazy()
        back = lazy.deepcopy()
        back.compute()
        for s in (foil.deepcopy(), lazy, back):
            judge.tilts(s.ml_orientation_map(model, lattice, background="local"), foil)
