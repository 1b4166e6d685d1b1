"""Errors that hold: formal errors, a floor, and what a finite reference set leaves uncertain, added in quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ..cannon import CannonModel
from ..cannon.model import label_vector
from ..inference import LabelFit
from ..labels import frozen

BRIGHT = 50.0
"""S/N at which the two parts of the floor, constant and falling with S/N, are compared."""

STARS_PER_PART = 100
"""Stars for each part of the floor; with fewer, the floor depends on no label."""

CUT, CUT_VARIANCE = 3.0, 0.9733
"""Residuals beyond so many errors are no matter of the floor; variance of a Gaussian that is cut there."""

ROUNDS = 25
"""Of reweighting; the floor then stands to better than a percent."""

REACH = 3.0
"""Scaled labels beyond which the floor grows no further: no reference star told how."""


@dataclass(frozen=True, repr=False, eq=False)
class ErrorModel:
    """What is added to formal errors, label by label.

    The variance of a star's label is formal² + floor² + h · R. The floor² is a sum of parts that are not negative:
    a constant, one that falls with (S/N)⁻², and, if the reference set is large, squares of the scaled labels on either
    side of the pivots. h = vᵀ (Σ v vᵀ)⁻¹ v is the leverage of the star in the training set, R the variance of fitted
    minus reference labels: as in every regression, the curve is uncertain by leverage times the variance of residuals.

    Attributes
    ----------
    floor : (L, B) variances of the B parts, in units of the model's scales
    inverse : (M, M) of Σ v vᵀ over the reference stars
    residual : (L,) R, in units of the model's scales
    """

    floor: np.ndarray
    inverse: np.ndarray
    residual: np.ndarray

    def __post_init__(self) -> None:
        for name in ("floor", "inverse", "residual"):
            object.__setattr__(self, name, frozen(getattr(self, name), float))

    def covariance(self, model: CannonModel, fit: LabelFit, snr: np.ndarray) -> np.ndarray:
        """(N, L, L) total covariances in physical units, with the correlations of the formal ones.

        Parameters
        ----------
        fit : labels of N stars by this model, with formal covariances
        snr : (N,) of their spectra
        """
        assert fit.labels.covariance is not None
        scaled = model.scaled(fit.labels.values)
        formal = np.diagonal(fit.labels.covariance, axis1=1, axis2=2) / model.scales**2
        floor = parts(scaled, snr, self.floor.shape[1]) @ self.floor.T
        total = formal + floor + leverage(scaled, model.order, self.inverse)[:, None] * self.residual
        growth = np.sqrt(np.divide(total, formal, out=np.full_like(total, np.nan), where=formal > 0))
        return fit.labels.covariance * growth[:, :, None] * growth[:, None, :]

    def floor_at(self, model: CannonModel, snr: float) -> np.ndarray:
        """(L,) the floor of a star at the pivots, in physical units."""
        middle = np.zeros((1, len(model.label_names)))
        return np.sqrt(parts(middle, np.array([snr]), self.floor.shape[1]) @ self.floor.T)[0] * model.scales


def parts(scaled: np.ndarray, snr: np.ndarray, n_parts: int) -> np.ndarray:
    """(N, B) how much of each part of the floor's variance a star has."""
    with np.errstate(divide="ignore", invalid="ignore"):
        falling = np.minimum(np.nan_to_num((BRIGHT / np.asarray(snr, dtype=float)) ** 2, nan=1e4), 1e4)
    columns = [np.ones(len(scaled)), falling]
    if n_parts > 2:
        near = np.clip(scaled, -REACH, REACH)
        columns += [side**2 for label in near.T for side in (np.minimum(label, 0.0), np.maximum(label, 0.0))]
    return np.stack(columns, axis=1)


def leverage(scaled: np.ndarray, order: int, inverse: np.ndarray) -> np.ndarray:
    """(N,) vᵀ (Σ v vᵀ)⁻¹ v of stars with these scaled labels (N, L)."""
    vectors = label_vector(scaled, order)
    return np.einsum("nm,mk,nk->n", vectors, inverse, vectors, optimize=True)


def design_inverse(scaled: np.ndarray, order: int) -> np.ndarray:
    """(M, M) inverse of Σ v vᵀ; of what the stars do not determine, the pseudo-inverse."""
    vectors = label_vector(scaled, order)
    return np.linalg.pinv(vectors.T @ vectors, rcond=1e-12, hermitian=True)


def measure(
    model: CannonModel,
    fit: LabelFit,
    reference: np.ndarray,
    label_variance: np.ndarray | None,
    snr: np.ndarray,
    folds: np.ndarray,
    kept: np.ndarray,
) -> ErrorModel:
    """Find the floor that makes the pulls of cross-validation one, about the reference labels less their own errors.

    Parameters
    ----------
    model : trained on all that are kept; its pivots and scales are those of the folds' models
    fit : labels of the N reference stars, each by a model that has not seen it
    reference : (N, L) their reference labels
    label_variance : (N, L) variances of the reference labels, or None: then the floor contains them
    snr, folds, kept : (N,) S/N, folds of the cross-validation, stars that models were trained on
    """
    assert fit.labels.covariance is not None
    scaled = model.scaled(reference)
    squared = ((fit.labels.values - reference) / model.scales) ** 2
    known = np.diagonal(fit.labels.covariance, axis1=1, axis2=2) / model.scales**2
    if label_variance is not None:
        known = known + label_variance / model.scales**2
    use = kept & fit.converged & np.isfinite(squared + known).all(axis=1)
    lever = np.zeros(len(reference))
    for fold in np.unique(folds):
        held = folds == fold
        lever[held] = leverage(scaled[held], model.order, design_inverse(scaled[kept & ~held], model.order))
    squared, known, lever = squared[use], known[use], lever[use]
    n_parts = 2 + 2 * scaled.shape[1]
    basis = parts(scaled[use], snr[use], n_parts if use.sum() >= STARS_PER_PART * n_parts else 2)
    floor, residual = np.zeros((scaled.shape[1], basis.shape[1])), np.zeros(scaled.shape[1])
    for label in range(len(floor)):
        fixed = known[:, label] + lever * known[:, label].mean()
        slopes = basis + lever[:, None] * basis.mean(axis=0)
        variance = fixed + slopes[:, 0] * np.median(squared[:, label])
        for _ in range(ROUNDS):
            inside = squared[:, label] < CUT**2 * variance
            right = squared[inside, label] / CUT_VARIANCE - fixed[inside]
            floor[label], _ = nnls(slopes[inside] / variance[inside, None], right / variance[inside])
            variance = 0.5 * (variance + fixed + slopes @ floor[label])
        residual[label] = known[:, label].mean() + basis.mean(axis=0) @ floor[label]
    return ErrorModel(floor, design_inverse(scaled[kept], model.order), residual)
