"""Files of our own: arrays without pickle, written whole or not at all; long runs in parts; one writer at a time."""

from .arrays import FORMAT_VERSION, kind_of, read_arrays, reading, write_arrays, written_whole
from .outputs import check_output, check_writable
from .parts import Parts

__all__ = [
    "FORMAT_VERSION",
    "Parts",
    "check_output",
    "check_writable",
    "kind_of",
    "read_arrays",
    "reading",
    "write_arrays",
    "written_whole",
]
