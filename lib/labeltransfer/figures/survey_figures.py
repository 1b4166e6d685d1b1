"""Drawings of the appendix on the simulated survey: what a grid, an instrument or a comparison does by wavelength."""

from __future__ import annotations

from collections.abc import Mapping

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
    mark_simulated,
    panels,
    plain_logarithm,
    record,
    stacked,
)

COLOURS = (PIPELINE, CANNON, LAMOST, APOGEE, FAINT)

Lines = Mapping[str, tuple[np.ndarray, np.ndarray]]


@drawing
def against_wavelength(
    quantities: Mapping[str, Lines],
    *,
    simulated: bool,
    logarithmic: bool = False,
    windows: tuple[tuple[float, float], ...] = (),
) -> Figure:
    """One panel per quantity, one line per name, wavelength [Å] on the common axis.

    Parameters
    ----------
    quantities : text of the vertical axis to (name of a line to (wavelength (P,), values (P,)))
    logarithmic : vertical axes
    windows : wavelengths [Å] to shade
    """
    figure, axes = panels(len(quantities), 1, 2.3 * len(quantities) + 0.5, sharex=True)
    parts = []
    for ax, (quantity, lines) in zip(axes[:, 0], quantities.items(), strict=True):
        for low, high in windows:
            ax.axvspan(low, high, color=FAINT, alpha=0.12, lw=0)
        for (name, (wavelength, values)), colour in zip(lines.items(), COLOURS, strict=False):
            ax.plot(wavelength, values, color=colour, lw=1.0, label=name)
            parts.append({"quantity": quantity, "line": name, "wavelength": wavelength, "value": values})
        if logarithmic:
            plain_logarithm(ax, "y")
        ax.set_ylabel(quantity)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("wavelength [Å]")
    if max(map(len, quantities.values())) > 1:
        shared_legend(figure, axes[:, 0])
    mark_simulated(axes[0, 0], simulated)
    record(figure, stacked(parts))
    return figure
