"""The highest maximum of eq. 5 of B pixels: weighted least squares for θ, an exact search in s².

At given s² the best θ is weighted least squares; the height of eq. 5 there, its profile, is a function of s² alone,
whose slope is known. A grid of s² brackets its maxima, and a root of the slope is each. Of many stars a fourth shows
the way, and of that a fourth, and Newton steps of θ and s² together end at the maximum for all: searched with all
stars, a training takes ten times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import elementwise

from ..matrices import SINGULAR, factorize, solve
from .likelihood import (
    PixelBlock,
    derivatives,
    log_likelihood,
    normal_matrices,
    slope_in_errors,
    weighted_products,
    weights,
)

FEW = 40
"""Stars per term up to which all are searched. With more it takes long; fewer have a maximum far from that of all."""

NEAR_BY = 0.1
"""Length of a step, in formal errors, below which the maximum of a part of the stars shows the way to that of all."""

RESTING = 1e-6
"""Length of a step, in formal errors, below which θ and s² rest. Folds would differ from trainings alone by more."""

STEPS = 12
"""Newton steps at most. Pixels that need more are among several maxima, and their steps would not end."""

NEAR = np.float32
"""Precision of an A that only leads to the maximum, which exact gradients define: twice as fast."""

GRID = 2.0 ** np.arange(-20, 3)
"""s² of the search, in variances of the flux. In larger steps two maxima hide, in fewer those close to zero."""

QUIET = 8
"""How many times less than the noise of every star an s² is that makes no difference."""

ROUNDED = 1e-5
"""Independent share of a term below which rounding moves θ so far that it is solved for twice."""

TOO_FEW = "no more stars than terms"
SINGULAR_STARS = "the stars do not determine the terms"
DID_NOT_CONVERGE = "no maximum was found"


@dataclass
class Maximum:
    """θ (B, M) and s² (B,); which pixels are solved (B,), and where no other maximum was seen, alone (B,)."""

    coefficients: np.ndarray
    variance: np.ndarray
    solved: np.ndarray
    alone: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Maximum:
        return Maximum(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: np.ndarray, other: Maximum) -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


def maximize(block: PixelBlock, rough: bool = False) -> Maximum:
    """The highest maximum of eq. 5; not solved where the stars do not determine θ."""
    n_terms, n_stars = block.design.vectors.shape
    if n_stars <= FEW * n_terms:
        return search(block, rough)
    quarter = np.sort(np.random.default_rng(0).permutation(n_stars)[: n_stars // 4])
    best = maximize(block.of_stars(quarter, block.counts[quarter]), rough=True)
    settle(block, best, normal_matrices(block, best.variance, NEAR), None, rough)
    return searched_anew(block, best, rough)


def searched_anew(block: PixelBlock, best: Maximum, rough: bool = False) -> Maximum:
    """With a search at the pixels that are not solved, or had several maxima."""
    again = np.flatnonzero(~(best.solved & best.alone))
    if again.size:
        best.put(again, search(block[again], rough))
    return best


def profile(block: PixelBlock, variance: np.ndarray, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """At given s² (B,): the best θ (B, M), and the slope of eq. 5 by s² there in its formal errors, NaN if singular."""
    weight = weights(block.ivar, variance, block.counts)
    packed = weighted_products(weight.astype(dtype, copy=False), block.design)
    factors, independent = factorize(packed, block.allowed, block.ridge)
    theta = solve(factors, (weight * block.flux) @ block.design.vectors.T)
    rounded = np.flatnonzero(independent < ROUNDED)
    if rounded.size:
        near = theta[rounded]
        here = derivatives(block[rounded], near, variance[rounded])
        theta[rounded] += solve(factors[rounded], here[:, : near.shape[1]] - block.ridge * near)
    slope = slope_in_errors(block.flux - theta @ block.design.vectors, block.ivar, block.counts, variance)
    return theta, np.where(independent > 0, slope, np.nan)


def brackets(block: PixelBlock, rough: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels, and s² below and above each of their maxima; zero both where it is at zero.

    Rough, on a thinned grid. Where s² is far below the noise of every star, the slope is that at zero.
    """
    spread, (step, dtype) = variance_of_flux(block), (3, NEAR) if rough else (1, np.float64)
    least = 1 / (QUIET * np.maximum((block.ivar * (block.counts > 0)).max(axis=1, initial=0.0), 1e-300))
    low = np.zeros(len(spread))
    _, at_low = profile(block, low, dtype)
    rows = np.flatnonzero(at_low <= 0)
    yield rows, low[rows], low[rows]
    largest = 4 * np.count_nonzero(block.counts) * spread  # no maximum has more
    for high in [*np.outer(GRID[::step], spread), largest]:
        seen = np.flatnonzero((high > least) | (high == largest))
        if seen.size:
            _, at_high = profile(block[seen], high[seen], dtype)
            rows = seen[(at_low[seen] > 0) & (at_high <= 0)]
            yield rows, low[rows], high[rows]
            low[seen], at_low[seen] = high[seen], at_high


def search(block: PixelBlock, rough: bool = False) -> Maximum:
    """The highest of all maxima along s² >= 0; rough, on a thinned grid, where it leads to that of more stars."""
    n_pixels, determined = len(block.flux), np.flatnonzero(block.stars_per_term > 1)
    best = Maximum(np.zeros(block.allowed.shape), *np.zeros((1, n_pixels)), *np.zeros((2, n_pixels), bool))
    rows, low, high = (np.concatenate(of_all) for of_all in zip(*brackets(block[determined], rough), strict=True))
    pixels = determined[rows]
    part = block[pixels]
    found = between(part, low, high, rough)
    height = log_posterior(part, found.coefficients, found.variance)
    rising = np.argsort(height)
    rising = rising[height[rising] > -np.inf]  # of several at one pixel the last stays
    best.put(pixels[rising], found[rising])
    best.alone &= np.bincount(pixels, minlength=n_pixels) == 1
    return best


def between(block: PixelBlock, low: np.ndarray, high: np.ndarray, rough: bool) -> Maximum:
    """The maximum between two s² (B,), at a root of the slope."""

    def slope(variance: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return profile(block[rows], variance, NEAR if rough else np.float64)[1]

    apart = np.flatnonzero(high > low)
    if apart.size:
        within = {"xrtol": 1e-12, "fatol": NEAR_BY if rough else RESTING / 100}
        low[apart] = elementwise.find_root(slope, (low[apart], high[apart]), args=(apart,), tolerances=within).x
    return Maximum(profile(block, low)[0], low, *np.ones((2, len(low)), dtype=bool))


def only_maximum(block: PixelBlock, at: Maximum) -> np.ndarray:
    """(B,) whether a thinned grid shows no maximum but that at hand."""
    n_maxima, here = np.zeros((2, len(at.variance)), dtype=int)
    for rows, low, high in brackets(block, rough=True):
        n_maxima[rows] += 1
        here[rows] += (low <= at.variance[rows]) & (at.variance[rows] <= high)
    return (n_maxima == 1) & (here == 1)


def log_posterior(block: PixelBlock, coefficients: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5, with the ridge."""
    residual = block.flux - coefficients @ block.design.vectors
    return log_likelihood(residual, block.ivar, block.counts, variance) - 0.5 * coefficients**2 @ block.ridge


def variance_of_flux(block: PixelBlock) -> np.ndarray:
    """(B,) over the stars with weight: an s² beside which all stars weigh alike."""
    flux = np.ma.masked_array(block.flux, (block.ivar == 0) | (block.counts == 0))
    return np.ma.filled(flux.var(axis=1), 0.0)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def settle(
    block: PixelBlock, at: Maximum, packed: np.ndarray, here: np.ndarray | None = None, rough: bool = False
) -> None:
    """Newton steps, in place, of the solved pixels from A near by; pixels that do not come to rest are not solved.

    With exact gradients they end at the maximum with any matrix near A: it is made anew only where steps shrink slowly.
    Steps in s² are those for slope times variance², which is linear in s² where all stars have the same noise. `here`
    are the derivatives at the start, where they are known.
    """
    resting = NEAR_BY if rough else RESTING
    (factors, independent), weight = factorize(packed, block.allowed, block.ridge), packed[:, 0].copy()
    moving, last = np.flatnonzero(at.solved & (independent > 0)), np.zeros(len(weight))
    here, at.solved[:] = None if here is None else here[moving], False
    for _ in range(STEPS):
        theta, s2 = at.coefficients[moving], at.variance[moving]
        here = derivatives(block[moving], theta, s2) if here is None else here
        gradient, coupling, sums = np.split(here, [theta.shape[1], 2 * theta.shape[1]], axis=1)
        total, slope, curvature, information = sums.T
        right, scale = gradient - block.ridge * theta, (weight[moving] / total)[:, None]
        change, response = (scale * solve(factors[moving], side) for side in (right, coupling))
        bend = curvature / 2 + slope * information / total + (coupling * response).sum(axis=1)
        bend = np.where(bend < -information / 8, bend, -information / 2)
        moved = np.maximum(s2 - (slope / 2 - (coupling * change).sum(axis=1)) / bend, 0.0)
        change = change - (moved - s2)[:, None] * response
        length = np.sqrt(np.abs(change * right).sum(axis=1) + (moved - s2) ** 2 * information / 2)
        usable = np.isfinite(length) & np.isfinite(change).all(axis=1)
        at.coefficients[moving[usable]], at.variance[moving[usable]] = (theta + change)[usable], moved[usable]
        before, last[moving] = last[moving], length
        rests = usable & ((length <= resting) | ((length < before / 4) & (length**2 < resting * before)))
        at.solved[moving[rests]] = True
        slow = moving[usable & ~rests & (before > 0) & (length > before / 5)]
        if slow.size:
            packed = normal_matrices(block[slow], at.variance[slow], NEAR)
            factors[slow], independent[slow] = factorize(packed, block.allowed[slow], block.ridge)
            weight[slow] = packed[:, 0]
        moving, here = moving[usable & ~rests & (independent[moving] > 0)], None
        if not moving.size:
            break


def adjust(block: PixelBlock, counts: np.ndarray, whole: Maximum, exactly: np.ndarray) -> Iterator[Maximum]:
    """The highest maxima for K subsets or resamplings, `counts` (K, N), from that for all stars.

    Stars taken once change nothing, the others correct A and the derivatives there. Where that leaves too little or the
    steps do not come to rest, and where eq. 5 may have other maxima, the maximum is sought anew. Where `exactly` (K,)
    does not ask for more, steps rest early, the grid is thinned, and whether there are others is taken from all stars.
    """
    packed = normal_matrices(block, whole.variance, NEAR)
    there = derivatives(block, whole.coefficients, whole.variance)
    for taken, exact in zip(counts, exactly, strict=True):
        near, subset, apart = deepcopy(whole), block.taking(taken), np.flatnonzero(taken != 1)
        others = block.of_stars(apart, taken[apart] - 1)
        left = packed + normal_matrices(others, whole.variance, NEAR)
        here = derivatives(others, whole.coefficients, whole.variance)
        near.solved &= left[:, 0] > SINGULAR**0.5 * packed[:, 0]
        settle(subset, near, left, there + here, rough=not exact)
        few = near.solved & near.alone & (subset.stars_per_term <= FEW)
        if exact and few.any():
            rows = np.flatnonzero(few)
            near.alone[rows] = only_maximum(subset[rows], near[rows])
        if not few.any() and (near.solved & near.alone).mean() < 0.5:
            yield maximize(subset, rough=not exact)
        else:
            yield searched_anew(subset, near, rough=not exact)


def reasons(block: PixelBlock, at: Maximum) -> Counter[str]:
    """How many pixels are not solved, and why: the stars must determine the terms at s² = 0 and at a large s²."""
    if at.solved.all():
        return Counter()
    part = block[np.flatnonzero(~at.solved)]
    few, regular = part.stars_per_term <= 1, np.ones(len(part.flux), dtype=bool)
    for variance in (np.zeros(len(few)), variance_of_flux(part)):
        regular &= factorize(normal_matrices(part, variance), part.allowed, part.ridge)[1] > 0
    found = {TOO_FEW: few, SINGULAR_STARS: ~few & ~regular, DID_NOT_CONVERGE: ~few & regular}
    return Counter({reason: int(pixels.sum()) for reason, pixels in found.items()})
