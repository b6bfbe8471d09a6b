"""Arrays in memory and memory maps become dask arrays without a copy."""

import numpy as np
import pytest
from pyxem.signals import Diffraction2D

from pyxem_mlmaps._views import as_dask
from pyxem_mlmaps.mapping.blocks import whole_patterns


def all_views(dask_array, array):
    """Asked within the tasks: dask copies what it gives back."""
    seen = []
    task = dask_array.map_blocks(
        lambda block: seen.append(np.shares_memory(block, array)) or block, meta=dask_array._meta
    )
    task.compute(scheduler="synchronous")
    return len(seen) == dask_array.npartitions and all(seen)


@pytest.mark.parametrize("chunks", [(2, 3, -1), "auto", (5, 4, 6), (1, (3, 1), 6)])
def test_blocks_are_views_that_make_up_the_array(chunks):
    array = np.random.default_rng(0).normal(size=(5, 4, 6))
    dask_array = as_dask(array, chunks)
    np.testing.assert_array_equal(dask_array.compute(), array)
    assert all_views(dask_array, array)


def test_a_memory_map_stays_on_disk(tmp_path):
    file = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype="u2", shape=(6, 4))
    file[:] = np.arange(24).reshape(6, 4)
    rows = as_dask(file, (2, -1))
    assert all_views(rows, file)
    np.testing.assert_array_equal(rows.blocks[1], [[8, 9, 10, 11], [12, 13, 14, 15]])


def test_a_signal_in_memory_is_not_copied_to_be_mapped():
    s = Diffraction2D(np.zeros((3, 4, 32, 32), dtype=np.float32))
    patterns = whole_patterns(s)
    assert patterns.shape == s.data.shape
    assert all_views(patterns, s.data)
