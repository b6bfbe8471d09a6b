"""Misfit strain: Eshelby's cylinder, a film, equilibrium and compatibility."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pyxem_mlmaps.data._device import device
from pyxem_mlmaps.data._elasticity import SILICON_110, misfit_gradient


def isotropic(poisson):
    """Plane strain stiffness for a shear modulus of 1."""
    lame = 2 * poisson / (1 - 2 * poisson)
    axial = lame + 2
    return {"c11": axial, "c22": axial, "c12": lame, "c13": lame, "c23": lame, "c66": 1.0}


def disk(size, radius):
    y, x = np.indices((size, size)) - size // 2
    return (np.hypot(y, x) < radius).astype(float), y, x


@pytest.mark.parametrize("poisson", [0.1, 0.3])
def test_cylinder_of_eshelby(poisson):
    """Inside (1 + ν)/(2(1 − ν)) ε* in all directions; outside ∓ (a/r)² of it."""
    inside, y, x = disk(512, 18)
    gradient = misfit_gradient(0.01 * inside, isotropic(poisson))
    wanted = 0.01 * (1 + poisson) / (2 * (1 - poisson))
    core = np.hypot(y, x) < 12
    for i in (0, 1):
        assert gradient[..., i, i][core].mean() == pytest.approx(wanted, rel=0.01)
    line = gradient[256, 256 + 36]  # along x: radial is xx, hoop is yy
    area = inside.sum() / np.pi
    assert line[0, 0] == pytest.approx(-wanted * area / 36**2, rel=0.03)
    assert line[1, 1] == pytest.approx(wanted * area / 36**2, rel=0.03)


def test_film():
    """A layer cannot grow in its plane and grows by ε*(1 + (C12 + C23)/C22) out of it."""
    film = np.zeros((64, 4))
    film[10:20] = 0.01
    gradient = misfit_gradient(film)
    ratio = 1 + (SILICON_110["c12"] + SILICON_110["c23"]) / SILICON_110["c22"]
    jump = gradient[15, 0] - gradient[40, 0]
    np.testing.assert_allclose(jump, [[0, 0], [0, 0.01 * ratio]], atol=1e-12)


def test_equilibrium():
    """div C(ε − ε*) = 0, by Fourier derivatives of the stress (an odd grid has no Nyquist wave)."""
    blob = 0.01 * gaussian_filter(disk(95, 20)[0], 4, mode="wrap")
    g, c = misfit_gradient(blob), SILICON_110
    xx, yy, zz = g[..., 0, 0] - blob, g[..., 1, 1] - blob, -blob
    stress = {
        "xx": c["c11"] * xx + c["c12"] * yy + c["c13"] * zz,
        "yy": c["c12"] * xx + c["c22"] * yy + c["c23"] * zz,
        "xy": c["c66"] * (g[..., 0, 1] + g[..., 1, 0]),
    }
    k = 2j * np.pi * np.fft.fftfreq(95)
    f = {name: np.fft.fft2(value) for name, value in stress.items()}
    for along_x, along_y in (("xx", "xy"), ("xy", "yy")):
        force = np.fft.ifft2(k * f[along_x] + k[:, None] * f[along_y]).real
        pull = np.fft.ifft2(k * f[along_x]).real
        assert np.abs(force).max() < 1e-12 * np.abs(pull).max()


def test_device_is_compatible():
    """∂/∂y of ∂u/∂x is ∂/∂x of ∂u/∂y: the strain is that of one displacement."""
    step = 1 / 256
    y, x = np.meshgrid(np.arange(0.02, 1.0, step), np.arange(0.02, 1.48, step), indexing="ij")
    gradient = device(x.ravel(), y.ravel()).gradient.reshape(*x.shape, 2, 2)
    for i in (0, 1):
        first = np.gradient(gradient[..., i, 0], step, axis=0)[2:-2, 2:-2]
        second = np.gradient(gradient[..., i, 1], step, axis=1)[2:-2, 2:-2]
        assert np.sqrt(np.mean(first**2)) > 0.5
        assert np.abs(first - second).max() < 0.03 * np.abs(first).max()


def test_device_looks_like_one():
    """Pockets grow upwards, the channel is squeezed along x, the substrate far away is not."""
    y, x = np.meshgrid((np.arange(64) + 0.5) / 64, (np.arange(96) + 0.5) / 64, indexing="ij")
    parts = device(x.ravel(), y.ravel())
    strain = 0.0115 * parts.gradient
    pocket = parts.composition > 0.95
    assert 0.010 < strain[pocket, 1, 1].mean() < 0.014
    assert -0.010 < strain[parts.channel, 0, 0].mean() < -0.005
    assert np.abs(strain[parts.reference]).mean() < 0.001
    shear = (strain[:, 0, 1] + strain[:, 1, 0]).reshape(64, 96) / 2
    assert shear.max() > 0.004
    np.testing.assert_allclose(shear, -shear[:, ::-1], atol=1e-4)  # mirrored about the gate
    assert not parts.crystal.all() and parts.crystal.mean() > 0.85
    assert device(x.ravel(), y.ravel(), amorphous=False).crystal.all()
