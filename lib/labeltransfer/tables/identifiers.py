"""Numbers that name something: they are of use with all their digits alone."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Table

from .columns import numbers, text

AS_WRITTEN = r"\+\d|0\d|\d+(\.\d*)?[eE]\+?\d"
"""How names of stars begin that would not be the same as numbers: 0012, +12, 1E5, 3.45E+08."""

_EXPONENT = re.compile(r"\d+(?:\.(?P<decimals>\d*))?[eE]\+?(?P<exponent>\d+)")


def whole_numbers(table: Table, name: str, where: object) -> np.ndarray:
    """(N,) int64: one column of numbers that name something, with all their digits; −1 where there is none.

    Raises
    ------
    ValueError
        As `columns.numbers`; and for what is no whole number, for one that the column cannot hold to the last digit
        (from 2²⁴ in single precision), and for text with an exponent and fewer digits than the number.
    """
    values, kind = numbers(table, name, where), table[name].dtype
    exact = 2.0 ** min(np.finfo(kind).nmant + 1 if kind.kind == "f" else 53, 53)
    lost = np.isfinite(values) & ((values != np.rint(values)) | (np.abs(values) >= exact))
    if kind.kind in "OUS":
        lost |= np.array([has_lost_digits(word) for word in text(table, name).tolist()], dtype=bool)
    if lost.any():
        row, held = int(np.argmax(lost)), "text" if kind.kind in "OUS" else kind
        raise ValueError(
            f"{where}: column {name}: row {row + 1} has {table[name][row]} ({held}), wanted whole numbers with all "
            "their digits, or they would name other stars; write the column anew as 64-bit integers"
        )
    return np.where(np.isfinite(values), values, -1.0).astype(np.int64)


def has_exponent(word: str) -> bool:
    """Whether a number is written with an exponent that is not negative: 3.45E+08."""
    return _EXPONENT.fullmatch(word) is not None


def has_lost_digits(word: str) -> bool:
    """Whether a whole number is written with an exponent and fewer digits than it has: 3.45E+08."""
    found = _EXPONENT.fullmatch(word)
    return found is not None and len(found["decimals"] or "") < int(found["exponent"])
