"""Arrays in memory, and memory maps, as dask arrays of views.

``dask.array.from_array`` copies what it is given, which for a memory map reads the whole file.
"""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_dask"]


def as_dask(array: NDArray, chunks: Any) -> Any:
    """A dask array whose blocks are views of ``array``.

    Parameters
    ----------
    array
        In memory or mapped.
    chunks
        As dask takes them.

    Returns
    -------
    dask array
        What is written to ``array`` later shows.

    Examples
    --------
    >>> import numpy as np
    >>> from pyxem_mlmaps._views import as_dask
    >>> array = np.zeros((4, 3))
    >>> patterns = as_dask(array, (2, 3))
    >>> patterns.map_blocks(lambda b: np.shares_memory(b, array) * np.ones((1, 1))).compute()
    array([[1.],
           [1.]])
    """
    import dask.array as da

    array = np.asarray(array)
    chunks = da.core.normalize_chunks(chunks, array.shape, dtype=array.dtype)
    name = f"views-{uuid.uuid4().hex}"
    places = itertools.product(*(range(len(sizes)) for sizes in chunks))
    parts = da.core.slices_from_chunks(chunks)
    graph = {(name, *place): array[part] for place, part in zip(places, parts, strict=True)}
    return da.Array(graph, name, chunks, dtype=array.dtype)
