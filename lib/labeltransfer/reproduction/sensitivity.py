"""How the scatter answers to the paper's choices: section 3 and the cross-validation, once per set of choices."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from ..archive import Survey, open_survey
from ..archive.overlap import rows_of
from ..continuum import normalize
from ..inference import starting_points
from ..reference import ReferenceSet
from ..transfer import learn
from ..validation import assign_folds, bias_and_scatter, cross_validate
from .chapter import SURVEY_PARAMETERS
from .sweep import Sweep


@dataclass(frozen=True)
class Variant:
    """One set of choices, and what came of it.

    Attributes
    ----------
    changed : the choices that differ from those of the base
    label_names : the labels of the columns
    ids : (N,) stars of the reference set
    residuals : (N, L) cross-validated minus reference labels
    good : (N,) stars that are counted: converged and above the S/N cut
    """

    changed: dict[str, Any]
    label_names: tuple[str, ...]
    ids: np.ndarray
    residuals: np.ndarray
    good: np.ndarray

    @property
    def name(self) -> str:
        """As ``n_folds = 4``; of the base ``as in this run``."""
        return ", ".join(f"{key} = {value}" for key, value in self.changed.items()) or "as in this run"

    @property
    def bias_and_scatter(self) -> tuple[np.ndarray, np.ndarray]:
        """(L,) and (L,), of the counted stars."""
        return bias_and_scatter(self.residuals[self.good])


def variants(
    sweep: Sweep, values: Mapping[str, Any], rng: Callable[[str], np.random.Generator], progress: bool = True
) -> list[Variant]:
    """Cross-validate once per run of a sweep, the base first.

    Parameters
    ----------
    sweep : what differs from run to run; its base gives the size of the survey
    values : all other parameters
    rng : random numbers for "starting points" and "folds", as `Chapter.rng`
    """
    base, *_ = sweep.runs.values()
    done = []
    for given in tqdm(sweep.runs.values(), desc="choices", unit="run", disable=None if progress else True):
        changed = {key: value for key, value in given.items() if value != base.get(key)}
        done.append(cross_validated({**values, **given}, changed, rng))
    return done


def cross_validated(
    values: Mapping[str, Any], changed: dict[str, Any], rng: Callable[[str], np.random.Generator]
) -> Variant:
    """The steps of chapters 1-3 with one set of choices."""
    survey = _survey(json.dumps({name: values[name] for name in SURVEY_PARAMETERS}, sort_keys=True))
    choices = {"width": values["smoothing_width"], "convention": values["smoothing_convention"]}
    cuts = {name: values[name] for name in ("clip_sigma", "alpha_m_min", "n_starts")}
    made = {"recipe": "paper", "order": values["model_order"], **choices, **cuts}
    transfer = learn(survey, rng=rng("starting points"), **made)
    overlap, labels = survey.overlap(), transfer.reference_labels
    reference = ReferenceSet(normalize(overlap.spectra[rows_of(overlap.spectra.ids, labels.ids)], **choices), labels)
    folds = assign_folds(len(reference), values["n_folds"], rng=rng("folds"))
    starts = starting_points(labels, values["n_starts"], rng=rng("starting points"))
    fit = cross_validate(reference, folds, starts, order=values["model_order"])
    bright = np.asarray(overlap.stars["snr"])[rows_of(overlap.stars["id"], labels.ids)] > values["snr_min"]
    return Variant(changed, labels.names, labels.ids, fit.labels.values - labels.values, fit.converged & bright)


@functools.lru_cache(maxsize=3)
def _survey(given: str) -> Survey:
    survey = open_survey(progress=False, **json.loads(given))
    survey.overlap = functools.cache(survey.overlap)  # type: ignore[method-assign]
    return survey


def changes(
    found: Sequence[Variant], rng: np.random.Generator, n_resamplings: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """By how much the scatter of each variant differs from that of the first, and how sure that is.

    Parameters
    ----------
    found : K variants, the base first
    n_resamplings : resamplings of the stars, the same stars for both

    Returns
    -------
    change, error : (K, L) ratio of the scatters minus one, and its bootstrap error, to which stars that both have
        contribute little
    """
    ids = np.unique(np.concatenate([one.ids for one in found]))
    rows = [np.searchsorted(ids, one.ids) for one in found]
    scatters = np.empty((n_resamplings, len(found), len(found[0].label_names)))
    for scatter in scatters:
        counts = np.bincount(rng.integers(ids.size, size=ids.size), minlength=ids.size)
        for k, (one, row) in enumerate(zip(found, rows, strict=True)):
            taken = np.repeat(np.flatnonzero(one.good), counts[row][one.good])
            scatter[k] = bias_and_scatter(one.residuals[taken])[1]
    whole = np.array([one.bias_and_scatter[1] for one in found])
    return whole / whole[0] - 1.0, np.std(scatters / scatters[:, :1], axis=0)
