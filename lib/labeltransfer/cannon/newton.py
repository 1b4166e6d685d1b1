"""Newton steps towards the maximum of eq. 5, of θ and s² together, for a block of B pixels.

With r = f - θ·v and w = 1/(s² + σ²), eq. 5 has the gradient (Σ w r v, ½ Σ w² r² - w) and the negative Hessian
[[A, q], [qᵀ, h]] with A = Σ w v vᵀ, q = Σ w² r v and h = Σ w³ r² - ½ w². All but A come from one pass over the
spectra, in pieces of stars that stay in a fast cache.
"""

from __future__ import annotations

import math

import numpy as np

from ..parallel import compiled, compiled_sums

PIECE = 1024
"""Stars of a piece."""


FARTHEST = 10.0
"""Longest step of s², in mean variances of a star: what no star tells must not run away."""

FAR = 3.0
"""Formal errors from the best s² beyond which the larger of expected and actual curvature avoids steps too far."""


BEND = 0.25
"""Share of a step by which its second order may lengthen or shorten it."""


def newton_step(
    slopes: tuple[np.ndarray, ...],
    allowed: np.ndarray,
    ridge: np.ndarray,
    factors: np.ndarray,
    total_weight: np.ndarray,
    coefficients: np.ndarray,
    variance: np.ndarray,
    move_variance: bool = True,
) -> np.ndarray:
    """One step, in place.

    Parameters
    ----------
    slopes : what `derivatives` gives; the coupling becomes about what it is after the step
    allowed : (B, M) terms that may act at the pixel
    ridge : (M,)
    factors, total_weight : (B, M, M), (B,) of the normal matrices and Σ w, both at some s² near the present one; the
        matrices are scaled by the present Σ w
    coefficients, variance : (B, M), (B,) θ and s², changed in place

    Returns
    -------
    (B,) length of the step in formal errors.
    """
    gradient, coupling, sums = slopes
    gradient = (gradient - ridge * coefficients) * allowed
    coupling *= allowed
    weight, information = np.maximum(sums[:, 0], 1e-300), np.maximum(sums[:, 3], 1e-300)
    scale = (
        np.where(total_weight > 0, sums[:, 0], 1.0)[:, None] / np.where(total_weight > 0, total_weight, 1.0)[:, None]
    )
    change = solve(factors, gradient) / scale
    length2 = np.einsum("pm,pm->p", change, gradient)
    if move_variance:
        response = solve(factors, coupling) / scale
        # the second order of the step: θ lowers the residuals, which moves s², and s² changes A by -Σ w² v vᵀ, for
        # which A Σ w² / Σ w stands
        mean = information / weight
        ahead = length2 * mean / 2 - np.einsum("pm,pm->p", change, coupling)
        shift, curvature = _variance_step(sums, ahead, np.einsum("pm,pm->p", coupling, response))
        moved = np.maximum(variance + np.clip(shift, -FARTHEST / mean, FARTHEST / mean), 0.0)
        shift = moved - variance
        length2 = np.maximum(length2, shift**2 * curvature)
        change *= 1 + np.clip(shift * mean, -BEND, BEND)[:, None]
        change -= shift[:, None] * response
        coupling *= 1 - (shift * mean)[:, None]
        coupling -= gradient * mean[:, None]
        variance[:] = moved
    coefficients += change
    return np.sqrt(np.maximum(length2, 0.0))


def _variance_step(sums: np.ndarray, ahead: np.ndarray, yielding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) step of s² by Halley's method, and the curvature it meets.

    `ahead` is what the step of θ adds to the slope, `yielding` what the response of θ takes from the curvature.
    """
    _, slope, curvature, information, third = sums.T
    far = slope**2 > FAR**2 * 2 * information
    h = np.where(far, np.maximum(information, -curvature), -curvature) / 2 - yielding
    h = np.where(h > information / 8, h, np.maximum(information / 2, 1e-300))
    shift = (slope / 2 + ahead) / h
    return shift / (1 - np.clip(third * shift / (2 * h), -BEND, BEND)), h


def derivatives(
    flux: np.ndarray,
    ivar: np.ndarray,
    counts: np.ndarray,
    vectors: np.ndarray,
    coefficients: np.ndarray,
    variance: np.ndarray,
    coupling: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Everything a step needs but A; sums over stars, so that those of two sets of stars may be added.

    Parameters
    ----------
    flux, ivar : (B, N)
    counts : (N,) how often each star is taken
    vectors : (M, N) label vectors
    coefficients, variance : (B, M), (B,) θ and s²
    coupling : (B, M) where it is known well enough

    Returns
    -------
    gradient, coupling : (B, M), (B, M) Σ w r v and Σ w² r v
    sums : (B, 5) Σ w; twice the first and second derivative by s², Σ w² r² - w and Σ w² - 2 w³ r²; Σ w², minus the
        expectation of the last; the third derivative by s², Σ 3 w⁴ r² - w³
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
    return moments[:n_pixels], moments[n_pixels:] if coupling is None else coupling, sums


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
    factors : (B, M, M) lower triangles
    regular : (B,) False where the matrix is singular
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
            if not L[i, i] > tolerance * diagonal:
                regular[p] = False
                L[i, i] = 1.0
            L[i, i] = math.sqrt(L[i, i])
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
