"""Where a survey's spectra and labels come from: the simulated survey, or a folder of files.

Nothing after this room knows which. The two differ only in how spectra are fetched: `SimulatedSource` asks
`mock.SimulatedSurvey` for them, `FolderSource` reads LAMOST files; finding the stars in common, choosing among repeats
and counting is the same code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from astropy.table import Table

from .. import mock
from ..labels import PAPER_LABELS, Rows, check_names
from ..labels.registry import distinct_names
from ..options import MASKS, check_option
from ..spectra import Spectra
from .fetching import fetch
from .folder import labels_in_table, look_through
from .folder_source import FolderSource
from .overlap import BLOCK_SIZE, Overlap, blocks_of_rows, dr2_table, join_surveys, match_surveys
from .store import is_store
from .store_source import open_store

SOURCES = ("simulated", "folder", "tutorial")


class Survey(Protocol):
    """What a chapter knows of a survey."""

    simulated: bool
    description: str
    mask: str

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
    source: str | Path = "simulated",
    survey_dir: str | Path | None = None,
    label_names: Sequence[str] | None = None,
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
    """Open a survey by name, or a folder.

    Parameters
    ----------
    source : ``"simulated"``, or ``"folder"``: a folder of LAMOST files with a table of labels, or with a LAMOST
        catalogue and an allStar table (as `mock.write_survey` writes it), or the path of such a folder; or
        ``"tutorial"``: the real spectra that `fetching.fetch` knows under this name, fetched if they are not there
        (without A_K)
    survey_dir : the folder, if `source` is one; or a store that `ingest.ingest_folder` made of it, whose spectra are
        normalized already, with the tables in it or a `label_table`
    label_names : labels to be transferred, in any case; by default all labels that the table of labels has or, of an
        allStar table and of the simulated survey, the paper's
    n_overlap, n_dr2, n_apogee, seed, assumptions : of the simulated survey
    mask : which of LAMOST's pixel masks is applied: ``"none"``, ``"and"``, ``"or"``
    label_table : of a folder, if it is not found by its name

    Raises
    ------
    OSError, ValueError
        If the source is unknown, or the folder does not hold what is needed.
    """
    check_option("mask", mask, MASKS)
    if source not in SOURCES and not survey_dir and Path(source).is_dir():
        source, survey_dir = "folder", source
    check_option("source", source, SOURCES)
    if source == "simulated":
        if survey_dir:
            raise ValueError(
                f"survey_dir: found {str(survey_dir)!r}, wanted source='folder' with it; the simulated "
                "survey has no files"
            )
        label_names = check_names(PAPER_LABELS if label_names is None else label_names)
        sizes = {"n_overlap": n_overlap, "n_dr2": n_dr2, "n_apogee": n_apogee, "seed": seed, **assumptions}
        return SimulatedSource(label_names, mask, sizes)
    if source == "tutorial":
        survey_dir = fetch("tutorial", survey_dir or None, progress=progress)
    label_names = None if label_names is None else distinct_names(label_names)
    if not survey_dir:
        raise ValueError("source 'folder' needs `survey_dir`, the folder that holds the LAMOST spectra")
    if is_store(survey_dir):
        return open_store(survey_dir, label_names, mask, label_table, progress)
    contents = look_through(survey_dir, label_table)
    if label_names is None:
        label_names = labels_in_table(contents.labels) if contents.labels else PAPER_LABELS
    return FolderSource(contents, tuple(label_names), mask, progress)


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
        facts = {"mask": self.mask, "recipe": mock.recipe_digest(), **self.sizes}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()

    def allstar(self) -> Table | None:
        """See `Survey.allstar`."""
        return self._survey.allstar()

    def overlap(self) -> Overlap:
        """See `Survey.overlap`."""
        match = match_surveys(self._catalogue, self._survey.allstar(), label_names=self.label_names)
        spectra = self._survey.spectra(match.rows, mask=self.mask)
        truth = self._survey.truth()[match.rows]
        return join_surveys(match, self._catalogue, spectra, self.label_names, truth=truth)

    def dr2_catalogue(self) -> Table:
        """See `Survey.dr2_catalogue`."""
        return dr2_table(self._catalogue)

    def dr2_blocks(self, rows: Rows | None = None, block_size: int = BLOCK_SIZE) -> Iterator[Spectra]:
        """See `Survey.dr2_blocks`."""
        for block in blocks_of_rows(rows, len(self._catalogue), block_size):
            yield self._survey.spectra(block, mask=self.mask)
