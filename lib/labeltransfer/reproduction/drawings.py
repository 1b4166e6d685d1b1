"""Which chapter draws what: read from the chapters' figure cells, their captions and the functions that they call."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from docutils.nodes import make_id  # type: ignore[import-untyped]

from .. import figures
from .book import CELL, Book, Cell, ChapterText

IN_THE_PAPER = re.compile(r"\b(Fig\. \d+|Table \d+) of the paper")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Drawing:
    """A figure or table of a chapter.

    Attributes
    ----------
    name : its anchor on the chapter's page
    title : what it shows, in a sentence
    paper : ``Fig. 6`` or ``Table 1``, if the paper has it; else empty
    functions : those of `labeltransfer.figures` that draw it
    source : the cell
    is_figure : whether it has a number and a caption, and is a picture
    """

    chapter: ChapterText
    name: str
    title: str
    paper: str
    functions: tuple[str, ...]
    source: str
    is_figure: bool

    @property
    def link(self) -> str:
        """Address of it, from another page of the book."""
        return f"{self.chapter.stem}.html#{self.name}"


def drawings(chapter: ChapterText) -> list[Drawing]:
    """Figures of a chapter, and the tables that the paper has, in order."""
    text = chapter.text
    cells = zip(CELL.finditer(text), chapter.cells, strict=True)
    found = (_drawing(chapter, cell, *_section(text, match)) for match, cell in cells)
    return [drawing for drawing in found if drawing is not None]


def all_drawings(book: Book) -> list[Drawing]:
    """Those of all chapters."""
    return [drawing for chapter in book.chapters for drawing in drawings(chapter)]


def of_the_paper(book: Book) -> list[Drawing]:
    """Those that the paper has, in the paper's order."""

    def place(drawing: Drawing) -> tuple[bool, int]:
        return drawing.paper.startswith("Table"), int(drawing.paper.split()[1])

    return sorted((drawing for drawing in all_drawings(book) if drawing.paper), key=place)


def called(source: str) -> tuple[str, ...]:
    """Drawing functions of `labeltransfer.figures` that a cell calls."""
    names = dict.fromkeys(re.findall(r"\blt\.figures\.(\w+)\(", source))
    return tuple(name for name in names if _draws(name))


def purpose(function: str) -> str:
    """First line of the description of a drawing function."""
    return (inspect.getdoc(getattr(figures, function)) or "").split("\n")[0]


def _draws(name: str) -> bool:
    given_back = inspect.signature(getattr(figures, name)).return_annotation
    return str(given_back) in ("Figure", "Axes", "Excerpt")


def _section(text: str, match: re.Match[str]) -> tuple[str, str]:
    """Heading above a cell, and the prose from there to the next heading."""
    hidden = CELL.sub(lambda cell: " " * len(cell[0]), text)
    above = [heading for heading in HEADING.finditer(hidden) if heading.start() < match.start()]
    below = HEADING.search(hidden, match.end())
    start = above[-1].start() if above else 0
    return (above[-1][1] if above else "", hidden[start : below.start() if below else None])


def _drawing(chapter: ChapterText, cell: Cell, heading: str, prose: str) -> Drawing | None:
    options = cell.options.get("mystnb", {}).get("figure", {})
    functions = called(cell.source)
    if options.get("name"):
        caption = options.get("caption", "")
        paper = IN_THE_PAPER.search(caption)
        return Drawing(
            chapter, options["name"], _first_sentence(caption), paper[1] if paper else "", functions, cell.source, True
        )
    paper = IN_THE_PAPER.search(re.sub(r"\s+", " ", prose))
    if functions and paper and paper[1].startswith("Table"):
        return Drawing(chapter, make_id(heading), heading, paper[1], functions, cell.source, False)
    return None


def _first_sentence(caption: str) -> str:
    plain = re.sub(r"\s*\(Fig\. \d+ of the paper\)", "", caption)
    plain = re.sub(r"\{\w+\}`[^`]*`", "", plain).replace("$", "").replace("\\", "")
    first, *others = re.split(r"(?<=[\w)\]])[.;:] ", plain)
    title = f"{first}: {others[0][0].lower()}{others[0][1:]}" if others and len(first.split()) < 5 else first
    return title.rstrip(". ")
