"""What a chapter of the book sees: its parameters, its survey, results of earlier chapters, and its numbers."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

import labeltransfer as lt

from ..evidence import SURVEY_PARAMETERS
from ..evidence.claims import PLAIN, checks
from ..evidence.numbers import Number, read_numbers, write_json
from ..files import kind_of, read_arrays, write_arrays
from .book import Book, ChapterText, runs_folder, science_hash
from .drawings import keep_figure_data, of_the_paper
from .numbers import Recorder, glue, quoted_values
from .parameters import PARAMETERS, check_all, known
from .record import check_name
from .tables import ClaimTable, Ledger, TakeAway


def open_chapter(stem: str, namespace: Mapping[str, Any], book: Book | None = None) -> Chapter:
    """Open a chapter from inside its notebook: ``chapter = open_chapter("02_training", globals())``.

    Parameters
    ----------
    stem : file name of the chapter without suffix
    namespace : where the values of its parameters stand

    Raises
    ------
    ValueError, TypeError
        If there is no such chapter, or a parameter is missing, misspelt or has a wrong value.
    """
    book = book or Book()
    text = book.chapter(stem)
    for name in _given(namespace):
        known(name)
    missing = [name for name in text.parameters if name not in namespace]
    if missing:
        raise ValueError(
            f"{stem}: parameters {', '.join(missing)} have no value; run the cell tagged `parameters` first"
        )
    values = check_all({name: namespace.get(name, value) for name, value in book.parameters(text).items()})
    check_name(values.get("run", "default"))
    chapter = Chapter(book, text, values)
    keep_figure_data(text, chapter.path)
    return chapter


def _given(namespace: Mapping[str, Any]) -> list[str]:
    """Names in the cells of parameters that the notebook has executed: in its own, and in that which papermill adds.

    Anything can be set there, so that a name that is misspelt would change nothing without a word.
    """
    executed = list(namespace.get("In", ()))
    own = [source for source in executed if re.search(r"^run: str = ", source, re.MULTILINE)][-1:]
    added = [source for source in executed if source.startswith("# Parameters\n")]
    return re.findall(r"^(\w+)(?:: \w+)? = ", "\n".join([*own, *added]), re.MULTILINE)


@functools.lru_cache(maxsize=2)
def _survey(given: str) -> lt.archive.Survey:
    return lt.archive.open_survey(progress=False, **json.loads(given))


class Chapter(Recorder):
    """One chapter while it runs.

    Attributes
    ----------
    parameters : the chapter's parameters, checked, by name
    data_folder : where this run keeps its results
    recorded_numbers, timings : the numbers and times recorded so far
    """

    def __init__(self, book: Book, text: ChapterText, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.book, self.text, self.stem = book, text, text.stem
        self.parameters: Any = namedtuple("Parameters", values)(**values)
        self.data_folder = runs_folder(book.root) / values.get("run", "default") / "data"

    def __repr__(self) -> str:
        return f"Chapter({self.stem}; run {self.values.get('run', 'default')})"

    # ---- data -------------------------------------------------------------------------------------------------------

    def survey(self) -> lt.archive.Survey:
        """The survey that the parameters name; opened once in a process."""
        given = {name: self.values[name] for name in SURVEY_PARAMETERS if name in self.values}
        if given.get("survey_dir"):
            given["survey_dir"] = str((self.book.root / Path(given["survey_dir"]).expanduser()).resolve())
        return _survey(json.dumps(given, sort_keys=True))

    @property
    def simulated(self) -> bool:
        """Whether the survey is simulated; figures and verdicts must then say so."""
        return self.values.get("source", "simulated") == "simulated" or self.survey().simulated

    @property
    def is_default(self) -> bool:
        """Whether all parameters are at their defaults, as prose has it."""
        return all(PARAMETERS[name].default == value for name, value in self.values.items() if name != "run")

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose: the same seed and the same words give the same numbers."""
        word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
        return np.random.default_rng([self.values.get("seed", PARAMETERS["seed"].default), word])

    @functools.cached_property
    def _data_hash(self) -> str:
        return self.survey().data_hash if self.values.get("source") == "folder" else ""

    # ---- results handed from chapter to chapter ---------------------------------------------------------------------

    def path(self, name: str, suffix: str, of: ChapterText | None = None) -> Path:
        """Where a result of this chapter (or of another one) lies; the name holds a hash of all that it depends on."""
        key = self.book.key(of or self.text, self.values, self._data_hash)
        return self.data_folder / f"{name}-{key}{suffix}"

    def save(self, name: str, thing: Any) -> None:
        """Keep a result for later chapters: a noun of the library, a table, or a dict of arrays."""
        if isinstance(thing, Table):
            lt.catalogue.write(thing, self.path(name, ".fits"))
        elif isinstance(thing, Mapping):
            arrays = {key: np.asarray(value) for key, value in thing.items()}
            write_arrays(self.path(name, ".npz"), "arrays", arrays)
        elif hasattr(thing, "write"):
            thing.write(self.path(name, ".npz"))
        else:
            raise TypeError(f"{name}: found {type(thing).__name__}, wanted a table, a dict of arrays, or a noun of lt")

    def load(self, *names: str) -> Any:
        """Take results of earlier chapters; a chapter that has not run with these parameters runs first.

        Parameters
        ----------
        names : as given to `save`

        Returns
        -------
        What was saved, a noun of the library, a table, or a dict of arrays; of several names a tuple
        """
        found = tuple(map(self._loaded, names))
        return found if len(found) > 1 else found[0]

    def _loaded(self, name: str) -> Any:
        writer = self.book.writer(name)
        table, arrays = (self.path(name, suffix, of=writer) for suffix in (".fits", ".npz"))
        if not (table.exists() or arrays.exists()):
            self._run_first(writer)
        if table.exists():
            return lt.catalogue.read(table)
        kind = kind_of(arrays)
        return read_arrays(arrays, kind)[0] if kind == "arrays" else getattr(lt, kind).read(arrays)

    def numbers_file(self, chapter: ChapterText) -> Path:
        """Where the numbers of a chapter of this run lie."""
        return self.path(f"numbers_{chapter.stem}", ".json", of=chapter)

    def _has_run(self, chapter: ChapterText) -> bool:
        saved = all(list(self.data_folder.glob(f"{self.path(name, '', of=chapter).name}.*")) for name in chapter.writes)
        return saved and self.numbers_file(chapter).exists()

    def _run_first(self, needed: ChapterText) -> None:
        """Run a chapter, and before it those that it needs itself, as far as they have not run."""
        from .execute import Cost, environment, execute_chapter, of_kernels, side_by_side

        def begin(one: ChapterText) -> Callable[[], Cost]:
            print(f"{one.stem} has not run with these parameters yet: running it first …", flush=True)
            out = self.path(one.stem, ".ipynb", of=one)
            return functools.partial(execute_chapter, self.book, one, self.values, out)

        if self._has_run(needed):
            return
        absent = [one for one in [*self.book.upstream(needed), needed] if not self._has_run(one)]
        with environment(LABELTRANSFER_SCIENCE=science_hash(), **of_kernels(self.book)):
            for one, ended in side_by_side(self.book, absent, begin, at_once=1):
                if error := ended.exception():
                    raise RuntimeError(f"{one.stem}, which {self.stem} needs, failed:\n{error}") from error

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def holds(self, words: str, condition: Any) -> None:
        """Stand for a comparison that the page makes in these words, in prose or alt text.

        Raises
        ------
        ValueError
            If the condition does not hold, or the page does not have these words.
        """
        if words not in re.sub(r"\s+", " ", self.text.text):
            raise ValueError(f"{self.stem}: the page does not say {words!r}")
        if not condition and self.is_default:
            raise ValueError(f"{self.stem}: the page says {words!r}, and that is not so in this run; mend the page")

    def numbers_of(self, stem: str) -> dict[str, tuple[float | None, str, str]]:
        """Numbers of another chapter: key to (value, unit, text); it runs first if it has not."""
        return {key: (n.value, n.unit, n.text) for key, n in self.recorded(self.book.chapter(stem))[0].items()}

    def recorded(self, chapter: ChapterText) -> tuple[dict[str, Number], dict[str, Number]]:
        """Numbers and timings of a chapter of this run."""
        if chapter.stem == self.stem:
            return self.recorded_numbers, self.timings
        self._run_first(chapter)
        found = read_numbers(self.numbers_file(chapter))
        return found["numbers"], found["timings"]

    def testable(self, *labels: str, but: str = "") -> bool:
        """Whether the run has these labels; if not, print so, where a figure would stand.

        Parameters
        ----------
        labels : what the figure, or the number, cannot do without
        but : what else is lacking, in words; empty if nothing is
        """
        lacking = [PLAIN.get(name, name) for name in labels if name not in self.label_names]
        if lacking:
            but = f"{', '.join(lacking)} {'is not a label' if len(lacking) == 1 else 'are not labels'} of this run"
        if but:
            print(f"Not testable with this data: {but}.")
        return not but

    def finish(self) -> None:
        """Write the chapter's numbers into the run's folder; what its prose quotes and nobody recorded is n/a."""
        for key in re.findall(r"\{glue:text\}`(?!paper_)(\w+)`", self.text.text):
            if key not in {*self.recorded_numbers, *self.timings, *self.said}:
                self.number(key, None)
        write_json(
            self.numbers_file(self.text), chapter=self.stem, parameters=self.values, simulated=self.simulated,
            numbers=self.recorded_numbers, timings=self.timings,
        )  # fmt: skip

    # ---- the paper --------------------------------------------------------------------------------------------------

    def paper_claims(self) -> ClaimTable:
        """Table of what the paper claims where this chapter can check it; the prose may quote the paper's values."""
        for key, text in quoted_values(self.text.text).items():
            glue(key, text)
        return ClaimTable.of(self.stem)

    def ledger(self) -> Ledger:
        """Every claim of the paper with the numbers of this run and a verdict."""
        chosen = os.environ.get("LABELTRANSFER_CHAPTERS")
        asked = {check.number.split(":")[0] for _, check in checks()}
        taken = [one for one in self.book.chapters if one.stem in asked]
        if chosen is not None:
            taken = [one for one in taken if one.stem in chosen.split(",") or self._has_run(one)]
        return self._judged(taken, self.ledger_file)

    @property
    def ledger_file(self) -> Path:
        """Where the ledger is written; a run copies it to ``claims.json``, and a notebook alone harms no run."""
        return self.path("claims", ".json")

    def verdicts(self) -> Ledger:
        """Verdicts on the claims that this chapter checks, with the numbers recorded so far."""
        return self._judged([self.text], None).only(self.stem)

    def take_away(self) -> TakeAway:
        """The same in a box, a line for each claim, with links to the ledger."""
        return self.verdicts().take_away()

    def _judged(self, chapters: Sequence[ChapterText], path: Path | None) -> Ledger:
        found: dict[str, Number] = {}
        for chapter in chapters:
            for recorded in self.recorded(chapter):
                found |= {f"{chapter.stem}:{key}": number for key, number in recorded.items()}
        data = "simulated" if self.simulated else "labels" if self.survey().allstar() is None else "surveys"
        drawn = {one.paper: one.link for one in of_the_paper(self.book)}
        return Ledger.of(found, data, self.label_names, path, self.values, root=self.book.root, figures=drawn)
