"""Errors of the reference labels: the corrected score that undoes their bending of the fitted curves, and weighting.

Observed labels are x = t + e, with Gaussian e of known covariance C. For every monomial of the true labels t there is a
polynomial h of the observed ones with that monomial as its expectation (multivariate Hermite polynomials):

    h() = 1,   h(i, rest) = x_i h(rest) - Σ_q C_iq h(rest without q)

In the normal equations A θ = b of eq. 5 at given s², h(a·b) replaces v_a v_b and h(a) replaces v_a: their expectation
is that for the true labels, for a polynomial of any order (Nakamura 1990, Biometrika 77, 127). The same as slow loops:
`corrected_coefficients` of ``tests/oracle.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ..matrices import factorize, inverse_roots, inverted, n_products, products_of_pairs, unpacked
from .likelihood import Design, PixelBlock, weighted_products, weights
from .maximum import Maximum
from .model import label_vector, label_vector_derivatives, terms

MARGIN = 0.2
"""Smallest eigenvalue of the corrected A, relative to the uncorrected. With less, its own noise is blown up."""

SHORTENED = "the correction for label errors is shortened to keep the normal matrix positive definite"


def hermite_moments(scaled: np.ndarray, covariance: np.ndarray, monomials: list[tuple[int, ...]]) -> np.ndarray:
    """(N, K) h of K monomials, sorted tuples of label numbers, at (N, L) observed labels with covariances (N, L, L)."""

    @cache
    def h(monomial: tuple[int, ...]) -> np.ndarray:
        if not monomial:
            return np.ones(len(scaled))
        i, rest = monomial[-1], monomial[:-1]
        value = scaled[:, i] * h(rest)
        for q, j in enumerate(rest):
            value -= covariance[:, i, j] * h(rest[:q] + rest[q + 1 :])
        return value

    moments = np.empty((len(scaled), len(monomials)))
    for k, monomial in enumerate(monomials):
        moments[:, k] = h(monomial)
    return moments


class LabelErrors(Design):
    """What errors of the scaled labels change in a design: vectors h(a) - v_a (M, N) and products h(a·b) - v_a v_b."""

    def __init__(self, scaled: np.ndarray, covariance: np.ndarray, order: int) -> None:
        self.scaled, self.covariance, self.order = scaled, covariance, order
        self._terms = terms(scaled.shape[1], order)
        self._label_vectors = label_vector(scaled, order)
        super().__init__((hermite_moments(scaled, covariance, self._terms) - self._label_vectors).T)

    def _make(self, rows: slice, dtype: type) -> np.ndarray:
        pairs = [tuple(sorted(a + b)) for m, a in enumerate(self._terms) for b in self._terms[m:]]
        products = hermite_moments(self.scaled[rows], self.covariance[rows], pairs)
        products -= products_of_pairs(self._label_vectors[rows])
        return products.astype(dtype, copy=False)

    def _of_stars(self, rows: np.ndarray) -> LabelErrors:
        some = LabelErrors(self.scaled[rows], self.covariance[rows], self.order)
        some._tables = super()._of_stars(rows)._tables
        return some

    def widened(self, block: PixelBlock, at: Maximum) -> PixelBlock:
        """With the variance that the errors cause in the flux at θ, (∂f/∂x) C (∂f/∂x)ᵀ, added to σ²."""
        coefficients = np.where(at.solved[:, None], at.coefficients, 0.0)
        slopes = np.einsum(
            "pm,nlm->pnl", coefficients, label_vector_derivatives(self.scaled, self.order), optimize=True
        )
        variance = np.einsum("pnl,nlk,pnk->pn", slopes, self.covariance, slopes, optimize=True)
        return replace(block, ivar=block.ivar / (1.0 + block.ivar * np.maximum(variance, 0.0)))


def moments(block: PixelBlock, designs: Sequence[Design], variance: np.ndarray) -> list[np.ndarray]:
    """Of each design, with the weights w of s², `variance` (B,): sums over stars of what `split` takes apart."""
    weight = weights(block.ivar, variance, block.counts)
    squares = weight * weights(block.ivar, variance, np.ones(len(block.counts)))
    return [
        np.hstack(
            [
                *(weighted_products(one, design) for one in (weight, squares)),
                *((one * block.flux) @ design.vectors.T for one in (weight, squares)),
            ]
        )
        for design in designs
    ]


def split(moments: np.ndarray, n_terms: int) -> list[np.ndarray]:
    """Sums of w, and of w², times the products of a design (B, M(M+1)/2), and of w, and w², times f v (B, M)."""
    return np.split(moments, np.cumsum([n_products(n_terms), n_products(n_terms), n_terms]), axis=1)


def corrected_matrices(
    block: PixelBlock, packed: np.ndarray, packed_change: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From A and its change: the inverse of the corrected A and the change (B, M, M), the share of it made (B,).

    The share is 1, or less where A would not keep `MARGIN`: the relative eigenvalues are linear in it.
    """
    inverse, share = inverted(packed + packed_change, block.allowed, block.ridge), np.ones(len(packed))
    left = 1.0 - MARGIN
    _, definite = factorize(left * packed + packed_change, block.allowed, left * block.ridge)
    short, change = np.flatnonzero(definite == 0), unpacked(packed_change, block.allowed.shape[1])
    if short.size:
        root = inverse_roots(factorize(packed[short], block.allowed[short], block.ridge)[0])
        relative, rotation = np.linalg.eigh(root @ change[short] @ root.transpose(0, 2, 1))
        share[short] = np.minimum(1.0, left / np.maximum(-relative[:, 0], left))
        root = rotation.transpose(0, 2, 1) @ root / np.sqrt(1.0 + share[short, None] * relative)[:, :, None]
        inverse[short] = root.transpose(0, 2, 1) @ root
    return inverse, change, share


class CorrectedScore:
    """The corrected normal equations of a block at the weights of s², `variance` (B,), for S sizes of label errors."""

    def __init__(self, block: PixelBlock, errors: Sequence[LabelErrors], variance: np.ndarray) -> None:
        self.block, self.errors, self.variance = block, errors, variance
        self.of_all = moments(block, [block.design, *errors], variance)

    def correct(self, at: Maximum, counts: np.ndarray) -> tuple[list[Maximum], int]:
        """Of a maximum for stars taken `counts` (N,) times; and how many corrections are shortened to a share."""
        rows = np.flatnonzero(counts != 1)
        others, errors = self.block.of_stars(rows, counts[rows] - 1), [one.of_stars(rows) for one in self.errors]
        of_subset = moments(others, [others.design, *errors], self.variance)
        plain, *changes = (one + more for one, more in zip(self.of_all, of_subset, strict=True))
        results, shares = zip(*(corrected(self.block, at, plain, change) for change in changes), strict=True)
        return list(results), sum(int(np.count_nonzero(at.solved & (share < 1))) for share in shares)


def corrected(block: PixelBlock, at: Maximum, plain: np.ndarray, change: np.ndarray) -> tuple[Maximum, np.ndarray]:
    """θ of the corrected normal equations, s² without what errors of labels add to it; the share made (B,).

    From moments of the design and what label errors change in them. s² is lowered by what the correction takes from the
    mean squared residual, Σ w² r² / Σ w².
    """
    n_terms = at.coefficients.shape[1]
    products, squares, _, flux_of_squares = split(plain, n_terms)
    more_products, more_squares, more_flux, more_flux_of_squares = split(change, n_terms)
    inverse, of_products, share = corrected_matrices(block, products, more_products)
    right = more_flux - np.einsum("pab,pb->pa", of_products, at.coefficients)
    theta = at.coefficients + share[:, None] * np.einsum("pab,pb->pa", inverse, right) * block.allowed

    def squared_residuals(theta: np.ndarray, squares: np.ndarray, flux: np.ndarray) -> np.ndarray:
        """Σ w² (r² - f²)."""
        matrices = unpacked(squares, n_terms)
        return np.einsum("pa,pab,pb->p", theta, matrices, theta, optimize=True) - 2 * (theta * flux).sum(axis=1)

    before, after = (squared_residuals(one, squares, flux_of_squares) for one in (at.coefficients, theta))
    excess = before - after - share * squared_residuals(theta, more_squares, more_flux_of_squares)
    s2 = np.maximum(at.variance - excess / np.maximum(squares[:, 0], 1e-300), 0.0)
    return Maximum(theta, s2, at.solved, at.alone), share
