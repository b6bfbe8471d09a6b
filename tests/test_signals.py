"""MLOrientationMap: axes, slices, files, provenance, crystal maps; lazy and not."""

from __future__ import annotations

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from diffpy.structure import Lattice, Structure
from orix.crystal_map import Phase
from orix.quaternion import Rotation

from pyxem_mlmaps import conventions
from pyxem_mlmaps.signals import CHANNELS, LazyMLOrientationMap, MLOrientationMap

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CARD = {
    "kind": "orientation",
    "noise": {"dose": [1e4, 1e6], "white": [0.0, 0.0]},
    "tilt_range": [-0.5, 0.5],
    "indices": [[0, 0], [1, 0], [0, -1]],
    "layers": (128, 128),
    "seed": np.int64(3),
    "trained": True,
    "nothing": None,
    "note": "α = 1.10 mrad",
}
LATTICE = {
    "origin": [64.0, 64.5],
    "g1": [0.0, 30.0],
    "g2": [30.0, 0.0],
    "indices": [[0, 0], [1, 0]],
    "radius": 8.0,
}
PHASE = {
    "name": "GaSb",
    "space_group": 216,
    "point_group": "-43m",
    "lattice": [6.096, 6.096, 6.096, 90.0, 90.0, 90.0],
    "symbols": ["Ga", "Sb"],
    "positions": [[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]],
    "occupancy": [1.0, 1.0],
    "sigma": [0.082, 0.093],
}
VERSIONS = {"pyxem_mlmaps": "0.1.0", "keras": "3.15.1"}
SHAPES = [(), (5,), (3, 4)]


def gasb() -> Phase:
    lattice = Lattice(6.096, 6.096, 6.096, 90, 90, 90)
    return Phase("GaSb", space_group=216, structure=Structure(lattice=lattice))


def base_rotation() -> Rotation:
    return conventions.zone_axis_rotation(gasb(), (1, 1, 0))


def make_map(shape=(3, 4), lazy=False, provenance=True) -> MLOrientationMap:
    data = np.random.default_rng(0).uniform(-0.5, 0.5, (*shape, 7))
    if lazy:
        omap = LazyMLOrientationMap(da.from_array(data, chunks=(2,) * len(shape) + (7,)))
    else:
        omap = MLOrientationMap(data)
    for axis, scale in zip(omap.axes_manager.navigation_axes, (2.0, 3.0), strict=False):
        axis.scale, axis.offset, axis.units = scale, 10.0, "nm"
    if shape:
        omap.axes_manager.navigation_axes[0].name = "x"
    if provenance:
        omap.set_provenance(CARD, LATTICE, base_rotation().data[0].tolist(), PHASE, VERSIONS)
    return omap


@pytest.fixture(params=[False, True], ids=["eager", "lazy"])
def lazy(request):
    return request.param


def check_class(signal, lazy):
    assert type(signal) is (LazyMLOrientationMap if lazy else MLOrientationMap)


class TestChannels:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("name", CHANNELS)
    def test_values_and_axes(self, shape, lazy, name):
        omap = make_map(shape, lazy)
        channel = getattr(omap, name)
        assert channel._lazy is lazy
        values = np.asarray(omap.data[..., CHANNELS.index(name)])
        np.testing.assert_array_equal(np.asarray(channel.data).reshape(shape), values)
        if shape:
            assert channel.axes_manager.signal_shape == shape[::-1]
            assert channel.axes_manager.navigation_dimension == 0
            assert channel.axes_manager.signal_axes[0].scale == 2.0
            assert channel.axes_manager.signal_axes[-1].units == "nm"
        assert channel.metadata.General.title == name.replace("_", " ").capitalize()

    def test_quantity_names_the_unit(self):
        omap = make_map()
        assert omap.thickness.metadata.Signal.quantity == "Thickness (nm)"
        assert omap.misfit.metadata.Signal.quantity == "Misfit"

    def test_a_channel_is_a_copy(self):
        omap = make_map()
        omap.tilt_x.data[:] = 9
        assert np.asarray(omap.data).max() < 1

    def test_stack_of_scans(self):
        omap = make_map((2, 3, 4))
        assert omap.tilt_x.axes_manager.navigation_shape == (2,)
        assert omap.tilt_x.axes_manager.signal_shape == (4, 3)

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="'tilt_z'.*tilt_x, tilt_y"):
            make_map().channel("tilt_z")

    def test_cut_channels(self, lazy):
        cut = make_map(lazy=lazy).isig[:2]
        with pytest.raises(ValueError, match="2 points.*isig"):
            cut.tilt_x  # noqa: B018


class TestClassSurvives:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_deepcopy(self, shape, lazy):
        omap = make_map(shape, lazy)
        copy = omap.deepcopy()
        check_class(copy, lazy)
        assert copy.model_card == omap.model_card

    @pytest.mark.parametrize("index", [(slice(1, 3), slice(None)), (1, slice(None)), (2, 1)])
    def test_inav(self, index, lazy):
        omap = make_map(lazy=lazy)
        part = omap.inav[index]
        check_class(part, lazy)
        expected = np.asarray(omap.data)[index[::-1]][..., 0]
        found = np.asarray(part.tilt_x.data).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
        assert part.orientation_known

    def test_as_lazy_and_compute(self):
        omap = make_map()
        lazy = omap.as_lazy()
        check_class(lazy, True)
        lazy.compute(show_progressbar=False)
        check_class(lazy, False)
        assert lazy.lattice == LATTICE

    def test_arithmetic_and_signal_type(self, lazy):
        omap = make_map(lazy=lazy)
        check_class(omap * 2, lazy)
        omap.set_signal_type("")
        omap.set_signal_type("ml_orientation_map")
        check_class(omap, lazy)


class TestFiles:
    @pytest.mark.parametrize("extension", ["hspy", "zspy"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_round_trip(self, tmp_path, shape, lazy, extension):
        omap = make_map(shape, lazy)
        path = tmp_path / f"map.{extension}"
        omap.save(path)
        for load_lazy in (False, True):
            loaded = hs.load(path, lazy=load_lazy)
            check_class(loaded, load_lazy)
            np.testing.assert_array_equal(np.asarray(loaded.data), np.asarray(omap.data))
            assert loaded.axes_manager.navigation_shape == shape[::-1]
            self.check_provenance(loaded)
            xmap, expected = loaded.to_crystal_map(), omap.to_crystal_map()
            np.testing.assert_allclose(xmap.rotations.data, expected.rotations.data)

    @staticmethod
    def check_provenance(loaded):
        card = loaded.model_card
        assert card["noise"] == {"dose": [1e4, 1e6], "white": [0.0, 0.0]}
        assert [list(pair) for pair in card["indices"]] == CARD["indices"]
        assert list(card["layers"]) == [128, 128]
        assert card["seed"] == 3
        assert card["trained"] in (True, np.True_)
        assert card["note"] == CARD["note"]
        assert loaded.lattice["radius"] == 8.0
        assert loaded.versions == VERSIONS
        assert loaded.orientation_known
        np.testing.assert_array_equal(loaded.base_rotation, base_rotation().data[0])
        assert loaded.phase["symbols"] == ["Ga", "Sb"]

    def test_no_provenance(self, tmp_path):
        omap = make_map(provenance=False)
        omap.set_provenance(CARD, LATTICE, None, None, VERSIONS)
        omap.save(tmp_path / "map.hspy")
        loaded = hs.load(tmp_path / "map.hspy")
        assert loaded.base_rotation is None and loaded.phase is None
        assert not loaded.orientation_known

    def test_nothing_recorded(self):
        omap = make_map(provenance=False)
        assert (omap.model_card, omap.lattice, omap.versions, omap.phase) == ({}, {}, {}, None)

    def test_bad_base_rotation(self):
        with pytest.raises(ValueError, match="base_rotation"):
            make_map().set_provenance(CARD, LATTICE, [1, 0, 0], PHASE, VERSIONS)


class TestCrystalMap:
    def test_two_dimensional(self, lazy):
        omap = make_map(lazy=lazy)
        xmap = omap.to_crystal_map()
        assert omap._lazy is lazy, "the signal itself stays as it is"
        assert xmap.shape == (3, 4)
        assert xmap.scan_unit == "nm"
        np.testing.assert_allclose(np.unique(xmap.x), [0, 2, 4, 6])
        np.testing.assert_allclose(np.unique(xmap.y), [0, 3, 6])
        for i, name in enumerate(CHANNELS):
            values = np.asarray(omap.data[..., i])
            np.testing.assert_array_equal(xmap.get_map_data(name), values)
        phase = xmap.phases[0]
        assert (phase.name, phase.space_group.number) == ("GaSb", 216)
        assert [str(atom.element) for atom in phase.structure] == ["Ga", "Sb"]
        np.testing.assert_allclose(phase.structure[1].Uisoequiv, 0.093**2)

    def test_zone_axis_pierces_the_detector_at_the_tilt(self):
        omap = make_map()
        matrices = conventions.rotation_to_detector_matrix(omap.to_crystal_map().rotations)
        axis = np.array([1, 1, 0]) / np.sqrt(2)
        pierced = -(matrices.reshape(-1, 3, 3) @ axis)[:, :2]
        tilts = omap.data[..., :2].reshape(-1, 2)
        np.testing.assert_allclose(np.degrees(pierced), tilts, atol=1e-9)

    @pytest.mark.parametrize("shape", [(), (5,), (1, 4), (4, 1), (1, 1)])
    def test_lines_and_points(self, shape, lazy):
        xmap = make_map(shape, lazy).to_crystal_map()
        assert xmap.size == int(np.prod(shape))
        assert xmap.scan_unit == ("nm" if shape else "px")

    def test_nan_is_not_indexed(self):
        omap = make_map()
        omap.data[1, 2] = np.nan
        xmap = omap.to_crystal_map()
        assert xmap.size == 12 and xmap.is_in_data.all()
        assert np.count_nonzero(xmap.phase_id == -1) == 1
        assert not xmap.is_indexed.reshape(3, 4)[1, 2]
        assert xmap["indexed"].size == 11

    def test_all_nan(self):
        omap = make_map()
        omap.data[:] = np.nan
        assert not omap.to_crystal_map().is_indexed.any()

    def test_needs_a_crystal(self):
        omap = make_map(provenance=False)
        with pytest.raises(ValueError, match="phase and rotation"):
            omap.to_crystal_map()
        with pytest.raises(ValueError, match="its rotation"):
            omap.to_crystal_map(phase=gasb())
        xmap = omap.to_crystal_map(phase=gasb(), rotation=base_rotation())
        expected = make_map().to_crystal_map()
        np.testing.assert_allclose(xmap.rotations.data, expected.rotations.data)

    def test_orix_file_round_trip(self, tmp_path):
        from orix import io

        xmap = make_map().to_crystal_map()
        io.save(tmp_path / "map.h5", xmap)
        loaded = io.load(tmp_path / "map.h5")
        np.testing.assert_allclose(loaded.prop["tilt_x"], xmap.prop["tilt_x"])

    def test_stack_is_refused(self):
        with pytest.raises(ValueError, match="3 dimensions"):
            make_map((2, 3, 4)).to_crystal_map()


class TestPlot:
    @pytest.fixture(autouse=True)
    def close(self):
        yield
        matplotlib.pyplot.close("all")

    def test_plot_returns_a_figure_only_on_request(self, lazy):
        omap = make_map(lazy=lazy)
        assert omap.plot() is None
        figure = omap.plot(return_figure=True)
        assert "Tilt x (°)" in [axes.get_title() for axes in figure.axes]
        assert omap.plot_tilt(return_figure=True) is not None

    def test_hyperspy_plot_stays_reachable(self):
        omap = make_map()
        omap.plot_channels()
        assert omap._plot.is_active
        omap.plot(navigator="slider")
        assert omap._plot.is_active
