"""What training works on: a block of B pixels of N stars, the label vectors all pixels share, normal matrices.

The normal matrices A = Σ w v vᵀ of all pixels are one product of their weights with a table of the products of terms.
Made pixel by pixel they take 10 times as long, and more than all the rest of a training.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from ..spectra import Spectra
from .likelihood import weights

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

    def __init__(self, vectors: np.ndarray, products: np.ndarray | None = None) -> None:
        self.vectors = np.ascontiguousarray(vectors)
        bytes_per_star = 8 * n_products(len(vectors))
        self.stars_of_table = max(1, int(PRODUCTS_LIMIT / bytes_per_star))
        self._products = products
        if products is None and self.n_stars <= self.stars_of_table:
            self._products = self._make(slice(None))

    @property
    def n_stars(self) -> int:
        return self.vectors.shape[1]

    def products(self, rows: slice) -> np.ndarray:
        """(n, M(M+1)/2) of some stars."""
        return self._make(rows) if self._products is None else self._products[rows]

    def _make(self, rows: slice) -> np.ndarray:
        return products_of_pairs(self.vectors.T[rows])

    def of_stars(self, rows: np.ndarray) -> Design:
        products = None if self._products is None else self._products[rows]
        return Design(self.vectors.take(rows, axis=1), products)


@dataclass(frozen=True)
class PixelBlock:
    """flux and ivar (B, N) in double precision; terms that may act at each pixel, allowed (B, M); the ridge (M,).

    Masked flux is zero. At a pixel where a star has more than `ABSURD` of either, all stars are masked.
    """

    flux: np.ndarray
    ivar: np.ndarray
    allowed: np.ndarray
    ridge: np.ndarray

    @classmethod
    def of(cls, spectra: Spectra, pixels: slice, allowed: np.ndarray, ridge: float) -> PixelBlock:
        """Some pixels of all spectra; `allowed` (P, M); the ridge spares the constant term."""
        flux, ivar = (np.array(x[:, pixels].T, dtype=float, order="C") for x in (spectra.flux, spectra.ivar))
        flux[ivar == 0] = 0.0
        absurd = (np.abs(flux).max(axis=1) > ABSURD) | (ivar.max(axis=1) > ABSURD)
        if absurd.any():
            flux[absurd], ivar[absurd] = 0.0, 0.0
            logger.warning("train: %d pixels with a flux or ivar above %g are left out", absurd.sum(), ABSURD)
        return cls(flux, ivar, allowed[pixels], ridge * (np.arange(allowed.shape[1]) > 0))

    def __getitem__(self, rows: np.ndarray) -> PixelBlock:
        if len(rows) == len(self.flux):
            return self
        return PixelBlock(self.flux[rows], self.ivar[rows], self.allowed[rows], self.ridge)

    def of_stars(self, rows: np.ndarray) -> PixelBlock:
        return PixelBlock(self.flux.take(rows, axis=1), self.ivar.take(rows, axis=1), self.allowed, self.ridge)

    def stars_per_term(self, counts: np.ndarray) -> np.ndarray:
        """(B,) stars with weight per term that may act; the model is determined where it is above 1."""
        return np.count_nonzero(self.ivar[:, counts > 0], axis=1) / self.allowed.sum(axis=1)


def normal_matrices(block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles of A = Σ w v vᵀ at given s² (B,)."""
    return weighted_products(weights(block.ivar, variance, counts), design)


def weighted_products(weight: np.ndarray, design: Design) -> np.ndarray:
    """(B, M(M+1)/2) sums over stars of the products of terms, with (B, N) weights."""
    step = design.stars_of_table
    parts = (slice(start, start + step) for start in range(0, design.n_stars, step))
    return sum(weight[:, rows] @ design.products(rows) for rows in parts)


def unpacked(packed: np.ndarray, n_terms: int) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles to symmetric (B, M, M)."""
    matrices = np.empty((len(packed), n_terms, n_terms))
    i, j = np.triu_indices(n_terms)
    matrices[:, i, j] = matrices[:, j, i] = packed
    return matrices


def inverted(packed: np.ndarray, block: PixelBlock) -> tuple[np.ndarray, np.ndarray]:
    """(B, M, M) inverse of A and the ridge, zero at terms that may not act; where A is singular, zero and (B,) False.

    With unit diagonal, the inverse has on its diagonal how many times a term exceeds what the others leave of it.
    """
    matrices, allowed, unit = unpacked(packed, len(block.ridge)), block.allowed, np.eye(len(block.ridge))
    size = np.einsum("pmm->pm", matrices) + block.ridge
    positive = np.where(allowed & (size > 0) & (size < np.inf), size, 1.0)
    root = np.sqrt(positive)
    matrices = (matrices + block.ridge * unit) / root[:, :, None] / root[:, None, :]
    matrices = np.where(allowed[:, :, None] & allowed[:, None, :], matrices, unit)
    inverse = np.linalg.inv(matrices + 1e-14 * unit)  # which is never exactly singular
    regular = ((size == positive) | ~allowed).all(axis=1) & np.isfinite(inverse).all(axis=(1, 2))
    excess = np.einsum("pmm->pm", inverse)
    regular &= ((excess > 0) & (excess < 1 / SINGULAR)).all(axis=1)
    acting = allowed & regular[:, None]
    return np.where(acting[:, :, None] & acting[:, None, :], inverse, 0.0) / root[:, :, None] / root[
        :, None, :
    ], regular
