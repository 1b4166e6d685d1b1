"""Where blocks of a survey are worked on: in this process, on processes of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from .blocks import available_cores

SCHEDULERS = ("threads", "processes")

ATTEMPTS = 2
"""How often a block is given to another worker when the one that had it was lost."""


@contextmanager
def workers(scheduler: str = "threads", n_workers: int | None = None) -> Iterator[Any]:
    """Open a Dask client, and close it (and the cluster that was started for it) at the end.

    Parameters
    ----------
    scheduler : ``"threads"``: this process, one block after the other, each on all cores; ``"processes"``: a
        `LocalCluster`; anything with ``://``: the address of a Dask scheduler
    n_workers : processes of a `LocalCluster`; by default one for each core

    Yields
    ------
    `distributed.Client`, or None for threads

    Raises
    ------
    ValueError
        If the scheduler is neither of the words nor an address.
    ImportError
        If Dask is asked for and not installed.
    OSError
        If nobody answers at the address.
    """
    if scheduler == "threads":
        yield None
    elif scheduler == "processes":
        dask = _distributed(scheduler)
        options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
        n_workers = n_workers or available_cores()
        with dask.LocalCluster(n_workers=n_workers, **options) as cluster, dask.Client(cluster) as client:
            yield client
    elif "://" in scheduler:
        with _connected(scheduler) as client:
            yield client
    else:
        wanted = f"{', '.join(SCHEDULERS)} or an address such as tcp://host:8786"
        raise ValueError(f"scheduler: found {scheduler!r}, wanted {wanted}")


def _connected(address: str) -> Any:
    try:
        return _distributed(address).Client(address, timeout="10s")
    except OSError as error:
        raise OSError(f"{address}: no Dask scheduler answers ({error}); start one with `dask scheduler`") from error


def _distributed(scheduler: str) -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise ImportError(f"scheduler {scheduler!r} needs Dask: `pip install dask distributed`") from None


def carry_out(work: Callable[..., int], shared: Any, jobs: Sequence[Any], client: Any = None) -> Iterator[int]:
    """Call ``work(shared, job)`` for every job, here or on the workers of a client; what it returns, as it comes.

    Parameters
    ----------
    work : does a job and returns how many stars it was
    shared : what all jobs need, shipped once to every worker
    client : a `distributed.Client`; None for one job after the other in this process
    """
    if client is None or not jobs:
        for job in jobs:
            yield work(shared, job)
        return
    from distributed import as_completed

    shipped = client.scatter(shared, broadcast=True, hash=False)
    futures = [client.submit(work, shipped, job, pure=False, retries=ATTEMPTS) for job in jobs]
    try:
        for future in as_completed(futures):
            yield future.result()
            future.release()
    finally:
        client.cancel(futures)
