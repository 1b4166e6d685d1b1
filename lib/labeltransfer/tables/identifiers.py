"""Numbers that name something: they are of use with all their digits alone."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from .columns import numbers
from .words import largest_exact, text, words

_NAMES = re.compile(
    r"(.*[\W_])?((\d*mass|obs|plan|sp|fib(er|re)|obj|object|spec|star|source|target|gaia|sobject|[acpu])?ids?)"
    r"|(.*[\W_])?((file|fits|star|obj|object|target|main)?names?|designation|identifier)"
    r"|file|path|spectrum|stars?|obj|object|target"
)
"""How columns are called, in lower case, that name stars, their spectra or what belongs to them."""

AS_WRITTEN = r"\+\d|-?0\d|-?0[xX]|\d+(\.\d*)?[eE]\+?\d"
"""How names of stars begin that would not be the same as numbers: 0012, -01, +12, 0x12, 1E5, 3.45E+08."""

_WHOLE = re.compile(r"-?(0|[1-9]\d*)|[-+]?(0|[1-9]\d*)\.0*")
"""Whole numbers, also those to which pandas and spreadsheets add a point."""

_EXPONENT = re.compile(r"\d+(?:\.(?P<decimals>\d*))?[eE]\+?(?P<exponent>\d+)")


def names_stars(column: str) -> bool:
    """Whether a column of this name usually names stars, so that what is written there is text."""
    return _NAMES.fullmatch(column.strip().lower()) is not None


def doubtful(column: Column, names: bool) -> bool:
    """Whether the numbers that were read of a column may have been names: of one that `names` stars, or all whole."""
    if column.dtype.kind != "f" or names:
        return column.dtype.kind in "if"
    values = np.ma.compressed(np.ma.masked_invalid(column))
    return bool((values == np.rint(values)).all())


def as_written(column: Column, written: Column, names: bool) -> Column:
    """The numbers of a column, or the text as which it was written if it would not be the same.

    Parameters
    ----------
    names : whether the column names stars: then only whole numbers without zeros before them stay numbers
    """
    found = words(written)
    none = (found == "") | np.ma.getmaskarray(column)
    if column.dtype.kind == "i" and ((np.asarray(column).astype(str) == found) | none).all():
        return column
    if not names:
        some = found[~none].tolist()
        whole = column.dtype.kind == "i" or all("." not in one or _EXPONENT.fullmatch(one) for one in some)
        odd = whole and any(re.match(AS_WRITTEN, one) if "." not in one else has_lost_digits(one) for one in some)
        return Column(found) if odd else column
    none |= np.char.lower(found) == "nan"
    if not all(map(_WHOLE.fullmatch, found[~none].tolist())):
        return MaskedColumn(found, mask=none) if none.any() else Column(found)
    try:
        whole = np.array([int(word.split(".")[0]) for word in np.where(none, "0", found).tolist()], dtype=np.int64)
    except OverflowError:
        return MaskedColumn(found, mask=none)
    return MaskedColumn(whole, mask=none) if none.any() else Column(whole)


def whole_numbers(table: Table, name: str, where: object) -> np.ndarray:
    """(N,) int64: one column of numbers that name something, with all their digits; −1 where there is none.

    Raises
    ------
    ValueError
        As `columns.numbers`; and for what is no whole number, for one that the column cannot hold to the last digit
        (from 2²⁴ in single precision, 2⁵³ in double), and for text with an exponent and fewer digits than the number.
    """
    values, kind = numbers(table, name, where), table[name].dtype
    known = np.isfinite(values)
    lost = known & (
        (values != np.rint(values)) | (np.abs(values) >= (largest_exact(kind) if kind.kind == "f" else 2.0**63))
    )
    whole = np.where(known & ~lost, values, -1.0).astype(np.int64)
    if kind.kind in "iu":
        whole = np.where(known & ~lost, np.ma.getdata(table[name]).astype(np.int64), -1)
    elif kind.kind in "OUS":
        found = text(table, name)
        lost |= np.array([has_lost_digits(word) for word in found.tolist()], dtype=bool)
        long = known & ~lost & (np.abs(values) >= 2.0**53)
        whole[long] = [int(Decimal(word)) for word in found[long].tolist()]
    if lost.any():
        row, held = int(np.argmax(lost)), "text" if kind.kind in "OUS" else kind
        raise ValueError(
            f"{where}: column {name}: row {row + 1} has {table[name][row]} ({held}), wanted whole numbers with all "
            "their digits, or they would name other stars; write the column anew as 64-bit integers"
        )
    return whole


def has_lost_digits(word: str) -> bool:
    """Whether a whole number is written with an exponent and fewer digits than it has: 3.45E+08."""
    found = _EXPONENT.fullmatch(word)
    return found is not None and len(found["decimals"] or "") < int(found["exponent"])
