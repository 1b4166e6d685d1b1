"""What is asked of a recipe, and how the data choose what was left to them: order and ridge, strength of correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from astropy.table import Table

from ..cannon import train_subsets
from ..inference import LabelFit
from ..labels import Labels
from ..reference import ReferenceSet
from ..validation import bias_and_scatter, cross_fit

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""Shares λ of the label errors that are tried beside none."""

RIDGES = (0.0, 1e2, 1e3, 1e4, 1e5)
"""Ridges that are tried where there are few stars: coefficients of a prior width of 0.1, 0.03, 0.01 and 0.003."""

STARS_PER_TERM = 50
"""With more, a ridge of that size changes nothing."""

HEAVY = 4.0
"""Degrees of freedom of the t distribution by which residuals are judged: single wrong labels count little."""

LARGEST_CHI2 = 25.0
"""To which the χ² of a pixel is cut in a likelihood, so that cosmic rays do not choose the order."""


@dataclass(frozen=True)
class Asked:
    """The options of `learn` that a recipe needs; `stretch` [Å] is twice the width of the normalization."""

    names: tuple[str, ...]
    order: int | str = 2
    ridge: float = 0.0
    error_factor: float | str | np.ndarray = "auto"
    label_errors: Mapping[str, float] | str = "auto"
    strength: float | str = "auto"
    censoring: Mapping[str, np.ndarray] | np.ndarray | None = None
    clip_sigma: float = 4.0
    stretch: float = 100.0

    @property
    def fixed_order(self) -> int:
        return 2 if isinstance(self.order, str) else self.order

    @property
    def finds_error_factor(self) -> bool:
        return isinstance(self.error_factor, str)

    def error_factor_or(self, otherwise: float) -> float | np.ndarray:
        return otherwise if isinstance(self.error_factor, str) else self.error_factor

    def n_terms(self, order: int) -> int:
        """M of eq. 6."""
        return comb(len(self.names) + order, order)

    def first_order(self, n_stars: int) -> int:
        """The order to begin with."""
        if self.order != "auto":
            return self.fixed_order
        return 2 if n_stars >= 4 * self.n_terms(2) else 1

    def options(self, order: int, ridge: float | None = None, step: int = 1) -> dict[str, Any]:
        """Of `train`, for every so many pixels."""
        options: dict[str, Any] = {"order": order, "ridge": self.ridge if ridge is None else ridge}
        if isinstance(self.censoring, Mapping):
            options["censoring"] = {name: np.asarray(pixels)[::step] for name, pixels in self.censoring.items()}
        elif self.censoring is not None:
            options["censoring"] = np.asarray(self.censoring)[::step]
        return options

    def correction(self, strength: float) -> dict[str, Any]:
        """Options of `train` by which errors of the labels are undone."""
        return {"label_errors": "correct", "label_error_strength": strength} if strength > 0 else {}

    def states_errors(self, labels: Labels) -> bool:
        """Whether errors of the labels are known, and not inferred."""
        return isinstance(self.label_errors, Mapping) or (self.label_errors == "auto" and labels.covariance is not None)


@dataclass(frozen=True)
class Order:
    """The order and the ridge that predict best, and the table of all."""

    order: int
    ridge: float
    table: Table


def choose_order(reference: ReferenceSet, folds: np.ndarray, kept: np.ndarray, asked: Asked, step: int) -> Order:
    """By the likelihood of the flux of stars, at their reference labels, under models that have not seen them.

    Every order up to 3 that the stars can determine, without and (few stars) with a ridge, is tried. A larger order
    must gain more than the gain's own uncertainty.
    """
    trained_on = (folds != np.unique(folds)[:, None]) & kept
    fewest = int(trained_on.sum(axis=1).min())
    rows, heights = [], []
    for order in (1, 2, 3):
        n_terms = asked.n_terms(order)
        if order > 1 and fewest < 1.5 * n_terms:
            continue
        ridges = RIDGES if fewest < STARS_PER_TERM * n_terms and not asked.ridge else (asked.ridge,)
        for ridge in ridges:
            options = asked.options(order, ridge, step)
            heights.append(held_out_likelihood(reference, folds, kept, options))
            rows.append((order, ridge, n_terms))
    heights_of_all = np.array(heights)
    determined = np.isfinite(heights_of_all).all(axis=0)
    mean = heights_of_all[:, determined].mean(axis=1)
    best = int(mean.argmax())
    for place in range(best):
        gain = heights_of_all[best, determined] - heights_of_all[place, determined]
        if rows[place][0] < rows[best][0] and gain.mean() < gain.std() / np.sqrt(gain.size):
            best = place
            break
    table = Table(np.array(rows, dtype=float), names=("order", "ridge", "terms"))
    table.add_column(["order"] * len(rows), 0, "choice")
    table["log_likelihood"] = mean
    table["chosen"] = np.arange(len(rows)) == best
    return Order(rows[best][0], rows[best][1], table)


def held_out_likelihood(
    reference: ReferenceSet, folds: np.ndarray, kept: np.ndarray, options: Mapping[str, Any]
) -> np.ndarray:
    """(N,) mean log likelihood per pixel of each kept star's flux, by a model that has not seen it; NaN for others."""
    names = np.unique(folds)
    models = train_subsets(reference, (folds != names[:, None]) & kept, **options)
    determined = np.all([model.determined for model in models], axis=0)
    height = np.full(len(reference), np.nan)
    for model, name in zip(models, names, strict=True):
        held = np.flatnonzero((folds == name) & kept)
        ivar = np.where(determined, reference.spectra.ivar[held].astype(float), 0.0)
        weight = ivar / (1.0 + ivar * np.where(determined, model.scatter, 0.0) ** 2)
        residual = np.where(
            weight > 0, reference.spectra.flux[held] - model.model_flux(reference.labels.values[held]), 0.0
        )
        chi2 = np.minimum(weight * residual**2, LARGEST_CHI2)
        logarithm = np.log(np.where(weight > 0, weight, 1.0))
        height[held] = 0.5 * (logarithm - chi2).sum(axis=1) / np.maximum((weight > 0).sum(axis=1), 1)
    return height


def label_covariance(
    labels: Labels, stated: Mapping[str, float] | str, fit: LabelFit, kept: np.ndarray
) -> np.ndarray | None:
    """(N, L, L) errors of the reference labels: as stated, those of the table, or at most what the residuals allow.

    Parameters
    ----------
    stated : label to standard error; ``"auto"`` for the covariances of the table or, if it has none, the variance of
        cross-fitted residuals beyond the formal errors, which is an upper bound; ``"none"``
    fit : cross-fitted labels
    """
    n, n_labels = labels.values.shape
    if isinstance(stated, Mapping):
        return np.broadcast_to(np.diag([stated.get(name, 0.0) ** 2 for name in labels.names]), (n, n_labels, n_labels))
    if stated == "none":
        return None
    if labels.covariance is not None:
        known = np.isfinite(labels.covariance).all(axis=(1, 2))
        usual = np.median(labels.covariance[known], axis=0) if known.any() else np.zeros((n_labels, n_labels))
        return np.where(known[:, None, None], labels.covariance, usual)
    residual = np.where((kept & fit.converged)[:, None], fit.labels.values - labels.values, np.nan)
    _, scatter = bias_and_scatter(residual, robust=True)
    excess = np.maximum(scatter**2 - np.nanmedian(fit.labels.errors[kept], axis=0) ** 2, 0.0)
    return np.broadcast_to(np.diag(excess), (n, n_labels, n_labels))


def choose_strength(
    reference: ReferenceSet,
    folds: np.ndarray,
    kept: np.ndarray,
    starts: np.ndarray,
    uncorrected: LabelFit,
    asked: Asked,
    options: Mapping[str, Any],
) -> tuple[float, Table]:
    """The share λ of the label errors that is undone: the smallest whose cross-validated residuals are as small as any.

    Residuals are judged in units of the robust scatter without correction, by the t distribution; a larger λ must gain
    more than the gain's own uncertainty, so that small reference sets are left as they are.
    """
    strengths = [0.0, *STRENGTHS] if asked.strength == "auto" else [0.0, float(asked.strength)]
    residuals: list[np.ndarray] = []
    failed: list[np.ndarray] = []
    for place, strength in enumerate(strengths):
        if place > 2 and np.mean(failed[0]) <= min(np.mean(failed[1]), np.mean(failed[2])):
            break  # more does no better where less does worse than none
        fit = uncorrected
        if place:
            fit = cross_fit(reference, folds, starts, kept=kept, **options, **asked.correction(strength)).fit
        residuals.append(np.where(fit.converged[:, None], fit.labels.values - reference.labels.values, np.nan))
        _, scale = bias_and_scatter(residuals[0][kept], robust=True)
        loss = 0.5 * (HEAVY + 1.0) * np.log1p((residuals[-1][kept] / scale) ** 2 / HEAVY).sum(axis=1)
        failed.append(np.where(np.isfinite(loss), loss, 50.0))
    strengths, means = strengths[: len(failed)], np.array([loss.mean() for loss in failed])
    best = int(means.argmin())
    chosen = best
    for place in range(best):
        loss = failed[place] - failed[best]
        if loss.mean() <= loss.std() / np.sqrt(loss.size):
            chosen = place
            break
    if asked.strength != "auto":
        chosen = len(strengths) - 1
    table = Table(
        {"choice": ["label errors"] * len(strengths), "order": np.full(len(strengths), float(options["order"]))}
    )
    table["ridge"], table["strength"] = float(options["ridge"]), np.array(strengths)
    table["loss"] = means
    for column, name in enumerate(reference.labels.names):
        table[f"scatter_{name}"] = [bias_and_scatter(r[kept], robust=True)[1][column] for r in residuals]
    table["chosen"] = np.arange(len(strengths)) == chosen
    return strengths[chosen], table
