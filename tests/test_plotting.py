"""Figures: titles, units, scales and NaN; no pixel comparisons."""

from __future__ import annotations

from types import SimpleNamespace

import hyperspy.api as hs
import numpy as np
import pytest

from pyxem_mlmaps import _panels, plotting
from pyxem_mlmaps.signals import CHANNELS, MLOrientationMap
from pyxem_mlmaps.specs import DiskLattice

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture
def omap():
    data = np.random.default_rng(0).uniform(0.1, 0.2, (12, 20, 7))
    data[..., 1] *= -1
    data[3, 4] = np.nan
    data[0, 0, :2] = 50
    signal = MLOrientationMap(data)
    for axis in signal.axes_manager.navigation_axes:
        axis.scale, axis.units = 2.5, "nm"
    return signal


def panel(figure, title):
    (ax,) = [a for a in figure.axes if a.get_title().startswith(title)]
    return ax


def image(figure, title):
    return panel(figure, title).images[0]


class TestOrientationMap:
    def test_titles_and_units(self, omap):
        figure = plotting.plot_orientation_map(omap)
        titles = {ax.get_title() for ax in figure.axes} - {""}
        assert titles == {
            "Tilt x (°)",
            "Tilt y (°)",
            "Thickness (nm)",
            "Misfit",
            "σ tilt x (m°)",
            "σ tilt y (m°)",
            "σ thickness (nm)",
        }
        assert panel(figure, "σ tilt x").get_xlabel() == "x (nm)"
        assert panel(figure, "Tilt x").get_ylabel() == "y (nm)"

    def test_values_and_calibration(self, omap):
        figure = plotting.plot_orientation_map(omap)
        drawn = image(figure, "σ tilt x").get_array()
        np.testing.assert_allclose(drawn, 1e3 * omap.data[..., CHANNELS.index("sigma_tilt_x")])
        assert image(figure, "Tilt x").get_extent() == [-1.25, 48.75, 28.75, -1.25]

    def test_tilt_scale_is_symmetric_and_robust(self, omap):
        low, high = image(plotting.plot_orientation_map(omap, percentile=99), "Tilt x").get_clim()
        assert low == -high
        assert 0.15 < high < 0.25, "one pixel of 50 degrees does not set the scale"

    def test_nan_is_grey(self, omap):
        drawn = image(plotting.plot_orientation_map(omap), "Tilt x")
        assert drawn.get_array().mask[3, 4] and drawn.get_array().mask.sum() == 1
        np.testing.assert_allclose(drawn.cmap(np.ma.masked)[:3], 0.6)

    def test_only_nan(self, omap):
        omap.data[:] = np.nan
        plotting.plot_orientation_map(omap).canvas.draw()

    def test_constant(self, omap):
        omap.data[:] = 0
        plotting.plot_orientation_map(omap).canvas.draw()

    def test_line(self, omap):
        line = omap.inav[:, 3]
        figure = plotting.plot_orientation_map(line)
        ax = panel(figure, "Thickness (nm)")
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), line.data[:, 2])
        assert len(ax.collections) == 1, "a band of one sigma"
        assert len(panel(figure, "Misfit").collections) == 0
        assert panel(figure, "Misfit").get_xlabel() == "x (nm)"

    def test_tilt_band_is_in_degrees(self, omap):
        band = panel(plotting.plot_orientation_map(omap.inav[:, 0]), "Tilt y").collections[0]
        upper = band.get_paths()[0].vertices[:, 1].max()
        np.testing.assert_allclose(upper, np.max(omap.data[0, :, 1] + omap.data[0, :, 4]))

    def test_point(self, omap):
        figure = plotting.plot_orientation_map(omap.inav[1, 1])
        cells = figure.axes[0].tables[0].get_celld()
        texts = [cell.get_text().get_text() for cell in cells.values()]
        assert "Tilt x" in texts and any(text.endswith("nm") for text in texts)

    def test_three_dimensions(self):
        with pytest.raises(ValueError, match="3 dimensions"):
            plotting.plot_orientation_map(MLOrientationMap(np.zeros((2, 2, 2, 7))))


class TestTilt:
    def test_reference_is_black_and_nan_grey(self):
        tilt = np.array([[0.1, 0.2, np.nan], [0.1, 0.3, 0.1]])
        figure = plotting.plot_tilt(tilt, np.zeros((2, 3)), reference=(0.2, 0.0))
        drawn = figure.axes[0].images[0].get_array()
        np.testing.assert_allclose(drawn[0, 1], [0, 0, 0, 1], atol=1e-6)
        np.testing.assert_allclose(drawn[0, 2], [0.6, 0.6, 0.6, 1])
        assert not np.allclose(drawn[0, 0], drawn[1, 1]), "opposite directions differ"

    def test_wheel_is_in_degrees_and_upside_down(self, omap):
        wheel = plotting.plot_tilt(omap).axes[1]
        assert (wheel.get_xlabel(), wheel.get_ylabel()) == ("tilt x (°)", "tilt y (°)")
        low, high = wheel.get_ylim()
        assert low > high, "tilt_y grows downwards like ky"

    def test_wheel_and_map_share_colours(self):
        """A pixel of the map has the colour that the wheel shows at its tilt."""
        x, y = np.array([[0.1, -0.1], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.1, -0.1]])
        figure = plotting.plot_tilt(x, y, reference=None, percentile=100)
        wheel = figure.axes[1].images[0]
        colours = np.asarray(wheel.get_array())
        left, right, bottom, top = wheel.get_extent()
        limit = (right - left) / 2
        column = int(round((0.1 / limit + 1) * 100))
        np.testing.assert_allclose(
            colours[100, column][:3], figure.axes[0].images[0].get_array()[0, 0, :3], atol=0.02
        )
        assert bottom > top

    def test_hues_are_equally_light(self):
        angles = np.linspace(0, 2 * np.pi, 90)
        rgb = _panels.direction_colours(np.cos(angles), np.sin(angles), 1.0)[:, :3]
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert np.ptp(luminance) < 0.02

    @pytest.mark.parametrize("reference", ["median", (1, 2, 3), (np.nan, 0)])
    def test_bad_reference(self, reference):
        with pytest.raises(ValueError, match="reference"):
            plotting.plot_tilt(np.zeros((2, 2)), np.zeros((2, 2)), reference=reference)

    def test_shapes(self):
        with pytest.raises(ValueError, match="tilt_x, tilt_y"):
            plotting.plot_tilt(np.zeros((2, 2)), np.zeros((2, 3)))
        with pytest.raises(ValueError, match="plot_orientation_map"):
            plotting.plot_tilt(np.zeros(3), np.zeros(3))


class TestErrorMap:
    def test_rms_in_millidegrees(self, omap):
        truth = np.nan_to_num(omap.data)[..., :2]
        figure = plotting.plot_error_map(truth + 0.002, truth)
        titles = [ax.get_title() for ax in figure.axes]
        assert titles.count("Error, RMS 2 m°") == 2
        assert {"Tilt x, truth (°)", "Tilt y, map (°)"} <= set(titles)

    def test_truth_and_map_share_a_scale(self, omap):
        truth = np.nan_to_num(omap.data)[..., :2]
        figure = plotting.plot_error_map(2 * truth, truth, extent=(0, 10, 5, 0), unit="nm")
        clims = [image(figure, f"Tilt x, {which}").get_clim() for which in ("truth", "map")]
        assert clims[0] == clims[1]
        assert panel(figure, "Tilt x, truth").get_ylabel() == "y (nm)"

    def test_nan_and_signals(self, omap):
        plotting.plot_error_map(omap, omap)

    def test_shapes(self):
        with pytest.raises(ValueError, match="estimate, truth"):
            plotting.plot_error_map(np.zeros((2, 3, 2)), np.zeros((3, 2, 2)))


class TestLattice:
    lattice = DiskLattice((32, 30), (0, 15), (14, 2), [(0, 0), (1, 0), (0, -1)], 5)

    @pytest.mark.parametrize("kind", ["none", "array", "signal", "lazy"])
    def test_circles(self, kind):
        stack = np.random.default_rng(0).poisson(3, (2, 3, 64, 64))
        pattern = {
            "none": None,
            "array": stack[0, 0],
            "signal": hs.signals.Signal2D(stack),
            "lazy": hs.signals.Signal2D(stack).as_lazy(),
        }[kind]
        ax = plotting.plot_lattice(self.lattice, pattern, labels=True).axes[0]
        circles = ax.collections[0]
        np.testing.assert_allclose(circles.get_offsets(), self.lattice.positions[:, ::-1])
        assert {"g1", "g2", "0 -1"} <= {text.get_text() for text in ax.texts}
        low, high = ax.get_ylim()
        assert low > high, "ky runs downwards"

    def test_into_given_axes(self):
        figure, axes = matplotlib.pyplot.subplots(1, 2)
        assert plotting.plot_lattice(self.lattice, np.zeros((64, 64)), ax=axes[1]) is figure
        assert not axes[0].has_data()

    def test_bad_pattern(self):
        with pytest.raises(ValueError, match="pattern"):
            plotting.plot_lattice(self.lattice, np.zeros((2, 3, 4)))


class TestRocking:
    @pytest.fixture
    def library(self):
        intensities = np.random.default_rng(0).uniform(0, 1, (5, 7, 3, 4)) * [1, 5, 2, 3]
        return SimpleNamespace(
            intensities=intensities,
            tilt_x=np.linspace(-0.2, 0.2, 5),
            tilt_y=np.linspace(-0.3, 0.3, 7),
            thickness=np.array([40.0, 50.0, 60.0]),
            indices=np.array([[0, 0, 0], [1, -1, 1], [2, 0, 0], [0, 0, -2]]),
        )

    def test_strongest_first_and_oriented(self, library):
        figure = plotting.plot_rocking(library, thickness=58, n=2)
        titles = [ax.get_title() for ax in figure.axes if ax.images]
        assert titles[0] == r"1$\overline{1}$1" and len(titles) == 2
        assert titles[1] == r"00$\overline{2}$"
        assert "60 nm" in figure.get_suptitle()
        drawn = figure.axes[0].images[0]
        np.testing.assert_allclose(drawn.get_array(), library.intensities[:, :, 2, 1].T)
        np.testing.assert_allclose(drawn.get_extent(), [-0.25, 0.25, 0.35, -0.35])

    def test_fewer_reflections_than_panels(self, library):
        figure = plotting.plot_rocking(library)
        assert sum(bool(ax.images) for ax in figure.axes) == 4
        assert "50 nm" in figure.get_suptitle()

    def test_n(self, library):
        with pytest.raises(ValueError, match="n=0"):
            plotting.plot_rocking(library, n=0)


class TestTraining:
    history = {
        "step": [100, 1000, 10000],
        "learning_rate": [1e-3, 1e-3, 1e-5],
        "error_tilt_x": [0.1, 0.01, 0.002],
        "error_tilt_y": [0.1, 0.02, 0.003],
        "error_thickness": [5.0, 1.0, 0.2],
    }

    def test_log_scales_and_units(self):
        figure = plotting.plot_training(self.history)
        assert {ax.get_yscale() for ax in figure.axes} == {"log"}
        assert figure.axes[0].get_title() == "RMS tilt error (°)"
        assert figure.axes[1].get_title() == "RMS thickness error (nm)"

    def test_missing_list(self):
        history = {k: v for k, v in self.history.items() if k != "error_tilt_y"}
        with pytest.raises(ValueError, match="error_tilt_y"):
            plotting.plot_training(history)
