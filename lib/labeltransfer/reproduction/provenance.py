"""The foot of every page: which run it shows, of what data, with which code, and what it cost."""

from __future__ import annotations

from html import escape
from pathlib import Path

from .record import Record


def write_provenance(pages: Path, record: Record) -> None:
    """Write at the foot of every page which run it shows, of what data, with which code, and what it cost."""
    for page in pages.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        mark = text.rfind("</article>")
        if mark < 0:
            continue
        foot = f'<footer class="provenance">{provenance(record, page.stem)}</footer>'
        page.write_text(text[:mark] + foot + text[mark:], encoding="utf-8")


def provenance(record: Record, stem: str) -> str:
    """HTML text about a run and about what one chapter of it cost."""
    parts = [f"Run <code>{escape(record.name)}</code>", escape(record.data), f"data {record.data_hash[:12]}"]
    cost = record.chapters.get(stem, {})
    made = record.made_with | cost
    versions = [f"{name} {made['versions'].get(name, '')}".strip() for name in ("labeltransfer", "numpy")]
    parts.append(", ".join([f"Python {made['python']}", *versions]))
    parts += [f"{name} <code>{escape(made[name])}</code>" for name in ("commit", "lock") if made[name]]
    if cost:
        parts.append(f"this chapter: {cost['seconds']:.1f}&nbsp;s, {cost['peak_memory']:,.0f}&nbsp;MB")
    parts.append(f"all chapters: {record.seconds:.0f}&nbsp;s")
    return " · ".join(parts)
