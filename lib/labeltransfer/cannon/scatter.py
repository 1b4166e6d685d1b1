"""The scatter s of eq. 5 at given residuals: a search in one dimension for a block of B pixels.

Arrays have the N stars along the second, contiguous axis. `counts` (N,) says how often each star is in the reference
set: once, or any number of times in subsets and resamplings.
"""

from __future__ import annotations

import math

import numpy as np

from ..parallel import compiled, compiled_sums

ACCURACY = 0.01
"""Relative accuracy of s² after the search; the Newton steps that follow it are exact."""


@compiled_sums()
def weights(ivar: np.ndarray, variance: np.ndarray, counts: np.ndarray, out: np.ndarray) -> None:
    """w = counts / (s² + σ²) into `out` (B, N) of either floating type; masked pixels weigh exactly zero."""
    for p in range(ivar.shape[0]):
        s2 = variance[p]
        for n in range(ivar.shape[1]):
            out[p, n] = counts[n] * ivar[p, n] / (1.0 + ivar[p, n] * s2)


@compiled_sums()
def _slope(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: float) -> float:
    """Σ w² r² - w, twice the derivative of eq. 5 by s², for one pixel."""
    slope = 0.0
    for n in range(ivar.size):
        w = ivar[n] / (1.0 + ivar[n] * s2)
        slope += counts[n] * w * (w * residual[n] * residual[n] - 1.0)
    return slope


@compiled_sums()
def _slope_and_curvature(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: float) -> tuple[float, float]:
    """Twice the first and second derivative of eq. 5 by s² for one pixel."""
    slope = curvature = 0.0
    for n in range(ivar.size):
        w = ivar[n] / (1.0 + ivar[n] * s2)
        chi2 = w * residual[n] * residual[n]
        slope += counts[n] * w * (chi2 - 1.0)
        curvature += counts[n] * w * w * (1.0 - 2.0 * chi2)
    return slope, curvature


@compiled()
def _log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, s2: float) -> float:
    """Eq. 5 for one pixel, without its constant."""
    total = 0.0
    for n in range(ivar.size):
        if ivar[n] > 0:
            w = ivar[n] / (1.0 + ivar[n] * s2)
            total += 0.5 * counts[n] * (math.log(w) - w * residual[n] * residual[n])
    return total


@compiled()
def log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5 of each pixel, without its constant."""
    total = np.empty(ivar.shape[0])
    for p in range(ivar.shape[0]):
        total[p] = _log_likelihood(residual[p], ivar[p], counts, variance[p])
    return total


@compiled()
def _root(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Where the slope falls through zero between `low` (slope > 0) and `high` (slope <= 0): Newton within a bracket."""
    s2 = math.sqrt(low * high) if low > 0 else 0.5 * high
    for _ in range(60):
        slope, curvature = _slope_and_curvature(residual, ivar, counts, s2)
        if slope > 0:
            low = s2
        else:
            high = s2
        step = -slope / curvature if curvature < 0 else math.inf
        new = s2 + step if low < s2 + step < high else 0.5 * (low + high)
        if abs(new - s2) <= ACCURACY * s2:
            return new
        s2 = new
    return s2


@compiled()
def best_variance(
    residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, present: np.ndarray, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """(B,) the s² >= 0 that maximizes eq. 5 at fixed residuals, the highest of all its maxima; (B,) True where alone.

    Beyond the largest r² the slope is negative; below a hundredth of the smallest σ² it is constant. Between them a
    geometric grid of slopes in steps of `factor`, through the `present` s² (B,), brackets every maximum. Only where
    there are several are their likelihoods compared. Residuals that are not finite have s² = 0, not alone.
    """
    best = np.zeros(ivar.shape[0])
    alone = np.ones(ivar.shape[0], dtype=np.bool_)
    for p in range(ivar.shape[0]):
        r, v = residual[p], ivar[p]
        largest_r2 = largest_ivar = total = 0.0
        for n in range(v.size):
            if v[n] > 0 and counts[n] > 0:
                total += r[n] * r[n]
                largest_r2 = max(largest_r2, r[n] * r[n])
                largest_ivar = max(largest_ivar, v[n])
        if not 0.0 < total < math.inf:  # the model is exact, or the residuals are not finite
            alone[p] = total == 0.0
            continue
        highest = -math.inf
        n_maxima = 0
        high = largest_r2
        if 0 < present[p] < largest_r2:
            high = present[p] * factor ** math.ceil(math.log(largest_r2 / present[p]) / math.log(factor))
        at_high = -1.0
        while True:
            low = high / factor
            if low * largest_ivar < 0.01:
                low = 0.0
            at_low = _slope(r, v, counts, low)
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
        alone[p] = n_maxima == 1
    return best, alone
