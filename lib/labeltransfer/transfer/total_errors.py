"""Errors that hold: formal errors, a floor, and what a finite reference set leaves uncertain, added in quadrature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from ..cannon import CannonModel
from ..cannon.model import label_vector
from ..inference import LabelFit
from ..labels import frozen
from ..spectra import Spectra
from ..validation import bias_and_scatter

STARS_PER_PART = 100
"""Stars for each part of the floor; with fewer, the floor depends on no label."""

CUT, CUT_VARIANCE = 3.0, 0.9733
"""Residuals beyond so many errors are no matter of the floor; variance of a Gaussian that is cut there."""

LEAST_TOLD = 10
"""Stars whose halves both have labels, so that halves tell a floor."""

SURE = 2.0
"""Sampling errors: where label errors are large, what residuals leave for errors of the result is mostly chance."""

ROUNDS = 25
"""Of reweighting; the floor then stands to better than a percent."""

STRETCHES = 20
"""At least, into which a spectrum is divided."""

REACH = 3.0
"""Scaled labels beyond which the floor grows no further: no reference star told how."""


@dataclass(frozen=True, repr=False, eq=False)
class ErrorModel:
    """What is added to formal errors, label by label.

    The variance of a star's label is formal² + floor² + h · R. The floor² is a sum of parts that are not negative: a
    constant, a share of the formal variance, which falls with S/N, and, if the reference set is large, squares of the
    scaled labels on either side of the pivots. h = vᵀ (Σ v vᵀ)⁻¹ v is the leverage of the star in the training set, R
    the variance of fitted minus reference labels: as in every regression, the curve is uncertain by leverage times the
    variance of residuals.

    Attributes
    ----------
    floor : (L, B) sizes of the B parts: variances in units of the model's scales, and the share
    inverse : (M, M) of Σ v vᵀ over the reference stars
    residual : (L,) R, in units of the model's scales
    """

    floor: np.ndarray
    inverse: np.ndarray
    residual: np.ndarray

    def __post_init__(self) -> None:
        for name in ("floor", "inverse", "residual"):
            object.__setattr__(self, name, frozen(getattr(self, name), float))

    def __repr__(self) -> str:
        (n_labels, n_parts), n_terms = self.floor.shape, len(self.inverse)
        return f"ErrorModel({n_labels} labels; a floor of {n_parts} parts, leverage in {n_terms} terms)"

    def covariance(self, model: CannonModel, fit: LabelFit) -> np.ndarray:
        """(N, L, L) total covariances in physical units, with the correlations of the formal ones.

        Parameters
        ----------
        fit : labels of N stars by this model, with formal covariances
        """
        assert fit.labels.covariance is not None
        scaled, formal = model.scaled(fit.labels.values), _variances(model, fit)
        floor = np.einsum("nlb,lb->nl", parts(scaled, formal, self.floor.shape[1]), self.floor)
        total = formal + floor + leverage(scaled, model.order, self.inverse)[:, None] * self.residual
        growth = np.sqrt(np.divide(total, formal, out=np.full_like(total, np.nan), where=formal > 0))
        growth = np.where(formal == 0, 1.0, growth)
        return fit.labels.covariance * growth[:, :, None] * growth[:, None, :]

    def constant(self, model: CannonModel) -> np.ndarray:
        """(L,) the floor of a star of very high S/N at the pivots, in physical units."""
        return np.sqrt(self.floor[:, 0]) * model.scales


def parts(scaled: np.ndarray, formal: np.ndarray, n_parts: int) -> np.ndarray:
    """(N, L, B) how much of each part of the floor each label of a star has, from formal variances (N, L)."""
    columns = [np.ones_like(formal), formal]
    if n_parts > 2:
        near = np.clip(scaled, -REACH, REACH)
        sides = [side**2 for label in near.T for side in (np.minimum(label, 0.0), np.maximum(label, 0.0))]
        columns += [np.broadcast_to(side[:, None], formal.shape) for side in sides]
    return np.stack(columns, axis=2)


def leverage(scaled: np.ndarray, order: int, inverse: np.ndarray) -> np.ndarray:
    """(N,) vᵀ (Σ v vᵀ)⁻¹ v of stars with these scaled labels (N, L)."""
    vectors = label_vector(scaled, order)
    return np.einsum("nm,mk,nk->n", vectors, inverse, vectors, optimize=True)


def design_inverse(scaled: np.ndarray, order: int) -> np.ndarray:
    """(M, M) inverse of Σ v vᵀ; of what the stars do not determine, the pseudo-inverse."""
    vectors = label_vector(scaled, order)
    return np.linalg.pinv(vectors.T @ vectors, rcond=1e-12, hermitian=True)


def held_leverage(scaled: np.ndarray, order: int, folds: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(N,) leverage of each star, with these scaled labels (N, L), among the kept stars of the other folds."""
    found = np.zeros(len(scaled))
    for fold in np.unique(folds):
        held = folds == fold
        found[held] = leverage(scaled[held], order, design_inverse(scaled[kept & ~held], order))
    return found


@dataclass(frozen=True)
class Checks:
    """What the reference stars say of errors: N stars, each labelled by a model that has not seen it.

    Attributes
    ----------
    fit : from the whole spectrum
    halves : from every other stretch of it, and from the stretches between
    reference : (N, L) reference labels
    label_variance : (N, L) their variances, NaN for labels of which these are not known
    folds, kept : (N,) of the cross-validation; stars that models were trained on
    groups : (N,) cluster, plate or night of each star, of which a fold has all stars; None if they have none
    """

    fit: LabelFit
    halves: Sequence[LabelFit]
    reference: np.ndarray
    label_variance: np.ndarray
    folds: np.ndarray
    kept: np.ndarray
    groups: np.ndarray | None = None


def measure(model: CannonModel, checks: Checks) -> ErrorModel:
    """Find the floor that gives pulls a width of one.

    Pulls are those of the two halves of each spectrum against each other, which no reference label disturbs, but which
    lack what is common to both halves. Of a label whose reference errors are known, the pulls of cross-validation,
    fitted minus reference labels, have that, too: the floor grows towards theirs, half the way where theirs is larger
    by `SURE` times its own sampling error. Of another label the floor has only what stars of a group have in common.
    Where spectra are so short that their halves tell no labels, all that cross-validation leaves is error.

    Parameters
    ----------
    model : trained on all that are kept; its pivots and scales are those of the folds' models
    """
    scaled, formal = model.scaled(checks.reference), _variances(model, checks.fit)
    use = checks.kept & checks.fit.converged & np.isfinite(formal).all(axis=1)
    residual = model.scaled(checks.fit.labels.values) - scaled
    lever = held_leverage(scaled, model.order, checks.folds, checks.kept)
    spread = bias_and_scatter(residual[use], robust=True)[1] ** 2
    one, two = checks.halves
    apart = model.scaled(one.labels.values) - model.scaled(two.labels.values)
    of_halves = _variances(model, one) + _variances(model, two)
    of_labels = formal + np.nan_to_num(checks.label_variance) / model.scales**2 + lever[:, None] * spread
    n_parts = 2 + 2 * scaled.shape[1]
    basis = parts(scaled, formal, n_parts if use.sum() >= STARS_PER_PART * n_parts else 2)
    both = use & one.converged & two.converged & np.isfinite(of_halves).all(axis=1)
    halves_tell = np.count_nonzero(both) >= LEAST_TOLD
    floor = np.zeros(basis.shape[1:])
    for k, known in enumerate(np.isfinite(checks.label_variance).any(axis=0)):
        if halves_tell:
            share = (of_halves[both, k] / formal[both, k])[:, None]
            floor[k] = _floor(apart[both, k] ** 2, of_halves[both, k], basis[both, k] * share)
        if known or not halves_tell:
            larger = _floor(residual[use, k] ** 2, of_labels[use, k], basis[use, k])
            excess = (basis[use, k] @ (larger - floor[k])).mean()
            sampling = (of_labels[use, k] + basis[use, k] @ larger).mean() * np.sqrt(2 / use.sum()) * halves_tell
            floor[k] += (larger - floor[k]) / (1.0 + (SURE * sampling / excess) ** 4 if excess > 0 else np.inf)
        elif checks.groups is not None:
            floor[k, 0] += common_to_groups(residual[use, k], lever[use] * spread[k], checks.groups[use])
    return ErrorModel(floor, design_inverse(scaled[checks.kept], model.order), spread)


def common_to_groups(residual: np.ndarray, known: np.ndarray, groups: np.ndarray) -> float:
    """Variance of what all stars of a group have in common, beyond the part that is known.

    It gives the means of the groups' residuals (N,) a width of one, with the scatter within groups and the means of
    `known` (N,), the variances that the stars of a group share (method of moments of a random-effects model).
    """
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    mean, shared = (np.bincount(group, values) / sizes for values in (residual, known))
    within = ((residual - mean[group]) ** 2).sum() / max(len(group) - names.size, 1)
    return float(_floor(mean**2, shared + within / sizes, np.ones((names.size, 1)))[0])


def _variances(model: CannonModel, fit: LabelFit) -> np.ndarray:
    """(N, L) formal variances in units of the model's scales."""
    assert fit.labels.covariance is not None
    return np.diagonal(fit.labels.covariance, axis1=1, axis2=2) / model.scales**2


def _floor(squared: np.ndarray, known: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(B,) c ≥ 0 such that (N,) squared residuals are known + basis · c on average, by weights of a Gaussian."""
    floor, variance = np.zeros(basis.shape[1]), known + np.median(squared)
    for _ in range(ROUNDS):
        inside = squared < CUT**2 * variance
        right = squared[inside] / CUT_VARIANCE - known[inside]
        floor, _ = nnls(basis[inside] / variance[inside, None], right / variance[inside])
        variance = 0.5 * (variance + known + basis @ floor)
    return floor


def halves(spectra: Spectra, stretch: float) -> tuple[Spectra, Spectra]:
    """The spectra with every other stretch [Å], a twentieth of the whole at most, masked, and with the rest masked."""
    stretch = min(stretch, float(np.ptp(spectra.wavelength)) / STRETCHES)
    first = np.floor((spectra.wavelength - spectra.wavelength[0]) / stretch) % 2 == 0
    one, two = (replace(spectra, ivar=spectra.ivar * part.astype(spectra.ivar.dtype)) for part in (first, ~first))
    return one, two
