"""Runs side by side: their numbers, differences in units of a tolerance, and the key figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..files import FORMAT_VERSION, written_whole
from .book import Book, runs_folder
from .claims import checks
from .drawings import of_the_paper
from .quoted import Number
from .record import Record, read_record
from .sync import read_notebook

KEY_FIGURES = ("Fig. 6", "Fig. 8", "Fig. 13", "Fig. 14", "Fig. 15")
NONE = "-"

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.differs { font-weight: bold; }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0; } img { width: 100%; background: white; }
"""


@dataclass(frozen=True)
class NumberRow:
    """One number of several runs.

    Attributes
    ----------
    number : ``chapter:key``
    values, texts : of each run; None and a dash where it has no such number
    tolerance : of the claim that the number belongs to, in its unit; None if it belongs to none
    differences : to the first run, in tolerances where there is one, else as a share of the first run's value
    """

    number: str
    unit: str
    values: tuple[float | None, ...]
    texts: tuple[str, ...]
    tolerance: float | None
    differences: tuple[float | None, ...]

    @property
    def differs(self) -> bool:
        """Whether any run prints another value than the first."""
        return len(set(self.texts)) > 1

    @property
    def difference_texts(self) -> tuple[str, ...]:
        """As ``+1.3 tol`` or ``+12 %``; empty where nothing can be said."""
        if self.tolerance is not None:
            return tuple("" if d is None else f"{d:+.1f} tol" for d in self.differences)
        return tuple("" if d is None else f"{100 * d:+.0f} %" for d in self.differences)


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found."""

    records: tuple[Record, ...]
    rows: tuple[NumberRow, ...]

    def lines(self) -> list[str]:
        """The table as text, with the differences from the first run where other digits are printed."""
        first, *others = self.records
        heading = f"{'':46}{'':7}{first.name[-14:]:>15}" + "".join(f"{one.name[-14:]:>15}{'':>11}" for one in others)
        found = [heading.rstrip()]
        for row in self.rows:
            cells = f"{row.texts[0]:>15}"
            for text, difference in zip(row.texts[1:], row.difference_texts[1:], strict=True):
                cells += f"{text:>15}{difference if text != row.texts[0] else '':>11}"
            found.append(f"{row.number:46}{row.unit:7}{cells}".rstrip())
        if others:
            found.append(
                f"Differences are from {first.name}: in tolerances of the ledger (tol) for numbers that belong to a "
                "claim, else in per cent."
            )
        return found

    def write_json(self, path: str | Path) -> Path:
        """Write names, parameters and numbers of the runs."""
        runs = [{"name": one.name, "parameters": one.parameters, "data": one.data} for one in self.records]
        content = {"format_version": FORMAT_VERSION, "runs": runs, "numbers": [asdict(row) for row in self.rows]}
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        return Path(path)

    def write_html(self, path: str | Path, book: Book) -> Path:
        """Write one page that needs nothing beside itself: parameters, numbers, key figures."""
        title = "Runs compared: " + ", ".join(record.name for record in self.records)
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style></head>'
            f"<body><main><h1>{escape(title)}</h1><p>{escape(self._data())}</p>"
            f"<h2>Parameters that differ</h2>{self._parameters()}"
            f"<h2>Numbers</h2><p>Differences are to the first run: in tolerances of the ledger (tol) for numbers that "
            f"belong to a claim, else in per cent. Bold rows differ.</p>{self._numbers()}"
            f"<h2>Key figures</h2>{self._figures(book)}</main></body></html>"
        )
        with written_whole(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return Path(path)

    def _data(self) -> str:
        simulated = "Simulated data in " if any(record.simulated for record in self.records) else "Data: "
        return simulated + "; ".join(f"{record.name}: {record.data}" for record in self.records) + "."

    def _parameters(self) -> str:
        names = dict.fromkeys(name for record in self.records for name in record.parameters if name != "run")
        columns = [[record.parameters.get(name, NONE) for record in self.records] for name in names]
        rows = [
            (name, *map(str, values))
            for name, values in zip(names, columns, strict=True)
            if any(value != values[0] for value in values)
        ]
        return _table(["parameter", *(record.name for record in self.records)], rows) if rows else "<p>None.</p>"

    def _numbers(self) -> str:
        heading = ["number", "unit"]
        for k, record in enumerate(self.records):
            heading += [record.name] + (["difference"] if k else [])
        rows, bold = [], []
        for row in self.rows:
            cells = [row.number, row.unit]
            for k, (text, difference) in enumerate(zip(row.texts, row.difference_texts, strict=True)):
                cells += [text] + ([difference] if k else [])
            rows.append(tuple(cells))
            bold.append(row.differs)
        return _table(heading, rows, bold)

    def _figures(self, book: Book) -> str:
        parts = []
        for drawing in (one for one in of_the_paper(book) if one.paper in KEY_FIGURES):
            shown = ""
            for record in self.records:
                png = _picture(book, record, drawing.chapter.stem, drawing.source)
                described = f"{escape(drawing.title)}, run {escape(record.name)}"
                shown += (
                    f'<figure><img src="data:image/png;base64,{png}" alt="{described}">'
                    f"<figcaption>{escape(record.name)}</figcaption></figure>"
                ) * bool(png)
            if shown:
                parts.append(f'<h3>{escape(drawing.title)} ({drawing.paper})</h3><div class="figures">{shown}</div>')
        return "".join(parts) or "<p>None of these runs drew them.</p>"


def compare_runs(book: Book, names: Sequence[str]) -> Comparison:
    """Put the numbers of runs side by side.

    Raises
    ------
    FileNotFoundError
        If there is no such run.
    ValueError
        If a run did not finish, or its files are damaged or of another format.
    """
    records = tuple(read_record(name, book.root) for name in names)
    columns = [_numbers_of(book, record) for record in records]
    tolerances = {check.number: check.tolerance for _, check in checks() if check.compare == "within"}
    rows = []
    for key in dict.fromkeys(key for column in columns for key in column):
        found = [column.get(key) for column in columns]
        values = tuple(None if one is None else one["value"] for one in found)
        tolerance = tolerances.get(key) or None
        rows.append(
            NumberRow(
                key,
                next(one["unit"] for one in found if one is not None),
                values,
                tuple(NONE if one is None else one["text"] for one in found),
                tolerance,
                tuple(_difference(value, values[0], tolerance) for value in values),
            )
        )
    return Comparison(records, tuple(rows))


def _numbers_of(book: Book, record: Record) -> dict[str, dict[str, Any]]:
    record.check_finished()
    path = runs_folder(book.root) / record.name / "numbers.json"
    again = f"`labeltransfer run {record.name} --resume` writes it again"
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; {again}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']}, wanted {FORMAT_VERSION}")
        return {key: asdict(Number(**entry)) for key, entry in content["numbers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not readable ({error!r}); {again}") from error


def _difference(value: float | None, first: float | None, tolerance: float | None) -> float | None:
    scale = tolerance or (abs(first) if first else None)
    if value is None or first is None or scale is None or not math.isfinite(value - first):
        return None
    return (value - first) / scale


def _picture(book: Book, record: Record, stem: str, source: str) -> str:
    """The PNG that a cell drew in a run, in base64; empty if the run did not execute it."""
    path = runs_folder(book.root) / record.name / f"{stem}.ipynb"
    if stem not in record.chapters or not path.exists():
        return ""
    for cell in read_notebook(path, f"`labeltransfer run {record.name}` makes it again").cells:
        if cell.cell_type == "code" and cell.source.strip() == source.strip():
            for output in cell.outputs:
                png = output.get("data", {}).get("image/png")
                if png:
                    return "".join(png).replace("\n", "")
    return ""


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[bool] | None = None) -> str:
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in heading)
    body = ""
    for k, row in enumerate(rows):
        mark = ' class="differs"' if bold is not None and bold[k] else ""
        body += f"<tr{mark}>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
