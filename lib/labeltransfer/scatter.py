"""Compiled passes of the training step: weights, the scatter of eq. 5 at given residuals, small linear systems.

Everything here works on a block of B pixels with the N stars along the second, contiguous axis, and in double precision
unless said otherwise. `counts` (N,) says how often each star is in the reference set: 1, or 0 and more in subsamples.
"""

from __future__ import annotations

import math

import numba
import numpy as np

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered; NaN and infinity keep their meaning."""

GRID_FACTOR = 4.0
"""Step in s² of the search for the scatter: a factor of two in s, finer than any two maxima of eq. 5 lie apart."""


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def weights(ivar: np.ndarray, variance: np.ndarray, counts: np.ndarray, out: np.ndarray) -> None:
    """w = counts / (s² + σ²) into `out` (B, N) of either floating type; masked pixels weigh exactly zero."""
    for p in range(ivar.shape[0]):
        s2 = variance[p]
        for n in range(ivar.shape[1]):
            out[p, n] = counts[n] * ivar[p, n] / (1.0 + ivar[p, n] * s2)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def weigh_residuals(
    residual: np.ndarray,
    ivar: np.ndarray,
    variance: np.ndarray,
    counts: np.ndarray,
    weighted: np.ndarray,
    derivatives: np.ndarray,
) -> None:
    """w r into `weighted` (B, N); into `derivatives` (B, 3) those of twice eq. 5 by s², and the expected curvature.

    First derivative Σ w² r² - w; second Σ w² - 2 w³ r²; its expectation is -Σ w².
    """
    for p in range(ivar.shape[0]):
        s2 = variance[p]
        slope = curvature = information = 0.0
        for n in range(ivar.shape[1]):
            w = ivar[p, n] / (1.0 + ivar[p, n] * s2)
            wr = w * residual[p, n]
            chi2 = wr * residual[p, n]
            weighted[p, n] = counts[n] * wr
            slope += counts[n] * w * (chi2 - 1.0)
            curvature += counts[n] * w * w * (1.0 - 2.0 * chi2)
            information += counts[n] * w * w
        derivatives[p, 0] = slope
        derivatives[p, 1] = curvature
        derivatives[p, 2] = information


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _slope(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: float) -> tuple[float, float]:
    """First and second derivative of twice eq. 5 by s² for one pixel."""
    slope = curvature = 0.0
    for n in range(ivar.size):
        w = ivar[n] / (1.0 + ivar[n] * s2)
        chi2 = w * residual[n] * residual[n]
        slope += counts[n] * w * (chi2 - 1.0)
        curvature += counts[n] * w * w * (1.0 - 2.0 * chi2)
    return slope, curvature


@numba.njit(cache=True, nogil=True)
def _log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: float) -> float:
    """Eq. 5 for one pixel, without its constant."""
    total = 0.0
    for n in range(ivar.size):
        if ivar[n] > 0:
            w = ivar[n] / (1.0 + ivar[n] * s2)
            total += 0.5 * counts[n] * (math.log(w) - w * residual[n] * residual[n])
    return total


@numba.njit(cache=True, nogil=True)
def log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5 of each pixel, without its constant."""
    total = np.empty(ivar.shape[0])
    for p in range(ivar.shape[0]):
        total[p] = _log_likelihood(residual[p], ivar[p], counts, variance[p])
    return total


@numba.njit(cache=True, nogil=True)
def _root(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Where the slope falls through zero between `low` (slope > 0) and `high` (slope <= 0): Newton within a bracket."""
    s2 = math.sqrt(low * high) if low > 0 else 0.5 * high
    for _ in range(60):
        slope, curvature = _slope(residual, ivar, counts, s2)
        if slope > 0:
            low = s2
        else:
            high = s2
        step = -slope / curvature if curvature < 0 else math.inf
        if abs(step) <= 1e-6 * s2 or high - low <= 1e-12 * high:
            break
        s2 += step
        if not low < s2 < high:
            s2 = 0.5 * (low + high)
    return min(max(s2 + step, low), high) if math.isfinite(step) else s2


@numba.njit(cache=True, nogil=True)
def best_variance(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B,) the s² >= 0 that maximizes eq. 5 at fixed residuals: the highest of all its maxima.

    Beyond the largest r² the slope is negative; below a hundredth of the smallest σ² it is constant. Between them a
    geometric grid of slopes brackets every maximum. Only where there are several are their likelihoods compared.
    """
    best = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        r, v = residual[p], ivar[p]
        largest_r2 = largest_ivar = 0.0
        for n in range(v.size):
            if v[n] > 0 and counts[n] > 0:
                largest_r2 = max(largest_r2, r[n] * r[n])
                largest_ivar = max(largest_ivar, v[n])
        if largest_r2 == 0.0:
            continue
        highest = -math.inf
        n_maxima = 0
        high = largest_r2
        at_high = -1.0
        while True:
            low = high / GRID_FACTOR
            if low * largest_ivar < 0.01:
                low = 0.0
            at_low = _slope(r, v, counts, low)[0]
            peak = low == 0.0 and at_low <= 0
            crossing = at_low > 0 and at_high <= 0
            if peak or crossing:
                s2 = _root(r, v, counts, low, high) if crossing else 0.0
                n_maxima += 1
                if n_maxima == 1:
                    best[p] = s2
                else:
                    if n_maxima == 2:
                        highest = _log_likelihood(r, v, counts, best[p])
                    here = _log_likelihood(r, v, counts, s2)
                    if here > highest:
                        highest, best[p] = here, s2
            if low == 0.0:
                break
            high, at_high = low, at_low
    return best


@numba.njit(cache=True, nogil=True)
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


@numba.njit(cache=True, nogil=True)
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
