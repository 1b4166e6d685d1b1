"""Where the scatter comes from: formal against measured errors, curves of scatter, information by wavelength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..labels import LABELS
from .check_figures import by_label
from .label_figures import shared_legend
from .spectra_figures import DIBS, FEATURES, WAVELENGTH, mark_lines, name_features
from .style import (
    APOGEE,
    CANNON,
    FAINT,
    INK,
    LAMOST,
    PALE,
    PIPELINE,
    drawing,
    label_panels,
    mark_simulated,
    panels,
    per_star,
    plain_logarithm,
    record,
    stacked,
    ticks,
)

CURVE_LOOKS = ((CANNON, "o-"), (PIPELINE, "s-"), (LAMOST, "D-"), (INK, "^-"), (APOGEE, "v--"), (FAINT, "P:"))
"""Colours and marks of up to six curves, told apart without colour too."""


def spread_in_bins(formal: np.ndarray, residuals: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """(B,) median formal error and (B,) half the 16-84 % range of residuals, in bins of equally many stars."""
    finite = np.isfinite(formal) & np.isfinite(residuals)
    groups = [g for g in np.array_split(np.argsort(formal[finite], kind="stable"), n_bins) if g.size > 1]
    medians = [np.median(formal[finite][g]) for g in groups]
    spreads = [0.5 * np.subtract(*np.percentile(residuals[finite][g], [84.13, 15.87])) for g in groups]
    return np.array(medians), np.array(spreads)


@drawing
def formal_against_empirical(
    formal: np.ndarray, residuals: np.ndarray, names: Sequence[str], *, simulated: bool, n_bins: int = 12
) -> Figure:
    """Formal errors against the scatter that stars of that formal error really have; one panel a label.

    Parameters
    ----------
    formal, residuals : (N, L) in the labels' units; NaN is ignored
    names : (L,) names of labels
    n_bins : bins with equally many stars
    """
    formal, residuals = by_label("formal", formal, names), by_label("residuals", residuals, names)
    figure, axes = label_panels(len(names), 2.6)
    parts = []
    for ax, name, errors, offsets in zip(axes, names, formal.T, residuals.T, strict=True):
        x, y = spread_in_bins(errors, offsets, n_bins)
        limit = 1.08 * max([*x, *y], default=1.0)
        ax.plot([0, limit], [0, limit], color=PALE, lw=2, zorder=0)
        ax.plot(x, y, "o-", color=CANNON, ms=5)
        ax.set(xlim=(0, limit), ylim=(0, limit), box_aspect=1)
        ax.set_xlabel(f"formal error {LABELS[name].axis}")
        ax.set_ylabel(f"scatter {LABELS[name].axis}")
        ticks(ax, across=4, up=4)
        parts.append({"label": name, "formal": x, "empirical": y})
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts), n_ignored=int((~np.isfinite(formal + residuals)).any(axis=1).sum()))
    return figure


@drawing
def label_curves(
    x: Sequence[float],
    curves: Mapping[str, Mapping[str, np.ndarray]],
    *,
    simulated: bool,
    xlabel: str = "S/N",
    ylabel: str = "scatter",
    log_x: bool = False,
) -> Figure:
    """A quantity of every label against anything, one panel a label, one line a curve.

    For the error budget, and to compare recipes.

    Parameters
    ----------
    x : (B,)
    curves : name of a curve to label to (B,) values in the label's unit; NaN where unknown. Panels are those labels
        that any curve has, in order of appearance
    """
    places = np.asarray(x, float)
    names = list(dict.fromkeys(name for curve in curves.values() for name in curve))
    figure, axes = label_panels(len(names), 2.2)
    parts = []
    for ax, name in zip(axes, names, strict=True):
        for (title, curve), (colour, mark) in zip(curves.items(), CURVE_LOOKS, strict=False):
            if name in curve:
                values = per_star(f"{title}, {name}", curve[name], places.size)
                ax.plot(places, values, mark, color=colour, ms=5, label=title)
                parts.append({"label": name, "curve": title, "x": places, "value": values})
        ax.set(xlabel=xlabel, ylabel=f"{ylabel} {LABELS[name].axis}")
        if log_x and (places > 0).any():
            plain_logarithm(ax, "x")
        ax.set_ylim(bottom=0, top=1.06 * ax.get_ylim()[1])
        ticks(ax, up=4)
        ax.spines[["top", "right"]].set_visible(False)
    shared_legend(figure, axes)
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts), x=xlabel)
    return figure


@drawing
def information_by_window(
    edges: Sequence[float], information: np.ndarray, names: Sequence[str], *, simulated: bool
) -> Figure:
    """Share of the Fisher information about each label that comes from each window of wavelength.

    Parameters
    ----------
    edges : (W + 1,) limits of the windows [Å]
    information : (W, L) Fisher information, in any unit; drawn as shares of the sum over windows
    names : (L,) names of labels
    """
    limits, information = np.asarray(edges, float), by_label("information", information, names)
    if information.shape[0] != limits.size - 1:
        raise ValueError(
            f"information: found {information.shape[0]} windows, wanted {limits.size - 1}, one between edges"
        )
    total = np.nansum(information, axis=0)
    shares = np.divide(information, total, out=np.zeros(information.shape), where=total > 0)
    figure, axes = panels(len(names), 1, 1.15 * len(names) + 0.9, sharex=True)
    stellar = [line for lines in FEATURES.values() for line in lines]
    for ax, name, share in zip(axes[:, 0], names, shares.T, strict=True):
        mark_lines(ax, FEATURES["Na I"] if name == "a_k" else stellar, PALE)
        mark_lines(ax, DIBS if name == "a_k" else (), LAMOST)
        ax.stairs(100 * share, limits, fill=True, color=APOGEE, alpha=0.6)
        ax.set(ylabel=f"{LABELS[name].symbol}\n[%]", xlim=limits[[0, -1]])
        ax.set_ylim(0, 115 * max(share.max(initial=0), 0.01))
        ticks(ax, up=3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel(WAVELENGTH)
    ticks(axes[-1, 0], across=6)
    name_features(axes[0, 0], limits[0], limits[-1])
    figure.align_ylabels(axes)
    mark_simulated(figure, simulated, "share of the information")
    columns = {"low": limits[:-1], "high": limits[1:], **dict(zip(names, shares.T, strict=True))}
    record(figure, columns)
    return figure
