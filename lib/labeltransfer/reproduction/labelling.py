"""The commands for people who only want labels: `labeltransfer train` and `labeltransfer infer`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .. import catalogue
from ..archive import open_survey
from ..lamost import MASKS, Unreadable
from ..transfer import LabelTransfer, label_files, learn


def add_commands(commands: Any) -> None:
    """Add `train` and `infer` to the sub-commands of an argument parser."""
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

    infer = commands.add_parser("infer", help="label LAMOST files with a trained model")
    infer.add_argument("model", metavar="MODEL.npz", type=Path, help="as `train` writes it")
    infer.add_argument("spectra", metavar="FILE", type=Path, nargs="+", help="LAMOST files, or folders of them")
    infer.add_argument("-o", dest="output", metavar="LABELS.fits", type=Path, required=True,
                       help=f"the catalogue; one of {', '.join(catalogue.FORMATS)}")  # fmt: skip
    infer.add_argument(
        "--parts", metavar="DIR", type=Path, help="keep finished blocks here; a killed run goes on there"
    )
    infer.set_defaults(call=_infer)


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
    if given.output.suffix not in catalogue.FORMATS:
        wanted = ", ".join(catalogue.FORMATS)
        raise ValueError(f"-o {given.output}: found suffix {given.output.suffix!r}, wanted one of {wanted}")
    transfer = LabelTransfer.read(given.model)
    labelled = label_files(transfer, given.spectra, parts=given.parts)
    for failure in labelled.unreadable:
        print(f"not read: {failure.path}: {failure.reason}", file=sys.stderr)
    catalogue.write(labelled.catalogue, given.output)
    print(f"{given.output}: {summary(labelled.catalogue, labelled.unreadable)}")


def summary(table: Any, unreadable: list[Unreadable]) -> str:
    """What became of all files, in one or a few lines."""
    failed = int((~np.asarray(table["converged"])).sum())
    lines = [f"{len(table):,} stars labelled, {failed:,} of them did not converge; {len(unreadable):,} files not read"]
    reasons = Counter(failure.reason.split(":")[0] for failure in unreadable)
    lines += [f"{count:9,}  {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
