"""Render a run as HTML pages: the pages show the very outputs of that run, and nothing is executed again.

The default run is rendered from the text notebooks, whose outputs are put into jupyter-cache; any other run is rendered
from a staged copy of the book that holds its executed notebooks, under a banner that names the run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from html import escape
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

from ..files import written_whole
from ..files.locks import only_writer
from .access import make_accessible
from .book import Book, runs_folder
from .explorer_page import place_explorer_data
from .figure_data import offer_figure_data
from .record import DEFAULT, OUT_OF_SPACE, Record, make_room, read_record, writer_of
from .stage import has_run, stage, with_outputs

VARIANTS = "variants"


def build(book: Book, name: str = DEFAULT) -> Path:
    """Render a run and return the page to open.

    Pages rendered before stay as they were until the new ones are whole.

    Raises
    ------
    FileNotFoundError
        If there is no such run, or a chapter of it is missing.
    ValueError
        If the run is not finished, or a chapter's code is not what the run executed.
    RuntimeError
        If the pages could not be rendered without a warning, the disk is full, or another process renders.
    """
    record = read_record(name, book.root)
    folder = runs_folder(book.root) / name
    if record.obstacle(folder):
        raise ValueError(f"run {name!r} cannot be rendered: {record.obstacle(folder)}")
    ran = [chapter.stem for chapter in book.chapters if has_run(record, folder, chapter)]
    absent = [chapter.stem for chapter in book.chapters if chapter.stem not in ran]
    if name == DEFAULT and absent:
        command = replace(record, only="").go_on
        raise FileNotFoundError(f"run {name!r} has no {', '.join(absent)}; `{command}` makes them")
    base = book.root / "_build"
    out = base / f"rendering-{name}"
    finished = base / "html" if name == DEFAULT else base / VARIANTS / name / "_build" / "html"
    try:
        with _only_build(base):
            _render(book, record, folder, out, finished)
    except (OSError, RuntimeError) as error:
        causes = f"{error}\n{error.__cause__ or error.__context__}"
        again = f"pages that were there before are as they were; {make_room(causes)}labeltransfer build {name}"
        raise RuntimeError(f"run {name!r} is not rendered: {error}\n{again}") from error
    return finished / "index.html"


@contextmanager
def _only_build(base: Path) -> Iterator[None]:
    """Hold the folder of rendered pages; a RuntimeError if another process does."""
    with ExitStack() as held:
        try:
            held.enter_context(only_writer(base))
        except RuntimeError:
            writer = writer_of(base) or "unknown"
            raise RuntimeError(f"{base}: another build (process {writer}) is writing here; wait for it") from None
        yield


def _render(book: Book, record: Record, folder: Path, out: Path, finished: Path) -> None:
    """Render into a folder of its own, of which only whole pages get out."""
    shutil.rmtree(out, ignore_errors=True)
    try:
        pages = _pages(book, record, folder, out)
        if record.name == DEFAULT:
            link_variants(book.root, pages)
        put_in_place(pages, finished)
        if record.name != DEFAULT:
            link_variants(book.root, book.root / "_build" / "html")
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _pages(book: Book, record: Record, folder: Path, out: Path) -> Path:
    """Render, and return the folder of the pages."""
    pages = out / "_build" / "html"
    if record.name == DEFAULT:
        seed_cache(book, record, folder, out / "_build" / ".jupyter_cache")
        _jupyter_book(book.root, out, strict=True)
    else:
        source, complete = stage(book, record, folder)
        _jupyter_book(source, out, strict=complete)
    write_provenance(pages, record)
    make_accessible(pages)
    data_hash = record.data_hash if record.parameters.get("source") == "folder" else ""
    offer_figure_data(pages, book, folder / "data", record.parameters, data_hash)
    place_explorer_data(pages, folder / "data")
    (pages / ".nojekyll").touch()
    return pages


def put_in_place(fresh: Path, finished: Path) -> None:
    """A whole new folder takes the place of the one before."""
    before = finished.with_name(f"{finished.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    finished.parent.mkdir(parents=True, exist_ok=True)
    if finished.exists():
        finished.rename(before)
    fresh.rename(finished)
    shutil.rmtree(before, ignore_errors=True)


def link_variants(root: Path, main: Path) -> list[str]:
    """Put the rendered variants beside the pages of the default run, and list them on its first page.

    Parameters
    ----------
    main : the pages of the default run

    Returns
    -------
    The names of the variants; none if the default run is not rendered.
    """
    first = main / "book" / "index.html"
    if not first.exists():
        return []
    rendered = sorted((root / "_build" / VARIANTS).glob("*/_build/html/book/index.html"))
    names = [page.parents[3].name for page in rendered]
    copies = root / "_build" / "copies"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    try:
        for name, page in zip(names, rendered, strict=True):
            shutil.copytree(page.parents[1], copies / name)
        put_in_place(copies, main / VARIANTS)
    finally:
        shutil.rmtree(copies, ignore_errors=True)
    links = "".join(f'<li><a href="../{VARIANTS}/{name}/index.html">run {escape(name)}</a></li>' for name in names)
    text = re.sub(r'<nav class="variants".*?</nav>', "", first.read_text(encoding="utf-8"), flags=re.DOTALL)
    place = text.rfind('<footer class="provenance">')
    listed = (
        f'<nav class="variants" aria-label="Other runs"><h2>The same book from other runs</h2><ul>{links}</ul></nav>'
    )
    if names and place >= 0:
        text = text[:place] + listed + text[place:]
    with written_whole(first) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return names


def seed_cache(book: Book, record: Record, folder: Path, place: Path) -> None:
    """Put the outputs of a run where jupyter-book looks for them."""
    place.parent.mkdir(parents=True, exist_ok=True)
    cache = get_cache(str(place))
    for chapter in book.chapters:
        text = read_myst_markdown_notebook(chapter.text, config=MdParserConfig(), path=str(chapter.path))
        if text is None:
            raise ValueError(f"{chapter.path}: no MyST notebook; its head must name jupytext and a kernelspec")
        notebook = with_outputs(text, folder / f"{chapter.stem}.ipynb")
        seconds = record.chapters.get(chapter.stem, {}).get("seconds", 0.0)
        bundle = CacheBundleIn(notebook, str(chapter.path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _jupyter_book(source: Path, out: Path, strict: bool) -> None:
    """Call jupyter-book; nothing may be executed, and, if strict, no warning may remain."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(out), "--all"]
    command += ["-W", "--keep-going", "-n"] if strict else []
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    log_file = out.with_name(f"{out.name}.log")
    with suppress(OSError):  # the disk is full, for example: what stopped the rendering is told below
        log_file.write_text(log, encoding="utf-8")
    wrong = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Executing notebook", line)]
    executed = [line for line in wrong if "Executing notebook" in line]
    full = OUT_OF_SPACE.findall(log)[:1]
    if done.returncode or executed or full or (strict and wrong):
        lines = "\n".join(full or wrong[:20]) or log[-2000:]
        raise RuntimeError(f"the pages could not be rendered cleanly (all of it in {log_file}):\n{lines}")


def write_provenance(pages: Path, record: Record) -> None:
    """Write at the foot of every page which run it shows, of what data, with which code, and what it cost."""
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mark = text.rfind("</article>")
        if mark < 0:
            continue
        foot = f'<footer class="provenance">{provenance(record, page.stem)}</footer>'
        page.write_text(text[:mark] + foot + text[mark:], encoding="utf-8")


def provenance(record: Record, stem: str) -> str:
    """HTML text about a run and about what one chapter of it cost."""
    parts = [f"Run <code>{escape(record.name)}</code>", escape(record.data), f"data {record.data_hash[:12]}"]
    versions = [f"{name} {number}" for name, number in record.versions.items() if name in ("labeltransfer", "numpy")]
    parts.append(", ".join([f"Python {record.python}", *versions]))
    if record.commit:
        parts.append(f"commit <code>{escape(record.commit)}</code>")
    if record.lock:
        parts.append(f"lock <code>{escape(record.lock)}</code>")
    cost = record.chapters.get(stem)
    if cost:
        parts.append(f"this chapter: {cost['seconds']:.1f}&nbsp;s, {cost['peak_memory']:,.0f}&nbsp;MB")
    parts.append(f"all chapters: {record.seconds:.0f}&nbsp;s")
    return " · ".join(parts)
