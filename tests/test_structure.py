"""The house: which room may use which, what no room does, and what every chapter keeps to."""

import ast
import builtins
import re
from pathlib import Path

import pytest

from labeltransfer.evidence.claims import paper_values
from labeltransfer.reproduction.book import PACKAGE, Book, ChapterText
from labeltransfer.reproduction.sync import CHECKED, checked_outputs, printed

ROOT = PACKAGE.parents[1]

ROOMS = """
options files parallel matrices tables labels spectra lamost apogee
mock
continuum reference cannon inference fisher validation
diagnostics catalogue archive survey
figures
transfer
evidence
reproduction
command
""".split()  # noqa: SIM905
"""A room may use only rooms before it."""

SOURCES = sorted(PACKAGE.rglob("*.py"))
CHAPTERS = Book().chapters
LONGEST = 330


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of this package that a file imports, lazily or not."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("labeltransfer."):
            found.add(node.module.split(".")[1])
    return found


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


# ---- the library ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_uses_only_rooms_before_it(path):
    if path.parent == PACKAGE and path.stem in ("__init__", "__main__"):
        return
    here = room(path)
    assert here in ROOMS, f"{path.name} has no place in ROOMS"
    later = {other for other in imported_rooms(path) if other != here and ROOMS.index(other) > ROOMS.index(here)}
    assert not later, f"{here} imports {sorted(later)}, which come after it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short_and_prints_matplotlib_and_pickle_stay_where_they_belong(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST, "find its next wall: split it by duty"
    called = {
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    packages = imported_packages(path)
    assert "pickle" not in packages
    if room(path) not in ("command", "reproduction"):
        assert "print" not in called
    if room(path) not in ("figures", "reproduction"):
        assert not packages & {"matplotlib", "corner", "IPython"}
    assert not re.search(r"np\.random\.(seed|rand|randn|normal|uniform|choice|shuffle)\(", text), "a required rng"


def test_no_machine_paths_and_no_leftovers():
    words = [
        "/" + "work/", "/" + "root/", "/" + "home/", "TO" + "DO", "FIX" + "ME", "NotImpl" + "ementedError",
        "mark." + "skip", "mark." + "xfail",
    ]  # fmt: skip
    tracked = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "book").glob("*.md"), ROOT / "Makefile"]
    for path in [*tracked, ROOT / "README.md", *(ROOT / ".ci").iterdir()]:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], path


# ---- the chapters -----------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """A page without front matter, code, mathematics, options of directives, roles, links, headings and list marks."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^(`{3,})(\{code-cell\}|python|bash)[^\n]*\n.*?^\1\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^ {4,}.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{[\w:]+\}`[^`]*`", " ", text)
    text = re.sub(r"`[^`\n]*`", " ", text)
    text = re.sub(r"\]\([^)]*\)|https?://\S+|^:[\w-]+:.*$", " ", text, flags=re.MULTILINE)
    return re.sub(r"^#.*$|^\s*\d+\.\s", " ", text, flags=re.MULTILINE)


def numbers_in(text: str) -> set[str]:
    """Numbers of at least three significant digits, without signs and thousands separators; wavelengths are none."""
    found = {token.replace(",", "") for token in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w| Å)", text)}
    return {token for token in found if len(token.replace(".", "").strip("0")) >= 3}


def checked_keys(chapter: ChapterText) -> set[str]:
    """Keys that checked cells of a chapter print: named in their code, or printed in the twin."""
    calls = [re.findall(r"key_numbers\((.*?)\)", c.source, re.DOTALL) for c in chapter.cells if CHECKED in c.tags]
    lines = [printed(outputs) for outputs in checked_outputs(chapter.path.with_suffix(".ipynb")).values()]
    named = {key for texts in calls for text in texts for key in re.findall(r'"(\w+)"', text)}
    return named | {line.split()[0] for text in lines for line in text.splitlines() if line.strip()}


def timings(chapter: ChapterText) -> list[str]:
    """Patterns of the keys of times, which no cell checks."""
    keys = re.findall(r'timing\(f?"([^"]*)"', chapter.code)
    return [
        "".join(".*" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{.*?\})", key))
        for key in keys
    ]


def test_the_rule_about_typed_numbers_finds_what_it_should():
    page = "# 3 Title 123\n\nWe have 9,952 stars, 68.8 K, $x = 777$, `555`, {glue:text}`n_x` and 21 terms.\n"
    assert numbers_in(prose(page)) == {"9952", "68.8"}


@pytest.mark.parametrize("page", [*Book().pages, ROOT / "README.md"], ids=lambda page: page.name)
def test_no_number_of_the_ledger_is_typed_into_prose(page):
    ledger = {number for text in paper_values().values() for number in numbers_in(text)}
    for chapter in CHAPTERS:
        for outputs in checked_outputs(chapter.path.with_suffix(".ipynb")).values():
            ledger |= numbers_in(printed(outputs))
    typed = numbers_in(prose(page.read_text(encoding="utf-8"))) & ledger
    assert not typed, f"{page.name} types {sorted(typed)}: quote them with glue"


@pytest.mark.parametrize("page", Book().pages, ids=lambda page: page.name)
def test_every_number_quoted_is_printed_in_a_checked_cell(page):
    chapters = {chapter.stem: chapter for chapter in CHAPTERS}
    for quoted in re.findall(r"\{glue:text\}`([^`]*)`", page.read_text(encoding="utf-8")):
        stem, _, key = quoted.rpartition("::")
        chapter = chapters[stem.removesuffix(".md") if stem else page.stem]
        key = key.split(":")[0]
        if key.startswith("paper_"):
            assert key in paper_values()
        elif not any(re.fullmatch(one, key) for one in timings(chapter)) and f'say("{key}"' not in chapter.code:
            assert key in checked_keys(chapter), f"{page.name} quotes {key}, which no checked cell of it prints"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_every_figure_has_alt_text_caption_and_name(chapter):
    for cell in chapter.cells:
        if not re.search(r"lt\.figures\.(?!excerpt_table|residual_ranges|style)\w+\(|plt\.", cell.source):
            continue
        options = cell.options.get("mystnb", {})
        where = f"{chapter.stem}: the cell {cell.source[:60]!r}"
        assert len(options.get("image", {}).get("alt", "")) > 40, f"{where} wants an alt text that says what is seen"
        assert len(options.get("figure", {}).get("caption", "")) > 20, f"{where} wants a caption"
        assert options.get("figure", {}).get("name", "").startswith("fig-"), f"{where} wants a name"
        assert not cell.source.rstrip().endswith("\nfigure"), f"{where} would show its figure twice"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_chapters_are_made_alike(chapter):
    tags = [cell.tags for cell in chapter.cells]
    assert "parameters" in tags[0]
    assert f'open_chapter("{chapter.stem}", globals())' in chapter.cells[1].source
    assert any(CHECKED in one for one in tags), "a chapter ends with its key numbers"
    assert "chapter.finish()" in chapter.code
    for name in chapter.reads:
        Book().writer(name)
    for cell in chapter.cells:
        if CHECKED in cell.tags:
            assert "time" not in cell.source, "times differ from run to run"


EXERCISE = re.compile(r"^````\{dropdown\}[^\n]*\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("chapter", [one for one in CHAPTERS if EXERCISE.search(one.text)], ids=lambda one: one.stem)
def test_answers_to_exercises_use_what_the_chapter_has(chapter):
    def names(code, kind):
        return {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}

    def defined(code):
        tree = list(ast.walk(ast.parse(code)))
        aliases = {
            (a.asname or a.name).split(".")[0]
            for n in tree
            if isinstance(n, ast.Import | ast.ImportFrom)
            for a in n.names
        }
        return aliases | names(code, ast.Store) | {n.name for n in tree if isinstance(n, ast.FunctionDef)}

    for answer in EXERCISE.findall(chapter.text):
        assert names(answer, ast.Load) <= defined(chapter.code) | defined(answer) | set(dir(builtins))
