"""The commands for people who only want labels: `labeltransfer fetch`, `ingest`, `train` and `infer`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import catalogue
from ..archive import open_survey
from ..archive.fetching import fetch
from ..archive.ingest import BLOCK_SIZE, ingest_folder
from ..archive.sources import SOURCES
from ..archive.store import MANIFEST
from ..continuum import CONVENTIONS
from ..lamost import MASKS
from ..parallel.workers import SCHEDULERS
from ..survey import label_survey
from ..survey.road import checked_output
from ..transfer import LabelTransfer, learn

SHOWN = 20
"""Files that could not be read, named one by one."""


def add_commands(commands: Any) -> None:
    """Add these commands to the sub-commands of an argument parser."""
    _add_fetch(commands)
    _add_ingest(commands)
    _add_train(commands)
    _add_infer(commands)


def _add_fetch(commands: Any) -> None:
    listed = "\n".join(f"  {name:12} {source.description}" for name, source in SOURCES.items())
    command = commands.add_parser(
        "fetch", help="download real spectra or tables, checked and kept", epilog=f"sources:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("source", metavar="SOURCE", choices=tuple(SOURCES), help=", ".join(SOURCES))
    command.add_argument("-o", dest="output", metavar="DIR", type=Path, help="where to; default: the user's cache")
    command.set_defaults(call=_fetch)


def _fetch(given: argparse.Namespace) -> None:
    source = SOURCES[given.source]
    print(fetch(given.source, given.output))
    print(f"{source.description}; from {source.credit}", file=sys.stderr)
    if source.by_hand:
        print(source.by_hand, file=sys.stderr)


def _add_ingest(commands: Any) -> None:
    ingest = commands.add_parser("ingest", help="read LAMOST files once, into a store that infer and train take")
    ingest.add_argument("folder", metavar="FOLDER", type=Path, help="LAMOST files, in sub-folders too")
    ingest.add_argument("-o", dest="output", metavar="STORE", type=Path, required=True,
                        help="the folder to make; a call that was killed goes on there")  # fmt: skip
    ingest.add_argument("--catalogue", metavar="TABLE", type=Path, help="LAMOST's, for redshifts that headers lack")
    ingest.add_argument("--mask", choices=MASKS, default="none", help="LAMOST's pixel mask to apply; default none")
    ingest.add_argument("--width", type=float, default=50.0, metavar="L", help="of the normalization; default 50 Å")
    ingest.add_argument("--convention", choices=tuple(CONVENTIONS), default="paper", help="default paper")
    ingest.add_argument("--block", type=int, default=BLOCK_SIZE, metavar="N", help=f"files; default {BLOCK_SIZE}")
    _add_workers(ingest)
    ingest.set_defaults(call=_ingest)


def _add_workers(command: Any) -> None:
    words = ", ".join(SCHEDULERS)
    command.add_argument("--scheduler", default="threads", help=f"{words}, or tcp://… of Dask; default threads")
    command.add_argument("--workers", type=int, metavar="N", help="processes; default one for each core")


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a model on a folder of LAMOST files and a table of labels")
    train.add_argument("folder", metavar="SURVEY_DIR", type=Path, help="LAMOST files with labels.csv, or with LAMOST's "
                       "catalogue and APOGEE's allStar table, as `simulate` writes them")  # fmt: skip
    train.add_argument("-o", dest="output", metavar="MODEL.npz", type=Path, required=True, help="where to")
    train.add_argument("--labels", metavar="TABLE", type=Path, help="the table of labels, if it lies elsewhere")
    train.add_argument(
        "--label-names", metavar="A,B", help="labels to learn, for example teff,logg; default: all known"
    )
    train.add_argument("--mask", choices=MASKS, default="none", help="LAMOST's pixel mask to apply; default none")
    train.add_argument("--seed", type=int, default=2017, metavar="S", help="of the starting points; default 2017")
    train.set_defaults(call=_train)


def _add_infer(commands: Any) -> None:
    infer = commands.add_parser("infer", help="label LAMOST files with a trained model")
    infer.add_argument("model", metavar="MODEL.npz", type=Path, help="as `train` writes it")
    infer.add_argument(
        "spectra", metavar="FILE", type=Path, nargs="+", help="LAMOST files, folders of them, or a store"
    )
    infer.add_argument("-o", dest="output", metavar="LABELS.fits", type=Path, required=True,
                       help=f"the catalogue; one of {', '.join(catalogue.FORMATS)}")  # fmt: skip
    infer.add_argument(
        "--parts", metavar="DIR", type=Path, help="keep finished blocks here; a killed run goes on there"
    )
    infer.add_argument("--replace", action="store_true", help="replace a catalogue of this name")
    _add_workers(infer)
    infer.set_defaults(call=_infer)


def _ingest(given: argparse.Namespace) -> None:
    choices = {"mask": given.mask, "width": given.width, "convention": given.convention, "block_size": given.block}
    choices |= {"scheduler": given.scheduler, "n_workers": given.workers}
    store = ingest_folder(given.folder, given.output, catalogue=given.catalogue, **choices)
    skipped = store.counts["skipped"]
    print(f"{given.output}: {len(store):,} spectra; {skipped:,} files skipped, see {given.output / MANIFEST}")


def _train(given: argparse.Namespace) -> None:
    if given.output.suffix != ".npz":
        raise ValueError(f"-o {given.output}: found suffix {given.output.suffix!r}, wanted .npz")
    names = given.label_names.split(",") if given.label_names else None
    survey = open_survey("folder", given.folder, names, mask=given.mask, label_table=given.labels)
    transfer = learn(survey, rng=np.random.default_rng(given.seed))
    transfer.write(given.output)
    for what, count in (transfer.counts or {}).items():
        print(f"{count:9,}  {what}")
    print(f"{given.output}: {transfer!r}")


def _infer(given: argparse.Namespace) -> None:
    checked_output(given.output, given.spectra, given.replace)
    transfer = LabelTransfer.read(given.model)
    options = {"parts": given.parts, "scheduler": given.scheduler, "n_workers": given.workers}
    labelled = label_survey(transfer, given.spectra, given.output, replace=given.replace, **options)
    for failure in labelled.unreadable[:SHOWN]:
        print(f"not read: {failure.path}: {failure.reason}", file=sys.stderr)
    if len(labelled.unreadable) > SHOWN:
        print(f"not read: and {len(labelled.unreadable) - SHOWN:,} more", file=sys.stderr)
    print(f"{given.output}: {labelled.summary()}")
