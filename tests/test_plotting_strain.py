"""The figure of a strain map: units, titles, scales and NaN; no pixel comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import plotting
from pyxem_mlmaps.strain_result import MLStrainMap

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


def strain_of(shape, scan_dimension=2):
    rng = np.random.default_rng(0)
    signal = MLStrainMap(rng.normal(0, [[[0.01]], [[0.002]], [[0.005]], [[0.003]]], (4, *shape)))
    for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
        axis.scale, axis.units, axis.name = 2.5, "nm", name
    covariance = np.zeros((4, 4, *shape))
    for i in range(4):
        covariance[i, i] = (1e-4 * (i + 1)) ** 2
    signal.set_maps(covariance, np.full(shape, 0.1), np.full(shape, 37.0))
    signal.metadata.set_item("MLStrainMap.scan_dimension", scan_dimension)
    return signal


@pytest.fixture
def strain():
    signal = strain_of((12, 20))
    signal.data[:, 3, 4] = np.nan
    signal.data[0, 0, 0] = 5
    return signal


def panel(figure, title):
    (ax,) = [a for a in figure.axes if a.get_title() == title]
    return ax


XX, YY, XY, TURN = (
    r"$\varepsilon_{xx}$ (%)",
    r"$\varepsilon_{yy}$ (%)",
    r"$\varepsilon_{xy}$ (%)",
    r"$\theta$ (°)",
)


def test_values_units_and_calibration(strain):
    figure = plotting.plot_strain_map(strain)
    np.testing.assert_allclose(panel(figure, YY).images[0].get_array(), 100 * strain.data[1])
    turn = panel(figure, TURN).images[0].get_array()
    np.testing.assert_allclose(turn, np.degrees(strain.data[3]))
    assert panel(figure, XX).images[0].get_extent() == [-1.25, 48.75, 28.75, -1.25]
    assert panel(figure, XX).get_ylabel() == "y (nm)"
    assert panel(figure, TURN).get_xlabel() == "x (nm)"


def test_one_symmetric_robust_scale_for_the_strains(strain):
    figure = plotting.plot_strain_map(strain)
    limits = [panel(figure, title).images[0].get_clim() for title in (XX, YY, XY)]
    assert limits[0] == limits[1] == limits[2]
    low, high = limits[0]
    assert low == -high and 1 < high < 4, "one pixel of 500 % does not set the scale"
    low, high = panel(figure, TURN).images[0].get_clim()
    assert low == -high and 0.2 < high < 1


def test_nan_is_grey(strain):
    drawn = panel(plotting.plot_strain_map(strain), XY).images[0]
    assert drawn.get_array().mask[3, 4] and drawn.get_array().mask.sum() == 1
    np.testing.assert_allclose(drawn.cmap(np.ma.masked)[:3], 0.6)


def test_sigma_row(strain):
    figure = plotting.plot_strain_map(strain, sigma=True)
    image = panel(figure, r"$\sigma(\varepsilon_{yy})$ (%)").images[0]
    np.testing.assert_allclose(image.get_array(), 0.02)
    assert image.get_clim()[0] == 0
    turn = panel(figure, r"$\sigma(\theta)$ (°)").images[0]
    np.testing.assert_allclose(turn.get_array(), np.degrees(4e-4))
    images = [ax for ax in figure.axes if ax.images]
    assert len(images) == 8


def test_axis_is_named_only_if_turned(strain):
    assert plotting.plot_strain_map(strain)._suptitle is None
    figure = strain.rotate_strain_basis([1, 1]).plot_strain(return_figure=True)
    assert figure._suptitle.get_text() == "x axis at 45° from kx towards ky"


def test_line():
    line = strain_of((1, 30), scan_dimension=1)
    figure = plotting.plot_strain_map(line)
    ax = panel(figure, XX)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 100 * line.data[0, 0])
    upper = ax.collections[0].get_paths()[0].vertices[:, 1].max()
    np.testing.assert_allclose(upper, 100 * line.data[0].max() + 0.01)
    assert panel(figure, TURN).get_xlabel() == "x (nm)"


def test_point():
    figure = plotting.plot_strain_map(strain_of((1, 1), scan_dimension=0))
    cells = figure.axes[0].tables[0].get_celld()
    texts = [cell.get_text().get_text() for cell in cells.values()]
    assert "± 0.01 %" in texts and any(text.endswith("°") for text in texts)


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_only_nan_or_constant(strain, fill):
    strain.data[:] = fill
    plotting.plot_strain_map(strain, sigma=True).canvas.draw()


def test_lazy(strain):
    from pyxem_mlmaps.strain_result import LazyMLStrainMap

    lazy = LazyMLStrainMap(strain.as_lazy().data, metadata=strain.metadata.as_dictionary())
    drawn = panel(plotting.plot_strain_map(lazy), YY).images[0].get_array()
    np.testing.assert_allclose(drawn, 100 * strain.data[1])
