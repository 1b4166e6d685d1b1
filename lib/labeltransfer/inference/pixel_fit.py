"""The test step in pixel space, for models of so many labels that the compressed χ² would be larger than the spectrum.

Levenberg-Marquardt for a block of stars from one starting point at a time: model fluxes and their derivatives are
matrix products of the label vectors with the coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cannon.model import CannonModel, label_vector, label_vector_derivatives
from .minimization import DISTINCT, MAX_STEPS, PATIENCE, SAME_HEIGHT, SINGULAR, STEP_TOLERANCE, WANDERED

LEAST_DAMPING = 1e-12
"""So that labels that the spectrum does not tell apart leave no singular matrix."""


def minimize_pixels(
    model: CannonModel,
    flux: np.ndarray,
    ivar: np.ndarray,
    starts: np.ndarray,
    free: np.ndarray,
    fixed: np.ndarray,
    prior_mean: np.ndarray,
    prior_weight: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Minimize χ² + Σ prior_weight (x - prior_mean)² of n stars from S starting points each.

    Parameters and results are those of `minimization.minimize`, with (n, P) flux and ivar in place of the compressed χ²
    and a χ² that includes its constant.
    """
    variance = np.where(model.determined, model.scatter, 0.0) ** 2
    weight = np.where(model.determined, ivar / (1.0 + ivar * variance), 0.0)
    problem = _Problem(model, np.where(weight > 0, flux, 0.0), weight, free, prior_mean, prior_weight)
    minima, heights = map(np.array, zip(*(_descend(problem, np.where(free, x, fixed)) for x in starts), strict=True))
    stars = np.arange(len(flux))
    winner = (heights <= heights.min(axis=0) + SAME_HEIGHT).argmax(axis=0)
    x = minima[winner, stars]
    height, _, normal = problem.at(x)
    reached = np.isfinite(heights[winner, stars]) & _regular(normal)
    apart = minima - x
    length2 = np.einsum("snk,nkq,snq->sn", apart, normal, apart)
    rise = np.where((length2 > DISTINCT) & np.isfinite(heights) & reached, heights - height, np.inf)
    rival = rise.argmin(axis=0)
    distance = np.where(np.isfinite(rise[rival, stars]), np.sqrt(length2[rival, stars]), np.inf)
    normal[~reached] = np.eye(free.size)
    covariance = np.linalg.inv(normal) * np.outer(free, free)
    x[~reached], covariance[~reached], height[~reached] = np.nan, np.nan, np.nan
    chi2 = height - (prior_weight * (x - prior_mean) ** 2).sum(axis=1)
    return x, covariance, chi2, np.where(reached, winner, -1), rise[rival, stars], distance


def _regular(normal: np.ndarray) -> np.ndarray:
    """(n,) True where labels are told apart: scaled to a unit diagonal, the matrix is not singular."""
    diagonal = np.einsum("nkk->nk", normal)
    usable = np.isfinite(normal).all(axis=(1, 2)) & (diagonal > 0).all(axis=1)
    scale = np.sqrt(np.where(usable[:, None], diagonal, 1.0))
    scaled = np.where(usable[:, None, None], normal, 0.0) / (scale[:, :, None] * scale[:, None, :])
    return np.linalg.eigvalsh(scaled)[:, 0] > SINGULAR


@dataclass
class _Problem:
    """The objective of n stars and its derivatives."""

    model: CannonModel
    flux: np.ndarray
    weight: np.ndarray
    free: np.ndarray
    prior_mean: np.ndarray
    prior_weight: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> _Problem:
        mean, prior = self.prior_mean[rows], self.prior_weight[rows]
        return _Problem(self.model, self.flux[rows], self.weight[rows], self.free, mean, prior)

    def height(self, x: np.ndarray) -> np.ndarray:
        """(n,) χ² with the priors."""
        residual = self.flux - label_vector(x, self.model.order) @ self.model.coefficients.T
        penalty = (self.prior_weight * (x - self.prior_mean) ** 2).sum(axis=1)
        return (self.weight * residual**2).sum(axis=1) + penalty

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The objective (n,), minus half its gradient (n, L), and half its Gauss-Newton Hessian (n, L, L)."""
        residual = self.flux - label_vector(x, self.model.order) @ self.model.coefficients.T
        jacobian = label_vector_derivatives(x, self.model.order) @ self.model.coefficients.T
        jacobian *= self.free[:, None]
        weighted = jacobian * self.weight[:, None, :]
        from_prior = self.prior_weight * (x - self.prior_mean)
        gradient = np.einsum("nkp,np->nk", weighted, residual) - from_prior * self.free
        normal = weighted @ jacobian.transpose(0, 2, 1)
        normal += np.eye(self.free.size) * np.where(self.free, self.prior_weight, 1.0)[:, None, :]
        penalty = (from_prior * (x - self.prior_mean)).sum(axis=1)
        return (self.weight * residual**2).sum(axis=1) + penalty, gradient, normal

    def bent(self, x: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """(n, L, L) half the exact Hessian where it is positive definite, elsewhere `normal`, that of Gauss and Newton.

        Half the difference of the first derivatives one unit either way is the second derivative of a polynomial of
        third order or less, exactly.
        """
        order, steps = self.model.order, np.diag(self.free.astype(float))
        residual = self.flux - label_vector(x, order) @ self.model.coefficients.T
        excess = (self.weight * residual) @ self.model.coefficients
        second = [
            (label_vector_derivatives(x + one, order) - label_vector_derivatives(x - one, order)) / 2 for one in steps
        ]
        bend = np.einsum("knqm,nm->nkq", second, excess) * np.outer(self.free, self.free)
        hessian = normal - bend
        definite = np.linalg.eigvalsh(hessian)[:, 0] > 1e-13 * np.linalg.eigvalsh(normal)[:, -1]
        return np.where(definite[:, None, None], hessian, normal)


def _descend(problem: _Problem, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg-Marquardt from (n, L): where it ends, and the objective there; infinite where it does not rest."""
    x, damping, rest = x.copy(), np.full(len(x), 1e-3), np.full(len(x), np.inf)
    active = np.arange(len(x))
    for steps in range(MAX_STEPS):
        part = problem[active]
        height, gradient, normal = part.at(x[active])
        diagonal = np.einsum("nkk->nk", normal)
        usable = np.isfinite(height) & (diagonal > 0).all(axis=1) & (np.abs(x[active]) < WANDERED).all(axis=1)
        usable &= damping[active] < 1e12
        active, part, height = active[usable], part[usable], height[usable]
        gradient, normal = gradient[usable], normal[usable]
        if not active.size:
            break
        hessian = normal if steps < PATIENCE else part.bent(x[active], normal)
        damped = hessian + np.einsum("nk,kq->nkq", diagonal[usable] * damping[active, None], np.eye(x.shape[1]))
        step = np.linalg.solve(damped, gradient[..., None])[..., 0]
        length2 = (step * gradient).sum(axis=1)
        new = part.height(x[active] + step)
        short = length2 <= STEP_TOLERANCE
        better = short | (new < height)
        x[active[better]] += step[better]
        done = short & (damping[active] < 0.1)
        rest[active[done]] = new[done]
        damping[active] = np.where(better, damping[active] / 10.0, np.maximum(10.0 * damping[active], 1e-3))
        damping = np.maximum(damping, LEAST_DAMPING)
        active = active[~done]
        if not active.size:
            break
    return x, rest
