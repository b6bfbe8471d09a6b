"""Which scan points, or which vectors, make the unstrained lattice."""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
import pytest

from pyxem_mlmaps.mapping.strain_reference import reference_basis
from pyxem_mlmaps.specs import DiskLattice

SCALE = (0.02, 0.03)
NUMBERS = np.arange(48.0).reshape(6, 8)
MEASURED = np.array([[1.0, 0.2], [0.1, 2.0]]) * (100 + NUMBERS[..., None, None])


def scan_axes(shape=(6, 8)):
    """(y, x) axes of 2.5 nm from 10 nm."""
    signal = hs.signals.BaseSignal(np.zeros(shape))
    for axis in signal.axes_manager._axes:
        axis.scale, axis.offset, axis.units = 2.5, 10.0, "nm"
    return list(signal.axes_manager._axes)


def points_of(reference, measured=MEASURED):
    """Number of the scan point, or the median of several, that the reference comes from."""
    basis, _ = reference_basis(reference, measured, SCALE, scan_axes(measured.shape[:-2]))
    number = basis[0, 0] - 100
    np.testing.assert_allclose(basis, np.array([[1.0, 0.2], [0.1, 2.0]]) * (100 + number))
    return number


def test_median():
    assert points_of("median") == 23.5


def test_median_passes_over_points_without_lattice():
    measured = MEASURED.copy()
    measured[3:] = np.nan
    assert points_of("median", measured) == 11.5


def test_mask():
    mask = NUMBERS == 19
    assert points_of(mask) == 19
    assert points_of(hs.signals.Signal2D(mask)) == 19
    assert points_of((NUMBERS == 19) | (NUMBERS == 21)) == 20


def test_rectangle_in_calibrated_units():
    """(x, y) = (17.5, 15) nm is point [2, 3]."""
    roi = hs.roi.RectangularROI(left=17.5, top=15, right=20, bottom=17.5)
    assert points_of(roi) == 2 * 8 + 3
    roi = hs.roi.RectangularROI(left=17.5, top=15, right=22.5, bottom=17.5)
    assert points_of(roi) == 2 * 8 + 3.5


def test_circle():
    assert points_of(hs.roi.CircleROI(cx=17.5, cy=15, r=2.0)) == 2 * 8 + 3


def test_span_of_a_line():
    assert points_of(hs.roi.SpanROI(17.5, 20), MEASURED[0]) == 3


def test_lattice_is_in_pixels_that_are_not_square():
    lattice = DiskLattice((5, 5), (10, 2), (-1, 20), [(0, 0)], 3)
    basis, source = reference_basis(lattice, MEASURED, SCALE, scan_axes())
    np.testing.assert_allclose(basis, [[0.2, 0.06], [-0.02, 0.6]])
    assert source == "DiskLattice"


def test_given_vectors():
    basis, _ = reference_basis(([1, 2], [3, -4]), MEASURED, SCALE, scan_axes())
    np.testing.assert_array_equal(basis, [[1, 2], [3, -4]])


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mean", "'mean'.*'median'"),
        (np.zeros((6, 7), dtype=bool), r"\(6, 7\).*\(6, 8\)"),
        (np.zeros((6, 8), dtype=bool), "none of the 0 patterns"),
        (np.ones((3, 2)), r"shape \(3, 2\)"),
        ([[1.0, 0.0], [2.0, 0.0]], "collinear"),
        ([[1.0, np.nan], [2.0, 0.0]], "finite"),
        (hs.roi.Line2DROI(10, 10, 20, 20), "line interpolates"),
        (hs.roi.CircleROI(17.5, 15, 0.1), "none of the 0 patterns"),
        (hs.roi.RectangularROI(90, 90, 99, 99), r"from 10 to 27.5, 10 to 22.5"),
    ],
)
def test_bad_reference(reference, message):
    with pytest.raises(ValueError, match=message):
        reference_basis(reference, MEASURED, SCALE, scan_axes())


@pytest.mark.parametrize("shape", [(), (8,)])
def test_roi_of_too_many_dimensions(shape):
    roi = hs.roi.RectangularROI(0, 0, 5, 5)
    with pytest.raises(ValueError, match=f"2 dimensions does not fit a scan of {len(shape)}"):
        reference_basis(roi, np.ones((*shape, 2, 2)), SCALE, scan_axes(shape)[: len(shape)])
