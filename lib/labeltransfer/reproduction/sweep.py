"""Sweeps: many runs from one file, what they have in common computed once.

A sweep file is YAML::

    name: sensitivity            # runs are called sensitivity-base, sensitivity-smoothing_width-25, …
    base: {n_overlap: 3000}      # parameters of every run
    chapters: 1-3                # optional
    runs:                        # one run for each set …
      - {smoothing_width: 25}
    grid:                        # … and one for each combination
      n_folds: [4, 16]
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import yaml

from ..parallel import available_cores
from .book import Book, runs_folder
from .execute import ONE_THREAD
from .parameters import UNCLEAR_NUMBER, check_all
from .record import check_name, read_record
from .runs import print_now

KEYS = ("name", "base", "chapters", "runs", "grid")
MEMORY_OF_A_RUN = 2.5e9
"""bytes; of a run whose first one told nothing better"""


@dataclass(frozen=True)
class Sweep:
    """Runs to make: name to parameters, the first of which is the base; and the chapters of each."""

    runs: dict[str, dict[str, Any]]
    chapters: str | None


@dataclass(frozen=True)
class Outcome:
    """How one run of a sweep ended; `message` is empty if it went well."""

    name: str
    message: str


def read_sweep(path: str | Path, book: Book) -> Sweep:
    """Read a sweep file, and check every parameter of every run before any of them begins.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError, TypeError
        Naming the file, the entry, what was found and what is wanted.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; wanted a sweep, for example sweeps/sensitivity.yml")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Strict)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({error})") from error
    try:
        return _sweep(content, book)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{path}: {error}") from error


class _Strict(yaml.SafeLoader):
    """YAML in which nothing is lost or misread silently: no entry twice, no octal or sexagesimal numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As in YAML, unless an entry stands twice."""
        names = [key.value for key, _ in node.value]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise yaml.YAMLError(f"{', '.join(twice)} stands twice,{node.start_mark}")
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """As in YAML, unless it is no plain number."""
        if re.search(UNCLEAR_NUMBER, node.value):
            raise yaml.YAMLError(
                f"found {node.value}, wanted a number without leading zeros or colons,{node.start_mark}"
            )
        return int(super().construct_yaml_int(node))


_Strict.add_constructor("tag:yaml.org,2002:int", _Strict.construct_yaml_int)


def _sweep(content: Any, book: Book) -> Sweep:
    if not isinstance(content, dict):
        raise TypeError(f"found {type(content).__name__}, wanted entries {', '.join(KEYS)}")
    for key in content:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            raise ValueError(f"unknown entry {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"wanted {KEYS}"))
    name, base = content.get("name"), _mapping(content, "base")
    if not isinstance(name, str):
        raise TypeError(f"name: found {name!r}, wanted the name that the runs' names begin with")
    chapters = content.get("chapters")
    chapters = None if chapters is None else str(chapters)
    book.select(chapters)
    varied = [name for name in book.declared if name != "run"]
    runs = {check_name(f"{name}-base"): check_all(base, varied)}
    for changed in [*_sets(content), *_grid(content)]:
        named = check_name("-".join([name, *(_word(key, value) for key, value in changed.items())]))
        values = check_all({**base, **changed}, varied)
        if runs.setdefault(named, values) != values:
            raise ValueError(f"two runs would be called {named!r}; give them values that differ in letters or digits")
    if len(runs) == 1:
        raise ValueError("nothing to vary; wanted entries under runs or grid")
    return Sweep(runs, chapters)


def _mapping(content: dict[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise TypeError(f"{key}: found {found!r}, wanted parameters with values")
    return found


def _sets(content: dict[str, Any]) -> list[dict[str, Any]]:
    sets = content.get("runs") or []
    if not isinstance(sets, list) or not all(isinstance(one, dict) and one for one in sets):
        raise TypeError(f"runs: found {sets!r}, wanted a list of parameters with values")
    return sets


def _grid(content: dict[str, Any]) -> list[dict[str, Any]]:
    grid = _mapping(content, "grid")
    if not all(isinstance(values, list) and values for values in grid.values()):
        raise TypeError(f"grid: found {grid!r}, wanted a list of values for every parameter")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())] if grid else []


def _word(key: str, value: Any) -> str:
    text = "_".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{key}-" + re.sub(r"[^A-Za-z0-9.-]+", "_", text if key == "survey_dir" else text.lower()).strip("_")


def run_sweep(
    book: Book,
    sweep: Sweep,
    workers: int | None = None,
    say: Callable[[str], None] = print_now,
    *,
    replace: bool = False,
) -> list[Outcome]:
    """Make the runs of a sweep, each in a process of its own; one that fails does not stop the others.

    The base comes first. The others take from it the chapters that their parameters do not touch. What is finished
    already stays as it is, so that a sweep may be stopped and called again.

    Parameters
    ----------
    workers : how many at a time; by default as many as cores and memory allow
    replace : runs of these names with other parameters may be lost
    """
    first, *others = sweep.runs
    say(f"{len(sweep.runs)} runs, the first is {first}")
    options = ["--replace"] if replace else []
    outcomes = [_one(book, first, sweep, options)]
    say(_line(outcomes[0]))
    if _has_record(book, first):
        options = [*options, "--from", first]
    at_once = workers or _room(book, first)
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for outcome in pool.map(lambda name: _one(book, name, sweep, options), others):
                say(_line(outcome))
                outcomes.append(outcome)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children():
                child.terminate()
            raise
    return outcomes


def _one(book: Book, name: str, sweep: Sweep, options: Sequence[str]) -> Outcome:
    command = [sys.executable, "-m", "labeltransfer", "run", name, "--resume", *options]
    command += [] if sweep.chapters is None else ["--chapters", sweep.chapters]
    for key, value in sweep.runs[name].items():
        command += ["-p", key, value if isinstance(value, str) else json.dumps(value)]
    own = {**os.environ, **ONE_THREAD, "LABELTRANSFER_BOOK": str(book.root)}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    return Outcome(name, "" if done.returncode == 0 else (done.stderr.strip() or f"ended with {done.returncode}"))


def _has_record(book: Book, name: str) -> bool:
    try:
        read_record(name, book.root)
    except (OSError, ValueError):
        return False
    return True


def _room(book: Book, first: str) -> int:
    """How many runs at a time: one a core, and no more than memory holds of what the first run took."""
    try:
        costs = [chapter["peak_memory"] * 1e6 for chapter in read_record(first, book.root).chapters.values()]
    except (OSError, ValueError):
        costs = []
    need = max(costs, default=0) or MEMORY_OF_A_RUN
    return max(1, min(available_cores(), int(psutil.virtual_memory().available / (1.2 * need))))


def _line(outcome: Outcome) -> str:
    return f"  {outcome.name}: " + (outcome.message.splitlines()[0] if outcome.message else "finished")


def finished(book: Book, outcomes: Sequence[Outcome]) -> list[str]:
    """Names of the runs of a sweep that are there to compare."""
    folder = runs_folder(book.root)
    return [one.name for one in outcomes if not one.message and (folder / one.name / "numbers.json").exists()]
