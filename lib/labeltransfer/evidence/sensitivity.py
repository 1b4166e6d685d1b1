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
from ..inference import LabelFit, starting_points
from ..reference import ReferenceSet
from ..transfer import learn
from ..validation import assign_folds, bias_and_scatter, cross_validate
from . import SURVEY_PARAMETERS

CHOICES = ("smoothing_width", "smoothing_convention", "alpha_m_min", "model_order", "clip_sigma", "n_starts")
"""What the reference stars hang on, beside the survey; the folds, and the cut in S/N, come after that."""


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
    runs: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any],
    rng: Callable[[str], np.random.Generator],
    progress: bool = True,
) -> list[Variant]:
    """Cross-validate once per run of a sweep, the base first.

    Parameters
    ----------
    runs : name to what differs from run to run, as in a `Sweep`; the base gives the size of the survey
    values : all other parameters
    rng : random numbers for "starting points" and "folds", as `Chapter.rng`
    """
    base, *_ = runs.values()
    done = {}
    in_turn = sorted(runs, key=lambda name: _shared({**values, **runs[name]}))
    for name in tqdm(in_turn, desc="choices", unit="run", disable=None if progress else True):
        given = runs[name]
        changed = {key: value for key, value in given.items() if value != base.get(key)}
        done[name] = cross_validated({**values, **given}, changed, rng)
    return [done[name] for name in runs]


def _shared(values: Mapping[str, Any]) -> tuple[str, int]:
    """Runs of which this is the same, or its first part, follow each other, for they share what is computed."""
    given = {name: values[name] for name in SURVEY_PARAMETERS}
    if given["mask"] != "none" and _takes_nothing(_text(given), _text({**given, "mask": "none"})):
        given["mask"] = "none"
    return _text({**given, **{name: values[name] for name in CHOICES}}), values["n_folds"]


def cross_validated(
    values: Mapping[str, Any], changed: dict[str, Any], rng: Callable[[str], np.random.Generator]
) -> Variant:
    """The steps of chapters 1-3 with one set of choices."""
    reference, fit, snr = _cross_validated(*_shared(values), rng)
    labels, good = reference.labels, fit.converged & (snr > values["snr_min"])
    return Variant(changed, labels.names, labels.ids, fit.labels.values - labels.values, good)


@functools.lru_cache(maxsize=1)
def _learnt(given: str, rng: Callable[[str], np.random.Generator]) -> tuple[ReferenceSet, np.ndarray]:
    """The reference stars, and the S/N of each."""
    values = json.loads(given)
    survey = _survey(_text({name: values[name] for name in SURVEY_PARAMETERS}))
    choices = {"width": values["smoothing_width"], "convention": values["smoothing_convention"]}
    cuts = {name: values[name] for name in ("clip_sigma", "alpha_m_min", "n_starts")}
    made = {"recipe": "paper", "order": values["model_order"], **choices, **cuts}
    overlap, labels = survey.overlap(), learn(survey, rng=rng("starting points"), **made).reference_labels
    rows = rows_of(overlap.spectra.ids, labels.ids)
    return ReferenceSet(normalize(overlap.spectra[rows], **choices), labels), np.asarray(overlap.stars["snr"])[rows]


@functools.lru_cache(maxsize=1)
def _cross_validated(
    given: str, n_folds: int, rng: Callable[[str], np.random.Generator]
) -> tuple[ReferenceSet, LabelFit, np.ndarray]:
    """The reference stars, what cross-validation says of them, and the S/N of each."""
    values = json.loads(given)
    reference, snr = _learnt(given, rng)
    folds = assign_folds(len(reference), n_folds, rng=rng("folds"))
    starts = starting_points(reference.labels, values["n_starts"], rng=rng("starting points"))
    return reference, cross_validate(reference, folds, starts, order=values["model_order"]), snr


@functools.cache
def _takes_nothing(masked: str, unmasked: str) -> bool:
    """Whether a mask leaves the spectra as they are: the results are then those without it, too."""
    these, those = (_survey(given).overlap().spectra for given in (masked, unmasked))
    return np.array_equal(these.flux, those.flux) and np.array_equal(these.ivar, those.ivar)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


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
