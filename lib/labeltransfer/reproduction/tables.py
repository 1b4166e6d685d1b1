"""HTML tables, as notebooks show them: every table of the book that is no picture is written here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def text_of(words: str) -> str:
    """Words as HTML: with subscripts, and minus signs where hyphens stand for them."""
    words = escape(words).replace("A_K", "A<sub>K</sub>").replace("A_V", "A<sub>V</sub>")
    words = words.replace("Teff", "T<sub>eff</sub>")
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", words)


def element(tag: str, content: str, **attributes: object) -> str:
    """An element with those attributes that are not empty; ``kind`` is its class."""
    names = {"kind": "class"}
    told = (f' {names.get(name, name)}="{value}"' for name, value in attributes.items() if value)
    return f"<{tag}{''.join(told)}>{content}</{tag}>"


def cell(content: str, kind: str = "", *, head: str = "", rows: int = 1, columns: int = 1) -> str:
    """A cell of HTML `content`; `head` (row, col, rowgroup) makes it a heading of what it says."""
    spans = {"rowspan": rows if rows > 1 else "", "colspan": columns if columns > 1 else ""}
    return element("th" if head else "td", content, kind=kind, scope=head, **spans)


def row(cells: Iterable[str], kind: str = "", identity: str = "") -> str:
    """A row of finished cells."""
    return element("tr", "".join(cells), id=identity, kind=kind)


def grouped(first: Sequence[tuple[str, str]], others: Sequence[Sequence[str]], identity: str = "") -> str:
    """Rows of one thing: the `first` cells (kind, content) span the rows of its `others`, which are finished cells."""
    start = [cell(content, kind, rows=len(others)) for kind, content in first]
    rows = [[*start, *others[0]], *others[1:]]
    return "".join(row(cells, "" if k else "first", "" if k else identity) for k, cells in enumerate(rows))


def table(head: Sequence[str], rows: Iterable[str], kind: str = "ledger", widths: Sequence[int] = ()) -> str:
    """A table of finished rows under column headings.

    Parameters
    ----------
    widths : of the columns, in per cent; left to the browser if empty
    """
    columns = "".join(f'<col style="width: {share}%">' for share in widths)
    names = row(cell(text_of(name), head="col") for name in head)
    body = "".join(rows)
    body = body if body.startswith("<tbody") else f"<tbody>{body}</tbody>"
    return f'<table class="{kind}"><colgroup>{columns}</colgroup><thead>{names}</thead>{body}</table>'


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "ledger") -> str:
    """A table whose first cells are headings of their rows; cells are HTML."""
    return table(head, (row([cell(first, head="row"), *map(cell, others)], "first") for first, *others in rows), kind)


def link(address: str, words: str, title: str = "") -> str:
    """A link; `words` are HTML."""
    told = f' title="{escape(title)}"' if title else ""
    return f'<a href="{escape(address)}"{told}>{words}</a>'


@dataclass(frozen=True)
class PlainTable:
    """Rows of HTML cells under column headings; shown by notebooks."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]

    def __repr__(self) -> str:
        return "\n".join(re.sub(r"<[^>]+>", " ", " | ".join(cells)) for cells in self.rows)

    def _repr_html_(self) -> str:
        return plain_table(self.head, self.rows)
