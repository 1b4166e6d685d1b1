"""The catalogue: one row per star, with labels, errors and everything needed to judge them (Table 1)."""

from .columns import (
    CHI2_MAX,
    COOL,
    COVERAGE_MIN,
    DISTANCE_CUT,
    PACKAGES,
    STAR_COLUMNS,
    assemble,
    data_model,
    good,
    is_own,
    stack,
)
from .formats import arrow_table, best_format, check_labels, format_of, join, read, write
from .sky import galactic, healpix_mean

__all__ = [
    "CHI2_MAX",
    "COOL",
    "COVERAGE_MIN",
    "DISTANCE_CUT",
    "PACKAGES",
    "STAR_COLUMNS",
    "arrow_table",
    "assemble",
    "best_format",
    "check_labels",
    "data_model",
    "format_of",
    "galactic",
    "good",
    "healpix_mean",
    "is_own",
    "join",
    "read",
    "stack",
    "write",
]
