"""One writer at a time in a folder; the lock of a process that was killed is free again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"

WAIT = 0.2
"""Seconds to wait for a lock: `is_held` takes it for a moment in order to know, which must stop nobody."""


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Hold the folder while it is written.

    Raises
    ------
    RuntimeError
        If another process, or another thread, holds it, naming the folder and that process.
    OSError
        If the folder cannot be written, naming the lock.
    """
    path = Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, poll_interval=WAIT / 4)
    try:
        lock.acquire(timeout=WAIT)
    except Timeout:
        raise RuntimeError(
            f"{folder}: another run (process {_holder(path)}) is writing here; wait for it, or give another folder"
        ) from None
    try:
        with suppress(OSError):  # who holds it is only told; the lock is what counts
            path.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.write_text("", encoding="utf-8")
        lock.release()


def is_held(folder: str | Path) -> bool:
    """Whether a process is writing the folder, as far as the system can tell."""
    path = Path(folder) / LOCK
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:  # a system that lets nobody read what is locked
        return "unknown"
