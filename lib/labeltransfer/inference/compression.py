"""χ² of a star as a quadratic form in the terms of its label vector: all that its spectrum says, in a few numbers.

With w = 1/(s² + σ²) and the model flux θ₀ + θ·v, where θ₀ is the constant term and v the M - 1 others,

    χ²(v) = vᵀ A v - 2 bᵀ v + c,   A = Σ w θ θᵀ,   b = Σ w (f - θ₀) θ,   c = Σ w (f - θ₀)².

A, b and c of a block of stars are two matrix products; every later step is independent of the number of pixels.
Subtracting θ₀ first keeps the numbers small, so that single precision is enough: it moves labels by 1e-5 of their
formal errors in the median.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cannon import CannonModel
from ..matrices import n_products, products_of_pairs
from ..parallel.compiled import compiled_sums


def products_size(model: CannonModel, dtype: np.typing.DTypeLike) -> int:
    """Bytes of the table of all products of two coefficients."""
    n_pixels, n_terms = model.coefficients.shape
    return n_pixels * n_products(n_terms - 1) * np.dtype(dtype).itemsize


@dataclass(frozen=True)
class Compressor:
    """What is the same for all stars: θ₀ (P,), s² (P,), θ (P, M-1) and all products of two of its columns."""

    constant: np.ndarray
    variance: np.ndarray
    coefficients: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, model: CannonModel, dtype: np.typing.DTypeLike) -> Compressor:
        coefficients = np.ascontiguousarray(model.coefficients[:, 1:])
        products = products_of_pairs(coefficients, dtype)
        constant = np.ascontiguousarray(model.coefficients[:, 0])
        return cls(constant, model.scatter**2, coefficients.astype(dtype), products)

    def compress(self, flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(n, P) flux and ivar of a block of stars to A (n, M(M-1)/2) packed, b (n, M-1), c (n,), n_pixels (n,)."""
        weight, weighted = np.empty(flux.shape, self.products.dtype), np.empty(flux.shape, self.products.dtype)
        c, n_pixels = np.zeros(len(flux)), np.zeros(len(flux), dtype=np.int64)
        weigh(flux, ivar, self.constant, self.variance, weight, weighted, c, n_pixels)
        return (weight @ self.products).astype(float), (weighted @ self.coefficients).astype(float), c, n_pixels


@compiled_sums()
def weigh(
    flux: np.ndarray,
    ivar: np.ndarray,
    constant: np.ndarray,
    variance: np.ndarray,
    weight: np.ndarray,
    weighted: np.ndarray,
    c: np.ndarray,
    n_pixels: np.ndarray,
) -> None:
    """In one pass: w, w (f - θ₀), Σ w (f - θ₀)² and the number of pixels with weight."""
    for n in range(flux.shape[0]):
        total = 0.0
        count = 0
        for p in range(flux.shape[1]):
            use = ivar[n, p] > 0 and variance[p] < np.inf
            w = ivar[n, p] / (1.0 + ivar[n, p] * variance[p]) if use else 0.0
            f = flux[n, p] - constant[p] if use else 0.0
            weight[n, p] = w
            weighted[n, p] = w * f
            total += w * f * f
            count += use
        c[n] = total
        n_pixels[n] = count
