"""What theme and docutils leave out for people who read by keyboard or by ear; browser tests check it with axe-core."""

from __future__ import annotations

import re
from pathlib import Path

MENDED = {
    # Wide tables scroll sideways, so the keyboard must reach what scrolls.
    r'<div class="pst-scrollable-table-container">': (
        '<div class="pst-scrollable-table-container" tabindex="0" role="group" aria-label="Table">'
    ),
    # A heading says which cells it is of.
    r'<th class="head( stub)?">': r'<th class="head\1" scope="col">',
    # Entries of a bibliography are no list items, and their role has been withdrawn from ARIA.
    r'<div role="list" class="citation-list">': '<div class="citation-list">',
    r'(<div class="citation" id="[^"]*") role="doc-biblioentry">': r"\1>",
    # Title, search and contents stand outside all landmarks.
    r'<div id="pst-primary-sidebar" class="([^"]*)">': (
        r'<div id="pst-primary-sidebar" class="\1" role="region" aria-label="Title, search and contents">'
    ),
}


def accessible(page: str) -> str:
    """The HTML of a page with these faults mended; what is mended already stays as it is."""
    for fault, mended in MENDED.items():
        page = re.sub(fault, mended, page)
    return page


def make_accessible(pages: Path) -> None:
    """Mend every rendered page of a folder."""
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (mended := accessible(text)) != text:
            page.write_text(mended, encoding="utf-8")
