"""From a store of spectra to a catalogue, block by block, on this machine or on many.

Every block of the store becomes a part, written whole or not at all; a run that was killed goes on where it stopped and
ends with the same catalogue. No step holds more than a block of spectra for each worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import catalogue, tables
from .archive.store import SpectraStore
from .files import written_whole
from .files.locks import only_writer
from .files.parts import Parts, digest_of_array
from .parallel.workers import carry_out, workers
from .transfer import LabelTransfer, label_spectra, provenance


@dataclass(frozen=True)
class LabelledStore:
    """What came of labelling a store: stars, those that did not converge, files that were skipped on ingest."""

    path: Path
    n_stars: int
    n_failed: int
    n_skipped: int


def label_store(
    transfer: LabelTransfer,
    store: SpectraStore,
    output: str | Path,
    *,
    parts: str | Path | None = None,
    scheduler: str = "threads",
    n_workers: int | None = None,
    progress: bool = True,
) -> LabelledStore:
    """Label all stars of a store and write their catalogue.

    Parameters
    ----------
    output : the catalogue; `.parquet` is put together part by part, the other formats (`catalogue.FORMATS`) in memory
    parts : folder for the parts; by default ``NAME.parts`` beside `output`
    scheduler, n_workers : see `workers.workers`; the folders must be at the same place for all of them

    Raises
    ------
    ValueError
        If the store is of other pixels, mask or normalization than the transfer, or empty, or `parts` belongs to
        another run, or the suffix of `output` is unknown.
    RuntimeError
        If another run is writing these parts.
    """
    output = Path(output)
    if output.suffix.lower() not in catalogue.FORMATS:
        raise ValueError(f"{output}: found suffix {output.suffix!r}, wanted one of {', '.join(catalogue.FORMATS)}")
    check_alike(transfer, store)
    folder = Path(parts) if parts else output.with_name(f"{output.name}.parts")
    with only_writer(folder):
        suffix = catalogue.best_format()
        kept = Parts(folder, {**provenance(transfer), **_facts(transfer, store, suffix)})
        paths = [kept.path(number, suffix) for number in range(store.n_blocks)]
        sizes = [len(store.stars(number)) for number in range(store.n_blocks)]
        missing = [number for number, size in enumerate(sizes) if size and _rows(paths[number]) != size]
        done = len(store) - sum(sizes[number] for number in missing)
        bar = tqdm(total=len(store), initial=done, desc="labelling", unit="star", disable=None if progress else True)
        with bar, workers(scheduler, n_workers) as client:
            jobs = [(number, paths[number]) for number in missing]
            for stars in carry_out(_make_part, (transfer, store), jobs, client):
                bar.update(stars)
        n_failed = write_joined([path for path, size in zip(paths, sizes, strict=True) if size], output)
    return LabelledStore(output, len(store), n_failed, int(store.counts["skipped"]))


def check_alike(transfer: LabelTransfer, store: SpectraStore) -> None:
    """Refuse a store that was made in another way than the spectra the model was trained on.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    if not len(store):
        raise ValueError(f"{store.folder}: no readable spectrum in the store, wanted at least one; see manifest.csv")
    wanted = {"mask": transfer.mask, "width": transfer.width, "convention": transfer.convention}
    for name, value in wanted.items():
        if store.facts[name] != value:
            raise ValueError(
                f"{store.folder}: {name} of the store is {store.facts[name]!r}, the model wants {value!r}; ingest the "
                "files again as the model wants it"
            )
    pixels = transfer.model.wavelength
    if pixels.shape != store.wavelength.shape or not np.allclose(pixels, store.wavelength, rtol=1e-8):
        raise ValueError(f"{store.folder}: the pixels of the store are not the model's; ingest the files again")


def _facts(transfer: LabelTransfer, store: SpectraStore, suffix: str) -> dict[str, Any]:
    return {"store": store.data_hash, "starts": digest_of_array(np.asarray(transfer.starts)), "format": suffix}


def _make_part(shared: tuple[LabelTransfer, SpectraStore], job: tuple[int, Path]) -> int:
    transfer, store = shared
    number, part = job
    spectra, stars = store.block(number)
    catalogue.write(label_spectra(transfer, spectra, stars), part)
    return len(spectra)


def _rows(part: Path) -> int:
    """Rows of a part of an earlier run; -1 if it is not there, or damaged, and has to be made."""
    try:
        return len(catalogue.read(part))
    except (FileNotFoundError, ValueError):
        return -1


def write_joined(parts: Sequence[Path], output: Path) -> int:
    """Put the parts together, in order; returns how many stars did not converge."""
    if output.suffix.lower() != ".parquet":
        whole = catalogue.stack(*(catalogue.read(part) for part in parts))
        catalogue.write(whole, output)
        return int((~np.asarray(whole["converged"])).sum())
    parquet = tables.parquet_module(output)
    n_failed = 0
    schema = catalogue.arrow_table(catalogue.read(parts[0])).schema
    with written_whole(output) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for part in parts:
            table = catalogue.arrow_table(catalogue.read(part))
            writer.write_table(table)
            n_failed += int((~table.column("converged").to_numpy()).sum())
    return n_failed
