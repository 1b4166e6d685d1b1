"""A folder of LAMOST spectra with a table of labels, or with the tables of both surveys, and what is in it."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from ..labels import Labels
from ..lamost import Unreadable, identifier, printable
from .label_table import labels_in_table
from .roles import SPECTRUM_SUFFIXES, find_roles, named_tables

__all__ = [
    "Contents", "find_tables", "labels_in_table", "look_through", "named_tables", "spectrum_files", "walk",
]  # fmt: skip

SIMULATED = "simulated.json"
TRUTH = "truth.npz"
"""A file that the simulator leaves in the folders it writes: what is read from them is called simulated, too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contents:
    """What a survey folder holds.

    Attributes
    ----------
    folder : where
    spectra : files of spectra by star (`lamost.identifier`), in order of path; of files of one name the first
    repeated : further files whose name another has already
    labels : the label table, or None
    catalogue, allstar : the tables of both surveys, or None
    notes : which table plays which part, and why
    refused : folders that were not entered, and what is no file
    """

    folder: Path
    spectra: dict[str, Path]
    repeated: list[Path]
    labels: Path | None
    catalogue: Path | None
    allstar: Path | None
    notes: tuple[str, ...] = ()
    refused: list[Unreadable] = field(default_factory=list)

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
    spectra: dict[str, Path] = {}
    repeated = []
    files, refused = walk(folder)
    for path in files:
        if path in (roles.labels, roles.catalogue, roles.allstar):
            continue
        if spectra.setdefault(identifier(path), path) != path:
            repeated.append(path)
    if not spectra:
        raise ValueError(
            f"{folder}: no spectra in it or in its sub-folders; wanted files *.fits or *.fits.gz"
            + "".join(f"; {failure.path}: {failure.reason}" for failure in refused[:1])
        )
    return Contents(folder, spectra, repeated, roles.labels, roles.catalogue, roles.allstar, roles.notes, refused)


def find_tables(folder: Path, label_table: str | Path | None = None) -> tuple[Path | None, Path | None, Path | None]:
    """The tables of labels, of LAMOST and of APOGEE at the top of a folder, see `roles.find_roles`."""
    roles = find_roles(folder, label_table)
    return roles.labels, roles.catalogue, roles.allstar


def spectrum_files(folder: str | Path) -> list[Path]:
    """The files that `walk` finds."""
    files, refused = walk(folder)
    for failure in refused:
        _log.warning("%s: %s", failure.path, failure.reason)
    return files


def walk(folder: str | Path) -> tuple[list[Path], list[Unreadable]]:
    """Every ``.fits`` and ``.fits.gz`` file in a folder and its sub-folders, and what was not entered or opened.

    Links to folders are followed after all other folders, and no folder is entered twice. Hidden files are left out.

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
        if entry.is_dir():
            (links if entry.is_symlink() else waiting).append(path)
        elif entry.name.lower().endswith(SPECTRUM_SUFFIXES) and not entry.name.startswith("."):
            if entry.is_file() or not path.exists():
                found.append(path)
            else:
                refused.append(Unreadable(printable(path), "a pipe, socket or device, wanted a file; not opened"))
    except OSError as error:
        refused.append(Unreadable(printable(path), f"not entered: {error.strerror}"))
