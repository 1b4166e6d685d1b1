"""Runs: the chapters executed with one set of parameters, and the record of it.

A run lies in ``_runs/<name>/``: the executed notebooks, ``run.json`` (what, with what, how long), ``numbers.json``
(every number), ``claims.json`` (the ledger), and in ``data/`` what the chapters handed on.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..archive import Survey
from ..evidence.numbers import Number, read_numbers, write_json
from ..files import written_whole
from ..files.locks import only_writer
from .book import Book, ChapterText, runs_folder, science_hash
from .chapter import Chapter
from .execute import (
    ChapterFailed,
    Cost,
    NumbersDiffer,
    end_with_parent,
    environment,
    execute_chapter,
    of_kernels,
    room,
    side_by_side,
)
from .parameters import check_all
from .record import Record, check_name, commit, lock_hash, read_record, versions
from .sync import has_accepted_numbers


def print_now(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def run(
    book: Book,
    name: str,
    given: Mapping[str, Any] | None = None,
    chapters: str | None = None,
    *,
    resume: bool = False,
    replace: bool = False,
    take_from: str | None = None,
    check: bool = False,
    workers: int | None = None,
    say: Callable[[str], None] = print_now,
) -> Record:
    """Execute chapters into ``_runs/<name>``.

    Parameters
    ----------
    given : parameters that differ from their defaults
    chapters : which ones, as `Book.select` reads it; default all
    resume : go on with the parameters that the run has, and leave a finished chapter alone if text, code, parameters
        and data are what they were
    replace : a run of this name with other parameters, or a damaged one, may be lost
    take_from : another run, of which chapters are taken whose text, code, parameters and data are the same
    check : let nbval execute the chapters and compare the numbers of their checked cells with the accepted ones
    workers : how many chapters at a time, where none needs the other; by default as many as cores and memory allow
    say : takes each line of the report

    Raises
    ------
    ValueError, TypeError, OSError
        If a parameter, the chapters or the survey's folder cannot be, or there is a run of this name with other
        parameters: nothing has been touched then.
    RuntimeError
        If another process is writing the run of this name.
    ChapterFailed
        If a chapter stopped; those that are done are kept, those that run beside it come to their end first, and of
        its notebook there is as much as it did.
    NumbersDiffer
        At the end, if numbers are not the accepted ones.
    """
    chosen = book.select(chapters)
    before = _before(book, check_name(name), replace)
    if resume and before is None and not replace and name != "default":
        read_record(name, book.root)  # a name that is none of a run: say which there are
    end_with_parent()
    began = time.perf_counter()
    values = _values(book, name, given or {}, before, resume=resume, replace=replace)
    if check and values != book.defaults:
        raise ValueError(
            "--check: accepted are the numbers of the run `default` without parameters; leave name and -p out"
        )
    folder = runs_folder(book.root) / name
    source = None if take_from is None else read_record(take_from, book.root)
    survey = Chapter(book, book.chapters[0], dict(values)).survey()
    own = {"LABELTRANSFER_SCIENCE": science_hash(), "LABELTRANSFER_CHAPTERS": ",".join(one.stem for one in chosen)}
    with only_writer(folder), environment(**own, **of_kernels(book)):
        record = _new_record(book, name, values, survey)
        with _end_noted(record, folder):
            _begin(record, before, folder)
            say(f"run {name}: {record.data}\n  into {folder}")
            made = _Run(book, record, folder, check, say)
            made.execute(made.not_done(chosen, resume, source), workers or room())
            _collect(book, record, folder)
            record.status = "finished"
            record.write(folder)
    say(f"  {'in all':24} {time.perf_counter() - began:7.1f} s")
    return record


def _before(book: Book, name: str, replace: bool) -> Record | None:
    """The run of this name that there is; a damaged one is none if it may be replaced."""
    try:
        return read_record(name, book.root)
    except FileNotFoundError:
        return None
    except ValueError:
        if not replace:
            raise
        return None


def _values(
    book: Book, name: str, given: Mapping[str, Any], before: Record | None, *, resume: bool, replace: bool
) -> dict[str, Any]:
    """Every parameter of a run: given, else as recorded if the run is resumed, else the default."""
    if "run" in given:
        raise ValueError(f"parameter run: found {given['run']!r}, but the name of the run is given by itself: {name!r}")
    recorded = {} if before is None else {key: v for key, v in before.parameters.items() if key in book.defaults}
    kept = recorded if resume and not replace else {}
    values = {**book.defaults, **kept, **check_all(given, book.declared), "run": name}
    check_all({parameter: values[parameter] for parameter in book.declared})
    if values["survey_dir"] and values["source"] != "folder":
        raise ValueError("parameter survey_dir: given, but the source is simulated; add -p source folder")
    others = [key for key, value in recorded.items() if value != values[key]]
    if others and not replace:
        raise ValueError(
            f"run {name!r} is there with {', '.join(f'{key} = {recorded[key]}' for key in others)}, and asked for is "
            f"{', '.join(f'{key} = {values[key]}' for key in others)}: `labeltransfer run {name} --resume` without -p "
            "goes on with what it has; give another name, or --replace to lose that run"
        )
    return values


@contextmanager
def _end_noted(record: Record, folder: Path) -> Iterator[None]:
    """Write into the record how a run ended that does not finish, and say how it goes on."""
    go_on = f"labeltransfer run {record.name} --resume"
    try:
        yield
    except ChapterFailed as failure:
        _note(record, folder, "failed", str(failure))
        raise type(failure)(f"{failure}\nto go on from there: {go_on}") from failure
    except OSError as error:
        _note(record, folder, "stopped")
        told = f"{error.strerror or error}; finished chapters are kept, and when that is mended `{go_on}` goes on"
        raise OSError(error.errno or errno.EIO, told, error.filename or str(folder)) from error
    except BaseException:
        _note(record, folder, "stopped")
        raise


def _note(record: Record, folder: Path, status: str, failure: str = "") -> None:
    record.status, record.failure = status, failure
    with suppress(OSError):  # on a full disk; a record that says "running" is then read as stopped
        record.write(folder)


@dataclass(frozen=True)
class _Run:
    """A run while it is made: `check` and `say` as given to `run`."""

    book: Book
    record: Record
    folder: Path
    check: bool
    say: Callable[[str], None]

    def page_key(self, chapter: ChapterText) -> str:
        """Of a chapter with the parameters and data of the run."""
        return self.book.page_key(chapter, self.record.parameters, self.record.key_data)

    def not_done(self, chosen: list[ChapterText], resume: bool, source: Record | None) -> list[ChapterText]:
        """Those of the chosen chapters that neither are as they shall be nor can be taken from the other run."""
        todo = []
        for chapter in chosen:
            key = self.page_key(chapter)
            accepted = not self.check or has_accepted_numbers(chapter, self.folder / f"{chapter.stem}.ipynb")
            if resume and accepted and _is_done(self.record, self.folder, chapter, key):
                self.say(f"  {chapter.stem:24} as before")
            elif source and not self.check and _is_done(source, self.folder.parent / source.name, chapter, key):
                self.take(source, chapter)
            else:
                todo.append(chapter)
        return todo

    def take(self, source: Record, chapter: ChapterText) -> None:
        """Take the notebook and the results of a chapter of another run."""
        there = self.folder.parent / source.name
        key = self.book.key(chapter, self.record.parameters, self.record.key_data)
        (self.folder / "data").mkdir(exist_ok=True)
        for path in (there / "data").glob(f"*-{key}*"):
            if path.is_file() and not (self.folder / "data" / path.name).exists():
                _copy(path, self.folder / "data" / path.name)
        _copy(there / f"{chapter.stem}.ipynb", self.folder / f"{chapter.stem}.ipynb")
        self.record.chapters[chapter.stem] = {**source.chapters[chapter.stem], "taken_from": source.name}
        self.record.write(self.folder)
        self.say(f"  {chapter.stem:24} from {source.name}")

    def execute(self, todo: list[ChapterText], at_once: int) -> None:
        """Execute chapters; one whose numbers differ stops no other."""
        failures: list[ChapterFailed] = []
        for chapter, ended in side_by_side(self.book, todo, self._begin, at_once):
            try:
                self._note(chapter, ended.result())
            except ChapterFailed as error:
                failures.append(error)
                self.say(f"  {chapter.stem:24} {'numbers differ' if isinstance(error, NumbersDiffer) else 'failed'}")
        stopped = [error for error in failures if not isinstance(error, NumbersDiffer)]
        if stopped:
            raise stopped[0]
        if failures:
            raise NumbersDiffer("\n".join(map(str, failures)))

    def _begin(self, chapter: ChapterText) -> Callable[[], Cost]:
        self.record.chapters.pop(chapter.stem, None)
        out = self.folder / f"{chapter.stem}.ipynb"
        return partial(execute_chapter, self.book, chapter, self.record.parameters, out, check=self.check)

    def _note(self, chapter: ChapterText, cost: Cost) -> None:
        self.record.chapters[chapter.stem] = {
            "seconds": round(cost.seconds, 2),
            "peak_memory": round(cost.peak_memory),
            "key": self.page_key(chapter),
            "outputs": self.book.outputs_key(chapter, self.record.parameters, self.record.key_data),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.record.made_with,
        }
        self.record.write(self.folder)
        self.say(f"  {chapter.stem:24} {cost.seconds:7.1f} s {cost.peak_memory:7,.0f} MB")


def _new_record(book: Book, name: str, values: Mapping[str, Any], survey: Survey) -> Record:
    record = Record(name, dict(values), simulated=survey.simulated, data=survey.description, data_hash=survey.data_hash)
    record.commit, record.lock, record.versions = commit(book.root), lock_hash(book.root), versions()
    return record


def _begin(record: Record, before: Record | None, folder: Path) -> None:
    """Write what is about to run; chapters of the same parameters and data stay until they are replaced."""
    if before is not None and (before.parameters, before.data_hash) == (record.parameters, record.data_hash):
        record.chapters = before.chapters
        record.write(folder)
        return
    record.write(folder)
    for name in ("numbers.json", "claims.json"):
        (folder / name).unlink(missing_ok=True)


def _is_done(record: Record, folder: Path, chapter: ChapterText, key: str) -> bool:
    before = record.chapters.get(chapter.stem, {})
    return before.get("key") == key and (folder / f"{chapter.stem}.ipynb").exists()


def _copy(path: Path, target: Path) -> None:
    with written_whole(target) as temporary:
        shutil.copyfile(path, temporary)


def _collect(book: Book, record: Record, folder: Path) -> None:
    """Gather what the chapters left among results of any parameters: their numbers, times apart, and the ledger."""
    parts: dict[str, dict[str, Number]] = {"numbers": {}, "timings": {}}
    for text in (one for one in book.chapters if one.stem in record.chapters):
        chapter = Chapter(book, text, dict(record.parameters))
        if chapter.numbers_file(text).exists():
            found = read_numbers(chapter.numbers_file(text))
            for part, gathered in parts.items():
                gathered |= {f"{text.stem}:{key}": number for key, number in found[part].items()}
        if text.judges and chapter.ledger_file.exists():
            _copy(chapter.ledger_file, folder / "claims.json")
    write_json(folder / "numbers.json", **parts)
