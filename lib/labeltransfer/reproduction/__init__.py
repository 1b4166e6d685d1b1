"""The book's machinery: parameters, chapters, runs, twins, pages and the ledger of claims."""

import sys
from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from .chapter import Chapter, open_chapter

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
"""jsonschema would read the grammar of internet addresses with it, for two seconds; no schema here has an address."""

__all__ = ["Chapter", "open_chapter"]
__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={"chapter": __all__})
