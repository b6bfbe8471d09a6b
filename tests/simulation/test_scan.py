"""Rendered patterns: electrons are where the library says, disks where the lattice says."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps import data
from pyxem_mlmaps.mapping.orientation import extract_intensities
from pyxem_mlmaps.simulation.patterns import amorphous_form, inelastic_form
from pyxem_mlmaps.simulation.scan import Alloy, Amorphous, ScanRenderer, map_spline
from pyxem_mlmaps.simulation.spline import LibrarySpline

DETECTOR = (160, 160)


def scan(library, shape=(3, 4), **options):
    defaults = {"detector": DETECTOR, "bend": 0.15, "noise": False, "background": 0.0,
                "electrons": 1e6}  # fmt: skip
    signal = data.bent_foil(shape, library=library, **{**defaults, **options})
    signal.compute(show_progressbar=False)
    return signal, data.ground_truth(signal)


def centroid(pattern):
    y, x = np.indices(pattern.shape)
    return np.array([(pattern * y).sum(), (pattern * x).sum()]) / pattern.sum()


def expected(library, truth):
    spline = LibrarySpline.fit(
        library.intensities, library.tilt_x, library.tilt_y, library.thickness
    )
    points = np.stack([truth.tilt_x, truth.tilt_y, truth.thickness], axis=-1).reshape(-1, 3)
    return spline(points)


def test_electrons_are_conserved(library):
    """All counts of a pattern are those of its disks."""
    signal, truth = scan(library)
    total = signal.data.sum(axis=(-2, -1)).ravel()
    np.testing.assert_allclose(total, 1e6 * expected(library, truth).sum(axis=1), rtol=2e-3)


def test_disk_sums_are_the_library_s(library):
    """Within 1 % of each disk's aperture average, or of the mean disk where it is weak."""
    signal, truth = scan(library, detector=(256, 256))
    sums = extract_intensities(signal, truth.lattice, show_progressbar=False).reshape(12, -1)
    wanted = 1e6 * expected(library, truth)
    assert np.abs(sums - wanted).sum() / wanted.sum() < 0.01
    scale = np.maximum(wanted, wanted.mean(axis=1, keepdims=True))
    assert np.abs((sums - wanted) / scale).max() < 0.02


def test_background_adds_its_share(library):
    plain, _ = scan(library)
    more, truth = scan(library, background=0.3)
    extra = more.data - plain.data
    np.testing.assert_allclose(extra.sum(axis=(-2, -1)), 0.3e6, rtol=1e-4)
    form = inelastic_form(DETECTOR, np.array(truth.lattice.origin), 4 * truth.lattice.radius)
    assert form.sum() == pytest.approx(1)
    np.testing.assert_allclose(extra[0, 0], 0.3e6 * form, atol=0.05 * form.max() * 1e6 * 1e-2)


def test_rotation_turns_positions(library):
    """(y, x) → a turn from kx to ky about the direct beam."""
    plain, still = scan(library, shape=(), bend=0.0)
    turned, truth = scan(library, shape=(), bend=0.0, rotation=30.0)
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    first = (still.lattice.positions - still.lattice.origin) / still.lattice.radius
    second = (truth.lattice.positions - truth.lattice.origin) / truth.lattice.radius
    np.testing.assert_allclose(
        second, np.stack([c * first[:, 0] + s * first[:, 1], c * first[:, 1] - s * first[:, 0]], 1)
    )
    for signal, lattice in ((plain, still.lattice), (turned, truth.lattice)):
        sums = extract_intensities(signal, lattice, show_progressbar=False)
        assert sums.sum() == pytest.approx(signal.data.sum(), rel=0.01)


def test_rotation_turns_the_contrast_in_the_disks(library):
    """The same electrons in every disk of the turned pattern: contrast turns with positions."""
    values = []
    for angle in (0.0, 77.0):
        signal, truth = scan(library, detector=(256, 256), rotation=angle)
        sums = extract_intensities(signal, truth.lattice, show_progressbar=False)
        values.append(sums / sums.sum(axis=-1, keepdims=True))
    assert np.abs(values[1] - values[0]).sum() / values[0].sum() < 0.01


def test_descan_shifts_the_pattern(library):
    """From corner to corner by ± descan along the diagonal, to a hundredth of a pixel."""
    still, _ = scan(library, detector=(192, 192))
    moved, _ = scan(library, detector=(192, 192), descan=2.0)
    for index, sign in (((0, 0), -1), ((2, 3), 1)):
        shift = centroid(moved.data[index]) - centroid(still.data[index])
        np.testing.assert_allclose(shift, sign * np.array([2, -2]) / np.sqrt(2), atol=0.01)


def test_pixels_show_the_map(library):
    """Pixel u from a disk's centre was reached by K_t = u − k0·tilt: the map at tilt − u/k0."""
    signal, truth = scan(library, shape=(2, 2), detector=(256, 256), bend=0.1)
    lattice, spline = truth.lattice, map_spline(library)
    per_pixel = np.degrees(1.1e-3) / lattice.radius
    area = np.pi * (lattice.radius**2 + 0.5**2)
    disks = np.argsort(-library.mean_intensity)[:6]
    for disk in disks:
        centre, ratios = lattice.positions[disk], []
        for dy, dx in ((0, 0), (4, -3), (-5, 2)):
            y, x = np.round(centre + (dy, dx)).astype(int)
            u = np.array([y, x]) - centre
            tilt = [truth.tilt_x[1, 0] - per_pixel * u[1], truth.tilt_y[1, 0] - per_pixel * u[0]]
            wanted = spline([[*tilt, truth.thickness[1, 0]]])[0, disk] * 1e6 / area
            ratios.append(signal.data[1, 0, y, x] / wanted)
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5, err_msg="contrast")
        # pixels at the rim are covered in part; the disk's sum is right, see above
        assert ratios[0] == pytest.approx(1, abs=0.01)


def test_patterns_do_not_depend_on_chunks(library):
    one = data.bent_foil((5, 4), (64, 64), library, bend=0.1, chunks=(5, 4), seed=3)
    many = data.bent_foil((5, 4), (64, 64), library, bend=0.1, chunks=(2, 1), seed=3)
    np.testing.assert_array_equal(one.data.compute(), many.data.compute())


def test_poisson_counts(library):
    """Counts scatter about the expectation with its own variance."""
    clean, _ = scan(library, shape=(), background=0.2)
    noisy = data.bent_foil(
        (), DETECTOR, library, electrons=1e6, bend=0.15, background=0.2, seed=0
    ).data.compute()
    mean = clean.data[clean.data > 5]
    pull = (noisy[clean.data > 5] - mean) / np.sqrt(mean)
    assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * pull.size))


def test_saturates_at_the_dtype(library):
    counts = data.bent_foil(
        (), (64, 64), library, electrons=1e6, bend=0.0, dtype=np.uint8
    ).data.compute()
    assert counts.dtype == np.uint8 and counts.max() == 255


def renderer(library, n=3, **options):
    """Three points that differ in nothing but ``options``."""
    spline = LibrarySpline.fit(
        library.intensities, library.tilt_x, library.tilt_y, library.thickness
    )
    lattice = data.ground_truth(data.bent_foil((), DETECTOR, library, bend=0.0)).lattice
    defaults = dict(
        maps=map_spline(library), disks=spline, field=np.tile([0.03, -0.05, 70.0], (n, 1)),
        positions=lattice.positions, shifts=np.zeros((n, 2)), origin=np.array(lattice.origin),
        radius=lattice.radius, edge=0.5, degrees_per_pixel=0.01, turn=0.0, detector=DETECTOR,
        electrons=1e6, background=0.0, noise=False, seed=0, dtype=np.float64,
    )  # fmt: skip
    return ScanRenderer(**{**defaults, **options})


def test_alloy_shares_the_electrons(library):
    """Linear in the fraction: 0 is the first crystal, 1 the second."""
    twice = LibrarySpline.fit(
        2 * library.intensities, library.tilt_x, library.tilt_y, library.thickness
    )
    alloy = Alloy(map_spline(library), twice, np.array([0.0, 0.25, 1.0]))
    first, mixed, second = renderer(library, alloy=alloy)(np.arange(3))
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(mixed, 1.25 * first, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(first, renderer(library)(np.arange(1))[0])


def test_amorphous_points_have_no_disks(library):
    amorphous = Amorphous(np.array([False, True, False]), halo=30.0, intensity=0.5)
    render = renderer(library, amorphous=amorphous)
    crystal, glass, again = render(np.arange(3))
    np.testing.assert_array_equal(crystal, again)
    form = amorphous_form(DETECTOR, render.origin, render.radius, 0.5, 30.0)
    np.testing.assert_allclose(glass, 0.5e6 * form)
    assert form.sum() == pytest.approx(1)
    np.testing.assert_allclose(centroid(form), render.origin, atol=0.05)


def map_axes(library):
    """Tilts of the plane-wave maps, which go beyond the library's own."""
    axes = []
    for axis, size in zip((library.tilt_x, library.tilt_y), library.maps.shape[:2], strict=True):
        margin = (size - len(axis)) // 2
        axes.append(axis[0] + (axis[1] - axis[0]) * np.arange(-margin, size - margin))
    return axes


def test_deformation_moves_disks_about_the_direct_beam(library):
    """Each disk keeps its electrons and its contrast, moved as a whole by whole pixels."""
    lattice = data.ground_truth(data.bent_foil((), DETECTOR, library, bend=0.0)).lattice
    positions = np.array(lattice.origin) + np.array([[0, 0], [0, 40], [30, 0]])
    disks = np.argsort(-library.mean_intensity)[:3]
    chosen = dict(
        maps=LibrarySpline.fit(
            np.asarray(library.maps)[..., disks], *map_axes(library), library.thickness
        ),
        disks=LibrarySpline.fit(
            library.intensities[..., disks], library.tilt_x, library.tilt_y, library.thickness
        ),
        positions=positions,
        radius=8.0,
    )
    stretch = np.array([[1.1, 0.0], [0.0, 1.05]])  # 30 px down become 33, 40 right become 42
    still = renderer(library, 1, **chosen)(np.arange(1))[0]
    moved = renderer(library, 1, deformation=stretch[None], **chosen)(np.arange(1))[0]
    for (y, x), (dy, dx) in zip(positions, [(0, 0), (0, 2), (3, 0)], strict=True):
        rows = slice(int(y) - 12, int(y) + 13)
        columns = slice(int(x) - 12, int(x) + 13)
        there = np.roll(moved, (-dy, -dx), axis=(0, 1))
        np.testing.assert_allclose(there[rows, columns], still[rows, columns], atol=1e-6)
