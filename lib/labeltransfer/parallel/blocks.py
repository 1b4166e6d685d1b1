"""One thread pool over blocks of pixels or stars, with single-threaded matrix products inside.

Two pools (the matrix library's and another) fight for the same cores; one pool over blocks keeps every core busy with
data that still lie in its cache, and bounds the memory by a few blocks.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from multiprocessing.pool import ThreadPool
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

WAKEFUL = 0.5
"""Seconds after which a thread that waits for others looks whether it was interrupted: a signal may come just before it
begins to wait, and would not be noticed until the end of its wait."""

_LIMIT: ContextVar[int] = ContextVar("cores of this task", default=0)


def over_blocks(
    work: Callable[[slice], Result], size: int, block_size: int, n_threads: int | None = None
) -> list[Result]:
    """Call `work(slice)` for consecutive blocks of ``range(size)`` on all cores; results in order.

    Of nothing there is one empty block.

    Parameters
    ----------
    work : does one block; must release the interpreter lock (matrix products, compiled passes) to gain from threads
    size : how many pixels or stars there are
    block_size : how many of them make a block
    n_threads : threads; by default as many as there are cores for this process
    """
    blocks = [slice(start, min(start + block_size, size)) for start in range(0, max(size, 1), block_size)]
    n_threads = n_threads or available_cores()
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, blocks))


def over_files(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Call `work(item)` for each, on all cores; results in order, as they come.

    For work that reads or writes files, which may hang for ever (a network that is gone): threads that still hang when
    the caller is interrupted are left behind, and end with the process.
    """
    with ThreadPool(available_cores()) as pool:
        results = pool.imap(work, items)
        while True:
            try:
                yield results.next(timeout=WAKEFUL)
            except multiprocessing.TimeoutError:
                continue
            except StopIteration:
                return


@contextmanager
def limited_cores(n_cores: int) -> Iterator[None]:
    """Within, `available_cores` is at most this: for one of several processes that share a machine."""
    token = _LIMIT.set(n_cores)
    try:
        yield
    finally:
        _LIMIT.reset(token)


@cache
def _libraries() -> ThreadpoolController:
    """Those of this process with threads of their own; looked for once, as it takes as long as a small training."""
    return ThreadpoolController()


def available_cores() -> int:
    """How many cores this process may use."""
    if _LIMIT.get():
        return _LIMIT.get()
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
