"""The book's machinery: parameters, chapters, runs, twins, pages and the ledger of claims."""

from .chapter import Chapter, open_chapter

__all__ = ["Chapter", "open_chapter"]
