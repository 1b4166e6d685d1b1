"""`labeltransfer completion`: the completion of a shell."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")


def completion(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``completion``."""
    command.epilog = "for example, in ~/.bashrc:\n  source <(labeltransfer completion bash)"
    command.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    command.set_defaults(call=_completion)


def _completion(given: argparse.Namespace) -> None:
    import shtab

    from . import parser

    print(shtab.complete(parser(), given.shell))
