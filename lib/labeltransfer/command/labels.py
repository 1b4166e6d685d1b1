"""The sub-commands for people who only want labels: `simulate`, `fetch`, `ingest`, `train` and `infer`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..options import CATALOGUE_FORMATS, CONVENTIONS, FILES_PER_BLOCK, MASKS, SCHEDULERS, SPECTRA_FORMATS
from .arguments import a_count, a_path, check_free, errors_by_label, or_auto
from .extras import need

LOSSES = 3

SHOWN = 20
"""Files that could not be read, named one by one."""


def simulate(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``simulate``."""
    command.add_argument("folder", metavar="DIR", type=a_path, help="where to: a new or empty folder, or one that the "
                         "same command left unfinished")  # fmt: skip
    command.add_argument("--overlap", type=int, default=300, metavar="N", help="stars in common; default 300")
    command.add_argument("--dr2", type=int, default=500, metavar="N", help="further LAMOST stars; default 500")
    command.add_argument("--apogee", type=int, default=1000, metavar="N", help="stars of APOGEE; default 1000")
    command.add_argument("--seed", type=int, default=2017, metavar="S", help="default 2017")
    command.add_argument("--format", choices=SPECTRA_FORMATS, default="image",
                         help="spectra as in LAMOST DR1-DR7 (image) or DR8+ (table)")  # fmt: skip
    command.add_argument("--gzip", action="store_true", help="write .fits.gz: smaller, and slower to write and read")
    command.set_defaults(call=_simulate)


def _simulate(given: argparse.Namespace) -> None:
    from .. import mock

    n_apogee = max(given.apogee, given.overlap)
    survey = mock.SimulatedSurvey(n_overlap=given.overlap, n_dr2=given.dr2, n_apogee=n_apogee, seed=given.seed)
    mock.write_survey(survey, given.folder, spectra_format=given.format, compress=given.gzip)
    print(f"{given.folder}: {given.overlap:,} stars in common, {given.dr2:,} further LAMOST stars")
    if given.overlap:
        print(f"now for example\nlabeltransfer train {given.folder} -o model.npz\n"
              f"labeltransfer run mine -p source folder -p survey_dir {given.folder}")  # fmt: skip


def fetch(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``fetch``."""
    from ..archive.sources import SOURCES

    listed = "\n".join(f"  {name:12} {source.description}" for name, source in SOURCES.items())
    command.epilog = f"sources:\n{listed}"
    command.add_argument("source", metavar="SOURCE", choices=tuple(SOURCES), help=", ".join(SOURCES))
    command.add_argument("-o", dest="output", metavar="DIR", type=a_path, help="where to; default: the user's cache")
    command.set_defaults(call=_fetch)


def _fetch(given: argparse.Namespace) -> None:
    from ..archive.fetching import fetch
    from ..archive.sources import SOURCES

    source = SOURCES[given.source]
    print(fetch(given.source, given.output))
    if not given.quiet:
        print(f"{source.description}; from {source.credit}", file=sys.stderr)
    if source.by_hand:
        print(source.by_hand, file=sys.stderr)


def ingest(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``ingest``."""
    command.add_argument("folder", metavar="FOLDER", type=a_path, help="LAMOST files, in sub-folders too")
    command.add_argument("-o", dest="output", metavar="STORE", type=a_path, required=True,
                         help="the folder to make; a call that was killed goes on there")  # fmt: skip
    command.add_argument("--replace", action="store_true", help="lose a store that is there")
    command.add_argument("--catalogue", metavar="TABLE", type=a_path, help="LAMOST's, for redshifts that headers lack")
    _add_mask(command)
    command.add_argument("--width", type=float, default=50.0, metavar="L", help="of the normalization; default 50 Å")
    command.add_argument("--convention", choices=tuple(CONVENTIONS), default="paper", help="default paper")
    command.add_argument("--block", type=int, default=FILES_PER_BLOCK, metavar="N",
                         help=f"files; default {FILES_PER_BLOCK}")  # fmt: skip
    _add_workers(command)
    command.set_defaults(call=_ingest)


def _ingest(given: argparse.Namespace) -> int:
    from ..archive.ingest import ingest_folder
    from ..archive.roles import catalogue_of
    from ..archive.store import MANIFEST

    choices = {"mask": given.mask, "width": given.width, "convention": given.convention, "block_size": given.block}
    choices |= {"scheduler": given.scheduler, "n_workers": given.workers, "replace": given.replace}
    store = ingest_folder(given.folder, given.output, catalogue=given.catalogue, **choices)
    skipped = store.counts["skipped"]
    print(f"{given.output}: {len(store):,} spectra; {skipped:,} files skipped, see {given.output / MANIFEST}")
    catalogue = given.catalogue or catalogue_of(given.folder)
    if catalogue:
        print(f"redshifts that headers lack are those of {catalogue}")
    return LOSSES if skipped else 0


def train(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``train``."""
    command.add_argument("folder", metavar="SURVEY_DIR", type=a_path, help="LAMOST files with labels.csv, or with "
                         "LAMOST's catalogue and APOGEE's allStar table, as `simulate` writes them")  # fmt: skip
    command.add_argument("-o", dest="output", metavar="MODEL.npz", type=a_path, required=True, help="where to")
    command.add_argument("--replace", action="store_true", help="lose a model that is there")
    command.add_argument("--labels", metavar="TABLE", type=a_path, help="the table of labels, if it lies elsewhere")
    command.add_argument("--label-names", metavar="A,B", help="labels to learn, for example teff,logg; default: all")
    _add_mask(command)
    command.add_argument("--recipe", choices=("robust", "paper"), help="robust (default), or what the paper did")
    command.add_argument("--order", metavar="N", type=or_auto(int), help="of the polynomial in the labels, or auto")
    command.add_argument("--error-factor", metavar="X", type=or_auto(float),
                         help="by which the errors of the flux are too small, or auto")  # fmt: skip
    command.add_argument("--label-errors", metavar="A=X,B=Y", type=errors_by_label,
                         help="for example teff=50,logg=0.1; default: those of the table")  # fmt: skip
    command.add_argument("--seed", type=a_count, metavar="S", help="of starting points and folds; default 0")
    command.set_defaults(call=_train)


def _train(given: argparse.Namespace) -> int:
    check_free(given.output, "model", [".npz"], given.replace)

    from ..archive import open_survey
    from ..files import check_output, written_whole
    from ..labels.registry import distinct_names
    from ..transfer import LabelTransfer, learn
    from ..transfer.report import balance

    inputs = [given.folder, *([given.labels] if given.labels else [])]
    check_output(given.output, "model", inputs=inputs, replace=given.replace,
                 is_ours=lambda path: bool(LabelTransfer.read(path)))  # fmt: skip
    names = None if given.label_names is None else distinct_names(given.label_names)
    survey = open_survey("folder", given.folder, names, mask=given.mask, label_table=given.labels)
    choices = {name: getattr(given, name) for name in ("recipe", "order", "error_factor")}
    if given.label_errors:
        spelled = distinct_names(list(given.label_errors))
        choices["label_errors"] = dict(zip(spelled, given.label_errors.values(), strict=True))
    chosen: dict[str, Any] = {name: value for name, value in choices.items() if value is not None}
    transfer = learn(survey, rng=given.seed, **chosen)
    with written_whole(given.output, replace=given.replace) as temporary:
        transfer.write(temporary)
    counts = balance(transfer.counts or {})
    for what, count in counts.items():
        print(f"{count:9,}  {what}")
    counted = {f"{count:,} {what}" for what, count in counts.items()}
    print("\n".join(line for line in transfer.report if line not in counted))
    print(f"{given.output}: {transfer!r}")
    return LOSSES if counts.get("unreadable files") else 0


def infer(command: argparse.ArgumentParser) -> None:
    """Fill the parser of ``infer``."""
    command.add_argument("model", metavar="MODEL.npz", type=a_path, help="as `train` writes it")
    command.add_argument("spectra", metavar="FILE", type=a_path, nargs="+", help="LAMOST files, folders of them, or a "
                         "store")  # fmt: skip
    command.add_argument("-o", dest="output", metavar="LABELS.fits", type=a_path, required=True,
                         help=f"the catalogue; one of {', '.join(CATALOGUE_FORMATS)}")  # fmt: skip
    command.add_argument("--replace", action="store_true", help="lose a catalogue that is there")
    command.add_argument("--parts", metavar="DIR", type=a_path, help="keep finished blocks here; a killed run goes on "
                         "there")  # fmt: skip
    _add_workers(command)
    command.set_defaults(call=_infer)


def _infer(given: argparse.Namespace) -> int:
    check_free(given.output, "catalogue", CATALOGUE_FORMATS, given.replace)

    from ..archive.store import is_store
    from ..survey import label_survey
    from ..survey.road import checked_output
    from ..transfer import LabelTransfer

    if given.output.suffix.lower() == ".parquet":
        need("survey", "pyarrow")
    if any(map(is_store, given.spectra)):
        need("survey", "zarr")
    checked_output(given.output, [given.model, *given.spectra], given.replace)
    transfer = LabelTransfer.read(given.model)
    options = {"parts": given.parts, "scheduler": given.scheduler, "n_workers": given.workers}
    labelled = label_survey(transfer, given.spectra, given.output, replace=given.replace, **options)
    for failure in labelled.unreadable[:SHOWN]:
        print(f"not read: {failure.path}: {failure.reason}", file=sys.stderr)
    if len(labelled.unreadable) > SHOWN:
        print(f"not read: and {len(labelled.unreadable) - SHOWN:,} more", file=sys.stderr)
    print(f"{given.output}: {labelled.summary()}")
    return LOSSES if labelled.unreadable else 0


def _add_mask(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mask", choices=MASKS, default="none", help="LAMOST's pixel mask to apply; default none")


def _add_workers(command: argparse.ArgumentParser) -> None:
    words = ", ".join(SCHEDULERS)
    command.add_argument("--scheduler", default="threads", help=f"{words}, or tcp://… of Dask; default threads")
    command.add_argument("--workers", type=int, metavar="N", help="processes; default one for each core")
