"""Tables of any of the usual formats, their columns in the units that are wanted, and what counts as missing."""

from .columns import (
    MISSING,
    find_column,
    is_missing,
    numbers,
    plain,
    plain_name,
    text,
    together,
    unit_of,
    wanted_column,
    words,
)
from .identifiers import whole_numbers
from .reading import DAMAGE, column_names, parquet_module, read_table

__all__ = [
    "DAMAGE", "MISSING", "column_names", "find_column", "is_missing", "numbers", "parquet_module", "plain",
    "plain_name", "read_table", "text", "together", "unit_of", "wanted_column", "whole_numbers",
    "words",
]  # fmt: skip
