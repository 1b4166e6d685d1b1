"""What notebooks and pages show as HTML: each thing by the macro of its name in ``pages.html``."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from .book import project_root


def words(text: object) -> Markup:
    """Words as HTML: with subscripts, and minus signs where hyphens stand for them."""
    html = str(escape(text))
    for name, letter, index in (("A_K", "A", "K"), ("A_V", "A", "V"), ("Teff", "T", "eff")):
        html = html.replace(name, f"{letter}<sub>{index}</sub>")
    return Markup(re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", html))


@functools.cache
def _macros() -> Any:
    places = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=places, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["words"] = words
    return environment.get_template("pages.html").module


def html(macro: str, *things: Any, **more: Any) -> str:
    """What a macro of ``pages.html`` makes of some things."""
    return str(getattr(_macros(), macro)(*things, **more)).strip()


class Shown:
    """Something that notebooks show by the macro of its name."""

    def _repr_html_(self) -> str:
        return html(type(self).__name__, self)


@dataclass(frozen=True)
class PlainTable(Shown):
    """Rows of HTML cells under column headings; the first cell of a row is its heading."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    kind: str = "ledger"

    def __repr__(self) -> str:
        return "\n".join(re.sub(r"<[^>]+>", " ", " | ".join(cells)) for cells in self.rows)


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
