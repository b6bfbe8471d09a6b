"""The strain map as a HyperSpy signal: what is kept when it is cut, copied, turned and saved."""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import StrainMap

from pyxem_mlmaps.strain_result import MLStrainMap

EXACT = {"rtol": 0, "atol": 1e-15}


@pytest.fixture
def strain():
    rng = np.random.default_rng(0)
    signal = MLStrainMap(rng.normal(0, 0.01, (4, 5, 7)))
    for axis, name in zip(signal.axes_manager.signal_axes, "xy", strict=True):
        axis.scale, axis.offset, axis.units, axis.name = 2.5, 10.0, "nm", name
    roots = rng.normal(0, 1e-3, (4, 4, 5, 7))
    covariance = np.einsum("ij...,kj...->ik...", roots, roots)
    signal.set_maps(covariance, rng.uniform(0, 0.1, (5, 7)), rng.integers(5, 38, (5, 7)))
    reference = {"source": "DiskLattice", "g1": [0.1, 0.5], "g2": [0.6, 0.0], "units": "1/Å"}
    signal.metadata.set_item("MLStrainMap.reference", reference)
    signal.metadata.set_item("MLStrainMap.basis_x", [0.8, 0.6])
    return signal


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_save_and_load(strain, tmp_path, extension, lazy):
    strain.save(tmp_path / f"strain.{extension}")
    loaded = hs.load(tmp_path / f"strain.{extension}", lazy=lazy)
    assert isinstance(loaded, MLStrainMap) and loaded._lazy == lazy
    np.testing.assert_array_equal(np.asarray(loaded.data), strain.data)
    np.testing.assert_array_equal(loaded.covariance, strain.covariance)
    np.testing.assert_array_equal(loaded.n_disks.data, strain.n_disks.data)
    assert loaded.current_basis_x == pytest.approx(strain.current_basis_x)
    assert loaded.reference == strain.reference
    back, expected = (s.rotate_strain_basis([1, 0]) for s in (loaded, strain))
    np.testing.assert_allclose(np.asarray(back.data), expected.data, **EXACT)


def test_slices_and_copies_keep_the_further_maps(strain):
    part = strain.isig[1:4, 2:]
    assert type(part) is MLStrainMap
    np.testing.assert_array_equal(part.sigma.data, strain.sigma.data[:, 2:, 1:4])
    np.testing.assert_array_equal(part.residual.data, strain.residual.data[2:, 1:4])
    by_unit = strain.isig[12.5:20.0, :]
    np.testing.assert_array_equal(by_unit.n_disks.data, strain.n_disks.data[:, 1:4])
    copy = strain.deepcopy()
    np.testing.assert_array_equal(copy.covariance, strain.covariance)
    assert copy.current_basis_x == strain.current_basis_x
    lazy = strain.as_lazy()
    lazy.compute()
    assert type(lazy) is MLStrainMap
    np.testing.assert_array_equal(lazy.sigma.data, strain.sigma.data)


def test_one_channel(strain):
    np.testing.assert_array_equal(strain.inav[1].data, strain.e22.data)
    with pytest.raises(ValueError, match="Do not slice it with inav"):
        strain.inav[1].e11  # noqa: B018


def test_units(strain):
    np.testing.assert_allclose(strain.rotation.data, np.degrees(strain.theta.data))
    assert strain.rotation.metadata.Signal.quantity == "rotation (deg)"
    assert strain.channel("sigma_theta").metadata.Signal.quantity == "σ theta (rad)"
    np.testing.assert_allclose(
        strain.channel("sigma_rotation").data, np.degrees(strain.sigma.data[3])
    )
    np.testing.assert_allclose(strain.channel("sigma_e11").data, strain.sigma.data[0])


def test_after_rebin_the_further_maps_are_refused(strain):
    with pytest.raises(ValueError, match="lost by .*rebin"):
        strain.rebin(scale=[1, 1, 5]).sigma  # noqa: B018


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.isig[:5, :5].swap_axes("x", "y"),
        lambda s: s.isig[:5, :5].transpose(signal_axes=[1, 2]),
        lambda s: s * 100,
        lambda s: s - s,
        lambda s: -s,
    ],
    ids=["swap", "transpose", "times", "minus", "sign"],
)
def test_uncertainties_do_not_stay_with_other_numbers(strain, change):
    sigma = strain.sigma.data.copy()
    changed = change(strain)
    with pytest.raises(ValueError, match="no uncertainties.*arithmetic"):
        changed.sigma  # noqa: B018
    np.testing.assert_array_equal(strain.sigma.data, sigma)


def test_unknown_channel(strain):
    with pytest.raises(ValueError, match="'exx'.*e11"):
        strain.channel("exx")


def test_turned_as_pyxem_turns_it(strain):
    """Also from axes that are turned already."""
    strain.metadata.MLStrainMap.basis_x = [1.0, 0.0]
    by_pyxem = StrainMap(strain.data).rotate_strain_basis([0.6, 0.8])
    turned = strain.rotate_strain_basis([0.6, 0.8])
    np.testing.assert_allclose(turned.data, by_pyxem.data, **EXACT)
    further, at_once = turned.rotate_strain_basis([0, 2]), strain.rotate_strain_basis([0, 1])
    np.testing.assert_allclose(further.data, at_once.data, **EXACT)
    np.testing.assert_allclose(further.covariance, at_once.covariance, rtol=1e-9, atol=1e-18)
    assert further.current_basis_x == [0, 1] and further.current_basis_y == [-1, 0]


def test_quarter_turn_swaps_the_axes(strain):
    x, y = strain.current_basis_x
    turned = strain.rotate_strain_basis([-y, x])
    np.testing.assert_allclose(turned.e11.data, strain.e22.data, **EXACT)
    np.testing.assert_allclose(turned.e12.data, -strain.e12.data, **EXACT)
    np.testing.assert_allclose(turned.sigma.data[[1, 0, 2, 3]], strain.sigma.data, rtol=1e-9)


def test_scan_of_one_row_is_a_line(strain):
    strain.metadata.MLStrainMap.scan_dimension = 1
    row = strain.isig[:, 2:3]
    assert row.e11.data.shape == row.n_disks.data.shape == (7,)
    assert row.e11.axes_manager.signal_axes[0].units == "nm"
