"""The book's machinery: parameters, chapters, runs, twins, pages and the ledger."""

import sys
from typing import TYPE_CHECKING

import lazy_loader  # type: ignore[import-untyped]

from .. import evidence as evidence  # before anything that imports jsonschema: see there

if TYPE_CHECKING:
    from .chapter import Chapter, open_chapter

if "jupyter_server" not in sys.modules:
    for _one in ("sync", "async"):  # jupytext would import the whole server with them, for half a second a chapter
        sys.modules.setdefault(f"jupytext.{_one}_contentsmanager", None)  # type: ignore[arg-type]

__all__ = ["Chapter", "open_chapter"]
__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={"chapter": __all__})
