"""How the scatter answers to the paper's choices: the steps of chapters 1-3, once per set of choices."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from ..archive import Overlap, open_survey
from ..cannon import train
from ..continuum import normalize
from ..inference import infer, starting_points
from ..reference import ReferenceSet, outliers, quality_cuts
from ..validation import assign_folds, bias_and_scatter, cross_validate
from .chapter import SURVEY_PARAMETERS
from .sweep import Sweep

Generators = Callable[[str], np.random.Generator]
"""Random numbers for a purpose, as `Chapter.rng`."""


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
    def scatter(self) -> np.ndarray:
        """(L,) scatter of the counted stars."""
        return bias_and_scatter(self.residuals[self.good])[1]

    @property
    def bias(self) -> np.ndarray:
        """(L,) bias of the counted stars."""
        return bias_and_scatter(self.residuals[self.good])[0]


def variants(sweep: Sweep, values: Mapping[str, Any], rng: Generators, progress: bool = True) -> list[Variant]:
    """Cross-validate once per run of a sweep, the base first.

    Parameters
    ----------
    sweep : what differs from run to run; its base gives the size of the survey
    values : all other parameters
    rng : random numbers for "starting points" and "folds"
    """
    base, *_ = sweep.runs.values()
    done = []
    for given in tqdm(sweep.runs.values(), desc="choices", unit="run", disable=None if progress else True):
        changed = {key: value for key, value in given.items() if value != base.get(key)}
        done.append(cross_validated({**values, **given}, changed, rng))
    return done


def cross_validated(values: Mapping[str, Any], changed: dict[str, Any], rng: Generators) -> Variant:
    """Chapters 1-3 in one go: normalize, cut, clip what the first model misses, cross-validate."""
    overlap = _overlap(json.dumps({name: values[name] for name in SURVEY_PARAMETERS}, sort_keys=True))
    spectra = normalize(overlap.spectra, width=values["smoothing_width"], convention=values["smoothing_convention"])
    excised = quality_cuts(overlap.labels, overlap.flagged, alpha_m_min=values["alpha_m_min"])
    keep = ~np.any(list(excised.values()), axis=0)
    candidates = ReferenceSet.join(spectra[keep], overlap.labels[keep])

    order, n_starts = values["model_order"], values["n_starts"]
    starts = starting_points(candidates.labels, n_starts=n_starts, rng=rng("starting points"))
    first = infer(train(candidates, order=order), candidates.spectra, starts)
    reference = candidates[~outliers(candidates.labels, first.labels, clip_sigma=values["clip_sigma"])[0]]

    starts = starting_points(reference.labels, n_starts=n_starts, rng=rng("starting points"))
    folds = assign_folds(len(reference), values["n_folds"], rng=rng("folds"))
    fit = cross_validate(reference, folds, starts, order=order)
    snr = dict(zip(overlap.stars["id"], overlap.stars["snr"], strict=True))
    bright = np.array([snr[star] > values["snr_min"] for star in reference.ids])
    residuals = fit.labels.values - reference.labels.values
    return Variant(changed, reference.labels.names, reference.ids, residuals, fit.converged & bright)


@functools.lru_cache(maxsize=3)
def _overlap(given: str) -> Overlap:
    return open_survey(progress=False, **json.loads(given)).overlap()


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
    ratio = np.array([one.scatter for one in found]) / found[0].scatter
    return ratio - 1.0, np.std(scatters / scatters[:, :1], axis=0)
