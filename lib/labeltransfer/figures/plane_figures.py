"""Stars in the planes of two labels: Figs. 3, 9, 11, 12, 13 and 14 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import corner
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from ..labels import LABELS, Labels, Rows
from .density import Range, bins_for, count, count_bar, name_axes, plane_ranges, tally
from .style import (
    CANNON,
    FAINT,
    INK,
    VALUE_MAP,
    drawing,
    mark_simulated,
    one_panel,
    panels,
    per_star,
    record,
    span,
    stacked,
    ticks,
)

CONTOUR_SIGMAS = (0.5, 1.0, 1.5, 2.0)


DISTANCE_MAP = ListedColormap(colormaps["PuOr_r"](np.linspace(0.08, 0.85, 256)))
"""Violet below the cut, orange above; neither so dark that it looks black."""

Plane = Labels | Sequence[np.ndarray]
"""Labels with Teff and log g, or columns (Teff, log g) or (Teff, log g, [Fe/H]) of the same stars."""


def columns_of(plane: Plane, least: int = 2) -> dict[str, np.ndarray]:
    """The columns of a plane by name: teff, logg and, if there, fe_h; an error if there are fewer than `least`."""
    names = ("teff", "logg", "fe_h")
    if isinstance(plane, Labels):
        columns = {name: plane.column(name) for name in names if name in plane.names}
    else:
        columns = {name: np.asarray(column, float) for name, column in zip(names, plane, strict=False)}
    missing = [name for name in names[:least] if name not in columns]
    if missing:
        raise ValueError(f"plane: no {', '.join(missing)}; found {', '.join(columns)}")
    return columns


def only_left(axes: np.ndarray) -> None:
    """The vertical axis of a row of panels is named at the left only."""
    for ax in axes[1:]:
        ax.set_ylabel("")


def plane_panel(ax: Axes, x_range: tuple[float, float], y_range: tuple[float, float], title: str = "") -> None:
    """Axes of a (Teff, log g) panel."""
    name_axes(ax, "teff", "logg")
    ax.set(xlim=x_range, ylim=y_range)
    ticks(ax, across=4, up=6)
    if title:
        ax.set_title(title)


def background(ax: Axes, teff: np.ndarray, logg: np.ndarray, ranges: tuple[Range, Range]) -> dict[str, Any]:
    """All of a survey in grey behind coloured stars, darker where there are more; returns what was drawn."""
    counts = count(teff, logg, *ranges, bins=(110, 110))
    counts.draw(ax, cmap="Greys", least=0.3, most=10 * counts.counts.max(initial=1))
    return {"layer": "background", **counts.columns("teff", "logg")}


@drawing
def label_plane(teff: np.ndarray, logg: np.ndarray, planes: Mapping[str, Plane], *, simulated: bool) -> Figure:
    """The survey in the (Teff, log g) plane, and the reference set on it, coloured by [Fe/H]: Fig. 3 of Ho et al. 2017.

    Parameters
    ----------
    teff, logg : LAMOST pipeline labels of DR2 stars (grey) [K, dex]
    planes : title to (Teff, log g, [Fe/H]) of the reference stars, one panel each, for example
        ``{"LAMOST pipeline": …, "APOGEE": …}``
    """
    teff, logg = np.asarray(teff, float), np.asarray(logg, float)
    triples = {title: columns_of(plane, least=3) for title, plane in planes.items()}
    last = list(triples.values())[-1]
    ranges = plane_ranges([teff, last["teff"]], [logg, last["logg"]], outside=0.3)
    figure, axes = panels(1, len(planes), 3.8, sharex=True, sharey=True)
    norm = Normalize(*span(last["fe_h"], outside=2.0, margin=0.0))
    parts = []
    for ax, (title, columns) in zip(axes[0], triples.items(), strict=True):
        behind = background(ax, teff, logg, ranges)
        x, y, colour = columns.values()
        points = ax.scatter(x, y, c=colour, s=2.5, lw=0, cmap=VALUE_MAP, norm=norm, rasterized=True)
        plane_panel(ax, *ranges, title)
        parts.append({"panel": title, "layer": "reference set", **columns})
    parts.append({"panel": "all", **behind})
    only_left(axes[0])
    bar = figure.colorbar(points, ax=axes, location="bottom", shrink=0.6, aspect=30, extend="both")
    bar.set_label(LABELS["fe_h"].axis)
    ticks(bar.ax, across=5)
    mark_simulated(axes[0, -1], simulated)
    ignored = {title: int((~np.isfinite(list(c.values()))).any(axis=0).sum()) for title, c in triples.items()}
    record(figure, stacked(parts), n_ignored=ignored)
    return figure


@drawing
def label_plane_comparison(planes: Mapping[str, Plane], *, simulated: bool) -> Figure:
    """The same stars in the (Teff, log g) plane with labels from several sources: Fig. 9 of Ho et al. 2017.

    Stars are counted in bins; the colours are logarithmic and the same in all panels.

    Parameters
    ----------
    planes : title to labels, or to (Teff, log g) and more, in the order of the panels, for example
        ``{"LAMOST pipeline": …, "The Cannon": …, "APOGEE": …}``
    """
    return density_planes(planes, simulated=simulated)


@drawing
def precision_window(pipeline: Plane, cannon: Plane, *, simulated: bool, dwarf_logg: float | None = None) -> Figure:
    """Stars of a narrow window of metallicity in the (Teff, log g) plane, before and after: Fig. 13 of Ho et al. 2017.

    Parameters
    ----------
    pipeline, cannon : labels of the stars of the window, in the paper -0.1 < [Fe/H] < 0.0, from the two sources
    dwarf_logg : log g from which on The Cannon's stars are called dwarfs in the figure [dex]
    """
    planes = {"LAMOST pipeline": pipeline, "The Cannon": cannon}
    figure = density_planes(planes, simulated=simulated, height=4.6, finer=2.0)
    right = figure.axes[1]
    if dwarf_logg is not None and right.get_ylim()[0] > dwarf_logg:
        right.axhline(dwarf_logg, color=FAINT, lw=1.0, ls=(0, (4, 3)))
        place = right.get_yaxis_transform()
        right.text(0.97, dwarf_logg + 0.05, "dwarfs", transform=place, fontsize=9.5, ha="right", va="top")
    return figure


def density_planes(
    planes: Mapping[str, Plane], *, simulated: bool, height: float | None = None, finer: float = 1.0
) -> Figure:
    """One (Teff, log g) panel a source, stars counted in bins with one logarithmic colour scale.

    Stars without both labels in one of the sources are shown in none.
    """
    pairs = {title: columns_of(plane) for title, plane in planes.items()}
    known = np.isfinite([c[name] for c in pairs.values() for name in ("teff", "logg")]).all(axis=0)
    n_ignored = len(planes) * int((~known).sum())
    pairs = {title: {name: values[known] for name, values in c.items()} for title, c in pairs.items()}
    ranges = plane_ranges([c["teff"] for c in pairs.values()], [c["logg"] for c in pairs.values()], outside=0.2)
    figure, axes = panels(1, len(planes), height or 3.4, sharex=True, sharey=True)
    bins = int(finer * bins_for(int(known.sum())))
    counted = {title: count(c["teff"], c["logg"], *ranges, bins=(bins, bins)) for title, c in pairs.items()}
    most = max(counts.counts.max(initial=0) for counts in counted.values())
    for ax, (title, counts) in zip(axes[0], counted.items(), strict=True):
        mesh = counts.draw(ax, most=most)
        plane_panel(ax, *ranges, title)
        ticks(ax, across=3)
    only_left(axes[0])
    count_bar(mesh, axes)
    mark_simulated(axes[0, -1], simulated)
    parts = [{"panel": title, **counts.columns("teff", "logg")} for title, counts in counted.items()]
    record(figure, stacked(parts), **tally(counted.values()) | {"n_ignored": n_ignored})
    return figure


@drawing
def label_distance_gap(
    distance: np.ndarray,
    shift: np.ndarray,
    logg: np.ndarray,
    cut: float = 2.5,
    *,
    simulated: bool,
    ax: Axes | None = None,
) -> Axes:
    """How far stars move in label space against how far they are from the reference set: Fig. 11 of Ho et al. 2017.

    Giants and main-sequence stars separate; the cut is chosen between them.

    Parameters
    ----------
    distance : (N,) label distance (eq. 7) from the reference set
    shift : (N,) label distance of a star's Cannon labels from its LAMOST labels
    logg : (N,) LAMOST log g [dex], the colour
    cut : largest label distance of a test object
    """
    ax = one_panel(ax)
    distance = np.asarray(distance, float)
    shift, logg = (per_star(what, values, distance.size) for what, values in (("shift", shift), ("logg", logg)))
    shown = (distance > 0) & (shift > 0) & np.isfinite(distance + shift + logg)
    columns = {"distance": distance[shown], "shift": shift[shown], "logg": logg[shown]}
    norm = Normalize(*span(columns["logg"], outside=1.0, margin=0.0))
    x, y, colour = columns.values()
    points = ax.scatter(x, y, c=colour, s=6, lw=0, cmap=f"{VALUE_MAP}_r", norm=norm, rasterized=True)
    x_range, y_range = (10 ** np.array(span(np.log10(v), outside=0.0, margin=0.05)) for v in (x, y))
    ax.set(xscale="log", yscale="log", xlim=x_range, ylim=y_range, xlabel="label distance from the reference set")
    ax.set_ylabel("label distance, LAMOST to Cannon")
    ax.axvline(cut, color=INK, lw=1.5, ls=(0, (4, 2)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    n_near = int(np.sum(distance < cut))
    ax.set_title(f"{n_near:,} of {distance.size:,} stars below {cut:g}", fontsize=10)
    ax.figure.colorbar(points, ax=ax, label=f"{LABELS['logg'].axis}, LAMOST", aspect=30, extend="both")
    mark_simulated(ax, simulated)
    record(ax, columns, cut=cut, n_near=n_near, n_ignored=int((~shown).sum()))
    return ax


@drawing
def distance_in_plane(
    teff: np.ndarray,
    logg: np.ndarray,
    distance: np.ndarray,
    rows: Rows = slice(None),
    cut: float = 2.5,
    *,
    simulated: bool,
    ax: Axes | None = None,
) -> Axes:
    """Label distance from the reference set in the (Teff, log g) plane: Fig. 12 of Ho et al. 2017.

    Violet stars are nearer than the cut and become test objects, orange ones are not; grey behind: all of the survey.

    Parameters
    ----------
    teff, logg, distance : (N,) LAMOST labels of all DR2 stars [K, dex], and their label distances (eq. 7)
    rows : stars that are shown in colour, in the paper 14,000 at random
    cut : largest label distance of a test object
    """
    ax = one_panel(ax, 4.6)
    teff, logg = np.asarray(teff, float), np.asarray(logg, float)
    distance = per_star("distance", distance, teff.size)
    ranges = plane_ranges([teff], [logg], outside=0.3)
    parts = [background(ax, teff, logg, ranges)]
    far_first = np.argsort(-distance[rows], kind="stable")
    columns = {name: v[rows][far_first] for name, v in {"teff": teff, "logg": logg, "distance": distance}.items()}
    x, y, colour = columns.values()
    norm = TwoSlopeNorm(cut, 0.0, 2.5 * cut)
    points = ax.scatter(x, y, c=colour, s=2.5, lw=0, cmap=DISTANCE_MAP, norm=norm, rasterized=True)
    bar = ax.figure.colorbar(points, ax=ax, label="label distance from the reference set", extend="max", aspect=30)
    bar.ax.axhline(cut, color=INK, lw=1.5)
    plane_panel(ax, *ranges)
    mark_simulated(ax, simulated)
    parts.append({"layer": "stars", **columns})
    unknown = ~np.isfinite(x + y + colour)
    record(ax, stacked(parts), cut=cut, n_near=int((colour < cut).sum()), n_ignored=int(unknown.sum()))
    return ax


def contour_levels(sigmas: Sequence[float] = CONTOUR_SIGMAS) -> np.ndarray:
    """Share of the stars inside a contour at each number of σ of a two-dimensional Gaussian, 1 - exp(-σ²/2)."""
    return 1.0 - np.exp(-0.5 * np.asarray(sigmas, float) ** 2)


@drawing
def abundance_plane(
    across: np.ndarray,
    up: np.ndarray,
    *,
    simulated: bool,
    x: str = "fe_h",
    y: str = "alpha_m",
    bins: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Two abundances against each other, with corner's contours at 0.5, 1, 1.5 and 2 σ: Fig. 14 of Ho et al. 2017.

    Parameters
    ----------
    across, up : (N,) values of the two labels, [Fe/H] and [α/M]
    x, y : names of these labels
    bins : bins along each axis from which the contours are made; by default as many as suit the number of stars
    """
    ax = one_panel(ax, 4.6)
    across = np.asarray(across, float)
    up = per_star("up", up, across.size)
    bins = bins or bins_for(across.size, most=80)
    ranges = [span(across, outside=0.1), span(up, outside=0.1)]
    counts = count(across, up, ranges[0], ranges[1], bins=(bins, bins))
    finite = np.isfinite(across) & np.isfinite(up)
    size, alpha = (1.3, max(1e4 / finite.sum(), 0.03)) if finite.sum() > 12_000 else (2.5, 0.4)
    if counts.n_drawn > 100:
        corner.hist2d(
            across[finite],
            up[finite],
            bins=bins,
            range=ranges,
            levels=contour_levels(),
            smooth=1.3,
            ax=ax,
            color=INK,
            plot_density=False,
            fill_contours=False,
            no_fill_contours=True,
            data_kwargs={
                "ms": size,
                "alpha": alpha,
                "mew": 0,
            },
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
