"""Tables of any of the usual formats, their columns in the units that are wanted, and what counts as missing."""

from .columns import (
    MISSING,
    find_column,
    is_missing,
    numbers,
    plain,
    plain_name,
    together,
    unit_of,
    wanted_column,
)
from .identifiers import whole_numbers
from .reading import DAMAGE, column_names, of_arrow, parquet_module, read_table
from .text_tables import quoted
from .words import is_index, text, words

__all__ = [
    "DAMAGE", "MISSING", "column_names", "find_column", "is_index", "is_missing", "numbers", "of_arrow",
    "parquet_module", "plain", "plain_name", "quoted", "read_table", "text", "together", "unit_of", "wanted_column",
    "whole_numbers", "words",
]  # fmt: skip
