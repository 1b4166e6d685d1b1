"""The only room that knows LAMOST's files: both formats of spectra, flags, the catalogue's columns."""

from .catalogue import identifier, printable, read_catalogue, read_redshifts, star_names
from .reading import Reading, Unreadable, read_places, read_spectra
from .spectrum import COMMON_GRID, RawSpectrum, read_header, read_spectrum, to_rest_frame

__all__ = [
    "COMMON_GRID", "RawSpectrum", "Reading", "Unreadable", "identifier", "printable", "read_catalogue",
    "read_header", "read_places", "read_redshifts", "read_spectra", "read_spectrum", "star_names", "to_rest_frame",
]  # fmt: skip
