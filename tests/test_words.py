"""Comparisons in words: made from numbers, stood for by the cell that makes them, or read by a person and listed."""

import re
from pathlib import Path

import pytest

from labeltransfer.reproduction.book import Book, ChapterText
from test_structure import prose

ROOT = Path(__file__).resolve().parents[1]
READ = ROOT / "tests" / "comparisons.txt"
"""Sentences that compare and do not hang on a run (methods, definitions, facts of the literature), one a line."""
COMPARES = re.compile(
    r"\b(more|less|fewer|most|least|better|best|worse|worst|alone|higher|highest|lower|lowest|larger|largest|smaller|"
    r"smallest|greater|greatest|narrower|wider|steeper|shallower|deeper|tighter|faster|slower|nearer|farther|further|"
    r"above|below|exceeds?)\b",
    re.IGNORECASE,
)
GLUE = re.compile(r"\{glue:text\}`[^`]*`")
BEFORE_A_SENTENCE = re.compile(r"\{glue:text\}`(\w+)`(?=\s+[A-Z*])")


def sentences(text: str) -> list[str]:
    """Sentences of prose, each on one line."""
    lines = re.sub(r"[ \t]*\n(?!\s*\n)[ \t]*", " ", text)
    found = (one.strip() for part in lines.split("\n") for one in re.split(r"(?<=[.!?:;])\s+", part))
    return [re.sub(r"\s+", " ", one) for one in found if one]


def alt_texts(chapter: ChapterText) -> list[str]:
    return [cell.options.get("mystnb", {}).get("image", {}).get("alt", "") for cell in chapter.cells]


def stood_for(chapter: ChapterText) -> list[str]:
    """Words that cells stand for with ``chapter.holds("…", condition)``."""
    return re.findall(r"chapter\.holds\(\s*\"([^\"]+)\"", chapter.code)


def comparisons(page: Path) -> list[str]:
    """Sentences of a page that compare, which neither a number nor a cell stands for."""
    chapter = ChapterText(page)
    whole = set(re.findall(r"chapter\.say\(\s*\"(\w+)\"", chapter.code))  # sentences, which no number in them excuses
    text = BEFORE_A_SENTENCE.sub(
        lambda found: "\N{BULLET}." if found[1] in whole else found[0], page.read_text(encoding="utf-8")
    )
    marked = GLUE.sub("\N{BULLET}", text)
    held = stood_for(chapter)
    said = sentences(prose(marked))
    if chapter.cells:
        said += [one for alt in alt_texts(chapter) for one in sentences(alt)]
    return [
        one
        for one in said
        if COMPARES.search(one) and "\N{BULLET}" not in one and not any(words in one for words in held)
    ]


def read_before() -> set[str]:
    return set(READ.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("page", Book().pages, ids=lambda page: page.name)
def test_every_comparison_in_words_is_made_from_numbers_stood_for_or_read(page):
    new = [one for one in comparisons(page) if one not in read_before()]
    assert not new, (
        f"{page.name}: quote the numbers (glue, chapter.say), let the cell stand for the words (chapter.holds), or, if "
        f"no run can change it, add the sentence to {READ.name}:\n" + "\n".join(new)
    )


def test_the_list_holds_nothing_that_is_gone():
    there = {one for page in Book().pages for one in comparisons(page)}
    assert read_before() <= there


@pytest.mark.parametrize("page", Book().chapters, ids=lambda chapter: chapter.stem)
def test_alt_texts_compare_only_what_a_cell_stands_for(page):
    held = stood_for(page)
    ranks = re.compile(r"\b(best|worst|higher|lower|larger|smaller|better|worse|narrower|steeper|less)\b")
    said = [one for alt in alt_texts(page) for one in sentences(alt) if ranks.search(one)]
    assert not [one for one in said if not any(words in one for words in held)]


@pytest.mark.parametrize(
    "false",
    ["The α lines alone carry what there is to know.", "All labels are worst at 200 Å.", "It matters far less than L."],
)
def test_a_false_comparison_is_noticed(tmp_path, false):
    page = tmp_path / "08_page.md"
    page.write_text(f"# A page\n\nSome words. {false} Other words.\n", encoding="utf-8")
    assert comparisons(page) == [false]
    assert false not in read_before()


def test_a_sentence_made_from_numbers_excuses_none_beside_it(tmp_path):
    page = tmp_path / "08_page.md"
    code = '```{code-cell} ipython3\nchapter.say("cubic_says", True, {})\n```\n'
    page.write_text(
        f"# A page\n\n{code}\n{{glue:text}}`cubic_says` A cubic is better in every label.\n", encoding="utf-8"
    )
    assert comparisons(page) == ["A cubic is better in every label."]
