"""Work spread over the cores: blocks of one array on threads, parts of a survey on workers; loops that are compiled."""

from .blocks import available_cores, over_blocks, over_files

__all__ = ["available_cores", "over_blocks", "over_files"]
