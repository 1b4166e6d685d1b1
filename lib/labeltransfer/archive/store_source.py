"""A survey whose spectra are in a store: as a folder of LAMOST files, but read once and normalized already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import lamost
from ..labels import PAPER_LABELS
from ..spectra import Spectra
from .folder import Contents, labels_in_table
from .folder_source import FolderSource
from .overlap import rows_of
from .roles import find_roles
from .store import SpectraStore


class StoreSource(FolderSource):
    """A store of spectra with a table of labels, or with the tables of both surveys, beside the spectra or elsewhere.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no store, it is unfinished, of another mask, or no table of labels can be told.
    """

    def __init__(
        self, store: SpectraStore, label_names: tuple[str, ...], mask: str, contents: Contents, progress: bool
    ) -> None:
        if store.facts["mask"] != mask:
            raise ValueError(
                f"{store.folder}: a store with mask {store.facts['mask']!r}, wanted {mask!r}; ask for the mask it has, "
                "or ingest the files again"
            )
        super().__init__(contents, label_names, mask, progress)
        self.store = store
        self.simulated = bool(store.facts["simulated"])
        self.description = f"store {store.folder}: {len(store):,} spectra"

    @property
    def data_hash(self) -> str:
        """See `Survey.data_hash`."""
        tables = replace(self.contents, spectra={}).data_hash
        return hashlib.sha256(f"{self.store.data_hash} {tables}".encode()).hexdigest()

    @property
    def refused(self) -> list[lamost.Unreadable]:
        """Files that the store could not read, and folders that it did not enter."""
        return self.store.skipped

    @property
    def normalization(self) -> tuple[float, str]:
        """Width [Å] and convention with which the spectra were normalized."""
        return self.store.facts["width"], self.store.facts["convention"]

    @cached_property
    def _stars(self) -> Table:
        return self.store.all_stars()

    def _places(self, ids: np.ndarray) -> Table:
        return self._stars[np.isin(self._stars["id"], ids)]

    def _read(self, ids: np.ndarray, progress: bool | None = None) -> lamost.Reading:
        """Spectra of stars, normalized; those that are not in the store are unreadable."""
        known = np.isin(ids, self._stars["id"])
        found = list(self.store.select(ids[known]))
        unreadable = [lamost.Unreadable(f"{name}.fits", "not in the store") for name in ids[~known].tolist()]
        if not found:
            nothing = np.zeros((0, self.store.wavelength.size), np.float32)
            spectra = Spectra(np.array([], dtype=str), self.store.wavelength, nothing, nothing, normalized=True)
        else:
            spectra = join(found)
        order = rows_of(spectra.ids, ids[known])
        stars = self._stars[rows_of(np.asarray(self._stars["id"]), ids[known])]
        return lamost.Reading(spectra[order], stars, unreadable)


def open_store(
    folder: str | Path,
    label_names: Sequence[str] | None,
    mask: str,
    label_table: str | Path | None = None,
    progress: bool = True,
) -> StoreSource:
    """Open a store as a survey; the tables are looked for in its folder."""
    store = SpectraStore.open(folder)
    roles = find_roles(store.folder, label_table)
    if label_names is None:
        label_names = labels_in_table(roles.labels) if roles.labels else PAPER_LABELS
    paths = store.all_stars()
    spectra = {name: Path(path) for name, path in zip(paths["id"].tolist(), paths["path"].tolist(), strict=True)}
    parts = (roles.labels, roles.catalogue, roles.allstar, roles.notes)
    contents = Contents(spectra, [], [], store.folder, *parts)
    return StoreSource(store, tuple(label_names), mask, contents, progress)


def join(blocks: list[Spectra]) -> Spectra:
    """Spectra of several blocks, one after the other."""
    first = blocks[0]
    return Spectra(
        np.concatenate([block.ids for block in blocks]),
        first.wavelength,
        np.concatenate([block.flux for block in blocks]),
        np.concatenate([block.ivar for block in blocks]),
        first.normalized,
    )
