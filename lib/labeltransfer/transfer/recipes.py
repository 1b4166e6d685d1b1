"""Two recipes for a model from a reference set: the paper's, and one that withstands wrong labels and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from astropy.table import Table

from ..cannon import CannonModel, train, train_subsets
from ..cannon.model import scaling
from ..diagnostics import cross_fitted_error_factor, error_floor
from ..inference import LabelFit, infer
from ..labels import Labels
from ..reference import ReferenceSet, outliers
from ..spectra import Spectra
from ..validation import CrossFit, CrossValidation, Summary, bias_and_scatter, cross_fit, residuals
from . import total_errors
from .choices import Asked, Trials, choose_order, choose_strength, label_covariance
from .label_transfer import with_error_factor
from .total_errors import ErrorModel

ROUNDS = 4
"""Of the cross-fitted clip at most; it mostly rests after three."""

VALUES, PIXELS = 6e6, 1200
"""Fluxes, and pixels, of which choices are made. Every so many pixels do, for a somewhat larger error of each label,
and the recipe costs no more than a few trainings."""

FACTOR_RESTS, CLIP_RESTS = 0.02, 0.002
"""Relative change of the error factor, and share of the stars judged anew, that call for no further round."""

ROUND = "excised by the cross-fitted clip until the end of round "
"""What counts of the clip are called, with the number of the round."""

GIVEN_BACK = "of them given back: without them the others are labelled no better"

SMOOTHED = 300.0
"""Å, over which an error factor by wavelength is formed."""


@dataclass
class Learnt:
    """What a recipe made of N candidates.

    `label_errors_known` (L,) tells of which labels errors were given to it, `in_groups` whether groups were.
    """

    model: CannonModel
    kept: np.ndarray
    reference: ReferenceSet
    error_factor: float | np.ndarray = 1.0
    strength: float = 0.0
    errors: ErrorModel | None = None
    validation: CrossValidation | None = None
    tried: Table | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    label_errors_known: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    in_groups: bool = False


def paper(candidates: ReferenceSet, starts: np.ndarray, asked: Asked) -> Learnt:
    """Section 3 as printed: train, label the training stars, excise those beyond 4 σ in a label, train again."""
    options = asked.options(asked.fixed_order)
    reference = with_stated_errors(candidates, asked.error_factor_or(1.0), candidates.labels.covariance)
    first = infer(train(reference, **options), reference.spectra, starts)
    clipped, _ = outliers(reference.labels, first.labels, asked.clip_sigma)
    counts = {f"excised by the {asked.clip_sigma:g} sigma clip": int(clipped.sum())}
    model = train(reference[~clipped], **options)
    validation = CrossValidation(first, reference.labels, ~clipped)
    factor = asked.error_factor_or(1.0)
    return Learnt(model, ~clipped, reference, factor, 0.0, None, validation, None, options, counts)


def robust(
    candidates: ReferenceSet, starts: np.ndarray, folds: np.ndarray, asked: Asked, groups: np.ndarray | None = None
) -> Learnt:
    """Error factor and clip by cross-fitting, order, corrected score, total errors; see `learn`."""
    n_stars, n_pixels = candidates.spectra.flux.shape
    few = every_so_many_pixels(candidates, max(1, round(n_stars * n_pixels / VALUES), n_pixels // PIXELS))
    order, ridge = asked.first_order(len(candidates)), asked.ridge
    counts: dict[str, int] = {}
    tables: list[Table] = []
    factor: float | np.ndarray = asked.error_factor_or(1.0)
    crossed, factor, kept = _rounds(few, starts, folds, asked, asked.options(order, ridge, few.step), factor, counts)
    if asked.order == "auto":
        fitted = with_stated_errors(few.reference, few.of(factor), None)
        choice = choose_order(fitted, folds, kept, starts, asked, few.step)
        tables.append(choice.table)
        options = choice.options[choice.chosen]
        if (options["order"], options["ridge"]) != (order, ridge):
            order, ridge = options["order"], options["ridge"]
            crossed, factor, kept = _rounds(few, starts, folds, asked, options, factor, counts)
    covariance, known = label_covariance(candidates.labels, asked.label_errors, crossed.fit, kept)
    undoes = covariance is not None and bool(covariance.any())
    strength = float(asked.strength) if undoes and asked.strength != "auto" else 0.0
    if undoes and asked.strength == "auto":
        fitted = with_stated_errors(few.reference, few.of(factor), covariance)
        strength, table = choose_strength(
            fitted, folds, kept, starts, crossed.fit, asked, asked.options(order, ridge, few.step), bool(known.any())
        )
        tables.append(table)
    reference = with_stated_errors(candidates, factor, covariance)
    options = {**asked.options(order, ridge), **asked.correction(strength)}
    model, fit, halves = _final(reference, folds, kept, starts, options, asked.stretch)
    variance = np.full(reference.labels.values.shape, np.nan)
    if covariance is not None:
        variance[:, known] = np.diagonal(covariance, axis1=1, axis2=2)[:, known]
    checks = total_errors.Checks(fit, halves, reference.labels.values, variance, folds, kept, groups)
    errors = total_errors.measure(model, checks)
    labels = Labels(fit.labels.ids, fit.labels.names, fit.labels.values, errors.covariance(model, fit))
    validation = CrossValidation(replace(fit, labels=labels), candidates.labels, kept)
    tried = stacked(tables)
    return Learnt(
        model, kept, reference, factor, strength, errors, validation, tried, options, counts, known, groups is not None
    )


def _rounds(
    few: FewPixels,
    starts: np.ndarray,
    folds: np.ndarray,
    asked: Asked,
    options: Mapping[str, Any],
    factor: float | np.ndarray,
    counts: dict[str, int],
) -> tuple[CrossFit, float | np.ndarray, np.ndarray]:
    """Cross-fit, judge errors and labels, again, until neither changes; without a clip where it does no good."""
    labels, kept = few.reference.labels, np.ones(len(few.reference), dtype=bool)
    pivots, scales = scaling(labels.values, labels.names)
    scaled = (labels.values - pivots) / scales
    first: CrossFit | None = None
    counts.clear()  # those of another order no longer count
    for number in range(1, ROUNDS + 1):
        fitted = with_stated_errors(few.reference, few.of(factor), None)
        crossed = cross_fit(fitted, folds, starts, kept=kept, exact=False, **options)
        first = first or crossed
        rests = True
        if asked.finds_error_factor:
            smooth = SMOOTHED if asked.error_factor == "by wavelength" else 0.0
            more = cross_fitted_error_factor(fitted.spectra, crossed, kept, smooth)
            more = np.where(np.isfinite(more), more, 1.0)
            factor = few.everywhere(few.of(factor) * more)
            rests = bool(np.abs(np.median(more) - 1.0) < FACTOR_RESTS)
        lever = total_errors.held_leverage(scaled, options["order"], folds, kept)
        again = ~suspects(labels, crossed.fit, lever, asked.clip_sigma)
        n_terms = asked.n_terms(options["order"])
        if np.count_nonzero(again) <= n_terms:
            raise ValueError(
                f"learn: of {len(again)} stars {np.count_nonzero(again)} come out near their labels with {n_terms} "
                f"terms, order {options['order']}: do labels go together, has one two values or the same for most "
                "stars, or no pixel by censoring? Leave that label out, or take order=1"
            )
        counts[f"{ROUND}{number}"] = int((~again).sum())
        rests = rests and bool((again != kept).mean() <= CLIP_RESTS)
        kept = again
        if rests:
            break
    trials = Trials(few.reference, folds, kept, starts)
    assert first is not None
    for one in (first, crossed):
        trials.judge({}, one.fit)
    if not kept.all() and trials.as_good[0] == 0:
        counts[GIVEN_BACK] = int((~kept).sum())
        return first, factor, np.ones_like(kept)
    return crossed, factor, kept


def suspects(reference: Labels, fit: LabelFit, lever: np.ndarray, clip_sigma: float) -> np.ndarray:
    """(N,) stars with a label more than `clip_sigma` robust errors from that of the fit, or without a fit.

    The error of each star is its formal one, its leverage (N,) times the scatter of all, and a floor that gives the
    residuals a robust width of one, in quadrature: faint stars, and those far from the others, may deviate more.
    """
    residual = residuals(fit, reference)
    center, scatter = bias_and_scatter(residual, robust=True)
    residual = residual - center
    sigma = np.hypot(fit.labels.errors, np.sqrt(lever)[:, None] * scatter)
    sigma = np.hypot(sigma, error_floor(residual, sigma))
    return ~(np.abs(residual) <= clip_sigma * sigma).all(axis=1)


def _final(
    reference: ReferenceSet,
    folds: np.ndarray,
    kept: np.ndarray,
    starts: np.ndarray,
    options: Mapping[str, Any],
    stretch: float,
) -> tuple[CannonModel, LabelFit, list[LabelFit]]:
    """The model of all that are kept and, from the same sums, those of the folds with what they say of their stars.

    They say it of whole spectra and of either half: of every other stretch [Å].
    """
    names = np.unique(folds)
    counts = np.concatenate([np.ones((1, len(reference)), bool), folds != names[:, None]]) & kept
    model, *models = train_subsets(reference, counts, exact=np.arange(len(counts)) == 0, **options)
    rows = [np.flatnonzero(folds == name) for name in names]
    back = np.argsort(np.concatenate(rows))

    def of(spectra: Spectra) -> LabelFit:
        fits = [infer(one, spectra[held], starts) for one, held in zip(models, rows, strict=True)]
        return LabelFit.concatenate(fits)[back]

    return model, of(reference.spectra), [of(half) for half in total_errors.halves(reference.spectra, stretch)]


@dataclass(frozen=True)
class FewPixels:
    """Every so many pixels of the candidates."""

    reference: ReferenceSet
    wavelength: np.ndarray
    step: int

    def of(self, factor: float | np.ndarray) -> float | np.ndarray:
        """An error factor at these pixels."""
        return factor if np.ndim(factor) == 0 else np.asarray(factor)[:: self.step]

    def everywhere(self, factor: float | np.ndarray) -> float | np.ndarray:
        """An error factor at all pixels from that at these."""
        if np.ndim(factor) == 0:
            return float(factor)
        return np.interp(self.wavelength, self.reference.spectra.wavelength, factor)


def every_so_many_pixels(reference: ReferenceSet, step: int) -> FewPixels:
    """Pixels 0, step, 2 step … of the spectra."""
    spectra = reference.spectra
    if step <= 1:
        return FewPixels(reference, spectra.wavelength, 1)
    flux, ivar = (np.ascontiguousarray(array[:, ::step]) for array in (spectra.flux, spectra.ivar))
    thinned = Spectra(spectra.ids, spectra.wavelength[::step], flux, ivar, spectra.normalized)
    return FewPixels(ReferenceSet(thinned, reference.labels), spectra.wavelength, step)


def with_stated_errors(
    reference: ReferenceSet, factor: float | np.ndarray, covariance: np.ndarray | None
) -> ReferenceSet:
    """The same stars with the flux errors and the covariances of labels that are believed in."""
    labels = reference.labels
    labels = Labels(labels.ids, labels.names, labels.values, covariance)
    return ReferenceSet(with_error_factor(reference.spectra, factor), labels)


def stacked(tables: list[Table]) -> Table | None:
    """What was tried, one row a trial."""
    if not tables:
        return None
    names = list(dict.fromkeys(name for table in tables for name in table.colnames))
    columns = {
        name: np.concatenate(
            [table[name] if name in table.colnames else np.full(len(table), np.nan) for table in tables]
        )
        for name in names
    }
    return Summary(columns)
