"""Another survey's spectra and labels as plain arrays, unlike LAMOST's in range, sampling, gaps, noise and labels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from astropy.table import Table

from .assumed import Assumed
from .elements import ELEMENTS, abundances, draw_elements
from .grid import SyntheticGrid, corrected_grid
from .stars import draw_giants

FILES = tuple(Path(__file__).parent / f"{name}_r4000.npz" for name in ("synthetic_grid", "element_spectra"))
"""Giants at R = 4000 as computed (``synthesis/``), without the corrections, which are for LAMOST's grid. Elements act
as in one giant, scaled by the absorption of each: C₂ is too strong in cool, metal-poor ones."""

DETECTORS: Annotated[
    tuple[tuple[float, float], ...], Assumed("first and last wavelength of each detector", "Å", "our choice")
] = ((5060.0, 5420.0), (5500.0, 5840.0))
PIXEL: Annotated[float, Assumed("width of a pixel; lines at R = 4000 have three", "Å", "our choice")] = 0.5
LOG_SNR: Annotated[tuple[float, float], Assumed("mean and sd of log10 S/N per pixel", "dex", "our choice")] = (1.8, 0.2)
TILT: Annotated[
    tuple[float, float], Assumed("sd of each detector's level and of its slope from end to end", "ln", "our choice")
] = (0.2, 0.15)
LOST: Annotated[tuple[float, int], Assumed("runs of lost pixels per star, and their length", "", "our choice")] = (
    4.0,
    6,
)
LABEL_ERRORS: Annotated[
    dict[str, float], Assumed("sd of the labels, as the table gives it for each star", "K, dex", "our choice")
] = {
    "teff": 60.0, "logg": 0.10, "fe_h": 0.05, "alpha_m": 0.03, "c_fe": 0.05, "n_fe": 0.08, "mg_fe": 0.04, "ca_fe": 0.04,
}  # fmt: skip
ERROR_SPREAD: Annotated[float, Assumed("sd of those errors from star to star", "ln", "our choice")] = 0.25
UNKNOWN: Annotated[float, Assumed("share of unknown labels, each by itself", "", "our choice")] = 0.02


def other_survey(rng: np.random.Generator, n_stars: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray, Table]:
    """Giants of another survey at R = 4000, in the rest frame, as its own pipeline might hand them over.

    Parameters
    ----------
    rng : the same generator gives the same survey
    n_stars : N

    Returns
    -------
    wavelength : (P,) Å, vacuum, even steps; two detectors with a gap between them
    flux : (N, P) in counts, each detector with a level and slope of its own; NaN in the gap and at lost pixels
    error : (N, P) standard deviation of `flux`, honest, NaN where the flux is
    table : columns star, the eight labels of `LABEL_ERRORS` (Teff [K]; dex; NaN where unknown) and their errors
        (``teff_err`` …); ``table.meta["truth"]`` is the table of true labels

    Raises
    ------
    ValueError
        If `n_stars` is below 1.
    """
    if n_stars < 1:
        raise ValueError(f"n_stars: found {n_stars}, wanted 1 or more")
    grid = _grid()
    labels = np.empty((0, 4))
    while len(labels) < n_stars:
        drawn = draw_giants(rng, n_stars)
        labels = np.concatenate([labels, drawn[~grid.outside(drawn)]])
    labels, elements = labels[:n_stars], draw_elements(rng, n_stars)
    wavelength = np.arange(DETECTORS[0][0], DETECTORS[-1][1] + PIXEL / 2, PIXEL)
    bright = np.empty((n_stars, wavelength.size))
    for start in range(0, n_stars, 256):
        part = slice(start, start + 256)
        for row, rest in zip(bright[part], grid.flux(labels[part], elements[part]), strict=True):
            row[:] = np.interp(wavelength, grid.wavelength, rest)
    bright /= np.median(bright, axis=1, keepdims=True)
    seen = np.zeros(wavelength.size, bool)
    for first, last in DETECTORS:
        here = (wavelength >= first) & (wavelength <= last)
        place = (wavelength[here] - first) / (last - first) - 0.5
        level, slope = np.array(TILT)[:, None, None] * rng.standard_normal((2, n_stars, 1))
        bright[:, here] *= np.exp(level + slope * place)
        seen |= here
    snr = 10.0 ** rng.normal(*LOG_SNR, (n_stars, 1))
    counts = snr**2 * bright
    error = np.sqrt(counts)
    flux = counts + error * rng.standard_normal(counts.shape)
    lost = np.broadcast_to(~seen, flux.shape).copy()
    runs, length = LOST
    for row, number in zip(lost, rng.poisson(runs, n_stars), strict=True):
        for first in rng.integers(wavelength.size, size=number):
            row[first : first + rng.integers(1, 2 * length)] = True
    flux[lost] = error[lost] = np.nan
    return wavelength, flux, error, _table(rng, labels, elements)


@lru_cache(maxsize=1)
def _grid() -> SyntheticGrid:
    return corrected_grid(None, *FILES)


def _table(rng: np.random.Generator, labels: np.ndarray, elements: np.ndarray) -> Table:
    over_iron = abundances(labels, elements) - labels[:, 2:3]
    truth = Table(dict(zip(("teff", "logg", "fe_h", "alpha_m"), labels.T, strict=True)))
    for name in ("c", "n", "mg", "ca"):
        truth[f"{name}_fe"] = over_iron[:, ELEMENTS.index(name)]
    table = Table({"star": [f"star-{number:05d}" for number in range(len(labels))]})
    for name, size in LABEL_ERRORS.items():
        error = size * np.exp(ERROR_SPREAD * rng.standard_normal(len(labels)))
        value = np.asarray(truth[name]) + error * rng.standard_normal(len(labels))
        unknown = rng.random(len(labels)) < UNKNOWN
        table[name] = np.where(unknown, np.nan, value)
        table[f"{name}_err"] = np.where(unknown, np.nan, error)
        for column in (name, f"{name}_err"):
            table[column].unit = "K" if name == "teff" else "dex"
    table.meta["truth"] = truth
    return table
