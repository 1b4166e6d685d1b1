"""From LAMOST files to a catalogue of labels in two steps, for people who only want labels.

transfer = lt.learn(lt.open_survey("folder", "my_survey"), rng=np.random.default_rng(1))
transfer.write("model.npz")
labelled = lt.label_files(transfer, sorted(Path("spectra").glob("*.fits.gz")))
lt.catalogue.write(labelled.catalogue, "labels.fits")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from . import catalogue, lamost
from .archive.folder import spectrum_files
from .archive.opening import BLOCK_SIZE, Survey
from .archive.overlap import galactic
from .cannon import CannonModel, train
from .files import read_arrays, write_arrays, written_whole
from .files.parts import Parts, digest_of_array, digest_of_files
from .inference import infer, starting_points
from .labels import LABELS, Labels, register_label
from .reference import LABEL_SCALES, ReferenceSet, label_distance, outliers, quality_cuts
from .spectra import Spectra
from .survey import normalized

_MODEL_ARRAYS = ("pivots", "scales", "wavelength", "coefficients", "scatter", "label_range")
_MODEL_FACTS = ("order", "n_reference", "training_hash")


@dataclass(frozen=True, repr=False, eq=False)
class LabelTransfer:
    """A trained model and all that has to be the same when it is applied.

    Attributes
    ----------
    model : trained
    reference_labels : (N, L) of the stars it was trained on
    starts : (S, L) starting points of the test step
    width, convention : of the normalization
    mask : LAMOST's pixel mask that was applied
    simulated : whether it was trained on simulated spectra
    counts : how many stars there were, and why some were excised
    """

    model: CannonModel
    reference_labels: Labels
    starts: np.ndarray
    width: float = 50.0
    convention: str = "paper"
    mask: str = "none"
    simulated: bool = False
    counts: Mapping[str, int] | None = None

    def __repr__(self) -> str:
        kind = "simulated spectra" if self.simulated else "spectra"
        return f"LabelTransfer({', '.join(self.model.label_names)}; trained on {len(self.reference_labels)} {kind})"

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {name: getattr(self.model, name) for name in _MODEL_ARRAYS}
        labels = self.reference_labels
        arrays |= {"ids": labels.ids, "values": labels.values, "starts": np.asarray(self.starts)}
        facts = {name: getattr(self.model, name) for name in _MODEL_FACTS}
        settings = {"width": self.width, "convention": self.convention, "mask": self.mask, "simulated": self.simulated}
        units = {name: LABELS[name].unit for name in labels.names}
        write_arrays(path, "LabelTransfer", arrays, units=units, model=facts, settings=settings, counts=self.counts)

    @classmethod
    def read(cls, path: str | Path) -> LabelTransfer:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "LabelTransfer")
        for name, unit in facts["units"].items():
            register_label(name, unit)
        names = tuple(facts["units"])
        parts: dict[str, Any] = {name: arrays[name] for name in _MODEL_ARRAYS}
        model = CannonModel(names, **parts, **facts["model"])
        labels = Labels(arrays["ids"], names, arrays["values"])
        return cls(model, labels, arrays["starts"], **facts["settings"], counts=facts["counts"])


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


def learn(
    survey: Survey,
    *,
    rng: np.random.Generator,
    width: float = 50.0,
    convention: str = "paper",
    order: int = 2,
    clip_sigma: float = 4.0,
    alpha_m_min: float = -0.1,
    n_starts: int = 7,
) -> LabelTransfer:
    """Train on the stars that two surveys have in common, as section 3 does: cuts, a first pass, 4 σ clip, training.

    Parameters
    ----------
    survey : from `archive.open_survey`, which decides the labels and LAMOST's pixel mask
    rng : draws the starting points among the reference stars
    order, width, convention, clip_sigma, alpha_m_min, n_starts : as in the book's parameters of these names

    Raises
    ------
    ValueError
        If the surveys have too few good stars in common.
    """
    made = getattr(survey, "normalization", None)
    if made not in (None, (width, convention)):
        raise ValueError(f"{survey!r}: normalized with width {made[0]:g}, {made[1]}; ingest again, or train with that")
    overlap = survey.overlap()
    excised = quality_cuts(overlap.labels, overlap.flagged, alpha_m_min=alpha_m_min)
    keep = ~np.any(list(excised.values()), axis=0)
    spectra = normalized(overlap.spectra[keep], width, convention)
    candidates = ReferenceSet.join(spectra, overlap.labels[keep])
    if len(candidates) < n_starts:
        raise ValueError(
            f"{survey.description}: found {len(candidates)} stars with spectra and good labels, wanted {n_starts} or "
            "more; the table of labels, or the labels asked for, leave too few"
        )
    starts = starting_points(candidates.labels, n_starts, rng=rng)
    first = infer(train(candidates, order=order), candidates.spectra, starts)
    clipped, _ = outliers(candidates.labels, first.labels, clip_sigma)
    reference = candidates[~clipped]
    counts = {
        **overlap.counts,
        **{reason: int(stars.sum()) for reason, stars in excised.items()},
        f"excised by the {clip_sigma:g} sigma clip": int(clipped.sum()),
        "reference stars": len(reference),
        "unreadable files": len(overlap.unreadable),
    }
    model = train(reference, order=order)
    return LabelTransfer(model, reference.labels, starts, width, convention, survey.mask, survey.simulated, counts)


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
    """A catalogue of spectra that are in memory.

    Parameters
    ----------
    spectra : N of them, normalized (as the transfer asks for) or not yet
    stars : the same stars: id, ra, dec [deg] and what else is known of them
    """
    fit = infer(transfer.model, normalized(spectra, transfer.width, transfer.convention), transfer.starts)
    distance = None
    if set(LABEL_SCALES) & set(transfer.model.label_names):
        n_nearest = min(10, len(transfer.reference_labels))
        distance = label_distance(fit.labels, transfer.reference_labels, n_nearest=n_nearest)
    stars = stars.copy()
    stars["glon"], stars["glat"] = galactic(stars["ra"], stars["dec"])
    label_range, facts = transfer.model.label_range, provenance(transfer)
    return catalogue.assemble(fit, stars, distance=distance, label_range=label_range, provenance=facts)


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


def provenance(transfer: LabelTransfer) -> dict[str, Any]:
    """What a catalogue says about where its labels come from."""
    return {
        "training_hash": transfer.model.training_hash,
        "model_hash": digest_of_array(np.concatenate([transfer.model.coefficients.ravel(), transfer.model.scatter])),
        "model_order": transfer.model.order,
        "n_reference": transfer.model.n_reference,
        "labels": list(transfer.model.label_names),
        "smoothing_width": transfer.width,
        "smoothing_convention": transfer.convention,
        "mask": transfer.mask,
        "simulated": transfer.simulated,
    }
