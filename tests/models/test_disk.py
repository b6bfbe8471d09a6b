"""The disk model that ships: where disks are, how sure it is, and what it does with bad images."""

import numpy as np
import pytest
from ase.build import bulk
from scipy.special import erfc

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models.disk import shared_mean
from pyxem_mlmaps.models.train_disks import predict_images
from pyxem_mlmaps.training.disk_contrast import contrast_bank
from pyxem_mlmaps.training.disk_samples import DiskSampler


@pytest.fixture(scope="module")
def shipped():
    return mlmaps.load_model("disks")


def disks(
    n, radius, electrons, seed=0, size=None, edge=0.7, contrast=0.6, reach=0.3, noise=True,
    background=0.02,
):  # fmt: skip
    """(n, size, size) disks with smooth random contrast fixed to them, and their centres (n, 2)."""
    rng = np.random.default_rng(seed)
    size = size or 2 * int(2 * radius) + 1
    y, x = np.indices((size, size)) - (size - 1) / 2
    centres = radius * reach * rng.uniform(-1, 1, (n, 2))
    images = np.empty((n, size, size), dtype=np.float32)
    for image, centre in zip(images, centres, strict=True):
        dy, dx = (y - centre[0]) / radius, (x - centre[1]) / radius
        wave = np.zeros_like(dy)
        for _ in range(5):
            k = rng.normal(0, 1.8, 2)
            wave += np.cos(k[0] * dy + k[1] * dx + rng.uniform(0, 2 * np.pi))
        inside = np.clip(1 + contrast * wave / 1.6, 0.02, None)
        blur = np.sqrt(2 * (edge**2 + 1 / 12))
        shape = inside * 0.5 * erfc((np.hypot(dy, dx) - 1) * radius / blur)
        expected = electrons * (shape / shape.sum() + background / (np.pi * radius**2))
        image[:] = rng.poisson(expected) if noise else expected
    return images, centres


def errors(found, centres):
    return np.column_stack([found.y, found.x]) - centres


def sigmas(found):
    return np.column_stack([found.sigma_y, found.sigma_x])


class TestPositions:
    @pytest.mark.parametrize("radius", [5.0, 11.4, 30.0, 55.0])
    def test_position_of_clear_disks(self, shipped, radius):
        images, centres = disks(40, radius, 3e5, seed=1)
        found = shipped.predict(images, radius)
        rms = np.sqrt(np.mean(errors(found, centres) ** 2))
        assert rms < (0.12 if radius < 8 else 0.06)  # small disks: contrast looks like an edge
        assert np.all(found.presence > 0.9)

    @pytest.mark.parametrize(("electrons", "limit"), [(1e3, 0.37), (1e4, 0.15), (1e5, 0.07)])
    def test_error_falls_with_the_dose(self, shipped, electrons, limit):
        images, centres = disks(200, 30.0, electrons, seed=2)
        found = shipped.predict(images, 30.0)
        error = errors(found, centres)
        assert np.sqrt(np.mean(error**2)) < limit
        assert np.abs(error).max() < 3

    @pytest.mark.parametrize("electrons", [3e2, 3e3, 3e4])
    def test_sigma_covers_two_thirds(self, shipped, electrons):
        images, centres = disks(300, 15.0, electrons, seed=3)
        found = shipped.predict(images, 15.0)
        within = np.mean(np.abs(errors(found, centres)) <= sigmas(found))
        assert 0.58 < within < 0.8

    def test_radius_wrong_by_a_pixel(self, shipped):
        images, centres = disks(120, 20.0, 1e5, seed=4)
        right = np.sqrt(np.mean(errors(shipped.predict(images, 20.0), centres) ** 2))
        for radius in (19.0, 21.0):
            wrong = np.sqrt(np.mean(errors(shipped.predict(images, radius), centres) ** 2))
            assert wrong < 1.5 * right + 0.005

    def test_optics_are_measured(self, shipped):
        for edge in (0.5, 1.5):
            images, _ = disks(120, 18.0, 1e5, seed=5, edge=edge)
            n = len(images)
            middle = np.full((n, 2), (images.shape[1] - 1) / 2)
            optics = shipped.measure_optics(images, np.arange(n), middle, 18.6, 40)
            assert optics.radius == pytest.approx(18.0, abs=0.12)
            assert optics.edge == pytest.approx(edge, rel=0.2)

    def test_optics_of_different_instruments_are_not_averaged(self, shipped):
        sharp, _ = disks(60, 18.0, 1e5, seed=5, edge=0.4)
        soft, _ = disks(60, 18.0, 1e5, seed=6, edge=1.9)
        images = np.concatenate([sharp, soft])
        middle = np.full((120, 2), (images.shape[1] - 1) / 2)
        assert shipped.measure_optics(images, np.arange(120), middle, 18.0, 40).edge == 0

    def test_known_optics_help(self, shipped):
        images, centres = disks(200, 7.0, 1e5, seed=17, edge=0.5, reach=0.1)
        rms = [
            np.sqrt(np.mean(errors(shipped.predict(images, 7.0, edge=edge), centres) ** 2))
            for edge in (0, 0.5)
        ]
        assert rms[1] < rms[0]

    def test_knowing_the_direct_beam_helps(self, shipped):
        """Contrast varies along g: who knows where g points is drawn along it less. A crystal that
        training has not seen, in a zone of few strong reflections."""
        library = mlmaps.simulate_rocking(
            bulk("Cu", cubic=True), mlmaps.Beam(200, 2.6), zone_axis=(1, 1, 2), tilt_range=0.2,
            tilt_step=0.02, thickness=np.arange(40, 81, 10), reflections=25, g_max=1.4,
        )  # fmt: skip
        conditions = mlmaps.DiskConditions(
            radius=(7, 7), edge=(0.5, 0.5), electrons=(1e6, 1e6), white_share=0, blank=0
        )
        sampler = DiskSampler(contrast_bank([library], smooth_share=0), conditions)
        images = sampler.images(2000, np.random.default_rng(2))
        everyone = np.ones(2000, dtype=bool)
        away = images.g / np.maximum(np.linalg.norm(images.g, axis=1, keepdims=True), 1e-9)
        drawn, rms = [], []
        for place in (~everyone, everyone):
            told = images.with_known(everyone, place, np.random.default_rng(3))
            along = np.sum(errors(predict_images(shipped, told), images.centre) * away, axis=1)
            drawn.append(abs(np.nanmean(along)))
            rms.append(np.sqrt(np.nanmean(along**2)))
        assert drawn[1] < 0.5 * drawn[0]
        assert rms[1] < rms[0]

    def test_the_answer_for_one_image_stands_alone_with_edge_zero(self, shipped):
        images, _ = disks(9, 15.0, 1e4, seed=7)
        together = shipped.predict(images, 15.0, edge=0)
        alone = np.array([shipped.predict(image, 15.0, edge=0).y[0] for image in images])
        # rounding differs with the size of a product, and may move a pixel on the rim of the ring
        # that noise is measured in across it: a step of some 1e-5 px
        off = np.abs(alone - together.y)
        assert np.median(off) < 2e-6 and off.max() < 1e-4


class TestBatches:
    def test_radii_of_every_size_at_once(self, shipped):
        """Disks that are binned by different factors go through together, in their order."""
        sizes = [6.0, 30.0, 13.0, 50.0, 6.0, 30.0]
        images = np.zeros((6, 201, 201), dtype=np.float32)
        centres = np.empty((6, 2))
        for k, radius in enumerate(sizes):
            image, centre = disks(1, radius, 1e5, seed=20 + k, size=201, reach=0.1)
            images[k], centres[k] = image[0], centre[0]
        together = shipped.predict(images, sizes, edge=0)
        assert np.abs(errors(together, centres)).max() < 0.5
        for k, radius in enumerate(sizes):
            alone = shipped.predict(images[k], radius, edge=0)
            assert alone.y[0] == pytest.approx(together.y[k], abs=2e-4)

    def test_more_disks_than_a_batch(self, shipped):
        images, _ = disks(300, 6.0, 1e4, seed=21)
        whole = shipped.predict(images, 6.0, edge=0)
        part = shipped.predict(images[170:180], 6.0, edge=0)
        np.testing.assert_allclose(whole.x[170:180], part.x, atol=1e-5)


class TestSymmetry:
    def test_the_unit_of_counts_does_not_matter(self, shipped):
        images, _ = disks(20, 14.0, 1e4, seed=8)
        a, b = (shipped.predict(f * images, 14.0, edge=0) for f in (1.0, 3.7e4))
        np.testing.assert_allclose(a.y, b.y, atol=1e-4)
        np.testing.assert_allclose(a.sigma_y, b.sigma_y, rtol=1e-3)

    def test_a_turned_image_turns_the_answer(self, shipped):
        images, _ = disks(60, 14.0, 3e4, seed=9)
        a = shipped.predict(images, 14.0, edge=0)
        b = shipped.predict(np.rot90(images, axes=(1, 2)), 14.0, edge=0)
        # rot90 takes (y, x) to (-x, y); the coarse start is learnt, so not exactly
        assert np.median(np.abs(b.y + a.x)) < 0.3 * np.median(a.sigma_y)
        assert np.median(np.abs(b.x - a.y)) < 0.3 * np.median(a.sigma_y)

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", ">i4", "int64", "float64", ">f8"])
    def test_every_type_gives_the_same(self, shipped, dtype):
        images, _ = disks(6, 9.0, 2e3, seed=10)
        expected = shipped.predict(images, 9.0, edge=0)
        found = shipped.predict(images.astype(dtype), 9.0, edge=0)
        np.testing.assert_array_equal(np.stack(found), np.stack(expected))


class TestBadImages:
    def test_blank_windows_are_absent(self, shipped):
        rng = np.random.default_rng(11)
        for level in (0.05, 3.0, 100.0):
            images = rng.poisson(level, (50, 61, 61))
            found = shipped.predict(images, 15.0, edge=0)
            assert np.mean(found.presence > 0.5) <= 0.04
            assert np.median(sigmas(found)) > 1.0

    def test_nothing_at_all(self, shipped):
        found = shipped.predict(np.zeros((3, 61, 61)), 15.0)
        assert np.all(~(found.presence > 0.5))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_pixels_that_are_no_numbers(self, shipped, value):
        images, _ = disks(4, 12.0, 1e4, seed=12)
        images[2, 24, 20] = value
        found = shipped.predict(images, 12.0, edge=0)
        assert np.all(np.isnan(np.stack(found)[:, 2]))
        assert np.all(np.isfinite(np.stack(found)[:, [0, 1, 3]]))

    def test_one_bad_pixel_in_one_image(self, shipped):
        """Alone in its batch: nothing may be read beyond the image (it once crashed Python)."""
        for at in ((60, 70), (60, 30), (90, 90), (28, 60), (2, 2)):
            images, _ = disks(1, 30.0, 1e4, seed=12, size=121)
            images[0][at] = np.nan
            for edge in (None, 0, 0.7):
                found = shipped.predict(images, 30.0, edge=edge)
                assert np.isnan(found.y[0]) or abs(found.y[0]) < 25

    @pytest.mark.parametrize("factor", [1e18, 1e30, -1e25])
    def test_counts_too_large_for_single_precision(self, shipped, factor):
        images, _ = disks(3, 12.0, 1e4, seed=12)
        found = shipped.predict(images.astype(float) * factor, 12.0)
        assert np.all(np.isnan(found.y))

    def test_edges_are_checked(self, shipped):
        images, _ = disks(3, 12.0, 1e4, seed=12)
        for edge, error in ((-1, ValueError), ([1, 2], ValueError), ("a", TypeError)):
            with pytest.raises(error, match="edge"):
                shipped.predict(images, 12.0, edge=edge)
        with pytest.raises(TypeError, match="radius='a'"):
            shipped.predict(images, "a")

    def test_pattern_numbers_are_checked(self, shipped):
        images, _ = disks(2, 12.0, 1e4, seed=15)
        for wrong in ([0, 2], [-1, 0], [0]):
            with pytest.raises(ValueError, match="pattern_of"):
                shipped.locate(images, wrong, [(24, 24), (24, 24)], 12.0, 24)

    def test_hot_and_dead_pixels_are_survived(self, shipped):
        images, centres = disks(60, 20.0, 3e4, seed=13)
        clean = np.sqrt(np.mean(errors(shipped.predict(images, 20.0), centres) ** 2))
        rng = np.random.default_rng(0)
        for image in images:
            y, x = rng.integers(0, len(image), (2, 6))
            image[y[:3], x[:3]] = 0
            image[y[3:], x[3:]] = 8 * image.max()
        found = shipped.predict(images, 20.0)
        assert np.median(np.abs(errors(found, centres))) < 2 * clean

    def test_a_window_cut_by_the_detector(self, shipped):
        images, centres = disks(60, 15.0, 3e4, seed=14, reach=0.1)
        cut = images[:, 20:]  # a third of the disk is gone
        middle = (images.shape[1] - 1) / 2
        places = np.tile([middle - 20, middle], (len(cut), 1))
        found = shipped.locate(cut, np.arange(len(cut)), places, 15.0, 30)
        error = errors(found, centres + places)
        assert np.mean(np.abs(error) < 3 * sigmas(found)) > 0.95

    def test_centres_that_are_no_numbers_or_off_the_detector(self, shipped):
        images, _ = disks(1, 12.0, 1e4, seed=15)
        places = [(24, 24), (np.nan, 24), (-100, 24)]
        found = shipped.locate(images, [0, 0, 0], places, 12.0, 24)
        assert np.isfinite(found.y[0]) and np.all(np.isnan(found.y[1:]))

    def test_no_disks_at_all(self, shipped):
        found = shipped.locate(np.zeros((1, 30, 30)), [], np.zeros((0, 2)), 8.0, 12)
        assert found.y.shape == (0,)
        assert shipped.predict(np.zeros((0, 41, 41)), 10.0).y.shape == (0,)


class TestErrors:
    @pytest.mark.parametrize("radius", [2.0, 80.0])
    def test_radius_not_covered(self, shipped, radius):
        with pytest.raises(ValueError, match=f"radius={radius:g}.*4 to 60 px"):
            shipped.predict(np.zeros((1, 401, 401)), radius)

    def test_window_too_small(self, shipped):
        with pytest.raises(ValueError, match="too small for radius=15"):
            shipped.predict(np.zeros((1, 31, 31)), 15.0)

    def test_places_of_another_number(self, shipped):
        with pytest.raises(ValueError, match=r"g_vectors has shape \(3, 2\); \(2, 2\)"):
            shipped.predict(np.zeros((2, 41, 41)), 10.0, edge=0, g_vectors=np.zeros((3, 2)))
        with pytest.raises(ValueError, match=r"g_vectors has shape \(1, 2\); \(2, 2\)"):
            shipped.predict(np.zeros((2, 41, 41)), 10.0, g_vectors=np.zeros((1, 2)))

    def test_shape_and_type(self, shipped):
        with pytest.raises(ValueError, match="shape"):
            shipped.predict(np.zeros((2, 2, 41, 41)), 10.0)
        with pytest.raises(TypeError, match="complex"):
            shipped.predict(np.zeros((1, 41, 41), dtype=complex), 10.0)


class TestFile:
    def test_size_and_card(self, shipped):
        from pathlib import Path

        path = Path(mlmaps.__file__).parent / "models" / "shipped" / "disks.keras"
        assert path.stat().st_size <= 3e6
        assert shipped.card.architecture == "edge"
        assert shipped.radius_range == (4.0, 60.0)
        assert "trained on" in repr(shipped) and len(shipped.card.validation) == 20

    def test_saved_and_loaded_it_says_the_same(self, shipped, tmp_path):
        shipped.save(tmp_path / "copy.keras")
        copy = mlmaps.load_model(tmp_path / "copy.keras")
        images, _ = disks(8, 10.0, 1e4, seed=16)
        for a, b in zip(shipped.predict(images, 10.0), copy.predict(images, 10.0), strict=True):
            np.testing.assert_array_equal(a, b)
        assert copy.card == shipped.card

    def test_opens_in_keras(self, shipped):
        import keras

        model = shipped.to_keras()
        assert isinstance(model, keras.Model) and len(model.outputs) == 3

    def test_a_cut_file_is_refused(self, shipped, tmp_path):
        shipped.save(tmp_path / "whole.keras")
        raw = (tmp_path / "whole.keras").read_bytes()
        (tmp_path / "cut.keras").write_bytes(raw[: len(raw) // 2])
        with pytest.raises(ValueError, match="damaged"):
            mlmaps.load_model(tmp_path / "cut.keras")

    def test_weights_of_another_shape_are_refused(self, shipped):
        from pyxem_mlmaps.models.contents import assemble_disk, disk_arrays

        arrays = disk_arrays(shipped)
        with pytest.raises(ValueError, match="missing.*coarse_0"):
            assemble_disk(shipped.card, {k: v for k, v in arrays.items() if k != "coarse_0"})
        with pytest.raises(ValueError, match="strip network"):
            assemble_disk(shipped.card, arrays | {"first_0": arrays["first_0"][:-1]})

    @pytest.mark.parametrize(
        "change",
        [
            {"architecture": "transformer"},
            {"conditions": {"radius": [0, 1]}},
            {
                "calibration": {
                    "known": {"factors": [], "misfit": {"nodes": [1, 0], "limit": [1, 1]}}
                }
            },
            {"calibration": {"sometimes": {}}},
        ],
    )
    def test_cards_are_checked(self, shipped, change):
        with pytest.raises(ValueError):
            shipped.with_card(**change)


class TestSharedMean:
    def test_is_the_weighted_mean(self):
        rng = np.random.default_rng(0)
        sigma = rng.uniform(0.1, 1, 400)
        mean, error = shared_mean(2 + sigma * rng.normal(size=400), sigma**2, 0.3)
        assert abs(mean - 2) < 4 * error
        least = 1 / np.sqrt(np.sum(sigma**-2.0))
        assert least < error < 2 * least  # robust weights give a little away

    def test_wrong_ones_say_little(self):
        rng = np.random.default_rng(1)
        values = 2 + 0.1 * rng.normal(size=100)
        values[:8] = 40
        assert shared_mean(values, np.full(100, 0.01), 0.2)[0] == pytest.approx(2, abs=0.05)

    def test_disagreement_is_told(self):
        values = np.repeat([0.0, 5.0], 50)
        assert shared_mean(values, np.full(100, 0.01), 0.5) is None
        assert shared_mean(values[:3], np.full(3, 0.01), 0.5) is None
