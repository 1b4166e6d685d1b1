"""The page on which a reader picks a star: where it is drawn, and how its data get there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .book import project_root
from .tables import Shown, html


@dataclass(frozen=True)
class StarPage(Shown):
    """Shows the stars of a script that `figures.star_picker.StarPicker.write` wrote."""

    data: Path

    def __repr__(self) -> str:
        return f"StarPage({self.data.name})"

    def embedded(self, height: int = 1500) -> Any:
        """The page with all its data in one output, for Jupyter."""
        from IPython.display import HTML

        static = project_root() / "book" / "_static"
        files = (static / "explorer.css", self.data, static / "explorer.js")
        page = html("StarPageAlone", *(file.read_text(encoding="utf-8") for file in files))
        return HTML(html("embedded", page, height))
