"""Arrays in memory and memory maps become dask arrays without a copy."""

import numpy as np
import pytest
from pyxem.signals import Diffraction2D

from pyxem_mlmaps._views import as_dask
from pyxem_mlmaps.mapping.blocks import whole_patterns


@pytest.mark.parametrize("chunks", [(2, 3, -1), "auto", (5, 4, 6), (1, (3, 1), 6)])
def test_blocks_are_views_that_make_up_the_array(chunks):
    array = np.random.default_rng(0).normal(size=(5, 4, 6))
    dask_array = as_dask(array, chunks)
    np.testing.assert_array_equal(dask_array.compute(), array)
    for block in dask_array.blocks.ravel():
        assert np.shares_memory(block.compute(), array)


def test_a_memory_map_stays_on_disk(tmp_path):
    file = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype="u2", shape=(6, 4))
    file[:] = np.arange(24).reshape(6, 4)
    block = as_dask(file, (2, -1)).blocks[1].compute()
    assert np.shares_memory(block, file)
    np.testing.assert_array_equal(block, [[8, 9, 10, 11], [12, 13, 14, 15]])


def test_a_signal_in_memory_is_not_copied_to_be_mapped():
    s = Diffraction2D(np.zeros((3, 4, 32, 32), dtype=np.float32))
    patterns = whole_patterns(s)
    assert patterns.shape == s.data.shape
    assert all(np.shares_memory(b.compute(), s.data) for b in patterns.blocks.ravel())
