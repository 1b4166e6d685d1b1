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
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode

from .access import make_accessible
from .book import Book, ChapterText, default_values, runs_folder
from .explorer_page import place_explorer_data
from .figure_data import offer_figure_data
from .runs import Record, read_record
from .sync import notebook_of, tags

DEFAULT = "default"
INJECTED = "injected-parameters"
VARIANTS = "variants"


def build(book: Book, name: str = DEFAULT) -> Path:
    """Render a run and return the page to open.

    Raises
    ------
    FileNotFoundError
        If there is no such run, or a chapter of it is missing.
    ValueError
        If a chapter's code is not what the run executed.
    RuntimeError
        If the pages could not be rendered without a warning; the message holds the warnings.
    OSError
        If the disk is full, for example. Pages rendered before stay as they were until the new ones are whole.
    """
    record = read_record(name, book.root)
    folder = runs_folder(book.root) / name
    if record.status == "failed":
        raise ValueError(f"run {name!r} failed, so it cannot be rendered:\n{record.failure}")
    absent = [chapter.stem for chapter in book.chapters if not (folder / f"{chapter.stem}.ipynb").exists()]
    if name == DEFAULT and absent:
        raise FileNotFoundError(
            f"run {name!r} has no {', '.join(absent)}; `labeltransfer run {name} --resume` makes them"
        )
    out = book.root / "_build" / f"rendering-{name}"
    finished = book.root / "_build" / ("html" if name == DEFAULT else f"{VARIANTS}/{name}/_build/html")
    try:
        _put_in_place(_render(book, record, folder, out), finished)
        link_variants(book.root)
    except OSError as error:
        told = f"{error.strerror or error}; pages that were there before are as they were, so make room and build again"
        raise OSError(error.errno, told, error.filename or str(out)) from error
    return finished / "index.html"


def _render(book: Book, record: Record, folder: Path, out: Path) -> Path:
    """Render into a folder of its own, and return the folder of the pages."""
    shutil.rmtree(out, ignore_errors=True)
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


def _put_in_place(pages: Path, finished: Path) -> None:
    """Whole pages take the place of those of before, in one move."""
    before = finished.with_name("html.before")
    shutil.rmtree(before, ignore_errors=True)
    finished.parent.mkdir(parents=True, exist_ok=True)
    if finished.exists():
        finished.rename(before)
    pages.rename(finished)
    shutil.rmtree(before, ignore_errors=True)


def link_variants(root: Path) -> list[str]:
    """Put the rendered variants beside the pages of the default run, and list them on its first page.

    Returns
    -------
    The names of the variants; none if the default run is not rendered.
    """
    main = root / "_build" / "html"
    first = main / "book" / "index.html"
    if not first.exists():
        return []
    shutil.rmtree(main / VARIANTS, ignore_errors=True)
    rendered = sorted((root / "_build" / VARIANTS).glob("*/_build/html/book/index.html"))
    names = [page.parents[3].name for page in rendered]
    for name, page in zip(names, rendered, strict=True):
        shutil.copytree(page.parents[1], main / VARIANTS / name)
    links = "".join(f'<li><a href="../{VARIANTS}/{name}/index.html">run {escape(name)}</a></li>' for name in names)
    text = re.sub(r'<nav class="variants".*?</nav>', "", first.read_text(encoding="utf-8"), flags=re.DOTALL)
    place = text.rfind('<footer class="provenance">')
    listed = (
        f'<nav class="variants" aria-label="Other runs"><h2>The same book from other runs</h2><ul>{links}</ul></nav>'
    )
    if names and place >= 0:
        text = text[:place] + listed + text[place:]
    first.write_text(text, encoding="utf-8")
    return names


def with_outputs(notebook: NotebookNode, executed: Path) -> NotebookNode:
    """The notebook with the outputs of its executed form.

    Raises
    ------
    ValueError
        If the code of the two is not the same.
    """
    done = nbformat.read(executed, as_version=4)
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


def stage(book: Book, record: Record, folder: Path) -> tuple[Path, bool]:
    """Copy the book with the executed notebooks of a run in place of its chapters.

    Returns
    -------
    The copy, and whether the run has every chapter; a chapter it lacks becomes a page that says so.
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
        if chapter.stem in record.chapters and (folder / f"{chapter.stem}.ipynb").exists():
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
    return f"# {chapter.title}\n\nThis run did not execute this chapter; `{command}` does.\n"


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
    done = nbformat.read(executed, as_version=4)
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
    settings["html"] = {**html, "announcement": banner(record)}
    with (target / "_config.yml").open("w", encoding="utf-8") as stream:
        yaml.safe_dump(settings, stream, allow_unicode=True, sort_keys=False)


def banner(record: Record) -> str:
    """One line that says which run a variant shows."""
    defaults = {**default_values(), "run": record.name}
    changed = [f"{key} = {value}" for key, value in record.parameters.items() if defaults.get(key) != value]
    kind = "simulated data" if record.simulated else "real spectra"
    return escape(f"Run “{record.name}”, {kind}: {'; '.join(changed) or 'all parameters at their defaults'}")


def _jupyter_book(source: Path, out: Path, strict: bool) -> None:
    """Call jupyter-book; nothing may be executed, and, if strict, no warning may remain."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(source), "--path-output", str(out), "--all"]
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
