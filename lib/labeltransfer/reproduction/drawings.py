"""Which chapter draws what, read from its figure cells, and the data of these figures, kept as CSV when drawn."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

from docutils.nodes import make_id  # type: ignore[import-untyped]

import labeltransfer as lt

from .book import Book, Cell, ChapterText
from .numbers import running_shell

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
    """

    chapter: ChapterText
    name: str
    title: str
    paper: str
    functions: tuple[str, ...]
    source: str

    @property
    def link(self) -> str:
        """Address of it, from another page of the book."""
        return f"{self.chapter.stem}.html#{self.name}"


def drawings(chapter: ChapterText) -> list[Drawing]:
    """Figures of a chapter, and the tables that the paper has, in order."""
    found = []
    for heading, prose, cells in _sections(chapter):
        found += [_drawing(chapter, cell, heading, re.sub(r"\s+", " ", prose)) for cell in cells]
    return [drawing for drawing in found if drawing is not None]


def _sections(chapter: ChapterText) -> list[tuple[str, str, list[Cell]]]:
    """Heading, prose and code cells of each section."""
    sections: list[tuple[str, str, list[Cell]]] = [("", "", [])]
    for cell in chapter.all_cells:
        heading, prose, cells = sections[-1]
        if cell.is_code:
            cells.append(cell)
        else:
            more, *others = HEADING.split(cell.source)
            sections[-1] = heading, f"{prose} {more}", cells
            sections += [(title, text, []) for title, text in zip(others[::2], others[1::2], strict=True)]
    return sections


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
    given_back = {name: inspect.signature(getattr(lt.figures, name)).return_annotation for name in names}
    return tuple(name for name, kind in given_back.items() if kind in ("Figure", "Axes", "Excerpt"))


def _drawing(chapter: ChapterText, cell: Cell, heading: str, prose: str) -> Drawing | None:
    options, functions = cell.options.get("mystnb", {}).get("figure", {}), called(cell.source)
    caption = options.get("caption", "")
    paper = IN_THE_PAPER.search(caption if "name" in options else prose)
    number = paper[1] if paper else ""
    if "name" in options:
        return Drawing(chapter, options["name"], _first_sentence(caption), number, functions, cell.source)
    if functions and number.startswith("Table"):
        return Drawing(chapter, make_id(heading), heading, number, functions, cell.source)
    return None


def _first_sentence(caption: str) -> str:
    plain = re.sub(r"\s*\([^()]*Fig\. \d+(?:[^()]|\([^()]*\))*\)", "", caption)
    plain = re.sub(r"\{\w+\}`[^`]*`", "", plain).replace("$", "").replace("\\", "")
    first, *others = re.split(r"(?<=[\w)\]])(?<!Fig)[.;:] ", plain)
    title = f"{first}: {others[0][0].lower()}{others[0][1:]}" if others and len(first.split()) < 5 else first
    return title.rstrip(". ")


def drawn_so_far() -> list[Any]:
    """What keeps its data of all that was drawn in this process; nothing where nothing could be drawn."""
    return lt.figures.recorded() if "labeltransfer.figures" in sys.modules else []


class Watch:
    """Writes, after each cell of a chapter that has a named figure or the paper's table, what that shows."""

    def __init__(self, chapter: ChapterText, path: Callable[[str, str], Path]) -> None:
        self.path = path
        self.names = {one.source.strip(): one.name for one in drawings(chapter)}
        self.before: WeakSet[Any] = WeakSet(drawn_so_far())

    def __call__(self, result: Any) -> None:
        """Called by IPython with the result of a cell."""
        drawn = [artist for artist in drawn_so_far() if artist not in self.before]
        self.before.update(drawn)
        name = self.names.get(str(result.info.raw_cell).strip())
        if name is not None and result.success:
            self.keep(name, drawn)

    def keep(self, name: str, drawn: list[Any]) -> list[Path]:
        """Write the data of one figure, a file for each panel that keeps data of its own."""
        from matplotlib.figure import Figure

        drawn = [one for one in drawn if not any(one in whole.axes for whole in drawn if isinstance(whole, Figure))]
        parts = [name] if len(drawn) == 1 else [f"{name}-{number + 1}" for number in range(len(drawn))]
        paths = [self.path(part, ".csv") for part in parts]
        return [lt.figures.write_data(artist, path) for artist, path in zip(drawn, paths, strict=True)]


def keep_figure_data(chapter: ChapterText, path: Callable[[str, str], Path]) -> None:
    """From now on, keep the data of the chapter's figures as files that `path` names; nothing outside IPython."""
    shell = running_shell()
    if shell is None:
        return
    # Layouts are constrained: cut to its contents, as is usual, each figure would be drawn once more to find them.
    shell.config.InlineBackend.print_figure_kwargs = {"bbox_inches": None}
    for before in [one for one in shell.events.callbacks["post_run_cell"] if isinstance(one, Watch)]:
        shell.events.unregister("post_run_cell", before)
    shell.events.register("post_run_cell", Watch(chapter, path))


def kept(
    book: Book, chapter: ChapterText, data: Path, values: Mapping[str, Any], data_hash: str = ""
) -> dict[str, list[Path]]:
    """What `Watch` wrote of a chapter: name of the figure to files.

    Parameters
    ----------
    data : the data folder of a run
    values, data_hash : the run's parameters, and the hash of its survey if that is a folder
    """
    names = [one.name for one in drawings(chapter)]
    key = book.key(chapter, values, data_hash) if names else ""
    found = {}
    for name in names:
        parts = sorted(data.glob(f"{name}-[0-9]*-{key}.csv"), key=lambda path: (len(path.name), path.name))
        found[name] = [*data.glob(f"{name}-{key}.csv")] or parts
    return {name: paths for name, paths in found.items() if paths}
