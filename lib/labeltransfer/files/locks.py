"""One writer at a time in a folder; the lock of a process that was killed is free again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # a system without them: runs are not kept apart there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
ATTEMPTS, PAUSE = 5, 0.05
"""`is_held` takes a lock for a moment in order to know, which must stop nobody: times, and seconds between them."""


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Hold the folder while it is written.

    Raises
    ------
    RuntimeError
        If another process holds it, naming the folder and that process.
    OSError
        If the folder cannot be written, naming the lock.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as lock:
        if not _taken(lock, ATTEMPTS):
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise RuntimeError(
                f"{folder}: another run (process {holder}) is writing here; wait for it, or give another folder"
            )
        _write_holder(lock, folder / LOCK)
        try:
            yield
        finally:
            lock.truncate(0)


def is_held(folder: str | Path) -> bool:
    """Whether a process is writing the folder, as far as the system can tell."""
    path = Path(folder) / LOCK
    if fcntl is None:
        return True
    if not path.exists():
        return False
    with path.open(encoding="utf-8") as lock:
        return not _taken(lock, 1)


def _taken(lock: IO[str], attempts: int) -> bool:
    """Take the lock of an open file, which is given back when the file is closed."""
    if fcntl is None:
        return True
    for attempt in range(attempts):
        time.sleep(PAUSE * bool(attempt))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        return True
    return False


def _write_holder(lock: IO[str], path: Path) -> None:
    try:
        lock.truncate(0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    except OSError as error:  # a full disk, which does not say where
        raise OSError(error.errno, error.strerror, str(path)) from error
