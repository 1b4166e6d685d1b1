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

from ..evidence.numbers import Number, read_numbers, write_json
from ..files import written_whole
from ..files.locks import only_writer
from .book import Book, ChapterText, science_hash
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
from .record import Record, Run, check_name, made_with, read_record
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
    check_name(name)
    before = None
    with suppress(FileNotFoundError, *([ValueError] if replace else [])):  # a damaged run may be replaced
        before = read_record(name, book.root)
    if resume and before is None and not replace and name != "default":
        read_record(name, book.root)  # a name that is none of a run: say which there are
    end_with_parent()
    began = time.perf_counter()
    values = _values(book, name, given or {}, before, resume=resume, replace=replace)
    if check and values != book.defaults:
        raise ValueError(
            "--check: accepted are the numbers of the run `default` without parameters; leave name and -p out"
        )
    source = None if take_from is None else Run.of(book, take_from)
    survey = Chapter(book, book.chapters[0], values).survey()
    facts: dict[str, Any] = {"simulated": survey.simulated, "data": survey.description, "data_hash": survey.data_hash}
    made = _Making(book, Record(name, values, **facts, **made_with(book.root)), check, say)
    own = {"LABELTRANSFER_SCIENCE": science_hash(), "LABELTRANSFER_CHAPTERS": ",".join(one.stem for one in chosen)}
    with only_writer(made.folder), environment(**own, **of_kernels(book)), made.end_noted():
        made.begin(before)
        made.execute(made.not_done(chosen, resume, source), workers or room())
        made.collect()
        made.note("finished")
    say(f"  {'in all':24} {time.perf_counter() - began:7.1f} s")
    return made.record


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


@dataclass(frozen=True)
class _Making(Run):
    """A run while it is made: `check` and `say` as given to `run`."""

    check: bool
    say: Callable[[str], None]

    def write(self) -> None:
        """Write the record as it is now."""
        self.record.write(self.folder)

    def note(self, status: str, failure: str = "") -> None:
        """Write how far the run has come."""
        self.record.status, self.record.failure = status, failure
        self.write()

    @contextmanager
    def end_noted(self) -> Iterator[None]:
        """Write into the record how a run ended that does not finish, and say how it goes on."""
        go_on = f"labeltransfer run {self.name} --resume"
        try:
            yield
        except BaseException as error:
            with suppress(OSError):  # on a full disk; a record that says "running" is then read as stopped
                self.note(*("failed", str(error)) if isinstance(error, ChapterFailed) else ("stopped",))
            if isinstance(error, ChapterFailed):
                raise type(error)(f"{error}\nto go on from there: {go_on}") from error
            if isinstance(error, OSError):
                told = (
                    f"{error.strerror or error}; finished chapters are kept, and when that is mended `{go_on}` goes on"
                )
                raise OSError(error.errno or errno.EIO, told, error.filename or str(self.folder)) from error
            raise

    def begin(self, before: Record | None) -> None:
        """Write what is about to run; chapters of the same parameters and data stay until they are replaced."""
        asked = self.record.parameters, self.record.data_hash
        if before is not None and asked == (before.parameters, before.data_hash):
            self.record.chapters = before.chapters
        self.write()
        for name in () if self.record.chapters else ("numbers.json", "claims.json"):
            (self.folder / name).unlink(missing_ok=True)
        self.say(f"run {self.name}: {self.record.data}\n  into {self.folder}")

    def not_done(self, chosen: list[ChapterText], resume: bool, source: Run | None) -> list[ChapterText]:
        """Those of the chosen chapters that neither are as they shall be nor can be taken from the other run."""
        todo = []
        for chapter in chosen:
            key = self.book.page_key(chapter, *self.inputs)
            accepted = not self.check or has_accepted_numbers(chapter, self.notebook(chapter))
            if resume and accepted and self.is_done(chapter, key):
                self.say(f"  {chapter.stem:24} as before")
            elif source and not self.check and source.is_done(chapter, key):
                self.take(source, chapter)
            else:
                todo.append(chapter)
        return todo

    def take(self, source: Run, chapter: ChapterText) -> None:
        """Take the notebook and the results of a chapter of another run."""
        results = (source.folder / "data").glob(f"*-{self.book.key(chapter, *self.inputs)}*")
        for path in filter(Path.is_file, results):
            if not (self.folder / "data" / path.name).exists():
                _copy(path, self.folder / "data" / path.name)
        _copy(source.notebook(chapter), self.notebook(chapter))
        self.record.chapters[chapter.stem] = {**source.record.chapters[chapter.stem], "taken_from": source.name}
        self.write()
        self.say(f"  {chapter.stem:24} from {source.name}")

    def execute(self, todo: list[ChapterText], at_once: int) -> None:
        """Execute chapters; one whose numbers differ stops no other."""
        failures: list[ChapterFailed] = []
        for chapter, ended in side_by_side(self.book, todo, self.executing, at_once):
            try:
                self.executed(chapter, ended.result())
            except ChapterFailed as error:
                failures.append(error)
                self.say(f"  {chapter.stem:24} {'numbers differ' if isinstance(error, NumbersDiffer) else 'failed'}")
        for failure in failures:
            if not isinstance(failure, NumbersDiffer):
                raise failure
        if failures:
            raise NumbersDiffer("\n".join(map(str, failures)))

    def executing(self, chapter: ChapterText) -> Callable[[], Cost]:
        """What executes a chapter."""
        self.record.chapters.pop(chapter.stem, None)
        out = self.notebook(chapter)
        return partial(execute_chapter, self.book, chapter, self.record.parameters, out, check=self.check)

    def executed(self, chapter: ChapterText, cost: Cost) -> None:
        """Note that a chapter is done."""
        self.record.chapters[chapter.stem] = {
            "seconds": round(cost.seconds, 2),
            "peak_memory": round(cost.peak_memory),
            "key": self.book.page_key(chapter, *self.inputs),
            "outputs": self.book.outputs_key(chapter, *self.inputs),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.record.made_with,
        }
        self.write()
        self.say(f"  {chapter.stem:24} {cost.seconds:7.1f} s {cost.peak_memory:7,.0f} MB")

    def collect(self) -> None:
        """Gather what the chapters left among results of any parameters: their numbers, times apart, and the ledger."""
        parts: dict[str, dict[str, Number]] = {"numbers": {}, "timings": {}}
        for text in (one for one in self.book.chapters if one.stem in self.record.chapters):
            chapter = Chapter(self.book, text, dict(self.record.parameters))
            if chapter.numbers_file(text).exists():
                found = read_numbers(chapter.numbers_file(text))
                for part, gathered in parts.items():
                    gathered |= {f"{text.stem}:{key}": number for key, number in found[part].items()}
            if text.judges and chapter.ledger_file.exists():
                _copy(chapter.ledger_file, self.folder / "claims.json")
        write_json(self.folder / "numbers.json", **parts)


def _copy(path: Path, target: Path) -> None:
    """Copy a file, whole or not at all; an error names the target."""
    with written_whole(target) as temporary:
        shutil.copyfile(path, temporary)
