"""Whatever the shape, the type, the chunks and the calibration: the same physics and answer."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyxem.signals import ElectronDiffraction2D, LazyElectronDiffraction2D

from pyxem_mlmaps import data

QUIET = {"show_progressbar": False}
DETECTOR = (192, 192)
COUNTS = 6
OPTICS = (7.0, 0.6)
STILL = "direct_beam"
often = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def patterns(library):
    """(6, ky, kx) counts below 255 at tilts of a foil, and their lattice."""
    s = data.bent_foil((2, 3), DETECTOR, library, bend=0.14, electrons=3e4, background=0.0, seed=4)
    s.compute(**QUIET)
    stack = s.data.reshape(-1, *DETECTOR)
    assert stack.max() < 255
    return stack, data.ground_truth(s).lattice, s


@pytest.fixture(scope="module")
def expected(patterns, model):
    """(6, 7) channels and a list of the six tables of disks, from a plain scan of float64."""
    stack, lattice, s = patterns
    scan = signal_of(stack.astype(float), s)
    omap = scan.ml_orientation_map(model, lattice, **QUIET)
    vectors = scan.ml_disk_positions(lattice=lattice, optics=OPTICS, descan=STILL, **QUIET)
    return omap.data, [np.asarray(v, dtype=float) for v in vectors.data]


def signal_of(values, like):
    lazy = not isinstance(values, np.ndarray)
    made = (LazyElectronDiffraction2D if lazy else ElectronDiffraction2D)(values)
    for axis, other in zip(
        made.axes_manager.signal_axes, like.axes_manager.signal_axes, strict=True
    ):
        axis.scale, axis.offset, axis.units = other.scale, other.offset, other.units
    for key in ("beam_energy", "convergence_angle"):
        item = f"Acquisition_instrument.TEM.{key}"
        made.metadata.set_item(item, like.metadata.get_item(item))
    return made


@st.composite
def layouts(draw):
    """Which patterns, in what scan, type, order of bytes and of memory, and chunks."""
    shape = draw(st.sampled_from([(), (1,), (5,), (2, 3), (1, 4), (3, 1)]))
    n = int(np.prod(shape))
    which = draw(st.lists(st.integers(0, COUNTS - 1), min_size=n, max_size=n))
    dtype = draw(st.sampled_from(["u1", "<u2", ">u2", "i4", "<f4", ">f4", "f8", ">i8", "f2"]))
    order = draw(st.sampled_from("CF"))
    chunks = draw(st.sampled_from([None, 1, 2, "detector"]))
    return shape, which, dtype, order, chunks


def laid_out(stack, layout, bad=()):
    shape, which, dtype, order, chunks = layout
    values = np.asarray(stack[which].reshape(*shape, *DETECTOR), dtype=dtype, order=order)
    if bad:
        values = values.copy()
        flat = values.reshape(-1, *DETECTOR)
        for point in bad:
            flat[point, 90:100, 90:100] = np.nan
        values = flat.reshape(values.shape)
    if chunks is None:
        return values
    size = (-1, -1) if chunks != "detector" else (100, 192)
    scan = tuple(1 if chunks == "detector" else chunks for _ in shape)
    return da.from_array(values, chunks=(*scan, *size))


def assert_channels(got, want):
    """Tilts to 1e-6°, thickness to 1e-3 nm, σ and misfit to a thousandth."""
    np.testing.assert_allclose(got[..., :2], want[..., :2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[..., 2], want[..., 2], rtol=0, atol=1e-3)
    np.testing.assert_allclose(got[..., 3:], want[..., 3:], rtol=1e-3, atol=1e-5)


@often
@given(layout=layouts())
def test_orientation_of_any_layout(patterns, expected, model, layout):
    stack, lattice, s = patterns
    scan = signal_of(laid_out(stack, layout), s)
    omap = scan.ml_orientation_map(model, lattice, lazy_output=False, **QUIET)
    assert omap.data.shape == (*layout[0], 7)
    assert_channels(omap.data.reshape(-1, 7), expected[0][layout[1]])


@often
@given(layout=layouts(), data_=st.data())
def test_bad_patterns_cost_themselves_only(patterns, expected, model, layout, data_):
    shape, which, _, order, chunks = layout
    bad = data_.draw(st.sets(st.integers(0, len(which) - 1)))
    stack, lattice, s = patterns
    scan = signal_of(laid_out(stack, (shape, which, "f4", order, chunks), bad), s)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        omap = scan.ml_orientation_map(model, lattice, lazy_output=False, **QUIET)
    got, want = omap.data.reshape(-1, 7), expected[0][which].copy()
    assert np.isnan(got[sorted(bad)]).all()
    good = [n for n in range(len(which)) if n not in bad]
    assert_channels(got[good], want[good])
    told = [str(w.message) for w in caught if f"{len(bad)} of {len(which)}" in str(w.message)]
    assert bool(told) == bool(bad)


@settings(often, max_examples=12)
@given(layout=layouts())
def test_disk_positions_of_any_layout(patterns, expected, layout):
    stack, lattice, s = patterns
    scan = signal_of(laid_out(stack, layout), s)
    vectors = scan.ml_disk_positions(
        lattice=lattice, optics=OPTICS, descan=STILL, lazy_output=False, **QUIET
    )
    tables = [vectors.data] if not layout[0] else list(vectors.data.ravel())
    for table, n in zip(tables, layout[1], strict=True):
        got, want = np.asarray(table, dtype=float), expected[1][n]
        assert got.shape == want.shape
        columns = [0, 1, 3, 4, 5, 6, 7]  # 255 counts of uint8 would pass for saturated
        np.testing.assert_allclose(got[:, columns], want[:, columns], rtol=2e-4, atol=1e-5)


@often
@given(scale=st.floats(1e-3, 10), offset=st.floats(-50, 50), units=st.sampled_from(["1/Å", "mrad"]))
def test_positions_follow_the_axes(patterns, expected, scale, offset, units):
    """Positions are where the axes say that the pixels are, σ are lengths on them."""
    stack, lattice, s = patterns
    pixels = signal_of(stack[:1].astype(float), s)
    moved = signal_of(stack[:1].astype(float), s)
    for axis in pixels.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = 1.0, 0.0, "px"
    for axis in moved.axes_manager.signal_axes:
        axis.scale, axis.offset, axis.units = scale, offset, units
    one, other = (
        np.asarray(
            scan.ml_disk_positions(lattice=lattice, optics=OPTICS, descan=STILL, **QUIET).data[0],
            dtype=float,
        )
        for scan in (pixels, moved)
    )
    np.testing.assert_allclose(other[:, :2], one[:, :2] * scale + offset, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(other[:, 3:5], one[:, 3:5] * scale, rtol=1e-6)
    np.testing.assert_allclose(other[:, 5], one[:, 5], rtol=1e-9)


@often
@given(gain=st.floats(1e-3, 1e6))
def test_gain_does_not_turn_the_crystal(patterns, expected, model, gain):
    """Counts in any unit: tilt and thickness stay."""
    stack, lattice, s = patterns
    omap = signal_of(stack * gain, s).ml_orientation_map(model, lattice, **QUIET)
    assert_channels(omap.data, expected[0])


@often
@given(factor=st.floats(0.2, 5), key=st.sampled_from(["beam_energy", "convergence_angle"]))
def test_a_wrong_microscope_is_never_mapped(patterns, model, factor, key):
    """Energy or convergence angle of the metadata 5 % and more off the model's card."""
    assume(abs(factor - 1) > 0.05)
    stack, lattice, s = patterns
    scan = signal_of(stack.astype(float), s)
    node = scan.metadata.Acquisition_instrument.TEM
    node.set_item(key, factor * node.get_item(key))
    with pytest.raises(ValueError, match=key.split("_")[1]):
        scan.ml_orientation_map(model, lattice, **QUIET)


def test_a_bad_pattern_leaves_the_disks_of_others(patterns, expected):
    """Those that are read with it: the innermost disks of a pattern tell where its own others are,
    and a neighbour without them changes nothing."""
    stack, lattice, s = patterns
    values = stack.astype(np.float32)
    values[2, 40:150, 40:150] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vectors = signal_of(values, s).ml_disk_positions(
            lattice=lattice, optics=OPTICS, descan=STILL, **QUIET
        )
    for n in (0, 1, 3, 4, 5):
        got = np.asarray(vectors.data[n], dtype=float)
        np.testing.assert_allclose(got, expected[1][n], rtol=2e-5, atol=2e-7)
