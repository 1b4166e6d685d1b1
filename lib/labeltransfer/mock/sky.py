"""How stars are spread over the sky: Galactic latitude by kind of star, and what each survey can reach."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from .assumed import Assumed

LATITUDE_EDGES = np.array([0.0, 5.0, 10.0, 20.0, 30.0, 45.0, 90.0])
"""Bins of |b| [deg] in which the real overlap was counted."""

ALPHA_RICH: Annotated[
    float, Assumed("[α/M] that parts the two sequences", "dex", "the value at which the real overlap was counted")
] = 0.15

FITTED_TO_BINS = (
    "fitted: the mixture of labels then gives the counts, shares and medians of the real overlap by bin of |b|"
)

BIN_PREFERENCE: Annotated[
    np.ndarray, Assumed("logits of the bins of |b| for stars of [α/M] below and above `ALPHA_RICH`", "", FITTED_TO_BINS)
] = np.array([[0.0, -0.018, 0.211, -1.653, -1.443, -0.840], [-5.10, -3.82, -2.40, -4.22, -2.71, -1.40]])
METALLICITY_PREFERENCE: Annotated[
    np.ndarray, Assumed("slopes of these logits with [M/H] + 0.2", "1/dex", FITTED_TO_BINS)
] = np.array([0.0, 0.943, 1.293, -0.450, -0.570, -0.801])

DR2_SHARES: Annotated[
    np.ndarray, Assumed("share of DR2's stars by bin of |b|", "", "our choice: more even than the overlap with APOGEE")
] = np.array([0.14, 0.14, 0.24, 0.16, 0.16, 0.16])

LATTICE_RADIUS: Annotated[
    dict[str, float],
    Assumed(
        "disks around points of a lattice that make a smooth sky", "deg", "our choice: about the telescopes' fields"
    ),
] = {"lamost": 2.5, "apogee": 1.5}

DECLINATIONS: Annotated[tuple[float, float], Assumed("centres of LAMOST's plates", "deg", "Zhao et al. 2012")] = (
    -10.0,
    60.0,
)

ANTICENTRE: Annotated[
    tuple[float, float, float, float],
    Assumed(
        "LAMOST's density: far from the anticentre, added at it; widths in l and b [deg]", "",
        "our choice: LAMOST covers 150 < l < 210 deg, |b| < 30 deg most densely"),
] = (0.35, 2.0, 35.0, 25.0)  # fmt: skip

APOGEE_PLANE: Annotated[
    tuple[float, float, float],
    Assumed(
        "APOGEE's smooth sky: largest |b| of the plane, least |b| of the even halo, least declination", "deg",
        "our choice: like the map of fields of Majewski et al. 2017"),
] = (16.0, 18.0, -32.0)  # fmt: skip

TO_GALACTIC = np.array(
    [
        [-0.0548755604162154, -0.8734370902348850, -0.4838350155487132],
        [+0.4941094278755837, -0.4448296299600112, +0.7469822444972189],
        [-0.8676661490190047, -0.1980763734312015, +0.4559837761750669],
    ]
)
"""Rotation from ICRS to Galactic Cartesian coordinates (Hipparcos, vol. 1, eq. 1.5.11)."""


def directions(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors of spherical coordinates [deg]."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def coordinates(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude in 0..360 and latitude [deg] of (N, 3) vectors."""
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def galactic(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Galactic longitude and latitude [deg]."""
    return coordinates(directions(ra, dec) @ TO_GALACTIC.T)


def equatorial(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination [deg]."""
    return coordinates(directions(lon, lat) @ TO_GALACTIC)


def lamost_sky() -> tuple[np.ndarray, np.ndarray]:
    """Directions (F, 3) of a lattice and density (F,) there: -10° < Dec < 60°, dense towards the anticentre."""
    ra, dec = coordinates(_even_directions(2400))
    keep = (dec > DECLINATIONS[0]) & (dec < DECLINATIONS[1])
    ra, dec = ra[keep], dec[keep]
    lon, lat = galactic(ra, dec)
    far, added, lon_width, lat_width = ANTICENTRE
    anticentre = np.exp(-0.5 * (((lon - 180.0) / lon_width) ** 2 + (lat / lat_width) ** 2))
    return directions(ra, dec), far + added * anticentre


def apogee_sky() -> tuple[np.ndarray, np.ndarray]:
    """Directions of a lattice and density: the disk and the bulge near the plane, the halo evenly."""
    plane, halo, lowest = APOGEE_PLANE
    lon, lat = np.meshgrid(np.arange(-5.0, 245.0, 5.0), np.linspace(-plane, plane, 9))
    ra, dec = equatorial(lon.ravel(), lat.ravel())
    halo_ra, halo_dec = coordinates(_even_directions(1500))
    _, halo_lat = galactic(halo_ra, halo_dec)
    ra = np.concatenate([ra, halo_ra[np.abs(halo_lat) > halo]])
    dec = np.concatenate([dec, halo_dec[np.abs(halo_lat) > halo]])
    visible = dec > lowest
    return directions(ra[visible], dec[visible]), np.ones(np.count_nonzero(visible))


def _even_directions(number: int) -> np.ndarray:
    """(number, 3) directions spread evenly over the sphere (Fibonacci lattice)."""
    n = np.arange(number) + 0.5
    return directions(n * 180.0 * (3.0 - np.sqrt(5.0)) % 360.0, np.degrees(np.arcsin(1.0 - 2.0 * n / number)))


def draw_latitude_bins(rng: np.random.Generator, m_h: np.ndarray, alpha_m: np.ndarray) -> np.ndarray:
    """(N,) bin of |b| of each star, by its [M/H] and [α/M]."""
    logits = BIN_PREFERENCE[(alpha_m > ALPHA_RICH).astype(int)]
    logits = logits + METALLICITY_PREFERENCE * np.clip(m_h + 0.2, -1.0, 1.0)[:, None]
    cumulative = np.cumsum(np.exp(logits), axis=1)
    return (rng.random(len(m_h))[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)


def draw_positions(
    rng: np.random.Generator,
    latitude_bins: np.ndarray,
    preference: np.ndarray,
    fields: tuple[np.ndarray, np.ndarray],
    radius: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination [deg] in given bins of |b|, on a smooth sky.

    Parameters
    ----------
    latitude_bins : (N,)
    preference : (N,) how much the star prefers the side of the Galactic centre (positive) or the anticentre: the
        density of its kind goes as exp(preference cos l cos b)
    fields : lattice of directions (F, 3) and density (F,)
    radius : of the disk around a point of the lattice [deg]
    """
    centres, weights = fields
    centre_lat = np.abs(coordinates(centres @ TO_GALACTIC.T)[1])
    ra, dec = np.empty(len(preference)), np.empty(len(preference))
    for number in range(len(LATITUDE_EDGES) - 1):
        low, high = LATITUDE_EDGES[number : number + 2]
        near = np.flatnonzero((centre_lat > low - radius) & (centre_lat < high + radius))
        chances = weights[near] / weights[near].sum()
        waiting = np.flatnonzero(latitude_bins == number)
        while waiting.size:
            field = near[rng.choice(near.size, waiting.size, p=chances)]
            place = offset(rng, centres[field], radius)
            tilt = preference[waiting]
            towards_centre = (place @ TO_GALACTIC.T)[:, 0]
            accepted = in_latitudes(place, low, high)
            accepted &= rng.random(waiting.size) < np.exp(tilt * towards_centre - np.abs(tilt))
            ra[waiting[accepted]], dec[waiting[accepted]] = coordinates(place[accepted])
            waiting = waiting[~accepted]
    return ra, dec


def in_latitudes(places: np.ndarray, low: float, high: float) -> np.ndarray:
    """(N,) True where a direction (N, 3) has a Galactic latitude from `low` to `high` [deg], north or south."""
    sine = np.abs((places @ TO_GALACTIC.T)[:, 2])
    height = np.degrees(np.arcsin(np.clip(sine, 0.0, 1.0)))
    return (height >= low) & (height < high)


def offset(rng: np.random.Generator, centres: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    """Directions spread evenly over a disk around each centre."""
    distance = np.radians(radius) * np.sqrt(rng.random(len(centres)))
    angle = 2.0 * np.pi * rng.random(len(centres))
    ra = coordinates(centres)[0]
    east = directions(ra + 90.0, np.zeros_like(ra))
    north = np.cross(centres, east)
    aside = np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north
    return np.cos(distance)[:, None] * centres + np.sin(distance)[:, None] * aside
