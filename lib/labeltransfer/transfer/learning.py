"""Learn from stars with spectra and labels: what is asked is checked, a recipe followed, what happened told."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..archive.opening import Survey
from ..archive.overlap import Overlap
from ..cannon.model import ORDERS, scaling
from ..catalogue import DISTANCE_CUT
from ..continuum import check_segments, check_smoothing, normalize
from ..inference import starting_points
from ..labels import LABELS, Labels
from ..options import check_option, check_whole
from ..reference import LABEL_SCALES, ReferenceSet, quality_cuts, usual_distance
from ..spectra import Spectra
from ..spectra.arrays import SHORTEST
from ..survey import normalized
from ..tables import words
from ..validation import assign_folds, one_each
from . import recipes
from .choices import Asked, usual_order
from .label_transfer import LabelTransfer
from .report import lines

RECIPES = ("robust", "paper")

FOLDS, FEW_FOLDS = 8, 3
"""Of cross-validations: the number of the paper, and that where the stars of two folds determine all terms well."""

MANY_STARS = 100
"""Stars per term from which on few folds do."""

RELATIVE, RICHEST = ("fe_h", "alpha_m"), 0.7
"""Labels relative to the Sun that some star of most samples has negative, and the most, in dex, that a star has."""

ENOUGH = 30
"""Stars of which one at least should be poorer in metals than the Sun."""

logger = logging.getLogger(__name__)


def learn(
    spectra: Spectra | Survey,
    labels: Labels | None = None,
    *,
    rng: np.random.Generator | int | None = None,
    recipe: str = "robust",
    order: int | str | None = None,
    ridge: float = 0.0,
    censoring: Mapping[str, np.ndarray] | np.ndarray | None = None,
    error_factor: float | str | np.ndarray | None = None,
    label_errors: Mapping[str, float] | str = "auto",
    label_error_strength: float | str = "auto",
    n_folds: int | None = None,
    groups: Any = None,
    width: float = 50.0,
    convention: str = "paper",
    segments: Sequence[tuple[float, float]] | None = None,
    clip_sigma: float = 4.0,
    alpha_m_min: float = -0.1,
    starts: np.ndarray | None = None,
    n_starts: int = 7,
    simulated: bool = False,
) -> LabelTransfer:
    """Learn to transfer labels from stars that have both spectra and labels.

    The recipe ``"paper"`` is section 3 of Ho et al. (2017) as printed: cuts, a first pass, a 4 σ clip, training, formal
    errors. The recipe ``"robust"`` withstands wrong flux errors and wrong labels: each star is judged by models that
    have not seen it. From the residuals it finds by what factor the flux errors are wrong, which stars' labels are
    wrong (in rounds, until none is added), how much of the labels' errors can be undone in training (corrected score),
    and, if asked, the order of the polynomial; its errors contain a floor and what few reference stars leave
    uncertain.

    Parameters
    ----------
    spectra : normalized or not yet; or a survey from `open_survey`, which has labels of its own, to which the paper's
        cuts in Teff and [α/M] are applied
    labels : of the same stars, matched by their ids; stars without all labels are left out, and counted
    rng : draws starting points and folds, or the seed of one that does; by default always the same
    recipe : ``"robust"`` or ``"paper"``
    order : 1, 2 (the paper), 3 or, with recipe robust, ``"auto"``: by cross-validated likelihood, with a ridge if there
        are few stars. By default 2 or, with recipe robust and fewer than fifty stars a term, ``"auto"``
    ridge, censoring : of `train`
    error_factor : by what the reported flux errors are divided: a number, (P,), ``"auto"`` (the default of robust) or
        ``"by wavelength"``; the paper's recipe takes the errors as they are
    label_errors : standard errors of the reference labels by name, in the labels' units, for all stars;
        ``"auto"``: those that `labels` brings or, if no label has any, what the residuals allow at most;
        ``"none"``: none are undone. Errors of a label that are not known are neither undone nor taken out of the errors
        of the result
    label_error_strength : share of these errors that is undone, 0 to 1; ``"auto"``: by cross-validation, none if it
        does not help
    n_folds : of every cross-validation; by default 8, or 3 where there are more than a hundred stars a term
    groups : cluster, plate or night of each star, in the order of `spectra` or by id (a mapping, or a Series with
        ids as its index): stars of one group are never judged by a model that has seen another of it, and errors
        contain what they have in common
    width, convention, segments : of the normalization, see `normalize`; `segments` are the detectors that are
        normalized apart, here and in `LabelTransfer.label`
    clip_sigma : of the clip
    alpha_m_min : dex, of the paper's cuts
    starts, n_starts : (S, L) starting points of the test step, or how many are drawn
    simulated : whether the spectra are simulated; of a survey it is known

    Returns
    -------
    LabelTransfer
        Its `report` says what was done and what to beware of.

    Raises
    ------
    ValueError, TypeError
        If spectra and labels have too few stars in common, a label does not vary or is not in its unit, or an option
        makes no sense.
    """
    check_option("recipe", recipe, RECIPES)
    if recipe == "paper" and not (groups is None and n_folds is None):
        raise ValueError(
            "recipe 'paper' holds no stars out: leave groups and n_folds to `LabelTransfer.cross_validate`"
        )
    if order not in (None, "auto"):
        order = check_whole("order", order, ORDERS)
    if n_folds is not None:
        n_folds = check_whole("n_folds", n_folds)
    rng = np.random.default_rng(0 if rng is None else rng)
    factor = error_factor if error_factor is not None else ("auto" if recipe == "robust" else 1.0)
    check_smoothing(width, convention)
    pieces = None if segments is None else check_segments(segments)
    how = {"width": width, "convention": convention, "segments": pieces}
    settings: dict[str, Any] = {**how, "simulated": simulated}
    if isinstance(spectra, Spectra):
        if not isinstance(labels, Labels):
            raise TypeError(f"learn: found labels of type {type(labels).__name__}, wanted Labels (Labels.from_table)")
        notes: tuple[str, ...] = ()
        settings |= {"normalized_before": spectra.normalized}
        candidates, counts = _joined(spectra, labels, recipe, alpha_m_min, how)
    else:
        if not hasattr(spectra, "overlap"):
            raise TypeError(f"learn: found {type(spectra).__name__}, wanted Spectra (Spectra.from_arrays), or a survey")
        if labels is not None:
            raise TypeError("learn: a survey brings its own labels; give spectra and labels, or a survey")
        candidates, counts, notes = _of_survey(spectra, alpha_m_min, how)
        settings |= {"mask": spectra.mask, "simulated": spectra.simulated}
    if order is None:
        order = usual_order(candidates) if recipe == "robust" else 2
    asked = Asked(
        candidates.labels.names,
        order,
        ridge,
        factor,
        label_errors,
        label_error_strength,
        censoring,
        clip_sigma,
        2.0 * width,
    )
    if n_folds is None:
        n_folds = FEW_FOLDS if len(candidates) > MANY_STARS * asked.n_terms(asked.fixed_order) else FOLDS
    _check(candidates, asked, recipe, n_folds)
    if len(candidates) < n_starts:
        raise ValueError(
            f"n_starts: found {len(candidates)} stars with spectra and good labels, wanted {n_starts} or more"
        )
    starts = starting_points(candidates.labels, n_starts, rng=rng) if starts is None else np.atleast_2d(starts)
    if recipe == "paper":
        learnt = recipes.paper(candidates, starts, asked)
    else:
        group_of = _groups_of(groups, spectra, candidates)
        folds = assign_folds(len(candidates), n_folds, rng, group_of)
        learnt = recipes.robust(candidates, starts, folds, asked, group_of)
    kept = candidates.labels[learnt.kept]
    counts = {**counts, **learnt.counts, "reference stars": len(kept)}
    unreadable = counts.pop("unreadable files", None)
    counts |= {} if unreadable is None else {"unreadable files": unreadable}
    cut = DISTANCE_CUT
    if recipe == "robust" and set(LABEL_SCALES) & set(kept.names):
        cut = usual_distance(kept)
    return LabelTransfer(
        learnt.model,
        kept,
        starts,
        **settings,
        counts=counts,
        recipe=recipe,
        error_factor=learnt.error_factor,
        label_error_strength=learnt.strength,
        errors=learnt.errors,
        distance_cut=cut,
        tried=learnt.tried,
        report=(*notes, *lines(learnt, counts, asked, logger)),
        validation=learnt.validation,
        reference=learnt.reference,
        options=learnt.options,
    )


def _joined(
    spectra: Spectra, labels: Labels, recipe: str, alpha_m_min: float, how: Mapping[str, Any]
) -> tuple[ReferenceSet, dict[str, int]]:
    counts = {
        "spectra": len(spectra),
        "of them without labels": int((~np.isin(spectra.ids, labels.ids)).sum()),
        "a label is missing": int((np.isin(labels.ids, spectra.ids) & ~labels.known).sum()),
    }
    spectra = spectra.masked_without_star()
    counts["without unmasked pixels, or constant, or not positive"] = int((spectra.good_pixels == 0).sum())
    if recipe == "paper":
        excised = quality_cuts(labels, alpha_m_min=alpha_m_min)
        excised.pop("a label is missing")
        counts |= {reason: int((stars & np.isin(labels.ids, spectra.ids)).sum()) for reason, stars in excised.items()}
        keep = ~np.any(list(excised.values()), axis=0) if excised else np.ones(len(labels), dtype=bool)
        labels = labels[keep]
    candidates = ReferenceSet.join(spectra, labels)
    if not spectra.normalized:
        candidates = ReferenceSet(normalize(candidates.spectra, **how), candidates.labels)
    return candidates, counts


def _of_survey(
    survey: Survey, alpha_m_min: float, how: Mapping[str, Any]
) -> tuple[ReferenceSet, dict[str, int], tuple[str, ...]]:
    made = getattr(survey, "normalization", None)
    if made is not None and (*made, None) != tuple(how.values()):
        raise ValueError(f"{survey!r}: normalized with width {made[0]:g}, {made[1]}; ingest again, or train with that")
    overlap: Overlap = survey.overlap()
    excised = quality_cuts(overlap.labels, overlap.flagged, alpha_m_min=alpha_m_min)
    keep = ~np.any(list(excised.values()), axis=0)
    if not keep.any():
        raise ValueError(f"{survey.description}: none of {len(overlap)} stars passes the cuts on labels and flags")
    candidates = ReferenceSet.join(normalized(overlap.spectra[keep], **how), overlap.labels[keep])
    counts = {**overlap.counts, **{reason: int(stars.sum()) for reason, stars in excised.items()}}
    return candidates, {**counts, "unreadable files": len(overlap.unreadable)}, overlap.notes


def _groups_of(groups: Any, spectra: Spectra | Survey, candidates: ReferenceSet) -> np.ndarray | None:
    """(N,) the group of each candidate."""
    if groups is None:
        return None
    if hasattr(groups, "iloc") and type(groups.index).__name__ != "RangeIndex":  # a Series that names the stars
        named = words(np.asarray(groups.index)).tolist()
        if set(candidates.ids.tolist()) <= set(named):
            groups = dict(zip(named, one_each("groups", groups, len(groups)).tolist(), strict=True))
    if not isinstance(groups, Mapping):
        if not isinstance(spectra, Spectra):
            raise TypeError("groups: with a survey, wanted a mapping from the stars' ids to their groups")
        groups = dict(zip(spectra.ids.tolist(), one_each("groups", groups, len(spectra)).tolist(), strict=True))
    lacking = [name for name in candidates.ids.tolist() if name not in groups]
    if lacking:
        raise ValueError(f"groups: none given for {len(lacking)} stars, first {lacking[0]!r}")
    return np.array([groups[name] for name in candidates.ids.tolist()])


def _check(candidates: ReferenceSet, asked: Asked, recipe: str, n_folds: int) -> None:
    """Refuse what would fail, or mislead, after minutes of training."""
    if recipe == "paper" and (asked.order == "auto" or asked.finds_error_factor):
        raise ValueError("recipe 'paper' chooses no order and no error factor: give numbers, or take recipe 'robust'")
    if recipe == "paper" and (isinstance(asked.label_errors, Mapping) or asked.strength != "auto"):
        raise ValueError("recipe 'paper' undoes no errors of labels: leave them out, or take recipe 'robust'")
    if not asked.clip_sigma > 0:
        raise ValueError(f"clip_sigma: found {asked.clip_sigma!r}, wanted a positive number")
    factor = asked.error_factor
    if isinstance(factor, str):
        if factor not in ("auto", "by wavelength"):
            raise ValueError(f"error_factor: found {factor!r}, wanted a number, 'auto' or 'by wavelength'")
    elif not (np.isfinite(factor).all() and np.min(factor) > 0):
        raise ValueError(f"error_factor: found {factor!r}, wanted positive numbers")
    elif np.shape(factor) not in ((), candidates.spectra.wavelength.shape):
        raise ValueError(f"error_factor has shape {np.shape(factor)}, wanted a number or one for each pixel")
    _check_label_errors(asked)
    values, names = candidates.labels.values, candidates.labels.names
    scaling(values, names)
    _check_values(candidates.labels)
    together = np.linalg.svd((values - values.mean(axis=0)) / values.std(axis=0), compute_uv=False)
    if together[-1] < 1e-6 * together[0]:
        raise ValueError(f"learn: labels {', '.join(names)}: one follows exactly from the others; leave it out")
    if candidates.spectra.wavelength[-1] < SHORTEST:
        raise ValueError(f"learn: {candidates.spectra!r}: wanted wavelengths in Å; see Spectra.from_arrays for others")
    n_stars, n_terms = len(candidates), asked.n_terms(asked.first_order(len(candidates)))
    trained = n_stars if recipe == "paper" else n_stars - -(-n_stars // max(n_folds, 2))
    if trained > n_terms and recipe != "paper" and not 2 <= n_folds <= n_stars:
        raise ValueError(f"n_folds: found {n_folds}, wanted 2 to {n_stars}, the number of stars")
    if trained <= n_terms:
        raise ValueError(
            f"learn: {n_stars} stars with spectra and all labels{'' if recipe == 'paper' else f' in {n_folds} folds'} "
            f"cannot determine {n_terms} terms (order {asked.first_order(n_stars)} in {len(names)} labels); wanted "
            "more stars than terms, better ten times as many: fewer labels, order=1, or more stars"
        )


def _check_label_errors(asked: Asked) -> None:
    stated = asked.label_errors
    if isinstance(stated, Mapping):
        wrong = [name for name in stated if name not in asked.names]
        if wrong:
            raise ValueError(f"label_errors: no label {wrong[0]!r}; the labels are {', '.join(asked.names)}")
        for name, error in stated.items():
            if not (isinstance(error, Real) and np.isfinite(error) and error >= 0):
                raise ValueError(
                    f"label_errors: that of {name!r} is {reprlib.repr(error)}, wanted a number in {LABELS[name].unit}, "
                    f"one for all stars (errors of each star belong in the table of labels, as {name}_err)"
                )
    elif stated not in ("auto", "none"):
        raise ValueError(f"label_errors: found {stated!r}, wanted errors by label, 'auto' or 'none'")
    strength = asked.strength
    if strength != "auto" and not (not isinstance(strength, str) and 0.0 <= strength <= 1.0):
        raise ValueError(f"label_error_strength: found {strength!r}, wanted 0 to 1, or 'auto'")


def _check_values(labels: Labels) -> None:
    """Refuse values that no star has, and metallicities that are ratios instead of their logarithms."""
    for name, values in zip(labels.names, labels.values.T, strict=True):
        (low, high), unit = LABELS[name].bounds, LABELS[name].unit
        wrong = (values < low) | (values > high)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"learn: {name} of {wrong.sum()} of {len(values)} stars lies outside {low:g} to {high:g} {unit}, first "
                f"{values[first]:g} of {str(labels.ids[first])!r}; wanted {unit or 'plain numbers'}, NaN where unknown"
            )
        if name in RELATIVE and values.min() > 0:
            what = f"{name} of all {len(values)} stars is positive, up to {values.max():.3g}"
            if np.quantile(values, 0.9) > RICHEST:  # a single wrong label is no sign
                raise ValueError(f"learn: {what}, as ratios are; wanted their logarithm (dex)")
            if name == "fe_h" and len(values) >= ENOUGH:
                logger.warning("learn: %s; is it a logarithm (dex), and no ratio?", what)
