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
from .record import Run
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
    def differences(self) -> tuple[float | None, ...]:
        """Of each run from the first; None where one of the two is lacking."""
        first = self.values[0]
        return tuple(None if first is None or one is None else one - first for one in self.values)

    @property
    def matters(self) -> bool:
        """Whether a run differs from the first by more than tolerance and chance, or only one of the two has it."""
        largest = max((abs(one) for one in self.differences if one is not None), default=0.0)
        return len({value is None for value in self.values}) > 1 or largest > self.slack

    @property
    def slack(self) -> float:
        """The largest difference that says nothing: the tolerance, or what chance, counting or rounding may do."""
        if self.tolerance or self.spread:
            return max(self.tolerance or 0.0, 2 * (self.spread or 0.0))
        first = abs(self.values[0] or 0)
        counts = not self.unit and all(value is None or float(value).is_integer() for value in self.values)
        return 3 * math.sqrt(max(first, 1)) if counts else max(CHANCE * first, 2 * 10.0**-self.n_digits)

    @property
    def n_digits(self) -> int:
        """How many are printed after the point."""
        return len(self.texts[0].partition(".")[2])

    def difference_texts(self) -> tuple[str, ...]:
        """As ``+1.3 × tolerance``, ``+12 %`` or, for a number near zero, ``+0.021``; empty if nothing can be said."""
        return tuple("" if one is None else self._in_words(one) for one in self.differences)

    def _in_words(self, difference: float) -> str:
        if self.tolerance:
            return f"{difference / self.tolerance:+.1f} × tolerance"
        first = self.values[0] or 0.0
        near_zero = max(20 * 10.0**-self.n_digits, 5 * (self.spread or 0.0), abs(difference) / 10)
        if abs(first) > near_zero and self.unit != "%":
            return f"{100 * difference / first:+.0f} %"
        return f"{difference:+,.{self.n_digits}f}"


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found."""

    runs: tuple[Run, ...]
    rows: tuple[NumberRow, ...]

    @property
    def names(self) -> list[str]:
        """Those of the runs."""
        return [run.name for run in self.runs]

    @property
    def columns(self) -> list[str]:
        """Headings of `cells`: a run, and for each other one a column more for the difference."""
        first, *others = self.names
        return [first, *(heading for name in others for heading in (name, "difference"))]

    @staticmethod
    def cells(row: NumberRow) -> list[str]:
        """Texts of a number in the runs, and differences where the texts differ."""
        first, *others = row.texts
        pairs = zip(others, row.difference_texts()[1:], strict=True)
        return [first, *(cell for text, change in pairs for cell in (text, change if text != first else ""))]

    def lines(self, everything: bool = False) -> list[str]:
        """The numbers as text, grouped by chapter: those that changed, a screen of them at most; or all."""
        everything = everything or len(self.runs) == 1
        shown = [one for one in self.rows if everything or one.matters]
        found = [_line("", "", [name[-14:] if name != "difference" else "" for name in self.columns])]
        for chapter, rows in itertools.groupby(shown, lambda one: one.number.partition(":")[0]):
            found += [f"{chapter}:", *(_line(one.number.partition(":")[2], one.unit, self.cells(one)) for one in rows)]
        if everything:
            return found
        room = SCREEN - 2
        if cut := sum(line.startswith("  ") for line in found[room:]):
            found = [*found[:room], f"and {cut} more numbers that changed"]
        quiet = len(self.rows) - len(shown)
        return [*found, f"{quiet} numbers differ by no more than tolerance or chance; --all shows everything"]

    def write_json(self, path: str | Path) -> Path:
        """Write names, parameters and numbers of the runs."""
        runs = [{name: getattr(one.record, name) for name in ("name", "parameters", "data")} for one in self.runs]
        rows = [{**asdict(one), "differences": one.differences, "matters": one.matters} for one in self.rows]
        return write_json(path, runs=runs, numbers=rows)

    def write_html(self, path: str | Path) -> Path:
        """Write one page that needs nothing beside itself: parameters, numbers, key figures."""
        with written_whole(path) as temporary:
            temporary.write_text(html("Comparison", self), encoding="utf-8")
        return Path(path)

    def parameters(self) -> list[list[str]]:
        """Those that differ: a row each, of the name and the values."""
        given = [run.record.parameters for run in self.runs]
        names = dict.fromkeys(name for one in given for name in one if name != "run")
        rows = [[name, *(str(one.get(name, NONE)) for one in given)] for name in names]
        return [cells for cells in rows if len(set(cells[1:])) > 1]

    def figures(self) -> list[tuple[Drawing, dict[str, str]]]:
        """The key figures that a run drew: name of the run to PNG, in base64."""
        found = []
        for drawing in (one for one in of_the_paper(self.runs[0].book) if one.paper in KEY_FIGURES):
            drawn = {run.name: _picture(run, drawing) for run in self.runs}
            found.append((drawing, {name: png for name, png in drawn.items() if png}))
        return [(drawing, pictures) for drawing, pictures in found if pictures]


def _line(key: str, unit: str, cells: Sequence[str]) -> str:
    """Of the comparison as text: the number's name and unit, then texts and differences in turn."""
    columns = "".join(f"{cell:>{width}}" for cell, width in zip(cells, [15, *[15, 18] * len(cells)], strict=False))
    return f"  {key:28}{unit:8}{columns}".rstrip()


def compare_runs(book: Book, names: Sequence[str]) -> Comparison:
    """Put the numbers of runs side by side.

    Raises
    ------
    FileNotFoundError
        If there is no such run.
    ValueError
        If a run did not finish, or its files are damaged or of another format.
    """
    runs = tuple(Run.of(book, name) for name in names)
    columns = [run.numbers() for run in runs]
    tolerances = {check.number: check.tolerance for _, check in checks() if check.compare == "within"}
    spread = Spread.read(book.root / "sweeps" / "seeds.json", runs[0].record.parameters)
    order = {chapter.stem: place for place, chapter in enumerate(book.chapters)}
    keys = dict.fromkeys(key for column in columns for key in column)
    rows = []
    for key in sorted(keys, key=lambda key: order.get(key.partition(":")[0], len(order))):
        found = [column.get(key) for column in columns]
        unit = next(one.unit for one in found if one is not None)
        values = tuple(None if one is None else one.value for one in found)
        texts = tuple(NONE if one is None else one.text for one in found)
        rows.append(NumberRow(key, unit, values, texts, tolerances.get(key) or None, spread.of(key) or None))
    return Comparison(runs, tuple(rows))


def _picture(run: Run, drawing: Drawing) -> str:
    """The PNG of a drawing in a run, in base64; empty if the run did not make it."""
    cells = run.cells(drawing.chapter) if run.has(drawing.chapter) else []
    drawn = [cell.outputs for cell in cells if cell.source.strip() == drawing.source.strip()]
    found = [output.data["image/png"] for output in itertools.chain(*drawn) if "image/png" in output.get("data", {})]
    return found[0].replace("\n", "") if found else ""
