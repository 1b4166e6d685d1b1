"""Pages that the book writes about itself: all parameters, and where every figure of the paper is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape

from astropy.table import Row, Table

from .book import Book, ChapterText
from .claims import CLAIMS, Claim
from .drawings import Drawing, drawings, of_the_paper, purpose
from .ledger import text_of
from .parameters import PARAMETERS, Parameter

PARAMETER_PAGE, LEDGER_PAGE = "A2_parameters.html", "06_ledger.html"


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
        return [claim for claim in CLAIMS if claim.chapter in stems]

    def __repr__(self) -> str:
        return "\n".join(f"{one.name:21} {one.typed:12} {one.description}" for one in self.parameters)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Parameter", "Default", "What it is"))
        rows = "".join(map(self._row, self.parameters))
        return (
            f'<table class="ledger parameter-list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
            f'<div class="parameters">{"".join(map(self._card, self.parameters))}</div>'
        )

    def _row(self, one: Parameter) -> str:
        return (
            f'<tr class="first"><th scope="row"><a href="#parameter-{one.name}"><code>{one.name}</code></a></th>'
            f"<td>{_default(one)}</td><td>{escape(_sentence(one))}</td></tr>"
        )

    def _card(self, one: Parameter) -> str:
        facts = [
            ("Type", one.kind),
            ("Default", _default(one)),
            ("Allowed", escape(one.allowed)),
            ("In the paper", escape(one.paper) or "–"),
            ("Chapters", ", ".join(map(_chapter_link, self.chapters(one))) or "–"),
            ("Claims", self._claims(one)),
        ]
        return (
            f'<section id="parameter-{one.name}"><h3><code>{one.name}</code></h3><p>{escape(_sentence(one))}</p>'
            f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{text}</dd></div>' for name, text in facts)}</dl></section>"
        )

    def _claims(self, one: Parameter) -> str:
        claims = self.claims(one)
        if not claims:
            return "–"
        if len(claims) == len(CLAIMS):
            return f'<a href="{LEDGER_PAGE}">all {len(claims)}</a>'
        return (
            f"<details><summary>{len(claims)} of {len(CLAIMS)}</summary><ul>{_items(map(_claim_link, claims))}</ul>"
            "</details>"
        )


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
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Paper", "Here", "Drawn by"))
        rows = "".join(map(self._row, self.of_the_paper))
        return f'<table class="ledger figure-map"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _row(self, one: Drawing) -> str:
        number = len([name for name in one.chapter.parameters if name != "run"])
        return (
            f'<tr class="first"><th scope="row">{one.paper}</th>'
            f'<td><a href="{one.link}">{escape(one.title)}</a><br><small>chapter <a href="#figures-of-'
            f'{one.chapter.stem}">{escape(one.chapter.title)}</a>, {number} parameters</small></td>'
            f"<td>{_functions(one)}</td></tr>"
        )


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
        links = ", ".join(f'<a href="{PARAMETER_PAGE}#parameter-{name}"><code>{name}</code></a>' for name in names)
        return (
            f'<section id="figures-of-{chapter.stem}"><h3><a href="{chapter.stem}.html">{escape(chapter.title)}</a>'
            f"</h3><ul>{_items(map(_figure_line, drawn))}</ul><p>Parameters: {links or 'none'}</p></section>"
        )


def _figure_line(one: Drawing) -> str:
    paper = f" ({one.paper} of the paper)" if one.paper else ""
    return f'<a href="{one.link}">{escape(one.title)}</a>{paper}' + (
        f": {_functions(one, False)}" * bool(one.functions)
    )


def _functions(one: Drawing, described: bool = True) -> str:
    shown = []
    for name in one.functions:
        said = f"<br><small>{escape(purpose(name))}</small>" if described else ""
        shown.append(f"<code>figures.{name}</code>{said}")
    return ("<br>" if described else ", ").join(shown) or "–"


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{text}</li>" for text in texts)


def _chapter_link(chapter: ChapterText) -> str:
    return f'<a href="{chapter.stem}.html" title="{escape(chapter.title)}">{chapter.short}</a>'


def _claim_link(claim: Claim) -> str:
    return f'<a href="{LEDGER_PAGE}#claim-{claim.id}">{escape(claim.statement)}</a>'


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
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Assumption", "Value", "What it is, and where from"))
        places = dict.fromkeys(self.table["where"])
        body = "".join(map(self._place, places))
        return f'<table class="ledger assumptions"><thead><tr>{head}</tr></thead>{body}</table>'

    def _place(self, place: str) -> str:
        rows = "".join(_assumption(row) for row in self.table if row["where"] == place)
        return f'<tbody><tr class="first"><th scope="rowgroup" colspan="3">{escape(place)}</th></tr>{rows}</tbody>'


def _assumption(row: Row) -> str:
    said = "; ".join(text_of(text) for text in (row["meaning"], row["source"]) if text)
    names = ", ".join(f"<code>{escape(name)}</code>" for name in row["name"].split(", "))
    return f"<tr><td>{names}</td><td>{text_of(row['value'])} {escape(row['unit'])}</td><td>{said}</td></tr>"
