"""Label transfer between spectroscopic surveys with The Cannon (Ho et al. 2017; Ness et al. 2015).

The rooms in the order in which data flow: `labels` and `spectra` are the nouns, `lamost` and `apogee` read the
surveys, `mock` simulates them, `archive` says where a survey's files come from, `continuum` normalizes, `reference`
chooses the stars to train on, `cannon` makes the model, `inference` applies it, `validation` checks it, `survey` takes
it to millions of stars, `catalogue` writes what came out, `figures` draws it; `transfer` goes the whole way at once.
"""

from astropy.table import Table

from . import apogee, catalogue, diagnostics, figures, lamost, mock
from .archive import Overlap, open_survey, pipeline_labels, rows_of
from .archive.fetching import fetch
from .archive.ingest import ingest_folder, ingest_survey
from .archive.store import SpectraStore
from .cannon import CannonModel, train
from .continuum import normalize, smooth
from .fisher import cramer_rao, fisher_information
from .inference import LabelFit, infer, starting_points
from .labels import LABELS, PAPER_LABELS, Label, Labels, register_label
from .reference import ReferenceSet, cross_match, label_distance, label_shift, outliers, quality_cuts
from .spectra import Spectra
from .survey import infer_survey, label_survey
from .transfer import LabelTransfer, learn
from .validation import (
    assign_folds,
    bias_and_scatter,
    bootstrap,
    bootstrap_scatter,
    cross_validate,
    scatter_by_snr,
)

__all__ = [
    "LABELS",
    "PAPER_LABELS",
    "CannonModel",
    "Label",
    "LabelFit",
    "LabelTransfer",
    "Labels",
    "Overlap",
    "ReferenceSet",
    "Spectra",
    "SpectraStore",
    "Table",
    "apogee",
    "assign_folds",
    "bias_and_scatter",
    "bootstrap",
    "bootstrap_scatter",
    "catalogue",
    "cramer_rao",
    "cross_match",
    "cross_validate",
    "diagnostics",
    "fetch",
    "figures",
    "fisher_information",
    "infer",
    "infer_survey",
    "ingest_folder",
    "ingest_survey",
    "label_distance",
    "label_shift",
    "label_survey",
    "lamost",
    "learn",
    "mock",
    "normalize",
    "open_survey",
    "outliers",
    "pipeline_labels",
    "quality_cuts",
    "register_label",
    "rows_of",
    "scatter_by_snr",
    "smooth",
    "starting_points",
    "train",
]
