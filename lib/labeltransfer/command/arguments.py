"""What arguments of the command are read as."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any


def a_path(text: str) -> Path:
    """A path; an empty one, as an unset variable of a shell gives it, would be the current folder."""
    if not text.strip():
        raise ArgumentTypeError(f"found an empty path {text!r}, wanted a name (. is the current folder)")
    return Path(text)


def a_count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.strip().isdecimal():
        raise ArgumentTypeError(f"found {text!r}, wanted a whole number, 0 or more")
    return int(text)


def or_auto(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads a number, or the word auto."""

    def read(text: str) -> Any:
        return text if text == "auto" else kind(text)

    read.__name__ = f"{kind.__name__} or auto"
    return read
