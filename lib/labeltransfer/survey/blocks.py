"""Where the blocks of a survey come from: files, a store, an open survey, or spectra in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from astropy.table import Table

from .. import lamost
from ..archive.folder import find_spectra
from ..archive.opening import BLOCK_SIZE, Survey
from ..archive.store import SpectraStore, is_store
from ..cannon import CannonModel
from ..files.parts import digest_of_array, digest_of_files
from ..labels import Labels
from ..lamost import Unreadable
from ..spectra import Spectra

Block = tuple[Spectra, Table, list[Unreadable]]
"""Spectra, the same stars' table (id, and what else is known), and the files that gave none."""


class Transfer(Protocol):
    """What the road needs of a `transfer.LabelTransfer`."""

    @property
    def model(self) -> CannonModel:
        """Trained."""

    @property
    def starts(self) -> np.ndarray:
        """(S, L) starting points."""

    @property
    def reference_labels(self) -> Labels:
        """Of the stars it was trained on."""

    @property
    def error_factor(self) -> float | np.ndarray:
        """By which reported flux errors are divided, a number or (P,)."""

    @property
    def errors(self) -> Any:
        """What is added to formal errors: an object whose attributes are arrays, or None."""

    @property
    def width(self) -> float:
        """Of the normalization [Å]."""

    @property
    def convention(self) -> str:
        """Of the normalization."""

    @property
    def segments(self) -> Any:
        """Of the normalization: detectors that are normalized apart, or None."""

    @property
    def normalized_before(self) -> bool:
        """Whether it learnt from spectra that came normalized."""

    @property
    def mask(self) -> str:
        """LAMOST's pixel mask that is applied."""

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated spectra."""

    def label(self, spectra: Spectra, stars: Table | None = None) -> Table:
        """The catalogue of a block of spectra."""

    def provenance(self) -> dict[str, Any]:
        """What a catalogue says about where its labels come from."""


class Blocks(Protocol):
    """A survey in blocks of stars.

    Attributes
    ----------
    sizes : stars, or files, of each block
    unreadable : files that are left out from the beginning
    """

    @property
    def sizes(self) -> list[int]:
        """See above."""

    @property
    def unreadable(self) -> list[Unreadable]:
        """See above."""

    def facts(self) -> dict[str, Any]:
        """All that decides what the blocks hold, as JSON can keep it."""

    def read(self, number: int) -> Block:
        """A block; its spectra and its unreadable files are together as many as its size."""


Source = str | Path | Iterable[str | Path] | SpectraStore | Survey | Spectra


def blocks_of(source: Source, transfer: Transfer, block_size: int | None = None) -> Blocks:
    """The blocks of any source.

    Raises
    ------
    ValueError
        If there is nothing in it, or it was made in another way than the spectra the model was trained on.
    TypeError
        If it is no source.
    """
    block_size = block_size or BLOCK_SIZE
    if isinstance(source, Spectra):
        return SpectraBlocks(source, block_size)
    if isinstance(source, SpectraStore):
        return StoreBlocks(source, transfer)
    if hasattr(source, "dr2_blocks"):
        return SurveyBlocks(source, transfer, block_size)
    paths = paths_of(source)
    if any(map(is_store, paths)):
        if len(paths) > 1:
            raise ValueError(f"found {len(paths)} paths, one of them a store; wanted that store alone")
        return StoreBlocks(SpectraStore.open(paths[0]), transfer)
    return FileBlocks(paths, transfer, block_size)


def paths_of(source: Any) -> list[Path]:
    """The paths that a source gives; none, if it is another kind of source."""
    if isinstance(source, Spectra | SpectraStore) or hasattr(source, "dr2_blocks"):
        return []
    given = [source] if isinstance(source, str | Path) else source
    given = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(path, str | Path) for path in given):
        found = type(source).__name__
        raise TypeError(f"source: found {found}, wanted paths, a store, a survey (open_survey) or Spectra")
    if "" in given:
        raise ValueError("source: found an empty path, wanted a file, a folder or a store; . is the current folder")
    return [Path(path) for path in given]


class FileBlocks:
    """LAMOST files, and folders of them."""

    def __init__(self, paths: Sequence[Path], transfer: Transfer, block_size: int) -> None:
        found = find_spectra(paths)
        self.files, self.block_size = list(found.spectra.values()), block_size
        self.grid, self.mask = transfer.model.wavelength, transfer.mask
        self.sizes = _sizes(len(self.files), block_size)
        self.unreadable = found.left_out

    def facts(self) -> dict[str, Any]:
        """See `Blocks`."""
        return {"files": digest_of_files(self.files), "block_size": self.block_size}

    def read(self, number: int) -> Block:
        """See `Blocks`."""
        files = self.files[number * self.block_size : (number + 1) * self.block_size]
        reading = lamost.read_spectra(files, grid=self.grid, mask=self.mask, progress=False)
        return reading.spectra, reading.stars, reading.unreadable


class StoreBlocks:
    """A store of normalized spectra."""

    def __init__(self, store: SpectraStore, transfer: Transfer) -> None:
        check_alike(transfer, store)
        self.store, self.sizes = store, store.sizes
        self.unreadable = store.skipped

    def facts(self) -> dict[str, Any]:
        """See `Blocks`."""
        return {"store": self.store.data_hash}

    def read(self, number: int) -> Block:
        """See `Blocks`."""
        return *self.store.block(number), []


class SurveyBlocks:
    """A survey that is open; a star without a readable spectrum is a row of the catalogue that says so."""

    def __init__(self, survey: Any, transfer: Transfer, block_size: int) -> None:
        made = getattr(survey, "normalization", None)
        if made not in (None, (transfer.width, transfer.convention)):
            raise ValueError(
                f"{survey!r}: normalized with width {made[0]:g}, {made[1]}; the model wants {transfer.width:g}, "
                f"{transfer.convention}: ingest the files again"
            )
        if survey.mask != transfer.mask:
            raise ValueError(f"{survey!r}: mask {survey.mask!r}, the model wants {transfer.mask!r}; open it with that")
        self.survey, self.block_size = survey, block_size
        self.unreadable: list[Unreadable] = list(getattr(survey, "refused", []))
        self.sizes = _sizes(len(survey.dr2_catalogue()), block_size)

    def facts(self) -> dict[str, Any]:
        """See `Blocks`."""
        return {"survey": self.survey.data_hash, "block_size": self.block_size}

    def read(self, number: int) -> Block:
        """See `Blocks`."""
        rows = slice(number * self.block_size, number * self.block_size + self.sizes[number])
        stars = self.survey.dr2_catalogue()[rows]
        spectra = next(iter(self.survey.dr2_blocks(rows, self.sizes[number])))
        stars["snr"] = spectra.signal_to_noise()
        return spectra, stars, []


@dataclass(frozen=True)
class SpectraBlocks:
    """Spectra in memory."""

    spectra: Spectra
    block_size: int
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """See `Blocks`."""
        return _sizes(len(self.spectra), self.block_size)

    def facts(self) -> dict[str, Any]:
        """See `Blocks`."""
        arrays = {name: digest_of_array(getattr(self.spectra, name)) for name in ("ids", "wavelength", "flux", "ivar")}
        return {**arrays, "normalized": self.spectra.normalized, "block_size": self.block_size}

    def read(self, number: int) -> Block:
        """See `Blocks`."""
        spectra = self.spectra[number * self.block_size : (number + 1) * self.block_size]
        return spectra, Table({"id": spectra.ids, "snr": spectra.signal_to_noise()}), []


def check_alike(transfer: Transfer, store: SpectraStore) -> None:
    """Refuse a store that was made in another way than the spectra the model was trained on.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    if transfer.normalized_before:
        raise ValueError(
            f"{store.folder}: normalized with width {store.facts['width']:g}; the model learnt from spectra that came "
            "normalized otherwise: label spectra that are normalized like those"
        )
    if not len(store):
        raise ValueError(f"{store.folder}: no readable spectrum in the store, wanted at least one; see manifest.csv")
    if transfer.segments:
        raise ValueError(
            f"{store.folder}: its spectra are normalized in one piece, the model wants {len(transfer.segments)} "
            "detectors apart; label the files themselves"
        )
    wanted = {"mask": transfer.mask, "width": transfer.width, "convention": transfer.convention}
    for name, value in wanted.items():
        if store.facts[name] != value:
            raise ValueError(
                f"{store.folder}: {name} of the store is {store.facts[name]!r}, the model wants {value!r}; ingest the "
                "files again as the model wants it"
            )
    if why := transfer.model.why_other_pixels(store.wavelength):
        raise ValueError(f"{store.folder}: the pixels of the store are not the model's: {why}; ingest the files again")


def _sizes(total: int, block_size: int) -> list[int]:
    if block_size < 1:
        raise ValueError(f"block_size: found {block_size}, wanted at least 1")
    return [min(block_size, total - start) for start in range(0, total, block_size)]
