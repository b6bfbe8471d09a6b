"""The transistor scan: doses, contrast, amorphous points, files. Strain has its own file."""

from __future__ import annotations

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import LazyElectronDiffraction2D

from pyxem_mlmaps import data

SMALL = {"detector": (160, 160), "thickness": (42, 58), "bend": 0.08}


def scan(libraries, shape=(4, 6), **options):
    return data.finfet(shape, libraries=libraries, **{**SMALL, **options})


def test_no_misfit_no_strain(libraries):
    """The lattice is the same everywhere; contrast still changes."""
    s = scan(libraries, misfit=0.0, noise=False, amorphous=False)
    truth, patterns = data.ground_truth(s), s.data.compute()
    for name in ("e_xx", "e_yy", "e_xy", "rotation"):
        np.testing.assert_allclose(getattr(truth, name), 0, atol=1e-12)
    np.testing.assert_allclose(
        truth.positions, np.broadcast_to(truth.lattice.positions, truth.positions.shape)
    )
    assert np.abs(patterns[0, 0] - patterns[-1, -1]).sum() > 0.2 * patterns[0, 0].sum()


@pytest.mark.parametrize("dose", [1e3, 1e5])
def test_electrons_per_disk(libraries, dose):
    """Mean over disks and crystalline points, from the patterns themselves."""
    s = scan(libraries, (8, 12), electrons_per_disk=dose, background=0.0, noise=False)
    truth, total = data.ground_truth(s), s.data.compute().sum(axis=(-2, -1))
    assert (total[truth.crystal] / len(truth.lattice)).mean() == pytest.approx(dose, rel=2e-3)
    given = scan(libraries, (8, 12), electrons=truth.electrons, background=0.0, noise=False)
    assert data.ground_truth(given).electrons == truth.electrons
    np.testing.assert_array_equal(given.data[5, 3].compute(), s.data[5, 3].compute())


def test_noise_is_poisson(libraries):
    clean = scan(libraries, (), noise=False).data.compute()
    noisy = scan(libraries, ()).data.compute()
    assert noisy.dtype == np.uint16 and clean.dtype == np.float32
    mean = clean[clean > 5]
    pull = (noisy[clean > 5] - mean) / np.sqrt(mean)
    assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pull.size))


def test_alloy_has_its_own_contrast(libraries):
    """The same tilt, thickness and lattice; intensities in the pockets are the alloy's."""
    libraries = (libraries[0], replace(libraries[1], vectors=libraries[0].vectors))
    options = {"misfit": 0.0, "noise": False, "background": 0.0, "amorphous": False,
               "shape": (6, 9), "electrons": 1e6}  # fmt: skip
    mixed = scan(libraries, **options)
    silicon = scan((libraries[0], libraries[0]), **options).data.compute()
    alloy = scan((libraries[1], libraries[1]), **options).data.compute()
    truth, patterns = data.ground_truth(mixed), mixed.data.compute()
    assert truth.alloy.any() and not truth.alloy.all()
    c = truth.composition[..., None, None]
    np.testing.assert_allclose(patterns, (1 - c) * silicon + c * alloy, atol=0.01, rtol=1e-4)
    change = np.abs(alloy - silicon).sum(axis=(-2, -1)) / silicon.sum(axis=(-2, -1))
    assert change.min() > 0.1


def test_amorphous_points(libraries):
    """Direct beam and a ring at 0.24 Å⁻¹ where the crystal's disks would be; truth is NaN."""
    s = scan(libraries, (16, 24), noise=False, background=0.0)
    truth = data.ground_truth(s)
    assert not truth.crystal[0].any() and truth.crystal[-1].all()
    for name in ("e_xx", "e_yy", "e_xy", "rotation", "composition"):
        np.testing.assert_array_equal(np.isnan(getattr(truth, name)), ~truth.crystal)
    assert np.isnan(truth.positions[0, 0]).all()
    pattern = s.data[0, 0].compute()
    assert pattern.sum() == pytest.approx(0.8 * truth.electrons, rel=1e-4)
    lattice = truth.lattice
    y, x = np.indices(pattern.shape)
    r = np.hypot(y - lattice.origin[0], x - lattice.origin[1])
    assert pattern[r < lattice.radius + 1].sum() == pytest.approx(0.48 * truth.electrons, rel=0.1)
    bins = np.arange(2 * lattice.radius, 70, 2)
    profile = [pattern[(r >= a) & (r < a + 2)].mean() for a in bins]
    scale = s.axes_manager.signal_axes[0].scale
    assert scale * (bins[np.argmax(profile)] + 1) == pytest.approx(0.24, abs=0.02)


@pytest.mark.parametrize("shape", [(), (7,), (4, 5)])
def test_shapes(libraries, shape):
    s = scan(libraries, shape, detector=(96, 104))
    truth = data.ground_truth(s)
    assert isinstance(s, LazyElectronDiffraction2D)
    assert s.data.shape == (*shape, 96, 104)
    assert s.axes_manager.navigation_shape == shape[::-1]
    for name in ("tilt_x", "thickness", "e_xx", "rotation", "crystal", "shift_y"):
        assert getattr(truth, name).shape == shape
    assert truth.positions.shape == (*shape, 19, 2)
    truth.lattice.check_fits((96, 104))


def test_calibration(libraries):
    s = scan(libraries, scan_step=1.5)
    kx, ky = s.axes_manager.signal_axes
    lattice = data.ground_truth(s).lattice
    assert s.beam_energy == 200
    assert kx.scale == ky.scale == pytest.approx(libraries[0].beam.aperture_radius / lattice.radius)
    assert ky.offset + ky.scale * lattice.origin[0] == pytest.approx(0, abs=1e-12)
    assert [a.scale for a in s.axes_manager.navigation_axes] == [1.5, 1.5]


def test_growth_direction_points_up(libraries):
    """004 lies straight above or below the direct beam, 220 beside it."""
    truth = data.ground_truth(scan(libraries, ()))
    away = truth.lattice.positions - truth.lattice.origin
    hkl = libraries[0].indices
    for index, axis in (((0, 0, 4), 0), ((2, -2, 0), 1)):
        found = away[np.all(hkl == index, axis=1)][0]
        assert abs(found[axis]) > 20 and abs(found[1 - axis]) < 1e-6
    assert away[np.all(hkl == (0, 0, 4), axis=1)][0, 0] < 0


def test_patterns_do_not_depend_on_chunks(libraries):
    one = scan(libraries, (5, 4), chunks=(5, 4), seed=3)
    many = scan(libraries, (5, 4), chunks=(2, 1), seed=3)
    np.testing.assert_array_equal(one.data.compute(), many.data.compute())
    other = scan(libraries, (5, 4), seed=4)
    assert np.any(other.data[2, 2].compute() != one.data[2, 2].compute())


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_truth_survives_a_file(libraries, tmp_path, shape):
    s = scan(libraries, shape, detector=(64, 64))
    s.save(tmp_path / "device.zspy", show_progressbar=False)
    back = hs.load(tmp_path / "device.zspy", lazy=True)
    truth, again = data.ground_truth(s), data.ground_truth(back)
    assert isinstance(again, data.StrainTruth)
    assert again.lattice == truth.lattice and again.electrons == truth.electrons
    for name in ("e_xx", "e_yy", "e_xy", "rotation", "tilt_x", "thickness", "crystal", "channel"):
        np.testing.assert_array_equal(getattr(again, name), getattr(truth, name))
        assert getattr(again, name).dtype == getattr(truth, name).dtype
    np.testing.assert_array_equal(again.positions, truth.positions)
    np.testing.assert_array_equal(back.data.compute(), s.data.compute())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (2, 2, 2)}, "shape"),
        ({"bend": 0.5}, "bend"),
        ({"thickness": (30, 50)}, "thickness"),
        ({"thickness": (50, 45)}, "thickness"),
        ({"electrons_per_disk": 0}, "electrons_per_disk="),
        ({"electrons": 0.0}, "electrons="),
        ({"misfit": 0.2}, "misfit"),
        ({"background": -0.1}, "background"),
        ({"edge": 0.0}, "edge"),
        ({"descan": -1.0}, "descan"),
        ({"detector": (16, 16)}, "detector"),
    ],
)
def test_bad_arguments(libraries, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        scan(libraries, **{"shape": (2, 2)} | options)


def test_libraries_must_match(libraries, library):
    silicon, alloy = libraries
    with pytest.raises(ValueError, match="differ in"):
        scan((silicon, library))
    with pytest.raises(ValueError, match="beams"):
        scan((silicon, replace(alloy, beam=replace(alloy.beam, energy=300))))
    with pytest.raises(ValueError, match="keep_maps=True"):
        scan((silicon, replace(alloy, maps=None)))
