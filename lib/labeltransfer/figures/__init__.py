"""Every drawing of the book: data in, a figure out, and `data_of` a figure gives back the data it shows.

Functions that need several panels return a `matplotlib.figure.Figure`; the others take ``ax=None`` and return the
`matplotlib.axes.Axes`. All ask whether the data are simulated, and write it on the figure.
"""

from .budget_figures import formal_against_empirical, information_by_window, label_curves
from .check_figures import chi2_histogram, pulls_histogram
from .choice_figures import changes_of_scatter, relative_scatter
from .cover import cover
from .excerpt import Excerpt, excerpt_table
from .label_figures import label_histograms, label_offsets, one_to_one, residual_ranges, scatter_against_snr
from .plane_figures import (
    abundance_plane,
    contour_levels,
    distance_in_plane,
    label_distance_gap,
    label_plane,
    label_plane_comparison,
    precision_window,
)
from .recorded_figures import recorded_histograms, recorded_points
from .sky_figures import share_against_latitude, sky_maps
from .spectra_figures import (
    DIBS,
    FEATURES,
    LABEL_ERRORS,
    leading_coefficients,
    masked_spectrum,
    model_spectrum,
    normalization_steps,
    scaled_coefficients,
)
from .style import data_of, recorded, write_data

__all__ = [
    "DIBS",
    "FEATURES",
    "LABEL_ERRORS",
    "Excerpt",
    "abundance_plane",
    "changes_of_scatter",
    "chi2_histogram",
    "contour_levels",
    "cover",
    "data_of",
    "distance_in_plane",
    "excerpt_table",
    "formal_against_empirical",
    "information_by_window",
    "label_curves",
    "label_distance_gap",
    "label_histograms",
    "label_offsets",
    "label_plane",
    "label_plane_comparison",
    "leading_coefficients",
    "masked_spectrum",
    "model_spectrum",
    "normalization_steps",
    "one_to_one",
    "precision_window",
    "pulls_histogram",
    "recorded",
    "recorded_histograms",
    "recorded_points",
    "relative_scatter",
    "residual_ranges",
    "scaled_coefficients",
    "scatter_against_snr",
    "share_against_latitude",
    "sky_maps",
    "write_data",
]
