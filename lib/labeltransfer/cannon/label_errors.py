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

from .likelihood import weights
from .maximum import Maximum
from .model import label_vector, label_vector_derivatives, terms
from .normal_matrices import Design, PixelBlock, factorize, inverse_roots, inverted, unpacked, weighted_products

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
        vectors, start = self._label_vectors[rows], 0
        for m in range(len(self._terms)):
            stop = start + len(self._terms) - m
            products[:, start:stop] -= vectors[:, m:] * vectors[:, m : m + 1]
            start = stop
        return products.astype(dtype, copy=False)

    def widened(self, block: PixelBlock, at: Maximum) -> PixelBlock:
        """With the variance that the errors cause in the flux at θ, (∂f/∂x) C (∂f/∂x)ᵀ, added to σ²."""
        coefficients = np.where(at.solved[:, None], at.coefficients, 0.0)
        slopes = np.einsum(
            "pm,nlm->pnl", coefficients, label_vector_derivatives(self.scaled, self.order), optimize=True
        )
        variance = np.einsum("pnl,nlk,pnk->pn", slopes, self.covariance, slopes, optimize=True)
        return replace(block, ivar=block.ivar / (1.0 + block.ivar * np.maximum(variance, 0.0)))


def corrected_matrices(
    block: PixelBlock, design: Design, errors: LabelErrors, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With (B, N) weights: the inverse of the corrected A and the change (B, M, M), the share of it made (B,).

    The share is 1, or less where A would not keep `MARGIN`: the relative eigenvalues are linear in it.
    """
    packed, change = weighted_products(weight, design), weighted_products(weight, errors)
    inverse, share = inverted(packed + change, block), np.ones(len(packed))
    left = 1.0 - MARGIN
    _, definite = factorize(left * packed + change, block.allowed, left * block.ridge)
    short, change = np.flatnonzero(definite == 0), unpacked(change, len(design.vectors))
    if short.size:
        root = inverse_roots(factorize(packed[short], block.allowed[short], block.ridge)[0])
        relative, rotation = np.linalg.eigh(root @ change[short] @ root.transpose(0, 2, 1))
        share[short] = np.minimum(1.0, left / np.maximum(-relative[:, 0], left))
        root = rotation.transpose(0, 2, 1) @ root / np.sqrt(1.0 + share[short, None] * relative)[:, :, None]
        inverse[short] = root.transpose(0, 2, 1) @ root
    return inverse, change, share


def correct(
    block: PixelBlock, design: Design, errors: LabelErrors, counts: np.ndarray, at: Maximum
) -> tuple[Maximum, int]:
    """θ of the corrected normal equations at the weights of a maximum, s² without what errors of labels add to it.

    s² is lowered by what the correction takes from the mean squared residual, Σ w² r² / Σ w². Also returned: at how
    many pixels the correction was shortened to keep A positive definite.
    """
    weight = weights(block.ivar, at.variance, counts)
    inverse, change, share = corrected_matrices(block, design, errors, weight)
    right = (weight * block.flux) @ errors.vectors.T - np.einsum("pab,pb->pa", change, at.coefficients)
    theta = at.coefficients + share[:, None] * np.einsum("pab,pb->pa", inverse, right) * block.allowed
    squares = weight * weights(block.ivar, at.variance, np.ones(len(counts)))
    change = unpacked(weighted_products(squares, errors), len(design.vectors))
    label_part = np.einsum("pab,pb->pa", change, theta) - 2 * (squares * block.flux) @ errors.vectors.T
    before, after = (block.flux - c @ design.vectors for c in (at.coefficients, theta))
    excess = (squares * (before**2 - after**2)).sum(axis=1) - share * (theta * label_part).sum(axis=1)
    variance = np.maximum(at.variance - excess / np.maximum(squares.sum(axis=1), 1e-300), 0.0)
    return Maximum(theta, variance, at.solved, at.alone), int(np.count_nonzero(at.solved & (share < 1)))
