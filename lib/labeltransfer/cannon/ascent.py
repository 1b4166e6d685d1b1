"""The climb to the maximum of eq. 5 for a block of B pixels of N stars.

At given s² the coefficients θ are weighted least squares; at given θ the best s² is found in one dimension, over all
its maxima. Both in turn lead from s² = 0 close to the top, Newton steps of θ and s² together to the top itself. Where
there are many stars, a sample of them shows the way, and all stars are needed for the last steps only. The normal
matrices of a block are one matrix product of the weights with all products of two terms. Steps near the top keep
a matrix: with exact gradients they end at the exact maximum with any matrix near the right one, so that it may even be
made in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..parallel import compiled
from ..spectra import Spectra
from .newton import derivatives, factorize, newton_step
from .scatter import best_variance, log_likelihood, weights

Slopes = tuple[np.ndarray, ...]
"""What `newton.derivatives` gives."""

PRODUCTS_LIMIT = 500e6
"""Bytes that the table of all products of two terms may take; beyond it normal matrices are made pixel by pixel."""

RESTING = 1e-6
"""θ and s² rest where they would move by less than this, in formal errors."""

TILE = 32
"""Stars of a tile when rows become columns."""

ROUNDS, STEPS = 10, 8
"""Rounds of one climb at most, and Newton steps with the same normal matrices."""

FEWER = 0.5
"""Share of the pixels of a block below which those that do not rest yet go on alone."""

SEARCHES = 16.0, 4.0
"""Steps in s² of the two searches of a climb: the first is rough; a factor of two in s resolves most maxima."""

N_STARTS = 10
"""How many values of s² are tried where eq. 5 may have several maxima: down to 1/500 of the scatter of the flux."""

FEW = 10
"""Stars per term below which eq. 5 may have several maxima."""

SAMPLE = 40
"""Stars per term of a sample: its maximum lies a few formal errors from that of all stars."""


@dataclass(frozen=True)
class Design:
    """What all pixels share: label vectors (M, N), all products of two terms (N, M(M+1)/2), the ridge (M,).

    `dtype` is that of the normal matrices; `sample` are the rows of the stars that show the way, none if there are few.
    """

    vectors: np.ndarray
    products: np.ndarray | None
    ridge: np.ndarray
    dtype: np.dtype
    sample: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, ridge: float, dtype: np.dtype) -> Design:
        """From (N, M) label vectors; the ridge spares the constant term."""
        n_stars, n_terms = vectors.shape
        first, second = np.triu_indices(n_terms)
        products = None
        if n_stars * first.size * dtype.itemsize <= PRODUCTS_LIMIT:
            products = np.empty((n_stars, first.size), dtype)
            np.multiply(vectors[:, first], vectors[:, second], out=products, casting="same_kind")
        size = SAMPLE * n_terms if n_stars > 2 * SAMPLE * n_terms else 0
        sample = np.sort(np.random.default_rng(0).permutation(n_stars)[:size])
        return cls(np.ascontiguousarray(vectors.T), products, ridge * (np.arange(n_terms) > 0), dtype, sample)

    def of_stars(self, rows: np.ndarray) -> Design:
        products = None if self.products is None else self.products[rows]
        return replace(self, vectors=self.vectors.take(rows, axis=1), products=products, sample=rows[:0])


@dataclass
class PixelBlock:
    """flux and ivar (B, N) in double precision; terms that may act at each pixel, allowed (B, M)."""

    flux: np.ndarray
    ivar: np.ndarray
    allowed: np.ndarray

    @classmethod
    def of(cls, spectra: Spectra, pixels: slice, allowed: np.ndarray) -> PixelBlock:
        """Some pixels of all spectra; `allowed` (P, M)."""
        return cls(_columns(spectra.flux[:, pixels]), _columns(spectra.ivar[:, pixels]), allowed[pixels])

    def __getitem__(self, rows: np.ndarray) -> PixelBlock:
        return PixelBlock(self.flux[rows], self.ivar[rows], self.allowed[rows])

    def of_stars(self, rows: np.ndarray) -> PixelBlock:
        return PixelBlock(self.flux.take(rows, axis=1), self.ivar.take(rows, axis=1), self.allowed)

    def stars_per_term(self, counts: np.ndarray) -> np.ndarray:
        """(B,) stars with weight per term that may act; the model is determined where it is above 1."""
        return ((self.ivar > 0) & (counts > 0)).sum(axis=1) / self.allowed.sum(axis=1)


@dataclass
class Maximum:
    """θ (B, M), s² (B,), packed normal matrices (B, M(M+1)/2) there, and which pixels are solved (B,).

    At the pixels that are `alone` (B,) the last search in s² met no other maximum.
    """

    coefficients: np.ndarray
    variance: np.ndarray
    packed: np.ndarray
    solved: np.ndarray
    alone: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Maximum:
        return Maximum(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: np.ndarray, other: Maximum) -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


@compiled()
def _columns(rows: np.ndarray) -> np.ndarray:
    """(N, B) of either floating type as (B, N) in double precision, in tiles that stay in a fast cache."""
    columns = np.empty((rows.shape[1], rows.shape[0]))
    for start in range(0, rows.shape[0], TILE):
        stop = min(start + TILE, rows.shape[0])
        for p in range(rows.shape[1]):
            for n in range(start, stop):
                columns[p, n] = rows[n, p]
    return columns


def maximize(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The maximum of eq. 5, climbed from that for a sample of the stars, or from s² = 0 where there may be others.

    Where that ends at s² = 0 or fails, and where there are few stars, it is climbed also from the best of many s².
    """
    best = _from_sample(block, design, counts)
    left = np.flatnonzero(~best.solved)
    if left.size:
        best.put(left, _climb(block[left], design, counts, np.zeros(left.size)))
    richness = block.stars_per_term(counts)
    again = np.flatnonzero((richness > 1) & ((best.variance == 0) | ~best.solved | (richness < FEW)))
    if again.size:
        block = block[again]
        other = _climb(block, design, counts, _best_start(block, design, counts))
        height = _height(block, design, counts, best.coefficients[again], best.variance[again])
        higher = _height(block, design, counts, other.coefficients, other.variance) > height
        better = other.solved & (~best.solved[again] | higher)
        best.put(again[better], other[better])
    return best


def slopes_at(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> Slopes:
    """The derivatives of eq. 5 there, see `newton.derivatives`."""
    return derivatives(block.flux, block.ivar, counts, design.vectors, at.coefficients, at.variance)


def adjust(block: PixelBlock, design: Design, counts: np.ndarray, whole: Maximum, slopes: Slopes) -> Maximum:
    """From the maximum for all stars, and its derivatives, to that for stars taken `counts` times.

    Stars taken once change nothing, the others correct matrices and derivatives. Where the way is too far, it is
    climbed anew.
    """
    others = np.flatnonzero(counts != 1)
    correction = block.of_stars(others), design.of_stars(others), counts[others] - 1
    packed = whole.packed + _normal_matrices(*correction, whole.variance)
    first = tuple(a + b for a, b in zip(slopes, slopes_at(*correction, whole), strict=True))
    richness = block.stars_per_term(counts)
    solved = whole.solved & (richness > FEW)
    near = Maximum(whole.coefficients.copy(), whole.variance.copy(), packed, solved, whole.alone.copy())
    near.solved &= _approach(block, design, counts, near, first=first)
    again = np.flatnonzero(~near.solved & (richness > 1))
    if again.size:
        near.put(again, maximize(block[again], design, counts))
    return near


def _nothing(block: PixelBlock, design: Design, variance: np.ndarray, solved: np.ndarray) -> Maximum:
    """θ = 0 at given s²."""
    n_terms = block.allowed.shape[1]
    packed = np.zeros((len(variance), n_terms * (n_terms + 1) // 2), design.dtype)
    return Maximum(np.zeros(block.allowed.shape), variance, packed, solved, np.zeros(len(variance), bool))


def _from_sample(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The maximum, by Newton steps from that for a sample; solved only where eq. 5 has no other for the sample."""
    rows = design.sample
    nowhere = np.zeros(len(block.flux), dtype=bool)
    if not rows.size:
        return _nothing(block, design, np.zeros(len(block.flux)), nowhere)
    sample = block.of_stars(rows)
    at = _climb(sample, design.of_stars(rows), counts[rows], np.zeros(len(block.flux)), rounds=1)
    at.solved &= at.alone & (at.variance > 0) & (sample.stars_per_term(counts[rows]) > SAMPLE / 2)
    at.packed = _normal_matrices(block, design, counts, at.variance)
    at.solved &= _approach(block, design, counts, at)
    return at


def _climb(
    block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray, rounds: int = ROUNDS
) -> Maximum:
    """From given s² up: twice θ and s² in turn, then Newton steps; another round for the pixels that do not rest."""
    at = _nothing(block, design, variance, block.stars_per_term(counts) > 1)
    for factor in SEARCHES:
        at.packed = _normal_matrices(block, design, counts, at.variance)
        _approach(block, design, counts, at, steps=1, move_variance=False)
        residual = block.flux - at.coefficients @ design.vectors
        at.variance, at.alone = best_variance(residual, block.ivar, counts, at.variance, factor)
    settled = _approach(block, design, counts, at)
    left = np.flatnonzero(at.solved & ~settled)
    at.solved &= settled
    if left.size and rounds > 1:
        at.put(left, _climb(block[left], design, counts, at.variance[left], rounds - 1))
    return at


def _approach(
    block: PixelBlock,
    design: Design,
    counts: np.ndarray,
    at: Maximum,
    steps: int = STEPS,
    move_variance: bool = True,
    first: Slopes | None = None,
) -> np.ndarray:
    """Newton steps with the same normal matrices, in place; (B,) True where θ and s² came to rest.

    They rest where the next step, that shrinks as the last one did, would be below `RESTING`. `first` are the
    derivatives for the first step where they are known already.
    """
    factors, regular = _factorize(block, design, counts, at)
    total_weight = at.packed[:, 0].astype(float)
    allowed, last = block.allowed & regular[:, None], np.zeros(len(factors))
    for step in range(1, steps + 1):
        slopes = first or slopes_at(block, design, counts, at)
        first = None
        length = newton_step(
            slopes, allowed, design.ridge, factors, total_weight, at.coefficients, at.variance, move_variance
        )
        resting = (length <= RESTING) | ((length < last / 4) & (length**2 < RESTING * last))
        last = length
        left = np.flatnonzero(~resting & regular)
        if step < steps and left.size < FEWER * len(resting):
            part = at[left]
            resting[left] = left.size == 0 or _approach(block[left], design, counts, part, steps - step)
            at.put(left, part)
            break
    return resting & regular


def _normal_matrices(block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles of Σ w v vᵀ: weights times products of terms."""
    weight = np.empty(block.ivar.shape, design.dtype)
    weights(block.ivar, variance, counts, weight)
    if design.products is not None:
        return weight @ design.products
    upper = np.triu_indices(len(design.vectors))
    return np.array([((design.vectors * w) @ design.vectors.T)[upper] for w in weight], design.dtype)


def _factorize(block: PixelBlock, design: Design, counts: np.ndarray, at: Maximum) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the normal matrices; those that look singular in single precision are made again in double."""
    single = at.packed.dtype == np.float32
    factors, regular = factorize(at.packed, block.allowed, design.ridge, 1e-4 if single else 1e-10)
    doubtful = np.flatnonzero(~regular)
    if single and doubtful.size:
        precise = replace(design, products=None, dtype=np.dtype(float))
        again = _normal_matrices(block[doubtful], precise, counts, at.variance[doubtful])
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
        at.packed = _normal_matrices(block, design, counts, variance)
        _approach(block, design, counts, at, steps=1, move_variance=False)
        height = _height(block, design, counts, at.coefficients, variance)
        best, highest = np.where(height > highest, variance, best), np.fmax(height, highest)
    return best


def _flux_variance(block: PixelBlock, counts: np.ndarray) -> np.ndarray:
    """(B,) variance of the flux over the stars with weight: an s² beside which all stars weigh alike."""
    use = (block.ivar > 0) * counts
    total = np.maximum(use.sum(axis=1), 1e-300)
    mean = (use * block.flux).sum(axis=1) / total
    return (use * (block.flux - mean[:, None]) ** 2).sum(axis=1) / total
