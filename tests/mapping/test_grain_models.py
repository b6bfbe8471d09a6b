"""Libraries of nodes: what they hold, and that they are made once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data
from pyxem_mlmaps.mapping.grain_models import FEWEST, GrainModels, Grid, ModelKey
from pyxem_mlmaps.simulation.crystal import as_crystal
from pyxem_mlmaps.simulation.library_cache import LibraryCache
from pyxem_mlmaps.simulation.orientation_nodes import node_of

SMALL = Grid(0.8, 0.1, 0.02, 5.0, 1.5, 30, 15.0, 0.02)
KEY = ModelKey(0, node_of(np.array([0.82, 0.48, 0.31]), 0.8), SMALL)


def models(folder, memory=1.5e9, **options):
    crystals = [as_crystal(data.uo2())]
    cache = LibraryCache(folder)
    return GrainModels(crystals, mlmaps.Beam(300, 1.5), (40.0, 60.0), 1.4, cache, memory, options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("libraries")


@pytest.fixture(scope="module")
def model(folder):
    return models(folder)[KEY]


def values(model):
    return model.maps.coefficients * model.maps.unit


def test_reach_and_number_of_disks(model):
    """Nothing beyond the detector, the direct beam among them, and no fewer than a dozen."""
    length = np.linalg.norm(model.vectors[:, :2], axis=1)
    assert length.max() < 1.4 and length.min() == 0
    assert FEWEST <= len(length) <= 30


def test_mosaic_spread(model, folder):
    """A mosaic crystal: the same intensity, its features broader; with a spread of 0.05°."""
    mosaic = models(folder, mosaic=0.05)[KEY]
    one, other = (
        {tuple(np.round(g, 6)): k for k, g in enumerate(m.vectors)} for m in (model, mosaic)
    )
    common = sorted(set(one) & set(other))
    assert len(common) >= 8
    sharp = values(model)[..., [one[g] for g in common]]
    margin = (mosaic.maps.coefficients.shape[0] - model.maps.coefficients.shape[0]) // 2
    blurred = values(mosaic)[..., [other[g] for g in common]]
    blurred = blurred[margin : -margin or None, margin : -margin or None]
    inside = slice(3, -3)
    np.testing.assert_allclose(
        blurred.sum(axis=3)[inside, inside].mean(), sharp.sum(axis=3)[inside, inside].mean(),
        rtol=0.02,
    )  # fmt: skip
    rough = [np.abs(np.diff(v, n=2, axis=0)).mean() for v in (sharp, blurred)]
    assert rough[1] < 0.7 * rough[0]


def test_made_once_by_many_threads(folder, model):
    again = models(folder)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: again[KEY], range(8)))
    assert all(f is found[0] for f in found)
    assert (again.cache.hits, again.cache.misses) == (1, 0)
    np.testing.assert_array_equal(found[0].maps.coefficients, model.maps.coefficients)


def test_memory_is_bounded(folder, model):
    """What does not fit is read again from disk."""
    few = models(folder, memory=1.9 * model.n_bytes)
    other = KEY._replace(node=node_of(np.array([0.85, 0.45, 0.29]), 0.8))
    few[KEY], few[other]
    assert len(few._models) == 1 and few._held() <= few.memory
    few[KEY]
    assert few.cache.hits == 2
