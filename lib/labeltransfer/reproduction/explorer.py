"""The page on which a reader picks a star: where it is drawn, and how its data get there."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .book import project_root

MARKUP = """\
<link rel="stylesheet" href="../_static/explorer.css">
<section class="explorer" id="explorer" aria-label="Pick a star">
<noscript><p>This page draws in the browser, which needs JavaScript. Figure 10 of the paper, the spectrum of one star
and its model, is drawn in <a href="03_cross_validation.html#fig-model-spectrum">chapter 3</a>.</p></noscript>
<p class="explorer-wait">The stars are being loaded. In Jupyter they are not: run
<code>explorer.embedded()</code> in a cell of its own.</p>
</section>
<script src="../_static/{data}" defer></script>
<script src="../_static/explorer.js" defer></script>
"""
ALONE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pick a star</title><style>{style}</style></head>
<body style="font: 16px sans-serif; margin: 0.5rem"><section class="explorer" id="explorer" aria-label="Pick a star">
</section><script>{data}</script><script>{script}</script></body></html>
"""


@dataclass(frozen=True)
class StarPage:
    """Shows the stars of a script that `figures.star_picker.StarPicker.write` wrote."""

    data: Path

    def __repr__(self) -> str:
        return f"StarPage({self.data.name})"

    def _repr_html_(self) -> str:
        return MARKUP.format(data=escape(self.data.name))

    def embedded(self, height: int = 1500) -> Any:
        """The page with all its data in one output, for Jupyter."""
        from IPython.display import HTML

        static = project_root() / "book" / "_static"
        page = ALONE.format(
            style=(static / "explorer.css").read_text(encoding="utf-8"), data=self.data.read_text(encoding="utf-8"),
            script=(static / "explorer.js").read_text(encoding="utf-8"),
        )  # fmt: skip
        frame = f'<iframe title="Pick a star" srcdoc="{escape(page)}" width="100%" height="{height}"></iframe>'
        return HTML(f"<div>{frame}</div>")
