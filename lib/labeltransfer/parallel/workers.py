"""Where blocks of a survey are worked on: in this process, on processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from typing import Any, Protocol
from uuid import uuid4

from ..options import SCHEDULERS
from .blocks import available_cores, limited_cores

ATTEMPTS = 5
"""How often a block is given to another worker when the one that had it was lost."""

PATIENCE = 15.0
"""Seconds to wait for a Dask scheduler's answer, and for the first of its workers."""

LOOK, DESERTED = 2.0, 90.0
"""Seconds after which it is looked whether there still are workers, and to wait for one when all are lost."""

GUARD = "`if __name__ == '__main__':`"
"""For processes that are started anew run the script from its beginning."""

_log = logging.getLogger(__name__)

Work = Callable[[Any, Any], int]


class Workers(Protocol):
    """Those who do a survey's blocks."""

    def carry_out(self, work: Work, shared: Any, jobs: Sequence[Any]) -> Iterator[int]:
        """Call ``work(shared, job)`` for every job; yields what it returns (how many stars it was), as it comes."""


@contextmanager
def workers(scheduler: str = "threads", n_workers: int | None = None) -> Iterator[Workers]:
    """Those who do the blocks; what was started for it ends with the block.

    Parameters
    ----------
    scheduler : ``"threads"``: this process, one block after the other, each on all cores; ``"processes"``: processes of
        this machine, a block and a core for each (in a script, under ``if __name__ == "__main__":``); anything with
        ``://``: the address of a Dask scheduler
    n_workers : processes; by default one for each core

    Raises
    ------
    ValueError
        If the scheduler is neither of the words nor an address, or the number of workers is not positive.
    ImportError
        If Dask is asked for and not installed.
    OSError
        If no Dask scheduler answers at the address, or it has no workers.
    """
    if n_workers is not None and n_workers < 1:
        raise ValueError(f"workers: found {n_workers}, wanted at least 1")
    if scheduler == "threads":
        yield Here()
    elif scheduler == "processes":
        if getattr(multiprocessing.current_process(), "_inheriting", False):  # it runs the script that started it again
            raise RuntimeError(f"scheduler 'processes': in a script, the call must stand under {GUARD}")
        yield Processes(n_workers or available_cores())
    elif "://" in scheduler:
        with _connected(scheduler) as client:
            yield Dask(client, scheduler)
    else:
        wanted = f"{', '.join(SCHEDULERS)} or an address such as tcp://host:8786"
        raise ValueError(f"scheduler: found {scheduler!r}, wanted {wanted}")


class Here:
    """One job after the other in this process, which uses all cores for each."""

    def carry_out(self, work: Work, shared: Any, jobs: Sequence[Any]) -> Iterator[int]:
        """See `Workers`."""
        for job in jobs:
            yield work(shared, job)


class Processes:
    """Processes of this machine, each with a core of its own."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers

    def carry_out(self, work: Work, shared: Any, jobs: Sequence[Any]) -> Iterator[int]:
        """See `Workers`; what is shared is shipped once to each process.

        Raises
        ------
        RuntimeError
            If a process was killed, for example because the memory was full.
        """
        if not jobs:
            return
        before = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        n_processes = min(self.n_workers, len(jobs))
        shipped = bytes(ForkingPickler.dumps((work, shared)))
        post = context.Queue()  # given at their start, it would wait for ever for a process that ends before it reads
        for _ in range(n_processes):
            post.put(shipped)
        pool = ProcessPoolExecutor(n_processes, context, _remember, (post,))
        try:
            for future in as_completed([pool.submit(_on_one_core, job) for job in jobs]):
                yield future.result()
            pool.shutdown()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process ended before its work was done (killed, or out of memory; or started by a script in "
                f"which the call does not stand under {GUARD}); what is finished is kept: call again, perhaps with "
                "fewer workers"
            ) from error
        finally:
            post.cancel_join_thread()
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            pool.shutdown(wait=False, cancel_futures=True)


_REMEMBERED: list[Any] = []


def _remember(post: Any) -> None:
    _REMEMBERED[:] = ForkingPickler.loads(post.get())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that began it is gone, be it killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_one_core(job: Any) -> int:
    work, shared = _REMEMBERED
    with limited_cores(1):
        return work(shared, job)


class Dask:
    """The workers of a Dask scheduler; what is shared reaches each, also one that comes later, by a plugin."""

    def __init__(self, client: Any, address: str) -> None:
        self.client, self.address = client, address

    def carry_out(self, work: Work, shared: Any, jobs: Sequence[Any]) -> Iterator[int]:
        """See `Workers`. When all workers are lost the rest is done as soon as one returns.

        Raises
        ------
        OSError
            If the scheduler has no workers, or none returns, or the connection to it is lost.
        RuntimeError
            If a block killed several workers, one after the other.
        """
        if not jobs:
            return
        distributed = _distributed(self.address)
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise OSError(f"{self.address}: the Dask scheduler has no workers; start one with `dask worker`") from error
        name = f"labeltransfer-{uuid4().hex}"
        self.client.register_plugin(_shipped(distributed, shared), name=name)
        options = {"pure": False, "retries": ATTEMPTS}
        futures = [self.client.submit(_on_a_worker, work, name, job, **options) for job in jobs]
        pending, deserted = set(futures), 0.0
        try:
            while pending:
                try:
                    with self.client.as_current():
                        done, pending = distributed.wait(pending, timeout=LOOK, return_when="FIRST_COMPLETED")
                except TimeoutError:
                    deserted = self._deserted(deserted)
                    continue
                for future in done:
                    yield future.result()
                    future.release()
        except distributed.KilledWorker as error:
            raise RuntimeError(
                f"{self.address}: several workers died on the same block (out of memory?); what is finished is kept: "
                "call again, perhaps with workers of more memory"
            ) from error
        except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
            raise OSError(
                f"{self.address}: the connection to the Dask scheduler is lost; what is finished is kept: call again"
            ) from error
        finally:
            if self.client.status == "running":
                self.client.cancel(futures)
                self.client.unregister_worker_plugin(name)

    def _deserted(self, seconds: float) -> float:
        """For how long the scheduler has had no workers, after another `LOOK` seconds."""
        if self.client.scheduler_info()["workers"]:
            return 0.0
        if not seconds:
            _log.warning("%s: all Dask workers are lost; waiting for one", self.address)
        if seconds > DESERTED:
            raise OSError(
                f"{self.address}: the Dask scheduler has had no workers for {seconds:.0f} s; what is finished is kept: "
                "start one with `dask worker`, and call again"
            )
        return seconds + LOOK


def _shipped(distributed: Any, shared: Any) -> Any:
    plugin = distributed.WorkerPlugin()
    plugin.shared = shared
    return plugin


def _on_a_worker(work: Work, name: str, job: Any) -> int:
    shared = import_module("distributed").get_worker().plugins[name].shared
    with limited_cores(1):
        return work(shared, job)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of a scheduler that is known to answer: a client alone would wait for one that says nothing."""
    distributed = _distributed(address)

    async def identity() -> Any:
        comm = await distributed.comm.connect(address, timeout=PATIENCE)
        return await distributed.core.send_recv(comm, op="identity", close=True)

    try:
        asyncio.run(asyncio.wait_for(identity(), PATIENCE))
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        what = str(error) or "it accepts, but does not speak Dask"
        raise OSError(f"{address}: no Dask scheduler answers ({what}); start one with `dask scheduler`") from error
    with client:
        yield client


def _distributed(scheduler: str) -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise ImportError(f"scheduler {scheduler!r} needs Dask: `pip install dask distributed`") from None
