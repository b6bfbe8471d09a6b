"""The lattice of disks found on synthetic patterns whose truth is known."""

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.special import erfc

from pyxem_mlmaps.mapping.lattice import (
    LatticeTemplate,
    find_lattice,
    find_lattice_candidates,
    in_plane_indices,
)
from pyxem_mlmaps.mapping.lattice_fit import reduce_basis
from pyxem_mlmaps.mapping.mean_pattern import units_to_inverse_angstrom


def vectors(first, second, angle, rotation):
    """g1 and g2 as (y, x) from lengths in px and angles in degrees."""
    a, b = np.radians([rotation, rotation + angle])
    return np.array(
        [(first * np.sin(a), first * np.cos(a)), (second * np.sin(b), second * np.cos(b))]
    )


def render(shape, origin, basis, radius, seed=0, absent=3, dose=1e8, intensity=None):
    """Disks 1000:1 in intensity with fringes and soft edges, on an inelastic background."""
    rng = np.random.default_rng(seed)
    origin = np.asarray(origin, dtype=float)
    y, x = np.indices(shape)
    distance = np.hypot(y - origin[0], x - origin[1])
    image = 0.02 * np.exp(-distance / (0.2 * min(shape))) + 4e-4
    grid = np.mgrid[-20:21, -20:21].reshape(2, -1).T
    centres = origin + grid @ basis
    grid = grid[np.all((centres > -radius) & (centres < np.array(shape) + radius), axis=1)]
    missing = rng.choice(len(grid), absent, replace=False)
    for k, index in enumerate(grid):
        height = 10 ** (-3 * rng.random())
        height = 1.5 if not index.any() else height * (k not in missing)
        height = height if intensity is None else intensity(*index)
        angle, period, phase = rng.random(3) * (2 * np.pi, 1.5 * radius, 2 * np.pi)
        centre = origin + index @ basis
        window = tuple(
            slice(max(int(c - radius - 6), 0), max(int(c + radius + 7), 0)) for c in centre
        )
        dy, dx = y[window] - centre[0], x[window] - centre[1]
        wave = 2 * np.pi * (dy * np.sin(angle) + dx * np.cos(angle)) / (period + 0.7 * radius)
        edge = 0.5 * erfc((np.hypot(dy, dx) - radius) / (np.sqrt(2) * 0.8))
        image[window] += height * (1 + 0.5 * np.cos(wave + phase)) * edge
    return rng.poisson(image * dose / image.sum()).astype(float)


def error(lattice, origin, basis):
    """Rms over the lattice's disks of the distance to the nearest true lattice point, px."""
    index = np.round((lattice.positions - origin) @ np.linalg.inv(basis))
    return np.sqrt(np.mean((lattice.positions - origin - index @ basis) ** 2))


def lopsided(h, k):
    """Intensities without any symmetry."""
    return np.exp(-0.15 * (h * h + k * k)) * (1.2 + 0.5 * np.tanh(h) + 0.3 * np.tanh(k - 0.5 * h))


@pytest.mark.parametrize(
    ("shape", "radius", "first", "second", "angle", "rotation"),
    [
        ((256, 256), 4, 20, 24, 80, 17),
        ((256, 256), 7, 21, 27, 109, 200),
        ((160, 288), 7, 30, 33, 71, 75),
        ((256, 256), 12, 36, 36, 60, 7),
        ((256, 256), 12, 40, 40, 90, 31),
        ((256, 256), 20, 52, 60, 95, 280),
    ],
)
def test_lattice_without_template(shape, radius, first, second, angle, rotation):
    basis = vectors(first, second, angle, rotation)
    origin = np.array(shape) / 2 + (1.37, -2.61)
    lattice = find_lattice(render(shape, origin, basis, radius, seed=radius))
    assert abs(abs(np.linalg.det(lattice.basis @ np.linalg.inv(basis))) - 1) < 0.01
    assert np.hypot(*(lattice.origin - origin)) < 0.08
    few = len(lattice) < 15  # fringes in ten disks do not average out
    assert error(lattice, origin, basis) < (0.1 if few else 0.05)
    assert abs(lattice.radius / radius - 1) < 0.05
    g1, g2 = lattice.basis
    assert np.hypot(*g1) <= 1.011 * np.hypot(*g2)
    assert g1[1] * g2[0] - g1[0] * g2[1] > 0
    assert abs(g1 @ g2) <= 0.52 * np.hypot(*g1) * np.hypot(*g2)


def test_rotating_and_moving_the_pattern_does_so_with_the_lattice():
    basis = vectors(33, 41, 84, 12)
    pattern = render((200, 200), (98.3, 101.2), basis, 8)
    lattice = find_lattice(pattern, radius=8)
    turned = find_lattice(np.rot90(pattern), radius=8)  # (y, x) becomes (199 - x, y)
    there = np.stack([199 - lattice.positions[:, 1], lattice.positions[:, 0]], axis=1)
    assert np.max(np.min(np.hypot(*(there[:, None] - turned.positions).T), axis=0)) < 0.02
    moved = find_lattice(np.pad(pattern, ((5, 0), (0, 9)), mode="edge"), radius=8)
    assert np.allclose(moved.origin, np.array(lattice.origin) + (5, 0), atol=0.05)
    assert np.allclose(moved.basis, lattice.basis, atol=0.03)


def test_most_intense_disks():
    basis = vectors(33, 41, 84, 12)
    pattern = render((200, 200), (98.3, 101.2), basis, 8, intensity=lopsided)
    lattice = find_lattice(pattern, n_disks=5)
    assert len(lattice) == 5
    assert (0, 0) in {tuple(i) for i in lattice.indices}
    with pytest.raises(ValueError, match="n_disks=500"):
        find_lattice(pattern, n_disks=500)


def make_template(basis, scale):
    indices = np.array([(h, k) for h in (-1, 0, 1, 2) for k in (-1, 0, 1)])
    return LatticeTemplate(indices, indices @ basis * scale, [lopsided(*i) for i in indices])


@pytest.mark.parametrize(("rotation", "angle"), [(0, 90), (33, 84), (170, 70.5), (263, 90)])
def test_template_finds_rotation_and_half_turn(rotation, angle):
    flat = vectors(34, 34 if angle == 90 else 40, angle, 0)
    basis = vectors(34, 34 if angle == 90 else 40, angle, rotation) * 1.01
    pattern = render((256, 256), (126.2, 130.7), basis, 8, intensity=lopsided)
    template = make_template(flat, 0.01)
    signal = hs.signals.Signal2D(pattern)
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.1, "1/nm"
    found = find_lattice_candidates(signal, template)
    lattice = found[0][0]
    assert len(found) == (4 if angle == 90 else 2)
    assert found[0][1] > 0.9 > found[1][1]
    assert np.array_equal(lattice.indices, template.indices)
    assert np.allclose(lattice.origin, (126.2, 130.7), atol=0.08)
    assert np.allclose(lattice.basis, basis, atol=0.05)


def test_mirrored_pattern_needs_mirror():
    flat = vectors(34, 40, 78, 0)
    basis = vectors(34, 40, 78, 25) * (1, -1)
    pattern = render((256, 256), (126.2, 130.7), basis, 8, intensity=lopsided)
    lattice = find_lattice(pattern, make_template(flat, 1.0), mirror=True)
    assert np.allclose(lattice.basis, basis, atol=0.05)


def test_miller_indices_and_objects_with_a_template():
    flat = vectors(34, 40, 84, 0)
    plain = make_template(flat, 0.01)
    miller = plain.indices @ [(1, -1, 1), (0, 0, 2)]

    class Model:
        def lattice_template(self):
            return LatticeTemplate(miller, plain.vectors, plain.mean_intensity)

    pattern = render((256, 256), (126.2, 130.7), flat, 8, intensity=lopsided)
    lattice = find_lattice(pattern, Model())
    assert lattice == find_lattice_candidates(pattern, Model())[0][0]
    assert np.allclose(lattice.positions, (126.2, 130.7) + plain.indices @ flat, atol=0.1)


def test_wrong_calibration_names_both_spacings():
    flat = vectors(34, 40, 84, 0)
    signal = hs.signals.Signal2D(render((256, 256), (126, 130), flat, 8, intensity=lopsided))
    for axis in signal.axes_manager.signal_axes:
        axis.scale, axis.units = 0.008, r"$\AA^{-1}$"
    with pytest.raises(ValueError, match=r"Expected is a spacing .* px were measured"):
        find_lattice(signal, make_template(flat, 0.01))


def test_lazy_equals_eager_and_the_radius_from_metadata():
    pattern = render((128, 128), (64.3, 62.1), vectors(26, 30, 84, 12), 7.0, dose=1e7)
    stack = np.random.default_rng(1).poisson(pattern / 4, (3, 4, 128, 128)).astype(np.uint16)
    eager = hs.signals.Signal2D(stack)
    lazy = hs.signals.Signal2D(da.from_array(stack, chunks=(2, 2, 128, 128))).as_lazy()
    for signal in (eager, lazy):
        for axis in signal.axes_manager.signal_axes:
            axis.scale, axis.units = 0.2, "mrad"
        node = "Acquisition_instrument.TEM."
        signal.metadata.set_item(node + "beam_energy", 300)
        signal.metadata.set_item(node + "convergence_angle", 1.4)
    found = find_lattice(eager, show_progressbar=False)
    assert found == find_lattice(lazy, show_progressbar=False)
    assert found.radius == pytest.approx(7.0)
    few = find_lattice(eager, max_patterns=2)
    assert np.allclose(few.basis, found.basis, atol=0.1)
    eager.metadata.set_item(node + "convergence_angle", 1.8)
    with pytest.warns(UserWarning, match="9.00 px follow from the metadata"):
        find_lattice(eager)


def test_in_plane_indices():
    miller = np.array([(0, 0, 0), (1, -1, 1), (-1, 1, 1), (0, 0, 2), (2, -2, 0), (1, -1, -1)])
    positions = miller @ np.array([(0, 0.5), (0, -0.5), (0.7, 0)])
    indices, basis = in_plane_indices(miller, positions)
    assert np.allclose(indices @ basis, positions)
    assert abs(np.linalg.det(basis)) == pytest.approx(1.4)
    assert np.hypot(*basis[0]) == pytest.approx(np.hypot(0.7, 1))
    again = in_plane_indices(miller[::-1], positions[::-1])
    assert np.allclose(again[1], basis)
    kept, solved = in_plane_indices(indices, positions)
    assert np.array_equal(kept, indices)
    assert np.allclose(solved, basis)
    with pytest.raises(ValueError, match="higher Laue zones"):
        in_plane_indices(np.vstack([miller, (1, 0, 0)]), np.vstack([positions, (0.1, 0.5)]))
    moved = positions.copy()
    moved[4] += 0.1
    with pytest.raises(ValueError, match="off the lattice"):
        in_plane_indices(indices, moved)


def test_reduced_basis_is_the_same_from_any_basis():
    basis = vectors(30, 37, 100, 41)
    expected = reduce_basis(basis)
    for matrix in ([(2, 1), (1, 1)], [(1, 0), (5, 1)], [(0, 1), (1, 0)], [(-1, 3), (0, -1)]):
        assert np.allclose(reduce_basis(np.array(matrix) @ basis), expected)


def test_errors():
    basis = vectors(33, 41, 84, 12)
    pattern = render((128, 128), (63.3, 61.2), basis, 8)
    with pytest.raises(ValueError, match="radius=90"):
        find_lattice(pattern, radius=90)
    with pytest.raises(ValueError, match="overlap"):
        find_lattice(render((128, 128), (63.3, 61.2), basis, 14), radius=17)
    with pytest.raises(ValueError, match="constant"):
        find_lattice(np.ones((64, 64)))
    with pytest.raises(ValueError, match=r"shape \(2, 64, 64\)"):
        find_lattice(np.ones((2, 64, 64)))
    y, x = np.indices((128, 128))
    with pytest.raises(ValueError, match="three that are not on one line"):
        find_lattice(np.clip(10.5 - np.hypot(y - 60, x - 64), 0, 1))


def test_units():
    assert units_to_inverse_angstrom("k_nm^-1") == 0.1
    assert units_to_inverse_angstrom("Å⁻¹") == 1
    assert units_to_inverse_angstrom(r"$\AA^{-1}$") == 1
    assert units_to_inverse_angstrom("mrad", 50) == pytest.approx(0.05)
    assert units_to_inverse_angstrom("mrad") is None
