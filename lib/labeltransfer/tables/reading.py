"""Tables of any of the usual formats."""

from __future__ import annotations

import codecs
import json
import warnings
import zlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.data import get_readable_fileobj
from astropy.utils.exceptions import AstropyWarning

from .text_tables import FIRST_LINES, read_text
from .words import mark_index, words

DAMAGE = (OSError, ValueError, TypeError, EOFError, KeyError, IndexError, AttributeError, AstropyWarning, zlib.error)
"""What readers of tables raise for a file that was cut short or is something else."""

CONTENTS = {b"SIMPLE  =": ".fits", b"PAR1": ".parquet", b"<?xml": ".vot", b"<votable": ".vot", b"# %ECSV": ".ecsv"}
"""How files begin whose format shows, whatever they are called."""


def read_table(path: str | Path, extension: str = "", names: Sequence[str] = ()) -> Table:
    """Read a table from FITS, ECSV, Parquet, VOTable or text; packed or not, whatever the file is called.

    Text may be separated by ``|``, comma, semicolon, tab or blanks, with or without a byte-order mark; its column names
    may be a comment (as NumPy writes them), or stand above a line of dashes (as VizieR does). It may also be a table of
    IPAC, or one of the journals with its byte-by-byte description.

    Parameters
    ----------
    extension : of a FITS file, the table HDU whose name holds this word, if there is one; else the longest
    names : columns of text that name stars besides those of the usual names, which stay as they are written, too

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
    if not path.is_file():
        raise ValueError(f"{path}: a folder, pipe or device, wanted the file of a table; not opened")
    try:
        suffix = _suffix(path)
        if suffix in (".fits", ".fit"):
            table = _read_fits(path, extension)
        elif suffix == ".parquet":
            table = _read_parquet(path)
        elif suffix in (".xml", ".vot", ".votable"):
            table = _read_votable(path)
        else:
            table = read_text(_content(path), names)
    except DAMAGE as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(f"{path}: not a readable table ({error}); wanted FITS, ECSV, CSV or text") from error
    if not table.colnames:
        raise ValueError(f"{path}: a table without columns; wanted at least a column of star names")
    for name in (name for name in table.colnames if isinstance(table[name], Column)):
        if table[name].dtype.kind == "f" and isinstance(table[name], MaskedColumn):
            table.replace_column(name, Column(table[name].filled(np.nan), copy=False))
        if table[name].dtype.kind == "S":
            text = Column(words(table[name]), description=table[name].description, meta=table[name].meta)
            table.replace_column(name, text)
    return table


def _read_fits(path: Path, extension: str) -> Table:
    """Also with units that the FITS standard does not know, like dex; what astropy only warns of as cut short fails."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.filterwarnings("error", message="(?s).*(truncated|corrupted|not multiple of 2880)")
        with fits.open(stream, memmap=False) as hdus:
            choices = {"memmap": False, "unit_parse_strict": "silent", "mask_invalid": False}
            hdu = _table_hdu(hdus, extension)
            nulls = _take_nulls(hdus[hdu or 0])
            table = Table.read(hdus, hdu=hdu, format="fits", **choices)
    for name in (name for name in nulls if nulls[name].shape == table[name].shape):  # not lists in a field
        table.replace_column(name, MaskedColumn(table[name], mask=nulls[name]))
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


def _take_nulls(hdu: Any) -> dict[str, np.ndarray]:
    """Where the numbers as written stand for none, by column; astropy would look for them among the scaled ones."""
    nulls = {}
    for column in hdu.columns if isinstance(hdu, fits.BinTableHDU) else ():
        if column.null is not None:
            nulls[column.name] = hdu.data.view(np.ndarray)[column.name] == column.null
            column.null = None
    return nulls


def _table_hdu(hdus: fits.HDUList, extension: str) -> int | None:
    """Number of the table HDU to read; None if there is none."""
    found = [number for number, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
    filled = [number for number in found if hdus[number].header.get("NAXIS2", 0) > 0] or found
    named = [number for number in filled if extension and extension.lower() in hdus[number].name.lower()]
    return max(named or filled, key=lambda number: hdus[number].header.get("NAXIS2", 0), default=None)


def _read_votable(path: Path) -> Table:
    found = list(import_module("astropy.io.votable").parse(path).iter_tables())
    if len(found) != 1:
        names = ", ".join(str(one.name or one.ID or "without a name") for one in found)
        raise ValueError(f"it holds {len(found)} tables ({names}), wanted one; write the one that is meant by itself")
    return found[0].to_table(use_names_over_ids=True)


def _read_parquet(path: Path) -> Table:
    parquet = parquet_module(path)
    with path.open("rb") as stream:  # for PyArrow opens no file whose name is no text
        return of_arrow(parquet.read_table(stream))


def of_arrow(content: Any) -> Table:
    """A PyArrow table as astropy's, with the units and the like that we, and the index that pandas, keep in it."""
    metadata = content.schema.metadata or {}
    facts = json.loads(metadata.get(b"labeltransfer", b"{}"))
    plain = [one.name for one in content.schema if not one.type.num_fields]  # without lists in a field
    table = Table({name: _of_parquet(content.column(name)) for name in plain}, meta=facts.get("meta"))
    for name in table.colnames:
        if table[name].dtype.kind == "O":
            table[name] = words(table[name])
        table[name].unit = facts.get("units", {}).get(name)
        table[name].description = facts.get("descriptions", {}).get(name)
        if name in facts.get("ucds", {}):
            table[name].meta["ucd"] = facts["ucds"][name]
    index = (json.loads(metadata.get(b"pandas", b"{}")).get("index_columns") or [None])[0]
    if isinstance(index, dict) and index.get("kind") == "range":
        numbers, index = np.arange(index["start"], index["stop"], index["step"]), index["name"] or "__index_level_0__"
        if index not in table.colnames and len(numbers) == len(table) and len(table):
            table[index] = numbers
    if index in table.colnames:
        mark_index(table, index)
    return table


def _of_parquet(column: Any) -> np.ndarray:
    """The values; whole numbers and flags of which some are null keep all their digits and are masked."""
    zero = False if str(column.type) == "bool" else 0
    if column.null_count and (zero is False or "int" in str(column.type)):
        return np.ma.MaskedArray(column.fill_null(zero).to_numpy(), column.is_null().to_numpy())
    return column.to_numpy()


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


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are packed, whatever the file is called."""
    with get_readable_fileobj(str(path), encoding="binary") as stream:
        return stream.read()


def column_names(path: str | Path) -> list[str]:
    """Names of the columns of a table, of its first rows alone if it is text; none if it is no table.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    path = Path(path)
    try:
        if _suffix(path) in (".parquet", ".xml", ".vot", ".votable"):
            return read_table(path).colnames
        if _suffix(path) not in (".fits", ".fit"):
            return read_text(_content(path), n_lines=FIRST_LINES).colnames
        with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
            hdu = _table_hdu(hdus, "")
            return [] if hdu is None else list(hdus[hdu].columns.names)
    except PermissionError:
        raise
    except DAMAGE:
        return []


def refuse_page(content: bytes) -> None:
    """Raise ValueError if something begins as a page of the web does."""
    if content[:50].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise ValueError("found an HTML page, as servers send it in place of a file; fetch the file again")


def _suffix(path: Path) -> str:
    """Of the format that the content shows, or else the name."""
    with get_readable_fileobj(str(path), encoding="binary") as stream:
        begins = stream.read(200).removeprefix(codecs.BOM_UTF8).lstrip()
    refuse_page(begins)
    for mark, suffix in CONTENTS.items():
        if begins.startswith((mark, mark.upper())):
            return suffix
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".bz2", ".xz")]
    return suffixes[-1] if suffixes else ""
