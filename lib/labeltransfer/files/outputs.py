"""What an output may not be: an input, a thing that is there already, or anything within a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile

from .arrays import remove_orphans

STORE_NOTE = "store.json"
"""By which a store of spectra is known."""


def check_output(
    path: str | Path,
    what: str,
    *,
    inputs: Iterable[str | Path] = (),
    replace: bool = False,
    is_ours: Callable[[Path], bool] = lambda path: True,
) -> Path:
    """Refuse an output that would destroy something, before any work is done; see also `arrays.remove_orphans`.

    Parameters
    ----------
    path : the file to be written
    what : it will be, for example ``"catalogue"``
    inputs : files and folders that are read meanwhile
    replace : whether a file of the same kind may be replaced
    is_ours : whether an existing file is such a thing as will be written; it may raise ValueError or OSError for no

    Raises
    ------
    ValueError
        If `path` is one of the inputs, lies in a store, is a folder, exists and may not be replaced, or cannot be
        written.
    """
    path = Path(path)
    if any(path.exists() and Path(one).exists() and path.samefile(one) for one in inputs):
        raise ValueError(f"{path}: is an input; the {what} would replace it: give another name")
    store = next((folder for folder in path.resolve().parents if (folder / STORE_NOTE).exists()), None)
    if store is not None:
        raise ValueError(f"{path}: lies within the store {store}, which nothing else may change; give another place")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, wanted the name of the {what}")
    check_writable(path.parent)
    remove_orphans(path.parent)
    if not path.exists():
        return path
    if not _holds(is_ours, path):
        raise ValueError(f"{path}: exists already and is no {what} that labeltransfer wrote; give another name")
    if not replace:
        raise ValueError(f"{path}: a {what} is there already; give another name, or replace it (--replace)")
    return path


def check_writable(folder: str | Path) -> None:
    """Refuse a folder in which nothing can be written, or which cannot be made, before any work is done.

    Raises
    ------
    ValueError
        Naming the folder, or the one above it that is there, and why.
    """
    there = Path(folder)
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        why = error.strerror if there.is_dir() else "is a file, wanted a folder"
        raise ValueError(f"{folder}: nothing can be written there ({there}: {why}); give another place") from error


def _holds(is_ours: Callable[[Path], bool], path: Path) -> bool:
    try:
        return is_ours(path)
    except (ValueError, OSError):
        return False
