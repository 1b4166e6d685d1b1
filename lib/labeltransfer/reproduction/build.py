"""Render a run as HTML pages: the pages show the very outputs of that run, and nothing is executed again.

The default run is rendered from the text notebooks, whose outputs are put into jupyter-cache; any other run is rendered
from a staged copy of the book that holds its executed notebooks, under a banner that names the run.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from sqlalchemy.exc import SQLAlchemyError

from ..files import written_whole
from ..files.locks import only_writer
from .access import make_accessible
from .book import Book, runs_folder
from .explorer_page import place_explorer_data
from .figure_data import offer_figure_data
from .provenance import write_provenance
from .record import Record, check_whole, read_record
from .stage import configuration, stage, with_outputs

DEFAULT = "default"
VARIANTS = "variants"


def build(book: Book, name: str = DEFAULT) -> Path:
    """Render a run and return the page to open.

    The default run is the main book, so it must be whole; of any other run the chapters are shown that it has.

    Raises
    ------
    FileNotFoundError
        If there is no such run, or the default run lacks a chapter.
    ValueError
        If a chapter is not what the run's code, parameters and data give, or the default run did not finish.
    RuntimeError
        If the pages could not be rendered without a warning (the message holds the warnings), or another process
        renders.
    OSError
        If the disk is full, for example. Pages rendered before stay as they were until the new ones are whole.
    """
    record = read_record(name, book.root)
    folder = runs_folder(book.root) / name
    if name == DEFAULT:
        check_whole(book, record)
    rendered = book.root / "_build"
    out = rendered / f"rendering-{name}"
    main = rendered / "html"
    finished = main if name == DEFAULT else rendered / VARIANTS / name / "_build" / "html"
    try:
        with only_writer(rendered):
            pages = _render(book, record, folder, out)
            if name == DEFAULT:
                link_variants(rendered, pages)
            _put_in_place(pages, finished)
            if name != DEFAULT:
                link_variants(rendered, main)
    except OSError as error:
        todo = "make room and build again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "build again"
        told = f"{error.strerror or error}; pages that were there before are as they were, so {todo}"
        raise OSError(error.errno or errno.EIO, told, error.filename or str(out)) from error
    return finished / "index.html"


def _render(book: Book, record: Record, folder: Path, out: Path) -> Path:
    """Render into a folder of its own, and return the folder of the pages."""
    shutil.rmtree(out, ignore_errors=True)
    pages = out / "_build" / "html"
    if record.name == DEFAULT:
        seed_cache(book, record, folder, out / "_build" / ".jupyter_cache")
        _jupyter_book(book.root, out, configuration(book, record, out), strict=True)
    else:
        source, complete = stage(book, record, folder)
        _jupyter_book(source, out, source / "_config.yml", strict=complete)
    write_provenance(pages, record)
    make_accessible(pages)
    offer_figure_data(pages, book, folder / "data", record.parameters, record.key_data)
    place_explorer_data(pages, folder / "data")
    (pages / ".nojekyll").touch()
    return pages


def _put_in_place(pages: Path, finished: Path) -> None:
    """Whole pages take the place of those of before, in one move."""
    before = finished.with_name(f"{finished.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    finished.parent.mkdir(parents=True, exist_ok=True)
    if finished.exists():
        finished.rename(before)
    pages.rename(finished)
    shutil.rmtree(before, ignore_errors=True)


def link_variants(rendered: Path, main: Path) -> list[str]:
    """Put the rendered variants beside the pages of the default run, and list them on its first page.

    Parameters
    ----------
    rendered : where variants lie
    main : the pages of the default run

    Returns
    -------
    The names of the variants; none if the default run is not rendered.
    """
    first = main / "book" / "index.html"
    if not first.exists():
        return []
    found = sorted((rendered / VARIANTS).glob("*/_build/html/book/index.html"))
    variants = {page.parents[3].name: page.parents[1] for page in found}
    beside = rendered / f"{VARIANTS}.copied"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, pages in variants.items():
        _copy_pages(pages, beside / name)
    _put_in_place(beside, main / VARIANTS)
    links = "".join(f'<li><a href="../{VARIANTS}/{name}/index.html">run {escape(name)}</a></li>' for name in variants)
    text = re.sub(r'<nav class="variants".*?</nav>', "", first.read_text(encoding="utf-8"), flags=re.DOTALL)
    place = text.rfind('<footer class="provenance">')
    listed = (
        f'<nav class="variants" aria-label="Other runs"><h2>The same book from other runs</h2><ul>{links}</ul></nav>'
    )
    if variants and place >= 0:
        text = text[:place] + listed + text[place:]
    with written_whole(first) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return list(variants)


def _copy_pages(pages: Path, target: Path) -> None:
    """Copy a folder whole or not at all."""
    try:
        shutil.copytree(pages, target)
    except OSError as error:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise _first_reason(error) from error


def _first_reason(error: OSError) -> OSError:
    """What went wrong with the first file: `shutil.copytree` goes on, and gives a list of all, in words."""
    if not isinstance(error, shutil.Error):
        return error
    _, target, words = error.args[0][0]
    number = re.match(r"\[Errno (\d+)\]", words)
    reason = os.strerror(int(number[1])) if number else words
    return OSError(int(number[1]) if number else errno.EIO, reason, str(target))


def seed_cache(book: Book, record: Record, folder: Path, place: Path) -> None:
    """Put the outputs of a run where jupyter-book looks for them."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fill_cache(book, record, folder, place)
    except SQLAlchemyError as error:  # how the cache says that the disk is full
        number = errno.ENOSPC if "full" in str(error) else errno.EIO
        raise OSError(number, str(getattr(error, "orig", error)), str(place)) from error


def _fill_cache(book: Book, record: Record, folder: Path, place: Path) -> None:
    cache = get_cache(str(place))
    for chapter in book.chapters:
        text = read_myst_markdown_notebook(chapter.text, config=MdParserConfig(), path=str(chapter.path))
        if text is None:
            raise ValueError(f"{chapter.path}: no MyST notebook; its head must name jupytext and a kernelspec")
        notebook = with_outputs(text, folder / f"{chapter.stem}.ipynb")
        seconds = record.chapters.get(chapter.stem, {}).get("seconds", 0.0)
        bundle = CacheBundleIn(notebook, str(chapter.path), data={"execution_seconds": seconds})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _jupyter_book(source: Path, out: Path, settings: Path, strict: bool) -> None:
    """Call jupyter-book; nothing may be executed, and, if strict, no warning may remain."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(out), "--all"]
    command += ["--config", str(settings)]
    command += ["-W", "--keep-going", "-n"] if strict else []
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    log_file = out / "_build" / "build.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.write_text(log, encoding="utf-8")
    wrong = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|CRITICAL|Executing notebook", line)]
    executed = [line for line in wrong if "Executing notebook" in line]
    if done.returncode or executed or (strict and wrong):
        lines = "\n".join(wrong[:20]) or log[-2000:]
        raise RuntimeError(f"the pages could not be rendered cleanly (all of it in {log_file}):\n{lines}")
