"""Columns by any of their usual names, as plain numbers in the unit that is wanted; what counts as missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column, Table

from .words import text

MISSING = -9999.0
"""What both surveys write where they know no value; APOGEE's photometry has −9999.99 instead."""

EMPTY_WORDS = (
    "nan", "na", "n/a", "n.a.", "#n/a", "<na>", "null", "none", "inf", "-inf", "nat", "\\n", "indef", "undef",
    "missing", "unknown",
)  # fmt: skip
"""Words, in lower case, that stand for no value in tables of text; so does one without a letter or digit, as ``…``."""

NINES = tuple(float(f"{nines}{end}") for nines in ("999", "9999", "99999", "999999") for end in ("", ".9", ".99"))
"""Written with a minus sign, each of them means that there is no value."""

LARGEST = 1e30
"""Numbers beyond this are fill values of single precision, or overflows."""


def is_missing(values: np.ndarray, *, positive: bool = False) -> np.ndarray:
    """Where numbers stand for no value: NaN, infinity, −999, −9999, −9999.99 and their like.

    Parameters
    ----------
    values : floating-point numbers; those that went through single precision are known, too
    positive : whether 99.99, 999, 9999.99 … without a minus sign are missing as well
    """
    missing = ~(np.abs(values) < LARGEST)
    if not positive and not (values < -998.0).any():
        return missing
    signs = (-1.0, 1.0) if positive else (-1.0,)
    nines = (*NINES, 99.99) if positive else NINES
    for number in nines:
        for sign in signs:
            missing |= np.abs(values - sign * number) <= 1e-7 * number
    return missing


_BRACKETS = re.compile(r"(?<=[\w\])])(?P<gap>\s*)[(\[](?P<unit>[^)\]]*)[)\]]\s*$")


_FORTRAN = re.compile(r"(?<=[\d.])[dD](?=[-+]?\d+$)")
"""The letter of an exponent in double precision, as Fortran writes it: 4.5D+03."""


_LOGARITHM = re.compile(r"(?:log(?:10)?)?\s*[(\[](?P<unit>.+)[)\]]")
"""A logarithm's unit as tables write it: ``log(m/s2)``, or ``[m/s2]``."""

_DEX = re.compile(r"dex(?!\()|cm|cgs|\bSun\b|^log(10)?\W*g?\W*$|^\W*$")
"""What stands in the units that people give to numbers in dex, and to log g in cm/s2, if astropy does not know them."""


@cache
def plain_name(name: str) -> str:
    """Letters and digits of a name in lower case, no unit: ``[Fe/H] (dex)``, ``Fe_H``, ``feh`` are one."""
    found = _BRACKETS.search(name)
    if found and (found["gap"] or unit_in_name(name) is not None):
        name = name[: found.start()]
    return re.sub(r"[^a-z0-9]+", "", name.lower().replace("α", "alpha"))


def unit_in_name(name: str) -> units.UnitBase | None:
    """The unit that stands in brackets behind a name, as in ``Teff [kK]``; but the g of ``log(g)`` is none."""
    found = _BRACKETS.search(name)
    if not found or found["unit"].strip() in ("", "g"):
        return None
    try:
        return units.Unit(found["unit"])
    except ValueError:
        return None


def find_column(table: Table | Sequence[str], names: Sequence[str]) -> str | None:
    """Name of the first column that is called one of `names`, in upper or lower case; brackets and the like may differ.

    Parameters
    ----------
    table : a table, or the names of its columns
    names : in order of preference
    """
    columns = table.colnames if isinstance(table, Table) else list(table)
    exact = {name.strip().lower(): name for name in reversed(columns)}
    alike = {plain_name(name): name for name in reversed(columns)}
    for name in names:
        found = exact.get(name.lower()) or alike.get(plain_name(name) or name)
        if found is not None:
            return found
    return None


def wanted_column(table: Table, names: Sequence[str], where: object) -> str:
    """As `find_column`, or ValueError saying what the table has."""
    found = find_column(table, names)
    if found is None:
        raise ValueError(
            f"{where}: no column {' or '.join(names)}; the table has {', '.join(table.colnames)}; "
            "rename the column that is meant"
        )
    return found


def numbers(table: Table, name: str, where: object, unit: str = "", errors_of: str | None = None) -> np.ndarray:
    """(N,) one column as float64 in `unit`; masked values, empty text and what `is_missing` become NaN.

    Parameters
    ----------
    errors_of : the column whose errors these are: they are in its unit unless they state another, are converted without
        the zero points of units, and are missing also where 9999 and the like stand without a minus sign

    Raises
    ------
    ValueError
        If the column holds text that is no number, or declares a unit (also in its name, as ``Teff [kK]``) that cannot
        be converted to `unit`.
    """
    column = table[name]
    kind = getattr(column, "dtype", type(column).__name__)
    if getattr(kind, "kind", "") not in tuple("fiuOUS"):
        raise ValueError(f"{where}: column {name} holds {kind}, wanted numbers")
    if column.ndim != 1:
        raise ValueError(f"{where}: column {name} has shape {column.shape}, wanted one number per row")
    if column.dtype.kind in "OUS":
        written = [_FORTRAN.sub("e", word.replace("\N{MINUS SIGN}", "-")) for word in text(table, name).tolist()]
        written = ["nan" if _says_nothing(word) else word for word in written]
        try:
            values = np.array(written, dtype=str).astype(float)
        except ValueError:
            wrong = next(word for word in written if not is_number(word))
            raise ValueError(f"{where}: column {name}: found {wrong!r}, wanted numbers") from None
    else:
        values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    values = np.where(is_missing(values, positive=errors_of is not None), np.nan, values)
    if errors_of is None:
        return _converted(values, column, name, where, unit)
    stated = column.unit is not None or unit_in_name(name) is not None
    zero, values = (
        _converted(one, column if stated else table[errors_of], name if stated else errors_of, where, unit)
        for one in (np.zeros(1), values)
    )
    return values - zero


def _says_nothing(word: str) -> bool:
    return word.lower() in EMPTY_WORDS or not any(map(str.isalnum, word))


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _converted(values: np.ndarray, column: Column, name: str, where: object, unit: str) -> np.ndarray:
    found, named = column.unit, unit_in_name(name)
    gravity = units.Unit("cm / s2")
    if found is None and named is not None and unit:
        meant = named.is_equivalent(units.Unit(unit)) or (unit == "dex" and named.is_equivalent(gravity))
        found = named if meant else None
    if found is None or not unit or str(found) in ("", unit):
        return values
    if unit == "dex":
        found = _logarithm(found)
        if isinstance(found, units.DexUnit) and found.physical_unit.is_equivalent(gravity):
            return np.asarray(found.to(units.DexUnit(gravity), values))
        if isinstance(found, units.DexUnit) or found == units.dimensionless_unscaled or _DEX.search(str(found)):
            return values
    try:
        if ("mag" in str(found)) != ("mag" in unit):
            raise units.UnitConversionError("to astropy, a magnitude is −0.4 dex")
        return np.asarray(units.Unit(found).to(units.Unit(unit), values))
    except (units.UnitConversionError, ValueError, TypeError):
        raise ValueError(
            f"{where}: column {name} is in {found}, wanted {unit}; convert it, or correct the unit of the column"
        ) from None


def _logarithm(unit: units.UnitBase) -> units.UnitBase:
    """A unit that is written as a logarithm as astropy knows it; any other as it is."""
    found = _LOGARITHM.fullmatch(str(unit))
    try:
        return units.Unit(f"dex({found['unit']})") if found else unit
    except ValueError:
        return unit


def together(values: Any) -> Any:
    """A list of arrays as one array; of units, masks and digits of whole numbers NumPy loses in silence."""
    if isinstance(values, list | tuple) and any(isinstance(one, units.Quantity) for one in values):
        return units.Quantity(values) if all(np.ndim(one) == 0 for one in values) else np.stack(values)
    if isinstance(values, list | tuple) and any(isinstance(one, np.ma.MaskedArray) for one in values):
        return np.ma.stack([np.ma.asarray(one) for one in values])
    kinds = set(map(type, values)) if isinstance(values, list | tuple) else set()
    whole = any(issubclass(kind, int | np.integer) for kind in kinds) and np.ndim(values[0]) == 0
    return np.array(values, dtype=object) if whole and np.asarray(values).dtype.kind == "f" else values


def unit_of(values: Any) -> Any:
    """The unit that an array has; None also for plain numbers that are a `Quantity`."""
    unit = getattr(values, "unit", None)
    return None if unit in (None, "", units.dimensionless_unscaled) else unit


def plain(values: Any, what: str, unit: str | units.UnitBase | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """An array without what NumPy would drop in silence: its mask apart, and its unit converted.

    Parameters
    ----------
    values : array, masked array, column, `Quantity`, astropy's `Masked`, or a pandas object
    what : it is, for messages
    unit : to convert to; None if there must be no unit

    Returns
    -------
    array, mask
        The mask is None if nothing is masked.

    Raises
    ------
    TypeError
        If the values are no numbers, or have a unit where none is known.
    ValueError
        If the unit cannot be converted.
    """
    mask = None
    try:
        values = together(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what}: found rows that make no array ({error}), wanted one array") from None
    if hasattr(values, "unmasked"):
        values, mask = values.unmasked, np.asarray(values.mask)
    if hasattr(values, "isna"):
        mask = np.asarray(values.isna())
        values = values.to_numpy(dtype=float, na_value=np.nan)
    found = unit_of(values)
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        values = values.filled(np.nan) if values.dtype.kind == "f" else np.ma.getdata(values)
    try:
        array = np.asarray(getattr(values, "value", values) if isinstance(values, units.Quantity) else values)
    except ValueError:
        raise ValueError(f"{what}: found rows of different lengths, wanted one array") from None
    if array.dtype.kind not in "fiub":
        array = _as_numbers(array, what)
    if found is not None:
        if unit is None:
            raise TypeError(f"{what}: found a unit, {found}, wanted plain numbers, or units for all arrays")
        try:
            array = np.asarray(units.Unit(found).to(units.Unit(unit), array))
        except (units.UnitConversionError, ValueError, TypeError):
            raise ValueError(f"{what}: found {found}, wanted {unit} or what can be converted to it") from None
    return array, mask if mask is not None and mask.any() else None


def _as_numbers(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind in "cmM":
        found = "complex numbers" if array.dtype.kind == "c" else "times"
        raise TypeError(f"{what}: found {found}, wanted real numbers")
    try:
        return array.astype(float)
    except (TypeError, ValueError):
        raise TypeError(f"{what}: found {array.dtype} of shape {array.shape}, wanted numbers") from None
