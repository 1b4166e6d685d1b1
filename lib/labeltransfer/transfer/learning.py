"""Learn from stars with spectra and labels: what is asked is checked, a recipe followed, what happened told."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..archive.opening import Survey
from ..archive.overlap import Overlap
from ..cannon.model import ORDERS
from ..catalogue import CHI2_MAX, DISTANCE_CUT
from ..continuum import check_segments, check_smoothing, normalize
from ..inference import starting_points
from ..labels import Labels
from ..options import check_option, check_whole
from ..reference import ReferenceSet, quality_cuts, usual_distance
from ..spectra import Spectra
from ..tables import words
from ..validation import CrossValidation, assign_folds, one_each
from . import recipes
from .checks import check, check_censoring
from .choices import Asked, usual_order
from .label_transfer import LabelTransfer, distance_from, distance_scales
from .report import lines

RECIPES = ("robust", "paper")

FOLDS, FEW_FOLDS = 8, 3
"""Of cross-validations: the number of the paper, and that where the stars of two folds determine all terms well."""

MANY_STARS = 100
"""Stars per term from which on few folds do."""

NEAR = 0.99
"""Share of the reference stars, by their labels and by those that models find which have not seen them, in the cut."""

SHARE, MARGIN = 0.995, 1.5
"""χ² of a good star at most, over that which so many reference stars do not exceed."""

logger = logging.getLogger(__name__)


def learn(
    spectra: Spectra | Survey,
    labels: Labels | None = None,
    *,
    rng: np.random.Generator | int | None = None,
    recipe: str = "robust",
    order: int | str | None = None,
    ridge: float = 0.0,
    censoring: Mapping[str, np.ndarray | Sequence[tuple[float, float]]] | np.ndarray | None = None,
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
    order : 1, 2 (the paper), 3 or, with recipe robust, ``"auto"``: by cross-validated likelihood, with a ridge on what
        an order adds if there are few stars. By default 2 or, with recipe robust and three labels at most or fewer than
        fifty stars a term, ``"auto"``
    ridge : of `train`
    censoring : where each label may act, by its name: (P,) booleans, True where it may, or wavelength ranges
        ``[(low, high), …]`` [Å], ends included; labels without a name here act everywhere. Or (P, L) booleans
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
    how: dict[str, Any] = {"width": width, "convention": convention, "segments": pieces}
    settings: dict[str, Any] = {**how, "simulated": simulated}
    if isinstance(spectra, Spectra):
        if not isinstance(labels, Labels):
            raise TypeError(f"learn: found labels of type {type(labels).__name__}, wanted Labels (Labels.from_table)")
        settings |= {"normalized_before": spectra.normalized}
        candidates, counts, notes = _joined(spectra, labels, recipe, alpha_m_min)
    else:
        if not hasattr(spectra, "overlap"):
            raise TypeError(f"learn: found {type(spectra).__name__}, wanted Spectra (Spectra.from_arrays), or a survey")
        if labels is not None:
            raise TypeError("learn: a survey brings its own labels; give spectra and labels, or a survey")
        candidates, counts, notes = _of_survey(spectra, alpha_m_min, how)
        settings |= {"mask": spectra.mask, "simulated": spectra.simulated}
    if order is None:
        order = usual_order(candidates) if recipe == "robust" else 2
    names, pixels = candidates.labels.names, _pixels(candidates.spectra.wavelength, pieces)
    asked = Asked(
        names,
        order,
        ridge,
        factor,
        label_errors,
        label_error_strength,
        check_censoring(censoring, names, pixels),
        clip_sigma,
        2.0 * width,
    )
    if n_folds is None:
        n_folds = FEW_FOLDS if len(candidates) > MANY_STARS * asked.n_terms(asked.fixed_order) else FOLDS
    check(candidates, asked, recipe, n_folds, pixels.size)
    if len(candidates) < n_starts:
        raise ValueError(
            f"n_starts: found {len(candidates)} stars with spectra and good labels, wanted {n_starts} or more"
        )
    starts = starting_points(candidates.labels, n_starts, rng=rng) if starts is None else np.atleast_2d(starts)
    group_of = _groups_of(groups, spectra, candidates)
    if not candidates.spectra.normalized:
        candidates = ReferenceSet(normalize(candidates.spectra, **how), candidates.labels)
    if recipe == "paper":
        learnt = recipes.paper(candidates, starts, asked)
    else:
        folds = assign_folds(len(candidates), n_folds, rng, group_of)
        learnt = recipes.robust(candidates, starts, folds, asked, group_of)
        learnt.validation = _with_known_errors(learnt)
    kept = candidates.labels[learnt.kept]
    counts = {**counts, **learnt.counts, "reference stars": len(kept)}
    unreadable = counts.pop("unreadable files", None)
    counts |= {} if unreadable is None else {"unreadable files": unreadable}
    distance_cut, chi2_cut, outside = _cuts(learnt, recipe)
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
        distance_cut=distance_cut,
        chi2_cut=chi2_cut,
        tried=learnt.tried,
        report=(*notes, *lines(learnt, counts, asked, logger, outside)),
        validation=learnt.validation,
        reference=learnt.reference,
        groups=group_of,
        options=learnt.options,
    )


def _joined(
    spectra: Spectra, labels: Labels, recipe: str, alpha_m_min: float
) -> tuple[ReferenceSet, dict[str, int], tuple[str, ...]]:
    known = np.isfinite(labels.values[np.isin(labels.ids, spectra.ids)])
    counts = {
        "spectra": len(spectra),
        "of them without labels": int((~np.isin(spectra.ids, labels.ids)).sum()),
        "a label is missing": int((~known.all(axis=1)).sum()),
    }
    alone = [int((np.delete(known, k, axis=1).all(axis=1) & ~known[:, k]).sum()) for k in range(len(labels.names))]
    notes = tuple(
        f"warning: {lacking:,} stars lack {name} alone, more than have all labels; leave it out, and they take part"
        for name, lacking in zip(labels.names, alone, strict=True)
        if lacking > known.all(axis=1).sum() and len(labels.names) > 1
    )
    for note in notes:
        logger.warning("learn: %s", note.removeprefix("warning: "))
    spectra = spectra.masked_without_star()
    counts["without unmasked pixels, or constant, or not positive"] = int((spectra.good_pixels == 0).sum())
    if recipe == "paper":
        excised = quality_cuts(labels, alpha_m_min=alpha_m_min)
        excised.pop("a label is missing")
        counts |= {reason: int((stars & np.isin(labels.ids, spectra.ids)).sum()) for reason, stars in excised.items()}
        keep = ~np.any(list(excised.values()), axis=0) if excised else np.ones(len(labels), dtype=bool)
        labels = labels[keep]
    return ReferenceSet.join(spectra, labels), counts, notes


def _pixels(wavelength: np.ndarray, segments: Sequence[tuple[float, float]] | None) -> np.ndarray:
    """Wavelengths that the normalization leaves."""
    if segments is None:
        return wavelength
    return wavelength[np.any([(wavelength >= low) & (wavelength <= high) for low, high in segments], axis=0)]


def _with_known_errors(learnt: recipes.Learnt) -> CrossValidation:
    """Its validation; of the errors of the reference labels it has those that are known."""
    assert learnt.validation is not None
    labels, known = learnt.reference.labels, learnt.label_errors_known
    covariance = labels.covariance if known.any() else None
    if covariance is not None:
        covariance = np.where(np.outer(known, known), covariance, np.nan)
    return replace(learnt.validation, labels=Labels(labels.ids, labels.names, labels.values, covariance))


def _cuts(learnt: recipes.Learnt, recipe: str) -> tuple[float, float, float]:
    """Label distance and reduced χ² of the catalogue's flags, and the share of the reference stars outside that.

    Those of recipe robust are such that stars beyond them are unlike the reference stars, as these are labelled unseen.
    """
    assert learnt.validation is not None
    fit = learnt.validation.fit[learnt.kept & learnt.validation.fit.converged]
    kept, scales = learnt.reference.labels[learnt.kept], distance_scales(learnt.model, recipe)
    found = distance_from(kept, fit.labels, scales)
    if recipe == "paper" or found is None:
        return DISTANCE_CUT, CHI2_MAX, 0.0 if found is None else float(np.mean(~(found < DISTANCE_CUT)))
    distance = max(usual_distance(kept, NEAR, scales=scales), float(np.nanquantile(found, NEAR)))
    return distance, min(CHI2_MAX, MARGIN * float(np.quantile(fit.reduced_chi2, SHARE))), 1.0 - NEAR


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
    candidates = ReferenceSet.join(overlap.spectra[keep].masked_without_star(), overlap.labels[keep])
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
