"""The `labeltransfer` command. What a sub-command needs is imported when it is called: ``--help`` costs nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from labeltransfer import __version__

from .process import in_words, log_to_stderr, never_closed, no_longer_read, sigterm_interrupts

EXIT_CODES = """exit codes:
  0    done
  1    failed on the way; the message says how to go on
  2    asked wrongly, or a package or file is not what it should be; the message says what is wanted
  3    done, but with losses: some files could not be read, or some runs failed
  130  interrupted"""


class Command(NamedTuple):
    """A sub-command: the module that has it as a function of its name, its line in the help, the extra it needs, and
    what is left of it when it is interrupted.
    """

    module: str
    help: str
    extra: str = ""
    interrupted: str = ""


SHOWN = 3
"""Arguments that are not understood, named one by one."""


class SubParser(argparse.ArgumentParser):
    """Of a sub-command: what it does not understand is an error of its own, below its own usage."""

    def parse_known_args(self, *given: Any) -> Any:  # type: ignore[override]
        known, rest = super().parse_known_args(*given)
        if rest:
            more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
            self.error(f"unrecognized arguments: {' '.join(rest[:SHOWN])}{more}")
        return known, rest


GOES_ON = "what is finished is kept; the same command goes on there"


COMMANDS = {
    "simulate": Command("labels", "write a simulated survey in the surveys' own file formats", "", GOES_ON),
    "fetch": Command("labels", "download real spectra or tables, checked and kept", "survey", GOES_ON),
    "ingest": Command("labels", "read LAMOST files once, into a store that infer and train take", "survey",
                      f"{GOES_ON} (without --replace)"),
    "train": Command("labels", "train a model on a folder of LAMOST files and a table of labels", "",
                     "nothing was written"),
    "infer": Command("labels", "label LAMOST files with a trained model", "", GOES_ON),
    "run": Command("book", "execute the chapters into _runs/NAME", "book",
                   "finished chapters are kept; the same command goes on with --resume"),
    "sweep": Command("book", "make the runs that a file lists, for example sweeps/sensitivity.yml", "book", GOES_ON),
    "sync": Command("book", "write the notebook twins of the chapters from their text", "book"),
    "build": Command("book", "render a run as HTML pages", "book"),
    "runs": Command("book", "list the runs", "book"),
    "compare": Command("book", "numbers of several runs side by side", "book"),
    "evidence": Command("book", "compute the evidence behind the claims, or check it", "book"),
    "completion": Command("completion", "print the completion of a shell, to be sourced there"),
}  # fmt: skip


def parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """What the command understands; given the arguments, in full only for the sub-command that they name."""
    top = argparse.ArgumentParser(
        prog="labeltransfer", description="Label spectra; simulate surveys; run, check and render the book.",
        epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"labeltransfer {__version__}")
    _add_loudness(top, 0)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=SubParser)
    named = None if arguments is None else next((word for word in arguments if not word.startswith("-")), "")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}.")
        one.formatter_class = argparse.RawDescriptionHelpFormatter
        _add_loudness(one, argparse.SUPPRESS)
        if named in (None, name):
            fill: Callable[[argparse.ArgumentParser], None] = getattr(
                import_module(f".{command.module}", __package__), name
            )
            fill(one)
    return top


def _add_loudness(one: argparse.ArgumentParser, default: int | str) -> None:
    how = one.add_mutually_exclusive_group()
    how.add_argument("-v", "--verbose", action="count", default=default, help="say more (-vv: everything)")
    how.add_argument("-q", "--quiet", action="count", default=default, help="results and errors alone, no progress")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns one of `EXIT_CODES`, with a message on the standard error stream."""
    never_closed()
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        if no_longer_read(sys.stdout):
            return 141
        print(f"labeltransfer: {error}", file=sys.stderr)
        return 1


def _main(arguments: Sequence[str]) -> int:
    given = parser(arguments).parse_args(arguments)
    if given.quiet:
        os.environ["TQDM_DISABLE"] = "1"
    log_to_stderr(given.verbose - given.quiet)
    try:
        with sigterm_interrupts():
            if COMMANDS[given.command].extra:
                from .extras import need

                need(COMMANDS[given.command].extra)
            return int(given.call(given) or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        left = COMMANDS[given.command].interrupted
        print(f"\nlabeltransfer {given.command}: interrupted{left and '; '}{left}", file=sys.stderr)
        return 130
    except (ValueError, TypeError, ImportError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        print(f"labeltransfer {given.command}: {in_words(error)}", file=sys.stderr)
        return 2
    except (OSError, RuntimeError) as error:
        print(f"labeltransfer {given.command}: {in_words(error)}", file=sys.stderr)
        return 1
