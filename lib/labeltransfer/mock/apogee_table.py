"""APOGEE's stars of the simulated sky: overlap stars, stars of APOGEE alone, duplicates, flags, gaps."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from ..labels import LABELS, PAPER_LABELS
from . import pointings, sky
from .allstar_file import ELEMENT_ERRORS, STARFLAG_BITS
from .assumed import Assumed
from .elements import ELEMENTS, abundances, draw_elements
from .pipelines import COUNTED, ApogeeAccuracy, apogee_flags, apogee_labels
from .stars import Stars, draw_extinction, draw_giants, draw_velocities, side_preference

ASTROMETRIC_NOISE: Annotated[
    float,
    Assumed(
        "sd along each axis between the two surveys' positions",
        "arcsec",
        "our choice: far below the radius of the match",
    ),
] = 0.15
KEEP_APART: Annotated[
    float, Assumed("least distance of stars of APOGEE alone from LAMOST's", "arcsec", "our choice: no chance match")
] = 15.0
LOG_SNR: Annotated[
    tuple[float, float, float, float],
    Assumed("mean, sd, least and largest log10 S/N", "dex", "measured on 11,061 rows of the real overlap"),
] = (2.365, 0.246, 1.58, 3.28)
SECOND_SNR: Annotated[
    float,
    Assumed("S/N of the second row of a star over the first", "", "our choice: the best of duplicates can be told"),
] = 0.6


STARFLAG_COUNTS: Annotated[dict[str, int], Assumed("rows with a value of STARFLAG, in words", "rows", COUNTED)] = {
    "PERSIST_HIGH": 2283, "BRIGHT_NEIGHBOR": 780, "PERSIST_LOW": 713, "PERSIST_HIGH PERSIST_MED": 512,
    "BRIGHT_NEIGHBOR PERSIST_HIGH": 322, "PERSIST_MED": 320, "PERSIST_HIGH PERSIST_LOW": 140,
    "BRIGHT_NEIGHBOR PERSIST_LOW": 125, "PERSIST_MED PERSIST_LOW": 98, "PERSIST_HIGH PERSIST_JUMP_POS": 52,
    "COMMISSIONING": 50, "SUSPECT_RV_COMBINATION": 22, "SUSPECT_BROAD_LINES": 10, "": 5634,
}  # fmt: skip
VISITS: Annotated[
    dict[int, float], Assumed("share of stars with so many visits", "", "our choice: APOGEE's usual three, or one")
] = {1: 0.07, 3: 0.75, 6: 0.12, 12: 0.06}
VSCATTER: Annotated[
    tuple[float, float, float],
    Assumed("median of the scatter of velocities, sd of its log10; share ten times wider", "km/s", COUNTED),
] = (0.11, 0.33, 0.06)
TARGETED_A_K: Annotated[
    tuple[float, float], Assumed("share of rows with AK_TARG; its sd about AK_WISE", "mag", "our choice")
] = (0.85, 0.03)

READ_COLUMNS = [
    "apogee_id", "ra", "dec", "glon", "glat", "snr", "teff", "teff_err", "logg", "logg_err", "fe_h", "fe_h_err",
    "alpha_m", "alpha_m_err", "a_k", "aspcapflag",
]  # fmt: skip
"""What `apogee.read_allstar` gives; the other columns are for the file only."""


def allstar(
    rng: np.random.Generator,
    lamost: Stars,
    n_overlap: int,
    n_rows: int,
    duplicate_share: float,
    accuracy: ApogeeAccuracy,
) -> Table:
    """The table as `apogee.read_allstar` gives it, and what else `allstar_file` needs; rows in random order.

    Parameters
    ----------
    lamost : all stars of LAMOST, the overlap first
    n_rows : rows to make; at least the overlap's are made
    """
    n_stars = max(n_overlap, round(n_rows / (1.0 + duplicate_share)))
    n_alone = n_stars - n_overlap
    drawn = np.concatenate([lamost.drawn[:n_overlap], draw_giants(rng, n_alone)])
    alone = drawn[n_overlap:]
    bins = sky.draw_latitude_bins(rng, alone[:, 2], alone[:, 3])
    ra, dec = sky.draw_positions(rng, bins, side_preference(alone), sky.apogee_sky(), sky.LATTICE_RADIUS["apogee"])
    ra, dec = pointings.gather(
        rng.spawn(1)[0], ra, dec, bins, pointings.apogee_fields(),
        reach=pointings.APOGEE_REACH, room=pointings.FIELD_STARS * pointings.COHORTS,
    )  # fmt: skip
    dec = _apart(ra, dec, lamost)
    noise = ASTROMETRIC_NOISE / 3600.0 * rng.standard_normal((2, n_overlap))
    known = lamost[slice(n_overlap)]
    ra = np.concatenate([known.ra + noise[0] / np.cos(np.radians(known.dec)), ra]) % 360.0
    dec = np.concatenate([known.dec + noise[1], dec])
    a_k = np.concatenate([known.truth[:, 4], draw_extinction(rng, bins)])

    n_duplicates = min(round(n_stars * duplicate_share), max(n_rows - n_stars, 0))
    rows = np.concatenate([np.arange(n_stars), rng.choice(n_stars, n_duplicates, replace=False)])
    values, errors = apogee_labels(rng, drawn, a_k, accuracy)
    values, errors = values[rows], errors[rows]
    values[n_stars:] += errors[n_stars:] * rng.standard_normal((n_duplicates, len(PAPER_LABELS)))
    flags, missing, no_a_k = (
        np.concatenate(parts)
        for parts in zip(apogee_flags(rng, n_overlap), apogee_flags(rng, len(rows) - n_overlap), strict=True)
    )
    mean, deviation, least, largest = LOG_SNR
    snr = 10.0 ** np.clip(rng.normal(mean, deviation, len(rows)), least, largest)
    snr[n_stars:] *= SECOND_SNR
    values[missing] = np.nan
    values[no_a_k, 4] = np.nan
    ids = names(ra, dec)
    order = rng.permutation(len(rows))
    table = _table(rows[order], ids, ra, dec, snr[order], values[order], accuracy.quoted * errors[order], flags[order])
    elements = np.concatenate([known.elements, draw_elements(rng, n_alone)])[rows]
    velocity = np.concatenate([known.velocity, draw_velocities(rng, alone)])[rows]
    _add_details(rng, table, abundances(drawn[rows], elements)[order], velocity[order], order >= n_stars)
    return table


def names(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """(N,) 2MASS names, ``2MHHMMSSss+DDMMSSs``; of two equal ones the second gets a letter."""
    hours = np.round(ra / 15.0 * 360_000.0).astype(np.int64) % (24 * 360_000)
    arc = np.round(np.abs(dec) * 36_000.0).astype(np.int64)
    text = np.array(
        [
            f"2M{h // 360000:02d}{h // 6000 % 60:02d}{h % 6000:04d}{'-' if south else '+'}"
            f"{d // 36000:02d}{d // 600 % 60:02d}{d % 600:03d}"
            for h, d, south in zip(hours.tolist(), arc.tolist(), (dec < 0).tolist(), strict=True)
        ],
        dtype=str,
    )
    _, first = np.unique(text, return_index=True)
    again = np.ones(len(text), dtype=bool)
    again[first] = False
    for count, row in enumerate(np.flatnonzero(again)):
        text = text.astype("U24") if text.dtype.itemsize < 96 else text
        text[row] = f"{text[row]}B{count}"
    return text


def _apart(ra: np.ndarray, dec: np.ndarray, lamost: Stars) -> np.ndarray:
    if not len(lamost) or not len(ra):
        return dec
    tree = cKDTree(sky.directions(lamost.ra, lamost.dec))
    for _ in range(20):
        distance, _ = tree.query(sky.directions(ra, dec), distance_upper_bound=np.radians(KEEP_APART / 3600.0))
        near = np.isfinite(distance)
        if not near.any():
            break
        dec = np.where(near, dec + 2.5 * KEEP_APART / 3600.0, dec)
    return dec


def _table(
    rows: np.ndarray,
    ids: np.ndarray,
    ra: np.ndarray,
    dec: np.ndarray,
    snr: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    flags: np.ndarray,
) -> Table:
    glon, glat = sky.galactic(ra, dec)
    table = Table({"apogee_id": ids[rows]})
    for name, angle in (("ra", ra), ("dec", dec), ("glon", glon), ("glat", glat)):
        table[name] = angle[rows]
        table[name].unit = "deg"
    table["snr"] = _single(snr)
    for column, name in enumerate(PAPER_LABELS):
        table[name] = _single(values[:, column])
        table[name].unit = LABELS[name].unit
        if name != "a_k":
            table[f"{name}_err"] = _single(np.where(np.isfinite(values[:, column]), errors[:, column], np.nan))
            table[f"{name}_err"].unit = LABELS[name].unit
    table["aspcapflag"] = flags
    return table


def _add_details(
    rng: np.random.Generator, table: Table, truth: np.ndarray, velocity: np.ndarray, again: np.ndarray
) -> None:
    """The columns for the file only: what was observed, and the abundances [X/H] from the true ones (N, E)."""
    number = len(table)
    places = sky.directions(np.asarray(table["ra"]), np.asarray(table["dec"]))
    nearest = cKDTree(pointings.apogee_fields()[0]).query(places)[1] if number else np.empty(0, int)
    table["location_id"] = 4000 + nearest
    table["nvisits"] = rng.choice(list(VISITS), number, p=list(VISITS.values()))
    words = list(STARFLAG_COUNTS)
    share = np.array(list(STARFLAG_COUNTS.values()), float)
    bits = np.array([sum(1 << STARFLAG_BITS[name] for name in word.split()) for word in words])
    table["starflag"] = bits[rng.choice(len(words), number, p=share / share.sum())]
    table["vhelio_avg"] = velocity
    median, width, wide = VSCATTER
    scatter = median * 10.0 ** (width * rng.standard_normal(number)) * np.where(rng.random(number) < wide, 10.0, 1.0)
    table["vscatter"] = np.where(table["nvisits"] > 1, scatter, 0.0)
    table["again"] = again
    share_targeted, deviation = TARGETED_A_K
    ak_targ = np.asarray(table["a_k"]) + deviation * rng.standard_normal(number)
    table["ak_targ"] = np.where(rng.random(number) < share_targeted, ak_targ, np.nan)
    errors = [ELEMENT_ERRORS[name] for name in ELEMENTS]
    measured = truth + rng.standard_normal(truth.shape) * errors
    for column, name in enumerate(ELEMENTS):
        table[f"{name}_h"] = np.where(np.isfinite(np.asarray(table["teff"])), measured[:, column], np.nan)


def _single(values: np.ndarray) -> np.ndarray:
    """The 64-bit numbers that APOGEE's 32-bit columns hold."""
    return values.astype(np.float32).astype(float)
