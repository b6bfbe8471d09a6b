"""Training a disk model: from a library, further from another model, and the published network."""

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps.models import train_disks
from pyxem_mlmaps.training import disk_loop


@pytest.fixture
def short_rounds(monkeypatch):
    for module in (train_disks, disk_loop):
        monkeypatch.setattr(module, "PER_ROUND", 512)
    monkeypatch.setattr(train_disks, "VALIDATION", 256)


CONDITIONS = mlmaps.DiskConditions(
    radius=(8, 12), electrons=(1e4, 1e6), edge=(0.25, 1.5), background=(1e-3, 0.3)
)


@pytest.fixture(scope="module")
def trained(library):
    """Thirty short rounds on one crystal."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (train_disks, disk_loop):
            patch.setattr(module, "PER_ROUND", 512)
        patch.setattr(train_disks, "VALIDATION", 256)
        yield mlmaps.train_disk_model(library, CONDITIONS, samples=30 * 512, seed=1)


def test_training_from_nothing(trained):
    history = [row for row in trained.card.training["history"] if row["stage"] == "fine edge"]
    assert history[-1]["log_sigma"] < -0.5
    best = [r for r in trained.card.validation if r["electrons"] == 1e6 and r["optics"] == "known"]
    assert best[0]["rms"] < 0.9  # the middle of the window is off by 1.9 px rms
    assert trained.card.crystals[0]["name"] == "GaSb"
    assert trained.radius_range == (8.0, 12.0)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(library, trained, short_rounds):
    again = mlmaps.train_disk_model(library, CONDITIONS, samples=30 * 512, seed=1)
    images = np.random.default_rng(0).poisson(5, (4, 41, 41))
    np.testing.assert_allclose(
        again.predict(images, 10.0).y, trained.predict(images, 10.0).y, atol=1e-3
    )


@pytest.mark.slow
def test_training_further_starts_from_the_model(library, short_rounds):
    start = mlmaps.load_model("disks")
    model = mlmaps.train_disk_model(library, start=start, samples=4 * 512)
    assert model.conditions == start.conditions
    assert [c["name"] for c in model.card.crystals][-1] == "GaSb"
    assert len(model.card.crystals) == len(start.card.crystals) + 1
    best = [r for r in model.card.validation if r["electrons"] == 1e5 and r["optics"] == "known"]
    assert best[0]["median"] < 0.15  # a few steps do not unlearn it


PUBLISHED = mlmaps.DiskConditions(
    radius=(29, 31), electrons=(1e6, 1e7), shift=0.3, blank=0.0, white_share=0.0
)


def test_published_architecture(library, short_rounds, monkeypatch):
    monkeypatch.setattr(train_disks, "VALIDATION", 64)
    model = mlmaps.train_disk_model(
        library, PUBLISHED, architecture="yuan2021", samples=3 * 512, seed=0
    )
    assert model.card.architecture == "yuan2021"
    shapes = [w.shape for w in model.network.weights]
    assert shapes[0] == (3, 3, 1, 8) and shapes[2] == (3, 3, 8, 8) and shapes[5] == (128,)
    images = np.random.default_rng(0).poisson(5, (3, 121, 121)).astype(np.float32)
    scaled = images - images.mean(axis=(1, 2), keepdims=True)
    scaled /= images.std(axis=(1, 2), keepdims=True)
    expected = 30 * model.to_keras().predict(scaled[..., None], verbose=0)
    found = model.predict(images, 30.0, edge=0)
    np.testing.assert_allclose(np.column_stack([found.y, found.x]), expected, atol=1e-2)


@pytest.mark.slow
def test_published_architecture_learns(library, monkeypatch):
    monkeypatch.setattr(train_disks, "VALIDATION", 256)
    model = mlmaps.train_disk_model(
        library, PUBLISHED, architecture="yuan2021", samples=8192 * 3, seed=0
    )
    assert model.card.validation[-1]["rms"] < 2.0  # the middle of the window is off by 3.8 px rms


def test_errors(library):
    with pytest.raises(ValueError, match="start is a 'edge' model"):
        mlmaps.train_disk_model(library, start=mlmaps.load_model("disks"), architecture="yuan2021")
    with pytest.raises(ValueError, match="architecture='resnet'"):
        mlmaps.train_disk_model(library, architecture="resnet")
    with pytest.raises(ValueError, match="samples=5"):
        mlmaps.train_disk_model(library, samples=5)
    with pytest.raises(ValueError, match="keep_maps"):
        from dataclasses import replace

        mlmaps.train_disk_model(replace(library, maps=None))
