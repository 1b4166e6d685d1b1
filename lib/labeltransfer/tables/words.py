"""What names stars, as text: with all its digits, and without what a file or a program added to it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from astropy.table import Table

INDEX = "index"
"""What a column is called that has no name because it is the index of a table of pandas, or has the names of rows."""


def mark_index(table: Table, name: str) -> None:
    """Say of a column that it is the index by which pandas names rows; one without a name is called `INDEX`."""
    table[name].meta["index"] = True
    if re.fullmatch(r"col0|__index_level_\d+__", name) and INDEX not in table.colnames:
        table.rename_column(name, INDEX)


def is_index(table: Table, name: str) -> bool:
    """Whether a column was the index of a table of pandas, or has the names of rows."""
    return bool((getattr(table[name], "meta", None) or {}).get("index"))


def text(table: Table, name: str) -> np.ndarray:
    """(N,) one column as text, see `words`."""
    try:
        return words(table[name])
    except ValueError as error:
        raise ValueError(f"column {name}: {error}") from None


def words(values: Any) -> np.ndarray:
    """Any values as text without surrounding blanks: bytes decoded, whole numbers without a point, no value as "".

    Raises
    ------
    ValueError
        If a floating-point number is so large that it cannot hold all digits of a whole one.
    """
    values = values if hasattr(values, "dtype") else np.array(values, dtype=object)  # not all as of one kind
    masked = np.ma.getmaskarray(np.ma.asarray(values)) if isinstance(values, np.ma.MaskedArray) else None
    array = np.asarray(np.ma.getdata(values))
    if array.dtype.kind == "f":
        sure = np.isfinite(array) if masked is None else np.isfinite(array) & ~masked
        for lost in array[sure & (np.abs(array) >= largest_exact(array.dtype))].tolist()[:1]:
            raise _lost_digits(lost, array.dtype)
    if array.dtype.kind in "fT":
        array = array.astype(object)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    elif array.dtype.kind == "O":
        array = np.array([_word(one) for one in array.ravel().tolist()], dtype=str).reshape(array.shape)
    found = np.char.strip(array.astype(str))
    return found if masked is None else np.where(masked, "", found)


def _word(one: Any) -> str:
    if isinstance(one, bytes):
        return one.decode("utf-8", "replace")
    if isinstance(one, np.ndarray) and one.dtype.kind == "U":  # text of variable length in FITS, letter by letter
        return "".join(np.asarray(one).tolist())
    if isinstance(one, float | np.floating) and float(one).is_integer():
        if abs(float(one)) >= largest_exact(np.asarray(one).dtype):
            raise _lost_digits(one, np.asarray(one).dtype)
        return str(int(one))
    return "" if one is None or one is np.ma.masked or str(one) in ("nan", "NaT", "<NA>") else str(one)


def largest_exact(kind: np.dtype) -> float:
    """From which on a floating-point number does not hold all digits of a whole one: 2²⁴ in single precision, 2⁵³."""
    return float(2.0 ** min(np.finfo(kind).nmant + 1, 53))


def _lost_digits(one: object, kind: np.dtype) -> ValueError:
    return ValueError(
        f"found {one} ({kind}), wanted names of stars with all their digits, or they would name other stars; "
        "give them as 64-bit integers, or as text"
    )
