from . import apogee_dr10, fetching, folder, ingest, opening, overlap, sources, store
from .opening import Survey, open_survey
from .overlap import Overlap, pipeline_labels, rows_of

__all__ = [
    "Overlap",
    "Survey",
    "apogee_dr10",
    "fetching",
    "folder",
    "ingest",
    "open_survey",
    "opening",
    "overlap",
    "pipeline_labels",
    "rows_of",
    "sources",
    "store",
]
