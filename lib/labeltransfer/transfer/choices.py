"""What is asked of a recipe, and how the data choose what was left to them: order and ridge, strength of correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from astropy.table import Table

from ..inference import LabelFit
from ..labels import Labels
from ..reference import ReferenceSet
from ..validation import bias_and_scatter, cross_fits, residuals

STRENGTHS, OF_KNOWN = (0.25, 0.5, 0.75, 1.0), (0.25, 0.5, 1.0)
"""Shares λ of the label errors that are tried beside none: of what residuals allow at most, and of known errors (a
quarter is right for errors that were stated twice too large)."""

RIDGES, LOOSENED = (0.0, 1e2, 1e3, 1e4, 1e5), (1e6, 1e5, 1e4, 1e3, 0.0)
"""Ridges that are tried where there are few stars, on the slopes of a straight line, and on what a higher order adds to
the order below: coefficients of a prior width of 0.1 for 1e2, and of 0.001 for 1e6."""

STARS_PER_TERM = 50
"""With more, a ridge of that size changes nothing."""

QUICK = 20
"""Terms of a cubic, of three labels, that is always tried: it takes little time."""

HEAVY = 4.0
"""Degrees of freedom of the t distribution by which residuals are judged: single wrong labels count little."""

FAILED = 50.0
"""Loss of a star without a fit."""

LEAST_STARS_PER_TERM, MOST_TERMS = 2.0, 60
"""Stars with which an order is tried, as stars that are held out tell whether it is better, and terms with which: a
cubic of six labels has 84, and takes minutes."""

PATIENCE = 2
"""Trials in a row that may be no better."""


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
        options["ridge_from"] = 1 if self.ridge else order
        if isinstance(self.censoring, Mapping):
            options["censoring"] = {name: np.asarray(pixels)[::step] for name, pixels in self.censoring.items()}
        elif self.censoring is not None:
            options["censoring"] = np.asarray(self.censoring)[::step]
        return options

    def correction(self, strength: float | Sequence[float]) -> dict[str, Any]:
        """Options of `train` by which errors of the labels are undone."""
        return {"label_errors": "correct", "label_error_strength": strength} if np.any(strength) else {}


def usual_order(reference: ReferenceSet) -> int | str:
    """2 or, of few stars a term or few terms, ``"auto"``."""
    n_stars, n_labels = reference.labels.values.shape
    return 2 if n_stars >= STARS_PER_TERM * comb(n_labels + 2, 2) and comb(n_labels + 3, 3) > QUICK else "auto"


@dataclass(frozen=True)
class Choice:
    """What was tried, options of `train` each, what models that have not seen them say of the stars, and the choice."""

    options: list[dict[str, Any]]
    chosen: int
    table: Table


def choose_order(
    reference: ReferenceSet, folds: np.ndarray, kept: np.ndarray, starts: np.ndarray, asked: Asked, step: int
) -> Choice:
    """Orders up to 3 that the stars can determine, without and (few stars) with a ridge, while they gain.

    The ridge of a higher order acts on the terms that it adds, and is loosened step by step: so a quadratic begins as a
    straight line, and is as curved as the stars tell.
    """
    trials = Trials(reference, folds, kept, starts)
    fewest = int(((folds != np.unique(folds)[:, None]) & kept).sum(axis=1).min())
    for order in (1, 2, 3):
        n_terms = asked.n_terms(order)
        if order > 1 and (fewest < LEAST_STARS_PER_TERM * n_terms or n_terms > MOST_TERMS):
            break
        few = fewest < STARS_PER_TERM * n_terms and not asked.ridge
        before = trials.lowest
        ridges = (LOOSENED if order > 1 else RIDGES) if few else (asked.ridge,)
        trials.make(asked.options(order, ridge, step) for ridge in ridges)
        if trials.lowest >= before:
            break
    return trials.choice("order")


def label_covariance(
    labels: Labels, stated: Mapping[str, float] | str, fit: LabelFit, kept: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """(N, L, L) errors of the reference labels that training may undo, and for which labels (L,) they are known.

    Known errors are those stated or, label by label, those of the table; a star that lacks them has the median of the
    others. If no label has any, errors are at most what the residuals allow; if some have, those of the others are
    not undone.

    Parameters
    ----------
    stated : label to standard error, ``"auto"`` for the covariances of the table, or ``"none"``
    fit : cross-fitted labels
    """
    n, n_labels = labels.values.shape
    unknown = np.zeros(n_labels, dtype=bool)
    if stated == "none":
        return None, unknown
    if isinstance(stated, Mapping):
        errors = np.array([stated.get(name, np.nan) for name in labels.names])
        covariance = np.broadcast_to(np.diag(errors**2), (n, n_labels, n_labels))
    elif labels.covariance is not None:
        covariance = labels.covariance
    else:
        covariance = np.full((n, n_labels, n_labels), np.nan)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    known = np.isfinite(variance).any(axis=0)
    if not known.any():
        residual = np.where((kept & fit.converged)[:, None], fit.labels.values - labels.values, np.nan)
        _, scatter = bias_and_scatter(residual, robust=True)
        excess = np.maximum(scatter**2 - np.nanmedian(fit.labels.errors[kept], axis=0) ** 2, 0.0)
        return np.broadcast_to(np.diag(excess), covariance.shape), known
    usual = np.array([np.nanmedian(one) if has_any else 0.0 for one, has_any in zip(variance.T, known, strict=True)])
    there = np.isfinite(variance)
    both = there[:, :, None] & there[:, None, :] & np.isfinite(covariance)
    return np.where(both, covariance, np.diag(usual)), known


def choose_strength(
    reference: ReferenceSet,
    folds: np.ndarray,
    kept: np.ndarray,
    starts: np.ndarray,
    uncorrected: LabelFit,
    asked: Asked,
    options: Mapping[str, Any],
    known: bool,
) -> tuple[float, Table]:
    """The share λ of the label errors that is undone, as the data choose.

    Of errors that are known the largest share without loss is undone; of an upper limit the smallest that gains as much
    as any.
    """
    trials = Trials(reference, folds, kept, starts)
    trials.judge(dict(options), uncorrected)
    strengths = OF_KNOWN if known else STRENGTHS
    for strength, fit in zip(strengths, trials.fits(**options, **asked.correction(strengths)), strict=True):
        trials.judge({**options, **asked.correction(strength)}, fit)
    choice = trials.choice("label errors", int(trials.as_good[-1 if known else 0]))
    return choice.options[choice.chosen].get("label_error_strength", 0.0), choice.table


class Trials:
    """Options of `train` are judged by the residuals of reference stars about models that have not seen them.

    Residuals count in units of the robust scatter of the first trial, by the t distribution: of the options, the
    likelihood of the labels is compared star by star.
    """

    def __init__(self, reference: ReferenceSet, folds: np.ndarray, kept: np.ndarray, starts: np.ndarray) -> None:
        self.reference, self.folds, self.kept, self.starts = reference, folds, kept, starts
        self.options: list[dict[str, Any]] = []
        self.residuals: list[np.ndarray] = []
        self.losses: list[np.ndarray] = []

    @property
    def lowest(self) -> float:
        """Mean loss of the best."""
        return min((float(loss.mean()) for loss in self.losses), default=np.inf)

    def fits(self, **options: Any) -> list[LabelFit]:
        """Of every label error strength; a tenth of a formal error decides nothing."""
        crossed = cross_fits(self.reference, self.folds, self.starts, kept=self.kept, exact=False, **options)
        return [one.fit for one in crossed]

    def make(self, trials: Iterable[Mapping[str, Any]]) -> None:
        """Try one after the other, until `PATIENCE` in a row are no better than the best before them."""
        best, idle = np.inf, 0
        for options in trials:
            loss = self.judge(dict(options), *self.fits(**options))
            best, idle = (loss, 0) if loss < best else (best, idle + 1)
            if idle == PATIENCE:
                break

    def judge(self, options: dict[str, Any], fit: LabelFit) -> float:
        """Add a trial; return its mean loss."""
        residual = residuals(fit, self.reference.labels)[self.kept]
        self.options.append(options)
        self.residuals.append(residual)
        _, scale = bias_and_scatter(self.residuals[0], robust=True)
        loss = 0.5 * (HEAVY + 1.0) * np.log1p((residual / scale) ** 2 / HEAVY).sum(axis=1)
        self.losses.append(np.where(np.isfinite(loss), loss, FAILED))
        return float(self.losses[-1].mean())

    @property
    def as_good(self) -> np.ndarray:
        """Which are not worse than the best by more than the error of the difference; the first is the simplest."""
        losses = np.array(self.losses)
        more = losses - losses[losses.mean(axis=1).argmin()]
        return np.flatnonzero(more.mean(axis=1) <= more.std(axis=1) / np.sqrt(more.shape[1]))

    def choice(self, kind: str, chosen: int | None = None) -> Choice:
        """One of them, by default the simplest of those that are as good as the best."""
        means = [loss.mean() for loss in self.losses]
        chosen = int(self.as_good[0]) if chosen is None else chosen
        columns = {"order": "order", "ridge": "ridge", "strength": "label_error_strength"}
        table = Table({"choice": [kind] * len(means)})
        for column, option in columns.items():
            table[column] = [float(options.get(option, 0.0)) for options in self.options]
        table["loss"] = means
        for k, name in enumerate(self.reference.labels.names):
            table[f"scatter_{name}"] = [bias_and_scatter(r, robust=True)[1][k] for r in self.residuals]
        table["chosen"] = np.arange(len(means)) == chosen
        return Choice(self.options, chosen, table)
