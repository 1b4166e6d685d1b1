"""Tables of any of the usual formats, their columns in the units that are wanted, and what counts as missing."""

from .columns import MISSING, find_column, is_missing, numbers, plain, text, wanted_column
from .reading import DAMAGE, column_names, parquet_module, read_table

__all__ = [
    "DAMAGE", "MISSING", "column_names", "find_column", "is_missing", "numbers", "parquet_module", "plain",
    "read_table", "text", "wanted_column",
]  # fmt: skip
