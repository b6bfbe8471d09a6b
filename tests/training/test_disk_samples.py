"""Training disks: exact edges, conserved counts, the stated noise, reproducible draws."""

import numpy as np
import pytest

from pyxem_mlmaps.training.disk_conditions import DiskConditions
from pyxem_mlmaps.training.disk_contrast import ContrastBank, contrast_bank
from pyxem_mlmaps.training.disk_render import NEIGHBOURS, Draws, render_disk
from pyxem_mlmaps.training.disk_samples import DiskSampler, coarse_of, strips_of


@pytest.fixture(scope="module")
def flat():
    """A crystal without contrast."""
    return ContrastBank(np.ones((3, 61, 61), dtype=np.float32), np.tile([4.0, 12.0], (3, 1)))


@pytest.fixture(scope="module")
def bank(library):
    return contrast_bank([library], seed=0)


def one(flat, **changes):
    """One rendered window (size, size) and its draws."""
    values = {
        "radius": 12.0, "edge": 0.7, "halo_share": 0.0, "halo_width": 1.0, "stretch": 0.0,
        "stretch_angle": 0.0, "centre": (0.0, 0.0), "window": 24, "contrast": [0] * 7,
        "crop": [(30.0, 30.0)] * 7, "grid": np.eye(2) * 0.5, "level": 1.0,
        "neighbours": np.zeros((NEIGHBOURS, 3)), "background": np.zeros(5) + [0, 0, 0, 0, 1],
        "tail_centre": (0.0, 0.0), "white": 0.0, "poisson": False, "smear": 0.0, "dead": 0.0,
        "seed": 3,
    }  # fmt: skip
    assert set(changes) <= set(values)
    draws = Draws(*(np.asarray(v)[None] for v in (values | changes).values()))
    size = int(2 * draws.window[0] + 1)
    image = np.zeros((size, size), dtype=np.float32)
    render_disk(draws, 0, flat.maps, size, image)
    return image.astype(float)


def centroid(image):
    y, x = np.indices(image.shape) - (len(image) - 1) / 2
    return np.array([(image * y).sum(), (image * x).sum()]) / image.sum()


class TestRender:
    @pytest.mark.parametrize("edge", [0.3, 0.7, 1.6])
    def test_counts_are_those_of_the_hard_disk(self, flat, edge):
        # a blurred edge moves counts outwards by as much as it takes; second order in σ/R
        assert one(flat, edge=edge).sum() == pytest.approx(np.pi * 12**2 + np.pi * edge**2, 5e-3)

    @pytest.mark.parametrize("centre", [(0.0, 0.0), (3.27, -1.81), (-0.5, 0.5)])
    def test_centre_is_exact(self, flat, centre):
        np.testing.assert_allclose(centroid(one(flat, centre=centre)), centre, atol=5e-3)

    def test_ellipse(self, flat):
        image = one(flat, stretch=0.08, stretch_angle=0.0)
        y, x = np.indices(image.shape) - 24
        ratio = np.sqrt((image * x**2).sum() / (image * y**2).sum())
        assert ratio == pytest.approx(1.08 / 0.92, rel=0.01)

    def test_neighbours_stand_where_they_are_said_to(self, flat):
        neighbours = np.zeros((NEIGHBOURS, 3))
        neighbours[0] = (0.0, 20.5, 2.0)
        image = one(flat, radius=8.0, neighbours=neighbours, window=34)
        right = image[:, 46:]
        assert right.sum() == pytest.approx(2 * np.pi * 64, rel=0.02)

    def test_poisson_noise(self, flat):
        expected = one(flat, level=30.0)
        image = one(flat, level=30.0, poisson=True)
        inside = expected > 29.99
        assert image[inside].mean() == pytest.approx(30, abs=4 * np.sqrt(30 / inside.sum()))
        assert image[inside].var() == pytest.approx(30, rel=0.25)
        assert np.all(image == np.round(image))

    @pytest.mark.parametrize("level", [0.4, 5.0, 40.0, 900.0])
    def test_poisson_at_every_level(self, flat, level):
        """Three ways of drawing serve low, middle and high counts: mean and variance of each."""
        background = np.zeros(5) + [level, 0, 0, 0, 1]
        image = one(flat, level=0.0, background=background, poisson=True, window=80)
        n = image.size
        assert image.mean() == pytest.approx(level, abs=5 * np.sqrt(level / n))
        assert image.var() == pytest.approx(level, rel=5 * np.sqrt(2 / n) + 5 / np.sqrt(n * level))

    def test_smear_keeps_counts_and_correlates(self, flat):
        background = np.zeros(5) + [9.0, 0, 0, 0, 1]
        options = {"level": 0.0, "background": background, "poisson": True, "window": 60}
        image = one(flat, smear=0.4, **options)
        plain = one(flat, **options)
        assert image[1:-1, 1:-1].sum() == pytest.approx(plain[1:-1, 1:-1].sum(), rel=5e-3)
        d = image - image.mean()
        assert (d[:, 1:] * d[:, :-1]).mean() / d.var() > 0.2


class TestSampler:
    def test_the_same_seed_draws_the_same(self, bank):
        sampler = DiskSampler(bank, DiskConditions())
        a, b = (sampler.images(40, np.random.default_rng(5)) for _ in "ab")
        np.testing.assert_array_equal(a.pixels, b.pixels)
        c = sampler.images(40, np.random.default_rng(6))
        assert len(c.pixels) != len(a.pixels) or np.any(c.pixels != a.pixels)

    def test_ranges(self, bank):
        conditions = DiskConditions(radius=(6, 20), blank=0.25, radius_error=0.8)
        images = DiskSampler(bank, conditions).images(2000, np.random.default_rng(0))
        assert 6 <= images.true_radius.min() < 7 and 18 < images.true_radius.max() <= 20
        assert np.abs(images.told_radius - images.true_radius).max() <= 0.8
        assert (~images.present).mean() == pytest.approx(0.25, abs=0.04)
        assert np.hypot(*(images.centre.T / images.told_radius)).max() <= conditions.shift
        assert np.all(images.size >= 2 * 1.3 * images.told_radius)
        assert np.all(np.isfinite(images.pixels))

    def test_electrons_are_those_asked_for(self, bank):
        conditions = DiskConditions(
            radius=(15, 15), electrons=(1e4, 1e4), background=(1e-6, 1e-6), white_share=0.0,
            dead_pixels=0.0, blank=0.0, ellipticity=0.0, shift=0.1,
        )  # fmt: skip
        sampler = DiskSampler(bank, conditions)
        images = sampler.images(300, np.random.default_rng(0))
        y, x = (np.indices((37, 37)) - 18).astype(float)
        totals = []
        for m, size in enumerate(images.size):
            window = images.pixels[images.first[m] : images.first[m] + size**2]
            middle = (size - 1) // 2
            window = window.reshape(size, size)[
                middle - 18 : middle + 19, middle - 18 : middle + 19
            ]
            totals.append(window[np.hypot(y, x) < 18.5].sum())
        assert np.median(totals) == pytest.approx(1e4, rel=0.05)

    def test_targets_of_the_strips(self, bank):
        images = DiskSampler(bank, DiskConditions()).images(50, np.random.default_rng(0))
        start = images.centre + np.array([0.3, -0.2])
        strips, half, target = strips_of(images, start, 1)
        np.testing.assert_allclose(
            target[:, :2] * half[:, None], np.tile([-0.3, 0.2], (50, 1)), atol=1e-12
        )
        growth = images.true_radius - images.told_radius
        np.testing.assert_allclose(target[:, 2] * half, growth, atol=1e-12)
        assert np.all(np.isfinite(strips)) and np.all(np.isfinite(coarse_of(images)))


class TestPlaces:
    """Where the direct beam is, as seen from a training disk."""

    @pytest.fixture(scope="class")
    def ramp(self, library):
        """Disks of one reflection whose intensity grows with the tilt towards kx."""
        from dataclasses import replace

        maps = np.ones(np.shape(library.maps), dtype=np.float32)
        maps *= np.linspace(0.2, 1.8, len(maps))[:, None, None, None]
        vectors = np.tile([0.0, 0.7], (len(library.indices), 1))  # (ky, kx): along kx
        return contrast_bank([replace(library, maps=maps, vectors=vectors)], smooth_share=0.0)

    def test_a_disk_dims_along_g_where_tilt_brightens_it(self, ramp):
        # a pixel at u from the centre shows the crystal at tilt - u/k0, however it is turned
        conditions = DiskConditions(
            radius=(15, 15), edge=(0.5, 0.5), electrons=(1e9, 1e9), background=(1e-6, 1e-6),
            white_share=0, blank=0, dead_pixels=0, ellipticity=0,
        )  # fmt: skip
        images = DiskSampler(ramp, conditions).images(40, np.random.default_rng(3))
        for m, size in enumerate(images.size):
            window = images.pixels[images.first[m] : images.first[m] + size**2].reshape(size, size)
            y, x = np.indices((size, size)) - (size - 1) / 2 - images.centre[m][:, None, None]
            inside = np.hypot(y, x) < 12
            slope = [np.cov(window[inside], v[inside])[0, 1] for v in (y, x)]
            direction = images.g[m] / np.linalg.norm(images.g[m])
            assert slope @ direction / np.linalg.norm(slope) < -0.99

    def test_distance_is_that_of_the_diffraction_angle(self, ramp, library):
        images = DiskSampler(ramp, DiskConditions()).images(200, np.random.default_rng(0))
        length = np.linalg.norm(images.g, axis=1) / images.true_radius
        # |g| λ over the beam's semi-angle, which is drawn from 0.3 to 1 times the library's
        expected = 0.7 / library.beam.aperture_radius
        assert expected * 0.999 <= length.min() and length.max() <= expected / 0.299

    def test_told_only_where_known(self, bank):
        images = DiskSampler(bank, DiskConditions()).images(60, np.random.default_rng(0))
        some = np.arange(60) % 2 == 0
        told = images.with_known(some, ~some, np.random.default_rng(1))
        assert np.all(np.isnan(images.told_g)) and np.all(np.isnan(told.told_g[some]))
        np.testing.assert_array_equal(told.told_g[~some], images.g[~some])
        assert np.all((told.told_edge > 0) == some)
        assert np.abs(told.told_radius - told.true_radius)[some].max() < 0.15


class TestBank:
    def test_a_crop_is_the_map(self, library):
        bank = contrast_bank([library], smooth_share=0.0)
        maps = np.asarray(library.maps)
        flat = np.moveaxis(maps.reshape(*maps.shape[:2], -1), -1, 0)
        assert 0 < len(bank) <= len(flat)
        first = flat[0] / flat[0].mean()
        np.testing.assert_allclose(bank.maps[0, ::2, ::2], first, atol=0.02 * first.max())

    def test_disk_size_is_that_of_the_beam(self, library):
        bank = contrast_bank([library], smooth_share=0.0)
        step = np.radians(library.tilt_x[1] - library.tilt_x[0]) * 1e3
        assert bank.steps[0, 1] == pytest.approx(2 * library.beam.convergence_angle / step)

    def test_share_of_smooth_fields(self, library):
        alone = contrast_bank([library], smooth_share=0.0)
        mixed = contrast_bank([library], smooth_share=0.2)
        assert 1 - len(alone) / len(mixed) == pytest.approx(0.2, abs=0.02)
        assert np.all(mixed.maps >= 0)

    def test_needs_maps(self, library):
        from dataclasses import replace

        with pytest.raises(ValueError, match="keep_maps=True"):
            contrast_bank([replace(library, maps=None)])
        with pytest.raises(ValueError, match="empty"):
            contrast_bank([])


class TestConditions:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("radius", (0.5, 20)), ("radius", (30, 20)), ("radius", 5), ("edge", (0, 1)),
            ("electrons", (0, 1)), ("shift", 2.0), ("blank", -0.1), ("ellipticity", 0.5),
        ],
    )  # fmt: skip
    def test_errors_name_the_range(self, name, value):
        with pytest.raises(ValueError, match=name):
            DiskConditions(**{name: value})

    def test_round_trip(self):
        conditions = DiskConditions(radius=(5, 8), blank=0.2)
        assert DiskConditions.from_dict(conditions.to_dict()) == conditions
        with pytest.raises(ValueError, match="fields"):
            DiskConditions.from_dict({"colour": 3})
