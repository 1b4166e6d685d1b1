"""Pages that the book writes about itself: parameters, figures, assumptions, and what a catalogue holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
from astropy.table import Row, Table

from .. import catalogue
from ..inference import LabelFit
from ..labels import PAPER_LABELS, Labels
from .book import Book, ChapterText
from .claims import Claim, claims
from .drawings import Drawing, drawings, of_the_paper, purpose
from .parameters import PARAMETERS, Parameter
from .tables import cell, link, plain_table, row, table, text_of

PARAMETER_PAGE, LEDGER_PAGE = "A2_parameters.html", "06_ledger.html"
HEADER = {
    "CREATOR": "this library and its version",
    "VERSIONS": f"versions of {', '.join(catalogue.PACKAGES)}, as JSON",
    "PROVENAN": "as JSON: fingerprints of model and reference set, labels, normalization, mask, and whether the "
    "survey is simulated",
}
MANIFEST = {
    "file": "below the folder that was ingested",
    "id": "name of the spectrum, as in the catalogue",
    "status": "read or skipped",
    "reason": "why it was skipped: what was found and what was wanted",
}
KINDS = {"f": "number", "i": "whole number", "b": "yes or no", "U": "text", "S": "text"}


@dataclass(frozen=True)
class ParameterReference:
    """Every parameter with what it does, what it may be, and what it touches; shown by notebooks."""

    book: Book

    @property
    def parameters(self) -> list[Parameter]:
        """All of them, in the order of the book."""
        return list(PARAMETERS.values())

    def chapters(self, parameter: Parameter) -> list[ChapterText]:
        """Chapters that declare a parameter: what it is changes their results. (The run's name changes nothing.)"""
        if parameter.name == "run":
            return []
        return [chapter for chapter in self.book.chapters if parameter.name in chapter.parameters]

    def claims(self, parameter: Parameter) -> list[Claim]:
        """Claims of the paper that those chapters check."""
        stems = {chapter.stem for chapter in self.chapters(parameter)}
        return [claim for claim in claims() if claim.chapter in stems]

    def __repr__(self) -> str:
        return "\n".join(f"{one.name:21} {one.typed:12} {one.description}" for one in self.parameters)

    def _repr_html_(self) -> str:
        rows = [
            (link(f"#parameter-{one.name}", f"<code>{one.name}</code>"), _default(one), escape(_sentence(one)))
            for one in self.parameters
        ]
        listed = plain_table(("Parameter", "Default", "What it is"), rows, "ledger parameter-list")
        return f'{listed}<div class="parameters">{"".join(map(self._card, self.parameters))}</div>'

    def _card(self, one: Parameter) -> str:
        facts = {
            "Type": one.kind,
            "Default": _default(one),
            "Allowed": escape(one.allowed),
            "In the paper": escape(one.paper) or "–",
            "Chapters": ", ".join(link(f"{c.stem}.html", c.short, c.title) for c in self.chapters(one)) or "–",
            "Claims": self._claims(one),
        }
        listed = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts.items())
        return (
            f'<section id="parameter-{one.name}"><h3><code>{one.name}</code></h3><p>{escape(_sentence(one))}</p>'
            f"<dl>{listed}</dl></section>"
        )

    def _claims(self, one: Parameter) -> str:
        found, n = self.claims(one), len(claims())
        if not found:
            return "–"
        if len(found) == n:
            return link(LEDGER_PAGE, f"all {n}")
        links = (link(f"{LEDGER_PAGE}#claim-{claim.id}", text_of(claim.claim)) for claim in found)
        return f"<details><summary>{len(found)} of {n}</summary><ul>{_items(links)}</ul></details>"


@dataclass(frozen=True)
class FigureMap:
    """Every figure and table of the paper with the chapter and the function that draw it; shown by notebooks."""

    book: Book

    @cached_property
    def of_the_paper(self) -> list[Drawing]:
        """What the paper has, in its order."""
        return of_the_paper(self.book)

    def count(self, kind: str) -> int:
        """How many different figures (``Fig.``) or tables (``Table``) of the paper are drawn."""
        return len({one.paper for one in self.of_the_paper if one.paper.startswith(kind)})

    def by_chapter(self) -> ChapterFigures:
        """The way back: the figures of each chapter."""
        return ChapterFigures(self.book)

    def __repr__(self) -> str:
        return "\n".join(f"{one.paper:8} {one.chapter.stem:22} {', '.join(one.functions)}" for one in self.of_the_paper)

    def _repr_html_(self) -> str:
        return plain_table(("Paper", "Here", "Drawn by"), map(self._row, self.of_the_paper), "ledger figure-map")

    def _row(self, one: Drawing) -> tuple[str, ...]:
        chapter = link(f"#figures-of-{one.chapter.stem}", escape(one.chapter.title))
        number = len(one.chapter.parameters) - ("run" in one.chapter.parameters)
        here = f"{link(one.link, escape(one.title))}<br><small>chapter {chapter}, {number} parameters</small>"
        drawn = (f"<code>figures.{name}</code><br><small>{escape(purpose(name))}</small>" for name in one.functions)
        return one.paper, here, "<br>".join(drawn) or "–"


@dataclass(frozen=True)
class ChapterFigures:
    """Figures and parameters of each chapter; shown by notebooks."""

    book: Book

    def __repr__(self) -> str:
        return "\n".join(f"{chapter.stem}: {len(drawings(chapter))}" for chapter in self.book.chapters)

    def _repr_html_(self) -> str:
        return f'<div class="parameters">{"".join(map(self._chapter, self.book.chapters))}</div>'

    def _chapter(self, chapter: ChapterText) -> str:
        drawn = drawings(chapter)
        if not drawn:
            return ""
        names = [name for name in chapter.parameters if name != "run"]
        links = ", ".join(link(f"{PARAMETER_PAGE}#parameter-{name}", f"<code>{name}</code>") for name in names)
        return (
            f'<section id="figures-of-{chapter.stem}"><h3>{link(f"{chapter.stem}.html", escape(chapter.title))}'
            f"</h3><ul>{_items(map(_figure_line, drawn))}</ul><p>Parameters: {links or 'none'}</p></section>"
        )


def _figure_line(one: Drawing) -> str:
    paper = f" ({one.paper} of the paper)" if one.paper else ""
    drawn = ", ".join(f"<code>figures.{name}</code>" for name in one.functions)
    return f"{link(one.link, escape(one.title))}{paper}" + (f": {drawn}" if drawn else "")


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{text}</li>" for text in texts)


def _default(one: Parameter) -> str:
    return f"<code>{escape(one.typed).replace(',', ',<wbr>')}</code>"


def _sentence(one: Parameter) -> str:
    return one.description[0].upper() + one.description[1:] + "."


@dataclass(frozen=True, eq=False)
class AssumptionList:
    """What `mock.assumptions` lists, by the place in the code that assumes it; shown by notebooks."""

    table: Table

    def __repr__(self) -> str:
        return "\n".join(f"{row['where']}.{row['name']} = {row['value']} {row['unit']}" for row in self.table)

    def _repr_html_(self) -> str:
        bodies = map(self._place, dict.fromkeys(self.table["where"]))
        return table(("Assumption", "Value", "What it is, and where from"), bodies, "ledger assumptions")

    def _place(self, place: str) -> str:
        heading = row([cell(escape(place), head="rowgroup", columns=3)], "first")
        rows = "".join(_assumption(one) for one in self.table if one["where"] == place)
        return f"<tbody>{heading}{rows}</tbody>"


def _assumption(one: Row) -> str:
    said = "; ".join(text_of(text) for text in (one["meaning"], one["source"]) if text)
    names = one["name"].split(", ")
    shown = ", ".join(f'<code id="assumed-{one["where"]}.{name}">{escape(name)}</code>' for name in names)
    return row(map(cell, (shown, f"{text_of(one['value'])} {escape(one['unit'])}", said)))


def example_catalogue(label_names: Sequence[str] = PAPER_LABELS) -> Table:
    """A catalogue of one star that has every column there is."""
    n_labels, one = len(label_names), np.ones(1)
    ids = np.array(["spec-55859-PLAN_sp01-001"])
    labels = Labels(ids, tuple(label_names), np.ones((1, n_labels)), np.eye(n_labels)[None])
    fit = LabelFit(labels, one, one, one, one, one, one, n_free=n_labels)
    stars = Table({name: [1.0] for name in catalogue.STAR_COLUMNS if name != "id"})
    stars["obsid"] = np.array([1])
    stars["id"] = ids
    label_range = np.array([np.zeros(n_labels), 2 * np.ones(n_labels)])
    return catalogue.assemble(fit, stars, distance=one, reference=False, label_range=label_range)


@dataclass(frozen=True)
class DataModel:
    """Every column of a catalogue with unit, type, UCD and meaning; shown by notebooks."""

    label_names: tuple[str, ...] = PAPER_LABELS

    @cached_property
    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Name, type, unit, UCD, description, see `catalogue.data_model`."""
        return catalogue.data_model(example_catalogue(self.label_names))

    def __repr__(self) -> str:
        return "\n".join(f"{name:20} {unit or '-':8} {words}" for name, _, unit, _, words in self.rows)

    def _repr_html_(self) -> str:
        rows = [
            (f"<code>{escape(name)}</code>",
             f"{escape(unit.replace('2', '²')) or '–'}<br><small>{KINDS[np.dtype(kind).kind]}</small>",
             f"{escape(words)}<br><small>{escape(ucd) or '–'}</small>")
            for name, kind, unit, ucd, words in self.rows
        ]  # fmt: skip
        return plain_table(("Column", "Unit and type", "Meaning and UCD"), rows, "ledger data-model")

    def header(self) -> Listing:
        """What the header says about where the catalogue comes from."""
        return Listing(HEADER)

    def manifest(self) -> Listing:
        """What a store says of every file."""
        return Listing(MANIFEST)


@dataclass(frozen=True)
class Listing:
    """Names and what they mean; shown by notebooks."""

    words: dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(f"{name:10} {words}" for name, words in self.words.items())

    def _repr_html_(self) -> str:
        rows = ((f"<code>{name}</code>", escape(text)) for name, text in self.words.items())
        return plain_table(("Name", "Meaning"), rows, "ledger data-model")
