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

import itertools
import json
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import yaml

from ..evidence.claims import check_against
from ..evidence.numbers import write_json
from ..parallel import available_cores
from .book import Book, runs_folder
from .execute import MEMORY_OF_A_CHAPTER, ONE_THREAD, call, room
from .parameters import UNCLEAR_NUMBER, check_all, did_you_mean
from .record import Run, check_name, read_record
from .runs import print_now

ENTRIES = ("name", "base", "chapters", "runs", "grid")


@dataclass(frozen=True)
class Sweep:
    """Runs to make: name to parameters, the first of which is the base; and the chapters of each."""

    runs: dict[str, dict[str, Any]]
    chapters: str | None


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
        raise TypeError(f"found {type(content).__name__}, wanted entries {', '.join(ENTRIES)}")
    for key in content:
        if key not in ENTRIES:
            raise ValueError(f"unknown entry {key!r}; {did_you_mean(str(key), ENTRIES)}".removesuffix("; "))
    check_against("sweep", content, "sweep")
    name, base, grid = content["name"], content.get("base", {}), content.get("grid", {})
    chapters = str(content["chapters"]) if "chapters" in content else None
    book.select(chapters)
    varied = [name for name in book.declared if name != "run"]
    runs = {check_name(f"{name}-base"): check_all(base, varied)}
    combinations = itertools.product(*grid.values()) if grid else ()
    for changed in [*content.get("runs", []), *(dict(zip(grid, values, strict=True)) for values in combinations)]:
        named = check_name("-".join([name, *(_word(key, value) for key, value in changed.items())]))
        values = check_all({**base, **changed}, varied)
        if runs.setdefault(named, values) != values:
            raise ValueError(f"two runs would be called {named!r}; give them values that differ in letters or digits")
    if len(runs) == 1:
        raise ValueError("nothing to vary; wanted entries under runs or grid")
    return Sweep(runs, chapters)


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
) -> dict[str, str]:
    """Make the runs of a sweep, each in a process of its own; one that fails does not stop the others.

    The base comes first. The others take from it the chapters that their parameters do not touch. What is finished
    already stays as it is, so that a sweep may be stopped and called again.

    Parameters
    ----------
    workers : how many at a time; by default as many as cores and memory allow
    replace : runs of these names with other parameters may be lost

    Returns
    -------
    name of each run to why it failed, in order; empty if it went well
    """
    first, *others = sweep.runs
    say(f"{len(sweep.runs)} runs, the first is {first}")
    options = ["--replace"] if replace else []
    messages = {first: _one(book, first, sweep, options)}
    say(_ended(first, messages[first]))
    memory = _memory_of(book, first)
    at_once = workers or room(memory or MEMORY_OF_A_CHAPTER)
    options += [] if memory is None else ["--from", first]
    options += ["--workers", str(max(1, available_cores() // at_once))]  # chapters of a run at a time
    with ThreadPoolExecutor(at_once) as pool:
        try:
            ended = pool.map(lambda name: _one(book, name, sweep, options), others)
            for name, message in zip(others, ended, strict=True):
                messages[name] = message
                say(_ended(name, message))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children():
                child.terminate()
            raise
    return messages


def _ended(name: str, message: str) -> str:
    return f"  {name}: {(message or 'finished').splitlines()[0]}"


def _one(book: Book, name: str, sweep: Sweep, options: Sequence[str]) -> str:
    """Make one run; why it failed, empty if it went well."""
    command = ["-m", "labeltransfer", "run", name, *options]
    command += ["--resume"] if (runs_folder(book.root) / name / "run.json").exists() else []
    command += [] if sweep.chapters is None else ["--chapters", sweep.chapters]
    for key, value in sweep.runs[name].items():
        command += ["-p", key, value if isinstance(value, str) else json.dumps(value)]
    done = call(book, command, **ONE_THREAD)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"ended with {done.returncode}")


def _memory_of(book: Book, name: str) -> float | None:
    """What the largest chapter of a run took [bytes], 0 if it has none; None if the run has no record to be read."""
    try:
        chapters = read_record(name, book.root).chapters
    except (OSError, ValueError):
        return None
    return max((1e6 * chapter["peak_memory"] for chapter in chapters.values()), default=0.0)


def collect(book: Book, sweep: Sweep, path: Path) -> Path:
    """Gather the numbers of the runs of a sweep: mean, standard deviation and count of each, as JSON.

    Of a sweep over seeds, that is the spread that the ledger takes into account (``sweeps/seeds.json``).

    Raises
    ------
    FileNotFoundError, ValueError
        If a run is not there or did not finish; `run_sweep` makes it.
    """
    runs = [Run.of(book, name) for name in sweep.runs]
    columns = [run.numbers() for run in runs]
    numbers = {}
    for key in dict.fromkeys(key for column in columns for key in column):
        values = [one.value for column in columns if (one := column.get(key)) and one.value is not None]
        if len(values) > 1:
            numbers[key] = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "n": len(values)}
    first, *others = (run.record.parameters for run in runs)
    shared = {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}
    return write_json(path, runs=list(sweep.runs), parameters=shared, numbers=numbers)


def main(arguments: Sequence[str]) -> None:
    """Make the runs of a sweep file and gather their numbers beside it: ``seeds.yml`` to ``seeds.json``."""
    book, (file,) = Book(), arguments
    sweep = read_sweep(file, book)
    run_sweep(book, sweep)
    print_now(f"written: {collect(book, sweep, Path(file).with_suffix('.json'))}")


if __name__ == "__main__":
    main(sys.argv[1:])
