"""Normal matrices Σ w v vᵀ of all pixels at once, ten times faster than one by one, and their inverses."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..parallel import compiled_sums

PRODUCTS_LIMIT = 500e6
"""Bytes of a table of products. Beyond it tables are made for some stars at a time, or memory would not hold them."""

SINGULAR = 1e-10
"""Share of a term independent of the earlier ones below which its coefficient would be rounding errors, blown up."""


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
    """The label vectors of N stars, (M, N), which all pixels share, and the table of their products."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = np.ascontiguousarray(vectors)

    def products(self, rows: slice) -> np.ndarray:
        """(n, M(M+1)/2) of some stars."""
        return products_of_pairs(self.vectors.T[rows])

    @cached_property
    def _table(self) -> np.ndarray:
        return self.products(slice(None))

    def normal_matrices(self, weight: np.ndarray) -> np.ndarray:
        """(B, N) weights to (B, M, M) Σ w v vᵀ."""
        n_terms, n_stars = self.vectors.shape
        step = max(1, int(PRODUCTS_LIMIT / (8 * n_products(n_terms))))
        parts = [slice(start, start + step) for start in range(0, n_stars, step)]
        packed = sum(weight[:, rows] @ (self.products(rows) if parts[1:] else self._table) for rows in parts)
        matrices, upper = np.empty((len(weight), n_terms, n_terms)), np.triu_indices(n_terms)
        matrices[:, *upper] = matrices[:, *upper[::-1]] = packed
        return matrices


@compiled_sums()
def inverted(matrices: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(B, M, M) inverses over the terms that may act, by allowed (B, M): Gauss-Jordan elimination of term after term.

    Zero at the other terms; all NaN where the matrix is singular.
    """
    inverses = np.empty_like(matrices)
    for p in range(len(matrices)):
        S = inverses[p]
        S[:] = matrices[p] * np.outer(allowed[p], allowed[p])
        for k in np.flatnonzero(allowed[p]):
            if not SINGULAR * matrices[p, k, k] < S[k, k] < np.inf:
                S[:] = np.nan
                break
            pivot, column, row = S[k, k], S[:, k].copy(), S[k] / S[k, k]
            for i in range(len(S)):
                for j in range(len(S)):
                    S[i, j] -= column[i] * row[j]
            S[k], S[:, k] = row, -column / pivot
            S[k, k] = 1.0 / pivot
    return inverses
