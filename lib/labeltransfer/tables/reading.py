"""Tables of any of the usual formats."""

from __future__ import annotations

import codecs
import csv
import json
import re
import warnings
import zlib
from collections.abc import Sequence
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.data import get_readable_fileobj
from astropy.utils.exceptions import AstropyWarning

from .columns import is_number, words
from .identifiers import AS_WRITTEN, has_exponent, has_lost_digits

DAMAGE = (OSError, ValueError, TypeError, EOFError, KeyError, IndexError, AttributeError, AstropyWarning, zlib.error)
"""What readers of tables raise for a file that was cut short or is something else."""

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""Byte-order marks and the code that each begins, the longer of two that begin alike first."""

FIRST_LINES = 200
"""Lines of text, below its comments, that tell which columns a table has."""

CONTENTS = {b"SIMPLE  =": ".fits", b"PAR1": ".parquet", b"<?xml": ".vot", b"<votable": ".vot", b"# %ECSV": ".ecsv"}
"""How files begin whose format shows, whatever they are called."""

TEXT_FORMATS = {
    "ascii.ecsv": re.compile("# %ECSV"),
    "ascii.ipac": re.compile(r"(\\.*\n)*(\|.*\|\s*\n){1,4} "),
    "ascii.mrt": re.compile(r"(?s).*?^Byte-by-byte Description of file", re.MULTILINE),
}
"""How text begins that astropy reads as it is."""


def read_table(path: str | Path, extension: str = "") -> Table:
    """Read a table from FITS, ECSV, Parquet, VOTable or text; packed or not, whatever the file is called.

    Text may be separated by ``|``, comma, semicolon, tab or blanks, with or without a byte-order mark; its column names
    may be a comment (as NumPy writes them), or stand above a line of dashes (as VizieR does). It may also be a table of
    IPAC, or one of the journals with its byte-by-byte description.

    Parameters
    ----------
    extension : of a FITS file, the table HDU whose name holds this word, if there is one; else the longest

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
            table = Table.read(path, format="votable")
        else:
            table = _read_text(path)
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


def _read_parquet(path: Path) -> Table:
    parquet = parquet_module(path)
    with path.open("rb") as stream:  # for PyArrow opens no file whose name is no text
        content = parquet.read_table(stream)
    facts = json.loads((content.schema.metadata or {}).get(b"labeltransfer", b"{}"))
    plain = [one.name for one in content.schema if not one.type.num_fields]  # without lists in a field
    table = Table({name: _of_parquet(content.column(name)) for name in plain}, meta=facts.get("meta"))
    for name in table.colnames:
        if table[name].dtype.kind == "O":
            table[name] = words(table[name])
        table[name].unit = facts.get("units", {}).get(name)
        table[name].description = facts.get("descriptions", {}).get(name)
        if name in facts.get("ucds", {}):
            table[name].meta["ucd"] = facts["ucds"][name]
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


def _read_text(path: Path, n_lines: int | None = None) -> Table:
    """Text of any of the usual kinds: the header alone is looked at here, the rows are astropy's to read."""
    content = _decoded(_content(path)).rstrip("\x1a")  # the end of a file of DOS
    lines = content.splitlines()
    if n_lines is not None:
        begins = next((n for n, line in enumerate(lines) if not line.startswith(("#", "\\"))), 0)
        lines = lines[: begins + n_lines]
    if lines and re.fullmatch(r'"?sep=.?"?', lines[0]):  # by which spreadsheets tell each other the delimiter
        del lines[0]
    first = "\n".join(lines[:FIRST_LINES])
    known = next((form for form, begins in TEXT_FORMATS.items() if begins.match(first)), None)
    if known:
        return Table.read("\n".join(lines), format=known)
    head, units_of = _header(lines)
    if not head:
        raise ValueError("found no text, wanted column names")
    delimiter = _delimiter(head)
    if content[-1:] not in ("\n", "\r") and delimiter != " " and head[-1].count(delimiter) < head[0].count(delimiter):
        raise ValueError(f"cut short: the last line, {head[-1]!r}, has no end and fewer fields than there are columns")
    if delimiter == ";" and not any(re.search(r"\d\.\d", line) for line in head):
        head = [head[0], *(re.sub(r"(?<=\d),(?=\d)", ".", line) for line in head[1:])]
    table = Table.read(
        "\n".join([*head, ""]),
        format={" ": "ascii.basic", "\t": "ascii.tab"}.get(delimiter, "ascii.csv"),
        delimiter=delimiter,
        guess=False,
        fill_values=[(word, "0") for word in ("", "null", "NULL", "NA", "N/A", "--")],
    )
    _keep_names(table, head[1:], delimiter)
    for place, name in enumerate(table.colnames):
        written = table[name]
        if written.dtype.kind == "U" and not np.ma.is_masked(written) and set(written.tolist()) <= {"True", "False"}:
            table.replace_column(name, Column(written == "True"))
        if place < len(units_of) and units_of[place].strip(" -"):
            table[name].unit = units.Unit(units_of[place].strip(), parse_strict="silent")
        if name != name.strip().lstrip("#").strip():
            table.rename_column(name, name.strip().lstrip("#").strip())
    return table


def _keep_names(table: Table, lines: Sequence[str], delimiter: str) -> None:
    """Columns of whole numbers of which some are `AS_WRITTEN` (names like 0012, 3.45E+08) become the text they are."""
    begins = re.compile(rf'(^|{re.escape(delimiter)})\s*"?({AS_WRITTEN})')
    if not any(map(begins.search, lines)):
        return
    single = lines if delimiter != " " else [" ".join(line.split()) for line in lines]
    columns = zip_longest(*csv.reader(single, delimiter=delimiter, skipinitialspace=True), fillvalue="")
    for name, written in zip(table.colnames, columns, strict=False):
        whole = table[name].dtype.kind in "if" and all("." not in word or has_exponent(word) for word in written)
        if whole and any(re.match(AS_WRITTEN, one) if "." not in one else has_lost_digits(one) for one in written):
            table.replace_column(name, Column(np.where(np.ma.getmaskarray(table[name]), "", written)))


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are packed, whatever the file is called."""
    with get_readable_fileobj(str(path), encoding="binary") as stream:
        return stream.read()


def _decoded(content: bytes) -> str:
    """What a byte-order mark says, else UTF-8, or the Western European code that spreadsheets write."""
    code = next((code for mark, code in MARKS.items() if content.startswith(mark)), "utf-8")
    if code == "utf-8" and b"\0" in content:
        raise ValueError("found zero bytes, wanted text in UTF-8, or in UTF-16 with a byte-order mark")
    try:
        return content.decode(code)
    except UnicodeDecodeError:
        if code != "utf-8":
            raise
        return content.decode("cp1252", "replace")


def _header(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines from the column names on, without comments, and the units if a line below the names gives them.

    The names may stand in the last of the comments before the data, as NumPy writes them, units in one below; or above
    a line of dashes, with a line of units between the two, as VizieR does.
    """
    start = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    comments = [line for line in lines[: len(lines) if start is None else start] if line.startswith("#")]
    if start is None:
        return ([comments[-1].lstrip("# ")] if comments else []), []
    body = [line for line in lines[start:] if line.strip() and not line.startswith("#")]
    if comments:
        said = [line.lstrip("#").strip() for line in comments]
        mark = _delimiter([said[-1], body[0]])
        data, *fields = (line.split(None if mark == " " else mark) for line in (body[0], *said[::-1]))
        if len(fields[0]) == len(data) and any(is_number(word) for word in data):
            if len(fields) > 1 and len(fields[1]) == len(data) and all(map(_is_unit, fields[0])):
                return [said[-2], *body], fields[0]
            return [said[-1], *body], []
    dashes = next((n for n, line in enumerate(body[1:4], start=1) if re.fullmatch(r"[-\s|;,]*-[-\s|;,]*", line)), None)
    if dashes is None:
        return body, []
    mark = _delimiter(body[:1])
    return [body[0], *body[dashes + 1 :]], body[1].split(mark) if dashes > 1 and mark != " " else []


def _is_unit(word: str) -> bool:
    try:
        units.Unit(word.strip(" -"))
    except ValueError:
        return False
    return True


def _delimiter(lines: Sequence[str]) -> str:
    """What separates the fields: the most frequent mark of the first line that the second has, too; else blanks."""
    counts = {mark: lines[0].count(mark) for mark in "|\t;," if all(mark in line for line in lines[:2])}
    return max(counts, key=lambda mark: counts[mark]) if counts else " "


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
            return _read_text(path, FIRST_LINES).colnames
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
