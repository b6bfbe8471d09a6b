"""Processes of a dask.distributed cluster give the answers of threads, and may be lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import pyxem_mlmaps as mlmaps
from pyxem_mlmaps import data

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
# workers cannot import this file where some package has put a "tests" of its own beside the others
cloudpickle.register_pickle_by_value(sys.modules[__name__])

QUIET = {"show_progressbar": False}


def assert_equal(got, expected, name=""):
    np.testing.assert_array_equal(got, expected, err_msg=name)


def slowly(block):
    time.sleep(0.4)
    return block


def built():
    """Models that this process has built."""
    from pyxem_mlmaps.models.packed import _build

    return _build.cache_info().misses


def grain_libraries():
    """Objects of this process that hold libraries of grains."""
    from pyxem_mlmaps.mapping.grain_models import _of_process

    return len(_of_process)


@pytest.fixture(scope="module")
def cluster():
    """Two processes of one thread each."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def scan(library):
    return data.bent_foil(
        (6, 8), (192, 192), library, bend=0.14, electrons=1e6, background=0.0, chunks=(2, 2), seed=1
    )


@pytest.fixture(scope="module")
def lattice(scan):
    return data.ground_truth(scan).lattice


@pytest.fixture(scope="module")
def by_threads(scan, model, lattice):
    """Made without a client."""
    return (
        scan.ml_orientation_map(model, lattice, lazy_output=False, **QUIET),
        scan.ml_disk_positions(lattice=lattice, lazy_output=False, **QUIET),
    )


def test_orientation(by_threads, client, scan, model, lattice):
    """The model is built once in each process, not once for each of 12 blocks."""
    before = client.run(built)
    omap = scan.ml_orientation_map(model, lattice, lazy_output=False, **QUIET)
    assert_equal(omap.data, by_threads[0].data)
    after = client.run(built)
    assert 1 <= sum(after.values()) - sum(before.values()) <= 2
    assert all(after[w] - before[w] <= 1 for w in after)


def test_lazy(by_threads, client, scan, model, lattice):
    omap = scan.ml_orientation_map(model, lattice)
    omap.compute()
    assert_equal(omap.data, by_threads[0].data)


def test_disk_positions(by_threads, client, scan, lattice):
    vectors = scan.ml_disk_positions(lattice=lattice, lazy_output=False, **QUIET)
    for one, other in zip(vectors.data.ravel(), by_threads[1].data.ravel(), strict=True):
        assert_equal(np.asarray(one, dtype=float), np.asarray(other, dtype=float))


def test_into_a_store(by_threads, client, scan, model, lattice, tmp_path):
    omap = scan.ml_orientation_map(
        model, lattice, out=tmp_path / "m.zarr", lazy_output=False, **QUIET
    )
    assert_equal(omap.data, by_threads[0].data)


def test_a_worker_that_is_killed(by_threads, client, scan, model, lattice):
    """Its tasks are done by others."""
    slow = scan.deepcopy()
    slow.data = scan.data.map_blocks(slowly, dtype=scan.data.dtype)
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGTERM))
    killer.start()
    omap = slow.ml_orientation_map(model, lattice, lazy_output=False, **QUIET)
    killer.join()
    assert_equal(omap.data, by_threads[0].data)
    assert victim not in client.run(os.getpid).values()


@pytest.fixture(scope="module")
def grains(tmp_path_factory):
    """Made without a client: what makes the map, and the map."""
    s = data.polycrystal((4, 5), grains=1, subgrains=1, thickness=(50, 60), seed=2)
    s.compute(**QUIET)
    coarse = data.ground_truth(s).to_crystal_map(s)
    options = {"thickness": (45, 65), "cache": tmp_path_factory.mktemp("libraries")} | QUIET

    def run():
        return mlmaps.map_polycrystal(s, data.uo2(), mlmaps.Beam(300, 1.5), coarse, **options)

    return run, run()


def test_polycrystal(grains, client):
    """Points are fitted on the cluster with the libraries of the cache folder."""
    run, by_threads = grains
    on_cluster = run()
    held = client.run(grain_libraries).values()
    assert max(held) == 1
    assert_equal(on_cluster.rotations.data, by_threads.rotations.data)
    assert on_cluster.prop.keys() == by_threads.prop.keys()
    for name in on_cluster.prop:
        assert_equal(on_cluster.prop[name], by_threads.prop[name], name)
