"""Runs side by side: numbers that changed by more than chance or tolerance would have it, and the key figures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..evidence.claims import checks
from ..evidence.numbers import write_json
from ..evidence.verdicts import Spread
from ..files import written_whole
from .book import Book
from .drawings import Drawing, of_the_paper
from .record import Record, has_chapter, notebook_of_run, numbers_of, read_record
from .sync import read_notebook
from .tables import html

KEY_FIGURES = ("Fig. 6", "Fig. 8", "Fig. 13", "Fig. 14", "Fig. 15")
NONE = "-"
SCREEN = 36
"""Lines that the shortened comparison prints at most."""
CHANCE = 0.05
"""Relative change of a number that is taken for chance, where neither tolerance nor spread are known: that of a scatter
of a few hundred stars."""


@dataclass(frozen=True)
class NumberRow:
    """One number of several runs.

    Attributes
    ----------
    number : ``chapter:key``
    values, texts : of each run; None and a dash where it has no such number
    tolerance : of the claim that the number belongs to, in its unit; None if it belongs to none
    spread : its standard deviation from survey to survey; None where it is not known
    """

    number: str
    unit: str
    values: tuple[float | None, ...]
    texts: tuple[str, ...]
    tolerance: float | None
    spread: float | None

    @property
    def differs(self) -> bool:
        """Whether any run prints another value than the first."""
        return len(set(self.texts)) > 1

    @property
    def scale(self) -> float | None:
        """What a change is measured by: the tolerance, else twice the spread, else nothing."""
        return self.tolerance or (2 * self.spread if self.spread else None)

    @property
    def differences(self) -> tuple[float | None, ...]:
        """Of each run from the first; None where one of the two is lacking."""
        first = self.values[0]
        return tuple(None if first is None or one is None else one - first for one in self.values)

    @property
    def matters(self) -> bool:
        """Whether a run differs from the first by more than tolerance and chance, or only one of the two has it."""
        if len({value is None for value in self.values}) > 1:
            return True
        largest = max((abs(one) for one in self.differences if one is not None), default=0.0)
        if self.scale is not None:
            return largest > max(self.scale, 2 * (self.spread or 0.0))
        if self.is_count:
            return largest > 3 * math.sqrt(max(abs(self.values[0] or 0), 1))
        return self.differs and (largest > CHANCE * abs(self.values[0] or 0) and largest > 2 * self.last_digit)

    @property
    def is_count(self) -> bool:
        """Whether all values are whole numbers without a unit, which vary by their root."""
        return not self.unit and all(value is None or float(value).is_integer() for value in self.values)

    @property
    def last_digit(self) -> float:
        """One in the last digit that is printed."""
        return 10.0 ** -len(self.texts[0].partition(".")[2])

    def difference_texts(self) -> tuple[str, ...]:
        """As ``+1.3 × tolerance``, ``+12 %`` or, for a number near zero, ``+0.021``; empty if nothing can be said."""
        return tuple(map(self._in_words, self.differences))

    def _in_words(self, difference: float | None) -> str:
        if difference is None or not math.isfinite(difference):
            return ""
        if self.tolerance:
            return f"{difference / self.tolerance:+.1f} × tolerance"
        first = self.values[0] or 0.0
        if (
            self.unit != "%"
            and abs(first) > max(20 * self.last_digit, 5 * (self.spread or 0.0))
            and abs(difference) < 10 * abs(first)
        ):
            return f"{100 * difference / first:+.0f} %"
        digits = len(self.texts[0].partition(".")[2])
        return f"{difference:+,.{digits}f}"


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found."""

    records: tuple[Record, ...]
    rows: tuple[NumberRow, ...]

    def lines(self, everything: bool = False) -> list[str]:
        """The numbers as text, grouped by chapter: those that changed, a screen of them at most; or all."""
        first, *others = self.records
        shown = [one for one in self.rows if everything or not others or one.matters]
        heading = f"{'':38}{first.name[-14:]:>15}" + "".join(f"{one.name[-14:]:>15}{'':>18}" for one in others)
        found = [heading.rstrip()]
        for chapter, rows in itertools.groupby(shown, lambda one: one.number.partition(":")[0]):
            found += [f"{chapter}:", *map(self._line, rows)]
        room = SCREEN - 2
        if len(found) > room and not everything:
            cut = sum(line.startswith("  ") for line in found[room:])
            found = [*found[:room], f"and {cut} more numbers that changed"]
        if others and not everything:
            quiet = len(self.rows) - len(shown)
            found.append(f"{quiet} numbers differ by no more than tolerance or chance; --all shows everything")
        return found

    def _line(self, one: NumberRow) -> str:
        cells = f"{one.texts[0]:>15}"
        for text, difference in zip(one.texts[1:], one.difference_texts()[1:], strict=True):
            cells += f"{text:>15}{difference if text != one.texts[0] else '':>18}"
        return f"  {one.number.partition(':')[2]:28}{one.unit:8}{cells}".rstrip()

    def write_json(self, path: str | Path) -> Path:
        """Write names, parameters and numbers of the runs."""
        runs = [{"name": one.name, "parameters": one.parameters, "data": one.data} for one in self.records]
        rows = [{**asdict(one), "differences": one.differences, "matters": one.matters} for one in self.rows]
        return write_json(path, runs=runs, numbers=rows)

    def write_html(self, path: str | Path, book: Book) -> Path:
        """Write one page that needs nothing beside itself: parameters, numbers, key figures."""
        with written_whole(path) as temporary:
            page = html("Comparison", self, self._parameters(), self._figures(book))
            temporary.write_text(page, encoding="utf-8")
        return Path(path)

    @property
    def names(self) -> list[str]:
        """Those of the runs."""
        return [record.name for record in self.records]

    @property
    def data(self) -> str:
        """What the runs are made of, in a sentence."""
        simulated = "Simulated data in " if any(record.simulated for record in self.records) else "Data: "
        return simulated + "; ".join(f"{record.name}: {record.data}" for record in self.records) + "."

    @property
    def columns(self) -> list[str]:
        """Headings of `cells`."""
        first, *others = self.names
        return ["number", "unit", first, *(heading for name in others for heading in (name, "difference"))]

    @property
    def cells(self) -> list[tuple[bool, list[str]]]:
        """The numbers as a table: whether a row matters, and its cells."""
        rows = []
        for one in self.rows:
            pairs = zip(one.texts[1:], one.difference_texts()[1:], strict=True)
            rows.append((one.matters, [one.number, one.unit, one.texts[0], *itertools.chain(*pairs)]))
        return rows

    def _parameters(self) -> list[tuple[bool, list[str]]]:
        """Those that differ, a row each, as `cells`."""
        names = dict.fromkeys(name for record in self.records for name in record.parameters if name != "run")
        rows = [[name, *(str(record.parameters.get(name, NONE)) for record in self.records)] for name in names]
        return [(False, cells) for cells in rows if len(set(cells[1:])) > 1]

    def _figures(self, book: Book) -> list[tuple[Drawing, dict[str, str]]]:
        """The key figures that a run drew: name of the run to PNG, in base64."""
        found = []
        for drawing in (one for one in of_the_paper(book) if one.paper in KEY_FIGURES):
            drawn = {record.name: _picture(book, record, drawing) for record in self.records}
            found.append((drawing, {name: png for name, png in drawn.items() if png}))
        return [(drawing, pictures) for drawing, pictures in found if pictures]


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
    columns = [numbers_of(book, record) for record in records]
    tolerances = {check.number: check.tolerance for _, check in checks() if check.compare == "within"}
    spread = Spread.read(book.root / "sweeps" / "seeds.json", records[0].parameters)
    order = {chapter.stem: place for place, chapter in enumerate(book.chapters)}
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = []
    for key in sorted(keys, key=lambda key: order.get(key.partition(":")[0], len(order))):
        found = [column.get(key) for column in columns]
        rows.append(
            NumberRow(
                key,
                next(one.unit for one in found if one is not None),
                tuple(None if one is None else one.value for one in found),
                tuple(NONE if one is None else one.text for one in found),
                tolerances.get(key) or None,
                spread.of(key) or None,
            )
        )
    return Comparison(records, tuple(rows))


def _picture(book: Book, record: Record, drawing: Drawing) -> str:
    """The PNG of a drawing in a run, in base64; empty if the run did not make it."""
    if not has_chapter(book, record, drawing.chapter):
        return ""
    path = notebook_of_run(book, record, drawing.chapter)
    cells = read_notebook(path, f"`labeltransfer run {record.name}` makes it again").cells
    outputs = [
        one for cell in cells if cell.source.strip() == drawing.source.strip() for one in cell.get("outputs", [])
    ]
    found = [png for output in outputs if (png := output.get("data", {}).get("image/png"))]
    return "".join(found[0]).replace("\n", "") if found else ""
