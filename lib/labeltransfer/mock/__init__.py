"""A simulated LAMOST × APOGEE: physics-based spectra, a telescope's faults, two pipelines' labels, known truth."""

import hashlib
from functools import cache
from pathlib import Path

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
    "recipe_digest",
    "write_survey",
]


@cache
def recipe_digest() -> str:
    """Of all that makes simulated data but arguments: the code and tables of this folder."""
    files = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".npz", ".json"))
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()
