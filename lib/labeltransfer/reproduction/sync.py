"""Chapters as text and their twins as notebooks, one way only: text to twin.

The twin ``NN_name.ipynb`` is written by this module alone. It holds the outputs of the cells tagged
`nbval-check-output`, with an execution count, and no others: those are the numbers that nbval compares.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from ..files import written_whole
from .book import Book, ChapterText

CHECKED = "nbval-check-output"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook_of(path: Path) -> NotebookNode:
    """A text notebook as notebook without outputs; ids of cells and metadata depend on the text alone."""
    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{number:02d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def tags(cell: NotebookNode) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def checked_outputs(path: Path) -> dict[str, list[NotebookNode]]:
    """Source of every checked cell of a notebook to its outputs; empty if there is no such notebook."""
    if not path.exists():
        return {}
    cells = read_notebook(path, "remove it and accept a run").cells
    return {cell.source: comparable(cell.outputs) for cell in cells if CHECKED in tags(cell) and cell.outputs}


def has_accepted_numbers(chapter: ChapterText, executed: Path) -> bool:
    """Whether the checked cells of an executed chapter gave what its twin holds."""
    return checked_outputs(executed) == checked_outputs(chapter.path.with_suffix(".ipynb"))


def read_notebook(path: Path, advice: str) -> NotebookNode:
    """Read a notebook; a damaged one is a ValueError that names the file and what to do."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"{path}: not a notebook ({reason}); {advice}") from error
    return notebook


def comparable(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs as a twin keeps them: the printed text in one piece; what is quoted in prose (glue) as it is."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1]["text"] += output.text
        else:
            kept.append(nbformat.from_dict({key: value for key, value in output.items() if key != "transient"}))
    return kept


def printed(outputs: list[NotebookNode]) -> str:
    """The printed text among outputs."""
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def twin(path: Path, outputs: dict[str, list[NotebookNode]]) -> str:
    """Text of the twin of a chapter, with the outputs of its checked cells."""
    notebook = notebook_of(path)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and CHECKED in tags(cell):
            count += 1
            if cell.source in outputs:
                cell.outputs, cell.execution_count = outputs[cell.source], count
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


@dataclass
class Synced:
    """What `sync` did or found: twins written, complaints, and differences of checked numbers."""

    written: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


def sync(book: Book, accept: Path | None = None, check: bool = False) -> Synced:
    """Write every twin from its text.

    Parameters
    ----------
    accept : folder of a run whose numbers become those to be checked; otherwise the twins keep theirs
    check : write nothing, only complain
    """
    result = Synced()
    for chapter in book.chapters:
        path = chapter.path.with_suffix(".ipynb")
        kept = checked_outputs(path)
        if accept is not None:
            kept |= _accepted(chapter, accept / path.name, kept, result)
        for number, cell in enumerate(chapter.cells):
            if CHECKED in cell.tags and cell.source not in kept:
                result.complaints.append(
                    f"{path.name}: checked cell {number} has no numbers yet; "
                    "`labeltransfer run default`, then `labeltransfer sync --accept default`"
                )
        wanted, current = twin(chapter.path, kept), path.read_text(encoding="utf-8") if path.exists() else ""
        if current != wanted and check:
            reason = "does not exist" if not current else "is not what its text gives"
            result.complaints.append(f"{path.name}: {reason}; `labeltransfer sync` writes it")
        elif current != wanted:
            with written_whole(path) as temporary:
                temporary.write_text(wanted, encoding="utf-8")
            result.written.append(path)
    return result


def _accepted(chapter: ChapterText, executed: Path, before: dict[str, Any], result: Synced) -> dict[str, Any]:
    """Outputs of the checked cells of an executed chapter; the result gets how they differ from those of before."""
    if not executed.exists():
        result.complaints.append(f"{executed}: not there, so the numbers of {chapter.stem} stay as they were")
        return {}
    new, stem = checked_outputs(executed), chapter.stem
    old_lines, lines = ("\n".join(map(printed, outputs.values())).splitlines() for outputs in (before, new))
    names = f"{stem} accepted before", f"{stem} of this run"
    result.differences += difflib.unified_diff(old_lines, lines, *names, lineterm="", n=0)
    return new
