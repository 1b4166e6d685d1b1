"""The command as a process: signals, a reader that went away, messages."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """A polite kill (SIGTERM) ends the command as Ctrl-C does, so that records say what happened."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def never_closed() -> None:
    """Give Python streams that lead nowhere for those that were closed before the command began (``>&-``).

    What the terminal has no character for is written as an escape.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # until the end
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def no_longer_read(stream: TextIO) -> bool:
    """Whether the reader of a stream has gone (``… | head``); what is still to be written is then thrown away."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return True


def in_words(error: Exception) -> str:
    """A message; what the system says without the number of the error, the file first."""
    if isinstance(error, OSError) and error.strerror:
        nameless = {errno.ENOSPC: "standard output", errno.ENOENT: "the current folder"}
        where = error.filename or nameless.get(error.errno or 0)
        return f"{where}: {error.strerror}" if where else error.strerror
    return str(error)


def log_to_stderr(loudness: int) -> None:
    """Show the library's messages: warnings; with -v what it does, with -vv everything; with -q errors alone."""
    import logging

    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(max(loudness, -1), logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger(__package__.split(".")[0])
    logger.handlers[:] = [handler]
    logger.setLevel(level)
