"""Chapters side by side: what one needs is done before it begins, and nothing is left running."""

import os
import subprocess
import sys
import threading

import psutil
import pytest

from labeltransfer.command import main
from labeltransfer.reproduction.book import Book
from labeltransfer.reproduction.execute import (
    ChapterFailed,
    Cost,
    NumbersDiffer,
    awaited,
    processes_of,
    room,
    side_by_side,
)
from labeltransfer.reproduction.runs import run
from miniature_book import HEAD

CHAPTERS = {
    "01_first": 'chapter.save("values", {})',
    "02_second": 'chapter.load("values")\nchapter.save("model", {})',
    "03_third": 'chapter.load("model")',
    "04_alone": "1 + 1",
    "05_asks": 'chapter.numbers_of("04_alone")',
    "06_ledger": "chapter.ledger()",
    "07_late": 'chapter.numbers_of("05_asks")',
}


MEETING = """\
import time
from pathlib import Path
Path("{here}").touch()
for _ in range(2400):
    if Path("{there}").exists():
        break
    time.sleep(0.05)
else:
    raise TimeoutError("{there} has not begun")
"""
"""A chapter that ends when another one has begun."""


def write_book(folder, chapters):
    (folder / "book").mkdir()
    listed = "".join(f"  - file: book/{stem}\n" for stem in chapters)
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{listed}")
    (folder / "book" / "index.md").write_text("# A book without numbers\n")
    for stem, code in chapters.items():
        text = f"{HEAD}\n# {stem}\n\n```{{code-cell}} ipython3\n{code}\n```\n"
        (folder / "book" / f"{stem}.md").write_text(text)
    return Book(folder)


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path, CHAPTERS)


def stems(chapters):
    return [chapter.stem for chapter in chapters]


def test_a_chapter_waits_for_those_it_takes_something_from(book):
    waits = {stem[:2]: {one[:2] for one in them} for stem, them in awaited(book, book.chapters).items()}
    assert waits == {
        "01": set(), "02": {"01"}, "03": {"01", "02"}, "04": set(), "05": {"04"},
        "06": {"01", "02", "03", "04", "05", "07"}, "07": {"04", "05"},
    }  # fmt: skip


def test_two_that_would_both_run_a_third_first_do_not_run_at_the_same_time(book):
    assert awaited(book, book.select("2,3,4")) == {"02_second": set(), "03_third": {"02_second"}, "04_alone": set()}
    assert awaited(book, book.select("2-3,5,7")) == {
        "02_second": set(), "03_third": {"02_second"}, "05_asks": set(), "07_late": {"05_asks"}
    }  # fmt: skip
    assert awaited(book, book.select("3,7"))["07_late"] == set()
    assert awaited(book, [book.chapter("2"), book.chapter("6")])["06_ledger"] == {"02_second"}


@pytest.mark.parametrize("chosen", ["3,6,7", "6-7", "2,6,7", "5-7"])
def test_no_chapter_awaits_itself_whatever_else_has_run(book, chosen):
    """The ledger needs later chapters, and with them some that have run; each of them must begin at last."""
    ended = [one.stem for one, _ in side_by_side(book, book.select(chosen), lambda one: lambda: Cost(1.0, 2.0), 2)]
    assert sorted(ended) == stems(book.select(chosen))
    assert ended[-1] == "06_ledger"


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_each_begins_when_what_it_needs_is_done_and_no_more_run_than_may(book, at_once):
    done, running, most, lock = [], [], [], threading.Lock()

    def begin(chapter):
        assert awaited(book, book.chapters)[chapter.stem] <= set(done)

        def execute():
            with lock:
                running.append(chapter.stem)
                most.append(len(running))
            with lock:
                running.remove(chapter.stem)
            return Cost(1.0, 2.0)

        return execute

    for chapter, ended in side_by_side(book, book.chapters, begin, at_once):
        assert ended.result() == Cost(1.0, 2.0)
        done.append(chapter.stem)
    assert sorted(done) == stems(book.chapters)
    assert max(most) <= at_once
    assert at_once > 1 or done == [*stems(book.chapters)[:5], "07_late", "06_ledger"]


def test_two_that_do_not_need_each_other_run_at_the_same_time(book):
    together = threading.Barrier(2, timeout=60)
    wanted = [book.chapter("1"), book.chapter("4")]
    ended = dict(side_by_side(book, wanted, lambda chapter: lambda: Cost(together.wait()), 2))
    assert sorted(one.result().seconds for one in ended.values()) == [0, 1]


def test_after_a_failure_what_runs_comes_to_its_end_and_nothing_else_begins(book):
    failed, begun = threading.Event(), []

    def begin(chapter):
        begun.append(chapter.stem)

        def execute():
            if chapter.stem == "01_first":
                failed.set()
                raise ChapterFailed("01_first: no star left")
            assert failed.wait(60)
            return Cost()

        return execute

    came = {chapter.stem: future.exception() for chapter, future in side_by_side(book, book.chapters, begin, 2)}
    assert begun == ["01_first", "04_alone"]
    assert isinstance(came["01_first"], ChapterFailed)
    assert came["04_alone"] is None


def test_numbers_that_differ_stop_nothing(book):
    def begin(chapter):
        def execute():
            raise NumbersDiffer(chapter.stem)

        return execute

    assert len(list(side_by_side(book, book.chapters, begin, 2))) == len(CHAPTERS)


def test_an_interruption_ends_the_processes_of_all_that_run(book):
    sleeper, processes = "import time\nprint('here', flush=True)\ntime.sleep(300)", []

    def begin(chapter):
        if chapter.stem == "05_asks":
            raise KeyboardInterrupt

        def execute():
            if chapter.stem == "04_alone":
                return Cost()
            child = subprocess.Popen([sys.executable, "-c", sleeper, chapter.stem], stdout=subprocess.PIPE)
            child.stdout.readline()
            processes.append(child)
            assert [one.pid for one in processes_of(chapter)] == [child.pid]
            with child:
                child.wait()
            raise ChapterFailed(f"{chapter.stem}: its kernel died")

        return execute

    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(book, book.chapters, begin, 2))
    assert all(child.returncode is not None for child in processes)
    assert not [one for one in psutil.Process(os.getpid()).children() if "01_first" in " ".join(one.cmdline())]


def test_chapters_of_a_run_are_executed_at_the_same_time(tmp_path):
    chapters = {
        name: MEETING.format(here=name, there=other) for name, other in [("1_one", "2_two"), ("2_two", "1_one")]
    }
    record = run(write_book(tmp_path, chapters), "both", workers=2, say=lambda line: None)
    assert sorted(record.chapters) == ["1_one", "2_two"]
    assert all(20 < chapter["peak_memory"] < 2000 for chapter in record.chapters.values())


def test_how_many_at_a_time_is_a_positive_number(capsys):
    assert main(["run", "--workers", "0"]) == 2
    assert "--workers: found 0, wanted 1 or more" in capsys.readouterr().err


def test_there_is_room_for_one_at_least():
    assert room(1e18) == 1
    assert room(1.0) >= 1
