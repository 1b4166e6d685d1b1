"""The words from which options of the library and of its command are chosen. Light to import: help answers at once."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

MASKS = ("none", "and", "or")
"""LAMOST's pixel masks: no pixel is left out, those bad in every exposure, those bad in any."""

SPECTRA_FORMATS = ("image", "table")
"""Spectra as in LAMOST DR1-DR7, or as in DR8 and later."""

CATALOGUE_FORMATS = (".fits", ".fits.gz", ".ecsv", ".parquet", ".csv")

CONVENTIONS = {"paper": 1.0, "gaussian": 2.0}
"""c in the weight exp(-Δ²/(c L²)): 1 in eq. 2 of the paper; 2 in the authors' code, where L is a standard deviation."""

SCHEDULERS = ("threads", "processes")

FILES_PER_BLOCK = 1000
"""Of `ingest`: one chunk of the store (29 MB)."""


def check_whole(name: str, found: Any, wanted: Iterable[int] = ()) -> int:
    """A whole number as Python's own; refuse what is none, or not among those wanted."""
    wanted = tuple(wanted)
    if isinstance(found, bool) or not isinstance(found, Integral) or (wanted and found not in wanted):
        these = f"one of {', '.join(map(str, wanted))}" if wanted else "a whole number"
        raise ValueError(f"{name}: found {found!r}, wanted {these}")
    return int(found)


def check_option(name: str, found: object, wanted: Iterable[str]) -> None:
    """Refuse a word that is not among those wanted."""
    wanted = tuple(wanted)
    if found not in wanted:
        raise ValueError(f"{name}: found {found!r}, wanted one of {', '.join(wanted)}")
