"""Progress bars and schedulers: the rim where computations meet the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = [
    "compute",
    "compute_here",
    "limit_threads",
    "progress",
    "progress_bar",
    "wants_progress",
]


def wants_progress(show_progressbar: bool | None) -> bool:
    """None follows HyperSpy's preference, as everywhere in HyperSpy."""
    if show_progressbar is None:
        import hyperspy.api as hs

        return bool(hs.preferences.General.show_progressbar)
    return bool(show_progressbar)


def progress(
    items: Iterable[T], text: str, show_progressbar: bool | None = None, total: int | None = None
) -> Iterator[T]:
    """Iterate with a bar."""
    from tqdm.auto import tqdm

    disable = not wants_progress(show_progressbar)
    yield from tqdm(items, desc=text, total=total, disable=disable)


@contextmanager
def limit_threads(threads: int = 1) -> Iterator[None]:
    """Keep BLAS to ``threads`` while dask runs its own workers: no oversubscription."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        yield


@contextmanager
def progress_bar(
    text: str, show_progressbar: bool | None, total: int
) -> Iterator[Callable[[int], Any]]:
    """A bar that is told of every step: yields the function that moves it on."""
    from tqdm.auto import tqdm

    with tqdm(desc=text, total=total, disable=not wants_progress(show_progressbar)) as bar:
        yield bar.update


def compute_here(tasks: Sequence[tuple[Any, ...]], num_workers: int | None = None) -> list[Any]:
    """Call ``(function, *arguments)`` in threads of this process, whatever scheduler there is."""
    import dask

    delayed = [dask.delayed(f, pure=False, traverse=False)(*rest) for f, *rest in tasks]
    return list(_in_threads(delayed, num_workers))


def compute(
    *arrays: Any,
    show_progressbar: bool | None = None,
    num_workers: int | None = None,
    text: str = "Computing",
) -> tuple[Any, ...]:
    """Compute dask objects together, with a progress bar.

    A ``dask.distributed`` client is used where there is one, with distributed's own bar;
    otherwise the threaded scheduler with ``num_workers`` threads.
    """
    client = _client()
    if client is not None:
        futures = client.compute(list(arrays))
        if wants_progress(show_progressbar):
            from distributed import progress as distributed_progress

            distributed_progress(futures)
        return tuple(client.gather(futures))
    if not wants_progress(show_progressbar):
        return _in_threads(arrays, num_workers)
    with _tqdm_callback(text):
        return _in_threads(arrays, num_workers)


def _in_threads(arrays: Sequence[Any], num_workers: int | None) -> tuple[Any, ...]:
    import dask

    options: dict[str, Any] = {} if num_workers is None else {"num_workers": num_workers}
    with limit_threads(1):
        return dask.compute(*arrays, scheduler="threads", **options)


def _client() -> Any:
    import sys

    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        client = default_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def _tqdm_callback(text: str) -> Any:
    from dask.callbacks import Callback
    from tqdm.auto import tqdm

    class Bar(Callback):
        """One bar for the whole graph, counted in tasks."""

        def _start_state(self, dsk: Any, state: Any) -> None:
            total = sum(len(state[k]) for k in ("ready", "waiting", "running", "finished"))
            self.bar = tqdm(total=total, desc=text)

        def _posttask(self, *args: Any) -> None:
            self.bar.update(1)

        def _finish(self, *args: Any) -> None:
            self.bar.close()

    return Bar()
