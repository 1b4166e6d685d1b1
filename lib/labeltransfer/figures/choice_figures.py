"""What a choice does to the scatter of each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..labels import LABELS
from .check_figures import by_label
from .style import (
    APOGEE,
    CANNON,
    INK,
    LAMOST,
    PALE,
    PIPELINE,
    drawing,
    label_panels,
    mark_simulated,
    panels,
    plain_logarithm,
    record,
    stacked,
    ticks,
)

LABEL_LOOKS = ((CANNON, "o-"), (PIPELINE, "s--"), (INK, "^-."), (LAMOST, "D-"), (APOGEE, "v:"))
"""Colours, marks and lines of labels in one panel, told apart without colour too; beyond five they repeat."""


@drawing
def changes_of_scatter(
    choices: Sequence[str], change: np.ndarray, error: np.ndarray, names: Sequence[str], *, simulated: bool
) -> Figure:
    """Relative change of the scatter for each of K choices, one panel a label; beside a line that stands for none.

    Parameters
    ----------
    choices : (K,) what was chosen
    change, error : (K, L) relative change of the scatter, and its error; 0.1 is ten per cent
    names : (L,) names of labels
    """
    change, error = by_label("change", change, names), by_label("error", error, names)
    places = np.arange(len(choices))[::-1]
    figure, axes = label_panels(len(names), 0.9 + 0.3 * len(choices), columns=3, sharey=True)
    parts = []
    for ax, name, one, sure in zip(axes, names, change.T, error.T, strict=True):
        for place in places[::2]:
            ax.axhspan(place - 0.5, place + 0.5, color=PALE, alpha=0.35, lw=0)
        ax.axvline(0, color=INK, lw=1)
        beyond = np.abs(one) > 2 * sure
        ax.errorbar(100 * one, places, xerr=100 * sure, fmt="none", ecolor=CANNON, elinewidth=1.4)
        for which, face in ((beyond, CANNON), (~beyond, "white")):
            ax.plot(100 * one[which], places[which], "o", ms=6, mec=CANNON, mfc=face)
        ax.set(yticks=places, yticklabels=choices, ylim=(-0.6, len(choices) - 0.4))
        ax.set_xlabel("change [%]")
        ax.set_title(LABELS[name].symbol, loc="left")
        ticks(ax, across=3)
        ax.spines[["top", "right"]].set_visible(False)
        parts.append({"label": name, "choice": list(choices), "change": one, "error": sure})
    mark_simulated(figure, simulated)
    record(figure, stacked(parts))
    return figure


@drawing
def relative_scatter(
    x: Sequence[float] | Sequence[str],
    change: np.ndarray,
    error: np.ndarray,
    names: Sequence[str],
    *,
    simulated: bool,
    base: str,
    xlabel: str = "",
    log_x: bool = False,
) -> Figure:
    """Scatter of all labels in one panel, in units of that of one of B choices.

    Points of the labels stand side by side, so that their error bars can be told apart.

    Parameters
    ----------
    x : (B,) what was chosen: increasing numbers, joined by lines, or words
    change, error : (B, L) relative change of the scatter from the one choice, and its error; 0.1 is ten per cent
    names : (L,) names of labels
    base : which choice is one, in words
    xlabel : what x is
    log_x : whether x is on a logarithmic axis
    """
    change, error = by_label("change", change, names), by_label("error", error, names)
    words = all(isinstance(one, str) for one in x)
    given = np.arange(len(x), dtype=float) if words else np.asarray(x, float)
    places = np.log(given) if log_x else given
    step = np.diff(places).min(initial=np.inf) if places.size > 1 else 1.0
    figure, axes = panels(1, 1, 3.7)
    ax, parts = axes[0, 0], []
    ax.axhline(1, color=PALE, lw=2, zorder=0)
    for k, (name, one, sure) in enumerate(zip(names, change.T, error.T, strict=True)):
        aside = places + step * (k - (len(names) - 1) / 2) * 0.5 / max(len(names), 4)
        colour, mark = LABEL_LOOKS[k % len(LABEL_LOOKS)]
        at = np.exp(aside) if log_x else aside
        ax.errorbar(
            at,
            1 + one,
            sure,
            color=colour,
            fmt=mark[0] if words else mark,
            ms=5,
            elinewidth=1.2,
            label=LABELS[name].symbol,
        )
        parts.append({"label": name, "x": list(x), "ratio": 1 + one, "error": sure})
    if log_x:
        plain_logarithm(ax, "x")
    texts = [one if isinstance(one, str) else f"{one:,g}" for one in x]
    ax.set(xlabel=xlabel, ylabel=f"scatter / that {base}", xticks=given, xticklabels=texts)
    ax.set_xticks([], minor=True)
    if words:
        ax.set_xlim(-0.5, max(len(x), 1) - 0.5)
    ticks(ax, up=6)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=5, columnspacing=1.2, handletextpad=0.4, handlelength=2.0)
    mark_simulated(ax, simulated)
    record(figure, stacked(parts), base=base)
    return figure
