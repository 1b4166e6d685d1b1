"""What is rendered: a run's outputs in the text of its chapters, and the copy of the book that becomes a variant."""

from __future__ import annotations

import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from .book import Book, ChapterText
from .record import Record, check_current, has_chapter
from .sync import notebook_of, read_notebook, tags

INJECTED = "injected-parameters"


def with_outputs(notebook: NotebookNode, executed: Path) -> NotebookNode:
    """The notebook with the outputs of its executed form.

    Raises
    ------
    ValueError
        If the code of the two is not the same.
    """
    done = _executed(executed)
    cells = [cell for cell in done.cells if cell.cell_type == "code" and INJECTED not in tags(cell)]
    wanted = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source.strip() for cell in cells] != [cell.source.strip() for cell in wanted]:
        raise ValueError(
            f"{executed}: the chapter's code has changed since it ran; "
            f"`labeltransfer run {executed.parent.name} --resume` runs it again"
        )
    for cell, source in zip(wanted, cells, strict=True):
        cell.outputs, cell.execution_count = source.outputs, source.execution_count
    return notebook


def _executed(path: Path) -> NotebookNode:
    return read_notebook(path, f"`labeltransfer run {path.parent.name}` makes it again")


def stage(book: Book, record: Record, folder: Path) -> tuple[Path, bool]:
    """Copy the book with the executed notebooks of a run in place of its chapters.

    Returns
    -------
    The copy, and whether the run has every chapter; a chapter it lacks becomes a page that says so, and why.
    """
    target = book.root / "_build" / "stage" / record.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    ignored = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints")
    for folder_of_pages in {page.parent for page in book.pages}:
        place = target / folder_of_pages.relative_to(book.root)
        shutil.copytree(folder_of_pages, place, ignore=ignored, dirs_exist_ok=True)
    shutil.copy(book.root / "_toc.yml", target)
    absent = []
    for chapter in book.chapters:
        page = target / chapter.path.relative_to(book.root)
        if has_chapter(book, record, chapter):
            check_current(book, record, chapter)
            page.unlink()
            nbformat.write(_shown(chapter, folder), page.with_suffix(".ipynb"))
        else:
            absent.append(chapter.stem)
            page.write_text(_absent(chapter, record), encoding="utf-8")
    _redirect(target, [chapter.stem for chapter in book.chapters if chapter.stem not in absent], absent)
    _write_staged_configuration(book, record, target)
    return target, not absent


def _absent(chapter: ChapterText, record: Record) -> str:
    """The page in place of a chapter that the run did not execute."""
    command = f"labeltransfer run {record.name} --resume"
    page = f"# {chapter.title}\n\nThis run did not execute this chapter; `{command}` does.\n"
    if record.failure.startswith(f"{chapter.stem}:"):
        failure = record.failure.partition("\n")[0].replace("`", "'")
        page += f"\nIt failed here:\n\n````text\n{failure}\n````\n"
    return page


def _redirect(target: Path, executed: list[str], absent: list[str]) -> None:
    """Make links to executed chapters name the notebooks, and numbers of absent ones read n/a."""
    for page in [*target.rglob("*.md"), *target.rglob("*.ipynb")]:
        text = page.read_text(encoding="utf-8")
        for stem in executed:
            text = re.sub(rf"(\]\((?:\./)?{stem})\.md(?=[)#])", r"\1.ipynb", text)
        for stem in absent:
            text = re.sub(rf"\{{glue:text\}}`{stem}\.md::[^`]*`", "n/a", text)
        page.write_text(text, encoding="utf-8")


def _shown(chapter: ChapterText, folder: Path) -> NotebookNode:
    """The executed notebook with the chapter's own cells: the values that papermill put in are shown folded away."""
    executed = folder / f"{chapter.stem}.ipynb"
    notebook = with_outputs(notebook_of(chapter.path), executed)
    done = _executed(executed)
    for number, cell in enumerate(done.cells):
        if INJECTED in tags(cell):
            cell.metadata["tags"] = [INJECTED, "hide-input"]
            notebook.cells.insert(number, cell)
    return notebook


def _write_staged_configuration(book: Book, record: Record, target: Path) -> None:
    settings: dict[str, Any] = yaml.safe_load((book.root / "_config.yml").read_text(encoding="utf-8"))
    settings["title"] = f"{settings['title']} (run {record.name})"
    settings["exclude_patterns"] = []
    settings["execute"] = {**settings.get("execute", {}), "execute_notebooks": "off"}
    settings.pop("launch_buttons", None)
    html = {key: value for key, value in settings.get("html", {}).items() if not key.startswith("use_")}
    settings["html"] = {**html, "announcement": banner(book, record)}
    _write_yaml(target / "_config.yml", settings)


def configuration(book: Book, record: Record, place: Path) -> Path:
    """The configuration of the main book: its own, with a banner if the run is not of the default parameters."""
    own = book.root / "_config.yml"
    if not record.changed(book):
        return own
    settings: dict[str, Any] = yaml.safe_load(own.read_text(encoding="utf-8"))
    settings["html"] = {**settings.get("html", {}), "announcement": banner(book, record)}
    place.mkdir(parents=True, exist_ok=True)
    return _write_yaml(place / "_config.yml", settings)


def _write_yaml(path: Path, settings: dict[str, Any]) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        yaml.safe_dump(settings, stream, allow_unicode=True, sort_keys=False)
    return path


def banner(book: Book, record: Record) -> str:
    """One line that says which run a variant shows."""
    changed = [f"{key} = {value}" for key, value in record.changed(book).items()]
    kind = "simulated data" if record.simulated else "real spectra"
    state = "" if record.status == "finished" else f", {record.status} before its end"
    return escape(f"Run “{record.name}”{state}, {kind}: {'; '.join(changed) or 'all parameters at their defaults'}")
