"""Runs: the chapters executed one after the other with one set of parameters, and the record of it.

A run lies in ``_runs/<name>/``: the executed notebooks, ``run.json`` (what, with what, how long), ``numbers.json``
(every number), ``claims.json`` (the ledger), and in ``data/`` what the chapters handed on.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..archive import Survey
from ..files import FORMAT_VERSION, written_whole
from ..files.locks import only_writer
from . import quoted
from .book import Book, ChapterText, default_values, runs_folder, science_hash
from .chapter import Chapter
from .execute import ChapterFailed, environment, execute_chapter
from .parameters import check_all

VERSIONS_OF = ("labeltransfer", "numpy", "scipy", "astropy", "matplotlib", "numba", "papermill", "jupyter-book")


@dataclass
class Record:
    """What ``run.json`` holds; `chapters` maps a stem to seconds, peak memory [MB], key and time."""

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
        with written_whole(folder / "run.json") as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")

    @property
    def seconds(self) -> float:
        """Of all chapters."""
        return sum(chapter["seconds"] for chapter in self.chapters.values())


def read_record(name: str, root: Path | None = None) -> Record:
    """The record of a run.

    Raises
    ------
    FileNotFoundError
        If there is no such run; the runs there are get named.
    ValueError
        If its record is damaged or of another format.
    """
    base = runs_folder(root)
    path = base / name / "run.json"
    if not path.exists():
        there = ", ".join(sorted(one.parent.name for one in base.glob("*/run.json"))) or "none yet"
        raise FileNotFoundError(f"no run {name!r} in {base}; there are: {there}; `labeltransfer run {name}` makes it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format version {content.get('format_version')}, wanted {FORMAT_VERSION}")
        return Record(**content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not a readable record ({error}); run {name!r} again") from error


def print_now(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def check_name(name: str) -> str:
    """A run's name is a plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name.endswith(".json"):
        raise ValueError(f"run name {name!r}: wanted letters, digits, '.', '_' or '-', beginning with letter or digit")
    return name


def run(
    book: Book,
    name: str,
    given: Mapping[str, Any] | None = None,
    chapters: str | None = None,
    *,
    resume: bool = False,
    take_from: str | None = None,
    say: Callable[[str], None] = print_now,
) -> Record:
    """Execute chapters into ``_runs/<name>``.

    Parameters
    ----------
    given : parameters that differ from their defaults
    chapters : which ones, as `Book.select` reads it; default all
    resume : leave a finished chapter alone if text, code, parameters and data are what they were
    take_from : another run, of which chapters are taken whose text, code, parameters and data are the same
    say : takes each line of the report

    Raises
    ------
    ValueError, TypeError, OSError
        If a parameter, the chapters or the survey's folder cannot be: nothing has been touched then.
    RuntimeError
        If another process is writing the run of this name.
    ChapterFailed
        If a chapter stopped; chapters before it are kept, and its notebook as far as it came.
    """
    chosen = book.select(chapters)
    declared = list(dict.fromkeys(parameter for chapter in book.chapters for parameter in chapter.parameters))
    values = {**default_values(), **{k: v for one in book.chapters for k, v in one.parameters.items()}}
    values |= {**check_all(given or {}, declared), "run": check_name(name)}
    check_all({parameter: values[parameter] for parameter in declared})
    if values["survey_dir"] and values["source"] != "folder":
        raise ValueError("parameter survey_dir: given, but the source is simulated; add -p source folder")
    folder = runs_folder(book.root) / name
    source = None if take_from is None else read_record(take_from, book.root)
    survey = Chapter(book, book.chapters[0], dict(values)).survey()
    names = ",".join(chapter.stem for chapter in chosen)
    with only_writer(folder), environment(LABELTRANSFER_SCIENCE=science_hash(), LABELTRANSFER_CHAPTERS=names):
        record = _begin(book, name, values, survey, folder)
        say(f"run {name}: {record.data}\n  into {folder}")
        _execute(book, chosen, values, record, folder, resume, source, say)
        record.status = "finished"
        record.write(folder)
        collect_numbers(book, values, chosen, folder)
    say(f"  {'in all':24} {record.seconds:7.1f} s")
    return record


def _execute(
    book: Book,
    chosen: list[ChapterText],
    values: Mapping[str, Any],
    record: Record,
    folder: Path,
    resume: bool,
    source: Record | None,
    say: Callable[[str], None],
) -> None:
    data_hash = record.data_hash if values.get("source") == "folder" else ""
    for chapter in chosen:
        key = book.page_key(chapter, values, data_hash)
        if resume and _is_done(record, folder, chapter, key):
            say(f"  {chapter.stem:24} as before")
            continue
        if source is not None and _is_done(source, folder.parent / source.name, chapter, key):
            _take(folder.parent / source.name, folder, chapter, book.key(chapter, values, data_hash))
            record.chapters[chapter.stem] = {**source.chapters[chapter.stem], "taken_from": source.name}
            record.write(folder)
            say(f"  {chapter.stem:24} from {source.name}")
            continue
        record.chapters.pop(chapter.stem, None)
        try:
            cost = execute_chapter(book, chapter, values, folder / f"{chapter.stem}.ipynb")
        except ChapterFailed as failure:
            record.status, record.failure = "failed", str(failure)
            record.write(folder)
            raise ChapterFailed(
                f"{failure}\nto go on from there: labeltransfer run {record.name} --resume"
            ) from failure
        except KeyboardInterrupt:
            record.status = "stopped"
            record.write(folder)
            raise
        record.chapters[chapter.stem] = {
            "seconds": round(cost.seconds, 2),
            "peak_memory": round(cost.peak_memory),
            "key": key,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        record.write(folder)
        say(f"  {chapter.stem:24} {cost.seconds:7.1f} s {cost.peak_memory:7,.0f} MB")


def _begin(book: Book, name: str, values: Mapping[str, Any], survey: Survey, folder: Path) -> Record:
    """A record of what is about to run; chapters of an earlier run of this name stay in it until they are replaced."""
    record = Record(name, dict(values), simulated=survey.simulated, data=survey.description, data_hash=survey.data_hash)
    record.commit, record.lock = commit(book.root), lock_hash(book.root)
    record.versions = {package: _version(package) for package in VERSIONS_OF}
    try:
        before = read_record(name, book.root)
    except (FileNotFoundError, ValueError):
        before = record
    if (before.parameters, before.data_hash) == (record.parameters, record.data_hash):
        record.chapters = before.chapters
    record.write(folder)
    return record


def _is_done(record: Record, folder: Path, chapter: ChapterText, key: str) -> bool:
    before = record.chapters.get(chapter.stem, {})
    return before.get("key") == key and (folder / f"{chapter.stem}.ipynb").exists()


def _take(source: Path, folder: Path, chapter: ChapterText, key: str) -> None:
    """Give a run the notebook and the results of a chapter of another run."""
    results = [path for path in (source / "data").glob(f"*-{key}*") if path.is_file()]
    (folder / "data").mkdir(exist_ok=True)
    for path in results:
        if not (folder / "data" / path.name).exists():
            shutil.copyfile(path, folder / "data" / path.name)
    ledger = [source / "claims.json"] if "chapter.ledger" in chapter.code else []
    for path in [*ledger, source / f"{chapter.stem}.ipynb"]:
        with written_whole(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)


def collect_numbers(book: Book, values: Mapping[str, Any], chapters: list[ChapterText], folder: Path) -> None:
    """Put the numbers of all chapters into ``numbers.json``, as ``chapter:key``; times stand apart."""
    numbers: dict[str, Any] = {}
    timings: dict[str, Any] = {}
    for chapter in chapters:
        path = Chapter(book, chapter, dict(values))._numbers_file(chapter)
        if not path.exists():
            continue
        found, facts = quoted.read_numbers(path)
        numbers |= {f"{chapter.stem}:{key}": asdict(number) for key, number in found.items()}
        timings |= {f"{chapter.stem}:{key}": number for key, number in facts["timings"].items()}
    with written_whole(folder / "numbers.json") as temporary:
        content = {"format_version": FORMAT_VERSION, "numbers": numbers, "timings": timings}
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def commit(root: Path) -> str:
    """Short hash of the source tree's commit, with a plus if files differ from it; empty outside git."""
    words: list[str] = []
    for question in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            answer = subprocess.run(["git", *question], cwd=root, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return ""
        words.append(answer.stdout.strip())
    return words[0] + ("+" if words[1] else "")


def lock_hash(root: Path) -> str:
    """Short hash of ``requirements.lock``."""
    path = root / "requirements.lock"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def list_runs(book: Book) -> list[str]:
    """One line a run: name, status, seconds, and the parameters that are not at their defaults."""
    base = runs_folder(book.root)
    lines = []
    for path in sorted(base.glob("*/run.json")):
        try:
            record = read_record(path.parent.name, book.root)
        except ValueError as error:
            lines.append(str(error))
            continue
        defaults = {**default_values(), "run": record.name}
        changed = [f"{key}={value}" for key, value in record.parameters.items() if defaults.get(key) != value]
        lines.append(f"{record.name:20} {record.status:9} {record.seconds:7.1f} s  {' '.join(changed)}".rstrip())
    return lines or [f"no runs in {base}; `labeltransfer run default` makes one"]
