"""What `learn` refuses before it trains: options that make no sense, too few stars, labels that cannot be."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from ..cannon.model import scaling
from ..labels import LABELS, Labels
from ..reference import ReferenceSet
from ..spectra.arrays import SHORTEST
from .choices import Asked

RELATIVE, RICHEST = ("fe_h", "alpha_m"), 0.7
"""Labels relative to the Sun that some star of most samples has negative, and the most, in dex, that a star has."""

ENOUGH = 30
"""Stars of which one at least should be poorer in metals than the Sun."""

logger = logging.getLogger(__name__)


def check(candidates: ReferenceSet, asked: Asked, recipe: str, n_folds: int, n_pixels: int) -> None:
    """ValueError for what would fail, or mislead, after minutes of training."""
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
    elif np.shape(factor) not in ((), (n_pixels,)):
        raise ValueError(f"error_factor has shape {np.shape(factor)}, wanted a number or one for each pixel")
    _check_label_errors(asked)
    n_stars, n_terms = len(candidates), asked.n_terms(asked.first_order(len(candidates)))
    trained = n_stars if recipe == "paper" else n_stars - -(-n_stars // max(n_folds, 2))
    if trained > n_terms and recipe != "paper" and n_folds < 2:
        raise ValueError(f"n_folds: found {n_folds}, wanted 2 to {n_stars}, the number of stars")
    if trained > n_terms and recipe != "paper" and n_folds > n_stars:
        few = f"{n_stars} stars with spectra and all labels are too few for {n_folds} folds"
        raise ValueError(f"learn: {few}; wanted more stars, or n_folds of 2 to {n_stars}")
    if trained <= n_terms:
        raise ValueError(
            f"learn: {n_stars} stars with spectra and all labels{'' if recipe == 'paper' else f' in {n_folds} folds'} "
            f"cannot determine {n_terms} terms (order {asked.first_order(n_stars)}, labels {', '.join(asked.names)}); "
            "wanted more stars than terms, better ten times as many: fewer labels, order=1, or more stars"
        )
    values, names = candidates.labels.values, candidates.labels.names
    scaling(values, names)
    _check_values(candidates.labels)
    together = np.linalg.svd((values - values.mean(axis=0)) / values.std(axis=0), compute_uv=False)
    if together[-1] < 1e-6 * together[0]:
        raise ValueError(f"learn: labels {', '.join(names)}: one follows exactly from the others; leave it out")
    if candidates.spectra.wavelength[-1] < SHORTEST:
        raise ValueError(f"learn: {candidates.spectra!r}: wanted wavelengths in Å; see Spectra.from_arrays for others")


def check_censoring(
    given: Mapping[str, Any] | np.ndarray | None, names: tuple[str, ...], wavelength: np.ndarray
) -> dict[str, np.ndarray] | np.ndarray | None:
    """The pixels, of these wavelengths (P,), at which labels may act, as booleans; ValueError for anything else."""
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"censoring: no label {unknown[0]!r}; the labels are {', '.join(names)}")
        return {name: _where_it_acts(name, where, wavelength) for name, where in given.items()}
    if given is not None and np.shape(given) != (wavelength.size, len(names)):
        found, whole = f"{type(given).__name__} of shape {np.shape(given)}", (wavelength.size, len(names))
        raise ValueError(f"censoring: found {found}, wanted booleans or ranges by label, or booleans of shape {whole}")
    return given


def _where_it_acts(name: str, where: Any, wavelength: np.ndarray) -> np.ndarray:
    """(P,) booleans from themselves or from ranges of wavelength."""
    try:
        found = np.asarray(where)
    except ValueError:  # a pair that is none
        found = np.asarray(where, dtype=object)
    if found.dtype == bool and found.shape == wavelength.shape:
        return found
    if found.dtype.kind not in "iuf" or found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(
            f"censoring of {name!r}: found {found.dtype} of shape {found.shape}, wanted booleans of shape "
            f"({wavelength.size},), True where the label may act, or ranges of wavelength where it may, "
            "[(low, high), …] in Å"
        )
    acts = (wavelength >= found[:, :1]) & (wavelength <= found[:, 1:])
    empty = np.flatnonzero(~acts.any(axis=1))
    if empty.size:
        low, high = found[empty[0]]
        ends = f"{wavelength[0]:.0f} to {wavelength[-1]:.0f} Å"
        raise ValueError(f"censoring of {name!r}: no pixel between {low:g} and {high:g} Å; wanted ranges within {ends}")
    return np.asarray(acts.any(axis=0))


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
