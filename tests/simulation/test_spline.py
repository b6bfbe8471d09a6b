"""The spline through a library: interpolation, exactness, gradient, SciPy's answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.sparse.linalg import spsolve

from pyxem_mlmaps.simulation.spline import LibrarySpline

X, Y = np.linspace(-0.2, 0.2, 11), np.linspace(-0.1, 0.3, 9)
T = np.arange(60.0, 81, 4)


def smooth(p):
    x, y, t = np.moveaxis(np.asarray(p), -1, 0)
    return np.stack(
        [2 + np.sin(9 * x + 3) * np.cos(7 * y) + 0.1 * np.sin(t / 6), 1 + x * y + t / 100], axis=-1
    )


def grid(t=T):
    return np.stack(np.meshgrid(X, Y, t, indexing="ij"), axis=-1)


def inside(n, seed=0, t=T):
    rng = np.random.default_rng(seed)
    return rng.uniform([X[0], Y[0], t[0]], [X[-1], Y[-1], t[-1]], (n, 3))


@pytest.fixture(scope="module")
def reference():
    """SciPy's, by a direct solver: its default is iterative and good to 6e-5 only."""
    return RegularGridInterpolator((X, Y, T), smooth(grid()), method="cubic", solver=spsolve)


@pytest.fixture(scope="module")
def spline():
    return LibrarySpline.fit(smooth(grid()), X, Y, T)


def test_interpolates(spline):
    """Exactly the library at its own grid points, the last ones included."""
    points = grid().reshape(-1, 3)
    np.testing.assert_allclose(spline(points), smooth(points), rtol=3e-6)


def test_axes(spline):
    np.testing.assert_allclose(spline.low, [X[0], Y[0], T[0]])
    np.testing.assert_allclose(spline.high, [X[-1], Y[-1], T[-1]])


def test_reproduces_cubics():
    """Every product of cubics in the three axes, anywhere in the library, to float32."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(4, 4, 4))

    def cubic(p):
        u = (p - [X.mean(), Y.mean(), T.mean()]) / [0.2, 0.2, 10]
        powers = [u[..., i, None] ** np.arange(4) for i in range(3)]
        return np.einsum("...a,...b,...c,abc->...", *powers, weights)[..., None]

    points = inside(500)
    got = LibrarySpline.fit(cubic(grid()), X, Y, T)(points)
    np.testing.assert_allclose(got, cubic(points), atol=2e-5 * np.abs(cubic(grid())).max())


def test_scipy(spline, reference):
    """SciPy's cubic interpolator has the same not-a-knot ends."""
    points = inside(300)
    np.testing.assert_allclose(spline(points), reference(points), atol=2e-5)


def test_gradient(spline, reference):
    """Against central differences of a double-precision interpolator."""
    points = inside(50, seed=3) * 0.98 + 0.02 * np.array([X.mean(), Y.mean(), T.mean()])
    values, gradient = spline.with_gradient(points)
    assert gradient.shape == (50, 3, 2)
    np.testing.assert_allclose(values, spline(points))
    for axis, h in enumerate((1e-4, 1e-4, 1e-2)):
        step = np.zeros(3)
        step[axis] = h
        expected = (reference(points + step) - reference(points - step)) / (2 * h)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient[:, axis], expected, atol=1e-4 * scale)


@pytest.mark.parametrize("t", [[60, 64, 67, 75, 80], [60.0, 70, 80], [60.0, 80], [70.0]], ids=len)
def test_any_thicknesses(t):
    """Uneven steps, and few of them: what a polynomial of that order can carry is exact."""
    t = np.asarray(t, dtype=float)
    degree = min(3, len(t) - 1)

    def polynomial(p):
        u = (p[..., 2] - 70) / 10
        return ((1 + p[..., 0]) * (1 + u + u**degree * (degree > 0)))[..., None]

    spline = LibrarySpline.fit(polynomial(grid(t)), X, Y, t)
    points = inside(100, t=t)
    np.testing.assert_allclose(spline(points), polynomial(points), rtol=1e-5, atol=1e-6)
    at_grid = grid(t).reshape(-1, 3)
    np.testing.assert_allclose(spline(at_grid), polynomial(at_grid), rtol=1e-5, atol=1e-6)


def test_uneven_thicknesses_are_smooth():
    """A real thickness dependence on uneven steps is met between them, too."""
    t = np.array([60, 63, 65, 70, 72.5, 77, 80.0])
    points = inside(200)
    got = LibrarySpline.fit(smooth(grid(t)), X, Y, t)(points)
    np.testing.assert_allclose(got, smooth(points), atol=3e-3)
