"""The picture of the result on the first page."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..catalogue import healpix_mean
from ..labels import LABELS, Labels
from .density import bins_for, count
from .sky_figures import Map, sky_panel
from .style import CANNON, drawing, mark_simulated, record, span, ticks


@drawing
def cover(reference: Labels, inferred: Labels, sky: Map, *, simulated: bool, label: str = "alpha_m") -> Figure:
    """A transferred label: left, inferred against reference; right, its mean on the sky (after Figs. 6 and 15).

    Parameters
    ----------
    reference, inferred : labels of the same N cross-validated stars
    sky : Galactic longitudes [deg], latitudes [deg] and values of the label of the catalogue's stars
    """
    figure = plt.figure(figsize=(9.6, 3.7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.1), squeeze=False)[0]
    plane = left.add_subplot()
    x, y = reference.column(label), inferred.column(label)
    limits = span(x, y, outside=0.3)
    counts = count(x, y, limits, limits, bins=(bins_for(len(x), most=60),) * 2)
    counts.draw(plane)
    plane.plot(limits, limits, color=CANNON, lw=1.0)
    plane.set(xlim=limits, ylim=limits, box_aspect=1)
    plane.set_xlabel(f"{LABELS[label].axis}, APOGEE")
    plane.set_ylabel(f"{LABELS[label].axis}, The Cannon")
    ticks(plane, across=4, up=4)
    mean, stars = healpix_mean(*sky, nside=16)
    globe = right.add_subplot(projection="mollweide")
    norm = Normalize(*span(mean[stars >= 3], outside=2.0, margin=0.0))
    mesh = sky_panel(globe, mean, 120.0, norm)
    bar = right.colorbar(mesh, ax=globe, location="bottom", shrink=0.6, aspect=30, extend="both")
    bar.set_label(f"mean {LABELS[label].axis} of {np.sum(stars):,} stars")
    ticks(bar.ax, across=5)
    mark_simulated(globe, simulated)
    record(figure, counts.columns("reference", "inferred"))
    return figure
