__version__: str

from . import (
    apogee,
    archive,
    cannon,
    catalogue,
    continuum,
    diagnostics,
    figures,
    files,
    fisher,
    inference,
    labels,
    lamost,
    mock,
    parallel,
    reference,
    spectra,
    survey,
    tables,
    transfer,
    validation,
)
from .archive import open_survey
from .archive.fetching import fetch
from .cannon import CannonModel, train
from .continuum import normalize
from .inference import LabelFit, infer, starting_points
from .labels import LABELS, PAPER_LABELS, Label, Labels, register_label
from .reference import ReferenceSet
from .spectra import Spectra
from .transfer import LabelTransfer, learn

__all__ = [
    "LABELS",
    "PAPER_LABELS",
    "CannonModel",
    "Label",
    "LabelFit",
    "LabelTransfer",
    "Labels",
    "ReferenceSet",
    "Spectra",
    "apogee",
    "archive",
    "cannon",
    "catalogue",
    "continuum",
    "diagnostics",
    "fetch",
    "figures",
    "files",
    "fisher",
    "infer",
    "inference",
    "labels",
    "lamost",
    "learn",
    "mock",
    "normalize",
    "open_survey",
    "parallel",
    "reference",
    "register_label",
    "spectra",
    "starting_points",
    "survey",
    "tables",
    "train",
    "transfer",
    "validation",
]
