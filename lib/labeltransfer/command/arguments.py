"""What arguments of the command are read as."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from math import isfinite, nan
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


def errors_by_label(text: str) -> dict[str, float]:
    """Standard errors by label, of a text like ``teff=50,logg=0.1``."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        try:
            error = float(number)
        except ValueError:
            error = nan
        if not (name and equals and isfinite(error) and error >= 0) or name in found:
            wanted = "every label once, with a number that is not negative: teff=50,logg=0.1"
            raise ArgumentTypeError(f"found {part!r} in {text!r}, wanted {wanted}")
        found[name] = error
    return found


def check_free(path: Path, what: str, suffixes: Sequence[str], replace: bool) -> None:
    """Refuse an output of another format, or that is there and is not to be replaced, before anything is loaded."""
    if not path.name.lower().endswith(tuple(suffixes)):
        wanted = suffixes[0] if len(suffixes) == 1 else f"one of {', '.join(suffixes)}"
        raise ValueError(f"-o {path}: found suffix {path.suffix!r}, wanted {wanted}")
    if path.is_file() and not replace:
        raise ValueError(f"{path}: exists already; give another name, or --replace if it is a {what} of labeltransfer")


def or_auto(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads a number, or the word auto."""

    def read(text: str) -> Any:
        return text if text == "auto" else kind(text)

    read.__name__ = f"{kind.__name__} or auto"
    return read
