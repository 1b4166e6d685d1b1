"""Many small symmetric matrices at once, packed as upper triangles: sums of products, factors, solutions, inverses.

NumPy's own routines stop at the first that is singular; here it is told, and the others go on.
"""

from __future__ import annotations

import math

import numpy as np

from .parallel.compiled import compiled_sums

SINGULAR = 1e-10
"""Share of a term independent of the others below which its coefficient would be rounding errors, blown up."""


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


def inverted(packed: np.ndarray, allowed: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """(B, M, M) inverse of A and the ridge; zero at terms that may not act, and where A is singular."""
    roots = inverse_roots(factorize(packed, allowed, ridge)[0])
    return roots.transpose(0, 2, 1) @ roots
