"""Stars in the planes of two labels: Figs. 3, 9, 11, 12, 13 and 14 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import corner
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from ..labels import LABELS, Labels
from .density import count, count_bar, name_axes, plane_ranges, tally
from .style import (
    CANNON,
    INK,
    VALUE_MAP,
    drawing,
    mark_simulated,
    one_panel,
    panels,
    per_star,
    record,
    same_stars,
    span,
    stacked,
    ticks,
)

CONTOUR_SIGMAS = (0.5, 1.0, 1.5, 2.0)
PLANE_BINS = (90, 90)


def plane_panel(ax: Axes, x_range: tuple[float, float], y_range: tuple[float, float], title: str = "") -> None:
    """Axes of a (Teff, log g) panel."""
    name_axes(ax, "teff", "logg")
    ax.set(xlim=x_range, ylim=y_range)
    ticks(ax, across=4, up=6)
    if title:
        ax.set_title(title)


def background(ax: Axes, stars: Labels, x_range: tuple[float, float], y_range: tuple[float, float]) -> dict[str, Any]:
    """All of a survey in grey behind coloured stars, darker where there are more; returns what was drawn."""
    counts = count(stars.column("teff"), stars.column("logg"), x_range, y_range, bins=(110, 110))
    counts.draw(ax, cmap="Greys", most=counts.counts.max(initial=1) * 1.5)
    return {"layer": "background", **counts.columns("teff", "logg")}


@drawing
def label_plane(
    survey: Labels, pipeline: Labels, reference: Labels, *, simulated: bool, colour: str = "fe_h"
) -> Figure:
    """The survey in the (Teff, log g) plane, and the reference set on it, coloured by [Fe/H]: Fig. 3 of Ho et al. 2017.

    Left with the LAMOST pipeline's labels, right with APOGEE's.

    Parameters
    ----------
    survey : LAMOST pipeline labels of DR2 stars (black)
    pipeline, reference : LAMOST and APOGEE labels of the same reference stars
    colour : label that gives the colour, if both tables have it
    """
    same_stars(reference=reference, pipeline=pipeline)
    x_range, y_range = plane_ranges(survey, reference)
    figure, axes = panels(1, 2, 3.6, sharex=True, sharey=True)
    norm = Normalize(*span(reference.column(colour), outside=2.0, margin=0.0))
    parts = []
    for ax, table, title in zip(axes[0], (pipeline, reference), ("LAMOST pipeline", "APOGEE"), strict=True):
        parts.append({"panel": title, **background(ax, survey, x_range, y_range)})
        columns = {name: table.column(name) for name in ("teff", "logg", colour)}
        points = ax.scatter(
            columns["teff"], columns["logg"], c=columns[colour], s=2.5, lw=0, cmap=VALUE_MAP, norm=norm, rasterized=True
        )
        plane_panel(ax, x_range, y_range, title)
        parts.append({"panel": title, "layer": "reference set", **columns})
    axes[0, 1].set_ylabel("")
    figure.colorbar(points, ax=axes, location="bottom", shrink=0.6, aspect=30, label=LABELS[colour].axis, extend="both")
    mark_simulated(axes[0, 1], simulated)
    record(figure, stacked(parts), n_ignored=int((~reference.known).sum()))
    return figure


@drawing
def label_plane_comparison(planes: Mapping[str, Labels], *, simulated: bool) -> Figure:
    """The same stars in the (Teff, log g) plane with labels from several sources: Fig. 9 of Ho et al. 2017.

    Parameters
    ----------
    planes : title to labels, in the order of the panels, for example
        ``{"LAMOST pipeline": …, "The Cannon": …, "APOGEE": …}``
    """
    return density_planes(planes, simulated=simulated)


@drawing
def precision_window(
    pipeline: Labels, cannon: Labels, *, simulated: bool, window: tuple[float, float] = (-0.1, 0.0)
) -> Figure:
    """Stars of one metallicity in the (Teff, log g) plane, before and after: Fig. 13 of Ho et al. 2017.

    Parameters
    ----------
    pipeline, cannon : labels of the same N stars
    window : limits of The Cannon's [Fe/H] [dex] between which stars are shown
    """
    same_stars(cannon=cannon, pipeline=pipeline)
    fe_h = cannon.column("fe_h")
    chosen = (fe_h > window[0]) & (fe_h < window[1])
    planes = {"LAMOST pipeline": pipeline[chosen], "The Cannon": cannon[chosen]}
    return density_planes(planes, simulated=simulated)


def density_planes(planes: Mapping[str, Labels], *, simulated: bool) -> Figure:
    """One (Teff, log g) panel a source, stars counted in bins with one logarithmic colour scale."""
    x_range, y_range = plane_ranges(*planes.values(), outside=0.2)
    height = 4.0 if len(planes) < 3 else 3.3
    figure, axes = panels(1, len(planes), height, sharex=True, sharey=True)
    counted = [count(t.column("teff"), t.column("logg"), x_range, y_range, PLANE_BINS) for t in planes.values()]
    most = max(counts.counts.max(initial=0) for counts in counted)
    for ax, title, counts in zip(axes[0], planes, counted, strict=True):
        mesh = counts.draw(ax, most=most)
        plane_panel(ax, x_range, y_range, title)
        ticks(ax, across=3)
        ax.set_ylabel("" if ax is not axes[0, 0] else LABELS["logg"].axis)
    count_bar(mesh, axes)
    mark_simulated(axes[0, -1], simulated)
    parts = [{"panel": title, **c.columns("teff", "logg")} for title, c in zip(planes, counted, strict=True)]
    record(figure, stacked(parts), **tally(counted))
    return figure


@drawing
def label_distance_gap(
    distance: np.ndarray, shift: np.ndarray, *, simulated: bool, cut: float = 2.5, ax: Axes | None = None
) -> Axes:
    """How far stars move in label space against how far they are from the reference set: Fig. 11 of Ho et al. 2017.

    Giants and main-sequence stars separate; the cut is chosen between them.

    Parameters
    ----------
    distance : (N,) label distance (eq. 7) from the reference set
    shift : (N,) label distance of a star's LAMOST labels from its Cannon labels
    cut : largest distance of a test object
    """
    ax = one_panel(ax)
    distance, shift = np.asarray(distance, float), per_star("shift", shift, np.size(distance))
    shown = (distance > 0) & (shift > 0)
    x, y = (np.log10(values, out=np.full(values.shape, np.nan), where=shown) for values in (distance, shift))
    x_range, y_range = (span(values, outside=0.1) for values in (x, y))
    counts = count(x, y, x_range, y_range, bins=(70, 70))
    edges = replace(counts, x_edges=10**counts.x_edges, y_edges=10**counts.y_edges)
    mesh = edges.draw(ax)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="label distance from the reference set",
        ylabel="label distance, LAMOST to Cannon labels",
    )
    n_near = int(np.sum(distance < cut))
    ax.axvline(cut, color=CANNON, lw=1.5, label=f"cut at {cut:g}: {n_near:,} of {distance.size:,} stars")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.legend(loc="lower right")
    count_bar(mesh, ax, location="right")
    mark_simulated(ax, simulated)
    record(ax, edges.columns("distance", "shift"), cut=cut, n_near=n_near, n_ignored=counts.n_ignored)
    return ax


@drawing
def distance_in_plane(
    survey: Labels,
    stars: Labels,
    distance: np.ndarray,
    *,
    simulated: bool,
    cut: float = 2.5,
    ax: Axes | None = None,
) -> Axes:
    """Label distance from the reference set in the (Teff, log g) plane: Fig. 12 of Ho et al. 2017.

    Violet stars are nearer than the cut and become test objects, orange ones are not; grey behind: all of the survey.

    Parameters
    ----------
    survey : labels of all DR2 stars
    stars, distance : labels of N stars, and their (N,) label distances (eq. 7)
    cut : largest distance of a test object
    """
    ax = one_panel(ax, 4.8)
    distance = per_star("distance", distance, len(stars))
    x_range, y_range = plane_ranges(survey, stars, outside=0.1)
    parts = [background(ax, survey, x_range, y_range)]
    near_last = np.argsort(-distance)
    columns = {"teff": stars.column("teff"), "logg": stars.column("logg"), "distance": distance}
    columns = {name: values[near_last] for name, values in columns.items()}
    points = ax.scatter(
        columns["teff"],
        columns["logg"],
        c=columns["distance"],
        s=2.5,
        lw=0,
        cmap="PuOr_r",
        norm=TwoSlopeNorm(cut, 0.0, 2.5 * cut),
        rasterized=True,
    )
    bar = ax.figure.colorbar(points, ax=ax, label="label distance from the reference set", extend="max", aspect=30)
    bar.ax.axhline(cut, color=INK, lw=1.5)
    plane_panel(ax, x_range, y_range)
    mark_simulated(ax, simulated)
    parts.append({"layer": "stars", **columns})
    near = int((distance < cut).sum())
    record(ax, stacked(parts), n_near=near, n_ignored=int((~np.isfinite(distance)).sum()))
    return ax


def contour_levels(sigmas: Sequence[float] = CONTOUR_SIGMAS) -> np.ndarray:
    """Share of the stars inside a contour at each number of σ of a two-dimensional Gaussian, 1 - exp(-σ²/2)."""
    return 1.0 - np.exp(-0.5 * np.asarray(sigmas, float) ** 2)


@drawing
def abundance_plane(
    labels: Labels,
    *,
    simulated: bool,
    x: str = "fe_h",
    y: str = "alpha_m",
    bins: int = 80,
    ax: Axes | None = None,
) -> Axes:
    """Two abundances against each other, with corner's contours at 0.5, 1, 1.5 and 2 σ: Fig. 14 of Ho et al. 2017.

    Parameters
    ----------
    labels : labels of N stars
    x, y : names of labels
    bins : bins along each axis from which the contours are made
    """
    ax = one_panel(ax, 4.6)
    across, up = labels.column(x), labels.column(y)
    ranges = [span(across, outside=0.1), span(up, outside=0.1)]
    counts = count(across, up, ranges[0], ranges[1], bins=(bins, bins))
    finite = np.isfinite(across) & np.isfinite(up)
    if counts.n_drawn > 100:
        corner.hist2d(
            across[finite],
            up[finite],
            bins=bins,
            range=ranges,
            levels=contour_levels(),
            smooth=1.0,
            ax=ax,
            color=INK,
            plot_density=False,
            fill_contours=False,
            no_fill_contours=True,
            data_kwargs={"ms": 1.3, "alpha": float(np.clip(1e4 / finite.sum(), 0.03, 0.4)), "mew": 0},
            contour_kwargs={"colors": [CANNON], "linewidths": 1.3},
        )
    else:
        ax.plot(across[finite], up[finite], ".", color=INK, ms=3)
    name_axes(ax, x, y)
    ax.set(xlim=ranges[0], ylim=ranges[1])
    sigmas = ", ".join(f"{sigma:g}" for sigma in CONTOUR_SIGMAS)
    ax.set_title(f"{finite.sum():,} stars; contours at {sigmas} σ", fontsize=10)
    mark_simulated(ax, simulated)
    record(ax, counts.columns(x, y), contours=list(CONTOUR_SIGMAS), **tally([counts]))
    return ax
