"""The data of every figure, and of the paper's table, as CSV: kept when drawn, offered for download on the page."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure

from ..figures import recorded, write_data
from .book import Book, ChapterText
from .drawings import drawings

DOWNLOADS = Path("_downloads") / "figures"
EXCERPT, EXCERPT_END = '<table class="table excerpt">', "</table></div>"
_watching: list[Watch] = []


class Watch:
    """Writes, after each cell of a chapter that has a named figure or the paper's table, what that shows."""

    def __init__(self, chapter: ChapterText, path: Callable[[str, str], Path]) -> None:
        self.path = path
        self.names = {one.source.strip(): one.name for one in drawings(chapter)}
        self.before: WeakSet[Any] = WeakSet(recorded())

    def __call__(self, result: Any) -> None:
        """Called by IPython with the result of a cell."""
        drawn = [artist for artist in recorded() if artist not in self.before]
        self.before.update(drawn)
        name = self.names.get(str(result.info.raw_cell).strip())
        if name is not None and result.success:
            self.keep(name, drawn)

    def keep(self, name: str, drawn: list[Any]) -> list[Path]:
        """Write the data of one figure, a file for each panel that keeps data of its own."""
        drawn = [one for one in drawn if not any(one in whole.axes for whole in drawn if isinstance(whole, Figure))]
        parts = [name] if len(drawn) == 1 else [f"{name}-{number + 1}" for number in range(len(drawn))]
        paths = [self.path(part, ".csv") for part in parts]
        return [write_data(artist, path) for artist, path in zip(drawn, paths, strict=True)]


def keep_figure_data(chapter: ChapterText, path: Callable[[str, str], Path]) -> None:
    """From now on, keep the data of the chapter's figures as files that `path` names; nothing outside IPython."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    while _watching:
        shell.events.unregister("post_run_cell", _watching.pop())
    _watching.append(Watch(chapter, path))
    shell.events.register("post_run_cell", _watching[0])


def kept(book: Book, data: Path, values: Mapping[str, Any], data_hash: str = "") -> dict[str, dict[str, list[Path]]]:
    """What `Watch` wrote: stem of the chapter to name of the figure to files.

    Parameters
    ----------
    data : the data folder of a run
    values, data_hash : the run's parameters, and the hash of its survey if that is a folder
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for chapter in book.chapters:
        names = [one.name for one in drawings(chapter)]
        if not names:
            continue
        key = book.key(chapter, values, data_hash)
        for name in names:
            whole = data / f"{name}-{key}.csv"
            several = sorted(data.glob(f"{name}-[0-9]*-{key}.csv"), key=lambda path: (len(path.name), path.name))
            paths = [whole] if whole.exists() else several
            if paths:
                found.setdefault(chapter.stem, {})[name] = paths
    return found


def offer_figure_data(
    pages: Path, book: Book, data: Path, values: Mapping[str, Any], data_hash: str = ""
) -> list[Path]:
    """Copy the data of figures beside the rendered pages and link them below the figures; return the copies.

    Parameters
    ----------
    pages : the rendered book
    data, values, data_hash : as for `kept`
    """
    copies = []
    for stem, figures in kept(book, data, values, data_hash).items():
        page = pages / book.chapter(stem).path.relative_to(book.root).with_suffix(".html")
        text = page.read_text(encoding="utf-8")
        for name, sources in figures.items():
            targets = [pages / DOWNLOADS / _plain(name, number, len(sources)) for number in range(len(sources))]
            for source, target in zip(sources, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            text = _linked(text, name, [os.path.relpath(target, page.parent) for target in targets])
            copies += targets
        page.write_text(text, encoding="utf-8")
    return copies


def _plain(name: str, number: int, count: int) -> str:
    return f"{name}.csv" if count == 1 else f"{name}-{number + 1}.csv"


def _linked(text: str, name: str, addresses: list[str]) -> str:
    """The page with links below a figure, or below the first excerpt of a section; unchanged if it has neither."""
    start = text.find(f'id="{name}"')
    figure = text.rfind("<", 0, start) == text.rfind("<figure", 0, start)
    last = "</figcaption>" if figure else EXCERPT_END
    end = text.find(last, start if figure else text.find(EXCERPT, start))
    if start < 0 or end < 0:
        return text
    end += 0 if figure else len(EXCERPT_END)
    links = [
        f'<a href="{address.replace(os.sep, "/")}" download '
        f'aria-label="Data of this {"figure" if figure else "table"}{part}, CSV">data{part} (CSV)</a>'
        for address, part in zip(addresses, _parts(len(addresses)), strict=True)
    ]
    return text[:end] + f'<p class="figure-data">{" ".join(links)}</p>' + text[end:]


def _parts(count: int) -> list[str]:
    return [""] if count == 1 else [f", part {number + 1}" for number in range(count)]
