"""Compiled passes over arrays: they release the interpreter lock, and their loops use wide registers.

numba keeps a compilation until the file of the function changes, but not the files of the functions it calls. Here it
also ends when any source of the package changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
        dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        index = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if index is not None:  # the stamp by which the index of kept compilations is known to be current
            index._source_stamp = (index._source_stamp, sources_digest())
        return dispatcher

    return decorate


compiled_sums = partial(compiled, fastmath={"reassoc", "contract", "nsz"})
"""The same where sums may be reordered; NaN and infinity keep their meaning."""


def check_precision(dtype: np.typing.DTypeLike) -> None:
    """Refuse anything but single and double precision for matrix products."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype: found {np.dtype(dtype)}, wanted float32 or float64")
