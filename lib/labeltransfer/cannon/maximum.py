"""The highest maximum of eq. 5 of B pixels: weighted least squares for θ, an exact search in s².

At given s² the best θ is weighted least squares; the height of eq. 5 there, its profile, is a function of s² alone,
whose slope is known. A grid of s² brackets its maxima, and a root of the slope is each. For many stars a sample shows
the way, and Newton steps of θ and s² together end at the maximum for all: searched with all stars, a training takes
ten times as long.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from scipy.optimize import elementwise

from .likelihood import Derivatives, derivatives, log_likelihood
from .normal_matrices import SINGULAR, Design, PixelBlock, inverted, normal_matrices

SAMPLE = 20
"""Stars per term of a sample. The maximum of fewer is further from that of all than a few Newton steps reach."""

RESTING = 1e-6
"""Length of a step, in formal errors, below which θ and s² rest. Folds would differ from trainings alone by more."""

STEPS = 8
"""Newton steps at most. Pixels that need more are among several maxima, and their steps would not end."""

GRID = 2.0 ** np.arange(-20, 3)
"""s² of the search, in variances of the flux. In larger steps two maxima hide, in fewer those close to zero."""

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


def maximize(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The highest maximum of eq. 5 for stars taken `counts` (N,) times; not solved where they do not determine θ."""
    n_terms, n_stars = design.vectors.shape
    if n_stars <= 2 * SAMPLE * n_terms:
        return search(block, design, counts)
    sample = np.sort(np.random.default_rng(0).permutation(n_stars)[: SAMPLE * n_terms])
    best = search(block.of_stars(sample), design.of_stars(sample), counts[sample], rough=True)
    settle(block, design, counts, best, normal_matrices(block, design, counts, best.variance))
    return searched_anew(block, design, counts, best)


def searched_anew(block: PixelBlock, design: Design, counts: np.ndarray, best: Maximum) -> Maximum:
    """With a search at the pixels that are not solved, or had several maxima."""
    again = np.flatnonzero(~(best.solved & best.alone))
    if again.size:
        best.put(again, search(block[again], design, counts))
    return best


@np.errstate(divide="ignore", invalid="ignore")
def profile(
    block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """At given s² (B,): the best θ (B, M), and the slope of eq. 5 by s² there in its formal errors, NaN if singular."""
    inverse, regular = inverted(normal_matrices(block, design, counts, variance), block)
    theta = np.zeros(block.allowed.shape)
    for _ in range(2):  # the second time against rounding
        here = derivatives(block.flux, block.ivar, counts, design.vectors, theta, variance)
        theta += np.einsum("pab,pb->pa", inverse, here.gradient - block.ridge * theta)
    return theta, np.where(regular, here.slope / np.sqrt(2 * here.information), np.nan)


def search(block: PixelBlock, design: Design, counts: np.ndarray, rough: bool = False) -> Maximum:
    """The highest of all maxima along s² >= 0, to 1e-8 formal errors of the slope.

    A rough search has a third of the grid and ends within one formal error: enough for a sample of stars.
    """
    highest, n_maxima = np.full(len(block.flux), -np.inf), np.zeros(len(block.flux), dtype=int)
    best = Maximum(np.zeros(block.allowed.shape), *np.zeros((1, len(highest))), *np.zeros((2, len(highest)), bool))
    determined = np.flatnonzero(block.stars_per_term(counts) > 1)

    def slope(variance: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        return profile(block[pixels], design, counts, variance)[1]

    def compare(pixels: np.ndarray, variance: np.ndarray) -> None:
        theta, _ = profile(block[pixels], design, counts, variance)
        height = log_posterior(block[pixels], design, counts, theta, variance)
        n_maxima[pixels] += 1
        higher = height > highest[pixels]
        highest[pixels[higher]] = height[higher]
        solved = np.ones((2, np.count_nonzero(higher)), dtype=bool)
        best.put(pixels[higher], Maximum(theta[higher], variance[higher], *solved))

    part = block[determined]
    spread = variance_of_flux(part, counts)
    largest = 4 * np.count_nonzero(counts) * spread  # no maximum has more
    grid = [np.zeros(len(spread)), *np.outer(GRID[:: 3 if rough else 1], spread), largest]
    slopes = [slope(variance, determined) for variance in grid]
    at_zero = slopes[0] <= 0
    compare(determined[at_zero], grid[0][at_zero])
    for (low, at_low), (high, at_high) in pairwise(zip(grid, slopes, strict=True)):
        inside = np.flatnonzero((at_low > 0) & (at_high <= 0))
        if inside.size:
            between, within = (low[inside], high[inside]), {"xrtol": 1e-12, "fatol": 1.0 if rough else 1e-8}
            root = elementwise.find_root(slope, between, args=(determined[inside],), tolerances=within)
            compare(determined[inside], root.x)
    best.alone &= n_maxima == 1
    return best


def log_posterior(
    block: PixelBlock, design: Design, counts: np.ndarray, coefficients: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """(B,) eq. 5, with the ridge."""
    residual = block.flux - coefficients @ design.vectors
    return log_likelihood(residual, block.ivar, counts, variance) - 0.5 * coefficients**2 @ block.ridge


def variance_of_flux(block: PixelBlock, counts: np.ndarray) -> np.ndarray:
    """(B,) over the stars with weight: an s² beside which all stars weigh alike."""
    flux = np.ma.masked_array(block.flux, (block.ivar == 0) | (counts == 0))
    return np.ma.filled(flux.var(axis=1), 0.0)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def settle(
    block: PixelBlock,
    design: Design,
    counts: np.ndarray,
    at: Maximum,
    packed: np.ndarray,
    here: Derivatives | None = None,
) -> None:
    """Newton steps, in place, of the solved pixels from A near by; pixels that do not come to rest are not solved.

    With exact gradients they end at the maximum with any matrix near A: it is made anew only where steps shrink slowly.
    Steps in s² are those for slope times variance², which is linear in s² where all stars have the same noise. `here`
    are the derivatives at the start, where they are known.
    """
    (inverse, regular), weight = inverted(packed, block), packed[:, 0].copy()
    moving, last = np.flatnonzero(at.solved & regular), np.zeros(len(weight))
    here, at.solved[:] = here[moving] if here else None, False
    for _ in range(STEPS):
        part, theta, s2 = block[moving], at.coefficients[moving], at.variance[moving]
        here = here or derivatives(part.flux, part.ivar, counts, design.vectors, theta, s2)
        right = np.stack([here.gradient - block.ridge * theta, here.coupling], axis=2)
        scale = weight[moving] / here.weight
        change, response = np.moveaxis(inverse[moving] @ right * scale[:, None, None], 2, 0)
        bend = here.curvature / 2 + here.slope * here.information / here.weight + (here.coupling * response).sum(axis=1)
        bend = np.where(bend < -here.information / 8, bend, -here.information / 2)
        moved = np.maximum(s2 - (here.slope / 2 - (here.coupling * change).sum(axis=1)) / bend, 0.0)
        change = change - (moved - s2)[:, None] * response
        length = np.sqrt(np.abs(change * right[:, :, 0]).sum(axis=1) + (moved - s2) ** 2 * here.information / 2)
        usable = np.isfinite(length) & np.isfinite(change).all(axis=1)
        at.coefficients[moving[usable]], at.variance[moving[usable]] = (theta + change)[usable], moved[usable]
        before, last[moving] = last[moving], length
        rests = usable & ((length <= RESTING) | ((length < before / 4) & (length**2 < RESTING * before)))
        at.solved[moving[rests]] = True
        slow = moving[usable & ~rests & (before > 0) & (length > before / 50)]
        if slow.size:
            packed = normal_matrices(block[slow], design, counts, at.variance[slow])
            (inverse[slow], regular[slow]), weight[slow] = inverted(packed, block[slow]), packed[:, 0]
        moving, here = moving[usable & ~rests & regular[moving]], None
        if not moving.size:
            break


def adjust(
    block: PixelBlock, design: Design, counts: np.ndarray, whole: Maximum, packed: np.ndarray, there: Derivatives
) -> Maximum:
    """The highest maximum for a subset or resampling, from that for all stars, the packed A and the derivatives there.

    Stars taken once change nothing, the others correct both. Where that leaves too little or the steps do not come to
    rest, and where eq. 5 may have other maxima, the maximum is sought anew.
    """
    rows = np.flatnonzero(counts != 1)
    near = Maximum(*(getattr(whole, field.name).copy() for field in fields(whole)))
    others, of_others, more = block.of_stars(rows), design.of_stars(rows), counts[rows] - 1
    left = packed + normal_matrices(others, of_others, more, whole.variance)
    there = there + derivatives(others.flux, others.ivar, more, of_others.vectors, whole.coefficients, whole.variance)
    near.solved &= (block.stars_per_term(counts) > 2 * SAMPLE) & (left[:, 0] > SINGULAR**0.5 * packed[:, 0])
    settle(block, design, counts, near, left, there)
    if (near.solved & near.alone).mean() < 0.5:
        return maximize(block, design, counts)
    return searched_anew(block, design, counts, near)


def reasons(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> Counter[str]:
    """How many pixels are not solved, and why: the stars must determine the terms at s² = 0 and at a large s²."""
    few = ~at.solved & (block.stars_per_term(counts) <= 1)
    rest = np.flatnonzero(~at.solved & ~few)
    part, regular = block[rest], np.ones(rest.size, dtype=bool)
    for variance in (np.zeros(rest.size), variance_of_flux(part, counts)):
        regular &= inverted(normal_matrices(part, design, counts, variance), part)[1]
    return Counter({TOO_FEW: few.sum(), SINGULAR_STARS: (~regular).sum(), DID_NOT_CONVERGE: regular.sum()})
