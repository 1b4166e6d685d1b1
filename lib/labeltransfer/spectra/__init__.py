"""N spectra on one wavelength grid, from arrays of any kind, and how observed spectra get onto the grid."""

from .line_shift import line_shift, why_shifted
from .resampling import SPEED_OF_LIGHT, _interpolate, air_to_vacuum, resample, rest_frame
from .spectra import LEAST_GOOD, Spectra, why_unusable

__all__ = [
    "LEAST_GOOD", "SPEED_OF_LIGHT", "Spectra", "_interpolate", "air_to_vacuum", "line_shift", "resample", "rest_frame",
    "why_shifted",
    "why_unusable",
]  # fmt: skip
