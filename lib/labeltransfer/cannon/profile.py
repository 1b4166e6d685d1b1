"""All maxima of eq. 5 for a block of B pixels of N stars: a search along s², at each of which θ is least squares.

The profile of eq. 5, its height at the best θ for each s², is a function of one variable whose slope is known. A grid
of s² brackets its maxima, and in each bracket regula falsi finds the root of the slope: a way to the top that cannot
fail, for the few pixels where faster ways may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .blocks import Design, Maximum, PixelBlock, normal_matrices
from .newton import TINY, derivatives, factorize, solve
from .scatter import log_likelihood

GRID = 2.0 ** np.arange(-20, 3)
"""Values of s² tried, in variances of the flux: down to 1/1000 of its standard deviation."""

REFINEMENTS = 60
"""Steps of regula falsi at most."""

FLAT = 1e-8
"""At the top the slope is below this, in its formal errors."""

SINGULAR = 1e-10
"""Share of a term independent of the others below which the stars do not determine the terms."""


@dataclass
class Point:
    """Of the profile at one s² of each pixel: θ (B, M), s², slope by s² in its formal errors, height (B,).

    Where the stars do not determine θ, the slope is NaN and the height minus infinity.
    """

    coefficients: np.ndarray
    variance: np.ndarray
    slope: np.ndarray
    height: np.ndarray

    @classmethod
    def at(cls, block: PixelBlock, design: Design, counts: np.ndarray, variance: np.ndarray) -> Point:
        packed = normal_matrices(block, design, counts, variance)
        factors, regular = factorize(packed, block.allowed, design.ridge, SINGULAR)
        allowed = block.allowed & regular[:, None]
        pixels, coefficients = (block.flux, block.ivar, counts, design.vectors), np.zeros(allowed.shape)
        for _ in range(2):  # the second time against rounding
            slopes = derivatives(*pixels, coefficients, variance, coupling=coefficients)
            coefficients = coefficients + solve(factors, (slopes.gradient - design.ridge * coefficients) * allowed)
        slopes = derivatives(*pixels, coefficients, variance, coupling=coefficients)
        slope = slopes.slope / np.sqrt(2 * np.maximum(slopes.information, TINY))
        height = log_posterior(block, design, counts, coefficients, variance)
        return cls(coefficients, variance, np.where(regular, slope, np.nan), np.where(regular, height, -np.inf))

    def __getitem__(self, rows: np.ndarray) -> Point:
        return Point(self.coefficients[rows], self.variance[rows], self.slope[rows], self.height[rows])


def log_posterior(
    block: PixelBlock, design: Design, counts: np.ndarray, coefficients: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """(B,) eq. 5, with the ridge."""
    residual = block.flux - coefficients @ design.vectors
    return log_likelihood(residual, block.ivar, counts, variance) - 0.5 * coefficients**2 @ design.ridge


def highest_maximum(block: PixelBlock, design: Design, counts: np.ndarray) -> Maximum:
    """The highest of all maxima along s² >= 0; not solved where the stars do not determine θ."""
    best = Maximum.nothing(block, design, np.zeros(len(block.flux)))
    highest, n_maxima = np.full(len(block.flux), -np.inf), np.zeros(len(block.flux), dtype=int)
    for pixels, tops in _all_maxima(block, design.in_double(len(block.flux)), counts):
        n_maxima[pixels] += 1
        higher = tops.height > highest[pixels]
        pixels, tops = pixels[higher], tops[higher]
        best.coefficients[pixels], best.variance[pixels] = tops.coefficients, tops.variance
        highest[pixels], best.solved[pixels] = tops.height, True
    best.alone = n_maxima == 1
    return best


def _all_maxima(block: PixelBlock, design: Design, counts: np.ndarray) -> Iterator[tuple[np.ndarray, Point]]:
    """Pixels that have a maximum at zero or between two values of the grid, and the maximum there."""
    points = [Point.at(block, design, counts, variance) for variance in _grid(block, counts)]
    pixels = np.flatnonzero(points[0].slope <= 0)
    yield pixels, points[0][pixels]
    for low, high in pairwise(points):
        pixels = np.flatnonzero((low.slope > 0) & (high.slope <= 0))
        if pixels.size:
            yield pixels, _top(block[pixels], design, counts, low[pixels], high[pixels])


def _grid(block: PixelBlock, counts: np.ndarray) -> np.ndarray:
    """(G, B) increasing s²: zero, `GRID` in variances of the flux, and one that is larger than any at a maximum."""
    variance, n_stars = flux_variance(block, counts), np.maximum(block.measured(counts), 1)
    return np.vstack([np.zeros(len(variance)), np.outer(GRID, variance), 4 * n_stars * variance])


def flux_variance(block: PixelBlock, counts: np.ndarray) -> np.ndarray:
    """(B,) variance of the flux over the stars with weight: an s² beside which all stars weigh alike."""
    use = (block.ivar > 0) & (counts > 0)
    n_stars = np.maximum(use.sum(axis=1), 1)
    mean = np.where(use, block.flux, 0.0).sum(axis=1) / n_stars
    deviation = np.where(use, block.flux - mean[:, None], 0.0)
    return (deviation**2).sum(axis=1) / n_stars


def _top(block: PixelBlock, design: Design, counts: np.ndarray, low: Point, high: Point) -> Point:
    """Where the slope falls through zero between two points: regula falsi in its Illinois variant.

    An end that stays counts half from the second time on, so that both ends close in.
    """
    left, right, at_left, at_right = low.variance, high.variance, low.slope, high.slope
    rising = falling = np.zeros(len(left), dtype=bool)
    for _ in range(REFINEMENTS):
        middle = (left * at_right - right * at_left) / (at_right - at_left)
        here = Point.at(block, design, counts, np.clip(middle, left, right))
        if (np.abs(here.slope) <= FLAT).all():
            break
        up = here.slope > 0
        at_right = np.where(up, np.where(rising, at_right / 2, at_right), here.slope)
        at_left = np.where(up, here.slope, np.where(falling, at_left / 2, at_left))
        left, right = np.where(up, here.variance, left), np.where(up, right, here.variance)
        rising, falling = up, ~up
    return here
