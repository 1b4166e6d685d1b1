"""Eq. 5: the likelihood of θ and s² at B pixels of N stars, and its derivatives.

With r = f - θ·v and w = 1/(s² + σ²), the logarithm of the likelihood is ½ Σ log w - w r², with the gradient
(Σ w r v, ½ Σ w² r² - w) by θ and s² and the negative Hessian [[A, q], [qᵀ, h]], A = Σ w v vᵀ, q = Σ w² r v and
h = Σ w³ r² - ½ w². `counts` (N,) says how often each star is taken. The same as slow loops: `log_likelihood`,
`profile` and `train_pixel` of ``tests/oracle.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from ..parallel.compiled import compiled, compiled_sums
from .normal_matrices import PixelBlock

PIECE = 1024
"""Stars done at a time. With all at once the passes over a block wait for memory: training takes half as long again."""


@dataclass(frozen=True)
class Derivatives:
    """Of eq. 5 at B pixels: by θ (B, M), the coupling q (B, M), and sums over stars (B,).

    `weight` is Σ w, `slope` Σ w² r² - w, `curvature` Σ w² - 2 w³ r², twice the derivatives by s², and `information`
    Σ w², what is expected of minus the curvature.
    """

    gradient: np.ndarray
    coupling: np.ndarray
    weight: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    information: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Derivatives:
        return Derivatives(*(getattr(self, f.name)[rows] for f in fields(self)))

    def __add__(self, other: Derivatives) -> Derivatives:
        """All are sums over stars."""
        return Derivatives(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def derivatives(block: PixelBlock, coefficients: np.ndarray, variance: np.ndarray) -> Derivatives:
    """The derivatives at θ, `coefficients` (B, M), and s², `variance` (B,)."""
    n_pixels, n_terms = coefficients.shape
    moments, sums = np.zeros((2 * n_pixels, n_terms)), np.zeros((4, n_pixels))
    work = np.empty((2 * n_pixels, PIECE))
    for start in range(0, len(block.counts), PIECE):
        piece = block.design.vectors[:, start : start + PIECE]
        weighed = work[:, : piece.shape[1]]
        np.matmul(coefficients, piece, out=weighed[:n_pixels])
        _weigh(block.flux, block.ivar, block.counts, variance, start, piece.shape[1], work, sums)
        moments += weighed @ piece.T
    return Derivatives(moments[:n_pixels], moments[n_pixels:], *sums)


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
    """Turn the model flux in the first half of `work` (2B, size) into w r, the second into w² r; add to `sums`."""
    n_pixels = flux.shape[0]
    repeats = counts[start : start + size]
    for p in range(n_pixels):
        f, v = flux[p, start : start + size], ivar[p, start : start + size]
        wr, wwr, s2 = work[p, :size], work[n_pixels + p, :size], variance[p]
        weight = slope = curvature = information = 0.0
        for n in range(f.size):
            r = f[n] - wr[n]
            w = v[n] / (1.0 + v[n] * s2)
            counted = repeats[n] * w
            chi2 = w * r * r
            weight += counted
            slope += counted * (chi2 - 1.0)
            curvature += counted * w * (1.0 - 2.0 * chi2)
            information += counted * w
            wr[n] = counted * r
            wwr[n] = counted * w * r
        sums[0, p] += weight
        sums[1, p] += slope
        sums[2, p] += curvature
        sums[3, p] += information


@compiled_sums()
def slope_in_errors(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) derivative of eq. 5 by s² in its formal errors, from (B, N) residuals."""
    slopes = np.empty(ivar.shape[0])
    for p in range(ivar.shape[0]):
        slope = information = 0.0
        for n in range(ivar.shape[1]):
            w = ivar[p, n] / (1.0 + ivar[p, n] * variance[p])
            slope += counts[n] * w * (w * residual[p, n] * residual[p, n] - 1.0)
            information += counts[n] * w * w
        slopes[p] = slope / math.sqrt(2.0 * information)
    return slopes


@compiled()
def log_likelihood(residual: np.ndarray, ivar: np.ndarray, counts: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(B,) eq. 5 of each pixel, without its constant, from (B, N) residuals."""
    total = np.zeros(ivar.shape[0])
    for p in range(ivar.shape[0]):
        for n in range(ivar.shape[1]):
            if ivar[p, n] > 0:
                w = ivar[p, n] / (1.0 + ivar[p, n] * variance[p])
                total[p] += 0.5 * counts[n] * (math.log(w) - w * residual[p, n] * residual[p, n])
    return total
