"""Which stars exist: labels, places, velocities, extinction and S/N."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from . import pointings, sky
from .grid import SyntheticGrid

POPULATION_FILE = Path(__file__).parent / "population.json"

LOG_SNR = (1.688, 0.331)
"""Mean and standard deviation of log10 of the reported S/N of the real overlap."""

LARGEST_LOGG = 3.8
"""The stars in common are giants (section 1); one in a hundred of the mixture, in its Gaussian tails, is not."""

MEDIAN_A_K = np.array([0.27, 0.16, 0.087, 0.08, 0.08, 0.08])
A_K_WIDTH = np.array([0.30, 0.45, 0.45, 0.42, 0.42, 0.42])
LARGEST_A_K = 0.45
"""Median of A_K [mag], width of its log and where it is cut, by bin of |b|: after 496 giants of the overlap."""


@dataclass(frozen=True, repr=False, eq=False)
class Stars:
    """N simulated stars.

    Attributes
    ----------
    drawn : (N, 4) Teff, log g, [M/H], [α/M] as drawn from the population
    truth : (N, 5) labels the spectra are made with: `drawn` moved into the synthetic grid, and A_K
    outside : (N,) True where `drawn` is outside the grid
    giant : (N,)
    ra, dec, glon, glat : (N,) deg
    velocity : (N,) heliocentric [km/s]
    snr : (N,) S/N per pixel as LAMOST would report it (median over pixels)
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


def draw_giants(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, 4) labels from the mixture, within the cuts the mixture was fitted under and among giants."""
    weights, means, covariances = population()
    roots = np.linalg.cholesky(covariances)
    labels = np.empty((0, 4))
    while len(labels) < number:
        part = rng.choice(len(weights), number - len(labels) + 16, p=weights)
        new = means[part] + np.einsum("nij,nj->ni", roots[part], rng.standard_normal((len(part), 4)))
        good = (np.abs(new[:, 0] - 4750.0) < 1250.0) & (np.abs(new[:, 1] - 0.5 * LARGEST_LOGG) < 0.5 * LARGEST_LOGG)
        good &= new[:, 3] > -0.1
        labels = np.concatenate([labels, new[good]])
    return labels[:number]


def draw_dwarfs(rng: np.random.Generator, number: int) -> np.ndarray:
    """(N, 4) labels of main-sequence and turn-off stars; assumptions, for LAMOST DR2 is mostly such stars."""
    teff = np.clip(rng.normal(5750.0, 550.0, number), 4300.0, 7300.0)
    evolved = rng.exponential(0.12, number) * np.clip((teff - 4900.0) / 900.0, 0.0, 1.2)
    logg = np.interp(teff, [4300, 5000, 5800, 6500, 7300], [4.62, 4.55, 4.42, 4.28, 4.18]) - evolved
    m_h = np.clip(rng.normal(-0.15, 0.22, number), -1.0, 0.45)
    alpha_m = np.clip(0.04 - 0.15 * m_h + rng.normal(0.0, 0.04, number), -0.05, 0.3)
    return np.column_stack([teff, np.clip(logg, 3.6, None), m_h, alpha_m])


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
    pointing = rng.spawn(1)[0]
    if both_surveys:
        fields = pointings.common_fields()
        ra, dec = pointings.gather(pointing, ra, dec, bins, fields, reach=pointings.APOGEE_REACH, on_plates=True)
    else:
        ra, dec = pointings.gather(pointing, ra, dec, bins, pointings.lamost_plates())
    glon, glat = sky.galactic(ra, dec)
    a_k = draw_extinction(rng, bins)
    rich = drawn[:, 3] > 0.15
    velocity = rng.standard_normal(number) * np.where(drawn[:, 2] < -1.0, 120.0, np.where(rich, 75.0, 45.0)) - 10.0
    snr = 10.0 ** np.clip(rng.normal(*LOG_SNR, number), 0.75, 2.75)
    truth = np.column_stack([grid.inside(drawn), a_k])
    velocity = np.clip(velocity, -450.0, 450.0)
    return Stars(drawn, truth, grid.outside(drawn), giant, ra, dec, glon, glat, velocity, snr)


def side_preference(labels: np.ndarray) -> np.ndarray:
    """(N,) α-rich and metal-rich stars prefer the inner Galaxy, α-poor and metal-poor ones of the disk the outer."""
    rich = labels[:, 3] > 0.15
    return np.where(rich, 0.8, -0.5 + np.clip(labels[:, 2] + 0.1, -0.6, 0.6))


def draw_extinction(rng: np.random.Generator, bins: np.ndarray) -> np.ndarray:
    """(N,) A_K [mag] by bin of |b|: log-normal, cut at `LARGEST_A_K`."""
    a_k = np.exp(np.log(MEDIAN_A_K[bins]) + A_K_WIDTH[bins] * rng.standard_normal(len(bins)))
    return np.minimum(a_k, LARGEST_A_K)
