"""Whether errors and fits are what they claim: pulls, χ², formal against empirical errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..labels import LABELS
from ..validation import bias_and_scatter
from .style import (
    APOGEE,
    CANNON,
    INK,
    PALE,
    drawing,
    label_panels,
    mark_simulated,
    one_panel,
    record,
    stacked,
)


def by_label(what: str, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(N, L) float array with one column a label, or an error that names it."""
    array = np.asarray(values, float)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise ValueError(f"{what}: found shape {array.shape}, wanted (N, {len(names)}), one column for each label")
    return array


@drawing
def pulls_histogram(pulls: np.ndarray, names: Sequence[str], *, simulated: bool, limit: float = 5.0) -> Figure:
    """Pulls, (inferred - true) / error, against the unit Gaussian they should follow; one panel a label.

    Median and width written in a panel are robust, as of `validation.bias_and_scatter`.

    Parameters
    ----------
    pulls : (N, L) NaN is ignored
    names : (L,) names of labels
    limit : pulls beyond ± limit are not drawn; their share is given, if there are any
    """
    pulls = by_label("pulls", pulls, names)
    edges = np.linspace(-limit, limit, 51)
    centres, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    gaussian = np.exp(-0.5 * centres**2) / np.sqrt(2 * np.pi)
    figure, axes = label_panels(len(names), 2.0)
    parts = []
    for ax, name, column in zip(axes, names, pulls.T, strict=True):
        finite = column[np.isfinite(column)]
        counts, _ = np.histogram(finite, edges)
        density = counts / max(finite.size * width, 1)
        ax.stairs(density, edges, fill=True, color=APOGEE, alpha=0.4)
        ax.plot(centres, gaussian, color=INK, lw=1.4)
        (middle,), (spread,) = bias_and_scatter(finite, robust=True)
        beyond = np.mean(np.abs(finite) > limit) if finite.size else 0.0
        facts = [f"median {middle:+.2f}", f"width {spread:.2f}"]
        facts += [f"{100 * beyond:.0f} % beyond"] if beyond > 0.005 else []
        text = "\n".join([LABELS[name].symbol, *facts]).replace("-", "\N{MINUS SIGN}")
        ax.text(0.03, 0.95, text, transform=ax.transAxes, va="top", fontsize=10, linespacing=1.25)
        ax.set(yticks=[], xlim=(-limit, limit), ylim=(0, 1.15 * max(density.max(initial=0), 0.4)))
        ax.spines[["top", "right", "left"]].set_visible(False)
        parts.append({"label": name, "pull": centres, "density": density, "gaussian": gaussian})
    figure.supxlabel("pull: error of the label / its error bar", fontsize=11)
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts), n_ignored=int((~np.isfinite(pulls)).any(axis=1).sum()))
    return figure


@drawing
def chi2_histogram(reduced_chi2: np.ndarray, *, simulated: bool, cut: float = 10.0, ax: Axes | None = None) -> Axes:
    """Reduced χ² of N fits, on a logarithmic axis, with the value 1 and the cut of section 4.2.

    Parameters
    ----------
    reduced_chi2 : (N,) NaN where a fit failed
    cut : largest χ² of an accepted fit
    """
    ax = one_panel(ax, 3.2)
    reduced_chi2 = np.asarray(reduced_chi2, float)
    good = reduced_chi2[np.isfinite(reduced_chi2) & (reduced_chi2 > 0)]
    low, high = (good.min(), good.max()) if good.size else (0.1, 1.0)
    edges = np.geomspace(min(low, 0.5), max(high * 1.01, 2.0), 61)
    counts, _ = np.histogram(good, edges)
    ax.stairs(counts, edges, fill=True, color=APOGEE, alpha=0.5)
    ax.axvline(1, color=INK, lw=1.0)
    median = np.median(good) if good.size else np.nan
    ax.axvline(median, color=CANNON, lw=1.5, ls=(0, (4, 2)))
    if edges[-1] > cut:
        ax.axvline(cut, color=PALE, lw=1.5)
    ax.set(xscale="log", xlim=edges[[0, -1]], xlabel="reduced χ²", ylabel="stars")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if edges[0] <= tick <= edges[-1]]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_title(f"median {median:.2f};  {np.sum(good > cut):,} of {reduced_chi2.size:,} above {cut:g}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    mark_simulated(ax, simulated)
    columns = {"chi2_min": edges[:-1], "chi2_max": edges[1:], "stars": counts}
    record(ax, columns, median=float(median), n_ignored=reduced_chi2.size - good.size)
    return ax
