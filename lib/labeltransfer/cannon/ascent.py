"""The climb to the maximum of eq. 5 for a block of B pixels of N stars.

At given s² the coefficients θ are weighted least squares; at given θ the best s² is found in one dimension, over all
its maxima. Both in turn lead from s² = 0 close to the top, Newton steps of θ and s² together to the top itself. Where
there are many stars, a sample of them shows the way, and all stars are needed for the last steps only. The normal
matrices of a block are one matrix product of the weights with all products of two terms. Steps near the top keep
a matrix: with exact gradients they end at the exact maximum with any matrix near the right one, so that it may even be
made in single precision.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .blocks import SAMPLE, Design, Maximum, PixelBlock, normal_matrices
from .newton import derivatives, factorize, newton_step
from .scatter import best_variance, log_likelihood

Slopes = tuple[np.ndarray, ...]
"""What `newton.derivatives` gives."""

RESTING = 1e-6
"""θ and s² rest where they would move by less than this, in formal errors."""

SLOW = 0.02
"""Share of the last step above which a step tells that the normal matrices are from too far away."""

CLOSE = 5.0
"""Formal errors of a step after which the coupling of θ and s² is known well enough without another sum."""

ROUNDS, STEPS = 10, 8
"""Rounds of one climb at most, and Newton steps of a round."""

FEWER = 0.5
"""Share of the pixels of a block below which those that do not rest yet go on alone."""

SEARCHES = 16.0, 4.0
"""Steps in s² of the two searches of a climb: the first is rough; a factor of two in s resolves most maxima."""

N_STARTS = 10
"""How many values of s² are tried where eq. 5 may have several maxima: down to 1/500 of the scatter of the flux."""

FEW = 10
"""Stars per term below which eq. 5 may have several maxima."""


def maximize(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The maximum of eq. 5, climbed from that for a sample of the stars, or from s² = 0 where there may be others.

    Where that fails or ends at s² = 0 beside another maximum, and where there are few stars, it is climbed also from
    the best of many s².
    """
    best = _from_sample(block, design, counts)
    left = np.flatnonzero(~best.solved)
    if left.size:
        best.put(left, _climb(block[left], design, counts, np.zeros(left.size)))
    richness = block.stars_per_term(counts)
    doubtful = (best.variance == 0) & ~(best.alone & (richness > SAMPLE / 2))
    again = np.flatnonzero((richness > 1) & (doubtful | ~best.solved | (richness < FEW)))
    if again.size:
        block = block[again]
        other = _climb(block, design, counts, _best_start(block, design, counts))
        height = _height(block, design, counts, best.coefficients[again], best.variance[again])
        higher = _height(block, design, counts, other.coefficients, other.variance) > height
        better = other.solved & (~best.solved[again] | higher)
        best.put(again[better], other[better])
    return best


def slopes_at(
    block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum, coupling: np.ndarray | None = None
) -> Slopes:
    """The derivatives of eq. 5 there, see `newton.derivatives`."""
    return derivatives(block.flux, block.ivar, counts, design.vectors, at.coefficients, at.variance, coupling)


def _nothing(block: PixelBlock, design: Design, variance: np.ndarray, solved: np.ndarray) -> Maximum:
    """θ = 0 at given s²."""
    n_terms = block.allowed.shape[1]
    packed = np.zeros((len(variance), n_terms * (n_terms + 1) // 2), design.dtype)
    return Maximum(np.zeros(block.allowed.shape), variance, packed, solved, np.zeros(len(variance), bool))


def _from_sample(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The maximum, by Newton steps from that for a sample; solved only where eq. 5 has no other for the sample.

    Where the sample's s² is zero, all stars say what it is.
    """
    rows = design.sample
    nowhere = np.zeros(len(block.flux), dtype=bool)
    if not rows.size:
        return _nothing(block, design, np.zeros(len(block.flux)), nowhere)
    sample = block.of_stars(rows)
    at = _climb(sample, design.of_stars(rows), counts[rows], np.zeros(len(block.flux)), rounds=1)
    at.solved &= at.alone & (sample.stars_per_term(counts[rows]) > SAMPLE / 2)
    zero = np.flatnonzero(at.solved & (at.variance == 0))
    residual = block.flux[zero] - at.coefficients[zero] @ design.vectors
    at.variance[zero], at.solved[zero] = best_variance(
        residual, block.ivar[zero], counts, at.variance[zero], SEARCHES[0]
    )
    at.packed = normal_matrices(block, design, counts, at.variance)
    at.solved &= approach(block, design, counts, at)
    return at


def _climb(
    block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray, rounds: int = ROUNDS
) -> Maximum:
    """From given s² up: twice θ and s² in turn, then Newton steps; another round for the pixels that do not rest."""
    at = _nothing(block, design, variance, block.stars_per_term(counts) > 1)
    for factor in SEARCHES:
        at.packed = normal_matrices(block, design, counts, at.variance)
        approach(block, design, counts, at, steps=1, move_variance=False)
        residual = block.flux - at.coefficients @ design.vectors
        at.variance, at.alone = best_variance(residual, block.ivar, counts, at.variance, factor)
    settled = approach(block, design, counts, at)
    left = np.flatnonzero(at.solved & ~settled)
    at.solved &= settled
    if left.size and rounds > 1:
        at.put(left, _climb(block[left], design, counts, at.variance[left], rounds - 1))
    return at


def approach(
    block: PixelBlock,
    design: Design,
    counts: np.ndarray,
    at: Maximum,
    steps: int = STEPS,
    move_variance: bool = True,
    first: Slopes | None = None,
    last: np.ndarray | None = None,
) -> np.ndarray:
    """Newton steps, in place; (B,) True where θ and s² came to rest.

    They rest where the next step, that shrinks as the last one did, would be below `RESTING`. The normal matrices are
    kept as long as steps shrink fast.

    Parameters
    ----------
    first : derivatives for the first step, where they are known already
    last : (B,) lengths of the steps before, zero if there were none
    """
    factors, regular = _factorize(block, design, counts, at)
    allowed, last = block.allowed & regular[:, None], np.zeros(len(factors)) if last is None else last
    coupling = None
    for step in range(1, steps + 1):
        slopes = first or slopes_at(block, design, counts, at, coupling)
        length = newton_step(
            slopes, allowed, design.ridge, factors, at.packed[:, 0], at.coefficients, at.variance, move_variance
        )
        first, coupling = None, slopes[1] if length.max() < CLOSE else None
        resting = (length <= RESTING) | ((length < last / 4) & (length**2 < RESTING * last))
        slow = np.flatnonzero(~resting & regular & (last > 0) & (length > SLOW * last))
        last = length
        left = np.flatnonzero(~resting & regular)
        if left.size == 0 or step == steps:
            break
        if slow.size:
            at.packed[slow] = normal_matrices(block[slow], design, counts, at.variance[slow])
        if left.size < FEWER * len(resting):
            part = at[left]
            resting[left] = approach(block[left], design, counts, part, steps - step, last=last[left])
            at.put(left, part)
            break
        if slow.size:
            factors[slow], regular[slow] = _factorize(block[slow], design, counts, at[slow])
    return resting & regular


def _factorize(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the normal matrices; those that look singular in single precision are made again in double."""
    single = at.packed.dtype == np.float32
    factors, regular = factorize(at.packed, block.allowed, design.ridge, 1e-4 if single else 1e-10)
    doubtful = np.flatnonzero(~regular)
    if single and doubtful.size:
        precise = replace(design, products=None, dtype=np.dtype(float))
        again = normal_matrices(block[doubtful], precise, counts, at.variance[doubtful])
        factors[doubtful], regular[doubtful] = factorize(again, block.allowed[doubtful], design.ridge, 1e-10)
    return factors, regular


def _height(
    block: PixelBlock, design: Design, counts: np.ndarray, coefficients: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """(B,) eq. 5, with the ridge."""
    residual = block.flux - coefficients @ design.vectors
    return log_likelihood(residual, block.ivar, counts, variance) - 0.5 * coefficients**2 @ design.ridge


def _best_start(block: PixelBlock, design: Design, counts: np.ndarray) -> np.ndarray:
    """(B,) of a geometric sequence of s² the one where eq. 5, at its maximum over θ, is highest."""
    largest = _flux_variance(block, counts)
    best, highest = largest, np.full(len(largest), -np.inf)
    for variance in largest * 4.0 ** -np.arange(N_STARTS)[:, None]:
        at = _nothing(block, design, variance, largest > 0)
        at.packed = normal_matrices(block, design, counts, variance)
        approach(block, design, counts, at, steps=1, move_variance=False)
        height = _height(block, design, counts, at.coefficients, variance)
        best, highest = np.where(height > highest, variance, best), np.fmax(height, highest)
    return best


def _flux_variance(block: PixelBlock, counts: np.ndarray) -> np.ndarray:
    """(B,) variance of the flux over the stars with weight: an s² beside which all stars weigh alike."""
    use = (block.ivar > 0) * counts
    total = np.maximum(use.sum(axis=1), 1e-300)
    mean = (use * block.flux).sum(axis=1) / total
    return (use * (block.flux - mean[:, None]) ** 2).sum(axis=1) / total
