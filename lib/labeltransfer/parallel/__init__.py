"""Work spread over the cores: blocks of one array on threads, parts of a survey on workers."""

from .blocks import available_cores, over_blocks, over_files
from .compiled import check_precision, compiled, compiled_sums

__all__ = ["available_cores", "check_precision", "compiled", "compiled_sums", "over_blocks", "over_files"]
