"""Runs as they are kept: of each its record ``run.json`` (what, with what, how far, at what cost), and its chapters."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from operator import attrgetter
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from ..evidence.claims import check_against
from ..evidence.numbers import Number, read_numbers, write_json
from ..files import FORMAT_VERSION
from ..files.locks import is_held
from .book import Book, ChapterText, runs_folder
from .sync import read_notebook

DEFAULT = "default"
"""Name of the run that the book shows."""
VERSIONS_OF = ("labeltransfer", "numpy", "scipy", "astropy", "matplotlib", "numba", "papermill", "jupyter-book")


@dataclass
class Record:
    """What ``run.json`` holds.

    Attributes
    ----------
    status : running, finished, failed or stopped; finished says that the chapters asked for are done
    chapters : stem to seconds, peak memory [MB], keys, time, and the versions and commit that it ran with
    """

    name: str
    parameters: dict[str, Any]
    status: str = "running"
    simulated: bool = True
    data: str = ""
    data_hash: str = ""
    commit: str = ""
    lock: str = ""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    chapters: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: str = ""
    format_version: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Write ``run.json`` into the run's folder."""
        write_json(folder / "run.json", **asdict(self))

    @property
    def seconds(self) -> float:
        """Of all chapters."""
        return sum(chapter["seconds"] for chapter in self.chapters.values())

    @property
    def made_with(self) -> dict[str, Any]:
        """What a chapter that runs now is made with."""
        return {"commit": self.commit, "lock": self.lock, "python": self.python, "versions": self.versions}

    def check_finished(self) -> None:
        """Raise a ValueError that says what to do, if the run has not finished."""
        if self.status == "running":
            raise ValueError(f"run {self.name!r}: it is running; wait until it is finished")
        if self.status != "finished":
            state = f"it failed: {self.failure}" if self.status == "failed" else "it was stopped"
            raise ValueError(f"run {self.name!r}: {state}\n`labeltransfer run {self.name} --resume` goes on")


def read_record(name: str, root: Path | None = None) -> Record:
    """The record of a run; one that says it is running, while no process writes it, was stopped.

    Raises
    ------
    FileNotFoundError
        If there is no such run; the runs there are get named.
    ValueError
        If the name is none, or the record is damaged or of another format.
    """
    base = runs_folder(root)
    path = base / check_name(name) / "run.json"
    if not path.exists():
        there = ", ".join(sorted(one.parent.name for one in base.glob("*/run.json"))) or "none yet"
        raise FileNotFoundError(f"no run {name!r} in {base}; there are: {there}; `labeltransfer run {name}` makes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and (version := content.get("format_version")) != FORMAT_VERSION:
            raise ValueError(f"format version {version}, wanted {FORMAT_VERSION}")
        check_against("record", content, "record")
    except ValueError as error:
        raise ValueError(
            f"{path}: not a readable record ({error}); `labeltransfer run {name} --replace` makes the run anew"
        ) from error
    record = Record(**content)
    record.name = record.parameters["run"] = name  # the folder may have been renamed
    if record.status == "running" and not is_held(path.parent):
        record.status = "stopped"
    return record


def check_name(name: str) -> str:
    """A run's name is a plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name.endswith(".json"):
        raise ValueError(f"run name {name!r}: wanted letters, digits, '.', '_' or '-', beginning with letter or digit")
    return name


@dataclass(frozen=True)
class Run:
    """A run of a book as it lies in its folder."""

    book: Book
    record: Record

    @classmethod
    def of(cls, book: Book, name: str) -> Run:
        """The run of this name; errors as of `read_record`."""
        return cls(book, read_record(name, book.root))

    @property
    def name(self) -> str:
        """By which it is called."""
        return self.record.name

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return runs_folder(self.book.root) / self.name

    @property
    def changed(self) -> dict[str, Any]:
        """Parameters that are not at their defaults."""
        given, defaults = self.record.parameters, {**self.book.defaults, "run": self.record.parameters.get("run")}
        return {key: value for key, value in given.items() if key not in defaults or defaults[key] != value}

    @property
    def inputs(self) -> tuple[dict[str, Any], str]:
        """What the keys of its chapters hold: every parameter, and the hash of its survey if that is a folder.

        A simulated survey follows from the parameters.
        """
        values = {**self.book.defaults, **self.record.parameters}
        return values, self.record.data_hash if values["source"] == "folder" else ""

    def notebook(self, chapter: ChapterText) -> Path:
        """Where it keeps a chapter as it executed it."""
        return self.folder / f"{chapter.stem}.ipynb"

    def cells(self, chapter: ChapterText) -> list[NotebookNode]:
        """Of a chapter as it executed it; a damaged notebook is a ValueError."""
        return read_notebook(self.notebook(chapter), f"`labeltransfer run {self.name}` makes it again").cells

    def has(self, chapter: ChapterText) -> bool:
        """Whether it has executed a chapter."""
        return chapter.stem in self.record.chapters and self.notebook(chapter).exists()

    def is_done(self, chapter: ChapterText, page_key: str) -> bool:
        """Whether it has executed a chapter with all that this key stands for."""
        return self.has(chapter) and self.record.chapters[chapter.stem]["key"] == page_key

    def check_current(self, chapter: ChapterText) -> None:
        """Raise a ValueError if an executed chapter is not what code, parameters and data of the run give today."""
        if self.record.chapters[chapter.stem].get("outputs") != self.book.outputs_key(chapter, *self.inputs):
            raise ValueError(
                f"{self.notebook(chapter)}: the chapter's code has changed since it ran, or that of the library or of "
                f"a chapter before it; `labeltransfer run {self.name} --resume` runs again what is not up to date"
            )

    def check_whole(self) -> None:
        """A run that stands for the book is finished, has every chapter, and all of them of one state.

        Raises
        ------
        FileNotFoundError, ValueError
            Saying what is not so, and what to do.
        """
        self.record.check_finished()
        absent = [chapter.stem for chapter in self.book.chapters if not self.has(chapter)]
        if absent:
            raise FileNotFoundError(
                f"run {self.name!r} has no {', '.join(absent)}; `labeltransfer run {self.name} --resume` makes them"
            )
        for chapter in self.book.chapters:
            self.check_current(chapter)

    def numbers(self) -> dict[str, Number]:
        """Its numbers, by ``chapter:key``.

        Raises
        ------
        FileNotFoundError, ValueError
            If it did not finish, or its numbers are lost, damaged or of another format.
        """
        self.record.check_finished()
        path, again = self.folder / "numbers.json", f"`labeltransfer run {self.name} --resume` writes it again"
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file; {again}")
        return read_numbers(path, again)["numbers"]

    def __str__(self) -> str:
        chapters = f"{sum(map(self.has, self.book.chapters)):3}/{len(self.book.chapters)} chapters"
        changed = " ".join(f"{key}={value}" for key, value in self.changed.items())
        seconds = f"{self.record.seconds:7.1f} s"
        return f"{self.name:20} {self.record.status:9} {chapters} {seconds}  {changed}".rstrip()


def list_runs(book: Book) -> list[str]:
    """One line a run: name, status, chapters, seconds, and the parameters that are not at their defaults."""
    base, lines = runs_folder(book.root), []
    for path in sorted(base.glob("*/run.json")):
        try:
            lines.append(str(Run.of(book, path.parent.name)))
        except (OSError, ValueError) as error:
            lines.append(str(error))
    return lines or [f"no runs in {base}; `labeltransfer run default` makes one"]


def commit(root: Path) -> str:
    """Short hash of the source tree's commit, with a plus if files differ from it; empty outside git."""
    question = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(question, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def made_with(root: Path) -> dict[str, Any]:
    """What a chapter that runs now is made with: commit, hash of ``requirements.lock``, versions."""
    lock = root / "requirements.lock"
    installed = {one["Name"]: one["Version"] for one in map(attrgetter("metadata"), distributions())}
    return {
        "commit": commit(root),
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.exists() else "",
        "python": platform.python_version(),
        "versions": {package: installed.get(package, "") for package in VERSIONS_OF},
    }
