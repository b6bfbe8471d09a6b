"""The model's promises: scale, precision, honest σ, a misfit that tells, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from pyxem_mlmaps.training.samples import Sampler


@pytest.fixture(scope="module")
def drawn(model):
    """Truth and counts of 4000 patterns as the noise model makes them."""
    sampler = Sampler([model.spline], model.noise, model.positions)
    return sampler.draw(4000, np.random.default_rng(99))


@pytest.fixture(scope="module")
def refined(model, drawn):
    return model.predict(drawn[1])


@pytest.fixture(scope="module")
def bare(model, drawn):
    return model.predict(drawn[1], refine=False)


def assert_same(got, expected):
    """Equal to a hundredth of σ, and 99 % of the tilts to 1e-6°.

    Matrix products round differently for other batches, so that fits start elsewhere in the
    seventh digit, and end where the library's float32 cannot tell any more.
    """
    difference = np.abs(got - expected)
    assert np.all(difference[:, :3] <= 0.01 * expected[:, 3:6])
    assert np.quantile(difference[:, :2], 0.99) < 1e-6
    np.testing.assert_allclose(got[:, 3:], expected[:, 3:], rtol=1e-3)


def errors(prediction, truth):
    return prediction.stack()[:, :3] - truth


def test_scale_does_not_matter(model, drawn, refined):
    """Raw counts in any unit; powers of two to the last bit."""
    exact = model.predict(2.0**20 * drawn[1][:200].astype(float))
    np.testing.assert_array_equal(
        exact.stack(), model.predict(drawn[1][:200].astype(float)).stack()
    )
    for scale in (1e-6, 3000.0, 1e9):
        got = model.predict(scale * drawn[1][:200])
        assert_same(got.stack(), refined.stack()[:200])


def test_refinement_is_better(drawn, refined, bare):
    """At least four times, after so short a training."""
    rms = [np.sqrt((errors(p, drawn[0]) ** 2).mean(axis=0)) for p in (refined, bare)]
    assert np.all(4 * rms[0][:2] < rms[1][:2])
    assert rms[0][2] < rms[1][2]
    assert rms[1].max() < 1


@pytest.mark.parametrize("stage", ["refined", "bare"])
def test_sigma_is_calibrated(drawn, stage, request):
    """68 % ± 5 % of the errors lie within σ, on each axis, in each stage."""
    prediction = request.getfixturevalue(stage)
    inside = np.abs(errors(prediction, drawn[0])) <= prediction.stack()[:, 3:6]
    np.testing.assert_allclose(inside.mean(axis=0), 0.683, atol=0.05)


def test_sigma_tells_good_from_bad(drawn, refined):
    """The half of the patterns with the smaller σ has the smaller errors."""
    error = np.abs(errors(refined, drawn[0]))
    for axis, sigma in enumerate(refined[3:6]):
        small = sigma < np.median(sigma)
        assert np.median(error[small, axis]) < 0.8 * np.median(error[~small, axis])


def test_misfit_of_good_patterns(refined, bare):
    """At most a few in a thousand above 1."""
    assert np.mean(refined.misfit > 1) < 0.005
    assert np.mean(bare.misfit > 1) < 0.005


class TestMisfit:
    def test_scrambled(self, model, drawn):
        rng = np.random.default_rng(0)
        order = rng.permutation(drawn[1].shape[1])
        got = model.predict(drawn[1][:300, order])
        assert np.mean(got.misfit > 1) > 0.98

    def test_flat_patterns(self, model):
        got = model.predict(np.ones((5, model.card.n_disk)))
        assert np.all(got.misfit > 1)

    def test_tilt_beyond_the_library(self, model, library, gasb, beam):
        """From 0.06° beyond: flagged, never clipped in silence."""
        from pyxem_mlmaps import simulate_rocking

        wider = simulate_rocking(
            gasb,
            beam,
            zone_axis=(1, 1, 0),
            tilt_range=0.3,
            tilt_step=0.02,
            thickness=[72.5],
            reflections=library.indices,
            g_max=1.4,
        )
        tilt = np.abs(wider.tilt_x)
        beyond = np.maximum.outer(tilt, tilt) > 0.26 - 1e-9
        got = model.predict(wider.intensities[beyond][:, 0])
        assert np.all(got.misfit > 1)

    def test_thickness_beyond_the_library(self, model, library, gasb, beam):
        from pyxem_mlmaps import simulate_rocking

        other = simulate_rocking(
            gasb,
            beam,
            zone_axis=(1, 1, 0),
            tilt_range=0.1,
            tilt_step=0.02,
            thickness=[40.0, 55.0, 90.0, 105.0],
            reflections=library.indices,
            g_max=1.4,
        )
        flat = other.intensities[::2, ::2].reshape(-1, model.card.n_disk)
        got = model.predict(flat)
        assert np.all(got.misfit > 1)

    def test_just_beyond_is_not_clipped(self, model):
        """Within half a grid step of the border the fit may follow; it is exact there."""
        low, high = model.spline.low, model.spline.high
        inside = np.array([[high[0] - 0.004, 0.02, 70.0], [low[0] + 0.004, -0.02, 75.0]])
        got = model.predict(model.spline(inside))
        np.testing.assert_allclose(got.stack()[:, :2], inside[:, :2], atol=1e-4)
        assert np.all(got.misfit < 1)


class TestBadPatterns:
    def test_rest_is_unchanged(self, model, drawn, refined):
        """NaN, zero, negative and hopeless patterns get NaN, their neighbours what they had."""
        data = drawn[1][:8].astype(float)
        data[1] = np.nan
        data[3] = 0
        data[5] = -data[5]
        data[6, :20] = np.nan
        got = model.predict(data).stack()
        bad = [1, 3, 5, 6]
        assert np.isnan(got[bad]).all()
        good = [0, 2, 4, 7]
        assert_same(got[good], refined.stack()[good])

    def test_dead_disks_are_left_out(self, model, drawn):
        """Four of 25 not measured: the fit still finds the tilt."""
        data = drawn[1][:300].copy()
        data[:, [2, 7, 11, 18]] = np.nan
        got = model.predict(data)
        error = errors(got, drawn[0][:300])
        assert np.median(np.abs(error[:, :2])) < 1e-3
        assert np.isfinite(got.stack()).all()

    def test_complex(self, model, drawn):
        with pytest.raises(TypeError, match="complex"):
            model.predict(drawn[1].astype(complex))

    @pytest.mark.parametrize("shape", [(4, 24), (25,), (2, 3, 25)])
    def test_wrong_count(self, model, shape):
        with pytest.raises(ValueError, match=r"shape .*takes \(n, 25\)"):
            model.predict(np.ones(shape))

    def test_empty(self, model):
        assert model.predict(np.ones((0, 25))).tilt_x.shape == (0,)


def test_batches_do_not_matter(model, drawn, refined):
    got = model.predict(drawn[1][:500], batch_size=37).stack()
    assert_same(got, refined.stack()[:500])


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int64, ">f4", ">u2"])
def test_dtypes(model, drawn, dtype):
    counts = np.round(1000 * drawn[1][:20])
    np.testing.assert_allclose(
        model.predict(counts.astype(dtype)).stack(), model.predict(counts).stack(), rtol=1e-6
    )


class TestSingleThickness:
    """A library of one thickness: nothing tells thickness, so nothing may depend on it."""

    @pytest.fixture(scope="class")
    def thin(self, library):
        from pyxem_mlmaps import NoiseModel, train_orientation_model

        return train_orientation_model(
            library.sel(72.5),
            noise=NoiseModel(dose=1e6),
            steps=128,
            batch_size=256,
            hidden=(48, 48),
        )

    @pytest.mark.parametrize("refine", [True, False])
    def test_thickness_is_given_back(self, thin, refine):
        patterns = thin.spline([[0.1, -0.05, 72.5], [-0.15, 0.0, 72.5]])
        got = thin.predict(patterns, refine=refine)
        np.testing.assert_array_equal(got.thickness, 72.5)
        assert np.isnan(got.sigma_thickness).all()
        assert np.isfinite(got.sigma_tilt_x).all() and np.isfinite(got.sigma_tilt_y).all()

    def test_tilt(self, thin):
        truth = np.random.default_rng(0).uniform(-0.18, 0.18, (200, 2))
        got = thin.predict(thin.spline(np.column_stack([truth, np.full(200, 72.5)])))
        assert np.abs(got.stack()[:, :2] - truth).max() < 1e-5
        assert np.all(got.misfit < 1), "no pattern is held at a border of thickness"

    def test_misfit_still_tells(self, thin, drawn):
        rng = np.random.default_rng(0)
        got = thin.predict(drawn[1][:100, rng.permutation(25)])
        assert np.mean(got.misfit > 1) > 0.98


def test_repr_tells_what_it_is(model):
    text = repr(model)
    for word in ("GaSb", "300", "1.1 mrad", "65 to 80 nm", "RMS error"):
        assert word in text


def test_indices_and_template(model, library):
    np.testing.assert_array_equal(model.indices, library.indices)
    template = model.lattice_template()
    np.testing.assert_allclose(template.vectors, library.vectors)
