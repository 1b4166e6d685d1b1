"""Errors of the reference labels: the corrected score that undoes their bending of the fitted curves, and weighting.

Observed labels are x = t + e, with Gaussian e of known covariance C. For every monomial of the true labels t there is a
polynomial h of the observed ones with that monomial as its expectation (multivariate Hermite polynomials):

    h() = 1,   h(i, rest) = x_i h(rest) - Σ_q C_iq h(rest without q)

In the normal equations A θ = b of eq. 5 at given s², h(a·b) replaces v_a v_b and h(a) replaces v_a: their expectation
is that for the true labels, for a polynomial of any order (Nakamura 1990, Biometrika 77, 127). The same as slow loops:
`corrected_coefficients` of ``tests/oracle.py``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from .likelihood import PixelBlock
from .model import label_vector, label_vector_derivatives, terms
from .normal_matrices import Design, inverted, products_of_pairs

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

    return np.stack([h(monomial) for monomial in monomials], axis=1)


class LabelErrors(Design):
    """What errors of the scaled labels change in a design: vectors h(a) - v_a (M, N) and products h(a·b) - v_a v_b."""

    def __init__(self, scaled: np.ndarray, covariance: np.ndarray, order: int) -> None:
        self.scaled, self.covariance, self.order = scaled, covariance, order
        moments = hermite_moments(scaled, covariance, terms(scaled.shape[1], order))
        super().__init__((moments - label_vector(scaled, order)).T)

    def products(self, rows: slice) -> np.ndarray:
        every, vectors = terms(self.scaled.shape[1], self.order), label_vector(self.scaled[rows], self.order)
        pairs = [tuple(sorted(a + b)) for m, a in enumerate(every) for b in every[m:]]
        return hermite_moments(self.scaled[rows], self.covariance[rows], pairs) - products_of_pairs(vectors)

    def widened(self, block: PixelBlock, theta: np.ndarray) -> PixelBlock:
        """With the variance that the errors cause in the flux at θ, (∂f/∂x) C (∂f/∂x)ᵀ, added to σ²."""
        slopes = np.einsum("pm,nlm->pnl", theta, label_vector_derivatives(self.scaled, self.order), optimize=True)
        variance = np.einsum("pnl,nlk,pnk->pn", slopes, self.covariance, slopes, optimize=True)
        return replace(block, ivar=block.ivar / (1.0 + block.ivar * np.maximum(variance, 0.0)))


def corrected_inverses(block: PixelBlock, errors: LabelErrors, variance: np.ndarray) -> tuple[np.ndarray, ...]:
    """At s² (B,): the inverse of the corrected A and the change of A (B, M, M), and the share of it made (B,).

    The share is 1, or less where A would not keep `MARGIN`: its eigenvalues relative to A are linear in the share.
    """
    inverse = np.nan_to_num(inverted(block.normal_matrices(variance), block.allowed))
    size, axes = np.linalg.eigh(inverse)
    root = axes * np.sqrt(np.maximum(size, 0.0))[:, None, :]  # A⁻¹ is this times its transpose
    change = errors.normal_matrices(block.weights(variance))
    relative, axes = np.linalg.eigh(root.transpose(0, 2, 1) @ change @ root)
    share = np.minimum(1.0, (1.0 - MARGIN) / np.maximum(-relative[:, 0], 1.0 - MARGIN))
    root = root @ axes / np.sqrt(1.0 + share[:, None] * relative)[:, None, :]
    return root @ root.transpose(0, 2, 1), change, share


def correct(block: PixelBlock, errors: LabelErrors, theta: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, ...]:
    """From a maximum, θ (B, M) and s² (B,): both without what errors of labels add, and the share corrected (B,).

    θ is that of the corrected normal equations; s² is lowered by what this takes from the mean of r² with weights w².
    """
    inverse, change, share = corrected_inverses(block, errors, variance)
    right = (block.weights(variance) * block.flux) @ errors.vectors.T - np.einsum("pab,pb->pa", change, theta)
    corrected = theta + share[:, None] * np.einsum("pab,pb->pa", inverse, right) * block.allowed
    squares = block.weights(variance) ** 2 / np.maximum(block.counts, 1e-300)
    labels = np.einsum("pab,pb->pa", errors.normal_matrices(squares), corrected)
    labels -= 2 * (squares * block.flux) @ errors.vectors.T
    before, after = (block.flux - coefficients @ block.design.vectors for coefficients in (theta, corrected))
    excess = (squares * (before**2 - after**2)).sum(axis=1) - share * (corrected * labels).sum(axis=1)
    return corrected, np.maximum(variance - excess / np.maximum(squares.sum(axis=1), 1e-300), 0.0), share
