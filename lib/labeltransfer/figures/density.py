"""Clouds of stars counted in bins, and how they are drawn: pure numbers first, then colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.ticker import StrMethodFormatter

from ..labels import LABELS
from .style import DENSITY_MAP, span

Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of stars in the bins of a plane.

    Attributes
    ----------
    counts : (X, Y) stars in each bin
    x_edges, y_edges : (X + 1,), (Y + 1,)
    n_drawn, n_outside, n_ignored : stars in the bins, beyond them, and without finite values
    """

    counts: np.ndarray
    x_edges: np.ndarray
    y_edges: np.ndarray
    n_drawn: int
    n_outside: int
    n_ignored: int

    def columns(self, x: str = "x", y: str = "y") -> dict[str, np.ndarray]:
        """Centres of the bins that hold stars, and how many."""
        i, j = np.nonzero(self.counts)
        return {
            x: (0.5 * (self.x_edges[1:] + self.x_edges[:-1]))[i],
            y: (0.5 * (self.y_edges[1:] + self.y_edges[:-1]))[j],
            "stars": self.counts[i, j].astype(int),
        }

    def draw(self, ax: Axes, *, least: float = 1.0, most: float | None = None, cmap: str = DENSITY_MAP) -> QuadMesh:
        """Draw the counts with logarithmic colours; `least` and `most` are the counts of the first and last colour."""
        most = max(most or self.counts.max(initial=0), 2)
        shown = np.ma.masked_equal(self.counts, 0).T
        norm = LogNorm(least, most)
        return ax.pcolormesh(self.x_edges, self.y_edges, shown, norm=norm, cmap=cmap, rasterized=True)


def count(x: np.ndarray, y: np.ndarray, x_range: Range, y_range: Range, bins: tuple[int, int] = (60, 45)) -> Counts:
    """Count stars in equal bins; rows with NaN or infinity are ignored, but counted."""
    finite = np.isfinite(x) & np.isfinite(y)
    counts, x_edges, y_edges = np.histogram2d(x[finite], y[finite], bins=bins, range=[sorted(x_range), sorted(y_range)])
    n_drawn, n_finite = int(counts.sum()), int(finite.sum())
    return Counts(counts, x_edges, y_edges, n_drawn, n_finite - n_drawn, finite.size - n_finite)


def bins_for(n: int, most: int = 90) -> int:
    """Bins along each axis that suit n stars: 38 for 2,000, 59 for 10,000, 90 for 44,000."""
    return int(np.clip(4.5 * n**0.28, 20, most))


def count_bar(mesh: QuadMesh, axes: Any, location: str = "bottom") -> None:
    """The colour bar of counted stars, with plain numbers."""
    shape = {"shrink": 0.5, "aspect": 35} if location == "bottom" else {"aspect": 30}
    bar = np.ravel(axes)[0].figure.colorbar(mesh, ax=axes, location=location, label="stars in a bin", **shape)
    (bar.ax.xaxis if location == "bottom" else bar.ax.yaxis).set_major_formatter(StrMethodFormatter("{x:g}"))


def tally(counted: Iterable[Counts]) -> dict[str, int]:
    """How many stars all panels of a figure show, leave outside, and ignore."""
    panels = list(counted)
    return {fact: sum(getattr(c, fact) for c in panels) for fact in ("n_drawn", "n_outside", "n_ignored")}


def plane_ranges(teff: Sequence[np.ndarray], logg: Sequence[np.ndarray], outside: float = 0.05) -> tuple[Range, Range]:
    """Limits of the (Teff, log g) plane, turned as astronomers draw it: hot at the left, giants on top."""
    x, y = span(*teff, outside=outside), span(*logg, outside=outside)
    return x[::-1], y[::-1]


def name_axes(ax: Axes, x: str, y: str) -> None:
    """Write two labels' symbols and units on the axes."""
    ax.set_xlabel(LABELS[x].axis)
    ax.set_ylabel(LABELS[y].axis)
