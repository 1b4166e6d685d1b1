"""Labels of the same stars from two sources, against each other: Figs. 1, 4, 6, 7 and 8 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from ..labels import LABELS, Labels
from ..validation import bias_and_scatter
from .density import Counts, bins_for, count, count_bar, tally
from .style import (
    APOGEE,
    CANNON,
    FAINT,
    INK,
    LAMOST,
    PALE,
    PIPELINE,
    bias_and_scatter_text,
    drawing,
    label_panels,
    mark_simulated,
    panels,
    per_star,
    record,
    same_stars,
    shared_names,
    span,
    stacked,
    ticks,
)

SAMPLE_COLOURS = {
    "APOGEE": APOGEE,
    "Reference": APOGEE,
    "LAMOST": LAMOST,
    "LAMOST pipeline": LAMOST,
    "The Cannon": CANNON,
}
"""Fig. 4: purple APOGEE, yellow LAMOST."""

METHOD_COLOURS = {"The Cannon": CANNON, "LAMOST pipeline": PIPELINE}
"""Fig. 8: red The Cannon, blue the LAMOST pipeline."""


def residual_ranges(
    reference: Labels, other: Labels, *, names: Sequence[str] | None = None, outside: float = 1.0
) -> dict[str, float]:
    """For each label the half-range of residuals that leaves out `outside` percent; shared by Figs. 1 and 7."""
    ranges = {}
    for name in shared_names(names, reference, other):
        residuals = other.column(name) - reference.column(name)
        ranges[name] = 1.25 * max(np.abs(span(residuals, outside=outside, margin=0.0)))
    return ranges


@drawing
def label_offsets(
    reference: Labels,
    other: Labels,
    snr: np.ndarray,
    *,
    simulated: bool,
    names: Sequence[str] | None = None,
    snr_edges: Sequence[float] = (0.0, 50.0, 100.0, np.inf),
    half_ranges: Mapping[str, float] | None = None,
    method: str = "LAMOST",
    against: str = "APOGEE",
) -> Figure:
    """Offsets between two sources of labels, against the reference label: Figs. 1 and 7 of Ho et al. 2017.

    One column a label, one row a range of S/N; logarithmic colours count stars, bias and scatter are printed. Stars
    beyond the axes stand as triangles at the edge.

    Parameters
    ----------
    reference, other : labels of the same N stars, in the same order
    snr : (N,) S/N, the median over pixels of flux / uncertainty
    names : labels to show; by default all that both tables have
    snr_edges : limits of the rows
    half_ranges : label to half-range of the vertical axis, from `residual_ranges`; gives Fig. 7 the axes of Fig. 1
    method, against : where `other` and `reference` come from

    Raises
    ------
    ValueError
        If the tables hold different stars or no common label.
    """
    same_stars(reference=reference, other=other)
    names = shared_names(names, reference, other)
    snr = per_star("snr", snr, len(reference))
    half_ranges = {**residual_ranges(reference, other, names=names), **(half_ranges or {})}
    rows = list(pairwise(snr_edges))
    bins = bins_for(len(reference) // len(rows), most=60)
    figure, axes = panels(len(rows), len(names), 2.25 * len(rows) + 0.5, sharex="col", sharey="col")
    figure.set_layout_engine("constrained", w_pad=0.02, wspace=0.02)
    parts, drawn = [], []
    for i, (low, high) in enumerate(rows):
        chosen = (snr >= low) & (snr < high)
        for j, name in enumerate(names):
            x = reference.column(name)[chosen]
            residuals = other.column(name)[chosen] - x
            ranges = span(reference.column(name)), (-half_ranges[name], half_ranges[name])
            counts = count(x, residuals, *ranges, bins=(bins, bins))
            columns = counts.columns("reference", "offset")
            parts.append({"label": name, "snr_min": low, "snr_max": high, **columns, "beyond": counts.n_outside})
            drawn.append((axes[i, j], name, counts, x, residuals))
        ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        place = {"transform": axes[i, 0].transAxes, "va": "top", "fontsize": 9.5, "zorder": 5}
        axes[i, 0].text(0.05, 0.94, snr_text(low, high), bbox=ground, **place)
    most = max(counts.counts.max(initial=0) for _, _, counts, *_ in drawn)
    for ax, name, counts, x, residuals in drawn:
        mesh = draw_offsets(ax, name, counts, x, residuals, most)
    for j, name in enumerate(names):
        axes[-1, j].set_xlabel(f"{LABELS[name].axis}\n{against}")
        ticks(axes[0, j], across=3)
    figure.supylabel(f"{method} \N{MINUS SIGN} {against}", fontsize=11)
    count_bar(mesh, axes)
    mark_simulated(figure, simulated, "bias ± scatter above each panel; triangles: stars beyond it")
    record(figure, stacked(parts), **tally(counts for _, _, counts, *_ in drawn))
    return figure


def draw_offsets(ax: Axes, name: str, counts: Counts, x: np.ndarray, residuals: np.ndarray, most: float) -> QuadMesh:
    """One panel of `label_offsets`."""
    mesh = counts.draw(ax, most=most)
    ax.axhline(0, color=INK, lw=0.8)
    (bias,), (scatter,) = bias_and_scatter(residuals)
    if np.isfinite(bias):
        ax.axhline(bias, color=CANNON, lw=1.2, ls=(0, (4, 2)))
    ax.set_title(bias_and_scatter_text(name, bias, scatter), fontsize=9)
    left, right, top = counts.x_edges[0], counts.x_edges[-1], counts.y_edges[-1]
    ax.set(xlim=(left, right), ylim=(-top, top))
    for side, mark in ((1, "^"), (-1, "v")):
        beyond = side * residuals > top
        places = np.clip(x[beyond], left, right)
        ax.plot(places, np.full(places.size, 0.97 * side * top), mark, color=CANNON, ms=2.5, mew=0, alpha=0.7)
    for side, mark, edge in ((-1, "<", left), (1, ">", right)):
        places = residuals[(side * (x - edge) > 0) & (np.abs(residuals) <= top)]
        ax.plot(np.full(places.size, edge), places, mark, color=CANNON, ms=2.5, mew=0, alpha=0.7)
    ticks(ax, up=4)
    return mesh


def snr_text(low: float, high: float) -> str:
    """A range of S/N in words."""
    if low <= 0:
        return f"S/N < {high:g}" if np.isfinite(high) else "all S/N"
    return f"S/N > {low:g}" if np.isinf(high) else f"{low:g} < S/N < {high:g}"


@drawing
def label_histograms(
    sources: Mapping[str, Labels], *, simulated: bool, names: Sequence[str] | None = None, bins: int = 50
) -> Figure:
    """How the labels of the reference set are distributed: Fig. 4 of Ho et al. 2017.

    Parameters
    ----------
    sources : name to labels, for example ``{"APOGEE": …, "LAMOST pipeline": …}``; each is shown where it has the label
    names : labels to show, each in one source at least; by default all of the source that has most
    bins : bins over the range of a label
    """
    most = max(sources.values(), key=lambda table: len(set(names or table.names) & set(table.names)))
    names = shared_names(names, most)
    figure, axes = label_panels(len(names), 2.15)
    parts = []
    for ax, name in zip(axes, names, strict=True):
        having = {source: table.column(name) for source, table in sources.items() if name in table.names}
        edges = np.linspace(*span(*having.values()), bins + 1)
        for source, values in having.items():
            counts, _ = np.histogram(values[np.isfinite(values)], edges)
            colour = SAMPLE_COLOURS.get(source, FAINT)
            ax.stairs(counts, edges, color=colour, fill=True, alpha=0.4)
            ax.stairs(counts, edges, color=colour, lw=1.5, label=source)
            centres = 0.5 * (edges[1:] + edges[:-1])
            parts.append({"label": name, "source": source, "value": centres, "stars": counts})
        ax.set_xlabel(LABELS[name].axis)
        ticks(ax, up=4)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supylabel("stars in a bin", fontsize=11)
    shared_legend(figure, axes)
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts), n_ignored=int((~most.known).sum()))
    return figure


@drawing
def one_to_one(
    reference: Labels,
    inferred: Labels,
    chosen: np.ndarray | None = None,
    *,
    simulated: bool,
    names: Sequence[str] | None = None,
    method: str = "The Cannon",
    against: str = "APOGEE",
) -> Figure:
    """Labels from The Cannon against APOGEE's, one panel a label: Fig. 6 of Ho et al. 2017.

    All stars are shown; bias and scatter are those of the chosen ones, in the paper S/N > 50.

    Parameters
    ----------
    reference, inferred : labels of the same N stars, in the same order
    chosen : (N,) True for the stars of which bias and scatter are given; by default all
    names : labels to show; by default all that both tables have
    method, against : where `inferred` and `reference` come from
    """
    same_stars(reference=reference, inferred=inferred)
    names = shared_names(names, reference, inferred)
    n = len(reference)
    chosen = np.full(n, True) if chosen is None else per_star("chosen", chosen, n).astype(bool)
    figure, axes = label_panels(len(names), 2.95)
    bins = bins_for(n, most=60)
    columns = {name: (reference.column(name), inferred.column(name)) for name in names}
    limits = {name: span(*pair, outside=0.3) for name, pair in columns.items()}
    counted = {name: count(*pair, limits[name], limits[name], bins=(bins, bins)) for name, pair in columns.items()}
    most = max(counts.counts.max(initial=0) for counts in counted.values())
    for ax, (name, counts) in zip(axes, counted.items(), strict=True):
        mesh = counts.draw(ax, most=most)
        ax.plot(limits[name], limits[name], color=CANNON, lw=1.0)
        (bias,), (scatter,) = bias_and_scatter((inferred.column(name) - reference.column(name))[chosen])
        ax.set_title(bias_and_scatter_text(name, bias, scatter, "bias {}, scatter {}"), fontsize=9.5)
        ax.set(xlim=limits[name], ylim=limits[name], box_aspect=1)
        ax.set_xlabel(f"{LABELS[name].axis}, {against}")
        ax.set_ylabel(f"{LABELS[name].axis}, {method}")
        ticks(ax, across=4, up=4)
    count_bar(mesh, axes)
    note = "" if chosen.all() else f"bias and scatter of {chosen.sum():,} of {n:,} stars"
    mark_simulated(figure, simulated, note)
    parts = [{"label": name, **counts.columns("reference", "inferred")} for name, counts in counted.items()]
    record(figure, stacked(parts), n_chosen=int(chosen.sum()), **tally(counted.values()))
    return figure


@drawing
def scatter_against_snr(
    edges: Sequence[float],
    cannon: Mapping[str, np.ndarray],
    pipeline: Mapping[str, np.ndarray] | None = None,
    *,
    simulated: bool,
    snr_name: str = "S/N",
) -> Figure:
    """How the scatter about APOGEE's labels falls with S/N: Fig. 8 of Ho et al. 2017.

    The grey line starts at The Cannon's scatter at the lowest S/N and falls as 1/(S/N).

    Parameters
    ----------
    edges : (B + 1,) limits of the ranges of S/N; the paper uses three times the g-band value here
    cannon, pipeline : label to (B,) scatter in each range, in the label's unit; NaN where there are no stars
    snr_name : text of the horizontal axis
    """
    limits = np.asarray(edges, float)
    centres, parts = 0.5 * (limits[1:] + limits[:-1]), []
    sources = {"The Cannon": cannon, "LAMOST pipeline": pipeline or {}}
    figure, axes = label_panels(len(cannon), 2.2)
    for ax, name in zip(axes, cannon, strict=True):
        for (source, scatters), marker in zip(sources.items(), "os", strict=True):
            if name in scatters:
                scatter = per_star(f"scatter of {name}", scatters[name], len(centres))
                ax.plot(centres, scatter, f"{marker}-", color=METHOD_COLOURS[source], ms=6, label=source)
                parts.append({"label": name, "source": source, "snr": centres, "scatter": scatter})
        known = np.flatnonzero(np.isfinite(np.asarray(cannon[name], float)))
        if known.size:
            first = centres[known[0]]
            falling = np.linspace(first, centres[-1], 100)
            ax.plot(falling, cannon[name][known[0]] * first / falling, color=PALE, lw=3, zorder=0, label="∝ 1/(S/N)")
        ax.set(xlabel=snr_name, ylabel=f"scatter {LABELS[name].axis}", xticks=centres)
        ax.set_ylim(bottom=0)
        ticks(ax, up=4)
        ax.spines[["top", "right"]].set_visible(False)
    shared_legend(figure, axes)
    mark_simulated(axes[min(len(axes), 2) - 1], simulated)
    record(figure, stacked(parts))
    return figure


def shared_legend(figure: Figure, axes: np.ndarray) -> None:
    """One legend above all panels, that of the panel with most entries."""
    handles, texts = max((ax.get_legend_handles_labels() for ax in axes), key=lambda found: len(found[0]))
    if handles:
        figure.legend(handles, texts, loc="outside upper left", ncols=3, columnspacing=1.4, handletextpad=0.5)
