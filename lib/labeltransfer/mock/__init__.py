"""A simulated LAMOST × APOGEE: physics-based spectra, a telescope's faults, two pipelines' labels, known truth."""

from functools import cache
from pathlib import Path

from ..files.sources import digest_of_contents, source_files
from . import realism
from .assumptions import assumptions
from .facts import facts
from .grid import SyntheticGrid
from .other_survey import other_survey
from .pipelines import ApogeeAccuracy, LamostAccuracy
from .simulated_survey import RawBlock, SimulatedSurvey
from .survey_files import write_survey

__all__ = [
    "ApogeeAccuracy",
    "LamostAccuracy",
    "RawBlock",
    "SimulatedSurvey",
    "SyntheticGrid",
    "assumptions",
    "facts",
    "other_survey",
    "realism",
    "recipe_digest",
    "write_survey",
]


@cache
def recipe_digest() -> str:
    """Of all that makes simulated data but arguments: the code and tables of this folder."""
    folder = Path(__file__).parent
    return digest_of_contents(source_files(folder), folder)
