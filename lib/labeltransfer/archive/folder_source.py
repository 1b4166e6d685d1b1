"""A survey in a folder: its overlap and its spectra, read from LAMOST files as they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
from astropy.table import Table, vstack

from .. import apogee, lamost
from ..labels import Labels, Rows
from ..lamost.catalogue import unknown_stars
from ..spectra import Spectra
from .folder import Contents
from .label_table import named_by_headers, one_row_per_star, read_label_table
from .overlap import (
    BLOCK_SIZE,
    Overlap,
    blocks_of_rows,
    dr2_table,
    join_surveys,
    match_surveys,
    rows_of,
    star_table,
    with_masked_stars,
)


class FolderSource:
    """A folder of LAMOST files; `unreadable` grows as files fail."""

    def __init__(self, contents: Contents, label_names: tuple[str, ...], mask: str, progress: bool) -> None:
        self.contents, self.label_names, self.mask, self.progress = contents, label_names, mask, progress
        self.simulated = contents.simulated
        self.unreadable: list[lamost.Unreadable] = list(contents.refused)
        tables = f"{contents.labels.name} for labels" if contents.labels else "LAMOST catalogue and allStar table"
        kind = "simulated survey written to" if self.simulated else "folder"
        self.description = f"{kind} {contents.folder}: {len(contents.spectra):,} files of spectra, {tables}"

    @property
    def refused(self) -> list[lamost.Unreadable]:
        """Folders that were not entered, and what is no file."""
        return self.contents.refused

    def __repr__(self) -> str:
        return f"FolderSource({self.description})"

    @property
    def data_hash(self) -> str:
        """See `Survey.data_hash`."""
        return hashlib.sha256(f"{self.mask} {self.contents.data_hash}".encode()).hexdigest()

    @cached_property
    def _labelled(self) -> tuple[Table, Labels] | None:
        if self.contents.labels is None:
            return None
        stars, labels = read_label_table(self.contents.labels, self.label_names, self.contents.spectra)
        nameless = ~np.isin(labels.ids, list(self.contents.spectra))
        free = np.setdiff1d(list(self.contents.spectra), labels.ids)
        findable = nameless & ((np.asarray(stars["obsid"]) > 0) | np.isfinite(stars["ra"]))
        if not findable.any() or not free.size:
            return stars, labels
        return named_by_headers(stars, labels, self._places(free), nameless)

    def _places(self, ids: np.ndarray) -> Table:
        """Which stars the spectra of these names are of, and where they stand."""
        return lamost.read_places([self.contents.spectra[name] for name in ids.tolist()], progress=self.progress)

    @cached_property
    def _allstar(self) -> Table | None:
        if self.contents.labels or not self.contents.allstar:
            return None
        return apogee.read_allstar(self.contents.allstar, self.label_names)

    @cached_property
    def _catalogue(self) -> Table:
        """LAMOST's catalogue; without one, what the label table tells, and a row for every further file."""
        if self._labelled is None and self.contents.catalogue is not None:
            return one_row_per_star(lamost.read_catalogue(self.contents.catalogue, self.contents.spectra))
        known = self._labelled[0] if self._labelled else unknown_stars(np.array([], dtype=str))
        others = np.setdiff1d(list(self.contents.spectra), known["id"])
        return vstack([known, unknown_stars(others)]) if others.size else known

    def allstar(self) -> Table | None:
        """See `Survey.allstar`."""
        return self._allstar

    def overlap(self) -> Overlap:
        """See `Survey.overlap`."""
        if self._labelled is not None:
            return self._labelled_overlap(*self._labelled)
        match = match_surveys(self._catalogue, self._allstar, label_names=self.label_names)
        reading = self._read_some(np.asarray(self._catalogue["id"])[match.rows])
        readable = np.isin(self._catalogue["id"][match.rows], reading.spectra.ids)
        match.counts["of them without a readable spectrum, dropped"] = int((~readable).sum())
        overlap = join_surveys(match[readable], self._catalogue, reading.spectra, self.label_names)
        truth = self.contents.truth()
        known = None if truth is None else truth.of(overlap.spectra.ids)
        unreadable = [*self.contents.refused, *reading.unreadable]
        return replace(overlap, unreadable=unreadable, truth=known, notes=(*self.contents.notes, *overlap.notes))

    def _labelled_overlap(self, catalogue: Table, labels: Labels) -> Overlap:
        present = np.isin(labels.ids, list(self.contents.spectra))
        if not present.any():
            first = str(labels.ids[0]) if len(labels) else ""
            raise ValueError(
                f"{self.contents.labels}: none of its {len(labels)} stars (the first: {first!r}) has a "
                f"file of that name among the {len(self.contents.spectra)} spectra (the first: "
                f"{next(iter(self.contents.spectra))!r}), nor has the obsid of one, nor lies within 3 arcsec; wanted "
                "a column filename or id that names the files, or obsid, or ra and dec in degrees"
            )
        reading = self._read_some(labels.ids[present])
        rows = rows_of(labels.ids, reading.spectra.ids)
        known = catalogue[rows]
        for name, header in (("ra", "ra"), ("dec", "dec"), ("snrg", "snr_g")):
            known[name] = np.where(np.isfinite(known[name]), known[name], reading.stars[header])
        known["z"] = reading.stars["z"]
        stars = star_table(known, reading.stars["snr"])
        counts = {
            "stars in the label table": len(labels),
            "files of spectra": len(self.contents.spectra),
            "further files of the same name, left alone": len(self.contents.repeated),
            "stars with labels and a file": int(present.sum()),
            "of them without a readable spectrum, dropped": len(reading.unreadable),
        }
        has_flags = "aspcapflag" in known.colnames
        flagged = apogee.flagged(known) if has_flags else np.zeros(len(stars), dtype=bool)
        unreadable = [*self.contents.refused, *reading.unreadable]
        notes = (*self.contents.notes, *catalogue.meta["notes"])
        return Overlap(reading.spectra, labels[rows], None, stars, flagged, unreadable, counts, notes=notes)

    @cached_property
    def _redshifts(self) -> dict[str, float]:
        return dict(zip(self._catalogue["id"].tolist(), self._catalogue["z"].tolist(), strict=True))

    def _read_some(self, ids: np.ndarray) -> lamost.Reading:
        """As `_read`, but at least one of them must be readable."""
        reading = self._read(ids)
        if not len(reading.spectra):
            failure = reading.unreadable[0]
            raise ValueError(
                f"{self.contents.folder}: none of {len(ids)} spectra could be read; {failure.path}: {failure.reason}"
            )
        return reading

    def _read(self, ids: np.ndarray, progress: bool | None = None) -> lamost.Reading:
        """Read the spectra of stars; those without a file are unreadable, too."""
        files = self.contents.spectra
        shown = self.progress if progress is None else progress
        paths = [files.get(name, self.contents.folder / f"{name}.fits") for name in ids.tolist()]
        return lamost.read_spectra(paths, mask=self.mask, redshifts=self._redshifts, progress=shown)

    def dr2_catalogue(self) -> Table:
        """See `Survey.dr2_catalogue`."""
        return dr2_table(self._catalogue)

    def dr2_blocks(self, rows: Rows | None = None, block_size: int = BLOCK_SIZE) -> Iterator[Spectra]:
        """See `Survey.dr2_blocks`."""
        ids = np.asarray(self._catalogue["id"])
        for block in blocks_of_rows(rows, ids.size, block_size):
            reading = self._read(ids[block], progress=False)
            self.unreadable += reading.unreadable
            yield with_masked_stars(reading.spectra, ids[block])
