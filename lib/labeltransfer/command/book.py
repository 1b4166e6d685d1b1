"""The sub-commands of the book: `run`, `sweep`, `sync`, `build`, `runs`, `compare`, `evidence`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..reproduction.parameters import PARAMETERS, Parameter, from_text
from .arguments import a_path

if TYPE_CHECKING:
    from ..reproduction.book import Book

SWEEP_FILE = """the file:
  name: mine                   # the runs are called mine-base, mine-n_folds-4, ...
  base: {n_overlap: 3000}      # parameters of every run
  chapters: 1-3                # if not all
  runs:                        # one run for each set ...
    - {n_folds: 4}
  grid:                        # ... and one for each combination
    model_order: [1, 2]
    smoothing_width: [30, 50]"""


def run(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``run``."""
    command.description = (
        "Execute the chapters into _runs/NAME. What the parameters leave out has its default.\n"
        "For example: labeltransfer run narrow -p smoothing_width 30 -p n_folds 4"
    )
    command.epilog = "\n".join(["parameters:", *map(_described, _for_the_shell())])
    command.add_argument("name", metavar="NAME", nargs="?", help="of the run; default, without -p: default")
    command.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), dest="parameters",
                         help="set a parameter; may be repeated; lists as [a,b]")  # fmt: skip
    command.add_argument("--chapters", metavar="1-3", help="only these, for example 2, 1-3, 1,4-5 or A6")
    command.add_argument("--resume", action="store_true",
                         help="go on with the run's own parameters; chapters with the same inputs stay")  # fmt: skip
    command.add_argument("--replace", action="store_true", help="lose a run of this name that has other parameters")
    command.add_argument("--from", metavar="RUN", dest="take_from",
                         help="take chapters of this run whose inputs are the same")  # fmt: skip
    command.add_argument("--workers", type=int, metavar="N",
                         help="chapters at a time; default: as cores and memory allow")  # fmt: skip
    command.add_argument("--check", action="store_true",
                         help="let nbval execute them: checked numbers must be the accepted ones")  # fmt: skip
    command.set_defaults(call=_run)


def _for_the_shell() -> list[Parameter]:
    """All parameters but the run's name, which is an argument of its own."""
    return [one for one in PARAMETERS.values() if one.name != "run"]


def _described(one: Parameter) -> str:
    return f"  {one.name:21} {one.description}\n{'':24}default {one.typed}; allowed: {one.allowed}"


def read_parameters(pairs: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Parameters from the command line; a relative `survey_dir` is meant from where the command is called."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"parameter {name}: given {names.count(name)} times, wanted once")
    values = {name: from_text(name, text) for name, text in pairs}
    if values.get("survey_dir"):
        values["survey_dir"] = str(Path(values["survey_dir"]).expanduser().resolve())
    return values


def _book() -> Book:
    from ..reproduction.book import Book

    return Book()


def _run(given: argparse.Namespace) -> None:
    from ..reproduction import runs

    if given.workers is not None and given.workers < 1:
        raise ValueError(f"--workers: found {given.workers}, wanted 1 or more")
    if given.parameters and given.name is None:
        raise ValueError("-p: a run with parameters of its own wants a name, for example `labeltransfer run mine -p …`")
    runs.run(_book(), given.name or "default", read_parameters(given.parameters), given.chapters, resume=given.resume,
             replace=given.replace, take_from=given.take_from, check=given.check, workers=given.workers,
             say=_nothing if given.quiet else runs.print_now)  # fmt: skip


def _nothing(line: str) -> None:
    """Say nothing."""


def sweep(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``sweep``."""
    command.description = (
        "Make the runs that a file lists; what they share is computed once. One that fails stops\n"
        "no other, and the same call does again only what is not done."
    )
    command.epilog = SWEEP_FILE
    command.add_argument("file", metavar="FILE", type=a_path, help="YAML with name, base, chapters, runs, grid")
    command.add_argument("--workers", type=int, metavar="N", help="runs at a time; default: as cores and memory allow")
    command.add_argument("--replace", action="store_true", help="lose runs of these names that have other parameters")
    command.set_defaults(call=_sweep)


def _sweep(given: argparse.Namespace) -> int:
    from ..reproduction.sweep import read_sweep, run_sweep

    if given.workers is not None and given.workers < 1:
        raise ValueError(f"--workers: found {given.workers}, wanted 1 or more")
    if given.file.is_dir():
        raise ValueError(f"{given.file}: a folder, wanted the file of a sweep, for example sweeps/sensitivity.yml")
    book = _book()
    listed = read_sweep(given.file, book)
    messages = run_sweep(book, listed, given.workers, replace=given.replace)
    for name, message in messages.items():
        if message:
            print(f"{name}: {message}", file=sys.stderr)
    finished = [name for name, message in messages.items() if not message]
    print(f"{len(finished)} of {len(messages)} runs finished")
    if len(finished) > 1:
        print(f"now for example\nlabeltransfer compare {' '.join(finished)} --html compared.html")
    return 0 if len(finished) == len(messages) else 3 if finished else 1


def sync(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``sync``."""
    what = command.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; fail if a twin is not what its text gives")
    what.add_argument("--accept", metavar="RUN", help="take the checked numbers of this run, and print what changes")
    command.set_defaults(call=_sync)


def _sync(given: argparse.Namespace) -> int:
    from ..reproduction.sync import sync

    book = _book()
    accept = _to_accept(book, given.accept) if given.accept else None
    result = sync(book, accept, check=given.check)
    for line in [*result.differences, *(f"written: {path.relative_to(book.root)}" for path in result.written)]:
        print(line)
    for line in result.complaints:
        print(line, file=sys.stderr)
    if not result.complaints and not result.written:
        print("every twin is what its text gives")
    return 1 if given.check and result.complaints else 0


def _to_accept(book: Book, name: str) -> Path:
    """Folder of a run whose numbers may become those to be checked: whole, and with the default parameters."""
    from ..reproduction.record import Run

    kept = Run.of(book, name)
    changed = ", ".join(f"{key} = {value}" for key, value in kept.changed.items())
    if changed:
        raise ValueError(
            f"--accept: run {name!r} has {changed}, wanted all parameters at their defaults, as the twins have them; "
            "`labeltransfer run default` makes such a run, if there is one of this name with --replace"
        )
    kept.check_whole()
    return kept.folder


def build(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``build``."""
    command.add_argument("name", metavar="NAME", nargs="?", default="default", help="of the run; default: default")
    command.set_defaults(call=_build)


def _build(given: argparse.Namespace) -> None:
    from ..reproduction.build import build

    print(f"open {build(_book(), given.name)}")


def runs(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``runs``."""
    command.description = (
        "List the runs: whether they finished, in what time, and which parameters are not the default."
    )
    command.set_defaults(call=_runs)


def _runs(given: argparse.Namespace) -> None:
    from ..reproduction.record import list_runs

    print("\n".join(list_runs(_book())))


def compare(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``compare``."""
    command.description = (
        "Numbers of several runs side by side, with the differences from the first: those that changed by more\n"
        "than their error or tolerance."
    )
    command.add_argument("names", metavar="RUN", nargs="+", help="names of runs, as `labeltransfer runs` lists them")
    command.add_argument("--all", action="store_true", help="the numbers that did not change, too")
    command.add_argument("--html", metavar="FILE", type=a_path, help="write a page, with the key figures")
    command.add_argument("--json", metavar="FILE", type=a_path, help="write the numbers")
    command.add_argument("--replace", action="store_true", help="lose a page or numbers that are there")
    command.set_defaults(call=_compare)


def _compare(given: argparse.Namespace) -> None:
    from ..files import check_output
    from ..reproduction.compare import compare_runs

    book = _book()
    if given.html and given.html == given.json:
        raise ValueError(f"{given.html}: given for the page and for the numbers, wanted two names")
    outputs = [(given.html, "page of a comparison", "Runs compared: "), (given.json, "file of numbers", '"runs"')]
    for path, what, mark in outputs:
        if path:
            check_output(path, what, replace=given.replace, is_ours=partial(_holds, mark))
    found = compare_runs(book, given.names)
    options: dict[str, Any] = {"everything": True} if given.all else {}
    print("\n".join(found.lines(**options)))
    if given.json:
        print(f"written: {found.write_json(given.json)}")
    if given.html:
        print(f"written: {found.write_html(given.html)}")


def _holds(mark: str, path: Path) -> bool:
    return mark in path.read_text(encoding="utf-8")


def evidence(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``evidence``."""
    command.add_argument("names", metavar="NAME", nargs="*", help="of the evidence; default: all")
    command.add_argument("--check", action="store_true", help="write nothing; fail if what is kept is not what comes")
    command.add_argument("--data", metavar="DIR", type=a_path, help="where real data lie")
    command.set_defaults(call=_evidence)


def _evidence(given: argparse.Namespace) -> int:
    from ..evidence import records

    return records.main(given.names, print, check=given.check, data=given.data)
