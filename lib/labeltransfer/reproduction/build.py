"""Render a run as HTML pages: the pages show the very outputs of that run, and nothing is executed again.

Every run is rendered from a staged copy of the book, in which chapters are notebooks with that run's outputs. A run
that is not the default one has a banner that names it, and a chapter that it lacks says so.
"""

from __future__ import annotations

import errno
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from ..files import written_whole
from ..files.locks import only_writer
from .book import Book, ChapterText
from .execute import call, plain
from .record import DEFAULT, Record, Run
from .sync import notebook_of, tags
from .tables import html

VARIANTS = "variants"
INJECTED = "injected-parameters"
FIRST_CELL = {"code_prompt_show": "Parameters and imports"}
"""What stands in place of the first cell of a chapter, which is hidden."""
START = "from labeltransfer.reproduction.execute import end_with_parent; end_with_parent(); "
START += "from jupyter_book.cli.main import main; main()"


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
    run = Run.of(book, name)
    if name == DEFAULT:
        run.check_whole()
    rendered = book.root / "_build"
    out, main = rendered / f"rendering-{name}", rendered / "html"
    finished = main if name == DEFAULT else main / VARIANTS / name
    try:
        with only_writer(rendered):
            _put_in_place(_render(run, out), finished)
            pages = (main / VARIANTS).glob("*/book/index.html")
            names = sorted(one.parents[1].name for one in pages if not one.parents[1].name.startswith("."))
            (main / VARIANTS).mkdir(exist_ok=True)
            _write(main / VARIANTS / "index.html", html("variants", names, (main / "book" / "index.html").exists()))
    except OSError as error:
        todo = "make room and build again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "build again"
        told = f"{error.strerror or error}; pages that were there before are as they were, so {todo}"
        raise OSError(error.errno or errno.EIO, told, error.filename or str(out)) from error
    return finished / "index.html"


def _render(run: Run, out: Path) -> Path:
    """Render into a folder of its own, and return the folder of the pages."""
    shutil.rmtree(out, ignore_errors=True)
    complete = stage(run, out / "source")
    _jupyter_book(run, out / "source", out, strict=complete)
    pages = out / "_build" / "html"
    (pages / ".nojekyll").touch()
    return pages


def _put_in_place(pages: Path, finished: Path) -> None:
    """Whole pages take the place of those of before, in one move; variants that lie among these stay."""
    before = finished.with_name(f".{finished.name}.before")
    finished.parent.mkdir(parents=True, exist_ok=True)
    _keep_variants(before, finished)  # of a build that was killed
    if finished.exists():
        shutil.rmtree(before, ignore_errors=True)
        finished.rename(before)
    pages.rename(finished)
    _keep_variants(before, finished)
    shutil.rmtree(before, ignore_errors=True)


def _keep_variants(before: Path, finished: Path) -> None:
    if (before / VARIANTS).exists() and finished.exists():
        (before / VARIANTS).rename(finished / VARIANTS)


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# ---- the staged copy ------------------------------------------------------------------------------------------------


def stage(run: Run, target: Path) -> bool:
    """Copy the book with the outputs of a run; return whether the run has every chapter.

    A chapter becomes a notebook of its text and the run's outputs; one that the run lacks a page that says so, and why.
    """
    book = run.book
    for folder in {page.parent for page in book.pages}:
        ignored = shutil.ignore_patterns(".ipynb_checkpoints", "*.ipynb")
        shutil.copytree(folder, target / folder.relative_to(book.root), ignore=ignored, dirs_exist_ok=True)
    shutil.copy(book.root / "_toc.yml", target)
    absent, shown = [], []
    for chapter in book.chapters:
        page = target / chapter.path.relative_to(book.root)
        if run.has(chapter):
            run.check_current(chapter)
            nbformat.write(with_outputs(run, chapter), page.with_suffix(".ipynb"))
            shown.append(page)
        else:
            _write(page, _absent(chapter, run.record))
            absent.append(chapter.stem)
    if absent:
        quoted = re.compile(rf"\{{glue:text\}}`({'|'.join(absent)})\.md::[^`]*`")
        for page in [*target.rglob("*.md"), *target.rglob("*.ipynb")]:
            _write(page, quoted.sub("n/a", page.read_text(encoding="utf-8")))
    settings = configuration(run)
    excluded = [one for one in settings.get("exclude_patterns", []) if not one.endswith(".ipynb")]
    texts = [page.relative_to(target).as_posix() for page in shown]  # their notebooks stand for them
    settings["exclude_patterns"] = [*excluded, *texts]
    _write(target / "_config.yml", yaml.safe_dump(settings, allow_unicode=True, sort_keys=False))
    return not absent


def with_outputs(run: Run, chapter: ChapterText) -> NotebookNode:
    """The notebook of a chapter's text with what the run's notebook shows; one of a variant has its values in a cell.

    Raises
    ------
    ValueError
        If the notebook of the run is damaged, or of other code.
    """
    executed = [cell for cell in run.cells(chapter) if run.name != DEFAULT or INJECTED not in tags(cell)]
    notebook = notebook_of(chapter.path)
    for cell in notebook.cells:
        if "parameters" in tags(cell):
            cell.metadata["mystnb"] = FIRST_CELL
    for number, cell in enumerate(executed):
        if INJECTED in tags(cell):
            values = nbformat.v4.new_code_cell(cell.source, metadata={"tags": [INJECTED, "hide-input"]})
            notebook.cells.insert(number, values)
    ours, theirs = ([cell for cell in cells if cell.cell_type == "code"] for cells in (notebook.cells, executed))
    if [cell.source.strip() for cell in ours] != [cell.source.strip() for cell in theirs]:
        raise ValueError(
            f"{run.notebook(chapter)}: the chapter's code has changed since it ran; `labeltransfer run {run.name} "
            "--resume` runs it again"
        )
    for cell, done in zip(ours, theirs, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    return notebook


def _absent(chapter: ChapterText, record: Record) -> str:
    """The page in place of a chapter that the run did not execute."""
    command = f"labeltransfer run {record.name} --resume"
    page = f"# {chapter.title}\n\nThis run did not execute this chapter; `{command}` does.\n"
    if record.failure.startswith(f"{chapter.stem}:"):
        failure = record.failure.partition("\n")[0].replace("`", "'")
        page += f"\nIt failed here:\n\n````text\n{failure}\n````\n"
    return page


def configuration(run: Run) -> dict[str, Any]:
    """Settings of jupyter-book: the book's own, with a banner if the run is not of the default parameters."""
    settings: dict[str, Any] = yaml.safe_load((run.book.root / "_config.yml").read_text(encoding="utf-8"))
    of_pages = settings.get("html", {})
    if run.name != DEFAULT:
        settings["title"] = f"{settings['title']} (run {run.name})"
        settings.pop("launch_buttons", None)
        of_pages = {key: value for key, value in of_pages.items() if not key.startswith("use_")}
    if run.name != DEFAULT or run.changed:
        of_pages = {**of_pages, "announcement": banner(run)}
    return {**settings, "html": of_pages, "execute": {**settings.get("execute", {}), "execute_notebooks": "off"}}


def banner(run: Run) -> str:
    """One line that says which run a variant shows."""
    record, changed = run.record, [f"{key} = {value}" for key, value in run.changed.items()]
    kind = "simulated data" if record.simulated else "real spectra"
    state = "" if record.status == "finished" else f", {record.status} before its end"
    return escape(f"Run “{record.name}”{state}, {kind}: {'; '.join(changed) or 'all parameters at their defaults'}")


def _jupyter_book(run: Run, source: Path, out: Path, strict: bool) -> None:
    """Call jupyter-book; if strict, no warning may remain."""
    command = ["-c", START, "build", str(source), "--path-output", str(out), "--all"]
    command += ["-W", "--keep-going", "-n"] if strict else []
    done = call(run.book, command, PYTHONWARNINGS="ignore", NO_COLOR="1", LABELTRANSFER_RUN=run.name)
    log, log_file = plain(done.stdout + done.stderr), out / "_build" / "build.log"
    _write(log_file, log)
    wrong = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|CRITICAL", line)]
    if done.returncode or (strict and wrong):
        lines = "\n".join(wrong[:20]) or log[-2000:]
        raise RuntimeError(f"the pages could not be rendered cleanly (all of it in {log_file}):\n{lines}")
