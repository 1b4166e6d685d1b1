"""Tables of any of the usual formats; columns found by any of their usual names, in the units that are wanted."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.exceptions import AstropyWarning

from .labels import LABELS

DAMAGE = (OSError, ValueError, TypeError, EOFError, KeyError, IndexError, AttributeError, AstropyWarning, zlib.error)
"""What readers of tables raise for a file that was cut short or is something else."""

MISSING = -9999.0
"""What both surveys write where they know no value."""


def read_table(path: str | Path) -> Table:
    """Read a table from FITS (first table HDU), ECSV, Parquet, VOTable or text separated by ``|``, comma, tab or space.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or holds no table.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; wanted a table (FITS, ECSV, Parquet, VOTable, CSV, text)")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".bz2")]
    suffix = suffixes[-1] if suffixes else ""
    try:
        if suffix in (".fits", ".fit"):
            table = _read_fits(path)
        elif suffix == ".parquet":
            table = _read_parquet(path)
        elif suffix in (".xml", ".vot"):
            table = Table.read(path, format="votable")
        elif suffix == ".ecsv":
            table = Table.read(path, format="ascii.ecsv")
        else:
            table = _read_text(path)
    except DAMAGE as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{path}: not a readable table ({error}); wanted FITS, ECSV, CSV or text") from error
    if not table.colnames:
        raise ValueError(f"{path}: a table without columns; wanted at least a column of star names")
    for name in table.colnames:
        if table[name].dtype.kind == "f" and isinstance(table[name], MaskedColumn):
            table.replace_column(name, Column(table[name].filled(np.nan), copy=False))
        if table[name].dtype.kind == "S":
            text = np.char.decode(np.ma.filled(table[name], b""), "utf-8", "replace")
            table.replace_column(name, Column(text, description=table[name].description, meta=table[name].meta))
    return table


def _read_fits(path: Path) -> Table:
    """Also with units that the FITS standard does not know, like dex; what astropy only warns of as cut short fails."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.filterwarnings("error", message="(?s).*(truncated|corrupted|not multiple of 2880)")
        table = Table.read(stream, format="fits", memmap=False, unit_parse_strict="silent", mask_invalid=False)
    for number, name in enumerate(table.colnames, start=1):
        table[name].description = table.meta.pop(f"TCOMM{number}", None) or table[name].description
        ucd = table.meta.pop(f"TUCD{number}", None)
        if ucd:
            table[name].meta["ucd"] = ucd
        if not table[name].dtype.isnative:
            table.replace_column(name, table[name].astype(table[name].dtype.newbyteorder("=")))
        if isinstance(table[name].unit, units.UnrecognizedUnit):
            table[name].unit = units.Unit(str(table[name].unit), parse_strict="silent")
    return table


def _read_parquet(path: Path) -> Table:
    parquet = parquet_module(path)
    content = parquet.read_table(path)
    facts = json.loads((content.schema.metadata or {}).get(b"labeltransfer", b"{}"))
    table = Table({name: content.column(name).to_numpy() for name in content.column_names}, meta=facts.get("meta"))
    for name in table.colnames:
        if table[name].dtype.kind == "O":
            table[name] = np.array([word or "" for word in table[name].tolist()], dtype=str)
        table[name].unit = facts.get("units", {}).get(name)
        table[name].description = facts.get("descriptions", {}).get(name)
        if name in facts.get("ucds", {}):
            table[name].meta["ucd"] = facts["ucds"][name]
    return table


def parquet_module(path: Path) -> Any:
    """PyArrow's Parquet module.

    Raises
    ------
    ImportError
        If PyArrow is not installed, naming the file and what to do.
    """
    try:
        return import_module("pyarrow.parquet")
    except ImportError:
        raise ImportError(f"{path}: Parquet tables need pyarrow: `pip install pyarrow`, or use .fits or .csv") from None


def _read_text(path: Path) -> Table:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as stream:
        first = stream.readline().decode("utf-8")
    if not first.strip():
        raise ValueError("found an empty first line, wanted column names")
    if first.startswith("# %ECSV"):
        return Table.read(path, format="ascii.ecsv")
    delimiter = next((mark for mark in "|,\t" if mark in first), " ")
    table = Table.read(
        path,
        format="ascii.csv" if delimiter != " " else "ascii.basic",
        delimiter=delimiter,
        guess=False,
        encoding="utf-8",
        fill_values=[("", "0"), ("null", "0"), ("NULL", "0")],
    )
    for name in table.colnames:
        if table[name].dtype.kind == "U" and set(np.unique(table[name])) <= {"True", "False"}:
            table.replace_column(name, Column(table[name] == "True"))
        if name != name.strip().lstrip("#"):
            table.rename_column(name, name.strip().lstrip("#"))
    return table


def find_column(table: Table, names: Sequence[str]) -> str | None:
    """Name of the first column that is called one of `names`, in upper or lower case."""
    present = {name.lower(): name for name in reversed(table.colnames)}
    return next((present[name.lower()] for name in names if name.lower() in present), None)


def wanted_column(table: Table, names: Sequence[str], where: object) -> str:
    """As `find_column`, or ValueError saying what the table has."""
    found = find_column(table, names)
    if found is None:
        raise ValueError(
            f"{where}: no column {' or '.join(names)}; the table has {', '.join(table.colnames)}; "
            "rename the column that is meant"
        )
    return found


def text(table: Table, name: str) -> np.ndarray:
    """(N,) one column as text without surrounding blanks; a missing value is empty."""
    column = table[name]
    if isinstance(column, MaskedColumn):
        masked = np.ma.getmaskarray(column)
        words = np.asarray(column.astype(str).data.data)
        words = np.where(masked, "", words)
    else:
        words = np.asarray(column).astype(str)
    return np.char.strip(words)


def numbers(table: Table, name: str, where: object, unit: str = "") -> np.ndarray:
    """(N,) one column as float64 in `unit`; masked values, empty text and −9999 become NaN.

    Raises
    ------
    ValueError
        If the column holds text that is no number, or declares a unit that cannot be converted to `unit`.
    """
    column = table[name]
    if column.ndim != 1:
        raise ValueError(f"{where}: column {name} has shape {column.shape}, wanted one number per row")
    if column.dtype.kind in "OUS":
        words = text(table, name)
        empty = np.isin(np.char.lower(words), ("", "nan", "null", "none", "--"))
        try:
            values = np.where(empty, "nan", words).astype(float)
        except ValueError:
            wrong = next(word for word in words[~empty] if not _is_number(word))
            raise ValueError(f"{where}: column {name}: found {str(wrong)!r}, wanted numbers") from None
    else:
        values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    values = np.where(values <= MISSING, np.nan, values)
    return _converted(values, column, name, where, unit)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _converted(values: np.ndarray, column: Column, name: str, where: object, unit: str) -> np.ndarray:
    found = column.unit
    if found is None or not unit or str(found) in ("", unit):
        return values
    if unit == "dex" and (found == units.dimensionless_unscaled or "dex" in str(found) or "cm" in str(found)):
        return values
    try:
        return values * units.Unit(found).to(units.Unit(unit))
    except (units.UnitConversionError, ValueError, TypeError):
        raise ValueError(
            f"{where}: column {name} is in {found}, wanted {unit}; convert it, or correct the unit of the column"
        ) from None


def label_values(table: Table, columns: Mapping[str, str], where: object) -> np.ndarray:
    """(N, L) labels in the units of `LABELS`, NaN where unknown; `columns` is label to column name.

    Raises
    ------
    ValueError
        Also if temperatures are not all in kelvin: a value outside 1000–100,000 is a mixture of units or a mistake.
    """
    values = np.full((len(table), len(columns)), np.nan)
    for place, (label, column) in enumerate(columns.items()):
        values[:, place] = numbers(table, column, where, LABELS[label].unit)
        if label == "teff":
            wrong = (values[:, place] < 1e3) | (values[:, place] > 1e5)
            if wrong.any():
                raise ValueError(
                    f"{where}: column {column}: {wrong.sum()} of {len(table)} temperatures lie outside 1000–100,000 K, "
                    f"for example {values[wrong, place][0]:g}; wanted K in every row, and NaN or −9999 where unknown"
                )
    values[~np.isfinite(values)] = np.nan
    return values
