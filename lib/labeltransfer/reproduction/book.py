"""The book as files: which chapters there are, what each declares, makes and needs, read from the chapters themselves.

A chapter says in its own text which parameters it names (the cell tagged `parameters`), which results it hands on
(``chapter.save("model", …)``) and which it takes (``chapter.load("model", …)``, ``chapter.numbers_of("02_training")``).
Nothing of that is written down twice: the parameters of the chapters that it takes from are its own, too.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import yaml

from ..files.sources import PACKAGE, digest_of_contents, project_root, source_files
from .parameters import default_values


def runs_folder(root: Path | None = None) -> Path:
    """Where runs are kept: $LABELTRANSFER_RUNS, or `_runs` in the project."""
    return Path(os.environ.get("LABELTRANSFER_RUNS") or (root or project_root()) / "_runs").resolve()


@dataclass(frozen=True)
class Cell:
    """One cell: its tags, all of its options, its source, and whether it is code."""

    tags: tuple[str, ...]
    options: dict[str, Any]
    source: str
    is_code: bool = True


@functools.lru_cache(maxsize=128)
def read_cells(text: str) -> tuple[Cell, ...]:
    """Cells of a MyST text notebook, prose and code; the same text, which takes a moment, is read once in a process."""
    cells = jupytext.reads(text, fmt="md:myst").cells
    return tuple(
        Cell(tuple(one.metadata.get("tags", ())), one.metadata, one.source.strip("\n"), one.cell_type == "code")
        for one in cells
    )


def declared(cells: Iterable[Cell]) -> dict[str, Any]:
    """Parameters and defaults of the cell tagged `parameters`, in its order; imports may stand before them.

    Raises
    ------
    ValueError
        If another line of that cell is no plain ``name: type = value``.
    """
    lines = [line for cell in cells if "parameters" in cell.tags for line in ast.parse(cell.source).body]
    values: dict[str, Any] = {}
    for line in lines:
        match line:
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                values[name] = ast.literal_eval(value)
            case _:
                raise ValueError(f"parameters cell: found {ast.unparse(line)!r}, wanted `name: type = value`")
    return values


@dataclass(frozen=True)
class ChapterText:
    """A chapter that is a notebook: `path` is the source, ``NN_name.md``."""

    path: Path

    @property
    def stem(self) -> str:
        """File name without suffix, by which everything calls the chapter."""
        return self.path.stem

    @property
    def short(self) -> str:
        """The number by which the command knows it: 3 for ``03_cross_validation``, A1 for ``A1_…``."""
        return self.stem.split("_")[0].lstrip("0")

    @cached_property
    def text(self) -> str:
        """The whole source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def title(self) -> str:
        """First heading, which stands before all code."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        return found[1].strip() if found else self.stem

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """Prose and code."""
        return read_cells(self.text)

    @property
    def cells(self) -> list[Cell]:
        """Code cells."""
        return [cell for cell in self.all_cells if cell.is_code]

    @cached_property
    def code(self) -> str:
        """Source of all code cells."""
        return "\n".join(cell.source for cell in self.cells)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Those that it declares, with their defaults; for all on which its results depend see `Book.parameters`."""
        try:
            return declared(self.cells)
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"{self.path.name}: {error}") from None

    def _named(self, method: str) -> tuple[str, ...]:
        """Names with which calls of a method of the chapter begin."""
        calls = re.findall(rf'chapter\.{method}\(((?:\s*"\w+",?)+)', self.code)
        return tuple(dict.fromkeys(re.findall(r"\w+", " ".join(calls))))

    @property
    def writes(self) -> tuple[str, ...]:
        """Results that it hands on."""
        return self._named("save")

    @property
    def reads(self) -> tuple[str, ...]:
        """Results that it takes."""
        return self._named("load")

    @property
    def asks(self) -> tuple[str, ...]:
        """Chapters whose numbers it takes."""
        return self._named("numbers_of")

    @property
    def judges(self) -> bool:
        """Whether it is the ledger, which takes the numbers of all others."""
        return "chapter.ledger" in self.code


RECORDED = ("evidence", "sweeps")
"""Folders of numbers that were computed before, from real data or in sweeps."""


class Book:
    """The chapters of a project in the order of its `_toc.yml`.

    Parameters
    ----------
    root : the project; default `project_root`
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root).resolve() if root else project_root()
        contents = self.root / "_toc.yml"
        if not contents.exists():
            raise FileNotFoundError(
                f"{contents}: no such file; the chapters are part of the source tree of labeltransfer: install it with "
                "`pip install -e .` there, or name that folder in the environment variable LABELTRANSFER_BOOK"
            )
        self.toc = yaml.safe_load(contents.read_text(encoding="utf-8"))

    def __repr__(self) -> str:
        return f"Book({self.root}; {', '.join(chapter.stem for chapter in self.chapters)})"

    @cached_property
    def pages(self) -> list[Path]:
        """Source files of all pages, in order."""
        listed = [self.toc["root"]]
        for part in self.toc.get("parts", [self.toc]):
            listed += [entry["file"] for entry in part.get("chapters", [])]
        return [self.root / f"{name}.md" for name in listed]

    @cached_property
    def chapters(self) -> list[ChapterText]:
        """Those pages that are notebooks: they have code cells."""
        return [chapter for chapter in map(ChapterText, self.pages) if "{code-cell}" in chapter.text]

    @cached_property
    def declared(self) -> dict[str, Any]:
        """Parameters that chapters declare, with their defaults."""
        return {name: value for chapter in self.chapters for name, value in chapter.parameters.items()}

    @property
    def defaults(self) -> dict[str, Any]:
        """Every parameter at its default, as a run has it."""
        return default_values() | self.declared

    def chapter(self, stem: str) -> ChapterText:
        """The chapter of this name or number; an unknown one is a ValueError."""
        for chapter in self.chapters:
            if stem == chapter.stem or stem.lstrip("0").upper() == chapter.short:
                return chapter
        raise ValueError(f"no chapter {stem!r}; the book has {', '.join(c.stem for c in self.chapters)}")

    def select(self, wanted: str | None) -> list[ChapterText]:
        """Chapters as the command line names them: ``1-3``, ``2``, ``1,4-5``, ``A1``; None is all."""
        if wanted is None:
            return self.chapters
        chosen: list[ChapterText] = []
        for part in wanted.split(","):
            words = [word.strip() for word in part.split("-")]
            if not all(words) or len(words) > 2:
                raise ValueError(f"chapters {wanted!r}: found {part.strip()!r}, wanted for example 2, 1-3, 1,4-5 or A6")
            first, last = words[0], words[-1]
            ends = [self.chapters.index(self.chapter(end)) for end in (first, last)]
            if ends[0] > ends[1]:
                raise ValueError(f"chapters {part.strip()!r}: found a range that runs backwards, wanted {last}-{first}")
            chosen += self.chapters[ends[0] : ends[1] + 1]
        return [chapter for chapter in self.chapters if chapter in chosen]

    def writer(self, artifact: str) -> ChapterText:
        """The chapter that makes a result; a ValueError if none does."""
        for chapter in self.chapters:
            if f'"{artifact}"' in chapter.text and artifact in chapter.writes:
                return chapter
        made = sorted({name for chapter in self.chapters for name in chapter.writes})
        raise ValueError(f"no chapter saves {artifact!r}; the chapters save {', '.join(made)}")

    def upstream(self, chapter: ChapterText, *, asked: bool = False) -> list[ChapterText]:
        """Chapters whose results this one takes, directly or through others, in order; or numbers, if `asked`."""
        if asked and chapter.judges:
            return [one for one in self.chapters if one.stem != chapter.stem]
        found, waiting = {chapter.stem}, [chapter]
        while waiting:
            one = waiting.pop()
            direct = {self.writer(name).stem for name in one.reads}
            direct |= {self.chapter(stem).stem for stem in one.asks if asked}
            waiting += map(self.chapter, direct - found)
            found |= direct
        return [one for one in self.chapters if one.stem in found - {chapter.stem}]

    def parameters(self, chapter: ChapterText) -> dict[str, Any]:
        """Parameters of a chapter with their defaults: those of the chapters that it takes from, and its own."""
        needed = [*self.upstream(chapter, asked=True), chapter]
        return {name: value for one in needed for name, value in one.parameters.items()}

    def choices(self, chapter: ChapterText) -> list[str]:
        """Parameters on which a chapter's results depend: all but the run's name."""
        return [name for name in self.parameters(chapter) if name != "run"]

    def key(self, chapter: ChapterText, values: Mapping[str, Any], data_hash: str = "") -> str:
        """Short hash of all that the results of a chapter depend on.

        Parameters
        ----------
        values : parameters by name; must hold those of the chapter
        data_hash : of the survey, if it is a folder
        """
        facts: list[Any] = [science_hash(), data_hash]
        for one in [*self.upstream(chapter), chapter]:
            facts.append([one.stem, one.code, {name: values[name] for name in self.choices(one)}])
        return _hash(facts)

    def outputs_key(self, chapter: ChapterText, values: Mapping[str, Any], data_hash: str = "") -> str:
        """As `key`, and of others' numbers where it shows them, recorded ones too: pages of one key agree in all."""
        facts = [self.key(chapter, values, data_hash)]
        for folder in RECORDED:
            if chapter.judges or folder in chapter.code:
                facts += [path.read_text(encoding="utf-8") for path in sorted((self.root / folder).glob("*.json"))]
        if chapter.judges:
            facts += [self.key(one, values, data_hash) for one in self.chapters if one.stem != chapter.stem]
        return _hash(facts)

    def page_key(self, chapter: ChapterText, values: Mapping[str, Any], data_hash: str = "") -> str:
        """As `outputs_key`, and of versions, prose, figures and this machinery: an executed notebook is as new."""
        lock = self.root / "requirements.lock"
        facts = [self.outputs_key(chapter, values, data_hash), chapter.text, package_hash(), platform.python_version()]
        facts.append(lock.read_text(encoding="utf-8") if lock.exists() else "")
        if "chapter.book" in chapter.code:
            facts += [one.text for one in self.chapters]
        return _hash(facts)


def _hash(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def package_hash() -> str:
    """Hash of the whole library, data files included."""
    return digest_of_contents(source_files(PACKAGE), PACKAGE)


@functools.cache
def science_hash() -> str:
    """Hash of what numbers depend on: the library without its figures, the claims and this machinery.

    A run sets $LABELTRANSFER_SCIENCE when it begins, so that its chapters find each other's results even while
    somebody edits the library.
    """
    if of_this_run := os.environ.get("LABELTRANSFER_SCIENCE"):
        return of_this_run
    apart = ("figures", "evidence", "reproduction")
    paths = [path for path in source_files(PACKAGE) if path.relative_to(PACKAGE).parts[0] not in apart]
    return digest_of_contents(paths, PACKAGE)
