"""Ingest once: the files of a survey, or a simulated survey, into a store of normalized spectra."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from ..continuum import check_smoothing, normalize
from ..files import check_writable, written_whole
from ..files.locks import only_writer
from ..lamost import COMMON_GRID, Unreadable, identifier, printable, read_redshifts, read_spectra
from ..options import FILES_PER_BLOCK, MASKS, check_option
from ..parallel.workers import workers
from ..spectra import Spectra
from . import store_files as spectra_store
from .folder import find_spectra
from .opening import Survey
from .roles import candidates, catalogue_of, not_own
from .store import SpectraStore, read_manifest
from .store_files import STAR_COLUMNS

__all__ = ["FileSource", "SurveySource", "ingest_folder", "ingest_survey", "read_manifest"]


ASKED = "asked"
"""In the note on a block: of which files a catalogue is asked for the redshift, because the header has none."""


class Source(Protocol):
    """Where blocks of spectra come from: the stars and their failures, file by file."""

    def read(self, rows: slice) -> tuple[Spectra, dict[str, np.ndarray]]:
        """Spectra that could be read (normalized or not) and a note on all files of the block."""

    def agrees(self, note: Mapping[str, np.ndarray]) -> bool:
        """Whether a block of these files that was made earlier, with this note, would be the same now."""


def ingest_folder(
    folder: str | Path,
    store: str | Path,
    *,
    mask: str = "none",
    width: float = 50.0,
    convention: str = "paper",
    catalogue: str | Path | None = None,
    block_size: int = FILES_PER_BLOCK,
    scheduler: str = "threads",
    n_workers: int | None = None,
    progress: bool = True,
    replace: bool = False,
) -> SpectraStore:
    """Read all LAMOST files of a folder tree once; a call that was killed goes on where it stopped.

    The same call again checks every block, and makes anew what is missing or damaged.

    Parameters
    ----------
    folder : with ``.fits`` and ``.fits.gz`` files, in sub-folders too
    store : the folder to make
    mask : LAMOST's pixel mask that is applied
    width, convention : of the normalization
    catalogue : LAMOST's, for redshifts that headers lack; by default the one at the top of the folder
    block_size : files of a block; memory is bounded by one block for each worker
    scheduler, n_workers : see `workers.workers`; the folders must be at the same place for all of them
    replace : whether a store that is there is lost, once all else has been found right; other files in it stay

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no files, several tables might be the catalogue, the folder is the store or lies in it, or the
        store belongs to other files, redshifts of another catalogue, or another format version.
    RuntimeError
        If another process is writing this store.
    """
    check_option("mask", mask, MASKS)
    base = Path(folder)
    if not base.exists():
        raise FileNotFoundError(f"{folder}: no such folder; wanted one with LAMOST spectra")
    choices = _choices(mask, width, convention, block_size)
    if base.resolve().is_relative_to(Path(store).resolve()):
        raise ValueError(f"{store}: is the folder of spectra {folder}, or holds it; give another place")
    catalogue = not_own(catalogue) if catalogue else catalogue_of(base)
    found = find_spectra([base], [*candidates(base), *([catalogue] if catalogue else [])])
    files = list(found.spectra.values())
    facts = {
        "source": "folder", "simulated": (base / "simulated.json").exists(), "files": _digest(base, files),
    }  # fmt: skip
    return _fill(
        FileSource(base, files, mask, read_redshifts(catalogue, found.spectra) if catalogue else {}),
        Path(store),
        {**facts, "n_files": len(files), **choices},
        [_below(base, one) for one in found.left_out],
        (scheduler, n_workers),
        progress,
        replace,
    )


def _below(base: Path, one: Unreadable) -> Unreadable:
    """With paths as they are below a folder, wherever it lies."""
    above = printable(base)
    return Unreadable(os.path.relpath(one.path, above), one.reason.replace(f"{above}{os.sep}", ""))


def ingest_survey(
    survey: Survey,
    store: str | Path,
    *,
    width: float = 50.0,
    convention: str = "paper",
    block_size: int = FILES_PER_BLOCK,
    scheduler: str = "threads",
    n_workers: int | None = None,
    progress: bool = True,
) -> SpectraStore:
    """As `ingest_folder`, from a survey that is open: a simulated one, for example."""
    facts = {"source": survey.description, "simulated": survey.simulated, "files": survey.data_hash}
    choices = _choices(survey.mask, width, convention, block_size)
    source = SurveySource(survey)
    facts |= {"n_files": len(survey.dr2_catalogue()), **choices}
    return _fill(source, Path(store), facts, [], (scheduler, n_workers), progress)


def _choices(mask: str, width: float, convention: str, block_size: int) -> dict[str, Any]:
    if block_size < 1:
        raise ValueError(f"block_size: found {block_size}, wanted at least 1")
    check_smoothing(width, convention, COMMON_GRID)
    return {"mask": mask, "width": float(width), "convention": convention, "block_size": int(block_size)}


@dataclass(frozen=True)
class FileSource:
    """Files below a folder."""

    base: Path
    files: Sequence[Path]
    mask: str
    redshifts: Mapping[str, float]

    def read(self, rows: slice) -> tuple[Spectra, dict[str, np.ndarray]]:
        """See `Source`."""
        files = self.files[rows]
        reading = read_spectra(files, mask=self.mask, redshifts=self.redshifts, progress=False)
        reasons = {failure.path: failure.reason for failure in reading.unreadable}
        note = {
            "id": np.array([identifier(path) for path in files], dtype=str),
            "path": np.array([str(path.relative_to(self.base)) for path in files], dtype=str),
            "reason": np.array([reasons.get(printable(path), "") for path in files], dtype=str),
        }
        good = note["reason"] == ""
        for name in STAR_COLUMNS:
            values = np.asarray(reading.stars[name])
            note[name] = np.full(len(files), 0 if values.dtype.kind == "i" else np.nan, values.dtype)
            note[name][good] = values
        note["z"] = np.where(np.isfinite(note["z"]), note["z"], self._known(note))
        note[ASKED] = np.isin(note["id"], list(reading.without_redshift))
        return reading.spectra, note

    def _known(self, note: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array([self.redshifts.get(name, np.nan) for name in note["id"].tolist()], dtype=float)

    def agrees(self, note: Mapping[str, np.ndarray]) -> bool:
        """See `Source`; what may differ are the redshifts that headers lack."""
        asked = note[ASKED] if ASKED in note else np.isnan(note["z"])
        return np.array_equal(note["z"][asked], self._known(note)[asked], equal_nan=True)


@dataclass(frozen=True)
class SurveySource:
    """A survey that is open."""

    survey: Survey

    def read(self, rows: slice) -> tuple[Spectra, dict[str, np.ndarray]]:
        """See `Source`."""
        stars = self.survey.dr2_catalogue()[rows]
        spectra = next(iter(self.survey.dr2_blocks(np.arange(rows.start, rows.stop), rows.stop - rows.start)))
        good = spectra.good_pixels > 0
        note = {name: np.asarray(stars[name]) for name in ("id", "obsid", "ra", "dec", "z", "snr_g")}
        note |= {"path": np.full(len(stars), ""), "reason": np.where(good, "", "no good pixel")}
        note |= {"snr": spectra.signal_to_noise(), "n_good": spectra.good_pixels}
        return spectra[good], note

    def agrees(self, note: Mapping[str, np.ndarray]) -> bool:
        """See `Source`; the hash of the survey tells."""
        return True


def _fill(
    source: Source,
    store: Path,
    facts: dict[str, Any],
    skipped: Sequence[Unreadable],
    who: tuple[str, int | None],
    progress: bool,
    replace: bool = False,
) -> SpectraStore:
    """Make the blocks that are missing or damaged, then the manifest, then the note that the store is complete."""
    spectra_store.zarr_module()
    check_writable(store)
    size, n_files = facts["block_size"], facts["n_files"]
    sizes = [min(size, n_files - start) for start in range(0, n_files, size)]
    made = not store.exists()
    with workers(*who) as crew, only_writer(store):
        try:
            spectra_store.create(store, facts, COMMON_GRID, replace=replace)
        except OSError:
            if made:
                shutil.rmtree(store, ignore_errors=True)
            raise
        digests = _digests(store, facts)
        missing = [
            number
            for number, wanted in enumerate(sizes)
            if not spectra_store.is_whole(store, number, facts, wanted, digests.get(number))
        ]
        kept = sorted({*range(len(sizes))} - {*missing})
        if not all(source.agrees(spectra_store.read_block_note(store, number)) for number in kept):
            raise ValueError(
                f"{store}: holds a store of other spectra (different: the redshifts of a catalogue, of files whose "
                "headers lack them); replace it (--replace), or give the same catalogue, or another folder"
            )
        if missing:
            (store / spectra_store.COMPLETE).unlink(missing_ok=True)
        done = n_files - sum(sizes[number] for number in missing)
        with tqdm(
            total=n_files, initial=done, desc="ingesting", unit="file", disable=None if progress else True
        ) as bar:
            for stars in crew.carry_out(_make_block, (source, store, facts), missing):
                bar.update(stars)
        _complete(store, facts, skipped)
    return SpectraStore.open(store)


def _digests(store: Path, facts: Mapping[str, Any]) -> dict[int, str]:
    """Fingerprints of the notes of a finished store; nothing, if it is unfinished or its own note is damaged."""
    try:
        counts = spectra_store.read_counts(store, facts)
    except ValueError:
        return {}
    return {number: digest for number, (_, digest) in enumerate(counts["blocks"])} if counts else {}


def _make_block(shared: tuple[Source, Path, dict[str, Any]], number: int) -> int:
    source, store, facts = shared
    first = number * facts["block_size"]
    rows = slice(first, min(first + facts["block_size"], facts["n_files"]))
    spectra, note = source.read(rows)
    good = note["reason"] == ""
    flux = np.zeros((rows.stop - rows.start, COMMON_GRID.size), np.float32)
    ivar = np.zeros_like(flux)
    if len(spectra):
        spectra = spectra if spectra.normalized else normalize(spectra, facts["width"], facts["convention"])
        flux[good], ivar[good] = spectra.flux, spectra.ivar
    note["n_good"] = np.count_nonzero(ivar, axis=1)
    spectra_store.write_block(store, number, first, flux, ivar, note)
    return int(rows.stop - rows.start)


def _complete(store: Path, facts: Mapping[str, Any], skipped: Sequence[Unreadable]) -> None:
    n_read = []
    plain: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    with written_whole(store / spectra_store.MANIFEST) as temporary, temporary.open("w", **plain) as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["file", "id", "status", "reason"])
        for number in range(spectra_store.n_blocks(facts)):
            note = spectra_store.read_block_note(store, number)
            for path, name, reason in zip(note["path"], note["id"], note["reason"], strict=True):
                rows.writerow([path, name, "skipped" if reason else "read", reason])
            n_read.append(int((note["reason"] == "").sum()))
        rows.writerows([one.path, identifier(one.path), "skipped", one.reason] for one in skipped)
    spectra_store.write_counts(store, facts, n_read, facts["n_files"] - sum(n_read) + len(skipped))


def _digest(base: Path, files: Sequence[Path]) -> str:
    """Fingerprint of names, sizes and times of writing, wherever the folder lies."""
    digest = hashlib.sha256()
    for path in files:
        try:
            facts = path.stat()
            line = f"{os.path.relpath(path, base)}|{facts.st_size}|{facts.st_mtime_ns}\n"
        except OSError:
            line = f"{os.path.relpath(path, base)}|absent\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
