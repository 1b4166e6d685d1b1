"""The simulated overlap against what was measured on the real one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from astropy.table import Table
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import ndtr

from ..apogee import best_of_duplicates, flagged
from . import sky
from .simulated_survey import SimulatedSurvey
from .stars import population

PERCENTILES = (5, 16, 50, 84, 95)

REAL_SNR = {5: 14.4, 16: 23.0, 50: 47.2, 84: 109.0, 95: 174.0}
REAL_SHARE_ABOVE_50 = 0.47
REAL_BINS = (1790, 1939, 2760, 418, 835, 2378)
REAL_ALPHA_RICH = (0.032, 0.057, 0.129, 0.206, 0.495, 0.664)
REAL_MEDIAN_M_H = (-0.16, -0.11, -0.11, -0.23, -0.34, -0.44)
REAL_A_K = {(0, 5): (0.20, 0.27, 0.36), (5, 10): (0.10, 0.16, 0.25), (10, 20): (0.06, 0.08, 0.15),
            (20, 90): (0.05, 0.08, 0.12)}  # fmt: skip
REAL_PIPELINE = {"teff": (-12.0, 97.0, 69.0), "logg": (0.18, 0.48, 0.24), "fe_h": (0.07, 0.18, 0.11)}
"""LAMOST's pipeline minus APOGEE for 485 luminous giants: mean, standard deviation, scatter about a linear relation."""

REAL_LOGG_SLOPE = -0.43
REAL_LUMINOUS = 485
LUMINOUS = 2.5

TOLERANCE, SMALL = 0.10, 0.03
"""Simulated and real agree within 10 %, or within 0.03 in dex, magnitudes and shares; a mean difference between two
pipelines, which may be near zero, also within the standard error that the real mean itself has."""

Fact = tuple[str, float, float, float]
"""What, real, simulated, and how far apart they may be."""


def facts(survey: SimulatedSurvey) -> Table:
    """Compare label-free and label statistics of a survey's overlap with the real overlap.

    Returns
    -------
    Table with columns quantity, real, simulated, tolerance, agrees. "Real" are numbers counted on 10,124 overlap stars
    with clean flags; label percentiles are those of the Gaussian mixture that was fitted to them, as published.
    """
    overlap, pipeline, snr = clean_overlap(survey)
    rows = [_fact(f"S/N, percentile {q}", REAL_SNR[q], float(np.percentile(snr, q))) for q in PERCENTILES]
    rows.append(_fact("share with S/N > 50", REAL_SHARE_ABOVE_50, float(np.mean(snr > 50))))
    rows += _label_rows(overlap)
    rows += _latitude_rows(overlap)
    rows += _pipeline_rows(overlap, pipeline)
    table = Table(rows=rows, names=("quantity", "real", "simulated", "tolerance"))
    table["agrees"] = agree(*(np.asarray(table[name]) for name in ("real", "simulated", "tolerance")))
    return table


def agree(real: np.ndarray, simulated: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """(K,) True where two numbers are no further apart than the tolerance."""
    return np.abs(simulated - real) <= tolerance + 1e-12


def _fact(quantity: str, real: float, simulated: float, least: float = SMALL) -> Fact:
    return quantity, float(real), float(simulated), max(TOLERANCE * abs(real), least)


def clean_overlap(survey: SimulatedSurvey) -> tuple[Table, Table, np.ndarray]:
    """APOGEE's rows of the overlap with clean flags, LAMOST's rows of the same stars, and their S/N."""
    allstar, _ = best_of_duplicates(survey.allstar())
    catalogue = survey.catalogue()[: survey.n_overlap]
    stars = survey.stars[slice(survey.n_overlap)]
    order, found = nearest(np.asarray(allstar["ra"]), np.asarray(allstar["dec"]), stars.ra, stars.dec)
    matched = allstar[order]
    clean = found & ~flagged(matched) & np.isfinite(np.asarray(matched["teff"]))
    return matched[clean], catalogue[clean], stars.snr[clean]


def nearest(
    ra: np.ndarray, dec: np.ndarray, star_ra: np.ndarray, star_dec: np.ndarray, radius: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """For each star the nearest row of a table, and whether it is within `radius` [arcsec]."""
    tree = cKDTree(sky.directions(ra, dec))
    distance, row = tree.query(sky.directions(star_ra, star_dec))
    return row, distance < np.radians(radius / 3600.0)


def _label_rows(overlap: Table) -> list[Fact]:
    rows = []
    for column, name in enumerate(("teff", "logg", "fe_h", "alpha_m")):
        simulated = np.asarray(overlap[name])
        for percent in (5, 50, 95):
            real = mixture_percentile(column, percent)
            rows.append(_fact(f"{name}, percentile {percent}", real, np.percentile(simulated, percent)))
    return rows


def mixture_percentile(column: int, percent: float) -> float:
    """Percentile of one label of the published mixture, from its distribution function, not from stars drawn of it."""
    weights, means, covariances = population()
    centres, widths = means[:, column], np.sqrt(covariances[:, column, column])

    def above(value: float) -> float:
        return float(weights @ ndtr((value - centres) / widths)) - percent / 100.0

    return float(brentq(above, (centres - 8.0 * widths).min(), (centres + 8.0 * widths).max()))


def _latitude_rows(overlap: Table) -> list[Fact]:
    latitude = np.abs(np.asarray(overlap["glat"]))
    rich, m_h, a_k = (np.asarray(overlap[name]) for name in ("alpha_m", "fe_h", "a_k"))
    rows = []
    edges = sky.LATITUDE_EDGES.astype(int)
    for number, (low, high) in enumerate(pairwise(edges)):
        here = (latitude >= low) & (latitude < high)
        where = f"|b| {low}-{high}"
        rows.append(_fact(f"share of stars, {where}", REAL_BINS[number] / sum(REAL_BINS), np.mean(here)))
        rows.append(_fact(f"share [α/M] > 0.15, {where}", REAL_ALPHA_RICH[number], np.mean(rich[here] > 0.15)))
        rows.append(_fact(f"median [M/H], {where}", REAL_MEDIAN_M_H[number], np.median(m_h[here])))
    for (low, high), values in REAL_A_K.items():
        here = (latitude >= low) & (latitude < high) & np.isfinite(a_k)
        for percent, real in zip((16, 50, 84), values, strict=True):
            rows.append(_fact(f"A_K, percentile {percent}, |b| {low}-{high}", real, np.percentile(a_k[here], percent)))
    return rows


def _pipeline_rows(overlap: Table, pipeline: Table) -> list[Fact]:
    luminous = np.asarray(overlap["logg"]) < LUMINOUS
    labels = np.column_stack([np.asarray(overlap[name]) for name in ("teff", "logg", "fe_h")])[luminous]
    design = np.column_stack([np.ones(len(labels)), labels - labels.mean(axis=0)])
    rows = []
    for column, (name, (mean, deviation, about)) in enumerate(REAL_PIPELINE.items()):
        residual = np.asarray(pipeline[name])[luminous] - labels[:, column]
        error = deviation / np.sqrt(REAL_LUMINOUS)
        line = residual - design @ np.linalg.lstsq(design, residual, rcond=None)[0]
        rows.append(_fact(f"pipeline - APOGEE, {name}, mean", mean, residual.mean(), max(SMALL, error)))
        rows.append(_fact(f"pipeline - APOGEE, {name}, sd", deviation, residual.std()))
        rows.append(_fact(f"pipeline - APOGEE, {name}, about a line", about, 1.4826 * np.median(np.abs(line))))
        if name == "logg":
            slope = np.polyfit(labels[:, column], residual, 1)[0]
            rows.append(_fact("pipeline - APOGEE, logg, slope", REAL_LOGG_SLOPE, slope))
    return rows
