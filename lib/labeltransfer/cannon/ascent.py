"""The climb to the maximum of eq. 5 for a block of B pixels of N stars.

At given s² the coefficients θ are weighted least squares; at given θ the best s² is found in one dimension, over all
its maxima. Both in turn lead from s² = 0 close to the top, Newton steps of θ and s² together to the top itself. Where
there are many stars, a sample of them shows the way, and all stars are needed for the last steps only. Where that does
not come to rest, or eq. 5 may have several maxima, `profile` looks for all of them. The normal matrices of a block are
one matrix product of the weights with all products of two terms. Steps near the top keep a matrix: with exact gradients
they end at the exact maximum with any matrix near the right one, so that it may even be made in single precision.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from .blocks import SAMPLE, Design, Maximum, PixelBlock, normal_matrices
from .newton import Derivatives, Matrices, coefficients_step, derivatives, factorize, newton_step
from .profile import SINGULAR, flux_variance, highest_maximum, log_posterior
from .scatter import best_variance

RESTING = 1e-6
"""θ and s² rest where they would move by less than this, in formal errors."""

SLOW = 0.02
"""Share of the last step above which a step tells that the normal matrices are from too far away."""

CLOSE = 5.0
"""Formal errors of a step after which the coupling of θ and s² is known well enough without another sum."""

ROUNDS, STEPS = 3, 8
"""Rounds of one climb at most, and Newton steps of a round."""

REGROUP = 0.5
"""Share of the pixels of a group below which those that do not rest yet go on alone."""

SEARCHES = 16.0, 4.0
"""Steps in s² of the two searches of a climb: the first is rough; a factor of two in s resolves most maxima."""

POOR = 10
"""Stars per term below which eq. 5 may well have several maxima."""

TOO_FEW = "no more stars than terms"
SINGULAR_STARS = "the stars do not determine the terms"
DID_NOT_CONVERGE = "no maximum was found"
"""Why a pixel may not be solved."""

SINGULAR_SINGLE = 1e-4
"""`SINGULAR` for normal matrices made in single precision."""


def maximize(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The highest maximum of eq. 5: climbed from that for a sample of the stars, or else from s² = 0.

    Where the climb fails or ends at s² = 0 beside another maximum, where the last search in s² met several, and where
    there are few stars, all maxima are looked for.
    """
    richness = block.stars_per_term(counts)
    best = _from_sample(block, design, counts)
    left = np.flatnonzero(~best.solved & (richness >= POOR))
    if left.size:
        best.put(left, _climb(block[left], design, counts, np.zeros(left.size)))
    doubtful = ~best.solved | ~best.alone | ((best.variance == 0) & (richness <= SAMPLE / 2))
    again = np.flatnonzero((richness > 1) & (doubtful | (richness < POOR)))
    if again.size:
        block = block[again]
        other = highest_maximum(block, design, counts)
        height = log_posterior(block, design, counts, best.coefficients[again], best.variance[again])
        higher = log_posterior(block, design, counts, other.coefficients, other.variance) > height
        better = other.solved & (~best.solved[again] | higher)
        best.put(again[better], other[better])
    return best


def slopes_at(
    block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum, coupling: np.ndarray | None = None
) -> Derivatives:
    """The derivatives of eq. 5 there; `coupling` where it is known well enough, or not needed."""
    return derivatives(block.flux, block.ivar, counts, design.vectors, at.coefficients, at.variance, coupling)


def _from_sample(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The maximum, by Newton steps from that for a sample; solved only where eq. 5 has no other for the sample.

    Where the sample's s² is zero, all stars say what it is.
    """
    rows = design.sample
    if not rows.size:
        return Maximum.nothing(block, design, np.zeros(len(block.flux)))
    sample = block.of_stars(rows)
    at = _climb(sample, design.of_sample, counts[rows], np.zeros(len(block.flux)), rounds=1)
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
    at = Maximum.nothing(block, design, variance)
    at.solved = block.stars_per_term(counts) > 1
    for factor in SEARCHES:
        at.packed = normal_matrices(block, design, counts, at.variance)
        matrices = _factorized(block, design, counts, at)
        slopes = slopes_at(block, design, counts, at, coupling=at.coefficients)
        coefficients_step(slopes, block.allowed & matrices.regular[:, None], design.ridge, matrices, at.coefficients)
        residual = block.flux - at.coefficients @ design.vectors
        at.variance, at.alone = best_variance(residual, block.ivar, counts, at.variance, factor)
    settled = approach(block, design, counts, at)
    left = np.flatnonzero(at.solved & ~settled)
    at.solved &= settled
    if left.size and rounds > 1:
        at.put(left, _climb(block[left], design, counts, at.variance[left], rounds - 1))
    return at


def approach(
    block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum, first: Derivatives | None = None
) -> np.ndarray:
    """Newton steps, in place, of the pixels that are solved so far; (B,) True where θ and s² came to rest.

    They rest where the next step, that shrinks as the last one did, would be below `RESTING`. The normal matrices are
    kept as long as steps shrink fast. `first` are the derivatives for the first step, where they are known already.
    """
    resting = np.zeros(len(at.variance), dtype=bool)
    group, here = np.arange(len(at.variance)), at
    matrices, last, coupling = _factorized(block, design, counts, at), np.zeros(len(at.variance)), None
    matrices.regular &= at.solved
    for _ in range(STEPS):
        slopes = first or slopes_at(block, design, counts, here, coupling)
        allowed = block.allowed & matrices.regular[:, None]
        length, coupling = newton_step(slopes, allowed, design.ridge, matrices, here.coefficients, here.variance)
        at_rest = (length <= RESTING) | ((length < last / 4) & (length**2 < RESTING * last))
        moving = ~at_rest & matrices.regular
        resting[group] = at_rest & matrices.regular
        left, slow = np.flatnonzero(moving), np.flatnonzero(moving & (last > 0) & (length > SLOW * last))
        first, last = None, length
        if left.size == 0:
            break
        if slow.size:
            here.packed[slow] = normal_matrices(block[slow], design, counts, here.variance[slow])
            matrices.put(slow, _factorized(block[slow], design, counts, here[slow]))
        if length[left].max() >= CLOSE:
            coupling = None
        if left.size < REGROUP * len(group):
            at.put(group, here)
            group, block, here, matrices = group[left], block[left], here[left], matrices[left]
            last, coupling = last[left], None if coupling is None else coupling[left]
    at.put(group, here)
    return resting


def _factorized(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> Matrices:
    """Factors of the normal matrices; those that look singular in single precision are made again in double."""
    single = at.packed.dtype == np.float32
    factors, regular = factorize(at.packed, block.allowed, design.ridge, SINGULAR_SINGLE if single else SINGULAR)
    matrices = Matrices(factors, at.packed[:, 0].astype(float), regular)
    doubtful = np.flatnonzero(~regular)
    if single and doubtful.size:
        packed = normal_matrices(block[doubtful], design.in_double(0), counts, at.variance[doubtful])
        factors, regular = factorize(packed, block.allowed[doubtful], design.ridge, SINGULAR)
        matrices.put(doubtful, Matrices(factors, packed[:, 0], regular))
    return matrices


def undisputed(block: PixelBlock, vectors: np.ndarray, counts: np.ndarray, at: Maximum) -> np.ndarray:
    """(B,) True where a search in s², at the residuals of a maximum, meets no other; `vectors` (M, N)."""
    residual = block.flux - at.coefficients @ vectors
    return best_variance(residual, block.ivar, counts, at.variance, SEARCHES[1])[1]


def reasons(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> Counter[str]:
    """How many pixels are not solved, and why: the stars must determine the terms at s² = 0 and at a large s²."""
    if at.solved.all():
        return Counter()
    few = ~at.solved & (block.stars_per_term(counts) <= 1)
    rest = np.flatnonzero(~at.solved & ~few)
    regular = np.ones(rest.size, dtype=bool)
    for variance in (np.zeros(rest.size), flux_variance(block[rest], counts)):
        packed = normal_matrices(block[rest], design.in_double(0), counts, variance)
        regular &= factorize(packed, block.allowed[rest], design.ridge, SINGULAR)[1]
    found = {TOO_FEW: few.sum(), SINGULAR_STARS: (~regular).sum(), DID_NOT_CONVERGE: regular.sum()}
    return Counter({reason: int(number) for reason, number in found.items() if number})
