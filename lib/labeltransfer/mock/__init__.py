"""A simulated LAMOST × APOGEE: physics-based spectra, a telescope's faults, two pipelines' labels, known truth."""

from . import realism
from .assumptions import assumptions
from .facts import facts
from .grid import SyntheticGrid
from .pipelines import ApogeeAccuracy, LamostAccuracy
from .simulated_survey import RawBlock, SimulatedSurvey
from .survey_files import FORMATS, write_survey

__all__ = [
    "FORMATS",
    "ApogeeAccuracy",
    "LamostAccuracy",
    "RawBlock",
    "SimulatedSurvey",
    "SyntheticGrid",
    "assumptions",
    "facts",
    "realism",
    "write_survey",
]
