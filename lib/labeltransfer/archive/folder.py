"""A folder of LAMOST spectra with a table of labels, or with the tables of both surveys, and what is in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..labels import Labels
from ..lamost import Unreadable, identifier, printable
from ..lamost.reading import repeats
from .label_table import labels_in_table
from .roles import SPECTRUM_SUFFIXES, candidates, find_roles

__all__ = ["Contents", "Found", "find_spectra", "labels_in_table", "look_through", "walk"]

SIMULATED = "simulated.json"
TRUTH = "truth.npz"
"""A file that the simulator leaves in the folders it writes: what is read from them is called simulated, too."""


@dataclass(frozen=True)
class Found:
    """Files of spectra, and what is left out.

    Attributes
    ----------
    spectra : files by star (`lamost.identifier`), in order of path; of files of one name the first
    repeated : further files whose name another has already
    refused : folders that were not entered, and what is no file
    """

    spectra: dict[str, Path]
    repeated: list[Path]
    refused: list[Unreadable]

    @property
    def left_out(self) -> list[Unreadable]:
        """All that gives no spectrum although it was found, and why."""
        first = (self.spectra[identifier(path)] for path in self.repeated)
        return [*self.refused, *map(repeats, self.repeated, first)]


@dataclass(frozen=True)
class Contents(Found):
    """What a survey folder holds.

    Attributes
    ----------
    folder : where
    labels : the label table, or None
    catalogue, allstar : the tables of both surveys, or None
    notes : which table plays which part, and why
    """

    folder: Path
    labels: Path | None
    catalogue: Path | None
    allstar: Path | None
    notes: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether the simulator wrote this folder: it leaves a file of this name."""
        return (self.folder / SIMULATED).exists()

    def truth(self) -> Labels | None:
        """True labels, if the folder is the simulator's and holds them."""
        path = self.folder / TRUTH
        return Labels.read(path) if self.simulated and path.exists() else None

    @property
    def data_hash(self) -> str:
        """Changes when a file of the folder is added, removed or rewritten (name, size, time of writing)."""
        digest = hashlib.sha256()
        files = [*self.spectra.values(), *self.repeated, self.labels, self.catalogue, self.allstar]
        for path in files:
            if path is not None:
                facts = path.lstat()
                line = f"{os.path.relpath(path, self.folder)}|{facts.st_size}|{facts.st_mtime_ns}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def look_through(folder: str | Path, label_table: str | Path | None = None) -> Contents:
    """Find spectra (in all sub-folders) and tables of a survey folder; for the tables see `roles.find_roles`.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If it holds no spectra, or no table of labels can be told.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder; wanted one with LAMOST spectra and a table of labels")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file; wanted the folder that holds the LAMOST spectra")
    roles = find_roles(folder, label_table)
    found = find_spectra([folder], roles.tables)
    return Contents(
        found.spectra, found.repeated, found.refused, folder, roles.labels, roles.catalogue, roles.allstar, roles.notes
    )


def find_spectra(paths: Iterable[Path], tables: Collection[Path] | None = None) -> Found:
    """The files of spectra among paths, and in those that are folders (see `walk`); one given twice counts once.

    Parameters
    ----------
    tables : files that are none; by default the tables at the top of each folder, see `roles.candidates`

    Raises
    ------
    ValueError
        If there is none.
    """
    paths = list(paths)
    spectra: dict[str, Path] = {}
    repeated: list[Path] = []
    refused: list[Unreadable] = []
    seen: set[str] = set()
    for given in paths:
        files, not_entered = walk(given) if given.is_dir() else ([given], [])
        refused += not_entered
        besides = tables if tables is not None else candidates(given) if given.is_dir() else ()
        places = [os.path.realpath(path) for path in files] if len(paths) > 1 else []
        files = [path for path, place in zip(files, places, strict=True) if place not in seen] if places else files
        seen.update(places)
        for path in files:
            if path not in besides and spectra.setdefault(identifier(path), path) is not path:
                repeated.append(path)
    if not spectra:
        raise ValueError(
            f"{', '.join(map(str, paths)) or 'no path given'}: no spectra in it or in its sub-folders; wanted LAMOST "
            "files (*.fits, *.fits.gz …) or folders of them"
            + "".join(f"; {failure.path}: {failure.reason}" for failure in refused[:1])
        )
    return Found(spectra, repeated, refused)


def walk(folder: str | Path) -> tuple[list[Path], list[Unreadable]]:
    """Every ``.fits`` file, packed or not, in a folder and its sub-folders, and what was not entered or opened.

    Links to folders are followed after all other folders, and no folder is entered twice; a link that leads nowhere may
    be one to a folder that is not there now. Hidden files and folders are left out (snapshots and waste baskets hold
    older copies); one that is given by its name is read.

    Returns
    -------
    files, refused
        Both in order of path.
    """
    found: list[Path] = []
    refused: list[Unreadable] = []
    entered: dict[tuple[int, int], Path] = {}
    waiting, links = [Path(folder)], list[Path]()
    while waiting or links:
        base = waiting.pop() if waiting else links.pop(0)
        try:
            facts = base.stat()
            first = entered.setdefault((facts.st_dev, facts.st_ino), base)
            if first is not base:
                refused.append(Unreadable(printable(base), f"the same folder as {printable(first)}: not read again"))
                continue
            with os.scandir(base) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            refused.append(Unreadable(printable(base), f"folder not entered: {error.strerror}"))
            continue
        for entry in entries:
            _sort_in(entry, found, waiting, links, refused)
    return sorted(found), sorted(refused, key=lambda failure: failure.path)


def _sort_in(
    entry: os.DirEntry[str], found: list[Path], waiting: list[Path], links: list[Path], refused: list[Unreadable]
) -> None:
    path = Path(entry.path)
    try:
        if entry.name.startswith("."):
            return
        if entry.is_dir():
            (links if entry.is_symlink() else waiting).append(path)
        elif entry.is_symlink() and not path.exists():
            refused.append(Unreadable(printable(path), f"a link that leads nowhere: {printable(path.readlink())}"))
        elif entry.name.lower().endswith(SPECTRUM_SUFFIXES):
            if entry.is_file() or not path.exists():
                found.append(path)
            else:
                refused.append(Unreadable(printable(path), "a pipe, socket or device, wanted a file; not opened"))
    except OSError as error:
        refused.append(Unreadable(printable(path), f"not entered: {error.strerror}"))
