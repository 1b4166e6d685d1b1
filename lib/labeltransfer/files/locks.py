"""One writer at a time in a folder; the lock of a process that was killed is free again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without them: runs are not kept apart there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Hold the folder while it is written.

    Raises
    ------
    RuntimeError
        If another process holds it, naming the folder and that process.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise RuntimeError(
                    f"{folder}: another run (process {holder}) is writing here; wait for it, or give another folder"
                ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)
