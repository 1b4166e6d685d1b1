from .chapter import Chapter, open_chapter

__all__ = ["Chapter", "open_chapter"]
