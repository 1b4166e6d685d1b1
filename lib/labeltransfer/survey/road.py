"""The road: every block of a source is normalized and labelled, and becomes a part of the catalogue (section 4.2).

A part is written whole or not at all, here or by workers elsewhere; a run that was killed goes on where it stopped and
ends with the same catalogue. No step holds more than a block of spectra for each worker.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from .. import catalogue
from ..cannon import CannonModel
from ..continuum import normalize
from ..files import check_output, written_whole
from ..files.locks import only_writer
from ..files.parts import NOTE, Parts, digest_of_array
from ..inference import LabelFit, infer
from ..lamost import Unreadable
from ..parallel.workers import Workers, workers
from ..spectra import Spectra
from .blocks import Blocks, Source, Transfer, blocks_of, paths_of
from .labelled import Labelled, counted

Segments = Sequence[tuple[float, float]] | None
"""Of `normalize`: the detectors that are normalized apart."""


@overload
def label_survey(transfer: Transfer, source: Source, output: None = None, **options: Any) -> Table: ...


@overload
def label_survey(transfer: Transfer, source: Source, output: str | Path, **options: Any) -> Labelled: ...


def label_survey(  # type: ignore[misc]  # the options of the two above are these
    transfer: Transfer,
    source: Source,
    output: str | Path | None = None,
    *,
    parts: str | Path | None = None,
    block_size: int | None = None,
    scheduler: str = "threads",
    n_workers: int | None = None,
    replace: bool = False,
    progress: bool = True,
) -> Labelled | Table:
    """Label all stars of a source and write their catalogue, or return it.

    The label distance in the catalogue is that of the *inferred* labels from the reference set (the paper takes the
    pipeline's labels, which a bare file does not hold): large where the model was never trained.

    Parameters
    ----------
    transfer : a trained `LabelTransfer`
    source : a path, or several, of LAMOST files and folders of them; a store or its folder; a survey
        (`archive.open_survey`); or `Spectra`, normalized as the transfer asks for or not yet
    output : the catalogue; `.parquet` is put together part by part, the other formats of
        `options.CATALOGUE_FORMATS` in memory.
        None: the table is returned, and files that could not be read are named in a warning of the log
    parts : folder in which finished blocks are kept until the catalogue is whole; by default ``NAME.parts`` beside
        `output`. The same call after a kill goes on where that one stopped
    block_size : stars, or files, in memory at once; that of a store is its own
    scheduler, n_workers : see `workers.workers`; the folders must be at the same place for all of them
    replace : whether a catalogue that is there may be replaced

    Raises
    ------
    ValueError
        If there is nothing to label, none of the files can be read (the message gives the first reason), the source was
        made otherwise than the model wants, `output` is an input, is there already or lies in a store, or `parts`
        belongs to another run.
    FileExistsError
        If `output` was written by another meanwhile, naming where this catalogue is instead; the parts are kept.
    RuntimeError
        If another run is writing these parts.
    """
    blocks = blocks_of(source, transfer, block_size)
    if output is None:
        with TemporaryDirectory(prefix="labeltransfer-") as temporary:
            path = Path(temporary, f"labels{catalogue.best_format()}")
            done = label_survey(transfer, source, path, block_size=block_size, scheduler=scheduler,
                                n_workers=n_workers, progress=progress)  # fmt: skip
            for failure in done.unreadable:
                logging.getLogger(__name__).warning("not read: %s: %s", failure.path, failure.reason)
            return catalogue.read(path)
    output = checked_output(output, source, replace)
    catalogue.check_labels(output, transfer.model.label_names)
    folder = Path(parts) if parts else _beside(output)
    check_output(folder / NOTE, "note on the parts", replace=True)
    suffix = catalogue.best_format()
    with workers(scheduler, n_workers) as crew, only_writer(folder):
        kept = Parts(folder, {**_facts(transfer), "format": suffix, **blocks.facts()})
        notes = _make_parts(transfer, blocks, kept, suffix, crew, progress)
        unreadable = [*blocks.unreadable, *(failure for _, failures in notes for failure in failures)]
        whole = [kept.path(number, suffix) for number, (rows, _) in enumerate(notes) if rows]
        if not whole:
            first = f"; {unreadable[0].path}: {unreadable[0].reason}" if unreadable else ""
            kept.remove()
            raise ValueError(f"none of {len(unreadable)} files could be read{first}")
        with written_whole(output, replace=replace) as temporary:
            counts = [counted(table) for table in catalogue.join(whole, temporary)]
        kept.remove()
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    return Labelled(output, **total, unreadable=unreadable, simulated=transfer.simulated)


def checked_output(output: str | Path, source: Any, replace: bool = False) -> Path:
    """Refuse an output that would destroy an input or anything that is not a catalogue, see `files.check_output`."""
    output = Path(output)
    form, paths = catalogue.format_of(output), paths_of(source)
    check_output(output, "catalogue", inputs=paths, replace=replace, is_ours=_is_catalogue)
    around = [path for path in paths if path.is_dir() and output.resolve().is_relative_to(path.resolve())]
    if form in (".fits", ".fits.gz") and around:
        raise ValueError(f"{output}: lies in {around[0]}, where it would be read as a spectrum; give another place")
    return output


def _facts(transfer: Transfer) -> dict[str, Any]:
    """All of a trained model that decides what the parts hold; arrays by their fingerprints."""
    arrays = {"starts": transfer.starts, "error_factors": transfer.error_factor}
    arrays["reference_labels"] = transfer.reference_labels.values
    if transfer.errors is not None:
        arrays |= {f"errors_{name}": array for name, array in vars(transfer.errors).items()}
    return transfer.provenance() | {name: digest_of_array(np.asarray(array)) for name, array in arrays.items()}


def _beside(output: Path) -> Path:
    """The folder for the parts of a catalogue, ``NAME.parts``; ValueError if there can be none of this name."""
    folder = output.with_name(f"{output.name}.parts")
    try:
        folder.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ValueError(
            f"{output}: beside it there can be no folder of this name and .parts ({error.strerror}); give a shorter "
            "name, or another folder for the parts (--parts)"
        ) from error
    return folder


def _is_catalogue(path: Path) -> bool:
    table = catalogue.read(path)
    return "labeltransfer" in table.meta.get("CREATOR", "") or catalogue.is_own(table.colnames)


def _make_parts(
    transfer: Transfer, blocks: Blocks, kept: Parts, suffix: str, crew: Workers, progress: bool
) -> list[tuple[int, list[Unreadable]]]:
    """Make the parts that are missing; of every part its number of rows, and the files of it that gave none."""
    found = [_finished(kept, number, suffix, size) for number, size in enumerate(blocks.sizes)]
    missing = [number for number, note in enumerate(found) if note is None]
    total = sum(blocks.sizes)
    done = total - sum(blocks.sizes[number] for number in missing)
    with tqdm(total=total, initial=done, desc="labelling", unit="star", disable=None if progress else True) as bar:
        for stars in crew.carry_out(_make_part, (transfer, blocks, kept, suffix), missing):
            bar.update(stars)
    return [note or _read_note(kept, number) for number, note in enumerate(found)]


def _make_part(shared: tuple[Transfer, Blocks, Parts, str], number: int) -> int:
    """The rows of the catalogue first, then the note, which finishes the part."""
    transfer, blocks, kept, suffix = shared
    spectra, stars, unreadable = blocks.read(number)
    if len(spectra):
        catalogue.write(transfer.label(spectra, stars), kept.path(number, suffix))
    with written_whole(kept.path(number, ".json")) as temporary:
        note = {"rows": len(spectra), "unreadable": [asdict(failure) for failure in unreadable]}
        temporary.write_text(json.dumps(note), encoding="utf-8")
    return blocks.sizes[number]


def _finished(kept: Parts, number: int, suffix: str, size: int) -> tuple[int, list[Unreadable]] | None:
    """The note on a part of an earlier run; None if it is not there, or damaged, and has to be made."""
    try:
        rows, unreadable = _read_note(kept, number)
        whole = not rows or len(catalogue.read(kept.path(number, suffix))) == rows
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (rows, unreadable) if whole and rows + len(unreadable) == size else None


def _read_note(kept: Parts, number: int) -> tuple[int, list[Unreadable]]:
    note = json.loads(kept.path(number, ".json").read_text(encoding="utf-8"))
    return int(note["rows"]), [Unreadable(**failure) for failure in note["unreadable"]]


def normalized(spectra: Spectra, width: float, convention: str, segments: Segments = None) -> Spectra:
    """The spectra divided by their broad average, unless they are already; those without a star masked."""
    spectra = spectra.masked_without_star()
    return spectra if spectra.normalized else normalize(spectra, width, convention, segments)


def infer_survey(
    model: CannonModel,
    blocks: Iterable[Spectra],
    starts: np.ndarray,
    *,
    width: float = 50.0,
    convention: str = "paper",
    total: int | None = None,
    progress: bool = True,
    **options: Any,
) -> LabelFit:
    """Normalize and label the stars of all blocks, one after the other; nothing is kept on disk.

    Parameters
    ----------
    blocks : spectra on the model's pixels, normalized or not yet
    starts : (S, L) starting points in physical units
    width, convention : of the normalization, the same as in training
    total : number of stars, for the time that is left
    progress : show a bar with stars per second, if there is a terminal
    options : further options of `inference.infer`

    Raises
    ------
    ValueError
        If there is no block.
    """
    fits = []
    with tqdm(total=total, desc="labelling", unit="star", disable=None if progress else True) as bar:
        for block in blocks:
            fits.append(infer(model, normalized(block, width, convention), starts, **options))
            bar.update(len(block))
    if not fits:
        raise ValueError("infer_survey: found no spectra, wanted at least one block; no star was selected")
    return LabelFit.concatenate(fits)
