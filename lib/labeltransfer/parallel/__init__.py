"""Work spread over the cores: blocks of one array on threads, parts of a survey on workers."""

from .blocks import available_cores, over_blocks

__all__ = ["available_cores", "over_blocks"]
