"""The recipes against each other, where the truth is known, and on real stars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from ..archive.opening import Survey
from ..labels import Labels
from ..reference import ReferenceSet, quality_cuts
from ..survey import normalized
from ..validation import Summary, assign_folds, bias_and_scatter
from .learning import learn
from .recipes import every_so_many_pixels

RECIPES: dict[str, dict[str, Any]] = {"paper": {"recipe": "paper"}, "robust": {"recipe": "robust"}}

TRUE_LABELS = "true labels"
"""Recipe robust on labels without errors: the best that spectra allow."""


def compare_recipes(
    surveys: Iterable[Survey],
    rng: np.random.Generator,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
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
    surveys : see `open_survey`
    rng : draws the stars and the folds
    recipes : name to options of `learn`; by default both recipes as they are
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
    """
    if pixel_step < 1:
        raise ValueError(f"pixel_step: found {pixel_step}, wanted 1 or more")
    chosen = dict(recipes or RECIPES)
    tables = []
    for survey in surveys:
        stars, truth = _candidates(survey, rng, n_stars, pixel_step)
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
            rows = _one(stars, taught, truth, splits, {"simulated": survey.simulated, **options}, snr_min)
            rows.add_column(name, 0, "recipe")
            rows.add_column(survey.description, 0, "survey")
            tables.append(rows)
    return Summary(vstack(tables))


def _candidates(
    survey: Survey, rng: np.random.Generator, n_stars: int | None, pixel_step: int
) -> tuple[ReferenceSet, Labels | None]:
    """Stars of the overlap that pass the cuts, normalized, and their true labels if these are known."""
    overlap = survey.overlap()
    rows = np.flatnonzero(~np.any(list(quality_cuts(overlap.labels, overlap.flagged).values()), axis=0))
    rows = rows[overlap.spectra.good_pixels[rows] > 0]
    if n_stars is not None and n_stars < len(rows):
        rows = np.sort(rng.choice(rows, n_stars, replace=False))
    labels = overlap.labels[rows]
    stars = ReferenceSet(normalized(overlap.spectra[rows], 50.0, "paper"), labels)
    truth = None if overlap.truth is None else overlap.truth[rows].select(labels.names)
    return every_so_many_pixels(stars, pixel_step).reference, truth


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
