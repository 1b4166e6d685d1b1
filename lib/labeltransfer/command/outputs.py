"""Where a command writes: nothing that exists is lost unasked, and no input ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..archive.store import is_store


def check_output(output: Path, inputs: Sequence[Path], *, replace: bool, suffixes: Sequence[str] = ()) -> None:
    """Refuse an output that would destroy something.

    Parameters
    ----------
    inputs : what the command reads
    replace : an existing file may be lost
    suffixes : that the output may have; empty if it is a folder

    Raises
    ------
    ValueError
        If the suffix is another, or the output is one of the inputs, would hold one, or lies in a store.
    FileExistsError
        If it is there already.
    """
    if suffixes and output.suffix.lower() not in suffixes:
        raise ValueError(f"-o {output}: found suffix {output.suffix!r}, wanted {_one_of(suffixes)}")
    place = output.resolve()
    for one in (path.resolve() for path in inputs):
        if place == one or place in one.parents:
            raise ValueError(f"-o {output}: is or holds {one}, which is read here; give another place")
    for folder in place.parents:
        if is_store(folder):
            raise ValueError(f"-o {output}: lies in the store {folder}, which holds its own files alone")
    if suffixes and output.is_dir():
        raise ValueError(f"-o {output}: is a folder, wanted a file {_one_of(suffixes)}")
    if suffixes and output.exists() and not replace:
        facts = output.stat()
        written = datetime.fromtimestamp(facts.st_mtime).strftime("%Y-%m-%d %H:%M")
        raise FileExistsError(
            f"-o {output}: is there already ({facts.st_size:,} bytes, written {written}); "
            "give another name, or --replace to lose it"
        )


def _one_of(suffixes: Sequence[str]) -> str:
    return suffixes[0] if len(suffixes) == 1 else f"one of {', '.join(suffixes)}"
