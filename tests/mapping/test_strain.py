"""Strain maps of known deformations: frame, signs, agreement with pyxem and py4DSTEM, bad input."""

from __future__ import annotations

import hyperspy.api as hs
import numpy as np
import pytest
from pyxem.signals import DiffractionVectors, StrainMap
from scipy.linalg import polar

from pyxem_mlmaps.mapping.strain import strain_map
from pyxem_mlmaps.specs import DiskLattice
from pyxem_mlmaps.strain_result import MLStrainMap

NAMES = ["ky", "kx", "intensity", "sigma_ky", "sigma_kx", "misfit", "h", "k"]
SCALE = np.array([0.02, 0.03])  # Å⁻¹ per pixel along ky and kx: not square
CENTRE = np.array([127.0, 130.0])
CELL = np.array([[0.2, 1.9], [1.6, -0.3]])  # unstrained real lattice in Å, rows a1, a2 as (x, y)
H, K = np.indices((7, 7)).reshape(2, -1) - 3.0
INDICES = np.column_stack([H, K])[np.hypot(H, K) < 3.3]
EXACT = {"rtol": 0, "atol": 1e-10}


def reciprocal(gradient):
    """Rows g1, g2 as (ky, kx) of the cell deformed by F, components (x, y): aᵢ·gⱼ = δᵢⱼ."""
    cell = CELL @ np.asarray(gradient).T
    return np.linalg.inv(cell).T[:, ::-1]


LATTICE = DiskLattice(
    CENTRE, *(reciprocal(np.eye(2)) / SCALE), indices=INDICES.astype(int), radius=5
)


def disks_of(gradient, sigma=0.05, noise=0.0, descan=(0, 0), rng=None, misfit=0.5):
    """(n, 8) rows as ml_disk_positions gives them; σ, noise and descan in pixels."""
    n = len(INDICES)
    sigma = np.broadcast_to(sigma, (n, 2)) * SCALE
    positions = INDICES @ reciprocal(gradient) + np.multiply(descan, SCALE)
    if noise:
        positions = positions + noise * sigma * rng.normal(size=(n, 2))
    columns = [positions, np.full((n, 1), 1e4), sigma, np.full((n, 1), misfit), INDICES]
    return np.concatenate(columns, axis=1)


def signal_of(patterns, columns=None):
    """DiffractionVectors over the scan of an object array, or of one pattern."""
    columns = slice(None) if columns is None else columns
    names = np.array(NAMES)[columns].tolist()
    if isinstance(patterns, list):
        scan = np.empty(len(patterns), dtype=object)
        for i, pattern in enumerate(patterns):
            scan[i] = pattern
        patterns = scan
    if patterns.dtype == object:
        cut = np.empty(patterns.shape, dtype=object)
        for i in np.ndindex(patterns.shape):
            cut[i] = patterns[i][:, columns]
    else:
        cut = patterns[:, columns]
    known = {"ky": (SCALE[0], "1/Å"), "kx": (SCALE[1], "1/Å")}
    offsets = {"ky": -CENTRE[0] * SCALE[0], "kx": -CENTRE[1] * SCALE[1]}
    signal = DiffractionVectors(
        cut,
        column_names=names,
        scales=[known.get(n.removeprefix("sigma_"), (1.0, ""))[0] for n in names],
        offsets=[offsets.get(n, 0.0) for n in names],
        units=[known.get(n.removeprefix("sigma_"), (1.0, ""))[1] for n in names],
    )
    if cut.dtype == object:
        for axis, name in zip(signal.axes_manager.navigation_axes, "xy", strict=False):
            axis.scale, axis.offset, axis.units, axis.name = 2.5, 10.0, "nm", name
    return signal


def field(shape, **options):
    """Vectors, and the deformation gradients that they have: rows of a map that vary smoothly."""
    y, x = np.indices(shape) / 10
    gradients = np.empty((*shape, 2, 2))
    gradients[..., 0, 0] = 1 + 0.02 * y
    gradients[..., 0, 1] = 0.03 * x
    gradients[..., 1, 0] = -0.02 * y
    gradients[..., 1, 1] = 1 - 0.03 * x
    scan = np.empty(shape, dtype=object)
    for i in np.ndindex(shape):
        scan[i] = disks_of(gradients[i], **options)
    return signal_of(scan), gradients


def expected_channels(gradient):
    """e11, e22, e12, θ by SciPy's polar decomposition F = V·R."""
    rotation, stretch = polar(gradient, side="left")
    theta = np.arctan2(rotation[1, 0], rotation[0, 0])
    return stretch[0, 0] - 1, stretch[1, 1] - 1, stretch[0, 1], theta


def turn(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


class TestKnownDeformations:
    """The reference is the unstrained DiskLattice in pixels, the pixels are not square."""

    @pytest.mark.parametrize(
        ("gradient", "channels"),
        [
            (np.diag([1, 1.02]), (0, 0.02, 0, 0)),
            (np.diag([1.02, 1]), (0.02, 0, 0, 0)),
            ([[1, 0.01], [0.01, 1]], (0, 0, 0.01, 0)),
            (turn(5), (0, 0, 0, np.radians(5))),
            (np.diag([1.02, 0.99]) @ turn(30), (0.02, -0.01, 0, np.radians(30))),
        ],
        ids=["tension along ky", "tension along kx", "shear", "turn kx to ky", "turn, then draw"],
    )
    def test_by_hand(self, gradient, channels):
        strain = strain_map(signal_of([disks_of(gradient)]), LATTICE)
        np.testing.assert_allclose(strain.data[:, 0, 0], channels, **EXACT)

    def test_positive_rotation_moves_disks_from_kx_towards_ky(self):
        """A disk on the kx axis moves down the screen, to larger ky."""
        pattern = disks_of(turn(1.0))
        right = np.flatnonzero((disks_of(np.eye(2))[:, 1] > 0.5) & (INDICES[:, 0] == 0))
        assert len(right) and np.all(pattern[right, 0] > disks_of(np.eye(2))[right, 0])
        assert strain_map(signal_of([pattern]), LATTICE).rotation.data[0] == pytest.approx(1.0)

    def test_simple_shear_is_half_rotation(self):
        strain = strain_map(signal_of([disks_of([[1, 0.02], [0, 1]])]), LATTICE)
        channels = strain.data[:, 0, 0]
        np.testing.assert_allclose(channels[2:], [0.01, -0.01], atol=2e-4)
        np.testing.assert_allclose(channels, expected_channels([[1, 0.02], [0, 1]]), **EXACT)

    def test_random(self):
        rng = np.random.default_rng(0)
        gradients = np.eye(2) + rng.uniform(-0.05, 0.05, (20, 2, 2))
        strain = strain_map(signal_of([disks_of(f) for f in gradients]), LATTICE)
        expected = np.transpose([expected_channels(f) for f in gradients])
        np.testing.assert_allclose(strain.data[:, 0], expected, **EXACT)

    def test_descan_does_not_matter(self):
        rng = np.random.default_rng(1)
        f = [[1.01, 0.004], [-0.002, 0.99]]
        still = signal_of([disks_of(f, noise=1, rng=np.random.default_rng(2))])
        moved = signal_of(
            [disks_of(f, noise=1, rng=np.random.default_rng(2), descan=rng.uniform(-20, 20, 2))]
        )
        a, b = strain_map(still, LATTICE), strain_map(moved, LATTICE)
        np.testing.assert_allclose(a.data, b.data, **EXACT)
        np.testing.assert_allclose(a.sigma.data, b.sigma.data, rtol=1e-9)


class TestAxes:
    vectors, gradients = field((3, 4), noise=1, rng=np.random.default_rng(3))

    @pytest.mark.parametrize("angle", [90.0, 30.0, -120.0])
    def test_tensor_is_turned(self, angle):
        plain, turned = strain_map(self.vectors), strain_map(self.vectors, axis=angle)
        q = turn(angle)
        e = np.array([[plain.e11.data, plain.e12.data], [plain.e12.data, plain.e22.data]])
        e = np.einsum("ia,ij...,jb->ab...", q, e, q)
        expected = [e[0, 0], e[1, 1], e[0, 1], plain.theta.data]
        np.testing.assert_allclose(turned.data, expected, **EXACT)
        np.testing.assert_allclose(turned.current_basis_x, q[:, 0])

    def test_tension_along_the_axis(self):
        f = turn(25) @ np.diag([1.03, 1.0]) @ turn(-25)
        strain = strain_map(signal_of([disks_of(f)]), LATTICE, axis=25)
        np.testing.assert_allclose(strain.data[:, 0, 0], [0.03, 0, 0, 0], **EXACT)

    def test_along_a_lattice_vector(self):
        y, x = np.array([1, 2]) @ reciprocal(np.eye(2))
        angle = np.degrees(np.arctan2(y, x))
        along = strain_map(self.vectors, LATTICE, axis=(1, 2))
        np.testing.assert_allclose(
            along.data, strain_map(self.vectors, LATTICE, axis=angle).data, **EXACT
        )

    def test_trace_and_its_uncertainty_are_invariant(self):
        maps = [strain_map(self.vectors, axis=angle) for angle in (0, 17, 60)]
        traces = [m.e11.data + m.e22.data for m in maps]
        variances = [m.covariance[0, 0] + m.covariance[1, 1] + 2 * m.covariance[0, 1] for m in maps]
        for trace, variance in zip(traces[1:], variances[1:], strict=True):
            np.testing.assert_allclose(trace, traces[0], **EXACT)
            np.testing.assert_allclose(variance, variances[0], rtol=1e-9)

    def test_rotate_strain_basis(self):
        """As asked for at once, as pyxem turns it, and back."""
        plain = strain_map(self.vectors)
        x_new = turn(40)[:, 0].tolist()
        turned = plain.rotate_strain_basis(x_new)
        assert type(turned) is MLStrainMap
        at_once = strain_map(self.vectors, axis=40)
        np.testing.assert_allclose(turned.data, at_once.data, **EXACT)
        np.testing.assert_allclose(turned.covariance, at_once.covariance, rtol=1e-9, atol=1e-18)
        by_pyxem = StrainMap(plain.data).rotate_strain_basis(x_new)
        np.testing.assert_allclose(turned.data, by_pyxem.data, **EXACT)
        back = turned.rotate_strain_basis([1, 0])
        np.testing.assert_allclose(back.data, plain.data, **EXACT)
        np.testing.assert_array_equal(back.n_disks.data, plain.n_disks.data)
        assert turned.axes_manager.signal_axes[0].units == "nm"

    @pytest.mark.parametrize("x_new", [(0, 0), (1, np.nan), (1, 2, 3)])
    def test_bad_basis(self, x_new):
        with pytest.raises(ValueError, match="x_new="):
            strain_map(self.vectors).rotate_strain_basis(x_new)


class TestOtherPackages:
    """The same noisy vectors, all weights equal: the fits are then the same least squares."""

    def make(self):
        # noise and weights equal along ky and kx in Å⁻¹, as pyxem and py4DSTEM have them
        return field((3, 4), sigma=0.02 / SCALE, noise=0.01, rng=np.random.default_rng(4))[0]

    def ours(self, vectors):
        return strain_map(vectors, LATTICE, sigma_floor=0).data

    def positions(self):
        return INDICES @ reciprocal(np.eye(2))

    @pytest.mark.parametrize("columns", [[1, 0], [0, 1]], ids=["kx, ky", "ky, kx (default)"])
    def test_pyxem(self, columns):
        vectors = self.make()
        e11, e22, e12, theta = self.ours(vectors)
        unstrained = np.pad(self.positions(), ((0, 0), (0, 6)))
        from pyxem.generators.displacement_gradient_tensor_generator import (
            get_DisplacementGradientMap,
        )

        table = np.stack([np.stack(list(row)) for row in vectors.data])
        signal = hs.signals.Signal2D(table)
        pyxem_map = get_DisplacementGradientMap(signal, unstrained, columns=columns)
        p11, p22, p12, p_theta = pyxem_map.get_strain_maps().data
        if columns == [0, 1]:
            p11, p22, p_theta = p22, p11, -p_theta
        determinant = (1 + e11) * (1 + e22) - e12**2
        np.testing.assert_allclose(p11, e11 - e12**2 / (1 + e22), **EXACT)
        np.testing.assert_allclose(p22, e22 - e12**2 / (1 + e11), **EXACT)
        np.testing.assert_allclose(p12, -e12 / determinant, **EXACT)
        np.testing.assert_allclose(p_theta, theta, **EXACT)
        assert min(np.abs(v).max() for v in (e11, e22, e12, theta)) > 3e-3

    def test_pyxem_to_the_last_digit(self):
        """Without noise, through pyxem's own method on the same signal."""
        vectors, _ = field((3, 4))
        e11, e22, e12, theta = self.ours(vectors)
        basis = np.pad(self.positions(), ((0, 0), (0, 6)))
        pyxem_map = vectors.get_strain_maps(basis, distance=0.2, columns=[0, 1])
        assert isinstance(pyxem_map, StrainMap)
        p22, p11, p12, minus_theta = pyxem_map.data
        np.testing.assert_allclose(p11, e11 - e12**2 / (1 + e22), **EXACT)
        np.testing.assert_allclose(p22, e22 - e12**2 / (1 + e11), **EXACT)
        np.testing.assert_allclose(p12, -e12 / ((1 + e11) * (1 + e22) - e12**2), **EXACT)
        np.testing.assert_allclose(-minus_theta, theta, **EXACT)

    def test_layout_is_pyxems(self):
        vectors, _ = field((3, 4))
        basis = np.pad(self.positions(), ((0, 0), (0, 6)))
        theirs = vectors.get_strain_maps(basis, distance=0.2)
        ours = strain_map(vectors)
        assert isinstance(ours, StrainMap)
        assert ours.data.shape == theirs.data.shape
        for a, b in zip(
            ours.axes_manager.signal_axes, theirs.axes_manager.signal_axes, strict=True
        ):
            assert (a.name, a.scale, a.offset, a.units) == (b.name, b.scale, b.offset, b.units)

    def test_py4dstem(self):
        pytest.importorskip("py4DSTEM", reason="the oracle of this test")
        from emdfile import PointListArray
        from py4DSTEM.process.strain import latticevectors

        vectors = self.make()
        peaks = PointListArray(
            dtype=[(n, float) for n in ("qx", "qy", "intensity", "g1_ind", "g2_ind")], shape=(3, 4)
        )
        for i in np.ndindex(3, 4):
            peaks[i].add_data_by_field(vectors.data[i].T[[0, 1, 2, 6, 7]])
        fitted = latticevectors.fit_lattice_vectors_all_DPs(peaks)
        result = latticevectors.get_strain_from_reference_g1g2(fitted, *reciprocal(np.eye(2)))
        e_xx, e_yy, e_xy, theirs = (
            result.get_slice(n).data for n in ("e_xx", "e_yy", "e_xy", "theta")
        )
        e11, e22, e12, theta = self.ours(vectors)
        first_order = {"rtol": 0, "atol": 2e-3}
        np.testing.assert_allclose(e_yy, e11, **first_order)
        np.testing.assert_allclose(e_xx, e22, **first_order)
        np.testing.assert_allclose(e_xy, e12, **first_order)
        np.testing.assert_allclose(theirs, theta, **first_order)
        assert min(np.abs(v).max() for v in (e11, e22, e12, theta)) > 3e-3
        # and exactly, from F⁻ᵀ of ours
        stretch = np.moveaxis(np.array([[1 + e11, e12], [e12, 1 + e22]]), (0, 1), (2, 3))
        c, s = np.cos(theta), np.sin(theta)
        rotation = np.moveaxis(np.array([[c, -s], [s, c]]), (0, 1), (2, 3))
        d = np.swapaxes(np.linalg.inv(stretch @ rotation), -1, -2)
        np.testing.assert_allclose(e_yy, 1 - d[..., 0, 0], **EXACT)
        np.testing.assert_allclose(e_xx, 1 - d[..., 1, 1], **EXACT)
        np.testing.assert_allclose(e_xy, -(d[..., 0, 1] + d[..., 1, 0]) / 2, **EXACT)
        np.testing.assert_allclose(theirs, (d[..., 1, 0] - d[..., 0, 1]) / 2, **EXACT)


class TestUncertainty:
    @pytest.mark.parametrize("spread", [1.0, 10.0], ids=["equal", "unequal"])
    @pytest.mark.parametrize("axis", [0, 35])
    def test_sigma_is_the_scatter(self, spread, axis):
        """Monte Carlo at a strained, turned lattice, from positions to every channel."""
        rng = np.random.default_rng(6)
        f = turn(8) @ np.array([[1.02, 0.01], [0.01, 0.97]])
        patterns = []
        for _ in range(3000):
            sigma = 0.2 * np.exp(-rng.uniform(0, np.log(spread), (len(INDICES), 2)))
            patterns.append(disks_of(f, sigma=sigma, noise=1, rng=rng))
        strain = strain_map(signal_of(patterns), LATTICE, axis=axis, sigma_floor=0)
        truth = strain_map(signal_of([disks_of(f)]), LATTICE, axis=axis).data
        pull = (strain.data - truth)[:, 0] / strain.sigma.data[:, 0]
        np.testing.assert_allclose(pull.std(axis=1), 1, atol=0.06)
        assert np.abs(pull.mean(axis=1)).max() < 0.06, "no bias"
        scatter = np.corrcoef((strain.data - truth)[:, 0])
        stated = strain.covariance[:, :, 0].mean(axis=-1)
        root = np.sqrt(np.diag(stated))
        np.testing.assert_allclose(scatter, stated / np.outer(root, root), atol=0.06)

    def test_weights_make_sigma_smaller(self):
        rng = np.random.default_rng(7)
        sigma = np.exp(rng.uniform(np.log(0.01), np.log(0.2), (len(INDICES), 2)))
        vectors = signal_of([disks_of(np.eye(2), sigma=sigma, noise=1, rng=rng)])
        weighted = strain_map(vectors, LATTICE)
        equal = strain_map(signal_of(vectors.data, columns=[0, 1, 6, 7]), LATTICE)
        assert np.all(weighted.sigma.data < 0.7 * equal.sigma.data)

    def test_floor(self):
        """0.2 px of systematic error count as much as 0.2 px of noise."""
        small, large = (signal_of([disks_of(np.eye(2), sigma=s)]) for s in (1e-6, 0.2))
        floored = strain_map(small, LATTICE, sigma_floor=0.2)
        expected = strain_map(large, LATTICE, sigma_floor=0)
        np.testing.assert_allclose(floored.sigma.data, expected.sigma.data, rtol=1e-6)

    def test_residual_is_in_pixels(self):
        rng = np.random.default_rng(8)
        patterns = [disks_of(np.eye(2), sigma=0.3, noise=1, rng=rng) for _ in range(400)]
        residual = strain_map(signal_of(patterns)).residual.data
        n = len(INDICES)
        np.testing.assert_allclose(
            np.sqrt(np.mean(residual**2)), 0.3 * np.sqrt(1 - 3 / n), rtol=0.02
        )


class TestDisks:
    f = np.array([[1.01, 0.005], [0.0, 0.98]])

    def test_one_wrong_disk(self):
        pattern = disks_of(self.f, noise=1, rng=np.random.default_rng(9))
        expected = strain_map(signal_of([np.delete(pattern, 11, axis=0)]), LATTICE)
        pattern[11, :2] += (0.3, -0.2)
        strain = strain_map(signal_of([pattern]), LATTICE)
        np.testing.assert_allclose(strain.data, expected.data, **EXACT)
        assert strain.n_disks.data[0] == len(INDICES) - 1

    def test_misfit_above_one_is_dropped(self):
        pattern = disks_of(self.f, noise=1, rng=np.random.default_rng(10))
        expected = strain_map(signal_of([pattern[5:]]), LATTICE)
        pattern[:5, 5] = (1.01, 3, np.nan, np.inf, 20)
        strain = strain_map(signal_of([pattern]), LATTICE)
        np.testing.assert_allclose(strain.data, expected.data, **EXACT)
        everything = strain_map(signal_of([pattern]), LATTICE, max_misfit=None)
        assert everything.n_disks.data[0] == len(INDICES)

    def test_absent_disks_are_rows_of_nan_or_no_rows(self):
        pattern = disks_of(self.f, noise=1, rng=np.random.default_rng(11))
        absent = pattern.copy()
        absent[::4, [0, 1, 3, 4]] = np.nan
        dropped = np.delete(pattern, slice(None, None, 4), axis=0)
        a, b = strain_map(signal_of([absent, dropped]), LATTICE).data[:, 0].T
        np.testing.assert_allclose(a, b, **EXACT)

    def test_points_without_answer_are_nan_and_counted(self):
        good = disks_of(self.f)
        line = good[INDICES[:, 1] == 0]
        vectors = signal_of([good, good[:2], line, good[:0], good])
        with pytest.warns(UserWarning, match="3 of 5 scan points"):
            strain = strain_map(vectors)
        for image in (strain.data[0], strain.sigma.data[0], strain.residual.data):
            np.testing.assert_array_equal(np.isnan(image.ravel()), [0, 1, 1, 1, 0])
        np.testing.assert_array_equal(strain.n_disks.data[1:4], 0)

    def test_nothing_at_all(self):
        with pytest.warns(UserWarning, match="2 of 2"):
            strain = strain_map(signal_of([disks_of(self.f)[:0]] * 2), LATTICE)
        assert np.isnan(strain.data).all()


class TestReference:
    """Which points make the reference: ``test_strain_reference.py``."""

    vectors, gradients = field((6, 8))

    def test_strain_is_relative_to_the_reference(self):
        mask = np.zeros((6, 8), dtype=bool)
        mask[2, 3] = True
        relative = self.gradients @ np.linalg.inv(self.gradients[2, 3])
        expected = [[expected_channels(relative[i, j]) for j in range(8)] for i in range(6)]
        strain = strain_map(self.vectors, mask)
        np.testing.assert_allclose(strain.data, np.moveaxis(expected, 2, 0), **EXACT)
        roi = hs.roi.RectangularROI(left=17.5, top=15, right=20, bottom=17.5)
        np.testing.assert_array_equal(strain_map(self.vectors, roi).data, strain.data)

    def test_median_is_the_default(self):
        strain = strain_map(self.vectors)
        basis = np.median([reciprocal(f) for f in self.gradients.reshape(-1, 2, 2)], axis=0)
        np.testing.assert_allclose([strain.reference["g1"], strain.reference["g2"]], basis)
        given = strain_map(self.vectors, basis)
        np.testing.assert_allclose(strain.data, given.data, **EXACT)

    def test_lattice_in_pixels_is_lattice_vectors_in_units(self):
        given = strain_map(self.vectors, reciprocal(np.eye(2)))
        np.testing.assert_allclose(strain_map(self.vectors, LATTICE).data, given.data, **EXACT)

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            (np.zeros((6, 7), dtype=bool), r"\(6, 7\)"),
            (reciprocal(np.eye(2))[::-1], "mirrored"),
            (2 * reciprocal(np.eye(2)), "30 %"),
            (-reciprocal(np.eye(2)), "turned by more than 45°"),
            (np.ones((6, 8), dtype=int), r"astype\(bool\)"),
            ([[1, 2], [3]], "ragged"),
        ],
    )
    def test_bad_reference(self, reference, message):
        with pytest.raises(ValueError, match=message):
            strain_map(self.vectors, reference)


class TestForeignVectors:
    """Peaks of another program: (ky, kx[, intensity]), unindexed, unordered, some missing."""

    def make(self, rng, columns=(0, 1), noise=0.0):
        """Columns under names that say nothing, calibrated, no σ."""
        gradients = np.eye(2) + rng.uniform(-0.02, 0.02, (12, 2, 2))
        patterns = []
        for f in gradients:
            rows = disks_of(f, sigma=0.05, noise=noise, descan=rng.uniform(-6, 6, 2), rng=rng)
            keep = rng.permutation(len(rows))[:25]
            patterns.append(rows[keep])
        signal = signal_of(patterns, columns=list(columns))
        signal.column_names = ["a", "b", "intensity"][: len(columns)]
        return signal, np.transpose([expected_channels(f) for f in gradients])

    @pytest.mark.parametrize("columns", [(0, 1), (0, 1, 2)])
    def test_exact(self, columns):
        vectors, expected = self.make(np.random.default_rng(12), columns)
        strain = strain_map(vectors, LATTICE)
        np.testing.assert_allclose(strain.data[:, 0], expected, **EXACT)
        np.testing.assert_array_equal(strain.n_disks.data, 25)

    def test_false_peaks(self):
        rng = np.random.default_rng(13)
        vectors, expected = self.make(rng, noise=1)
        for i in range(12):
            false = rng.uniform(-1.5, 1.5, (4, 2))
            vectors.data[i] = np.vstack([vectors.data[i], false])
        strain = strain_map(vectors, LATTICE)
        error = strain.data[:, 0] - expected
        assert np.abs(error / strain.sigma.data[:, 0]).max() < 5

    def test_lattice_and_reference_may_differ(self):
        vectors, _ = self.make(np.random.default_rng(14))
        strain = strain_map(vectors, reference="median", lattice=LATTICE)
        assert np.abs(np.median(strain.data[:, 0], axis=1)).max() < 2e-3

    def test_pixels_without_calibration(self):
        vectors, expected = self.make(np.random.default_rng(15))
        scan = np.empty(12, dtype=object)
        for i in range(12):
            scan[i] = vectors.data[i] * 30 / 0.6
        lattice = DiskLattice((0, 0), *(reciprocal(np.eye(2)) * 30 / 0.6), INDICES.astype(int), 5)
        strain = strain_map(DiffractionVectors(scan), lattice)
        np.testing.assert_allclose(strain.data[:, 0], expected, **EXACT)

    def test_pyxem_from_peaks(self):
        """Positions in pixels, calibrated by pyxem's own constructor."""
        vectors, expected = self.make(np.random.default_rng(16))
        peaks = np.empty(12, dtype=object)
        for i in range(12):
            peaks[i] = vectors.data[i] / SCALE + CENTRE
        peaks = hs.signals.BaseSignal(peaks, ragged=True)
        made = DiffractionVectors.from_peaks(peaks, center=CENTRE, calibration=SCALE)
        strain = strain_map(made, LATTICE)
        np.testing.assert_allclose(strain.data[:, 0], expected, **EXACT)

    def test_needs_a_lattice(self):
        vectors, _ = self.make(np.random.default_rng(17))
        with pytest.raises(ValueError, match="give lattice="):
            strain_map(vectors)


class TestScans:
    def test_no_scan_dimension(self):
        """One pattern: a plain (n, 8) array, and what inav gives."""
        pattern = disks_of(np.diag([1, 1.02]))
        plain = strain_map(signal_of(pattern), LATTICE)
        picked = strain_map(signal_of([pattern, pattern]).inav[1], LATTICE)
        for strain in (plain, picked):
            assert strain.data.shape == (4, 1, 1)
            assert strain.e22.data.shape == (1,)
            assert strain.e22.data[0] == pytest.approx(0.02, abs=1e-10)

    def test_line(self):
        vectors, gradients = field((3, 4))
        strain = strain_map(vectors.inav[:, 1], LATTICE)
        area = strain_map(vectors, LATTICE)
        np.testing.assert_allclose(strain.data[:, 0], area.data[:, 1], **EXACT)
        assert strain.e11.axes_manager.signal_axes[0].units == "nm"
        assert strain.e11.data.shape == strain.sigma.data.shape[2:] == (4,)

    def test_arrays_that_are_not_ragged(self):
        vectors, _ = field((3, 4))
        table = np.stack([np.stack(list(row)) for row in vectors.data])
        plain = DiffractionVectors(
            table, column_names=NAMES, scales=vectors.scales, offsets=vectors.offsets
        )
        np.testing.assert_allclose(strain_map(plain).data, strain_map(vectors).data, **EXACT)

    @pytest.mark.parametrize("chunks", [(2, 3), (5, 1)])
    def test_lazy_is_eager(self, chunks):
        vectors, _ = field((5, 7), noise=1, rng=np.random.default_rng(18))
        lazy = vectors.as_lazy()
        lazy.data = lazy.data.rechunk(chunks)
        a, b = strain_map(lazy, num_workers=2), strain_map(vectors)
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.covariance, b.covariance)
        assert not a._lazy

    def test_lazy_output(self):
        vectors, _ = field((3, 4))
        strain = strain_map(vectors, lazy_output=True)
        assert strain._lazy
        expected = strain_map(vectors)
        np.testing.assert_array_equal(strain.e11.data.compute(), expected.e11.data)
        np.testing.assert_array_equal(strain.sigma.data, expected.sigma.data)

    def test_calibration_and_provenance(self):
        vectors, _ = field((3, 4))
        vectors.metadata.General.title = "device"
        vectors.metadata.set_item("MLDiskPositions", {"card": {"name": "disks"}})
        strain = strain_map(vectors, axis=(1, 0))
        x, y = strain.axes_manager.signal_axes
        assert (x.name, x.scale, x.offset, x.units, x.size) == ("x", 2.5, 10.0, "nm", 4)
        assert (y.name, y.size) == ("y", 3)
        assert strain.metadata.General.title == "Strain of device"
        assert strain.metadata.MLDiskPositions.card.name == "disks"
        assert strain.reference["units"] == "1/Å"
        assert set(strain.metadata.MLStrainMap.versions.as_dictionary()) == {
            "pyxem_mlmaps", "hyperspy", "pyxem",
        }  # fmt: skip


class TestBadInput:
    vectors, _ = field((2, 2))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"axis": "x"}, "axis="),
            ({"axis": (0, 0)}, "axis="),
            ({"axis": (0.5, 1)}, "axis="),
            ({"axis": np.nan}, "axis="),
            ({"max_misfit": -1}, "max_misfit="),
            ({"sigma_floor": -0.1}, "sigma_floor="),
            ({"sigma_floor": np.nan}, "sigma_floor="),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            strain_map(self.vectors, **options)

    @pytest.mark.parametrize("name", ["max_misfit", "sigma_floor"])
    def test_numbers_are_numbers(self, name):
        with pytest.raises(TypeError, match=f"{name}='a'"):
            strain_map(self.vectors, **{name: "a"})

    def test_polar_and_flattened_vectors_are_refused(self):
        """Their first columns are no positions; strain of them would look like strain."""
        with pytest.raises(ValueError, match="polar.*'r'"):
            strain_map(self.vectors.to_polar())
        with pytest.raises(ValueError, match="flattened"):
            strain_map(self.vectors.flatten_diffraction_vectors())

    def test_unit_given_once(self):
        vectors = DiffractionVectors(self.vectors.data, column_names=NAMES, units="nm^-1")
        assert strain_map(vectors).reference["units"] == "nm^-1"

    def test_types(self):
        with pytest.raises(TypeError, match="ndarray.*DiffractionVectors"):
            strain_map(np.zeros((3, 8)))
        with pytest.raises(TypeError, match="lattice is a tuple"):
            strain_map(self.vectors, lattice=(1, 2))

    def test_three_scan_dimensions(self):
        scan = np.empty((2, 2, 2), dtype=object)
        for i in np.ndindex(2, 2, 2):
            scan[i] = disks_of(np.eye(2))
        with pytest.raises(ValueError, match="3 scan dimensions"):
            strain_map(DiffractionVectors(scan, column_names=NAMES))

    def test_patterns_of_different_columns(self):
        scan = np.empty(2, dtype=object)
        scan[0], scan[1] = disks_of(np.eye(2)), disks_of(np.eye(2))[:, :5]
        with pytest.raises(ValueError, match="the same columns"):
            strain_map(DiffractionVectors(scan, column_names=NAMES))
