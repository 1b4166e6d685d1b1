"""Catalogues as files: FITS, ECSV, Parquet and CSV, which plain astropy and TOPCAT read without a warning."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.misc import yaml
from astropy.table import Column, Table
from astropy.table.meta import get_yaml_from_table
from astropy.units import Unit
from yaml import YAMLError

from .. import tables
from ..files import written_whole
from ..options import CATALOGUE_FORMATS
from .columns import stack, ucd

_log = logging.getLogger(__name__)

LONGEST_NAME = 68
"""Letters that the name of a column has at most in FITS."""

LENGTH = "table::len::"
"""Under which astropy keeps the length of a column of text in a Parquet file."""

OWN_UNIT = "TXUNI"
"""FITS card, with the number of the column, for a unit that FITS has no word for, like dex."""


def format_of(path: str | Path) -> str:
    """Which of `options.CATALOGUE_FORMATS` a file name asks for, in upper or lower case.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    name = Path(path).name.lower()
    found = next((form for form in CATALOGUE_FORMATS if name.endswith(form) and name != form), None)
    if found is None:
        raise ValueError(f"{path}: found suffix {Path(path).suffix!r}, wanted one of {', '.join(CATALOGUE_FORMATS)}")
    return found


def write(table: Table, path: str | Path) -> None:
    """Write a table to FITS, ECSV, Parquet or CSV, as the suffix says; complete or not at all.

    FITS keeps units, descriptions, UCDs and provenance in its header (TUNIT, TCOMM, TUCD, PROVENAN; units that FITS
    does not know in cards of our own and in the description), ECSV and Parquet in their metadata, CSV keeps none of it.
    What is no text in a name (a file name that is not UTF-8) is written as an escape.

    Raises
    ------
    ValueError
        If the suffix is another, or the format has no word for the name of a column, or for what a column holds.
    ImportError
        If Parquet is asked for and PyArrow is not installed.
    """
    path = Path(path)
    form = format_of(path)
    if form == ".parquet":
        tables.parquet_module(path)
    table = _with_plain_text(table, path)
    check_column_names(path, table.colnames)
    with written_whole(path) as temporary:
        if form in (".fits", ".fits.gz"):
            _write_fits(table, temporary)
        elif form == ".parquet":
            with temporary.open("wb") as stream:  # for PyArrow opens no file whose name is no text
                tables.parquet_module(path).write_table(arrow_table(table), stream)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as stream, StringIO(newline="") as content:
                table.write(content, format=f"ascii.{form[1:]}")
                lines = content.getvalue().replace("\r\n", "\n").split("\n")
                stream.write("\n".join(tables.quoted(lines, "," if form == ".csv" else " ")))


def check_labels(path: str | Path, names: Sequence[str]) -> None:
    """Refuse labels whose columns the format of a catalogue cannot have, before there is any.

    Raises
    ------
    ValueError
        Naming the file, the column, and the formats that can.
    """
    pairs = (f"cov_{first}_{second}" for first, second in combinations(names, 2))
    check_column_names(path, [*names, *(f"{name}_err_formal" for name in names), *pairs])


def check_column_names(path: str | Path, names: Sequence[str]) -> None:
    """The same for the columns of any table."""
    wrong = next((name for name in names if not name.isascii() or len(name) > LONGEST_NAME), None)
    if format_of(path) in (".fits", ".fits.gz") and wrong is not None:
        raise ValueError(
            f"{path}: column {wrong!r} has a name that FITS cannot have (at most {LONGEST_NAME} letters, all of them "
            "ASCII); write .parquet or .ecsv instead, or rename the label"
        )


def best_format() -> str:
    """Suffix for parts of a catalogue: Parquet if PyArrow is installed, else FITS."""
    return ".parquet" if find_spec("pyarrow") else ".fits"


def _with_plain_text(table: Table, path: Path) -> Table:
    """The same table; what is no text in names (bytes that are not UTF-8, line breaks) as escapes, ``\\udcff``.

    A masked name is empty. What no format can say of its ``meta`` is left out.
    """
    plain = Table(table, copy=False)
    plain.meta = {key: value for key, value in table.meta.items() if _can_be_said(value)}
    for key in table.meta.keys() - plain.meta.keys():
        _log.warning("the %s in meta[%r] is left out of the file", type(table.meta[key]).__name__, key)
    for name in plain.colnames:
        if not isinstance(plain[name], Column):
            if format_of(path) == ".ecsv":
                continue
            raise ValueError(
                f"{path}: column {name} holds {type(plain[name]).__name__}, wanted numbers or text; leave it out, or "
                "write .ecsv"
            )
        if plain[name].dtype.kind == "U":
            words = np.ma.filled(np.ma.asarray(plain[name]), "").tolist()
            printable = [word if word.isprintable() else "".join(map(_escaped, word)) for word in words]
            if printable != words:
                plain[name] = Column(printable, description=plain[name].description, meta=plain[name].meta)
    return plain


def _can_be_said(value: Any) -> bool:
    try:
        yaml.dump(value)
    except YAMLError:
        return False
    return True


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _bare(column: Column) -> Any:
    """The values alone; a masked number is NaN, masked text empty, and other types keep their mask."""
    if not np.ma.is_masked(column):
        return np.asarray(column)
    values = np.ma.asarray(column)
    empty: dict[str, Any] = {"f": np.nan, "U": "", "S": b""}
    return values.filled(empty[values.dtype.kind]) if values.dtype.kind in empty else values


def _write_fits(table: Table, path: Path) -> None:
    """With header cards for what astropy would warn about (units) or leave out (UCDs)."""
    bare = Table()
    for name in table.colnames:
        values = _bare(table[name])
        if np.ma.is_masked(values):  # FITS has a word for an unknown whole number with a sign, and none for a flag
            values = values.astype(np.int64)
            values.fill_value = np.iinfo(np.int64).min
        bare[name] = np.char.encode(values, "utf-8") if values.dtype.kind == "U" else values
    hdu = fits.table_to_hdu(bare)
    for number, name in enumerate(table.colnames, start=1):
        unit, comment = str(table[name].unit or ""), table[name].description or ""
        if unit and not _fits_knows(unit):
            hdu.header[f"{OWN_UNIT}{number}"], unit, comment = unit, "", f"{comment} [{unit}]"
        for card, value in (("TUNIT", unit), ("TCOMM", comment), ("TUCD", ucd(name))):
            if value:
                hdu.header[f"{card}{number}"] = _ascii(value)
    for key, value in table.meta.items():
        if len(key) <= 8 and isinstance(value, str | int | float):
            hdu.header[key.upper()] = _ascii(value)
    hdu.header["EXTNAME"] = "CATALOGUE"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def _ascii(value: Any) -> Any:
    """Text as the header of a FITS file can have it: other letters, and line breaks, as escapes."""
    return (
        "".join(map(_escaped, value)).encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value
    )


def _fits_knows(unit: str) -> bool:
    try:
        Unit(unit, format="fits")
    except ValueError:
        return False
    return True


def arrow_table(table: Table) -> Any:
    """A PyArrow table, units, descriptions, UCDs and provenance in the metadata of its schema, ours and astropy's."""
    facts = {
        "units": {name: str(table[name].unit) for name in table.colnames if table[name].unit},
        "descriptions": {name: table[name].description for name in table.colnames if table[name].description},
        "ucds": {name: ucd(name) for name in table.colnames if ucd(name)},
        "meta": {key: value for key, value in table.meta.items() if isinstance(value, str | int | float)},
    }
    arrow = import_module("pyarrow")
    columns = {name: _bare(table[name]) for name in table.colnames}
    content = arrow.table(
        {
            name: arrow.array(one.data, mask=one.mask) if np.ma.is_masked(one) else arrow.array(one)
            for name, one in columns.items()
        }
    )
    return content.replace_schema_metadata(
        {
            "labeltransfer": json.dumps(facts),
            "table_meta_yaml": "\n".join(get_yaml_from_table(table)),
            **{
                f"{LENGTH}{name}": str(max(table[name].dtype.itemsize // 4, 1))
                for name in table.colnames
                if table[name].dtype.kind == "U"
            },
        }
    )


def join(parts: Sequence[Path], output: Path) -> Iterator[Table]:
    """Put catalogues together in one, one after the other, complete or not at all; yields each part as it is written.

    Parquet is written part by part, the other formats from memory.
    """
    if format_of(output) != ".parquet":
        tables_of_parts = [read(part) for part in parts]
        yield from tables_of_parts
        write(stack(*tables_of_parts), output)
        return
    parquet = tables.parquet_module(output)
    contents = arrow_table(read(parts[0]))
    facts = dict(contents.schema.metadata)
    if all(part.suffix == ".parquet" for part in parts):
        for part in parts:  # astropy cuts text at the length that the file names
            with part.open("rb") as content:
                lengths = parquet.read_schema(content).metadata or {}
            for key, value in lengths.items():
                if key.startswith(LENGTH.encode()):
                    facts[key] = max(facts[key], value, key=int)
    schema = contents.schema.with_metadata(facts)
    with (
        written_whole(output) as temporary,
        temporary.open("wb") as stream,
        parquet.ParquetWriter(stream, schema) as writer,
    ):
        for part in parts:
            table = read(part)
            writer.write_table(arrow_table(table).replace_schema_metadata(facts))
            yield table


def read(path: str | Path) -> Table:
    """Read a catalogue, or any other table, of the formats that `write` writes."""
    table = tables.read_table(path)
    for number, name in enumerate(table.colnames, start=1):
        unit = table.meta.pop(f"{OWN_UNIT}{number}", None)
        if unit:
            table[name].unit = unit
            table[name].description = (table[name].description or "").removesuffix(f" [{unit}]") or None
    return table
