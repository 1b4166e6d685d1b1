"""Answers to the exercises run in their chapters, after the last cell, each on its own."""

import pytest

from labeltransfer.reproduction.book import Book
from test_label_subsets import SMALL, run_chapters
from test_structure import EXERCISE

FOUR = ["teff", "logg", "fe_h", "alpha_m"]
"""Labels that some exercise asks for; fewer take less time."""


def answer_all(book, given, folder):
    """Run the chapters that have exercises, and their answers; (stem, what it printed or the fault) of each answer."""
    asked = {chapter.stem for chapter in book.chapters if EXERCISE.search(chapter.text)}
    needed = asked | {one.stem for stem in asked for one in book.upstream(book.chapter(stem))}
    found = []

    def answer(chapter, names):
        for number, code in enumerate(EXERCISE.findall(chapter.text), start=1):
            printed = []
            where = f"{chapter.stem}, exercise {number}"
            try:
                own = {**names, "print": lambda *words, to=printed: to.append(words)}
                exec(compile(code, where, "exec"), own)
            except Exception as fault:
                found.append((where, fault))
            else:
                found.append((where, printed))

    run_chapters(book, given, folder, lambda chapter: chapter.stem in needed, answer)
    return found


@pytest.mark.slow
def test_every_answer_runs_in_its_chapter(tmp_path):
    book = Book()
    found = answer_all(book, SMALL | {"n_overlap": 300, "n_dr2": 300, "label_names": FOUR}, tmp_path)
    assert not [one for one in found if isinstance(one[1], Exception)]
    assert all(printed for _, printed in found), "an answer shows what comes out"
    assert len(found) == sum(len(EXERCISE.findall(chapter.text)) for chapter in book.chapters)
