"""A simulated LAMOST × APOGEE: physics-based spectra, a telescope's faults, two pipelines' labels, known truth."""

from . import realism
from .facts import facts
from .grid import SyntheticGrid
from .pipelines import ApogeeAccuracy, LamostAccuracy
from .simulated_survey import RawBlock, SimulatedSurvey
from .survey_files import write_survey

__all__ = [
    "ApogeeAccuracy",
    "LamostAccuracy",
    "RawBlock",
    "SimulatedSurvey",
    "SyntheticGrid",
    "facts",
    "realism",
    "write_survey",
]
