"""Eq. 5: the likelihood of θ and s² at B pixels of N stars, its derivatives and its normal matrices.

With r = f - θ·v and w = 1/(s² + σ²), the logarithm of the likelihood is ½ Σ log w - w r², with the gradient
(Σ w r v, ½ Σ w² r² - w) by θ and s² and the negative Hessian [[A, q], [qᵀ, h]], A = Σ w v vᵀ, q = Σ w² r v and
h = Σ w³ r² - ½ w². The same as slow loops: `log_likelihood`, `profile` and `train_pixel` of ``tests/oracle.py``.

The normal matrices A of all pixels are one product of their weights with a table of the products of terms. Made pixel
by pixel they take 10 times as long, and more than all the rest of a training.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np

from ..matrices import n_products, products_of_pairs
from ..parallel.compiled import compiled, compiled_sums
from ..spectra import Spectra

PRODUCTS_LIMIT = 500e6
"""Bytes of a table of products. Beyond it tables are made for some stars at a time, or memory would not hold them."""

ABSURD = 1e30
"""Flux, inverse variance or term beyond which powers overflow, and one number would make NaN of the others."""

PIECE = 1024
"""Stars done at a time. With all at once the passes over a block wait for memory: training takes half as long again."""

logger = logging.getLogger(__name__)


class Design:
    """What all pixels share: label vectors (M, N) and their products (N, M(M+1)/2), kept if they find room."""

    def __init__(self, vectors: np.ndarray, tables: dict[type, np.ndarray] | None = None) -> None:
        self.vectors = np.ascontiguousarray(vectors)
        self.n_stars = self.vectors.shape[1]
        self.stars_of_table = max(1, int(PRODUCTS_LIMIT / (8 * n_products(len(vectors)))))
        self._tables = {} if tables is None else tables
        self._parts: dict[bytes, Design] = {}

    def products(self, rows: slice, dtype: type = np.float64) -> np.ndarray:
        """(n, M(M+1)/2) of some stars."""
        if self.n_stars > self.stars_of_table:
            return self._make(rows, dtype)
        if dtype not in self._tables:
            self._tables[dtype] = self._make(slice(None), dtype)
        return self._tables[dtype][rows]

    def _make(self, rows: slice, dtype: type) -> np.ndarray:
        return products_of_pairs(self.vectors.T[rows], dtype)

    def of_stars(self, rows: np.ndarray) -> Design:
        """Of some stars; the blocks of pixels share it, while tables of such parts take no more room than its own."""
        key, parts = rows.tobytes(), self._parts
        part = parts.get(key) or self._of_stars(rows)
        if rows.size + sum(one.n_stars for one in list(parts.values())) <= min(self.n_stars, self.stars_of_table):
            parts[key] = part
        return part

    def _of_stars(self, rows: np.ndarray) -> Design:
        tables = self._tables.copy()  # other threads may add to it meanwhile
        return Design(self.vectors.take(rows, axis=1), {dtype: table[rows] for dtype, table in tables.items()})


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


def derivatives(block: PixelBlock, coefficients: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Of eq. 5 at θ, `coefficients` (B, M), and s², `variance` (B,); all are sums over stars.

    Returns
    -------
    (B, 2M + 4) the gradient by θ (M), the coupling q (M), Σ w, Σ w² r² - w and Σ w² - 2 w³ r² (twice the derivatives by
    s²), and Σ w², what is expected of minus the last but one
    """
    n_pixels, n_terms = coefficients.shape
    moments, sums = np.zeros((2 * n_pixels, n_terms)), np.zeros((4, n_pixels))
    work = np.empty((2 * n_pixels, PIECE))
    for start in range(0, len(block.counts), PIECE):
        piece = block.design.vectors[:, start : start + PIECE]
        weighed = work[:, : piece.shape[1]]
        np.matmul(coefficients, piece, out=weighed[:n_pixels])
        _weigh(block.flux, block.ivar, block.counts, variance, start, piece.shape[1], work, sums)
        moments += weighed @ piece.T
    return np.hstack([moments[:n_pixels], moments[n_pixels:], sums.T])


@compiled_sums()
def _weigh(
    flux: np.ndarray,
    ivar: np.ndarray,
    counts: np.ndarray,
    variance: np.ndarray,
    start: int,
    size: int,
    work: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Turn the model flux in the first half of `work` (2B, size) into w r, the second into w² r; add to `sums`."""
    n_pixels = flux.shape[0]
    repeats = counts[start : start + size]
    for p in range(n_pixels):
        f, v = flux[p, start : start + size], ivar[p, start : start + size]
        wr, wwr, s2 = work[p, :size], work[n_pixels + p, :size], variance[p]
        weight = slope = curvature = information = 0.0
        for n in range(f.size):
            r = f[n] - wr[n]
            w = v[n] / (1.0 + v[n] * s2)
            counted = repeats[n] * w
            chi2 = w * r * r
            weight += counted
            slope += counted * (chi2 - 1.0)
            curvature += counted * w * (1.0 - 2.0 * chi2)
            information += counted * w
            wr[n] = counted * r
            wwr[n] = counted * w * r
        sums[0, p] += weight
        sums[1, p] += slope
        sums[2, p] += curvature
        sums[3, p] += information


@compiled_sums()
def slope_in_errors(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) derivative of eq. 5 by s² in its formal errors, from (B, N) residuals."""
    slopes = np.empty(ivar.shape[0])
    for p in range(ivar.shape[0]):
        slope = information = 0.0
        for n in range(ivar.shape[1]):
            w = ivar[p, n] / (1.0 + ivar[p, n] * variance[p])
            slope += counts[n] * w * (w * residual[p, n] * residual[p, n] - 1.0)
            information += counts[n] * w * w
        slopes[p] = slope / math.sqrt(2.0 * information)
    return slopes


@compiled()
def log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5 of each pixel, without its constant, from (B, N) residuals."""
    total = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            if ivar[p, n] > 0:
                w = ivar[p, n] / (1.0 + ivar[p, n] * variance[p])
                total[p] += 0.5 * counts[n] * (math.log(w) - w * residual[p, n] * residual[p, n])
    return total
