"""A simulated LAMOST × APOGEE: physics-based spectra, a telescope's faults, two pipelines' labels, known truth."""

from .grid import SyntheticGrid
from .pipelines import ApogeeAccuracy, LamostAccuracy
from .simulated_survey import RawBlock, SimulatedSurvey

__all__ = ["ApogeeAccuracy", "LamostAccuracy", "RawBlock", "SimulatedSurvey", "SyntheticGrid"]
