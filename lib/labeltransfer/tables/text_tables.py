"""Tables of text: their code, delimiter, comments, names and units; the rows are astropy's to read."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column, Table

from .columns import is_number, plain_name
from .identifiers import as_written, doubtful, names_stars
from .words import INDEX, mark_index

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""Byte-order marks and the code that each begins, the longer of two that begin alike first."""

FIRST_LINES = 200
"""Lines of text, below its comments, that tell which columns a table has."""

TEXT_FORMATS = {
    "ascii.ecsv": re.compile("# %ECSV"),
    "ascii.ipac": re.compile(r"(\\.*\n)*(\|.*\|\s*\n){1,4} "),
    "ascii.mrt": re.compile(r"(?s).*?^Byte-by-byte Description of file", re.MULTILINE),
}
"""How text begins that astropy reads as it is."""

NOTHING = ("", "null", "NULL", "NA", "N/A", "--")
"""Fields in which nothing is written."""


def read_text(raw: bytes, names: Sequence[str] = (), n_lines: int | None = None) -> Table:
    """Text of any of the usual kinds, see `reading.read_table`.

    Parameters
    ----------
    n_lines : read so many lines below the comments alone
    """
    content = _decoded(raw).rstrip("\x1a")  # the end of a file of DOS
    lines = content.splitlines()
    if n_lines is not None:
        begins = next((n for n, line in enumerate(lines) if not line.startswith(("#", "\\"))), 0)
        lines = lines[: begins + n_lines]
    if lines and re.fullmatch(r'"?sep=.?"?', lines[0]):  # by which spreadsheets tell each other the delimiter
        del lines[0]
    first = "\n".join(lines[:FIRST_LINES])
    known = next((form for form, begins in TEXT_FORMATS.items() if begins.match(first)), None)
    if known:
        mark = "," if "# delimiter: ','" in lines[:FIRST_LINES] else " "
        return Table.read("\n".join(quoted(lines, mark) if known == "ascii.ecsv" else lines), format=known)
    head, units_of = _header(lines)
    if not head:
        raise ValueError("found no text, wanted column names")
    delimiter = _delimiter(head)
    if content[-1:] not in ("\n", "\r") and delimiter != " " and head[-1].count(delimiter) < head[0].count(delimiter):
        raise ValueError(f"cut short: the last line, {head[-1]!r}, has no end and fewer fields than there are columns")
    if delimiter == ";" and not any(re.search(r"\d\.\d", line) for line in head):
        head = [head[0], *(re.sub(r"(?<=\d),(?=\d)", ".", line) for line in head[1:])]
    table = _rows(head, delimiter)
    _name_index(table, head[0], delimiter)
    _keep_names(table, head, delimiter, names)
    for place, name in enumerate(table.colnames):
        written = table[name]
        if written.dtype.kind == "U" and not np.ma.is_masked(written) and set(written.tolist()) <= {"True", "False"}:
            table.replace_column(name, Column(written == "True"))
        if place < len(units_of) and units_of[place].strip(" -"):
            table[name].unit = units.Unit(units_of[place].strip(), parse_strict="silent")
        if name != name.strip().lstrip("#").strip():
            table.rename_column(name, name.strip().lstrip("#").strip())
    return table


def _rows(lines: Sequence[str], delimiter: str, **options: Any) -> Table:
    return Table.read(
        "\n".join([*lines, ""]),
        format={" ": "ascii.basic", "\t": "ascii.tab"}.get(delimiter, "ascii.csv"),
        delimiter=delimiter,
        guess=False,
        fill_values=[(word, "0") for word in NOTHING],
        **options,
    )


def _keep_names(table: Table, head: Sequence[str], delimiter: str, names: Sequence[str]) -> None:
    """Columns that name stars, and whole numbers of which some are written as no number is, become the text they are.

    They are read once more, below names of their own and a row of letters, which make text of them.
    """
    asked = {plain_name(name) for name in names}
    named = [names_stars(name) or name == INDEX or plain_name(name) in asked for name in table.colnames]
    places = [n for n, name in enumerate(table.colnames) if doubtful(table[name], named[n])]
    if not places:
        return
    header, letters = [f"c{n}" for n in range(len(named))], ["x" if n in places else "0" for n in range(len(named))]
    lines = [delimiter.join(header), delimiter.join(letters), *head[1:]]
    written = _rows(lines, delimiter, include_names=[header[n] for n in places])[1:]
    for n in places:
        name = table.colnames[n]
        kept = as_written(table[name], written[header[n]], named[n])
        kept.meta |= table[name].meta
        table.replace_column(name, kept)


def _name_index(table: Table, header: str, delimiter: str) -> None:
    """Call a first column without name what it is: the index that pandas writes, or names of rows, as R does.

    The numbers 1, 2, … that R gives to rows without names name no star.
    """
    first = table.columns[0]
    if next(csv.reader([header], delimiter=delimiter), [""])[0] or delimiter == " " or np.ma.getmaskarray(first).all():
        return
    if not (header.startswith('""') and np.array_equal(first, np.arange(1, len(first) + 1))):
        mark_index(table, first.name)


def quoted(lines: Sequence[str], delimiter: str) -> list[str]:
    """Lines of ECSV, or CSV, with quotes around the first field of a row that begins with #, or it were a comment."""
    start = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [*lines[: start + 1], *(_quoted(line, delimiter) for line in lines[start + 1 :])]


def _quoted(line: str, delimiter: str) -> str:
    if not line.startswith("#"):
        return line
    first = line.partition(delimiter)[0]
    return '"' + first.replace('"', '""') + '"' + line[len(first) :]


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
    body = _without_comments(lines[start:])
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


def _without_comments(lines: Sequence[str]) -> list[str]:
    """The lines that are not empty; one that begins with # is a row if it has a field for every column.

    Its first field is quoted, for astropy takes it for a comment. Between blanks, words are fields only if the first
    stands close to the mark.
    """
    filled = [line for line in lines if line.strip()]
    if not any(line.startswith("#") for line in filled):
        return filled
    mark = _delimiter(filled)
    split = None if mark == " " else mark

    def is_row(line: str) -> bool:
        return len(line.split(split)) == len(filled[0].split(split)) and not (split is None and line[1:2].isspace())

    return [_quoted(line, mark) for line in filled if not line.startswith("#") or is_row(line)]


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
