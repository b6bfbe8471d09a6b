"""Strain maps to py4DSTEM and back; py4DSTEM's own numbers are the standard."""

from __future__ import annotations

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import interop
from pyxem_mlmaps.conventions import strain_to_py4dstem

py4dstem = pytest.importorskip("py4DSTEM", reason="py4DSTEM is not installed")

HERE = np.array([[True, False, False], [False, False, False]])


@pytest.fixture()
def strain(exact_vectors):
    return mlmaps.strain_map(exact_vectors, reference=HERE)


@pytest.fixture()
def braggvectors(exact_vectors):
    return interop.to_braggvectors(exact_vectors)


def test_same_numbers_as_py4dstem(strain, braggvectors, py4dstem_strain):
    theirs = py4dstem_strain(braggvectors)
    ours = interop.to_strainmap(strain)
    assert list(ours.slicelabels) == ["e_xx", "e_yy", "e_xy", "theta", "mask", "error"] + [
        f"sigma_{name}" for name in ("e_xx", "e_yy", "e_xy", "theta")
    ]
    np.testing.assert_allclose(ours.data[:5], theirs.data[:5], atol=1e-10)


def test_infinitesimal_against_finite(strain):
    """2 % along kx, the columns, is e_yy = 1 − 1/1.02; a turn of 1° is sin(1°) in theta."""
    converted = interop.to_strainmap(strain)
    assert converted.get_slice("e_yy").data[0, 1] == pytest.approx(0.0196078, abs=1e-7)
    assert strain.e11.data[0, 1] == pytest.approx(0.02)
    assert converted.get_slice("theta").data[1, 1] == pytest.approx(np.sin(np.radians(1)))
    assert strain.rotation.data[1, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("rotation, flip, coordinate_rotation", [
    (0, False, 30), (25, False, 0), (-60, False, 15), (25, True, 0), (-60, True, 15),
])  # fmt: skip
def test_axes_of_the_scan(
    strain, braggvectors, py4dstem_strain, rotation, flip, coordinate_rotation
):
    """py4DSTEM turns (and mirrors) vectors into the scan's axes, then the axes of strain."""
    if rotation:
        braggvectors.calibration.set_QR_rotation_degrees(rotation)
        braggvectors.calibration.set_QR_flip(flip)
        braggvectors.setcal()
    theirs = py4dstem_strain(braggvectors, coordinate_rotation=coordinate_rotation)
    assert np.abs(theirs.data[:4] - strain_to_py4dstem(strain.data)).max() > 1e-3
    np.testing.assert_allclose(interop.from_strainmap(theirs).data, strain.data, atol=1e-10)
    if not coordinate_rotation:
        ours = interop.to_strainmap(strain, braggvectors)
        np.testing.assert_allclose(ours.data[:5], theirs.data[:5], atol=1e-10)


def test_there_and_back(strain, braggvectors):
    strain.data[:, 0, 2] = np.nan
    for slices in (interop.to_strainmap(strain), interop.to_strainmap(strain, braggvectors)):
        again = interop.from_strainmap(slices)
        assert isinstance(again, mlmaps.MLStrainMap)
        np.testing.assert_allclose(again.data, strain.data, atol=1e-12)
    assert interop.to_strainmap(strain).get_slice("mask").data.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert np.isfinite(interop.to_strainmap(strain).data).all()


def test_axes_of_the_map_are_undone(exact_vectors, strain):
    turned = mlmaps.strain_map(exact_vectors, reference=HERE, axis=33.0)
    np.testing.assert_allclose(
        interop.to_strainmap(turned).data, interop.to_strainmap(strain).data, atol=1e-9
    )


def test_scan_step_and_file(strain, tmp_path):
    py4dstem.save(tmp_path / "strain.h5", interop.to_strainmap(strain), mode="o")
    again = interop.from_strainmap(py4dstem.read(tmp_path / "strain.h5"))
    np.testing.assert_allclose(again.data, strain.data, atol=1e-12)
    x, y = again.axes_manager.signal_axes
    assert (x.name, x.scale, x.units, y.name) == ("x", 2.0, "nm", "y")


def test_sigmas_go_along(signal):
    """σ of e_yy is that of e11, whose axis it is."""
    strain = mlmaps.strain_map(signal.ml_disk_positions(lazy_output=False), reference=HERE)
    slices = interop.to_strainmap(strain)
    pairs = {"e_yy": "e11", "e_xx": "e22", "e_xy": "e12", "theta": "theta"}
    for theirs, ours in pairs.items():
        sigma = strain.channel(f"sigma_{ours}").data
        np.testing.assert_allclose(slices.get_slice(f"sigma_{theirs}").data, sigma, rtol=1e-3)
    np.testing.assert_allclose(slices.get_slice("error").data, strain.residual.data)
    moved = interop.to_strainmap(strain * 1.0)  # arithmetic drops the uncertainties
    assert len(moved.slicelabels) == 6


def test_py4dstem_draws_it(strain, braggvectors, quiet_figures):
    shown = interop.to_strainmap(strain, braggvectors)
    assert isinstance(shown, py4dstem.StrainMap)
    figure, _ = shown.show_strain(returnfig=True)
    assert figure is not None
    assert braggvectors.tree("strainmap") is shown


def test_what_cannot_be_converted(strain, exact_vectors):
    with pytest.raises(TypeError, match="ndarray"):
        interop.to_strainmap(strain.data)
    with pytest.raises(TypeError, match="e_xx"):
        interop.from_strainmap(py4dstem.RealSlice(np.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"\(2, 2\) points do not belong"):
        interop.to_strainmap(strain, interop.to_braggvectors(exact_vectors.inav[:2, :]))
