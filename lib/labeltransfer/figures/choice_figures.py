"""Figures of the sensitivity appendix: what each choice does to the scatter of each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..labels import LABELS
from .check_figures import by_label
from .style import CANNON, INK, PALE, drawing, label_panels, mark_simulated, record, stacked, ticks


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
    figure, axes = label_panels(len(names), 0.9 + 0.3 * len(choices), columns=2, sharey=True)
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
        ticks(ax, across=5)
        ax.spines[["top", "right"]].set_visible(False)
        parts.append({"label": name, "choice": list(choices), "change": one, "error": sure})
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts))
    return figure
