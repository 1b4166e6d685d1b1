"""Where the two telescopes pointed: APOGEE's fields and LAMOST's plates, and which stars fall into them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from scipy.spatial import cKDTree

from . import sky
from .assumed import Assumed

FIELDS_FILE = Path(__file__).parent / "apogee_fields.json"

FIELD_RADIUS: Annotated[
    float, Assumed("radius of an APOGEE field", "deg", "Zasowski et al. 2013; Majewski et al. 2017")
] = 1.49
LOW_DECLINATION: Annotated[
    float,
    Assumed("south of it fields were drilled smaller", "deg", "our choice: those that stay low over Apache Point"),
] = -15.0
LOW_FIELD_RADIUS: Annotated[
    float, Assumed("radius of these", "deg", "our choice within Zasowski et al. 2013: 1 to 2 deg across")
] = 1.0
FIELD_STARS: Annotated[int, Assumed("stars of one design of a field", "", "Zasowski et al. 2013")] = 230
COHORTS: Annotated[int, Assumed("designs of other stars a field has at most", "", "Zasowski et al. 2013")] = 3
APOGEE_REACH: Annotated[
    float,
    Assumed("how far from its place on the smooth sky a star is looked for", "deg", "our choice: fields are far apart"),
] = 12.0
SMALLEST_OVERLAP: Annotated[
    float,
    Assumed(
        "a field serves a range of |b| that its centre misses by no more than this share of its radius", "",
        "our choice: fields just touching a range would be crowded at its edge"),
] = 0.6  # fmt: skip

PLATE_RADIUS: Annotated[float, Assumed("radius of a LAMOST plate", "deg", "Zhao et al. 2012")] = 2.5
PLATE_JITTER: Annotated[
    float, Assumed("shift of plates from an even lattice", "deg", "our choice: a plate is centred on a star of V < 8")
] = 0.8
PLATE_SHARE: Annotated[
    float, Assumed("share of plates observed by DR2 far from the anticentre", "", "our choice; at it nearly all")
] = 0.75
SUMMER_SHARE: Annotated[
    float, Assumed("the same in the sky of July and August", "", "our choice: the telescope rests")
] = 0.45
SUMMER: Annotated[
    tuple[float, float], Assumed("right ascensions of that sky", "deg", "our choice: up at night in July and August")
] = (255.0, 315.0)
PLATES_SEED: Annotated[int, Assumed("where the plates are", "", "our choice: the same for every survey")] = 2014


@lru_cache(maxsize=1)
def apogee_fields() -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) directions and (F,) radii [deg] of APOGEE-1's fields."""
    places = np.array(list(json.loads(FIELDS_FILE.read_text(encoding="utf-8"))["fields"].values()), float)
    ra, dec = sky.equatorial(places[:, 0], places[:, 1])
    return sky.directions(ra, dec), np.where(dec < LOW_DECLINATION, LOW_FIELD_RADIUS, FIELD_RADIUS)


@lru_cache(maxsize=1)
def lamost_plates() -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) directions and (F,) radii [deg] of LAMOST's plates up to DR2: the same whatever the survey's seed."""
    rng = np.random.default_rng(PLATES_SEED)
    centres, density = sky.lamost_sky()
    ra, _ = sky.coordinates(centres)
    share = np.where((ra > SUMMER[0]) & (ra < SUMMER[1]), SUMMER_SHARE, PLATE_SHARE)
    towards_anticentre = (density - density.min()) / np.ptp(density)
    observed = rng.random(len(centres)) < share + (1.0 - share) * np.sqrt(towards_anticentre)
    centres = blurred(rng, centres, PLATE_JITTER / np.sqrt(2.0))[observed]
    _, dec = sky.coordinates(centres)
    centres = centres[(dec > sky.DECLINATIONS[0]) & (dec < sky.DECLINATIONS[1])]
    return centres, np.full(len(centres), PLATE_RADIUS)


def common_fields() -> tuple[np.ndarray, np.ndarray]:
    """Those of APOGEE's fields whose centres LAMOST's plates cover."""
    centres, radii = apogee_fields()
    covered = on_lamost_plates(centres)
    return centres[covered], radii[covered]


def on_lamost_plates(places: np.ndarray) -> np.ndarray:
    """(N,) True where a plate covers the direction (N, 3)."""
    distance, _ = cKDTree(lamost_plates()[0]).query(places)
    return distance < 2.0 * np.sin(np.radians(PLATE_RADIUS) / 2.0)


def in_apogee_fields(places: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """(N,) True where a field, made larger by a margin [deg], covers the direction (N, 3)."""
    centres, radii = apogee_fields()
    covered = np.zeros(len(places), dtype=bool)
    for radius in np.unique(radii):
        distance, _ = cKDTree(centres[radii == radius]).query(places)
        covered |= distance < 2.0 * np.sin(np.radians(radius + margin) / 2.0)
    return covered


def gather(
    rng: np.random.Generator,
    ra: np.ndarray,
    dec: np.ndarray,
    latitude_bins: np.ndarray,
    fields: tuple[np.ndarray, np.ndarray],
    *,
    reach: float = 0.0,
    on_plates: bool = False,
    room: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Move stars into fields near by, each within its range of |b|.

    The sky is drawn smooth first (`sky.draw_positions`), as the kinds of stars are spread; telescopes then point at
    some places. A star goes to the field nearest to where it was drawn, give or take `reach`, and anywhere in it.

    Parameters
    ----------
    ra, dec : (N,) where the stars were drawn [deg]
    latitude_bins : (N,) their ranges in `sky.LATITUDE_EDGES`
    fields : directions (F, 3) and radii (F,) [deg]
    reach : standard deviation along each axis [deg]
    on_plates : only places that LAMOST's plates cover
    room : how many stars a field takes, unless all are full; the others are looked for further and further away

    Returns
    -------
    Right ascension and declination (N,) [deg]
    """
    centres, radii = fields
    centre_latitude = np.abs(sky.coordinates(centres @ sky.TO_GALACTIC.T)[1])
    drawn, found = sky.directions(ra, dec), np.empty((len(ra), 3))
    for number in range(len(sky.LATITUDE_EDGES) - 1):
        low, high = sky.LATITUDE_EDGES[number : number + 2]
        share = SMALLEST_OVERLAP * radii
        near = np.flatnonzero((centre_latitude > low - share) & (centre_latitude < high + share))
        waiting = np.flatnonzero(latitude_bins == number)
        tree, taken = cKDTree(centres[near]), np.zeros(near.size, dtype=int)
        room_here, width = max(room, 1.5 * waiting.size / near.size), reach
        while waiting.size:
            _, nearest = tree.query(blurred(rng, drawn[waiting], width))
            place = sky.offset(rng, centres[near[nearest]], radii[near[nearest]])
            accepted = sky.in_latitudes(place, low, high)
            if on_plates:
                accepted &= on_lamost_plates(place)
            accepted[accepted] = taken[nearest[accepted]] + _turn(nearest[accepted]) < room_here
            taken += np.bincount(nearest[accepted], minlength=near.size)
            width = min(1.2 * width, 60.0)
            found[waiting[accepted]] = place[accepted]
            waiting = waiting[~accepted]
    return sky.coordinates(found)


def _turn(fields: np.ndarray) -> np.ndarray:
    """(N,) how many earlier stars have the same field."""
    order = np.argsort(fields, kind="stable")
    first = np.searchsorted(fields[order], fields[order])
    turn = np.empty(len(fields), dtype=int)
    turn[order] = np.arange(len(fields)) - first
    return turn


def blurred(rng: np.random.Generator, places: np.ndarray, width: float) -> np.ndarray:
    """(N, 3) directions moved at random by `width` [deg] along each axis."""
    moved = places + np.radians(width) * rng.standard_normal(places.shape)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)
