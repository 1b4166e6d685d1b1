"""Chapters side by side: each begins as soon as those are done that it takes something from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import psutil  # type: ignore[import-untyped]

from ..parallel.blocks import WAKEFUL, available_cores
from .book import Book, ChapterText
from .execute import Cost, NumbersDiffer, processes_of

MEMORY_OF_A_CHAPTER = 2.5e9
"""What is assumed of a chapter of the default survey."""


def room(need: float = MEMORY_OF_A_CHAPTER) -> int:
    """How many processes at a time: one a core, and no more than memory holds of what each needs [bytes]."""
    return max(1, min(available_cores(), int(psutil.virtual_memory().available / (1.2 * need))))


def needed(book: Book, chapter: ChapterText) -> set[str]:
    """Stems of the chapters from which one takes results or numbers, directly or through others."""
    if chapter.judges:
        return {one.stem for one in book.chapters if one.stem != chapter.stem}
    found: set[str] = set()
    waiting = [chapter]
    while waiting:
        one = waiting.pop()
        direct = {book.writer(name).stem for name in one.reads} | {book.chapter(stem).stem for stem in one.asks}
        waiting += map(book.chapter, direct - found - {chapter.stem})
        found |= direct - {chapter.stem}
    return found


def awaited(book: Book, chosen: Sequence[ChapterText]) -> dict[str, set[str]]:
    """Of each chapter, which of the chosen ones must be done before it begins.

    Those that it needs. And two that need a chapter that is not among them run in the book's order, for the first runs
    that one, too.
    """
    needs = {one.stem: needed(book, one) for one in chosen}
    before: dict[str, set[str]] = {}
    for stem, need in needs.items():
        before[stem] = need & set(needs) | {one for one in before if need & needs[one] - set(needs)} - {stem}
    return before


def side_by_side(
    book: Book, chosen: Sequence[ChapterText], begin: Callable[[ChapterText], Callable[[], Cost]], at_once: int
) -> Iterator[tuple[ChapterText, Future[Cost]]]:
    """Execute chapters, some at once; each is given back with what came of it when it has ended.

    `begin` prepares one, and returns what executes it in a thread of its own. After one that failed no other begins. If
    the caller stops, those that run are ended.
    """
    before, waiting, goes_on = awaited(book, chosen), list(chosen), True
    running: dict[Future[Cost], ChapterText] = {}
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while running or (waiting and goes_on):
                open_ones = {one.stem for one in [*waiting, *running.values()]}
                for chapter in [one for one in waiting if not before[one.stem] & open_ones]:
                    if goes_on and len(running) < at_once:
                        waiting.remove(chapter)
                        running[pool.submit(begin(chapter))] = chapter
                for future in wait(running, WAKEFUL, FIRST_COMPLETED).done:
                    goes_on = goes_on and isinstance(future.exception(), NumbersDiffer | None)
                    yield running.pop(future), future
        finally:
            while wait(running, WAKEFUL).not_done:
                for process in [process for chapter in running.values() for process in processes_of(chapter)]:
                    process.terminate()
