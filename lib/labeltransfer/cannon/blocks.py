"""What training works on: a block of B pixels of N stars, the label vectors that all pixels share, normal matrices."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from functools import cached_property

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

ABSURD = 1e30
"""Flux or inverse variance, of normalized spectra, whose powers might overflow."""

LARGEST_IN_SINGLE = 1e12
"""Size of a term beyond which its square, weighed and summed, might not fit single precision."""

PIXELS_WORTH_A_TABLE = 16
"""Pixels for which a table of products in double precision pays."""

logger = logging.getLogger(__name__)


def n_products(n_columns: int) -> int:
    """How many products of two of so many columns there are, squares included."""
    return n_columns * (n_columns + 1) // 2


def products_of_pairs(columns: np.ndarray, dtype: np.typing.DTypeLike) -> np.ndarray:
    """(N, M) to (N, M(M+1)/2): all products of two columns, as the upper triangle of v vᵀ row by row."""
    n_rows, n_columns = columns.shape
    products = np.empty((n_rows, n_products(n_columns)), dtype)
    start = 0
    for m in range(n_columns):
        stop = start + n_columns - m
        np.multiply(columns[:, m:], columns[:, m : m + 1], out=products[:, start:stop], casting="same_kind")
        start = stop
    return products


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
        dtype = dtype if np.abs(vectors).max() < LARGEST_IN_SINGLE else np.dtype(float)
        products = None
        if n_stars * n_products(n_terms) * dtype.itemsize <= PRODUCTS_LIMIT:
            products = products_of_pairs(vectors, dtype)
        size = SAMPLE * n_terms if n_stars > 2 * SAMPLE * n_terms else 0
        sample = np.sort(np.random.default_rng(0).permutation(n_stars)[:size])
        return cls(np.ascontiguousarray(vectors.T), products, ridge * (np.arange(n_terms) > 0), dtype, sample)

    def in_double(self, n_pixels: int) -> Design:
        """The same for normal matrices in double precision: of `n_pixels` pixels many times, or 0 for a few once."""
        if self.dtype == float:
            return self
        few = n_pixels < PIXELS_WORTH_A_TABLE or self.products is None
        products = None if few else products_of_pairs(self.vectors.T, np.dtype(float))
        return replace(self, products=products, dtype=np.dtype(float))

    @cached_property
    def of_sample(self) -> Design:
        """The same for the sample, made once for all blocks."""
        return self.of_stars(self.sample)

    def of_stars(self, rows: np.ndarray) -> Design:
        products = None if self.products is None else self.products[rows]
        return replace(self, vectors=self.vectors.take(rows, axis=1), products=products, sample=rows[:0])


@dataclass
class PixelBlock:
    """flux and ivar (B, N) in double precision; terms that may act at each pixel, allowed (B, M).

    Masked flux is zero. At a pixel where a star has more than `ABSURD` of either, all stars are masked.
    """

    flux: np.ndarray
    ivar: np.ndarray
    allowed: np.ndarray

    @classmethod
    def of(cls, spectra: Spectra, pixels: slice, allowed: np.ndarray) -> PixelBlock:
        """Some pixels of all spectra; `allowed` (P, M)."""
        flux, ivar, absurd = _columns(spectra.flux[:, pixels], spectra.ivar[:, pixels])
        if absurd.any():
            flux[absurd], ivar[absurd] = 0.0, 0.0
            logger.warning("train: %d pixels with a flux or ivar above %g are left out", absurd.sum(), ABSURD)
        return cls(flux, ivar, allowed[pixels])

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

    At pixels that are `alone` (B,) the last search in s² met no other maximum.
    """

    coefficients: np.ndarray
    variance: np.ndarray
    packed: np.ndarray
    solved: np.ndarray
    alone: np.ndarray

    @classmethod
    def nothing(cls, block: PixelBlock, design: Design, variance: np.ndarray) -> Maximum:
        """θ = 0 at given s², not solved."""
        n_pixels, n_terms = block.allowed.shape
        packed = np.zeros((n_pixels, n_products(n_terms)), design.dtype)
        return cls(np.zeros((n_pixels, n_terms)), variance, packed, *np.zeros((2, n_pixels), dtype=bool))

    def __getitem__(self, rows: np.ndarray) -> Maximum:
        return Maximum(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: np.ndarray, other: Maximum) -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


@compiled()
def _columns(flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, B) of either floating type as (B, N) in double precision, in tiles that stay in a fast cache.

    Masked flux becomes zero; the third array (B,) is True where a star's flux or ivar is `ABSURD`.
    """
    n_stars, n_pixels = flux.shape
    new_flux, new_ivar = np.zeros((n_pixels, n_stars)), np.zeros((n_pixels, n_stars))
    absurd = np.zeros(n_pixels, dtype=np.bool_)
    for start in range(0, n_stars, TILE):
        stop = min(start + TILE, n_stars)
        for p in range(n_pixels):
            for n in range(start, stop):
                f, v = float(flux[n, p]), float(ivar[n, p])
                f = f if v > 0.0 else 0.0
                absurd[p] |= abs(f) > ABSURD or v > ABSURD
                new_flux[p, n], new_ivar[p, n] = f, v
    return new_flux, new_ivar, absurd


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
    packed = np.empty((len(weight), upper[0].size), design.dtype)
    for row, w in zip(packed, weight, strict=True):
        row[:] = ((design.vectors * w) @ design.vectors.T)[upper]
    return packed
