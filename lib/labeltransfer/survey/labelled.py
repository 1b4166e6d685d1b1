"""What came of labelling a survey."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import catalogue
from ..lamost import Unreadable

SHOWN = 8
"""Kinds of reasons in a summary, the most frequent first."""


@dataclass(frozen=True, repr=False)
class Labelled:
    """A catalogue that was written, and what its stars are worth.

    Attributes
    ----------
    path : of the catalogue
    n_stars : labelled
    n_good : of them good by the catalogue's own rule, see `catalogue.good`
    n_outside : of them as far from the reference set as the cut or further
    n_failed : of them without convergence
    unreadable : files that gave no spectrum, and why
    simulated : whether the model was trained on simulated spectra
    """

    path: Path
    n_stars: int = 0
    n_good: int = 0
    n_outside: int = 0
    n_failed: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    simulated: bool = False

    def __repr__(self) -> str:
        return f"Labelled({self.path}: {self.n_stars:,} stars, {self.n_good:,} good; {len(self.unreadable):,} not read)"

    def summary(self) -> str:
        """What became of all stars and files, in a few lines."""
        lines = [
            f"{self.n_stars:,} stars labelled: {self.n_good:,} good by the catalogue's own rule, {self.n_outside:,} "
            f"outside the reference set, {self.n_failed:,} did not converge; {len(self.unreadable):,} files not read"
        ]
        reasons = Counter(_kind(failure.reason) for failure in self.unreadable).most_common()
        lines += [f"{count:9,}  {reason}" for reason, count in reasons[:SHOWN]]
        lines += [f"{sum(count for _, count in reasons[SHOWN:]):9,}  for other reasons"] if reasons[SHOWN:] else []
        if self.simulated:
            lines.append("the model was trained on simulated spectra: labels of real stars by it mean nothing")
        return "\n".join(lines)


def _kind(reason: str) -> str:
    """What is common to reasons of one kind: without names of files, numbers, and what was wanted."""
    return re.sub(r"[-+]?\d[\d,.]*", "…", re.split(r"[:;(]| as ", reason)[0].strip())


def counted(table: Table) -> dict[str, int]:
    """How many stars of a catalogue there are, and are good, outside and failed."""
    outside = np.asarray(table["outside"], dtype=bool) if "outside" in table.colnames else np.zeros(0, dtype=bool)
    return {
        "n_stars": len(table),
        "n_good": int(catalogue.good(table).sum()),
        "n_outside": int(outside.sum()),
        "n_failed": int((~np.asarray(table["converged"], dtype=bool)).sum()),
    }
