"""The recipes against each other, where the truth is known, and on real stars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from ..archive.opening import Survey
from ..labels import Labels
from ..reference import ReferenceSet, quality_cuts
from ..spectra import Spectra
from ..survey import normalized
from ..validation import Summary, assign_folds, bias_and_scatter
from .learning import learn
from .recipes import every_so_many_pixels

RECIPES: dict[str, dict[str, Any]] = {"paper": {"recipe": "paper"}, "robust": {"recipe": "robust"}}

TRUE_LABELS = "true labels"
"""Recipe robust on labels without errors: the best that spectra allow."""


def compare_recipes(
    surveys: Iterable[Survey] | Spectra,
    rng: np.random.Generator | int | None = None,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    labels: Labels | None = None,
    snr_min: float = 50.0,
    n_folds: int = 8,
    n_stars: int | None = None,
    n_reference: Sequence[int] | None = None,
    pixel_step: int = 1,
) -> Table:
    """Bias and scatter of each recipe on each survey.

    Of a simulated survey one fold is kept aside, the recipes learn from the others, and what they say of the stars kept
    aside is compared with the truth; beside them stands a training on true labels. Of a real survey every fold is kept
    aside once, the recipe with all its choices learns from the others, and what it says is compared with the reference
    labels.

    Parameters
    ----------
    surveys : see `open_survey`; or spectra of one's own, as `learn` takes them, with `labels`
    rng : draws the stars and the folds, or the seed of one that does; by default always the same
    recipes : name to options of `learn`; by default both recipes as they are
    labels : of spectra of one's own, matched by their ids
    snr_min : stars kept aside of lower S/N do not count, of a simulated survey
    n_folds : of which one, or each, is kept aside
    n_stars : of those that pass the cuts so many are drawn; by default all
    n_reference : the recipes learn from so many stars at most, each number in turn, while those kept aside stay the
        same; by default from all the others
    pixel_step : every so many pixels are used

    Returns
    -------
    Table with a row for each survey, number of stars, recipe and label: n_reference, the stars learnt from before any
    clip; n, those compared; bias, scatter, median, robust_scatter in the label's unit; pull, the robust width of error
    over stated error; seconds, the time of one learning

    Raises
    ------
    ValueError
        If `pixel_step` is less than one, or too few stars are left to learn from.
    TypeError
        If they are neither surveys nor spectra with labels.
    """
    if pixel_step < 1:
        raise ValueError(f"pixel_step: found {pixel_step}, wanted 1 or more")
    if isinstance(rng, Labels):
        raise TypeError("compare_recipes: found Labels for rng; give them by name: compare_recipes(spectra, labels=…)")
    rng = np.random.default_rng(0 if rng is None else rng)
    chosen = dict(recipes or RECIPES)
    tables = []
    for sample in _samples(surveys, labels):
        stars, truth = _drawn(sample, rng, n_stars, pixel_step)
        folds, order = assign_folds(len(stars), n_folds, rng), rng.permutation(len(stars))
        on_truth = {"recipe": "robust", "label_errors": dict.fromkeys(stars.labels.names, 0.0)}
        trained = chosen if truth is None else {**chosen, TRUE_LABELS: on_truth}
        most_left = len(stars) - int(np.bincount(folds).min())
        sizes = dict.fromkeys(min(most, most_left) for most in n_reference or (most_left,))
        for most, (name, options) in product(sizes, trained.items()):
            taught = truth if truth is not None and name == TRUE_LABELS else stars.labels
            splits = [
                (np.sort(order[folds[order] != fold][:most]), np.flatnonzero(folds == fold))
                for fold in ([0] if truth is not None else np.unique(folds))
            ]
            rows = _one(stars, taught, truth, splits, {"simulated": sample.simulated, **options}, snr_min)
            rows.add_column(name, 0, "recipe")
            rows.add_column(sample.description, 0, "survey")
            tables.append(rows)
    return Summary(vstack(tables))


@dataclass(frozen=True)
class _Sample:
    """Stars to compare recipes on, and their true labels if these are known."""

    description: str
    simulated: bool
    stars: ReferenceSet
    truth: Labels | None


def _samples(surveys: Any, labels: Labels | None) -> Iterator[_Sample]:
    """The stars of one's own spectra and labels; or of every survey those that pass the cuts."""
    if isinstance(surveys, Spectra):
        if not isinstance(labels, Labels):
            found = type(labels).__name__
            raise TypeError(f"compare_recipes: found spectra with labels of type {found}, wanted labels=Labels")
        yield _Sample("own spectra", False, ReferenceSet.join(surveys.masked_without_star(), labels), None)
        return
    for survey in [surveys] if hasattr(surveys, "overlap") else surveys:
        if not hasattr(survey, "overlap"):
            found = type(survey).__name__
            raise TypeError(f"compare_recipes: found {found}, wanted surveys (open_survey), or Spectra and labels")
        overlap = survey.overlap()
        rows = np.flatnonzero(~np.any(list(quality_cuts(overlap.labels, overlap.flagged).values()), axis=0))
        rows = rows[overlap.spectra.good_pixels[rows] > 0]
        stars = ReferenceSet(overlap.spectra[rows], overlap.labels[rows])
        truth = None if overlap.truth is None else overlap.truth[rows].select(stars.labels.names)
        yield _Sample(survey.description, survey.simulated, stars, truth)


def _drawn(
    sample: _Sample, rng: np.random.Generator, n_stars: int | None, pixel_step: int
) -> tuple[ReferenceSet, Labels | None]:
    """So many of the stars, normalized, at every so many pixels, and their true labels."""
    rows = np.arange(len(sample.stars))
    if n_stars is not None and n_stars < len(rows):
        rows = np.sort(rng.choice(rows, n_stars, replace=False))
    stars = ReferenceSet(normalized(sample.stars.spectra[rows], 50.0, "paper"), sample.stars.labels[rows])
    return every_so_many_pixels(stars, pixel_step).reference, None if sample.truth is None else sample.truth[rows]


def _one(
    stars: ReferenceSet,
    taught: Labels,
    truth: Labels | None,
    splits: list[tuple[np.ndarray, np.ndarray]],
    options: Mapping[str, Any],
    snr_min: float,
) -> Table:
    """Row by label of what one recipe says of stars that it has not seen."""
    goal, names = stars.labels if truth is None else truth, stars.labels.names
    errors, stated, seconds = [], [], []
    for others, held in splits:
        begun = perf_counter()
        transfer = learn(stars.spectra[others], taught[others], **options)
        seconds.append(perf_counter() - begun)
        table = transfer.label(stars.spectra[held])
        counted = np.asarray(table["converged"])
        if truth is not None:
            counted = counted & (stars.spectra[held].signal_to_noise() > snr_min)
        found, sigma = (
            np.column_stack([np.asarray(table[name + ending]) for name in names]) for ending in ("", "_err")
        )
        errors.append((found - goal.values[held])[counted])
        stated.append(sigma[counted])
    error = np.concatenate(errors)
    bias, scatter = bias_and_scatter(error)
    median, robust = bias_and_scatter(error, robust=True)
    _, pull = bias_and_scatter(error / np.concatenate(stated), robust=True)
    columns = {"bias": bias, "scatter": scatter, "median": median, "robust_scatter": robust, "pull": pull}
    counts = {"n_reference": max(len(others) for others, _ in splits), "n": len(error)}
    rows = Table({"label": np.array(names), **{what: np.full(len(names), n) for what, n in counts.items()}, **columns})
    rows["seconds"] = np.mean(seconds)
    return rows
