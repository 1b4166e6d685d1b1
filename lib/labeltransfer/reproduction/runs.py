"""Runs: the chapters executed one after the other with one set of parameters, and the record of it.

A run lies in ``_runs/<name>/``: the executed notebooks, ``run.json`` (what, with what, how long), ``numbers.json``
(every number), ``claims.json`` (the ledger), and in ``data/`` what the chapters handed on.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
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
from .record import DEFAULT, Record, commit, list_runs, lock_hash, make_room, read_record, versions, writer_of

__all__ = ["Record", "check_name", "collect_numbers", "commit", "list_runs", "print_now", "read_record", "run"]


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
    given : parameters that differ from their defaults; None is, for a run that goes on, those it was begun with
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
        If a chapter stopped, or the disk is full; chapters before it are kept, and its notebook as far as it came.
    """
    chosen = book.select(chapters)
    before = _before(book, check_name(name), say)
    if given is None:
        given = before.given if before is not None and resume and name != DEFAULT else {}
    values = _values(book, name, given)
    folder = runs_folder(book.root) / name
    source = None if take_from is None else read_record(take_from, book.root)
    survey = Chapter(book, book.chapters[0], dict(values)).survey()
    names = ",".join(chapter.stem for chapter in chosen)
    with _only_run(name, folder), environment(LABELTRANSFER_SCIENCE=science_hash(), LABELTRANSFER_CHAPTERS=names):
        record = _begin(book, values, survey, before)
        record.given, record.only = {key: value for key, value in given.items() if key != "run"}, chapters or ""
        say(f"run {name}: {record.data}\n  into {folder}")
        _execute(book, chosen, values, record, folder, resume, source, say)
    say(f"  {'in all':24} {record.seconds:7.1f} s")
    return record


def _values(book: Book, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run, checked."""
    declared = list(dict.fromkeys(parameter for chapter in book.chapters for parameter in chapter.parameters))
    values = {**default_values(), **{k: v for one in book.chapters for k, v in one.parameters.items()}}
    values |= {**check_all(given, declared), "run": name}
    check_all({parameter: values[parameter] for parameter in declared})
    if values["survey_dir"] and values["source"] != "folder":
        raise ValueError("parameter survey_dir: given, but the source is simulated; add -p source folder")
    return values


def _before(book: Book, name: str, say: Callable[[str], None]) -> Record | None:
    """The record of an earlier run of this name, if there is one that can be read."""
    try:
        return read_record(name, book.root)
    except FileNotFoundError:
        return None
    except ValueError as error:
        say(f"{error}\n  so every chapter runs anew")
        return None


@contextmanager
def _only_run(name: str, folder: Path) -> Iterator[None]:
    """Hold the folder of a run while it is written; a RuntimeError if another process does."""
    with ExitStack() as held:
        try:
            held.enter_context(only_writer(folder))
        except RuntimeError:
            writer = writer_of(folder) or "unknown"
            told = f"run {name!r}: another run (process {writer}) is writing it; wait for it, or give another name"
            raise RuntimeError(told) from None
        except OSError as error:
            told = f"run {name!r}: nothing can be written into {folder} ({error}); {make_room(str(error))}run it again"
            raise RuntimeError(told) from error
        yield


def _begin(book: Book, values: dict[str, Any], survey: Survey, before: Record | None) -> Record:
    """A record of what is about to run; chapters of an earlier run of this name stay in it until they are replaced."""
    record = Record(values["run"], dict(values), "running", survey.simulated, survey.description, survey.data_hash)
    record.commit, record.lock, record.versions = commit(book.root), lock_hash(book.root), versions()
    if before is not None and _inputs(before) == _inputs(record):
        record.chapters = before.chapters
    return record


def _inputs(record: Record) -> tuple[dict[str, Any], str]:
    return {key: value for key, value in record.parameters.items() if key != "run"}, record.data_hash


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
    stem = "run.json"
    try:
        record.write(folder)
        for chapter in chosen:
            stem = chapter.stem
            _make(book, chapter, values, record, folder, resume, source, say)
        stem = "numbers.json"
        ran = [chapter for chapter in book.chapters if chapter.stem in record.chapters]
        collect_numbers(book, values, ran, folder)
        record.status = "finished"
        record.write(folder)
    except (ChapterFailed, OSError) as error:
        told = str(error) if isinstance(error, ChapterFailed) else f"{stem}: stopped: {error}"
        _leave(record, folder, "failed" if isinstance(error, ChapterFailed) else "stopped", told)
        raise ChapterFailed(f"run {record.name!r}: {told}\n{_advice(record, told)}") from error
    except KeyboardInterrupt:
        _leave(record, folder, "stopped", f"{stem}: interrupted")
        say(f"  {stem:24} interrupted\n{_advice(record)}")
        raise


def _leave(record: Record, folder: Path, status: str, failure: str) -> None:
    """Note how a run ended, if there is room for it; a run whose process is gone counts as stopped anyhow."""
    record.status, record.failure = status, failure
    with suppress(OSError):
        record.write(folder)


def _advice(record: Record, told: str = "") -> str:
    return f"{make_room(told)}to go on from there: {record.go_on}"


def _make(
    book: Book,
    chapter: ChapterText,
    values: Mapping[str, Any],
    record: Record,
    folder: Path,
    resume: bool,
    source: Record | None,
    say: Callable[[str], None],
) -> None:
    """Execute one chapter, or leave or take it where its inputs are the same."""
    data_hash = record.data_hash if values.get("source") == "folder" else ""
    key = book.page_key(chapter, values, data_hash)
    results = book.key(chapter, values, data_hash)
    if resume and _is_done(record, folder, chapter, key, results):
        say(f"  {chapter.stem:24} as before")
        return
    if source is not None and _is_done(source, folder.parent / source.name, chapter, key, results):
        _take(folder.parent / source.name, folder, chapter, results)
        record.chapters[chapter.stem] = {**source.chapters[chapter.stem], "taken_from": source.name}
        record.write(folder)
        say(f"  {chapter.stem:24} from {source.name}")
        return
    record.chapters.pop(chapter.stem, None)
    cost = execute_chapter(book, chapter, values, folder / f"{chapter.stem}.ipynb")
    record.chapters[chapter.stem] = {
        "seconds": round(cost.seconds, 2),
        "peak_memory": round(cost.peak_memory),
        "key": key,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record.write(folder)
    say(f"  {chapter.stem:24} {cost.seconds:7.1f} s {cost.peak_memory:7,.0f} MB")


def _is_done(record: Record, folder: Path, chapter: ChapterText, key: str, results: str) -> bool:
    """Whether a chapter ran with these inputs, and its notebook, numbers and results are still there."""
    if record.chapters.get(chapter.stem, {}).get("key") != key:
        return False
    wanted = [*chapter.writes, *([f"numbers_{chapter.stem}"] if "chapter.finish" in chapter.code else [])]
    if not all(any((folder / "data").glob(f"{name}-{results}.*")) for name in wanted):
        return False
    try:
        return "cells" in json.loads((folder / f"{chapter.stem}.ipynb").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _take(source: Path, folder: Path, chapter: ChapterText, key: str) -> None:
    """Give a run the notebook and the results of a chapter of another run."""
    results = [path for path in (source / "data").glob(f"*-{key}*") if path.is_file()]
    copies = [(path, folder / "data" / path.name) for path in results]
    kept = [*(["claims.json"] if "chapter.ledger" in chapter.code else []), f"{chapter.stem}.ipynb"]
    for path, copy in [*copies, *((source / name, folder / name) for name in kept)]:
        if path in results and copy.exists():
            continue
        with written_whole(copy) as temporary:
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
