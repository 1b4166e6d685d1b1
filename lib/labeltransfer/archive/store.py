"""A store of rest-frame, normalized spectra: a survey's files read once, and never again.

A folder with two Zarr arrays, ``flux`` and ``ivar`` (one chunk for each block of files), a note on the stars of every
block (``blocks/part-00000.npz``) with the check sums of its flux and inverse variance, ``manifest.csv``, which says of
every file whether it was read, or why not, and ``complete.json``, which has the fingerprints of all notes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ..files.arrays import DAMAGE
from ..lamost import Unreadable, printable
from ..spectra import Spectra
from .store_files import (
    ARRAYS,
    MANIFEST,
    MENDED,
    STAR_COLUMNS,
    block_path,
    checked_spectra,
    columns,
    digest_of_note,
    is_store,
    n_blocks,
    read_block_note,
    read_counts,
    read_note,
    zarr_module,
)

__all__ = ["MANIFEST", "SpectraStore", "is_store", "read_manifest"]


@dataclass(frozen=True, eq=False, repr=False)
class SpectraStore:
    """Spectra of a survey on disk, block by block.

    Attributes
    ----------
    folder : where
    facts : how they were made: n_files, block_size, mask, width, convention, simulated, source, files (fingerprint)
    counts : files that were read and skipped, and of every block how many were read and the fingerprint of its note
    """

    folder: Path
    facts: Mapping[str, Any]
    counts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> SpectraStore:
        """Open a finished store.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none, it is of another format version, or not finished.
        """
        folder = Path(folder)
        facts = read_note(folder)
        if facts is None:
            raise FileNotFoundError(
                f"{folder}: no store of spectra; make one with `labeltransfer ingest FOLDER -o STORE`"
            )
        counts = read_counts(folder, facts)
        if counts is None:
            done, wanted = len(list((folder / "blocks").glob("part-*.npz"))), n_blocks(facts)
            raise ValueError(
                f"{folder}: unfinished store, {done} of {wanted} blocks; ingest again, it goes on where it stopped"
            )
        return cls(folder, facts, counts)

    def __repr__(self) -> str:
        return f"SpectraStore({self.folder}: {len(self):,} stars of {self.facts['n_files']:,} files)"

    def __len__(self) -> int:
        return int(self.counts["read"])

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return n_blocks(self.facts)

    @property
    def sizes(self) -> list[int]:
        """How many stars each block has."""
        return [n_read for n_read, _ in self.counts["blocks"]]

    @property
    def skipped(self) -> list[Unreadable]:
        """Files that gave no spectrum, and folders that were not entered, and why."""
        lines = [line for line in read_manifest(self.folder) if line["status"] == "skipped"]
        return [Unreadable(printable(line["file"]), line["reason"]) for line in lines]

    @property
    def data_hash(self) -> str:
        """Fingerprint of the stars and of how they were made."""
        return str(self.counts["digest"])

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        try:
            group = zarr_module().open_group(self.folder, mode="r")
            return tuple(group[name] for name in ARRAYS)
        except (*DAMAGE, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{self.folder}: its arrays are damaged ({error}); {MENDED}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("folder", "facts", "counts")}

    @cached_property
    def wavelength(self) -> np.ndarray:
        """(P,) Å, vacuum, rest frame."""
        return columns(self.folder / "wavelength.npz", "Wavelength", ("wavelength",))["wavelength"]

    def note(self, number: int) -> dict[str, np.ndarray]:
        """The note on a block, see `write_block`.

        Raises
        ------
        FileNotFoundError, ValueError
            If it is not there, or not the one that was written.
        """
        if digest_of_note(self.folder, number) != self.counts["blocks"][number][1]:
            raise ValueError(f"{block_path(self.folder, number)}: not the note that was written; {MENDED}")
        return read_block_note(self.folder, number)

    def stars(self, number: int) -> Table:
        """The stars of a block whose files could be read: id, path, and `STAR_COLUMNS`."""
        return _stars(self.note(number))

    def block(self, number: int) -> tuple[Spectra, Table]:
        """Spectra and stars of a block, files that could not be read left out.

        Raises
        ------
        ValueError
            If the block is damaged, or not the one that was written.
        """
        note = self.note(number)
        flux, ivar = checked_spectra(self.folder, number, self.facts, note, self._arrays)
        good = note["reason"] == ""
        if not good.all():
            flux, ivar = flux[good], ivar[good]
        return Spectra(note["id"][good], self.wavelength, flux, ivar, normalized=True), _stars(note)

    def all_stars(self) -> Table:
        """The stars of all blocks, see `stars`."""
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("id", "path", *STAR_COLUMNS)}
        for number in range(self.n_blocks):
            table = self.stars(number)
            for name, values in columns.items():
                values.append(np.asarray(table[name]))
        return Table({name: np.concatenate(values) for name, values in columns.items()})

    def select(self, ids: np.ndarray) -> Iterator[Spectra]:
        """The spectra of some stars, those of each block together, in the order of the store."""
        for number in range(self.n_blocks):
            wanted = np.isin(self.stars(number)["id"], ids)
            if wanted.any():
                yield self.block(number)[0][wanted]


def read_manifest(store: str | Path) -> list[dict[str, str]]:
    """Every file with its status (read, skipped) and reason, as ``manifest.csv`` has them."""
    path = Path(store) / MANIFEST
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return list(csv.DictReader(stream))


def _stars(note: Mapping[str, np.ndarray]) -> Table:
    table = Table({name: note[name] for name in ("id", "path", *STAR_COLUMNS)})
    table["ra"].unit = table["dec"].unit = "deg"
    return table[note["reason"] == ""]
