"""Numbers that a chapter quotes: kept with unit and format, shown in prose, printed for checking, written as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import FORMAT_VERSION, written_whole

NOT_AVAILABLE = "n/a"
COLUMNS = 60
"""Widest line that a phone shows without scrolling."""


@dataclass(frozen=True)
class Number:
    """A value (None where it does not exist), its unit, and the text by which it is quoted."""

    value: float | None
    unit: str
    text: str

    @classmethod
    def of(cls, value: Any, unit: str = "", form: str = ".1f") -> Number:
        """Format a value; NaN and None are not available, and say so."""
        plain = None if value is None else value.item() if hasattr(value, "item") else value
        if plain is None or not math.isfinite(plain):
            return cls(None, unit, NOT_AVAILABLE)
        text = format(int(plain) if form.endswith("d") else plain, form)
        return cls(plain, unit, text.removeprefix("-") if is_minus_zero(text) else text)


def is_minus_zero(text: str) -> bool:
    """Whether a number was rounded to −0, −0.0 and so on, whose sign is noise."""
    return text.startswith("-") and not text.strip("-0.,")


def glue(key: str, text: str) -> None:
    """Offer `text`, with a typographic minus, to the prose of the page under `key`; outside a notebook nothing happens.

    What MyST-NB's ``glue(key, text, display=False)`` writes into the notebook, without needing MyST-NB.
    """
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return
    shown = f"−{text[1:]}" if text.startswith("-") else text
    content = {"application/papermill.record/text/plain": repr(shown)}
    display(content, raw=True, metadata={"scrapbook": {"name": key, "mime_prefix": "application/papermill.record/"}})


def table(numbers: Mapping[str, Number], keys: Iterable[str]) -> str:
    """Aligned lines ``key  value unit``, at most `COLUMNS` wide."""
    chosen = {key: numbers[key] for key in keys}
    wide = max((len(key) for key in chosen), default=0)
    lines = [
        f"{key:{wide}}  {number.text:>{len('-12,345.6')}} {number.unit}".rstrip() for key, number in chosen.items()
    ]
    if any(len(line) > COLUMNS for line in lines):
        raise ValueError(f"key numbers: a line is longer than {COLUMNS} columns: {max(lines, key=len)!r}")
    return "\n".join(lines)


def write_numbers(path: Path, numbers: Mapping[str, Number], **facts: Any) -> None:
    """Write the numbers of a chapter with `facts` about it."""
    content = {"format_version": FORMAT_VERSION, **facts, "numbers": {key: asdict(n) for key, n in numbers.items()}}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def read_numbers(path: Path) -> tuple[dict[str, Number], dict[str, Any]]:
    """Read what `write_numbers` wrote: the numbers and the facts."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbers = {key: Number(**entry) for key, entry in content.pop("numbers").items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a complete file of numbers ({error}); run the chapter again") from error
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{path}: format version {content.get('format_version')}, wanted {FORMAT_VERSION}; run again")
    return numbers, content
