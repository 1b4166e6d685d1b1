"""Levenberg-Marquardt on the compressed χ², from every starting point of every star, with exact derivatives.

The steps of Gauss and Newton suffice for most stars. Where the model bends much within the errors they overshoot for
ever; a descent that has not ended after a few steps goes on with the exact Hessian of the quartic. Covariances are
always those of Gauss and Newton.
"""

from __future__ import annotations

import math

import numpy as np

from ..parallel.compiled import compiled, compiled_sums

MAX_STEPS = 100
PATIENCE = 6
"""Steps before the exact Hessian is used, where it is positive definite."""

STEP_TOLERANCE = 1e-12
"""A minimum is reached when the squared length of the next step, in formal errors, is below this."""

SAME_HEIGHT = 1e-6
"""Ends of two descents that differ by less in χ² are the same minimum, and the first start that found it counts."""

WANDERED = 1e3
"""A start that wanders further than this, in scaled labels, is given up."""

SINGULAR = 1e-13
"""Share of a label's information independent of the others below which labels are not told apart."""

DISTINCT = 1e-4
"""Two minima are distinct when their squared distance, in formal errors, is above this; a descent that comes closer to
the end of an earlier one has joined it."""


@compiled()
def _terms(
    x: np.ndarray, parents: np.ndarray, factors: np.ndarray, v: np.ndarray, jacobian: np.ndarray, derivatives: bool
) -> None:
    """Terms v (M,) of the label vector and, on request, their derivatives (L, M) by the scaled labels x."""
    v[0] = 1.0
    for m in range(1, v.size):
        v[m] = v[parents[m]] * x[factors[m]]
        if derivatives:
            for k in range(x.size):
                jacobian[k, m] = jacobian[k, parents[m]] * x[factors[m]]
            jacobian[factors[m], m] += v[parents[m]]


@compiled_sums()
def _form(A: np.ndarray, b: np.ndarray, v: np.ndarray, excess: np.ndarray) -> float:
    """vᵀ A v - 2 bᵀ v; `excess` becomes A v - b."""
    total = 0.0
    for i in range(b.size):
        product = 0.0
        for j in range(b.size):
            product += A[i, j] * v[j + 1]
        excess[i] = product - b[i]
        total += v[i + 1] * (product - 2.0 * b[i])
    return total


@compiled_sums()
def _normal(A: np.ndarray, jacobian: np.ndarray, half: np.ndarray, normal: np.ndarray) -> None:
    """Jᵀ A J, half the Gauss-Newton Hessian, skipping the zeros of J; `half` is work space."""
    n_labels, n_terms = jacobian.shape
    for k in range(n_labels):
        half[k, :] = 0.0
        for m in range(1, n_terms):
            slope = jacobian[k, m]
            if slope != 0.0:
                for i in range(n_terms - 1):
                    half[k, i] += slope * A[m - 1, i]
        for q in range(k + 1):
            total = 0.0
            for m in range(1, n_terms):
                total += half[k, m - 1] * jacobian[q, m]
            normal[k, q] = total
            normal[q, k] = total


@compiled()
def _bend(
    x: np.ndarray,
    excess: np.ndarray,
    parents: np.ndarray,
    factors: np.ndarray,
    free: np.ndarray,
    jacobian: np.ndarray,
    second: np.ndarray,
    hessian: np.ndarray,
) -> None:
    """Add Σ excess ∂²v to the Hessian; `second` (M, L, L) is work space for ∂²v of terms of higher order than one."""
    for m in range(1, parents.size):
        p, f = parents[m], factors[m]
        if p == 0:
            continue
        for k in range(x.size):
            for q in range(x.size):
                second[m, k, q] = second[p, k, q] * x[f] if parents[p] != 0 else 0.0
        for k in range(x.size):
            second[m, k, f] += jacobian[k, p]
            second[m, f, k] += jacobian[k, p]
        for k in range(x.size):
            for q in range(x.size):
                if free[k] and free[q]:
                    hessian[k, q] += excess[m - 1] * second[m, k, q]


@compiled()
def _solve(matrix: np.ndarray, damping: float, right: np.ndarray, factor: np.ndarray, solution: np.ndarray) -> bool:
    """Solve (matrix + damping · its diagonal) x = right by Cholesky's method; False if not positive definite."""
    n = right.size
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i, j] * (1.0 + damping) if i == j else matrix[i, j]
            for q in range(j):
                rest -= factor[i, q] * factor[j, q]
            if i == j:
                if not rest > SINGULAR * matrix[i, i]:
                    return False
                factor[i, i] = math.sqrt(rest)
            else:
                factor[i, j] = rest / factor[j, j]
    for i in range(n):
        rest = right[i]
        for q in range(i):
            rest -= factor[i, q] * solution[q]
        solution[i] = rest / factor[i, i]
    for i in range(n - 1, -1, -1):
        rest = solution[i]
        for q in range(i + 1, n):
            rest -= factor[q, i] * solution[q]
        solution[i] = rest / factor[i, i]
    return True


@compiled()
def _copy(values: np.ndarray, target: np.ndarray) -> None:
    """One by one: an assignment of arrays takes seconds to compile."""
    for k in range(values.size):
        target[k] = values[k]


@compiled()
def minimize(
    packed: np.ndarray,
    b: np.ndarray,
    starts: np.ndarray,
    parents: np.ndarray,
    factors: np.ndarray,
    free: np.ndarray,
    fixed: np.ndarray,
    prior_mean: np.ndarray,
    prior_weight: np.ndarray,
) -> tuple:
    """Minimize χ²(x) + Σ prior_weight (x - prior_mean)² for n stars from S starting points each.

    Parameters
    ----------
    packed, b : (n, M(M-1)/2), (n, M-1) the compressed χ²
    starts : (S, L) scaled labels
    parents, factors : (M,) the tree of terms, see `cannon.term_tree`
    free : (L,) False for labels held at `fixed`
    fixed, prior_mean, prior_weight : (n, L) in scaled labels

    Returns
    -------
    x : (n, L) the best minimum, NaN if none was reached, or if χ² there does not tell the labels apart
    covariance : (n, L, L) inverse of Jᵀ A J + priors there
    chi2 : (n,) χ² there without its constant c and without the priors
    start : (n,) the first starting point that reached it, -1 if none did
    rise, distance : (n,) of the second best distinct minimum: how much higher the objective is there, and how many
        formal errors it is away; infinite where every start ended in the same minimum
    """
    n_stars, n_labels, n_terms = len(b), starts.shape[1], parents.size
    best_x = np.full((n_stars, n_labels), np.nan)
    covariance = np.full((n_stars, n_labels, n_labels), np.nan)
    chi2 = np.full(n_stars, np.nan)
    best_start = np.full(n_stars, -1)
    rise, distance = np.full(n_stars, np.inf), np.full(n_stars, np.inf)

    A = np.empty((n_terms - 1, n_terms - 1))
    v, jacobian, excess = np.empty(n_terms), np.zeros((n_labels, n_terms)), np.empty(n_terms - 1)
    half, normal = np.empty((n_labels, n_terms - 1)), np.empty((n_labels, n_labels))
    second, hessian = np.empty((n_terms, n_labels, n_labels)), np.empty((n_labels, n_labels))
    factor, gradient, step = np.empty((n_labels, n_labels)), np.empty(n_labels), np.empty(n_labels)
    x, trial = np.empty(n_labels), np.empty(n_labels)
    minima, heights = np.empty(starts.shape), np.empty(len(starts))

    for n in range(n_stars):
        k = 0
        for i in range(n_terms - 1):
            for j in range(i, n_terms - 1):
                A[i, j] = packed[n, k]
                A[j, i] = packed[n, k]
                k += 1
        for s in range(len(starts)):
            heights[s] = np.inf
            for k in range(n_labels):
                x[k] = starts[s, k] if free[k] else fixed[n, k]
            _terms(x, parents, factors, v, jacobian, True)
            height = _form(A, b[n], v, excess) + _penalty(x, prior_mean[n], prior_weight[n])
            damping = 1e-3
            for steps in range(MAX_STEPS):
                _downhill(A, excess, x, prior_mean[n], prior_weight[n], free, jacobian, half, normal, gradient)
                for k in range(n_labels):
                    _copy(normal[k], hessian[k])
                if steps >= PATIENCE:
                    _bend(x, excess, parents, factors, free, jacobian, second, hessian)
                if not _solve(hessian, damping, gradient, factor, step) and not _solve(
                    normal, damping, gradient, factor, step
                ):
                    break
                length2 = 0.0
                for k in range(n_labels):
                    length2 += step[k] * gradient[k]
                    trial[k] = x[k] + step[k]
                _terms(trial, parents, factors, v, jacobian, False)
                new = _form(A, b[n], v, excess) + _penalty(trial, prior_mean[n], prior_weight[n])
                if length2 <= STEP_TOLERANCE or new < height:
                    _copy(trial, x)
                    height, damping = new, damping / 10.0
                    if length2 <= STEP_TOLERANCE and damping < 1e-2:
                        _copy(x, minima[s])
                        heights[s] = height
                        break
                    joined = _joined(x, minima, heights, s, normal)
                    if joined >= 0:
                        _copy(minima[joined], minima[s])
                        heights[s] = heights[joined]
                        break
                    _terms(x, parents, factors, v, jacobian, True)
                else:
                    damping = max(10.0 * damping, 1e-3)
                    _terms(x, parents, factors, v, jacobian, False)
                    _form(A, b[n], v, excess)
                if not new < np.inf or damping > 1e12 or np.abs(x).max() > WANDERED:
                    break
        lowest = heights.min()
        if not np.isfinite(lowest):
            continue
        winner = np.argmax(heights <= lowest + SAME_HEIGHT)
        _copy(minima[winner], best_x[n])
        _terms(best_x[n], parents, factors, v, jacobian, True)
        chi2[n] = _form(A, b[n], v, excess)
        _downhill(A, excess, best_x[n], prior_mean[n], prior_weight[n], free, jacobian, half, normal, gradient)
        if not _invert(normal, free, factor, gradient, step, covariance[n]):
            best_x[n], covariance[n], chi2[n] = np.nan, np.nan, np.nan
            continue
        best_start[n] = winner
        for other in range(len(starts)):
            if heights[other] < np.inf:
                apart = _length2(minima[other], best_x[n], normal)
                if apart > DISTINCT and heights[other] - heights[winner] < rise[n]:
                    rise[n], distance[n] = heights[other] - heights[winner], math.sqrt(apart)
    return best_x, covariance, chi2, best_start, rise, distance


@compiled()
def _invert(
    normal: np.ndarray, free: np.ndarray, factor: np.ndarray, unit: np.ndarray, column: np.ndarray, inverse: np.ndarray
) -> bool:
    """The inverse of the normal matrix, zero for labels held fixed; False where it is singular."""
    for k in range(free.size):
        unit[:] = 0.0
        unit[k] = 1.0
        if not _solve(normal, 0.0, unit, factor, column):
            return False
        for q in range(free.size):
            inverse[k, q] = column[q] if free[k] else 0.0
    return True


@compiled()
def _length2(x: np.ndarray, origin: np.ndarray, normal: np.ndarray) -> float:
    """(x - origin)ᵀ normal (x - origin)."""
    total = 0.0
    for k in range(x.size):
        for q in range(x.size):
            total += (x[k] - origin[k]) * normal[k, q] * (x[q] - origin[q])
    return total


@compiled()
def _joined(x: np.ndarray, minima: np.ndarray, heights: np.ndarray, n_before: int, normal: np.ndarray) -> int:
    """Which of the minima that earlier starts reached lies within `DISTINCT` of x; -1 if none does."""
    for s in range(n_before):
        if heights[s] < np.inf and _length2(x, minima[s], normal) < DISTINCT:
            return s
    return -1


@compiled()
def _penalty(x: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> float:
    """Σ weight (x - mean)²."""
    total = 0.0
    for k in range(x.size):
        total += weight[k] * (x[k] - mean[k]) ** 2
    return total


@compiled()
def _downhill(
    A: np.ndarray,
    excess: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray,
    free: np.ndarray,
    jacobian: np.ndarray,
    half: np.ndarray,
    normal: np.ndarray,
    gradient: np.ndarray,
) -> None:
    """Half the Gauss-Newton Hessian and minus half the gradient of the objective; fixed labels are kept in place."""
    _normal(A, jacobian, half, normal)
    for k in range(x.size):
        total = 0.0
        for m in range(excess.size):
            total += jacobian[k, m + 1] * excess[m]
        gradient[k] = -total - weight[k] * (x[k] - mean[k])
        normal[k, k] += weight[k]
    for k in range(x.size):
        if not free[k]:
            normal[k, :] = 0.0
            normal[:, k] = 0.0
            normal[k, k] = 1.0
            gradient[k] = 0.0
