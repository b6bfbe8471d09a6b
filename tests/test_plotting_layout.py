"""Figures at the widths that journals print: nothing overlaps, bars are as long as they say."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pyxem_mlmaps import _finish, _layout, _panels, plotting
from pyxem_mlmaps.signals import MLOrientationMap
from pyxem_mlmaps.strain_result import MLStrainMap

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

COLUMN, PAGE = 3.4, 7.0
SCANS = [(COLUMN, (12, 16)), (PAGE, (12, 16)), (COLUMN, (2, 40)), (PAGE, (24, 4)), (COLUMN, (1, 1))]


@pytest.fixture(autouse=True)
def close():
    yield
    matplotlib.pyplot.close("all")


def calibrate(axes, scale=2.5, units="nm"):
    for axis, name in zip(axes, "xy", strict=True):
        axis.scale, axis.units, axis.name = scale, units, name


def orientation_map(shape, **calibration):
    data = np.random.default_rng(0).uniform(0.1, 0.2, (*shape, 7))
    data[..., 1] *= -1
    data[0, 0] = np.nan
    signal = MLOrientationMap(data)
    calibrate(signal.axes_manager.navigation_axes, **calibration)
    return signal


def strain_map(shape):
    signal = MLStrainMap(np.random.default_rng(0).normal(0, 0.01, (4, *shape)))
    calibrate(signal.axes_manager.signal_axes)
    covariance = np.zeros((4, 4, *shape))
    covariance[range(4), range(4)] = 1e-8
    signal.set_maps(covariance, np.full(shape, 0.1), np.full(shape, 37.0))
    return signal


def drawn_texts(figure):
    """Titles, labels, numbers within the axes' range, notes."""
    texts = [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
    every = [ax for parent in figure.axes for ax in (parent, *parent.child_axes)]
    for ax in every:
        texts += [ax.title, *ax.texts]
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            low, high = sorted(axis.get_view_interval())
            numbers = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
            texts += [axis.label, *(t for place, t in numbers if low <= place <= high)]
        texts += [c.get_text() for table in ax.tables for c in table.get_celld().values()]
    return [t for t in texts if t.get_visible() and t.get_text().strip()]


def overlapping_texts(figure):
    """Pairs of texts that are drawn over each other."""
    figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent().padded(-1)) for t in drawn_texts(figure)]
    return [
        (one, two) for i, (one, a) in enumerate(boxes) for two, b in boxes[i + 1 :] if a.overlaps(b)
    ]


@pytest.mark.parametrize("width, shape", SCANS)
def test_maps_fit_the_width(width, shape):
    omap, strain = orientation_map(shape), strain_map(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a layout that collapses warns
        warnings.filterwarnings("ignore", message=".* deprecated")  # matplotlib's own affair
        figures = [
            omap.plot(return_figure=True, figsize=width),
            omap.plot_tilt(return_figure=True, figsize=width),
            plotting.plot_error_map(omap, np.nan_to_num(omap.data), figsize=width),
            strain.plot(return_figure=True, figsize=width),
            strain.plot(return_figure=True, figsize=width, sigma=True),
        ]
        for figure in figures:
            figure.canvas.draw()
            assert figure.get_size_inches()[0] == pytest.approx(width)
            assert figure.get_size_inches()[1] <= 9.0
            for ax in figure.axes:
                box = ax.get_tightbbox()
                assert figure.bbox.padded(2).containsx(box.x0), ax.get_title()
                assert figure.bbox.padded(2).containsx(box.x1), ax.get_title()
    if shape == (12, 16):
        for figure in figures:
            assert overlapping_texts(figure) == []


def test_images_use_the_width():
    """Two columns of images, their bars and numbers leave less than a quarter of the paper."""
    figure = strain_map((12, 16)).plot(return_figure=True, figsize=COLUMN)
    figure.canvas.draw()
    images = [ax.get_window_extent() for ax in figure.axes if ax.images]
    assert len({round(box.x0) for box in images}) == 2 and len({round(b.y0) for b in images}) == 2
    share = sum(box.width for box in images[:2]) / figure.bbox.width
    assert share > 0.55
    heights = sum(images[i].height for i in (0, 2)) / figure.bbox.height
    assert heights > 0.55, "no paper is left free above and below"


def test_given_height_is_kept():
    figure = strain_map((12, 16)).plot(return_figure=True, figsize=(5, 6))
    assert figure.get_size_inches() == pytest.approx([5, 6])


@pytest.mark.parametrize("figsize", [0, (3, 4, 5), (-1, 2), "wide", np.nan])
def test_bad_figsize(figsize):
    with pytest.raises(ValueError, match="figsize"):
        plotting.plot_strain_map(strain_map((4, 5)), figsize=figsize)


def test_text_of_a_page_is_small_and_the_style_comes_back():
    before = matplotlib.rcParams["font.size"]
    small = plotting.plot_strain_map(strain_map((12, 16)), figsize=COLUMN).axes[0].title
    large = plotting.plot_strain_map(strain_map((12, 16)), figsize=12).axes[0].title
    assert small.get_fontsize() == 8 and large.get_fontsize() == before
    assert matplotlib.rcParams["font.size"] == before


def scale_bars(figure):
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    return [(ax, a) for ax in figure.axes for a in ax.artists if isinstance(a, AnchoredSizeBar)]


@pytest.mark.parametrize(
    "width, scale, text", [(COLUMN, 2.5, "10 nm"), (PAGE, 0.7, "5 nm"), (COLUMN, 250, "1000 nm")]
)
def test_scale_bar_is_as_long_as_it_says(width, scale, text):
    omap = orientation_map((12, 16), scale=scale)
    figure = omap.plot(return_figure=True, figsize=width)
    figure.canvas.draw()
    ((ax, bar),) = scale_bars(figure)
    assert bar.txt_label.get_text() == text
    (line,) = bar.size_bar.get_children()
    pixels = line.get_window_extent().width
    pixel = ax.get_window_extent().width / 16  # of the scan
    assert pixels / pixel * scale == pytest.approx(float(text.split()[0]), rel=1e-6)


def test_scale_bar_only_where_the_scan_is_calibrated():
    assert scale_bars(MLOrientationMap(np.ones((6, 8, 7))).plot(return_figure=True)) == []
    omap = orientation_map((12, 16))
    omap.axes_manager.navigation_axes[1].units = "µm"
    assert scale_bars(omap.plot(return_figure=True)) == []


def test_scale_bar_gives_way():
    figure, ax = matplotlib.pyplot.subplots(layout="constrained")
    ax.imshow(np.zeros((10, 10)))
    _finish.add_scale_bar(ax, "nm", avoid=[(0, 9), (9, 9)])
    ((_, bar),) = scale_bars(figure)
    assert bar.get_window_extent().y0 > ax.get_window_extent().y0 + 100, "an upper corner"


def test_missing_data_are_explained():
    figure = orientation_map((12, 16)).plot(return_figure=True)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["no data"]
    whole = MLOrientationMap(np.ones((6, 8, 7)))
    assert whole.plot(return_figure=True).legends == []
    assert plotting.plot_tilt(orientation_map((12, 16))).legends


def test_bars_of_maps_without_data_have_no_numbers():
    empty = MLOrientationMap(np.full((6, 8, 7), np.nan))
    figure = empty.plot(return_figure=True)
    assert all(ax.child_axes[0].get_yticks().size == 0 for ax in figure.axes if ax.images)


@pytest.mark.parametrize("name", ["tilt_x", "tilt_y"])
def test_diverging_scales_are_symmetric_with_white_at_zero(name):
    figure = orientation_map((12, 16)).plot(return_figure=True, figsize=COLUMN)
    title = {"tilt_x": "Tilt x (°)", "tilt_y": "Tilt y (°)"}[name]
    (ax,) = [a for a in figure.axes if a.get_title() == title]
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert min(ax.images[0].cmap(ax.images[0].norm(0.0))[:3]) > 0.95


def test_numbers_at_the_outside_only():
    figure = strain_map((12, 16)).plot(return_figure=True, figsize=COLUMN)
    labels = [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes if ax.images]
    assert labels == [("", "y (nm)"), ("", ""), ("x (nm)", "y (nm)"), ("x (nm)", "")]


def test_descending_axes_keep_their_pixels():
    omap = orientation_map((12, 16))
    x = omap.axes_manager.navigation_axes[0]
    x.scale, x.offset = -2.0, 30.0
    extent, _ = _panels.scan_extent(omap.axes_manager.navigation_axes)
    assert extent == (31.0, -1.0, 28.75, -1.25)


def test_ticks_of_logarithmic_scales():
    assert _layout.log_tick_values(0.05, 60) == [0.1, 1, 10]
    assert _layout.log_tick_values(0.002, 0.03) == [0.002, 0.005, 0.01, 0.02]
    assert len(_layout.log_tick_values(0.21, 0.6)) >= 3


def test_line_and_point(tmp_path):
    omap = orientation_map((12, 16))
    for part in (omap.inav[:, 3], omap.inav[3, 4]):
        for width in (COLUMN, PAGE):
            figure = part.plot(return_figure=True, figsize=width)
            figure.savefig(tmp_path / "figure.pdf")
            assert overlapping_texts(figure) == []


def test_pyxems_arguments_draw_pyxems_figure():
    assert strain_map((12, 16)).plot(cmap="viridis", label=["a", "b", "c", "d"]) is not None
    drawn = [image for ax in matplotlib.pyplot.gcf().axes for image in ax.images]
    assert {image.cmap.name for image in drawn} == {"viridis"}
    lazy = strain_map((12, 16)).as_lazy()
    figure = lazy.plot(return_figure=True)
    assert figure.axes[0].get_title() == r"$\varepsilon_{xx}$ (%)"
