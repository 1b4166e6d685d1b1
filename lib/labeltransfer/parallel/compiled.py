"""Compiled passes over arrays: they release the interpreter lock, and their loops use wide registers.

numba keeps a compilation until the file of the function changes, but not the files of the functions it calls. Here it
also ends when any source of the package changes. Without a place to keep it, or room there, it is made each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
import numpy as np


@cache
def sources_digest(package: Path = Path(__file__).parents[1]) -> str:
    """A digest of the package's sources, in which anything is compiled."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes()
        if b"@compiled" in text:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + text)
    return digest.hexdigest()


def compiled(**options: Any) -> Callable[[Callable], Any]:
    """Decorator of a compiled function. A division by zero gives infinity or NaN; a check would keep loops scalar."""

    def decorate(function: Callable) -> Any:
        dispatcher = numba.njit(nogil=True, **{"error_model": "numpy", **options})(function)
        with suppress(RuntimeError):  # neither the package's folder nor the user's cache can be written
            getattr(dispatcher, "enable_caching", lambda: None)()
        kept = getattr(dispatcher, "_cache", None)
        index = getattr(kept, "_cache_file", None)
        if index is not None:  # the stamp by which the index of kept compilations is known to be current
            index._source_stamp = (index._source_stamp, sources_digest())
            _never_fail(kept)
        return dispatcher

    return decorate


def _never_fail(kept: Any) -> None:
    """Of kept compilations that are damaged, make new ones; where the disk is full, keep none."""
    load, save = kept.load_overload, kept.save_overload

    def load_or_none(*given: Any) -> Any:
        try:
            return load(*given)
        except Exception:  # whatever a damaged file leads to
            with suppress(OSError):
                kept.flush()
            return None

    def save_if_possible(*given: Any) -> None:
        with suppress(OSError):
            save(*given)

    kept.load_overload, kept.save_overload = load_or_none, save_if_possible


compiled_sums = partial(compiled, fastmath={"reassoc", "contract", "nsz"})
"""The same where sums may be reordered; NaN and infinity keep their meaning."""


def check_precision(dtype: np.typing.DTypeLike) -> None:
    """Refuse anything but single and double precision for matrix products."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype: found {np.dtype(dtype)}, wanted float32 or float64")
