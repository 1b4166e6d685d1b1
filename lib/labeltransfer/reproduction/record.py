"""The record of a run, ``run.json``: what was run, with what, how far it came, and what each chapter cost."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from ..evidence.claims import check_against
from ..evidence.numbers import Number, read_numbers, write_json
from ..files import FORMAT_VERSION
from ..files.locks import is_held
from .book import Book, ChapterText, runs_folder

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
    python: str = field(default_factory=platform.python_version)
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
    def key_data(self) -> str:
        """The part of the data's hash that keys of chapters hold: a simulated survey follows from the parameters."""
        return self.data_hash if self.parameters.get("source") == "folder" else ""

    @property
    def made_with(self) -> dict[str, Any]:
        """What a chapter that runs now is made with."""
        return {"commit": self.commit, "lock": self.lock, "python": self.python, "versions": self.versions}

    def changed(self, book: Book) -> dict[str, Any]:
        """Parameters that are not at their defaults."""
        defaults = {**book.defaults, "run": self.parameters.get("run")}
        return {key: value for key, value in self.parameters.items() if key not in defaults or defaults[key] != value}

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


def has_chapter(book: Book, record: Record, chapter: ChapterText) -> bool:
    """Whether a run has executed a chapter."""
    return chapter.stem in record.chapters and notebook_of_run(book, record, chapter).exists()


def check_current(book: Book, record: Record, chapter: ChapterText) -> None:
    """Raise a ValueError if an executed chapter is not what code, parameters and data of the run give today."""
    values = {**book.defaults, **record.parameters}
    if record.chapters[chapter.stem].get("outputs") != book.outputs_key(chapter, values, record.key_data):
        path = notebook_of_run(book, record, chapter)
        raise ValueError(
            f"{path}: the chapter's code has changed since it ran, or that of the library or of a chapter before it; "
            f"`labeltransfer run {record.name} --resume` runs again what is not up to date"
        )


def check_whole(book: Book, record: Record) -> None:
    """A run that stands for the book is finished, has every chapter, and all of them of one state.

    Raises
    ------
    FileNotFoundError, ValueError
        Saying what is not so, and what to do.
    """
    record.check_finished()
    absent = [chapter.stem for chapter in book.chapters if not has_chapter(book, record, chapter)]
    if absent:
        raise FileNotFoundError(
            f"run {record.name!r} has no {', '.join(absent)}; `labeltransfer run {record.name} --resume` makes them"
        )
    for chapter in book.chapters:
        check_current(book, record, chapter)


def numbers_of(book: Book, record: Record) -> dict[str, Number]:
    """The numbers of a run, by ``chapter:key``.

    Raises
    ------
    FileNotFoundError, ValueError
        If the run did not finish, or its numbers are lost, damaged or of another format.
    """
    record.check_finished()
    path = runs_folder(book.root) / record.name / "numbers.json"
    again = f"`labeltransfer run {record.name} --resume` writes it again"
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; {again}")
    return read_numbers(path, again)["numbers"]


def notebook_of_run(book: Book, record: Record, chapter: ChapterText) -> Path:
    """Where a run keeps a chapter as it executed it."""
    return runs_folder(book.root) / record.name / f"{chapter.stem}.ipynb"


def commit(root: Path) -> str:
    """Short hash of the source tree's commit, with a plus if files differ from it; empty outside git."""
    question = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(question, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def lock_hash(root: Path) -> str:
    """Short hash of ``requirements.lock``."""
    path = root / "requirements.lock"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else ""


def versions() -> dict[str, str]:
    """Versions of the packages that matter most; of one that is not installed, an empty word."""
    installed = {one.name: one.version for one in distributions()}
    return {package: installed.get(package, "") for package in VERSIONS_OF}


def list_runs(book: Book) -> list[str]:
    """One line a run: name, status, chapters, seconds, and the parameters that are not at their defaults."""
    base = runs_folder(book.root)
    lines = []
    for path in sorted(base.glob("*/run.json")):
        try:
            record = read_record(path.parent.name, book.root)
        except (OSError, ValueError) as error:
            lines.append(str(error))
            continue
        done = sum(has_chapter(book, record, chapter) for chapter in book.chapters)
        chapters = f"{done:3}/{len(book.chapters)} chapters"
        changed = " ".join(f"{key}={value}" for key, value in record.changed(book).items())
        lines.append(f"{record.name:20} {record.status:9} {chapters} {record.seconds:7.1f} s  {changed}".rstrip())
    return lines or [f"no runs in {base}; `labeltransfer run default` makes one"]
