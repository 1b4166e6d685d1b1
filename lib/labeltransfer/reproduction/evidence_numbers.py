"""Numbers of an evidence: their sampling errors, how many of their digits are kept, and when two of them agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

WITHIN = 0.2
"""Part of its sampling error by which a number may differ when it is measured again."""

DIGITS = 4
"""Significant digits of numbers that have no sampling error."""

ERROR = "_error"
"""``NAME_error`` is the sampling error of ``NAME``; it has two digits, and may itself differ by a fifth."""


def sampling_error(
    statistic: Callable[..., Any],
    *columns: np.ndarray,
    rng: np.random.Generator,
    resamplings: int = 200,
    most: int | None = None,
) -> np.ndarray:
    """Standard deviation of a statistic over resamplings of the stars with replacement.

    Parameters
    ----------
    statistic : of the columns, a number or an array of numbers
    columns : (N, …) of the same N stars
    most : where a statistic is slow, the stars of one resampling; the deviation is scaled by the root of most / N
    """
    stars = len(columns[0])
    drawn = min(stars, most or stars)
    rows = rng.integers(stars, size=(resamplings, drawn))
    return np.nanstd([statistic(*(column[row] for column in columns)) for row in rows], axis=0) * np.sqrt(drawn / stars)


def with_error(name: str, statistic: Callable[..., Any], *columns: np.ndarray, **options: Any) -> dict[str, Any]:
    """A statistic under its name, and its `sampling_error`, which takes the options."""
    error = sampling_error(statistic, *columns, **options)
    return {name: np.asarray(statistic(*columns)), f"{name}{ERROR}": error}


def claim(value: Any, text: str, verdict: str, on: str) -> dict[str, Any]:
    """What an evidence says of a claim: value, one sentence, reproduced / differs / inconclusive, and on which data."""
    return {"value": value, "text": text, "verdict": verdict, "on": f"real data: {on}"}


def verdict(holds: bool, otherwise: str = "differs") -> str:
    """Reproduced if it holds, else another word."""
    return "reproduced" if holds else otherwise


def rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The same numbers with the digits that mean something: two of a sampling error, as many places of its number."""
    done: dict[str, Any] = {}
    for key, value in numbers.items():
        array = np.asarray(value) if not isinstance(value, Mapping) else np.array("")
        if isinstance(value, Mapping):
            done[key] = rounded(value)
        elif array.dtype.kind != "f":
            done[key] = array.tolist()
        else:
            error = np.asarray(numbers.get(f"{key}{ERROR}", np.full(array.shape, np.nan)), float)
            digits = 2 if key.endswith(ERROR) else DIGITS
            places = np.vectorize(_places, otypes=[int])(array, error, digits)
            one = [None if not np.isfinite(v) else round(v, p) for v, p in zip(array.flat, places.flat, strict=True)]
            done[key] = np.array(one, dtype=object).reshape(array.shape).tolist()
    return done


def _places(value: float, error: float, digits: int) -> int:
    if np.isfinite(error) and error > 0:
        return 1 - int(np.floor(np.log10(error)))
    return digits - 1 - int(np.floor(np.log10(abs(value)))) if np.isfinite(value) and value else 0


def differences(old: Any, new: Any, error: Any = None, where: str = "") -> Iterator[str]:
    """Where a record and what is measured now differ by more than they may, one line for each place."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            here = f"{where}.{key}" if where else key
            if key not in old or key not in new:
                yield f"{here}: {'not in the record' if key not in old else 'in the record, and no longer measured'}"
            else:
                own = new[key] if key.endswith(ERROR) else new.get(f"{key}{ERROR}")
                yield from differences(old[key], new[key], own, here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        errors = error if isinstance(error, list) else [error] * len(old)
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, errors[place], f"{where}[{place}]")
    elif not _agree(old, new, error):
        yield f"{where}: recorded {old!r}, now {new!r}" + (f", sampling error {error}" if error is not None else "")


def _agree(old: Any, new: Any, error: float | None) -> bool:
    if not (isinstance(old, float) and isinstance(new, float)):
        return bool(old == new)
    slack = WITHIN * error if error is not None else 10.0 ** (1 - DIGITS) * abs(new)
    return abs(old - new) <= slack + 1e-9
