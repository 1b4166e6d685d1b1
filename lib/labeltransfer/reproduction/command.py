"""The `labeltransfer` command."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import mock
from .book import Book, runs_folder
from .labelling import add_commands
from .parameters import PARAMETERS, Parameter, from_text

SWEEP_FILE = """the file:
  name: mine                   # the runs are called mine-base, mine-n_folds-4, ...
  base: {n_overlap: 3000}      # parameters of every run
  chapters: 1-3                # if not all
  runs:                        # one run for each set ...
    - {n_folds: 4}
  grid:                        # ... and one for each combination
    model_order: [1, 2]
    smoothing_width: [30, 50]"""


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    top = argparse.ArgumentParser(
        prog="labeltransfer", description="Run, check and render the book; simulate surveys; label spectra."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run", help="execute the chapters into _runs/NAME", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Execute the chapters into _runs/NAME. What the parameters leave out has its default.\n"
                    "For example: labeltransfer run narrow -p smoothing_width 30 -p n_folds 4",
        epilog="\n".join(["parameters:", *map(_described, _for_the_shell())]),
    )  # fmt: skip
    run.add_argument("name", metavar="NAME", nargs="?", help="of the run; default, without -p: default")
    run.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), dest="parameters",
                     help="set a parameter; may be repeated; lists as [a,b]")  # fmt: skip
    run.add_argument("--chapters", metavar="1-3", help="only these, for example 2, 1-3, 1,4-5 or A6")
    run.add_argument("--resume", action="store_true",
                     help="go on with the run's own parameters; chapters with the same inputs stay")  # fmt: skip
    run.add_argument("--replace", action="store_true", help="lose a run of this name that has other parameters")
    run.add_argument("--from", metavar="RUN", dest="take_from",
                     help="take chapters of this run whose inputs are the same")  # fmt: skip
    run.set_defaults(call=_run)

    sweep = commands.add_parser(
        "sweep", help="make the runs that a file lists, for example sweeps/sensitivity.yml", epilog=SWEEP_FILE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Make the runs that a file lists; what they share is computed once. One that fails stops\n"
                    "no other, and the same call does again only what is not done.",
    )  # fmt: skip
    sweep.add_argument("file", metavar="FILE", type=Path, help="YAML with name, base, chapters, runs, grid")
    sweep.add_argument("--workers", type=int, metavar="N", help="runs at a time; default: what cores and memory allow")
    sweep.add_argument("--replace", action="store_true", help="lose runs of these names that have other parameters")
    sweep.set_defaults(call=_sweep)

    sync = commands.add_parser("sync", help="write the notebook twins of the chapters from their text")
    what = sync.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; fail if a twin is not what its text gives")
    what.add_argument("--accept", metavar="RUN", help="take the checked numbers of this run, and print what changes")
    sync.set_defaults(call=_sync)

    build = commands.add_parser("build", help="render a run as HTML pages")
    build.add_argument("name", metavar="NAME", nargs="?", default="default", help="of the run; default: default")
    build.set_defaults(call=_build)

    simulate = commands.add_parser("simulate", help="write a simulated survey in the surveys' own file formats")
    simulate.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="where to: a new or empty folder, or one that the same command left unfinished",
    )
    simulate.add_argument("--overlap", type=int, default=300, metavar="N", help="stars in common; default 300")
    simulate.add_argument("--dr2", type=int, default=500, metavar="N", help="further LAMOST stars; default 500")
    simulate.add_argument("--apogee", type=int, default=1000, metavar="N", help="stars of APOGEE; default 1000")
    simulate.add_argument("--seed", type=int, default=2017, metavar="S", help="default 2017")
    simulate.add_argument(
        "--format", choices=mock.FORMATS, default="image", help="spectra as in LAMOST DR1-DR7 (image) or DR8+ (table)"
    )
    simulate.add_argument("--gzip", action="store_true", help="write .fits.gz: smaller, and slower to write and read")
    simulate.set_defaults(call=_simulate)

    add_commands(commands)

    runs = commands.add_parser(
        "runs", help="list the runs",
        description="List the runs: whether they finished, in what time, and which parameters are not the default.",
    )  # fmt: skip
    runs.set_defaults(call=_runs)

    compare = commands.add_parser(
        "compare", help="numbers of several runs side by side",
        description="Numbers of several runs side by side, with the differences from the first.",
    )  # fmt: skip
    compare.add_argument("names", metavar="RUN", nargs="+", help="names of runs, as `labeltransfer runs` lists them")
    compare.add_argument("--html", metavar="FILE", type=Path, help="write a page, with the key figures")
    compare.add_argument("--json", metavar="FILE", type=Path, help="write the numbers")
    compare.set_defaults(call=_compare)
    return top


def _for_the_shell() -> list[Parameter]:
    """All parameters but the run's name, which is an argument of its own."""
    return [one for one in PARAMETERS.values() if one.name != "run"]


def _described(one: Parameter) -> str:
    return f"  {one.name:21} {one.description}\n{'':24}default {one.typed}; allowed: {one.allowed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns 0, or 1 with a message on the standard error stream."""
    given = parser().parse_args(arguments)
    try:
        with sigterm_interrupts():
            return int(given.call(given) or 0)
    except (ValueError, TypeError, OSError, RuntimeError, ImportError) as error:
        print(f"labeltransfer {given.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nlabeltransfer {given.command}: interrupted", file=sys.stderr)
        return 130


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """A polite kill (SIGTERM) ends the command as Ctrl-C does, so that records say what happened."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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


def _run(given: argparse.Namespace) -> None:
    from .runs import run

    if given.parameters and given.name is None:
        raise ValueError("-p: a run with parameters of its own wants a name, for example `labeltransfer run mine -p …`")
    run(Book(), given.name or "default", read_parameters(given.parameters), given.chapters, resume=given.resume,
        replace=given.replace, take_from=given.take_from)  # fmt: skip


def _sync(given: argparse.Namespace) -> int:
    from .sync import sync

    book = Book()
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
    from .record import check_whole, read_record

    record = read_record(name, book.root)
    changed = ", ".join(f"{key} = {value}" for key, value in record.changed(book).items())
    if changed:
        raise ValueError(
            f"--accept: run {name!r} has {changed}, wanted all parameters at their defaults, as the twins have them; "
            "`labeltransfer run default` makes such a run, if there is one of this name with --replace"
        )
    check_whole(book, record)
    return runs_folder(book.root) / name


def _build(given: argparse.Namespace) -> None:
    from .build import build

    print(f"open {build(Book(), given.name)}")


def _simulate(given: argparse.Namespace) -> None:
    survey = mock.SimulatedSurvey(
        n_overlap=given.overlap, n_dr2=given.dr2, n_apogee=max(given.apogee, given.overlap), seed=given.seed
    )
    mock.write_survey(survey, given.folder, spectra_format=given.format, compress=given.gzip)
    print(f"{given.folder}: {given.overlap:,} stars in common, {given.dr2:,} further LAMOST stars; now for example\n"
          f"labeltransfer run mine -p source folder -p survey_dir {given.folder}")  # fmt: skip


def _runs(given: argparse.Namespace) -> None:
    from .record import list_runs

    print("\n".join(list_runs(Book())))


def _sweep(given: argparse.Namespace) -> int:
    from .sweep import finished, read_sweep, run_sweep

    if given.workers is not None and given.workers < 1:
        raise ValueError(f"--workers: found {given.workers}, wanted 1 or more")
    book = Book()
    sweep = read_sweep(given.file, book)
    outcomes = run_sweep(book, sweep, given.workers, replace=given.replace)
    failed = [outcome for outcome in outcomes if outcome.message]
    for outcome in failed:
        print(f"{outcome.name}: {outcome.message}", file=sys.stderr)
    print(f"{len(sweep.runs) - len(failed)} of {len(sweep.runs)} runs finished")
    names = finished(book, outcomes)
    if len(names) > 1:
        print(f"now for example\nlabeltransfer compare {' '.join(names)} --html compared.html")
    return 1 if failed else 0


def _compare(given: argparse.Namespace) -> None:
    from .compare import compare_runs

    book = Book()
    found = compare_runs(book, given.names)
    print("\n".join(found.lines()))
    if given.json:
        print(f"written: {found.write_json(given.json)}")
    if given.html:
        print(f"written: {found.write_html(given.html, book)}")


if __name__ == "__main__":
    sys.exit(main())
