"""Drawings of plain numbers, such as were measured before: counts in bins, points with errors, and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .label_figures import shared_legend
from .style import (
    APOGEE,
    CANNON,
    FAINT,
    LAMOST,
    PIPELINE,
    drawing,
    label_panels,
    mark_simulated,
    plain_logarithm,
    record,
    stacked,
)

COLOURS = (APOGEE, PIPELINE, CANNON, LAMOST, FAINT)
MARKS = "os^Dv"


@drawing
def recorded_histograms(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[int]]]], *, note: str, simulated: bool = False
) -> Figure:
    """Counts in bins, one panel for each quantity.

    Parameters
    ----------
    panels : text of the horizontal axis to (name of a line to (edges (B + 1,), counts (B,)))
    note : where the numbers are from, for example "real data, recorded run of 2026-01-31"
    """
    figure, axes = label_panels(len(panels), 2.5)
    parts = []
    for ax, (quantity, lines) in zip(axes, panels.items(), strict=True):
        for (name, (edges, counts)), colour in zip(lines.items(), COLOURS, strict=False):
            ax.stairs(counts, edges, color=colour, lw=1.4, label=name)
            middle = 0.5 * (np.asarray(edges[1:], float) + np.asarray(edges[:-1], float))
            parts.append({"quantity": quantity, "line": name, "middle": middle, "stars": np.asarray(counts)})
        ax.set_xlabel(quantity)
        ax.set_ylabel("stars")
        ax.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            ax.legend(fontsize=9)
    mark_simulated(figure, simulated, note)
    record(figure, stacked(parts))
    return figure


@drawing
def recorded_points(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float] | None]]],
    x: str,
    *,
    note: str = "",
    simulated: bool = False,
    logarithmic: str = "",
    windows: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Points with error bars, and lines without, one panel for each quantity above the other.

    Parameters
    ----------
    panels : text of the vertical axis to (name of a line to (x (N,), y (N,), errors (N,) or None: a line))
    x : text of the horizontal axis
    note : where the numbers are from
    logarithmic : ``"x"``, ``"y"`` or both
    windows : parts of the horizontal axis to shade
    """
    figure, axes = label_panels(len(panels), 2.6, columns=1, sharex=True)
    parts = []
    for ax, (quantity, lines) in zip(axes, panels.items(), strict=True):
        for low, high in windows:
            ax.axvspan(low, high, color=FAINT, alpha=0.12, lw=0)
        for number, (name, (at, value, error)) in enumerate(lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            if error is None:
                ax.plot(at, value, color=colour, lw=1.3, ls="-" if number < len(COLOURS) else "--", label=name)
            else:
                ax.errorbar(at, value, error, color=colour, fmt=MARKS[number % len(MARKS)], ms=5, capsize=2, label=name)
            columns = {"x": np.asarray(at, float), "y": np.asarray(value, float)}
            parts.append({"quantity": quantity, "line": name, **columns, **({} if error is None else {"error": error})})
        for axis in logarithmic:
            plain_logarithm(ax, axis)
        ax.set_ylabel(quantity)
        ax.spines[["top", "right"]].set_visible(False)
    if max(map(len, panels.values())) > 1:
        shared_legend(figure, axes)
    axes[-1].set_xlabel(x)
    mark_simulated(figure, simulated, note)
    record(figure, stacked(parts))
    return figure
