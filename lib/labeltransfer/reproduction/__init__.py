"""The book's machinery: parameters, chapters, runs, twins, pages and the ledger of claims."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
