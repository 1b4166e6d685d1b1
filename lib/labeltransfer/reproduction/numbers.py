"""Numbers that a chapter quotes: recorded, offered to its prose, and printed for checking."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..evidence.claims import paper_values
from ..evidence.numbers import Number
from ..labels import LABELS, PAPER_LABELS, Labels

COLUMNS = 60
"""Widest line that a phone shows without scrolling."""


def running_shell() -> Any:
    """The IPython that executes this, which is not imported for it; None outside a notebook."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def glue(key: str, text: str) -> None:
    """Offer `text`, with a typographic minus, to the prose of the page under `key`; outside a notebook nothing happens.

    What MyST-NB's ``glue(key, text, display=False)`` writes into the notebook, without needing MyST-NB.
    """
    shell = running_shell()
    if shell is not None:
        shown = f"−{text[1:]}" if text.startswith("-") else text
        note = {"scrapbook": {"name": key, "mime_prefix": "application/papermill.record/"}}
        shell.display_pub.publish({"application/papermill.record/text/plain": repr(shown)}, note)


def quoted_values(text: str) -> dict[str, str]:
    """The paper's values that a chapter's text quotes with ``{glue:text}`paper_…```.

    Raises
    ------
    ValueError
        If it quotes one that no claim has.
    """
    keys = list(dict.fromkeys(re.findall(r"\{glue:text\}`(paper_\w+)", text)))
    there = paper_values()
    unknown = [key for key in keys if key not in there]
    if unknown:
        raise ValueError(f"no claim has a value {', '.join(unknown)}; there are {', '.join(there)}")
    return {key: there[key] for key in keys}


def table(numbers: Mapping[str, Number], keys: Iterable[str]) -> str:
    """Aligned lines ``key  value unit``, at most `COLUMNS` wide."""
    chosen = {key: numbers[key] for key in keys}
    wide = max((len(key) for key in chosen), default=0)
    lines = [f"{key:{wide}}  {one.text:>{len('-12,345.6')}} {one.unit}".rstrip() for key, one in chosen.items()]
    if any(len(line) > COLUMNS for line in lines):
        raise ValueError(f"key numbers: a line is longer than {COLUMNS} columns: {max(lines, key=len)!r}")
    return "\n".join(lines)


class Recorder:
    """Keeps the numbers of a chapter, and offers them to its prose.

    Attributes
    ----------
    recorded_numbers, timings : the numbers and times recorded so far
    values : parameters of the run, by name
    said : keys of the sentences that `say` chose
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.recorded_numbers: dict[str, Number] = {}
        self.timings: dict[str, Number] = {}
        self.said: set[str] = set()

    @property
    def label_names(self) -> list[str]:
        """Labels of this run."""
        return list(self.values.get("label_names", PAPER_LABELS))

    def number(self, key: str, value: Any, unit: str = "", format: str = ".1f") -> None:
        """Record a number, so that prose can quote it and the ledger judge it; None and NaN are not available."""
        self.recorded_numbers[key] = Number.of(value, unit, format)
        glue(key, self.recorded_numbers[key].text)

    def quote(self, format: str, unit: str = "", **values: Any) -> None:
        """Record several numbers that are written alike: ``chapter.quote(",d", n_stars=…, n_pixels=…)``."""
        for key, value in values.items():
            self.number(key, value, unit, format)

    def numbers(
        self,
        key: str,
        values: Any,
        labels: Sequence[str] | None = None,
        *,
        of: Sequence[str] | None = None,
        unit: str | None = None,
        digits: int | tuple[int, int] = (1, 4),
        sign: str = "",
    ) -> None:
        """Record a number for each label, as ``key_teff`` and so on; of a label that the run lacks it is not available.

        Parameters
        ----------
        key : what the number is; a place for the label may stand in it, as in ``linear_{}_error``
        values : (L,), or label to value, or None if there are none
        labels : for which to record one; default those of `of`, or else the paper's
        of : labels in whose order the values are; default the run's
        unit : if it is not the label's own
        digits : after the point; two of them are for labels in K and for all others
        sign : "+" to write it in front of positive numbers
        """
        if values is not None and not isinstance(values, Mapping):
            values = dict(zip(self.label_names if of is None else of, values, strict=True))
        if labels is None:
            labels = PAPER_LABELS if of is None else of
        for name in labels:
            own = LABELS[name].unit if unit is None else unit
            n_digits = digits if isinstance(digits, int) else digits[LABELS[name].unit != "K"]
            place = key.format(name) if "{" in key else f"{key}_{name}"
            value = (values or {}).get(name) if name in self.label_names else None
            self.number(place, value, own, f"{sign}.{n_digits}f")

    def say(self, key: str, case: Any, sentences: Mapping[Any, str]) -> None:
        """Let the prose say what the numbers say: it quotes `key`, and gets the sentence of this case."""
        glue(key, sentences[case])
        self.said.add(key)

    def pick(self, values: Any, name: str) -> Any:
        """The entry of one label in (…, L) values; NaN if the run has no such label, or there are no values."""
        if values is None or name not in self.label_names:
            return np.nan
        return np.asarray(values)[..., self.label_names.index(name)]

    def column(self, labels: Labels, name: str) -> np.ndarray:
        """(N,) values of one label; NaN if there is none of this name."""
        return labels.column(name) if name in labels.names else np.full(len(labels), np.nan)

    def timing(self, key: str, value: float | None, unit: str = "s", format: str = ".1f") -> None:
        """Record a time: it goes into the ledger, never into a checked cell, because it differs from run to run."""
        self.timings[key] = Number.of(value, unit, format)
        glue(key, self.timings[key].text)

    def key_numbers(self, *keys: str) -> None:
        """Print numbers, by default all, as a narrow table; for cells tagged `nbval-check-output`."""
        missing = [key for key in keys if key not in self.recorded_numbers]
        if missing:
            raise ValueError(f"no number {', '.join(missing)} was recorded with chapter.number")
        print(table(self.recorded_numbers, keys or self.recorded_numbers))
