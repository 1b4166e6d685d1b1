"""The recipes against each other, where the truth is known, and on real stars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from ..archive.opening import Survey
from ..archive.overlap import Overlap
from ..labels import Labels
from ..reference import quality_cuts
from ..survey import normalized
from ..validation import assign_folds, bias_and_scatter
from .learning import learn


def compare_recipes(
    surveys: Iterable[Survey],
    rng: np.random.Generator,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    snr_min: float = 50.0,
    n_folds: int = 8,
    error_factor: float = 3.0,
) -> Table:
    """Bias and scatter of each recipe on each survey.

    Of a simulated survey one fold is kept aside, the recipes learn from the others, and what they say of the stars kept
    aside is compared with the truth; beside them stands a training on true labels with true flux errors. Of a real
    survey every fold is kept aside once, the recipe with all its choices learns from the others, and what it says is
    compared with the reference labels.

    Parameters
    ----------
    surveys : see `open_survey`
    rng : draws the folds
    recipes : name to options of `learn`; by default both recipes as they are
    snr_min : stars kept aside of lower S/N do not count, of a simulated survey
    n_folds : of which one, or each, is kept aside
    error_factor : of the simulated survey, for the training on true labels

    Returns
    -------
    Table with a row for each survey, recipe and label: n, bias, scatter, median, robust_scatter in the label's unit,
    and pull, the robust width of error over stated error
    """
    chosen = dict(recipes or {"paper": {"recipe": "paper"}, "robust": {"recipe": "robust"}})
    tables = []
    for survey in surveys:
        overlap = survey.overlap()
        keep = ~np.any(list(quality_cuts(overlap.labels, overlap.flagged).values()), axis=0)
        keep &= overlap.spectra.good_pixels > 0
        folds = assign_folds(int(keep.sum()), n_folds, rng)
        aside = [0] if overlap.truth is not None else list(range(n_folds))
        trained = {**chosen, "true labels": {"recipe": "paper", "error_factor": error_factor}}
        for name, options in (trained if overlap.truth is not None else chosen).items():
            tables.append(_one(survey, overlap, keep, folds, aside, name, options, snr_min))
    return vstack(tables)


def _one(
    survey: Survey,
    overlap: Overlap,
    keep: np.ndarray,
    folds: np.ndarray,
    aside: list[int],
    name: str,
    options: Mapping[str, Any],
    snr_min: float,
) -> Table:
    spectra = normalized(overlap.spectra[keep], 50.0, "paper")
    labels = overlap.labels[keep]
    goal = labels if overlap.truth is None else overlap.truth[keep].select(labels.names)
    taught = goal if name == "true labels" else Labels(labels.ids, labels.names, labels.values, labels.covariance)
    errors, stated = [], []
    for fold in aside:
        held = folds == fold
        transfer = learn(spectra[~held], taught[~held], simulated=survey.simulated, **options)
        table = transfer.label(spectra[held])
        counted = np.asarray(table["converged"])
        if overlap.truth is not None:
            counted = counted & (spectra[held].signal_to_noise() > snr_min)
        found, sigma = (
            np.column_stack([np.asarray(table[label + ending]) for label in labels.names]) for ending in ("", "_err")
        )
        errors.append((found - goal[held].values)[counted])
        stated.append(sigma[counted])
    error = np.concatenate(errors)
    bias, scatter = bias_and_scatter(error)
    median, robust = bias_and_scatter(error, robust=True)
    _, pull = bias_and_scatter(error / np.concatenate(stated), robust=True)
    rows = Table({"label": np.array(labels.names), "n": np.full(len(bias), len(error)), "bias": bias})
    rows["scatter"], rows["median"], rows["robust_scatter"], rows["pull"] = scatter, median, robust, pull
    rows.add_column(name, 0, "recipe")
    rows.add_column(survey.description, 0, "survey")
    return rows
