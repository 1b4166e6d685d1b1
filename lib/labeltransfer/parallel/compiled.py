"""Compiled passes over arrays: they release the interpreter lock, and their loops use wide registers."""

from __future__ import annotations

from functools import partial

import numba
import numpy as np

compiled = partial(numba.njit, cache=True, nogil=True, error_model="numpy")
"""Decorator of a compiled function. A division by zero gives infinity or NaN; a check would keep loops scalar."""

compiled_sums = partial(compiled, fastmath={"reassoc", "contract", "nsz"})
"""The same where sums may be reordered; NaN and infinity keep their meaning."""


def check_precision(dtype: np.typing.DTypeLike) -> None:
    """Refuse anything but single and double precision for matrix products."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype: found {np.dtype(dtype)}, wanted float32 or float64")
