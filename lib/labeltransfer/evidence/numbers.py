"""Numbers: each with its unit and the text by which it is quoted; kept as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import FORMAT_VERSION, written_whole

NOT_AVAILABLE = "n/a"


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
        minus_zero = text.startswith("-") and not text.strip("-0.,")  # whose sign is noise
        return cls(plain, unit, text.removeprefix("-") if minus_zero else text)


def write_json(path: str | Path, **content: Any) -> Path:
    """Write facts (numbers and other dataclasses, too) as JSON with the format's version, whole or not at all."""
    with written_whole(path) as temporary:
        text = json.dumps({**content, "format_version": FORMAT_VERSION}, indent=1, ensure_ascii=False, default=asdict)
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def read_numbers(path: Path, again: str = "run the chapter again") -> dict[str, Any]:
    """Read what `write_json` wrote of a chapter or run; numbers and timings as `Number`, the other facts as they are.

    Raises
    ------
    ValueError
        If the file is damaged or of another format, naming it and what to do.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for part in ("numbers", "timings"):
            content[part] = {key: Number(**entry) for key, entry in content[part].items()}
        version = content.pop("format_version", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not readable as numbers ({error!r}); {again}") from error
    if version != FORMAT_VERSION:
        raise ValueError(f"{path}: not readable, format version {version}, wanted {FORMAT_VERSION}; {again}")
    return content
