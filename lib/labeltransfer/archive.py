"""Where a survey's spectra and labels come from: the simulated survey, or a folder of files.

Nothing after this room knows which. The two differ only in how spectra are fetched: `SimulatedSource` asks
`mock.SimulatedSurvey` for them, `FolderSource` reads LAMOST files; finding the stars in common, choosing among repeats
and counting is the same code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from astropy.table import Table, vstack

from . import apogee, lamost, mock
from .folder import Contents, labels_in_table, look_through, one_row_per_star, read_label_table, unknown_stars
from .labels import PAPER_LABELS, Labels, Rows, check_names
from .overlap import Overlap, dr2_table, join_surveys, match_surveys, rows_of, star_table
from .spectra import Spectra

BLOCK_SIZE = 2000
"""Stars whose spectra are in memory at once while a survey is labelled (60 MB)."""

SOURCES = ("simulated", "folder")


class Survey(Protocol):
    """What a chapter knows of a survey."""

    simulated: bool
    description: str

    @property
    def data_hash(self) -> str:
        """Text that changes when the data do."""

    def overlap(self) -> Overlap:
        """Stars with spectra and with labels of the other survey."""

    def allstar(self) -> Table | None:
        """The other survey's own table as it came (repeats, flags), if there is one."""

    def dr2_catalogue(self) -> Table:
        """Every star with a spectrum: id, obsid, ra, dec, glon, glat, snr_g, z, pipeline labels and errors."""

    def dr2_blocks(self, rows: Rows | None = None, block_size: int = BLOCK_SIZE) -> Iterator[Spectra]:
        """Spectra (rest frame, not normalized) of rows of `dr2_catalogue`, in order, block by block.

        A star without a readable spectrum comes with every pixel masked, so that blocks and rows stay in step.
        """


def open_survey(
    source: str = "simulated",
    survey_dir: str | Path | None = None,
    label_names: Sequence[str] | None = PAPER_LABELS,
    *,
    n_overlap: int = 11057,
    n_dr2: int = 45000,
    n_apogee: int = 100000,
    seed: int = 2017,
    mask: str = "none",
    label_table: str | Path | None = None,
    progress: bool = True,
    **assumptions: Any,
) -> Survey:
    """Open a survey by name.

    Parameters
    ----------
    source : ``"simulated"``, or ``"folder"``: a folder of LAMOST files with a table of labels, or with a LAMOST
        catalogue and an allStar table (as `mock.write_survey` writes it)
    survey_dir : the folder, if `source` is one
    label_names : labels to be transferred; None for all known labels that there are
    n_overlap, n_dr2, n_apogee, seed, assumptions : of the simulated survey
    mask : which of LAMOST's pixel masks is applied: ``"none"``, ``"and"``, ``"or"``
    label_table : of a folder, if it is not found by its name

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        If the source is unknown, or the folder does not hold what is needed.
    """
    if mask not in lamost.MASKS:
        raise ValueError(f"mask {mask!r} is unknown; wanted one of {', '.join(lamost.MASKS)}")
    if source == "simulated":
        label_names = PAPER_LABELS if label_names is None else label_names
        check_names(tuple(label_names))
        sizes = {"n_overlap": n_overlap, "n_dr2": n_dr2, "n_apogee": n_apogee, "seed": seed, **assumptions}
        return SimulatedSource(tuple(label_names), mask, sizes)
    if source == "folder":
        if not survey_dir:
            raise ValueError("source 'folder' needs `survey_dir`, the folder that holds the LAMOST spectra")
        contents = look_through(survey_dir, label_table)
        if label_names is None:
            label_names = labels_in_table(contents.labels) if contents.labels else PAPER_LABELS
        return FolderSource(contents, tuple(label_names), mask, progress)
    raise ValueError(f"source {source!r} is unknown; wanted one of {', '.join(SOURCES)}")


class SimulatedSource:
    """The simulated survey, never on disk."""

    simulated = True

    def __init__(self, label_names: tuple[str, ...], mask: str, sizes: dict[str, Any]) -> None:
        self.label_names, self.mask, self.sizes = label_names, mask, sizes
        self.description = (
            f"simulated LAMOST x APOGEE: {sizes['n_overlap']:,} stars in common, {sizes['n_dr2']:,} further LAMOST "
            f"stars, seed {sizes['seed']}"
        )

    def __repr__(self) -> str:
        return f"SimulatedSource({self.description})"

    @cached_property
    def _survey(self) -> mock.SimulatedSurvey:
        return mock.SimulatedSurvey(**self.sizes)

    @cached_property
    def _catalogue(self) -> Table:
        return self._survey.catalogue()

    @property
    def data_hash(self) -> str:
        """See `Survey.data_hash`."""
        facts = json.dumps({"mask": self.mask, **self.sizes}, sort_keys=True, default=repr)
        return hashlib.sha256(facts.encode()).hexdigest()

    def allstar(self) -> Table | None:
        """See `Survey.allstar`."""
        return self._survey.allstar()

    def overlap(self) -> Overlap:
        """See `Survey.overlap`."""
        match = match_surveys(self._catalogue, self._survey.allstar())
        spectra = self._survey.spectra(match.rows, mask=self.mask)
        truth = self._survey.truth()[match.rows]
        return join_surveys(match, self._catalogue, spectra, self.label_names, truth=truth)

    def dr2_catalogue(self) -> Table:
        """See `Survey.dr2_catalogue`."""
        return dr2_table(self._catalogue)

    def dr2_blocks(self, rows: Rows | None = None, block_size: int = BLOCK_SIZE) -> Iterator[Spectra]:
        """See `Survey.dr2_blocks`."""
        for block in _blocks(rows, len(self._catalogue), block_size):
            yield self._survey.spectra(block, mask=self.mask)


class FolderSource:
    """A folder of LAMOST files; `unreadable` grows as files fail."""

    def __init__(self, contents: Contents, label_names: tuple[str, ...], mask: str, progress: bool) -> None:
        self.contents, self.label_names, self.mask, self.progress = contents, label_names, mask, progress
        self.simulated = contents.simulated
        self.unreadable: list[lamost.Unreadable] = []
        tables = f"{contents.labels.name} for labels" if contents.labels else "LAMOST catalogue and allStar table"
        kind = "simulated survey written to" if self.simulated else "folder"
        self.description = f"{kind} {contents.folder}: {len(contents.spectra):,} files of spectra, {tables}"

    def __repr__(self) -> str:
        return f"FolderSource({self.description})"

    @property
    def data_hash(self) -> str:
        """See `Survey.data_hash`."""
        return hashlib.sha256(f"{self.mask} {self.contents.data_hash}".encode()).hexdigest()

    @cached_property
    def _labelled(self) -> tuple[Table, Labels] | None:
        return read_label_table(self.contents.labels, self.label_names) if self.contents.labels else None

    @cached_property
    def _allstar(self) -> Table | None:
        if self.contents.labels or not self.contents.allstar:
            return None
        return apogee.read_allstar(self.contents.allstar)

    @cached_property
    def _catalogue(self) -> Table:
        """LAMOST's catalogue; without one, what the label table tells, and a row for every further file."""
        if self._labelled is None and self.contents.catalogue is not None:
            return one_row_per_star(lamost.read_catalogue(self.contents.catalogue))
        known = self._labelled[0] if self._labelled else Table()
        others = np.setdiff1d(list(self.contents.spectra), known["id"])
        return vstack([known, unknown_stars(others)]) if others.size else known

    def allstar(self) -> Table | None:
        """See `Survey.allstar`."""
        return self._allstar

    def overlap(self) -> Overlap:
        """See `Survey.overlap`."""
        if self._labelled is not None:
            return self._labelled_overlap(*self._labelled)
        match = match_surveys(self._catalogue, self._allstar)
        reading = self._read(np.asarray(self._catalogue["id"])[match.rows])
        readable = np.isin(self._catalogue["id"][match.rows], reading.spectra.ids)
        match.counts["of them without a readable spectrum, dropped"] = int((~readable).sum())
        overlap = join_surveys(match[readable], self._catalogue, reading.spectra, self.label_names)
        truth = self.contents.truth()
        known = None if truth is None else truth.of(overlap.spectra.ids)
        return replace(overlap, unreadable=reading.unreadable, truth=known)

    def _labelled_overlap(self, catalogue: Table, labels: Labels) -> Overlap:
        present = np.isin(labels.ids, list(self.contents.spectra))
        if not present.any():
            raise ValueError(
                f"{self.contents.labels}: none of its {len(labels)} stars (the first: {str(labels.ids[0])!r}) has a "
                f"file of that name among the {len(self.contents.spectra)} spectra (the first: "
                f"{next(iter(self.contents.spectra))!r}); wanted a column filename or id that names the files"
            )
        reading = self._read(labels.ids[present])
        rows = rows_of(labels.ids, reading.spectra.ids)
        known = catalogue[rows]
        for name, header in (("ra", "ra"), ("dec", "dec"), ("z", "z"), ("snrg", "snr_g")):
            known[name] = np.where(np.isfinite(known[name]), known[name], reading.stars[header])
        stars = star_table(known, reading.stars["snr"])
        counts = {
            "stars in the label table": len(labels),
            "files of spectra": len(self.contents.spectra),
            "further files of the same name, left alone": len(self.contents.repeated),
            "stars with labels and a file": int(present.sum()),
            "of them without a readable spectrum, dropped": len(reading.unreadable),
        }
        flagged = np.zeros(len(stars), dtype=bool)
        return Overlap(reading.spectra, labels[rows], None, stars, flagged, reading.unreadable, counts)

    @cached_property
    def _redshifts(self) -> dict[str, float]:
        return dict(zip(self._catalogue["id"].tolist(), self._catalogue["z"].tolist(), strict=True))

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
        for block in _blocks(rows, ids.size, block_size):
            reading = self._read(ids[block], progress=False)
            self.unreadable += reading.unreadable
            yield with_masked_stars(reading.spectra, ids[block])


def _blocks(rows: Rows | None, n_stars: int, block_size: int) -> Iterator[np.ndarray]:
    if block_size < 1:
        raise ValueError(f"block_size: found {block_size}, wanted at least 1")
    wanted = np.arange(n_stars) if rows is None else np.arange(n_stars)[rows]
    for start in range(0, wanted.size, block_size):
        yield wanted[start : start + block_size]


def with_masked_stars(spectra: Spectra, ids: np.ndarray) -> Spectra:
    """Spectra of the stars `ids`, in that order; one that is not in `spectra` has every pixel masked."""
    if np.array_equal(spectra.ids, ids):
        return spectra
    present = np.isin(ids, spectra.ids)
    rows = rows_of(spectra.ids, ids[present])
    flux = np.zeros((len(ids), spectra.wavelength.size), spectra.flux.dtype)
    ivar = np.zeros_like(flux)
    flux[present], ivar[present] = spectra.flux[rows], spectra.ivar[rows]
    return Spectra(ids, spectra.wavelength, flux, ivar, spectra.normalized)
