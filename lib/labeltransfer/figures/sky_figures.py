"""Averages over the sky in Galactic coordinates: Fig. 15 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ..catalogue import healpix_mean
from ..labels import LABELS
from .style import (
    APOGEE,
    CANNON,
    INK,
    LAMOST,
    PALE,
    VALUE_MAP,
    drawing,
    mark_simulated,
    one_panel,
    panels,
    record,
    span,
    stacked,
    ticks,
)

Map = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Galactic longitudes [deg], latitudes [deg] and values of N stars."""


def raster(mean: np.ndarray, centre: float, step: float = 0.75) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A HEALPix map read off on a grid of longitudes and latitudes, longitude growing to the left.

    Returns
    -------
    x, y : edges [rad] on the projection's own axes, x = centre - longitude
    values : (Y, X)
    """
    x, y = np.arange(-180, 180 + step, step), np.arange(-90, 90 + step, step)
    x_centres, y_centres = np.meshgrid(0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]))
    healpix = HEALPix(int(np.sqrt(mean.size // 12)), order="ring")
    pixels = healpix.lonlat_to_healpix(((centre - x_centres) % 360) * u.deg, y_centres * u.deg)
    return np.radians(x), np.radians(y), mean[pixels]


@drawing
def sky_maps(
    apogee: Map,
    lamost: Map,
    *,
    simulated: bool,
    label: str = "alpha_m",
    nside: int = 16,
    centre: float = 120.0,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Mean [α/M] on the sky, above APOGEE alone, below with the stars labelled here: Fig. 15 of Ho et al. 2017.

    Galactic Mollweide maps of HEALPix pixels. Longitude grows to the left; the arrow points at the Galactic centre.

    Parameters
    ----------
    apogee, lamost : Galactic longitudes [deg], latitudes [deg] and values of stars
    label : the label that is averaged
    nside : HEALPix resolution; 16 makes pixels of 3.7 degrees, 32 of 1.8
    centre : Galactic longitude in the middle [deg]; 120 shows the northern sky whole, as the paper does
    limits : values of the first and the last colour; by default those of pixels with three stars or more
    """
    both: Map = tuple(np.concatenate([above, below]) for above, below in zip(apogee, lamost, strict=True))  # type: ignore[assignment]
    means = {
        "APOGEE": healpix_mean(*apogee, nside=nside),
        "APOGEE and LAMOST": healpix_mean(*both, nside=nside),
    }
    low, high = limits or span(*(mean[counts >= 3] for mean, counts in means.values()), outside=2.0, margin=0.0)
    figure, axes = panels(2, 1, 6.6, subplot_kw={"projection": "mollweide"})
    parts = []
    for ax, (title, (mean, counts)) in zip(axes[:, 0], means.items(), strict=True):
        mesh = sky_panel(ax, mean, centre, Normalize(low, high))
        ax.set_title(f"{title}: {counts.sum():,} stars", pad=8)
        seen = np.flatnonzero(counts)
        lon, lat = HEALPix(nside, order="ring").healpix_to_lonlat(seen)
        parts.append({"map": title, "glon": lon.deg, "glat": lat.deg, "mean": mean[seen], "stars": counts[seen]})
    bar = figure.colorbar(mesh, ax=axes, location="bottom", shrink=0.6, aspect=30, extend="both")
    bar.set_label(f"mean {LABELS[label].axis}")
    ticks(bar.ax, across=5)
    mark_simulated(axes[0, 0], simulated)
    record(figure, stacked(parts), nside=nside)
    return figure


def sky_panel(ax: Axes, mean: np.ndarray, centre: float, norm: Normalize) -> QuadMesh:
    """One map: mean values, a graticule with longitudes, and an arrow at the Galactic centre."""
    mesh = ax.pcolormesh(*raster(mean, centre), norm=norm, cmap=VALUE_MAP, rasterized=True)
    ax.grid(color=PALE, lw=0.5)
    outline = [withStroke(linewidth=2.5, foreground="white")]
    places = np.arange(-120, 121, 60)
    names = [f"{(centre - place) % 360:.0f}°" for place in places]
    ax.set_xticks(np.radians(places), names, fontsize=9, color=INK, path_effects=outline)
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]))
    ax.tick_params(axis="y", labelsize=9)
    galactic_centre = np.radians((centre + 180) % 360 - 180)
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkB": 0}
    at: dict[str, Any] = {"xytext": (1.0, 0.0), "textcoords": "axes fraction", "ha": "right", "va": "bottom"}
    ax.annotate("Galactic\ncentre", (galactic_centre, 0), fontsize=9.5, arrowprops=arrow, **at)
    return mesh


@drawing
def share_against_latitude(
    edges: Sequence[float], shares: Mapping[str, np.ndarray], *, simulated: bool, ax: Axes | None = None
) -> Axes:
    """Share of α-rich stars against Galactic latitude, for one or more samples.

    Parameters
    ----------
    edges : (B + 1,) limits of the ranges of absolute latitude [deg]
    shares : sample to (B,) share of its stars, 0 to 1; NaN where there are no stars
    """
    ax = one_panel(ax, 3.6)
    limits = np.asarray(edges, float)
    parts = []
    for (sample, share), colour, dashes in zip(
        shares.items(), (CANNON, APOGEE, LAMOST), ("-", (0, (4, 2)), ":"), strict=False
    ):
        share = np.asarray(share, float)
        ax.stairs(share, limits, baseline=None, color=colour, lw=2, ls=dashes, label=sample)
        ax.plot(0.5 * (limits[1:] + limits[:-1]), share, "o", color=colour, ms=5)
        parts.append({"sample": sample, "b_min": limits[:-1], "b_max": limits[1:], "share": share})
    ax.set(xlabel="Galactic latitude |b| [deg]", ylabel="share with [α/M] > 0.15", xlim=limits[[0, -1]], ylim=(0, 1))
    ax.set_xticks(limits)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left")
    mark_simulated(ax, simulated)
    record(ax, stacked(parts))
    return ax
