"""Eq. 5, the likelihood of θ and s² at B pixels of N stars: its slopes, and its highest maximum.

With r = f - θ·v and w = 1/(s² + σ²), the logarithm of the likelihood is ½ Σ log w - w r². Its slopes are Σ w r v by θ
and ½ Σ w² r² - w by s²; A = Σ w v vᵀ and Σ w³ r² - ½ w² say how fast they fall. A ridge λ takes ½ λ θ² from it. The
same as slow loops: `train_pixel` of ``tests/oracle.py``, and what it calls.

At given s² the best θ is weighted least squares; all maxima of the height there, the profile, along s² are found. Of
many stars some show the way, and short steps end at the maximum for all: else, a training takes ten times as long.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import elementwise

from ..parallel import compiled_sums
from ..spectra import Spectra
from .normal_matrices import Design, inverted

ABSURD = 1e30
"""Flux, inverse variance or term beyond which powers overflow, and one number would make NaN of the others."""

FEW = 40
"""Stars per term, of 25 terms at least, that are searched. More take long; fewer may miss a maximum of all stars."""

QUIET = 8
"""How many times less than the noise of every star an s² is as good as zero. With fewer, maxima close to it hide."""

RESTING = 1e-6
"""Length of a step, in formal errors, below which θ and s² rest. Folds would differ from trainings alone by more."""

STEPS = 12
"""Steps at most before a pixel is searched. Among several maxima, or far from all, steps would not end."""

REASONS = {-2: "no more stars than terms", -1: "the stars do not determine the terms", 0: "no maximum was found"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PixelBlock:
    """B pixels of N stars: flux and ivar (B, N), how often each star is taken, counts (N,), and its label vector.

    allowed (B, M) says which terms may act at a pixel; ridge (M,) is λ of each term.
    """

    flux: np.ndarray
    ivar: np.ndarray
    counts: np.ndarray
    design: Design
    allowed: np.ndarray
    ridge: np.ndarray

    @classmethod
    def of(cls, spectra: Spectra, pixels: slice, design: Design, allowed: np.ndarray, ridge: float) -> PixelBlock:
        """Some pixels of all spectra, each star once; `allowed` (P, M). The ridge spares the constant term."""
        flux, ivar = (np.array(x[:, pixels].T, dtype=float, order="C") for x in (spectra.flux, spectra.ivar))
        flux[ivar == 0] = 0.0
        absurd = (np.abs(flux).max(axis=1) > ABSURD) | (ivar.max(axis=1) > ABSURD)
        if absurd.any():
            flux[absurd], ivar[absurd] = 0.0, 0.0
            logger.warning("train: %d pixels with a flux or ivar above %g are left out", absurd.sum(), ABSURD)
        ridges = np.r_[0.0, np.full(allowed.shape[1] - 1, ridge)]
        return cls(flux, ivar, np.ones(len(spectra)), design, allowed[pixels], ridges)

    def __getitem__(self, rows: np.ndarray) -> PixelBlock:
        return replace(self, flux=self.flux[rows], ivar=self.ivar[rows], allowed=self.allowed[rows])

    def of_stars(self, rows: np.ndarray) -> PixelBlock:
        flux, ivar, vectors = (x.take(rows, axis=1) for x in (self.flux, self.ivar, self.design.vectors))
        return replace(self, flux=flux, ivar=ivar, counts=self.counts[rows], design=Design(vectors))

    def stars_per_term(self) -> np.ndarray:
        """(B,) stars with weight per term that may act; the model is determined where it is above 1."""
        return (self.ivar > 0) @ (self.counts > 0).astype(float) / self.allowed.sum(axis=1)

    def weights(self, variance: np.ndarray) -> np.ndarray:
        """(B, N) w at given s² (B,), times counts; masked pixels weigh exactly zero."""
        return self.counts * self.ivar / (1.0 + self.ivar * variance[:, None])

    def normal_matrices(self, variance: np.ndarray) -> np.ndarray:
        """(B, M, M) A at given s² (B,), with the ridge."""
        return self.design.normal_matrices(self.weights(variance)) + np.diag(self.ridge)


def slopes(block: PixelBlock, theta: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At θ (B, M) and s² (B,): the slopes by θ (B, M) and by s² (B,), and how fast the latter falls (B,)."""
    weighted = theta @ block.design.vectors
    by_variance = _weigh(block.flux, block.ivar, block.counts, variance, weighted)
    return weighted @ block.design.vectors.T - block.ridge * theta, *by_variance


@compiled_sums()
def _weigh(flux: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Turn the model flux (B, N) into w r, in place; the sums over stars that `slopes` needs for s² (2, B)."""
    sums = np.zeros((2, len(flux)))
    for p in range(len(flux)):
        slope = fall = 0.0
        for n in range(len(counts)):
            r = flux[p, n] - model[p, n]
            w = ivar[p, n] / (1.0 + ivar[p, n] * s2[p])
            slope += 0.5 * counts[n] * w * (w * r * r - 1.0)
            fall += counts[n] * w * w * (w * r * r - 0.5)
            model[p, n] = counts[n] * w * r
        sums[:, p] = slope, fall
    return sums


def profile(block: PixelBlock, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At given s² (B,): the best θ (B, M), and the slope by s² there; NaN where A is singular.

    The equations are solved twice, the second time for what rounding left of them.
    """
    inverse, theta = inverted(block.normal_matrices(variance), block.allowed), np.zeros(block.allowed.shape)
    for _ in range(2):
        by_theta, by_variance, _ = slopes(block, theta, variance)
        theta = theta + np.einsum("pab,pb->pa", inverse, by_theta)
    return theta, by_variance


def log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5 of each pixel, without its constant, from (B, N) residuals."""
    weight = ivar / (1.0 + ivar * variance[:, None])
    return 0.5 * (np.log(np.where(weight > 0, weight, 1.0)) - weight * residual**2) @ counts


class Maximum(NamedTuple):
    """θ (B, M) and s² (B,); how many maxima were seen (B,), or why none (`REASONS`)."""

    theta: np.ndarray
    variance: np.ndarray
    n_maxima: np.ndarray


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def along(block: PixelBlock, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """s² (G, B), zero and in steps of a factor to where no maximum is, the slope of the profile there, and whether the
    profile has a maximum at zero or since the s² before."""
    flux = np.ma.masked_array(block.flux, (block.ivar == 0) | (block.counts == 0))
    spread, noise = np.ma.filled(flux.var(axis=1), 0.0), 1 / np.maximum(block.ivar.max(axis=1), 1e-30)
    low = np.maximum(noise / QUIET, 1e-6 * spread)
    high = np.maximum(4 * spread, low)
    steps = 1 + int(np.ceil(np.log(high / low).max(initial=0.0) / np.log(step)))
    grid = np.vstack([0 * low, np.geomspace(low, high, steps), high * len(block.counts)])
    slope = np.array([profile(block, variance)[1] for variance in grid])
    return grid, slope, np.vstack([slope[0] <= 0, (slope[:-1] > 0) & (slope[1:] <= 0)])


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def search(block: PixelBlock) -> Maximum:
    """The highest of all maxima along s² >= 0: at each, the slope of the profile changes its sign."""
    grid, slope, maxima = along(block, 2.0)  # in larger steps two maxima hide
    few, singular = block.stars_per_term() <= 1, np.isnan(slope[[0, -1]]).any(axis=0)
    end, pixels = np.nonzero(maxima & ~few)
    variance, inside = np.zeros(len(end)), end > 0
    bounds = [grid[side, pixels][inside] for side in (end - 1, end)]
    variance[inside] = elementwise.find_root(
        lambda s2, rows: profile(block[rows], s2)[1], bounds, args=(pixels[inside],), tolerances={"xrtol": 1e-10}
    ).x
    part = block[pixels]
    theta, _ = profile(part, variance)
    height = log_likelihood(part.flux - theta @ part.design.vectors, part.ivar, part.counts, variance)
    height -= 0.5 * theta**2 @ part.ridge
    order = np.argsort(height)[: np.count_nonzero(height > -np.inf)]  # without NaN; the highest of a pixel comes last
    n_maxima = np.bincount(pixels[order], minlength=len(few))
    best = Maximum(
        np.zeros(block.allowed.shape), np.zeros(len(few)), np.where(n_maxima, n_maxima, -np.where(few, 2, singular))
    )
    best.theta[pixels[order]], best.variance[pixels[order]] = theta[order], variance[order]
    return best


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def settle(block: PixelBlock, best: Maximum, inverse: np.ndarray) -> Maximum:
    """Steps from a maximum near by, in place, to that of the block; pixels that do not come to rest are searched.

    The slopes are exact; the matrix need only be near A, and θ and s², which hardly depend on each other, step apart.
    """
    moving = np.flatnonzero(best.n_maxima == 1)
    best.n_maxima[moving] = 0
    for _ in range(STEPS):
        part, theta, s2 = block[moving], best.theta[moving], best.variance[moving]
        by_theta, by_variance, fall = slopes(part, theta, s2)
        change = np.einsum("pab,pb->pa", inverse[moving], by_theta)
        moved = np.maximum(s2 + by_variance / fall, 0.0)
        length = np.sqrt((change * by_theta).sum(axis=1) + (moved - s2) ** 2 * fall)
        usable = (fall > 0) & (length < np.inf)
        best.theta[moving[usable]], best.variance[moving[usable]] = (theta + change)[usable], moved[usable]
        best.n_maxima[moving[usable & (length <= RESTING)]] = 1
        moving = moving[usable & (length > RESTING)]
    again = np.flatnonzero(best.n_maxima != 1)
    if again.size:
        for ours, found in zip(best, search(block[again]), strict=True):
            ours[again] = found
    return best


def maximize(block: PixelBlock) -> Maximum:
    """The highest maximum of eq. 5."""
    n_terms, n_stars = block.design.vectors.shape
    few = FEW * max(n_terms, 25)
    if n_stars <= few:
        return search(block)
    best = search(block.of_stars(np.random.default_rng(0).permutation(n_stars)[:few]))
    return settle(block, best, inverted(block.normal_matrices(best.variance), block.allowed))


def adjust(block: PixelBlock, whole: Maximum, matrices: np.ndarray) -> Maximum:
    """The highest maximum for a subset or resampling, from that for all stars and A there, of which most stays."""
    others = replace(block, counts=block.counts - 1, ridge=0 * block.ridge).of_stars(np.flatnonzero(block.counts != 1))
    left = matrices + others.normal_matrices(whole.variance)
    near = left[:, 0, 0] > 1e-5 * matrices[:, 0, 0]
    few = np.flatnonzero(near & (whole.n_maxima == 1) & (block.stars_per_term() <= FEW))
    _, slope, maxima = along(block[few], 8.0)
    near[few] = (maxima.sum(axis=0) == 1) & np.isfinite(slope).all(axis=0)
    best = Maximum(whole.theta.copy(), whole.variance.copy(), np.where(near, whole.n_maxima, 0))
    return settle(block, best, inverted(left, block.allowed))
