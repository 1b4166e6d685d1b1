"""Which stars exist: labels, places, velocities, extinction and S/N."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np

from . import pointings, sky
from .assumed import Assumed
from .elements import draw_elements
from .grid import SyntheticGrid
from .pipelines import ApogeeAccuracy, noise_covariance

POPULATION_FILE = Path(__file__).parent / "population.json"

OVERLAP_COUNTED = "measured on 10,124 real overlap stars"

LOG_SNR: Annotated[tuple[float, float], Assumed("mean and sd of log10 of the reported S/N", "dex", OVERLAP_COUNTED)] = (
    1.688,
    0.331,
)
LOG_SNR_RANGE: Annotated[
    tuple[float, float],
    Assumed("where log10 S/N is cut", "dex", "our choice: 2.8 and 3.2 sd, so no star is without light"),
] = (0.75, 2.75)

TEFF_RANGE: Annotated[
    tuple[float, float], Assumed("Teff of overlap stars", "K", "the paper's cuts, under which the mixture was fitted")
] = (3500.0, 6000.0)
SMALLEST_ALPHA_M: Annotated[
    float, Assumed("least [α/M] of overlap stars", "dex", "the paper's cut, under which the mixture was fitted")
] = -0.1
LARGEST_LOGG: Annotated[
    float,
    Assumed("largest log g of overlap stars", "dex", "stars in common are giants (section 1); cuts 1 % of the mixture"),
] = 3.8

HALO_M_H: Annotated[
    float, Assumed("[M/H] below which a star is of the halo", "dex", "our choice: the usual border")
] = -1.0

MEDIAN_A_K: Annotated[
    np.ndarray, Assumed("median A_K by bin of |b|", "mag", "496 luminous giants of the real overlap")
] = np.array([0.27, 0.16, 0.087, 0.08, 0.08, 0.08])
A_K_WIDTH: Annotated[np.ndarray, Assumed("sd of ln A_K by bin of |b|", "", "16 and 84 % of the same 496 giants")] = (
    np.array([0.30, 0.45, 0.45, 0.42, 0.42, 0.42])
)
LARGEST_A_K: Annotated[float, Assumed("where A_K is cut", "mag", "our choice: the paper's stars end at about 0.4")] = (
    0.45
)

VELOCITY_SPREAD: Annotated[
    dict[str, float],
    Assumed("sd of heliocentric velocity", "km/s", "our choice: about 50 for the disk, more for older stars"),
] = {"disk": 45.0, "α-rich": 75.0, "halo": 120.0}
MEAN_VELOCITY: Annotated[
    float, Assumed("mean heliocentric velocity", "km/s", "our choice: the Sun's own motion")
] = -10.0
LARGEST_VELOCITY: Annotated[
    float, Assumed("where velocities are cut", "km/s", "our choice: shifts stay within the grid's wavelengths")
] = 450.0

SIDE: Annotated[
    tuple[float, float, float, float],
    Assumed(
        "preference for the Galactic centre's side: of α-rich stars; of others at a pivot; that pivot in [M/H]; "
        "largest change with [M/H]", "", "our choice: α-rich and metal-rich stars lie inwards; sizes free"),
] = (0.8, -0.5, -0.1, 0.6)  # fmt: skip

DWARF_TEFF: Annotated[
    tuple[float, float], Assumed("mean and sd of dwarfs' Teff", "K", "our choice: F, G and K stars prevail in DR2")
] = (5750.0, 550.0)
DWARF_TEFF_RANGE: Annotated[
    tuple[float, float], Assumed("where dwarfs' Teff is cut", "K", "our choice: within the grid")
] = (4300.0, 7300.0)
MAIN_SEQUENCE: Annotated[
    np.ndarray, Assumed("Teff and log g of the main sequence", "K, dex", "our choice: rounded values of nearby dwarfs")
] = np.array([[4300.0, 4.62], [5000.0, 4.55], [5800.0, 4.42], [6500.0, 4.28], [7300.0, 4.18]])
EVOLVED: Annotated[
    tuple[float, float, float, float],
    Assumed(
        "mean rise above the main sequence [dex], from this Teff [K] on, in full after so many K, at most times",
        "", "our choice: a turn-off that fills the gap to the giants"),
] = (0.12, 4900.0, 900.0, 1.2)  # fmt: skip
SMALLEST_DWARF_LOGG: Annotated[
    float, Assumed("least log g of dwarfs", "dex", "our choice: below it a star counts as a giant")
] = 3.6
DWARF_M_H: Annotated[
    tuple[float, float, float, float],
    Assumed("mean, sd, least and largest [M/H] of dwarfs", "dex", "our choice: the disk near the Sun"),
] = (-0.15, 0.22, -1.0, 0.45)
DWARF_ALPHA_M: Annotated[
    tuple[float, float, float],
    Assumed(
        "[α/M] of dwarfs at [M/H] = 0, slope with [M/H], sd",
        "dex",
        "our choice: the grid's dwarfs have such [α/M] only",
    ),
] = (0.075, -0.15, 0.02)


@dataclass(frozen=True, repr=False, eq=False)
class Stars:
    """N simulated stars.

    Attributes
    ----------
    drawn : (N, 4) Teff, log g, [M/H], [α/M] as drawn from the population
    truth : (N, 5) labels the spectra are made with: `drawn` moved into the synthetic grid, and A_K
    outside : (N,) True where `drawn` is outside the grid, so that `truth` is another place, at its edge
    giant : (N,)
    ra, dec, glon, glat : (N,) deg
    velocity : (N,) heliocentric [km/s]
    snr : (N,) S/N per pixel as LAMOST would report it (median over pixels)
    elements : (N, 6) dex by which a star has more of the elements of `elements.ELEMENTS` than its labels say
    """

    drawn: np.ndarray
    truth: np.ndarray
    outside: np.ndarray
    giant: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    glon: np.ndarray
    glat: np.ndarray
    velocity: np.ndarray
    snr: np.ndarray
    elements: np.ndarray

    def __len__(self) -> int:
        return len(self.drawn)

    def __add__(self, other: Stars) -> Stars:
        return Stars(*(np.concatenate([getattr(self, part.name), getattr(other, part.name)]) for part in fields(self)))

    def __getitem__(self, rows: np.ndarray | slice) -> Stars:
        return Stars(*(getattr(self, part.name)[rows] for part in fields(self)))


@lru_cache(maxsize=1)
def population() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (K,), means (K, 4) and covariances (K, 4, 4) of the Gaussian mixture of the real overlap's labels."""
    facts = json.loads(POPULATION_FILE.read_text(encoding="utf-8"))
    weights = np.array(facts["weights"])
    return weights / weights.sum(), np.array(facts["means"]), np.array(facts["covariances"])


LEAST_SHARE: Annotated[
    float,
    Assumed("least share of a component's variance that is the stars' own", "", "our choice: noise is less than it"),
] = 0.15


@lru_cache(maxsize=1)
def true_population() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mixture of the labels that the stars have: without the noise of APOGEE's labels, which were fitted."""
    weights, means, covariances = population()
    noise = noise_covariance(ApogeeAccuracy())[:4, :4]
    true = np.empty_like(covariances)
    for row, covariance in zip(true, covariances, strict=True):
        root = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(root)
        share, vectors = np.linalg.eigh(inverse @ noise @ inverse.T)
        own = vectors * np.maximum(1.0 - share, LEAST_SHARE) @ vectors.T
        row[:] = root @ own @ root.T
    return weights, means, true


def draw_giants(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, 4) true labels from the mixture, within the cuts the mixture was fitted under and among giants."""
    weights, means, covariances = true_population()
    roots = np.linalg.cholesky(covariances)
    labels = np.empty((0, 4))
    while len(labels) < number:
        part = rng.choice(len(weights), number - len(labels) + 16, p=weights)
        new = means[part] + np.einsum("nij,nj->ni", roots[part], rng.standard_normal((len(part), 4)))
        good = (new[:, 0] > TEFF_RANGE[0]) & (new[:, 0] < TEFF_RANGE[1])
        good &= (new[:, 1] > 0.0) & (new[:, 1] < LARGEST_LOGG) & (new[:, 3] > SMALLEST_ALPHA_M)
        labels = np.concatenate([labels, new[good]])
    return labels[:number]


def draw_dwarfs(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, 4) labels of main-sequence and turn-off stars; assumptions, for LAMOST DR2 is mostly such stars."""
    mean, deviation = DWARF_TEFF
    teff = np.clip(rng.normal(mean, deviation, number), *DWARF_TEFF_RANGE)
    rise, start, span, most = EVOLVED
    evolved = rng.exponential(rise, number) * np.clip((teff - start) / span, 0.0, most)
    logg = np.interp(teff, *MAIN_SEQUENCE.T) - evolved
    mean, deviation, least, largest = DWARF_M_H
    m_h = np.clip(rng.normal(mean, deviation, number), least, largest)
    solar, slope, deviation = DWARF_ALPHA_M
    alpha_m = solar + slope * m_h + rng.normal(0.0, deviation, number)
    return np.column_stack([teff, np.clip(logg, SMALLEST_DWARF_LOGG, None), m_h, alpha_m])


def overlap_stars(rng: np.random.Generator, number: int) -> Stars:
    """Giants that both surveys observed."""
    drawn = draw_giants(rng, number)
    bins = sky.draw_latitude_bins(rng, drawn[:, 2], drawn[:, 3])
    return _observed(rng, drawn, bins, np.ones(number, dtype=bool), both_surveys=True)


def dr2_stars(rng: np.random.Generator, number: int, giant_share: float) -> Stars:
    """Stars of LAMOST alone: giants of the overlap's kinds with DR2's spread in latitude, and dwarfs, mixed."""
    giant = rng.random(number) < giant_share
    n_giants = int(np.count_nonzero(giant))
    labels, bins = np.empty((0, 4)), np.empty(0, dtype=int)
    while len(labels) < n_giants:
        new = draw_giants(rng, 2 * (n_giants - len(labels)) + 64)
        new_bins = sky.draw_latitude_bins(rng, new[:, 2], new[:, 3])
        found = np.bincount(new_bins, minlength=len(sky.DR2_SHARES)) / len(new)
        excess = sky.DR2_SHARES / np.maximum(found, 1e-3)
        kept = rng.random(len(new)) < (excess / excess.max())[new_bins]
        labels, bins = np.concatenate([labels, new[kept]]), np.concatenate([bins, new_bins[kept]])
    drawn = draw_dwarfs(rng, number)
    latitude_bins = rng.choice(len(sky.DR2_SHARES), number, p=sky.DR2_SHARES)
    drawn[giant], latitude_bins[giant] = labels[:n_giants], bins[:n_giants]
    return _observed(rng, drawn, latitude_bins, giant)


def _observed(
    rng: np.random.Generator, drawn: np.ndarray, bins: np.ndarray, giant: np.ndarray, both_surveys: bool = False
) -> Stars:
    number = len(drawn)
    grid = SyntheticGrid.load()
    ra, dec = sky.draw_positions(rng, bins, side_preference(drawn), sky.lamost_sky(), sky.LATTICE_RADIUS["lamost"])
    pointing, composing = rng.spawn(2)
    if both_surveys:
        fields = pointings.common_fields()
        ra, dec = pointings.gather(pointing, ra, dec, bins, fields, reach=pointings.APOGEE_REACH, on_plates=True)
    else:
        ra, dec = pointings.gather(pointing, ra, dec, bins, pointings.lamost_plates())
    glon, glat = sky.galactic(ra, dec)
    a_k = draw_extinction(rng, bins)
    velocity = draw_velocities(rng, drawn)
    snr = 10.0 ** np.clip(rng.normal(*LOG_SNR, number), *LOG_SNR_RANGE)
    truth = np.column_stack([grid.inside(drawn), a_k])
    elements = np.where(giant[:, None], draw_elements(composing, number), 0.0)
    return Stars(drawn, truth, grid.outside(drawn), giant, ra, dec, glon, glat, velocity, snr, elements)


def draw_velocities(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """(N,) heliocentric velocities [km/s] of stars with (N, 4) labels."""
    disk = np.where(labels[:, 3] > sky.ALPHA_RICH, VELOCITY_SPREAD["α-rich"], VELOCITY_SPREAD["disk"])
    spread = np.where(labels[:, 2] < HALO_M_H, VELOCITY_SPREAD["halo"], disk)
    return np.clip(rng.standard_normal(len(labels)) * spread + MEAN_VELOCITY, -LARGEST_VELOCITY, LARGEST_VELOCITY)


def side_preference(labels: np.ndarray) -> np.ndarray:
    """(N,) α-rich and metal-rich stars prefer the inner Galaxy, α-poor and metal-poor ones of the disk the outer."""
    rich, poor, pivot, change = SIDE
    return np.where(labels[:, 3] > sky.ALPHA_RICH, rich, poor + np.clip(labels[:, 2] - pivot, -change, change))


def draw_extinction(rng: np.random.Generator, bins: np.ndarray) -> np.ndarray:
    """(N,) A_K [mag] by bin of |b|: log-normal, cut at `LARGEST_A_K`."""
    a_k = np.exp(np.log(MEDIAN_A_K[bins]) + A_K_WIDTH[bins] * rng.standard_normal(len(bins)))
    return np.minimum(a_k, LARGEST_A_K)
