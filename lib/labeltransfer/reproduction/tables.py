"""What notebooks and pages show as HTML: each thing by the macro of its name in ``pages.html``."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from astropy.table import Table
from markupsafe import Markup, escape

import labeltransfer as lt

from ..evidence import verdicts
from ..evidence.claims import Claim, claims
from ..labels import PAPER_LABELS, Labels
from .book import Book, ChapterText, project_root
from .drawings import Drawing, drawings, of_the_paper
from .parameters import PARAMETERS, Parameter

KINDS = {"f": "number", "i": "whole number", "b": "yes or no", "U": "text", "S": "text"}


def words(text: object) -> Markup:
    """Words as HTML: with subscripts, code between backticks, and minus signs where hyphens stand for them."""
    html = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    for name, letter, index in (("A_K", "A", "K"), ("A_V", "A", "V"), ("Teff", "T", "eff")):
        html = html.replace(name, f"{letter}<sub>{index}</sub>")
    return Markup(re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", html))


@functools.cache
def _macros() -> Any:
    places = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=places, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["words"] = words
    return environment.get_template("pages.html").module


def html(macro: str, *things: Any, **more: Any) -> str:
    """What a macro of ``pages.html`` makes of some things."""
    return str(getattr(_macros(), macro)(*things, **more)).strip()


class Shown:
    """Something that notebooks show by the macro of its name, and terminals by the text of that."""

    def _repr_html_(self) -> str:
        return html(type(self).__name__, self)

    def __repr__(self) -> str:
        lines = (Markup(line.replace("<", " <")).striptags() for line in self._repr_html_().splitlines())
        return "\n".join(filter(None, lines))


@dataclass(frozen=True, repr=False)
class PlainTable(Shown):
    """Rows of HTML cells under column headings; the first cell of a row is its heading."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    kind: str = "ledger"


@dataclass(frozen=True)
class StarPage(Shown):
    """Shows the stars of a script that `figures.star_picker.StarPicker.write` wrote."""

    data: Path

    def embedded(self, height: int = 1500) -> Any:
        """The page with all its data in one output, for Jupyter."""
        from IPython.display import HTML

        static = project_root() / "book" / "_static"
        files = (static / "explorer.css", self.data, static / "explorer.js")
        page = html("StarPageAlone", *(file.read_text(encoding="utf-8") for file in files))
        return HTML(html("embedded", page, height))


# ---- what the paper claims, and the verdicts ------------------------------------------------------------------------

IN_THE_PAPER = re.compile(r"Fig\. \d+|Table \d+")


@dataclass(frozen=True, repr=False)
class Ledger(verdicts.Ledger, Shown):
    """Verdicts with links; `figures` is the paper's name of a figure to the address of ours."""

    figures: Mapping[str, str] = field(default_factory=dict)

    def take_away(self) -> TakeAway:
        """The verdicts in a box, a line for each claim, in the order of verdicts."""
        rows = sorted(self.rows, key=lambda one: verdicts.VERDICTS.index(one.verdict))
        return TakeAway(tuple(rows), self.counted)

    def place(self, row: verdicts.Row) -> str:
        """Where a claim leads to: to its figure, or chapter; from a part of the ledger, to the whole one."""
        if len({other.chapter for other in self.rows}) == 1:
            return f"06_ledger.html#claim-{row.id}"
        names = IN_THE_PAPER.findall(row.where.replace("Figs.", "Fig."))
        return next((self.figures[name] for name in names if name in self.figures), f"{row.chapter}.html")

    def where(self, row: verdicts.Row) -> Markup:
        """Where it stands in the paper; what is drawn here, too, is a link."""

        def linked(found: re.Match[str]) -> str:
            address = self.figures.get(found[0])
            return found[0] if address is None else html("link", address, found[0])

        return Markup(IN_THE_PAPER.sub(linked, str(escape(row.where))))


@dataclass(frozen=True, repr=False)
class TakeAway(Shown):
    """The verdicts of a part of the ledger in a box, with links to the ledger."""

    rows: tuple[verdicts.Row, ...]
    counted: str


@dataclass(frozen=True, repr=False)
class Findings(Shown):
    """What a record of a run on real data says of each claim; those of the ledger are links to it."""

    record: Mapping[str, Any]

    @property
    def rows(self) -> list[tuple[Claim | None, Mapping[str, str]]]:
        """The claim, or None if the paper has none, and what is said."""
        known = {claim.id: claim for claim in claims()}
        return [(known.get(key), said) for key, said in self.record["claims"].items()]


@dataclass(frozen=True)
class ClaimTable(Shown):
    """What the paper claims in the part that a chapter reproduces."""

    claims: tuple[Claim, ...]

    @classmethod
    def of(cls, stem: str) -> ClaimTable:
        """The paper's claims that a chapter checks."""
        return cls(tuple(claim for claim in claims() if claim.chapter == stem))

    def __repr__(self) -> str:
        return "\n".join(f"{claim.where}: {claim.claim}" for claim in self.claims)


# ---- what the book says of itself: parameters, figures, assumptions, and what a catalogue holds --------------------


@dataclass(frozen=True, repr=False)
class ParameterReference(Shown):
    """Every parameter with what it does, what it may be, and what it touches."""

    book: Book
    parameters = tuple(PARAMETERS.values())
    n_claims = len(claims())

    def chapters(self, parameter: Parameter) -> list[ChapterText]:
        """Chapters that depend on a parameter: what it is changes their results. (The run's name changes nothing.)"""
        return [chapter for chapter in self.book.chapters if parameter.name in self.book.choices(chapter)]

    def claims(self, parameter: Parameter) -> list[Claim]:
        """Claims of the paper that those chapters check."""
        stems = {chapter.stem for chapter in self.chapters(parameter)}
        return [claim for claim in claims() if claim.chapter in stems]


@dataclass(frozen=True, repr=False)
class FigureMap(Shown):
    """Every figure and table of the paper with the chapter and the function that draw it."""

    book: Book

    @cached_property
    def of_the_paper(self) -> list[Drawing]:
        """What the paper has, in its order."""
        return of_the_paper(self.book)

    @staticmethod
    def purpose(function: str) -> str:
        """First line of the description of a drawing function."""
        return (inspect.getdoc(getattr(lt.figures, function)) or "").split("\n")[0]

    def count(self, kind: str) -> int:
        """How many different figures (``Fig.``) or tables (``Table``) of the paper are drawn."""
        return len({one.paper for one in self.of_the_paper if one.paper.startswith(kind)})

    def by_chapter(self) -> ChapterFigures:
        """The way back: the figures of each chapter."""
        found = {chapter: drawn for chapter in self.book.chapters if (drawn := drawings(chapter))}
        return ChapterFigures(self.book, found)


@dataclass(frozen=True, repr=False)
class ChapterFigures(Shown):
    """Figures and parameters of each chapter that draws."""

    book: Book
    drawings: dict[ChapterText, list[Drawing]]


@dataclass(frozen=True, eq=False)
class AssumptionList(Shown):
    """What `mock.assumptions` lists, by the place in the code that assumes it."""

    table: Table

    def __repr__(self) -> str:
        return "\n".join(f"{row['where']}.{row['name']} = {row['value']} {row['unit']}" for row in self.table)


def example_catalogue(label_names: Sequence[str] = PAPER_LABELS) -> Table:
    """A catalogue of one star that has every column there is."""
    n_labels, one = len(label_names), np.ones(1)
    ids = np.array(["spec-55859-PLAN_sp01-001"])
    labels = Labels(ids, tuple(label_names), np.ones((1, n_labels)), np.eye(n_labels)[None])
    fit = lt.LabelFit(labels, one, one, one, one, one, one, n_free=n_labels)
    stars = Table({name: [1.0] for name in lt.catalogue.STAR_COLUMNS if name != "id"})
    stars["obsid"] = np.array([1])
    stars["id"] = ids
    label_range = np.array([np.zeros(n_labels), 2 * np.ones(n_labels)])
    return lt.catalogue.assemble(fit, stars, distance=one, reference=False, label_range=label_range)


@dataclass(frozen=True, repr=False)
class DataModel(Shown):
    """Every column of a catalogue with unit, type, UCD and meaning."""

    label_names: tuple[str, ...] = PAPER_LABELS

    @cached_property
    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Name, type, unit, UCD, description, see `catalogue.data_model`."""
        return lt.catalogue.data_model(example_catalogue(self.label_names))

    def in_words(self, kind: str) -> str:
        """A type as readers call it."""
        return KINDS[np.dtype(kind).kind]
