"""Where a survey comes from: simulated, a folder of files, a store of spectra, the archives of LAMOST and APOGEE."""

from .opening import Survey, open_survey
from .overlap import Overlap, pipeline_labels, rows_of

__all__ = ["Overlap", "Survey", "open_survey", "pipeline_labels", "rows_of"]
