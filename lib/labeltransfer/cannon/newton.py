"""Newton steps towards the maximum of eq. 5, of θ and s² together, for a block of B pixels.

With r = f - θ·v and w = 1/(s² + σ²), eq. 5 has the gradient (Σ w r v, ½ Σ w² r² - w) and the negative Hessian
[[A, q], [qᵀ, h]] with A = Σ w v vᵀ, q = Σ w² r v and h = Σ w³ r² - ½ w². All but A come from one pass over the
spectra, in pieces of stars that stay in a fast cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..parallel import compiled, compiled_sums

PIECE = 1024
"""Stars of a piece."""

FARTHEST = 10.0
"""Longest step of s², in mean variances of a star: what no star tells must not run away."""

STEEP = 3.0
"""Formal errors from the best s² beyond which the larger of expected and actual curvature avoids steps too far."""

BEND = 0.25
"""Share of a step by which its second order may lengthen or shorten it."""

TINY = 1e-300
"""What stands for a weight of zero in a denominator."""


@dataclass
class Derivatives:
    """Of eq. 5 by θ and s², all but A, at B pixels. Sums over stars, so that those of two sets of stars may be added.

    Attributes
    ----------
    gradient : (B, M) by θ, Σ w r v
    coupling : (B, M) q = Σ w² r v, minus the mixed second derivative by θ and s²
    sums : (B, 5) what the properties are
    """

    gradient: np.ndarray
    coupling: np.ndarray
    sums: np.ndarray

    def __add__(self, other: Derivatives) -> Derivatives:
        return Derivatives(self.gradient + other.gradient, self.coupling + other.coupling, self.sums + other.sums)

    @property
    def weight(self) -> np.ndarray:
        """(B,) Σ w."""
        return self.sums[:, 0]

    @property
    def slope(self) -> np.ndarray:
        """(B,) twice the first derivative by s², Σ w² r² - w."""
        return self.sums[:, 1]

    @property
    def curvature(self) -> np.ndarray:
        """(B,) twice the second derivative by s², Σ w² - 2 w³ r²."""
        return self.sums[:, 2]

    @property
    def information(self) -> np.ndarray:
        """(B,) Σ w², minus the expectation of the curvature."""
        return self.sums[:, 3]

    @property
    def third(self) -> np.ndarray:
        """(B,) the third derivative by s², Σ 3 w⁴ r² - w³."""
        return self.sums[:, 4]


@dataclass
class Matrices:
    """Cholesky factors (B, M, M) of A at some s² near the present one, and Σ w there, weight (B,).

    They stand for A at the present s² when scaled by the present Σ w. Where A is singular, `regular` (B,) is False.
    """

    factors: np.ndarray
    weight: np.ndarray
    regular: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Matrices:
        return Matrices(self.factors[rows], self.weight[rows], self.regular[rows])

    def put(self, rows: np.ndarray, other: Matrices) -> None:
        self.factors[rows], self.weight[rows], self.regular[rows] = other.factors, other.weight, other.regular

    def solve(self, right: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(B, M) A⁻¹ right, for A where Σ w is `weight` (B,)."""
        usable = self.regular & (self.weight > 0) & (weight > 0)
        scale = np.where(usable, weight, 1.0) / np.where(usable, self.weight, 1.0)
        return solve(self.factors, right) / scale[:, None]


def coefficients_step(
    slopes: Derivatives, allowed: np.ndarray, ridge: np.ndarray, matrices: Matrices, coefficients: np.ndarray
) -> None:
    """Move θ (B, M), in place, to the weighted least squares at the present s²; see `newton_step`."""
    gradient = (slopes.gradient - ridge * coefficients) * allowed
    coefficients += matrices.solve(gradient, slopes.weight)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def newton_step(
    slopes: Derivatives,
    allowed: np.ndarray,
    ridge: np.ndarray,
    matrices: Matrices,
    coefficients: np.ndarray,
    variance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Move θ (B, M) and s² (B,), in place, by one Newton step; not where A is singular or the step not finite.

    Parameters
    ----------
    slopes : the derivatives at θ and s²
    allowed : (B, M) terms that may act at the pixel
    ridge : (M,)
    matrices : A near the present s²

    Returns
    -------
    length : (B,) of the step in formal errors; infinite where there was none
    coupling : (B, M) about what it is after the step
    """
    gradient = (slopes.gradient - ridge * coefficients) * allowed
    coupling = slopes.coupling * allowed
    change = matrices.solve(gradient, slopes.weight)
    response = matrices.solve(coupling, slopes.weight)
    # the second order of the step: θ lowers the residuals, which moves s², and s² changes A by -Σ w² v vᵀ, for which
    # A Σ w² / Σ w stands
    mean = np.maximum(slopes.information, TINY) / np.maximum(slopes.weight, TINY)
    gain = np.einsum("pm,pm->p", change, gradient)
    ahead = gain * mean / 2 - np.einsum("pm,pm->p", change, coupling)
    shift, curvature = _variance_step(slopes, ahead, np.einsum("pm,pm->p", coupling, response))
    moved = np.maximum(variance + np.clip(shift, -FARTHEST / mean, FARTHEST / mean), 0.0)
    shift = moved - variance
    change = change * (1 + np.clip(shift * mean, -BEND, BEND)[:, None]) - shift[:, None] * response
    length = np.sqrt(np.maximum(gain, shift**2 * curvature).clip(0.0))
    usable = matrices.regular & np.isfinite(length) & np.isfinite(change).all(axis=1)
    coefficients[usable] += change[usable]
    variance[usable] = moved[usable]
    coupling = coupling * (1 - shift * mean)[:, None] - gradient * mean[:, None]
    return np.where(usable, length, np.inf), coupling


def _variance_step(slopes: Derivatives, ahead: np.ndarray, yielding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) step of s² by Halley's method, and the curvature it meets.

    `ahead` is what the step of θ adds to the slope, `yielding` what the response of θ takes from the curvature.
    """
    information = slopes.information
    steep = slopes.slope**2 > STEEP**2 * 2 * information
    h = np.where(steep, np.maximum(information, -slopes.curvature), -slopes.curvature) / 2 - yielding
    h = np.where(h > information / 8, h, np.maximum(information / 2, TINY))
    shift = (slopes.slope / 2 + ahead) / h
    return shift / (1 - np.clip(slopes.third * shift / (2 * h), -BEND, BEND)), h


def derivatives(
    flux: np.ndarray,
    ivar: np.ndarray,
    counts: np.ndarray,
    vectors: np.ndarray,
    coefficients: np.ndarray,
    variance: np.ndarray,
    coupling: np.ndarray | None = None,
) -> Derivatives:
    """Everything a step needs but A.

    Parameters
    ----------
    flux, ivar : (B, N)
    counts : (N,) how often each star is taken
    vectors : (M, N) label vectors
    coefficients, variance : (B, M), (B,) θ and s²
    coupling : (B, M) where it is known well enough, or not needed
    """
    n_pixels, n_terms = coefficients.shape
    n_moments = n_pixels if coupling is not None else 2 * n_pixels
    moments, sums = np.zeros((n_moments, n_terms)), np.zeros((n_pixels, 5))
    work = np.empty((n_moments, PIECE))
    for start in range(0, flux.shape[1], PIECE):
        piece = vectors[:, start : start + PIECE]
        weighed = work[:, : piece.shape[1]]
        np.matmul(coefficients, piece, out=weighed[:n_pixels])
        _weigh(flux, ivar, counts, variance, start, piece.shape[1], work, sums)
        moments += weighed @ piece.T
    return Derivatives(moments[:n_pixels], moments[n_pixels:] if coupling is None else coupling, sums)


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
    """Turn the model flux in `work` (B or 2B, size) into w r, its second half, if any, into w² r; add to `sums`."""
    n_pixels = flux.shape[0]
    coupled = work.shape[0] > n_pixels
    repeats = counts[start : start + size]
    for p in range(n_pixels):
        f, v = flux[p, start : start + size], ivar[p, start : start + size]
        wr = work[p, :size]
        wwr = work[n_pixels + p if coupled else p, :size]
        s2 = variance[p]
        weight = slope = curvature = information = third = 0.0
        for n in range(f.size):
            r = f[n] - wr[n]
            w = v[n] / (1.0 + v[n] * s2)
            counted = repeats[n] * w
            chi2 = w * r * r
            weight += counted
            slope += counted * (chi2 - 1.0)
            curvature += counted * w * (1.0 - 2.0 * chi2)
            information += counted * w
            third += counted * w * w * (3.0 * chi2 - 1.0)
            if coupled:
                wwr[n] = counted * w * r
            wr[n] = counted * r
        sums[p, 0] += weight
        sums[p, 1] += slope
        sums[p, 2] += curvature
        sums[p, 3] += information
        sums[p, 4] += third


@compiled()
def factorize(packed: np.ndarray, allowed: np.ndarray, ridge: np.ndarray, tolerance: float) -> tuple:
    """Cholesky factors of B normal matrices.

    Parameters
    ----------
    packed : (B, M(M+1)/2) upper triangles, row by row, of either floating type
    allowed : (B, M) terms that may act at the pixel; the others get a unit diagonal, so that they stay zero
    ridge : (M,) added to the diagonal
    tolerance : a term of which less than this share is independent of the earlier ones makes the matrix singular

    Returns
    -------
    factors : (B, M, M) lower triangles; ones on the diagonal where the matrix is singular
    regular : (B,) False where it is, or not finite
    """
    n_pixels, n_terms = allowed.shape
    factors = np.zeros((n_pixels, n_terms, n_terms))
    regular = np.ones(n_pixels, dtype=np.bool_)
    for p in range(n_pixels):
        L = factors[p]
        k = 0
        for i in range(n_terms):
            for j in range(i, n_terms):
                if allowed[p, i] and allowed[p, j]:
                    L[j, i] = packed[p, k]
                k += 1
            L[i, i] = L[i, i] + ridge[i] if allowed[p, i] else 1.0
        for i in range(n_terms):
            diagonal = L[i, i]
            for j in range(i):
                rest = L[i, j]
                for q in range(j):
                    rest -= L[i, q] * L[j, q]
                L[i, j] = rest / L[j, j]
                L[i, i] -= L[i, j] * L[i, j]
            if not tolerance * diagonal < L[i, i] < math.inf:
                regular[p] = False
                break
            L[i, i] = math.sqrt(L[i, i])
        if not regular[p]:
            L[:] = np.eye(n_terms)
    return factors, regular


@compiled()
def solve(factors: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(B, M) solutions of the factorized systems."""
    solution = right.copy()
    n_terms = right.shape[1]
    for p in range(right.shape[0]):
        L, x = factors[p], solution[p]
        for i in range(n_terms):
            for j in range(i):
                x[i] -= L[i, j] * x[j]
            x[i] /= L[i, i]
        for i in range(n_terms - 1, -1, -1):
            for j in range(i + 1, n_terms):
                x[i] -= L[j, i] * x[j]
            x[i] /= L[i, i]
    return solution
