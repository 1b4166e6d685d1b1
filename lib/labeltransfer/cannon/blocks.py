"""What training works on: a block of B pixels of N stars, the label vectors that all pixels share, normal matrices."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..parallel import compiled, compiled_sums
from ..spectra import Spectra
from .scatter import weights

PRODUCTS_LIMIT = 500e6
"""Bytes that the table of all products of two terms may take; beyond it normal matrices are made pixel by pixel."""

TILE = 32
"""Stars of a tile when rows become columns."""

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
        return self.measured(counts) / self.allowed.sum(axis=1)

    def measured(self, counts: np.ndarray) -> np.ndarray:
        """(B,) stars with weight."""
        return _measured(self.ivar, np.asarray(counts, dtype=float))


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


@compiled_sums()
def _measured(ivar: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B,) how many stars have weight."""
    n_stars = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        total = 0
        for n in range(ivar.shape[1]):
            total += (ivar[p, n] > 0.0) & (counts[n] > 0.0)
        n_stars[p] = total
    return n_stars


def normal_matrices(block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles of Σ w v vᵀ: weights times products of terms."""
    weight = np.empty(block.ivar.shape, design.dtype)
    weights(block.ivar, variance, counts, weight)
    if design.products is not None:
        return weight @ design.products
    upper = np.triu_indices(len(design.vectors))
    return np.array([((design.vectors * w) @ design.vectors.T)[upper] for w in weight], design.dtype)
