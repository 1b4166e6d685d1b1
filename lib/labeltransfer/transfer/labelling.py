"""A catalogue of LAMOST files, block by block, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astropy.table import Table
from tqdm import tqdm

from .. import catalogue, lamost
from ..archive.folder import spectrum_files
from ..archive.opening import BLOCK_SIZE
from ..files import written_whole
from ..files.parts import Parts, digest_of_array, digest_of_files
from ..spectra import Spectra
from .label_transfer import LabelTransfer, provenance


@dataclass(frozen=True, repr=False, eq=False)
class LabelledFiles:
    """A catalogue of the files that could be read, and the files that could not."""

    catalogue: Table
    unreadable: list[lamost.Unreadable]

    def __repr__(self) -> str:
        failed = int((~self.catalogue["converged"]).sum()) if len(self.catalogue) else 0
        return (
            f"LabelledFiles({len(self.catalogue)} stars, {failed} of them not converged; "
            f"{len(self.unreadable)} unreadable files)"
        )


def label_files(
    transfer: LabelTransfer,
    paths: Iterable[str | Path],
    *,
    parts: str | Path | None = None,
    block_size: int = BLOCK_SIZE,
    progress: bool = True,
) -> LabelledFiles:
    """Label LAMOST files, or folders of them; memory is bounded by `block_size` spectra and the catalogue.

    The label distance in the catalogue is that of the *inferred* labels from the reference set (the paper takes the
    pipeline's labels, which a bare file does not hold): large where the model was never trained.

    Parameters
    ----------
    parts : a folder to keep every finished block in; the same call after a kill goes on where that one stopped

    Raises
    ------
    ValueError
        If there are no files, or none could be read (the message gives the first reason), or `parts` belongs to
        another run.
    """
    paths = [Path(path) for path in paths]
    files = list(_files(paths))
    if not files:
        where = ", ".join(map(str, paths)) or "no path given"
        raise ValueError(f"{where}: found no spectra, wanted LAMOST files (*.fits, *.fits.gz) or folders of them")
    first: dict[str, Path] = {}
    repeated = [path for path in files if first.setdefault(lamost.identifier(path), path) is not path]
    distinct = list(first.values())
    kept = None if parts is None else Parts(parts, _facts(transfer, distinct, block_size))
    tables = []
    unreadable = [
        lamost.Unreadable(str(path), f"same file name as {first[lamost.identifier(path)]}; the first is used")
        for path in repeated
    ]
    with tqdm(total=len(distinct), desc="labelling", unit="file", disable=None if progress else True) as bar:
        for number, start in enumerate(range(0, len(distinct), block_size)):
            block = distinct[start : start + block_size]
            table, failed = _kept_block(transfer, block, kept, number) if kept else _label_block(transfer, block)
            unreadable += failed
            if len(table):
                tables.append(table)
            bar.update(len(block))
    if not tables:
        raise ValueError(f"none of {len(files)} files could be read; {unreadable[0].path}: {unreadable[0].reason}")
    return LabelledFiles(catalogue.stack(*tables), unreadable)


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from spectrum_files(path)
        else:
            yield path


def _label_block(transfer: LabelTransfer, files: Sequence[Path]) -> tuple[Table, list[lamost.Unreadable]]:
    reading = lamost.read_spectra(files, grid=transfer.model.wavelength, mask=transfer.mask, progress=False)
    if not len(reading.spectra):
        return Table(), reading.unreadable
    return label_spectra(transfer, reading.spectra, reading.stars), reading.unreadable


def label_spectra(transfer: LabelTransfer, spectra: Spectra, stars: Table) -> Table:
    """A catalogue of spectra that are in memory: `LabelTransfer.label`."""
    return transfer.label(spectra, stars)


def _kept_block(
    transfer: LabelTransfer, files: Sequence[Path], parts: Parts, number: int
) -> tuple[Table, list[lamost.Unreadable]]:
    """A finished block from its part, or do it and keep it; the note on its failures comes last and finishes it."""
    part, note = parts.path(number, catalogue.best_format()), parts.path(number, ".json")
    try:
        failed = [lamost.Unreadable(**failure) for failure in json.loads(note.read_text(encoding="utf-8"))]
        table = catalogue.read(part) if part.exists() else Table()
        if len(table) + len(failed) == len(files):
            return table, failed
    except (OSError, ValueError, TypeError):
        pass
    table, failed = _label_block(transfer, files)
    if len(table):
        catalogue.write(table, part)
    with written_whole(note) as temporary:
        temporary.write_text(json.dumps([asdict(failure) for failure in failed]), encoding="utf-8")
    return table, failed


def _facts(transfer: LabelTransfer, files: Sequence[Path], block_size: int) -> dict[str, Any]:
    starts = digest_of_array(transfer.starts)
    return {**provenance(transfer), "starts": starts, "files": digest_of_files(files), "block_size": block_size}
