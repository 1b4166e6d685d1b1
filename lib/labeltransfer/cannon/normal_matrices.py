"""What training works on: B pixels of N stars with the label vectors all pixels share, and their normal matrices.

The normal matrices A = Σ w v vᵀ of all pixels are one product of their weights with a table of the products of terms.
Made pixel by pixel they take 10 times as long, and more than all the rest of a training.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np

from ..parallel.compiled import compiled_sums
from ..spectra import Spectra

PRODUCTS_LIMIT = 500e6
"""Bytes of a table of products. Beyond it tables are made for some stars at a time, or memory would not hold them."""

ABSURD = 1e30
"""Flux, inverse variance or term beyond which powers overflow, and one number would make NaN of the others."""

SINGULAR = 1e-10
"""Share of a term independent of the others below which its coefficient would be rounding errors, blown up."""

logger = logging.getLogger(__name__)


def n_products(n_columns: int) -> int:
    """How many products of two of so many columns there are, squares included."""
    return n_columns * (n_columns + 1) // 2


def products_of_pairs(columns: np.ndarray, dtype: np.typing.DTypeLike = float) -> np.ndarray:
    """(N, M) to (N, M(M+1)/2): all products of two columns, as the upper triangle of v vᵀ row by row."""
    n_rows, n_columns = columns.shape
    products = np.empty((n_rows, n_products(n_columns)), dtype)
    start = 0
    for m in range(n_columns):
        stop = start + n_columns - m
        np.multiply(columns[:, m:], columns[:, m : m + 1], out=products[:, start:stop], casting="same_kind")
        start = stop
    return products


class Design:
    """What all pixels share: label vectors (M, N) and their products (N, M(M+1)/2), kept if they find room."""

    def __init__(self, vectors: np.ndarray, kept: dict[type, np.ndarray] | None = None) -> None:
        self.vectors = np.ascontiguousarray(vectors)
        self.n_stars = self.vectors.shape[1]
        self.stars_of_table = max(1, int(PRODUCTS_LIMIT / (8 * n_products(len(vectors)))))
        self._kept = {} if kept is None else kept

    def products(self, rows: slice, dtype: type = np.float64) -> np.ndarray:
        """(n, M(M+1)/2) of some stars."""
        if self.n_stars > self.stars_of_table:
            return self._make(rows, dtype)
        if dtype not in self._kept:
            self._kept[dtype] = self._make(slice(None), dtype)
        return self._kept[dtype][rows]

    def _make(self, rows: slice, dtype: type) -> np.ndarray:
        return products_of_pairs(self.vectors.T[rows], dtype)

    def of_stars(self, rows: np.ndarray) -> Design:
        kept = self._kept.copy()  # other threads may add to it meanwhile
        return Design(self.vectors.take(rows, axis=1), {dtype: table[rows] for dtype, table in kept.items()})


@dataclass(frozen=True)
class PixelBlock:
    """Of B pixels and N stars: flux and ivar (B, N) in double precision, the design, and how often each star is taken.

    Masked flux is zero. At a pixel where a star has more than `ABSURD` of either, all stars are masked. The terms that
    may act at each pixel are `allowed` (B, M), with a `ridge` (M,).
    """

    flux: np.ndarray
    ivar: np.ndarray
    allowed: np.ndarray
    ridge: np.ndarray
    design: Design
    counts: np.ndarray

    @classmethod
    def of(cls, spectra: Spectra, pixels: slice, allowed: np.ndarray, ridge: np.ndarray, design: Design) -> PixelBlock:
        """Some pixels of all spectra, each taken once; `allowed` (P, M)."""
        flux, ivar = (np.array(x[:, pixels].T, dtype=float, order="C") for x in (spectra.flux, spectra.ivar))
        flux[ivar == 0] = 0.0
        absurd = (np.abs(flux).max(axis=1) > ABSURD) | (ivar.max(axis=1) > ABSURD)
        if absurd.any():
            flux[absurd], ivar[absurd] = 0.0, 0.0
            logger.warning("train: %d pixels with a flux or ivar above %g are left out", absurd.sum(), ABSURD)
        return cls(flux, ivar, allowed[pixels], ridge, design, np.ones(len(spectra)))

    def __getitem__(self, rows: np.ndarray) -> PixelBlock:
        if np.array_equal(rows, np.arange(len(self.flux))):
            return self
        return replace(self, flux=self.flux[rows], ivar=self.ivar[rows], allowed=self.allowed[rows])

    def taking(self, counts: np.ndarray) -> PixelBlock:
        """With stars taken `counts` (N,) times."""
        return replace(self, counts=counts)

    def of_stars(self, rows: np.ndarray, counts: np.ndarray) -> PixelBlock:
        """Of some stars, taken `counts` times."""
        flux, ivar, design = self.flux.take(rows, axis=1), self.ivar.take(rows, axis=1), self.design.of_stars(rows)
        return replace(self, flux=flux, ivar=ivar, design=design, counts=counts)

    @property
    def stars_per_term(self) -> np.ndarray:
        """(B,) stars with weight per term that may act; the model is determined where it is above 1."""
        return (self.ivar > 0) @ (self.counts > 0).astype(float) / self.allowed.sum(axis=1)


@compiled_sums()
def weights(ivar: np.ndarray, variance: np.ndarray, counts: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """(B, N) counts / (s² + σ²); masked pixels weigh exactly zero."""
    weight: np.ndarray = np.empty(ivar.shape, dtype)
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            weight[p, n] = counts[n] * ivar[p, n] / (1.0 + ivar[p, n] * variance[p])
    return weight


def normal_matrices(block: PixelBlock, variance: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles of A = Σ w v vᵀ at given s² (B,)."""
    return weighted_products(weights(block.ivar, variance, block.counts, dtype), block.design)


def weighted_products(weight: np.ndarray, design: Design) -> np.ndarray:
    """(B, M(M+1)/2) sums over stars of the products of terms, with (B, N) weights, in their precision."""
    step, dtype = design.stars_of_table, weight.dtype.type
    parts = (slice(start, start + step) for start in range(0, max(design.n_stars, 1), step))
    return sum(weight[:, rows] @ design.products(rows, dtype) for rows in parts).astype(float)


def unpacked(packed: np.ndarray, n_terms: int) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles to symmetric (B, M, M)."""
    matrices = np.empty((len(packed), n_terms, n_terms))
    i, j = np.triu_indices(n_terms)
    matrices[:, i, j] = matrices[:, j, i] = packed
    return matrices


@compiled_sums()
def factorize(packed: np.ndarray, allowed: np.ndarray, ridge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, M, M) Cholesky factors of A and the ridge, and of each how much the most dependent term exceeds the earlier.

    That is a share of the term, (B,), above `SINGULAR` or zero where A is singular. Rows of terms that may not act, and
    all where A is singular, are infinity times the unit matrix, so that what is solved for is zero.
    """
    n_pixels, n_terms = allowed.shape
    factors, independent = np.zeros((n_pixels, n_terms, n_terms)), np.ones(n_pixels)
    for p in range(n_pixels):
        L, start = factors[p], 0
        for j in range(n_terms):
            for i in range(j, n_terms):
                if allowed[p, i] and allowed[p, j]:
                    L[i, j] = packed[p, start + i - j]
            start += n_terms - j
        for i in range(n_terms):
            if not allowed[p, i]:
                L[i, i] = np.inf
                continue
            diagonal = L[i, i] + ridge[i]
            left = diagonal
            for j in range(i):
                if allowed[p, j]:
                    rest = L[i, j]
                    for q in range(j):
                        rest -= L[i, q] * L[j, q]
                    L[i, j] = rest / L[j, j]
                    left -= L[i, j] * L[i, j]
            if not SINGULAR * diagonal < left < np.inf:
                independent[p] = 0.0
                break
            independent[p] = min(independent[p], left / diagonal)
            L[i, i] = math.sqrt(left)
        if independent[p] == 0.0:
            L[:] = 0.0
            for i in range(n_terms):
                L[i, i] = np.inf
    return factors, independent


@compiled_sums()
def solve(factors: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(B, M) A⁻¹ times the right sides (B, M)."""
    solution = right.copy()
    for p in range(right.shape[0]):
        L, x = factors[p], solution[p]
        for i in range(x.size):
            rest = x[i]
            for j in range(i):
                rest -= L[i, j] * x[j]
            x[i] = rest / L[i, i]
        for i in range(x.size - 1, -1, -1):
            x[i] /= L[i, i]
            for j in range(i):
                x[j] -= L[i, j] * x[i]
    return solution


@compiled_sums()
def inverse_roots(factors: np.ndarray) -> np.ndarray:
    """(B, M, M) R, lower triangles, with A⁻¹ = Rᵀ R."""
    roots = np.zeros_like(factors)
    for p in range(factors.shape[0]):
        L, R = factors[p], roots[p]
        for i in range(L.shape[0]):
            for j in range(i):
                for k in range(j + 1):
                    R[i, k] -= L[i, j] * R[j, k]
            R[i, i] = 1.0
            for k in range(i + 1):
                R[i, k] /= L[i, i]
    return roots


def inverted(packed: np.ndarray, block: PixelBlock) -> np.ndarray:
    """(B, M, M) inverse of A and the ridge; zero at terms that may not act, and where A is singular."""
    roots = inverse_roots(factorize(packed, block.allowed, block.ridge)[0])
    return roots.transpose(0, 2, 1) @ roots
