"""How far labels can be trusted: cross-validation, bias and scatter, the error from the finite reference set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from astropy.table import Table

from .cannon import CannonModel, train_subsets
from .inference import LabelFit, infer
from .labels import Labels
from .reference import ReferenceSet
from .spectra import Spectra
from .tables import words

MAD_TO_SIGMA = 1.4826022185056018
"""Standard deviation of a Gaussian in units of its median absolute deviation."""


def assign_folds(
    n: int, n_folds: int, rng: np.random.Generator, groups: Sequence[Any] | np.ndarray | None = None
) -> np.ndarray:
    """(N,) fold number 0 … n_folds - 1 of each star: random, and as even as can be (section 4.1: eight).

    Parameters
    ----------
    groups : (N,) a name or number for each star, of its cluster, plate or night; stars of one group share a fold
    """
    if not 2 <= n_folds <= n:
        raise ValueError(f"n_folds: found {n_folds}, wanted 2 to {n}, the number of stars")
    if groups is None:
        return rng.permutation(np.arange(n) % n_folds)
    names, group, sizes = np.unique(one_each("groups", groups, n), return_inverse=True, return_counts=True)
    if names.size < n_folds:
        raise ValueError(f"groups: found {names.size}, wanted at least {n_folds}, the number of folds")
    order = rng.permutation(names.size)
    fold_of, filled = np.zeros(names.size, dtype=int), np.zeros(n_folds, dtype=int)
    for k in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[k] = filled.argmin()
        filled[fold_of[k]] += sizes[k]
    return fold_of[group]


def one_each(what: str, values: Sequence[Any] | np.ndarray, n: int) -> np.ndarray:
    """(N,) of `values`, or ValueError: one for each of n stars, none NaN, None or masked."""
    values = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"{what} have shape {values.shape}, wanted ({n},), one for each star")
    missing = np.flatnonzero(words(values) == "")
    if missing.size:
        raise ValueError(f"{what}: that of {missing.size} stars, first number {missing[0]}, is missing; give every one")
    return words(values) if values.dtype.kind == "O" else np.asarray(values)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What cross-fitting leaves: the models, the rows that each has not seen, and labels of every star by them.

    Attributes
    ----------
    models : one a fold
    rows : for each model the rows of the stars it was not trained on
    fit : labels of all N stars, each by the model that has not seen it
    """

    models: list[CannonModel]
    rows: list[np.ndarray]
    fit: LabelFit


def cross_fits(
    reference: ReferenceSet,
    folds: np.ndarray,
    starts: np.ndarray,
    *,
    kept: np.ndarray | None = None,
    fixed: Mapping[str, float | np.ndarray] | None = None,
    priors: Mapping[str, tuple[float | np.ndarray, float | np.ndarray]] | None = None,
    infer_dtype: np.typing.DTypeLike | None = None,
    **options: Any,
) -> list[CrossFit]:
    """As `cross_validate`, with the models, of each label error strength; stars that are not `kept` train no model."""
    n = len(reference)
    folds = one_each("folds", folds, n)
    groups = np.unique(folds)
    if len(groups) < 2:
        raise ValueError(f"folds: found {len(groups)} group, wanted at least two")
    trained_on = (folds != groups[:, None]) & (True if kept is None else np.asarray(kept, dtype=bool))
    models = train_subsets(reference, trained_on, **options)
    rows = [np.flatnonzero(folds == group) for group in groups]

    def of(held: np.ndarray, value: float | np.ndarray) -> float | np.ndarray:
        return np.asarray(value)[held] if np.ndim(value) else value

    def crossed(models: list[CannonModel]) -> CrossFit:
        fits = [
            infer(
                model,
                reference.spectra[held],
                starts,
                fixed={name: of(held, value) for name, value in (fixed or {}).items()},
                priors={name: (of(held, mean), of(held, width)) for name, (mean, width) in (priors or {}).items()},
                dtype=infer_dtype,
            )
            for model, held in zip(models, rows, strict=True)
        ]
        return CrossFit(models, rows, LabelFit.concatenate(fits)[np.argsort(np.concatenate(rows))])

    return [crossed(models[start : start + len(rows)]) for start in range(0, len(models), len(rows))]


def cross_fit(reference: ReferenceSet, folds: np.ndarray, starts: np.ndarray, **options: Any) -> CrossFit:
    """As `cross_validate`, with the models; stars that are not `kept` (N,) are labelled, and trained on by none."""
    return cross_fits(reference, folds, starts, **options)[0]


def cross_validate(reference: ReferenceSet, folds: np.ndarray, starts: np.ndarray, **options: Any) -> LabelFit:
    """Labels of every reference star from a model that was trained on the other folds only.

    Parameters
    ----------
    reference : N stars
    folds : (N,) a number or name for each star: random (`assign_folds`), or its plate, cluster or night, to leave out
        whole groups. All stars of one number are left out together
    starts : (S, L) starting points, see `infer`
    options : `fixed`, `priors` of `infer`, and its `dtype` as `infer_dtype`; all others are those of `train`

    Returns
    -------
    LabelFit of the N stars in the order of `reference`.
    """
    return cross_fit(reference, folds, starts, **options).fit


def residuals(fit: LabelFit, labels: Labels) -> np.ndarray:
    """(N, L) fitted minus other labels of the same stars, in physical units; NaN where the fit did not converge."""
    return np.where(fit.converged[:, None], fit.labels.values - labels.values, np.nan)


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidation:
    """Labels of N reference stars, each by a model that has not seen it, beside the labels they came with.

    Attributes
    ----------
    fit : the cross-validated labels, ``fit.labels``, with total errors if the recipe knows them (robust), else formal
    labels : reference labels of the same stars, with their errors as far as these are known
    kept : (N,) False for stars that no model was trained on, because their reference labels look wrong
    """

    fit: LabelFit
    labels: Labels
    kept: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        """(N, L) as `residuals` of the fit."""
        return residuals(self.fit, self.labels)

    @property
    def pulls(self) -> np.ndarray:
        """(N, L) residuals over errors: those of the fit and, where they are known, those of the reference labels."""
        error = np.hypot(self.fit.labels.errors, np.nan_to_num(self.labels.errors))
        return np.divide(self.residuals, error, out=np.full_like(error, np.nan), where=error > 0)

    @property
    def table(self) -> Summary:
        """Label by label: bias and scatter of all stars, median and robust scatter, robust width of the pulls, counts.

        ``spread`` is the robust scatter of the reference labels from star to star.
        """
        bias, scatter = bias_and_scatter(self.residuals)
        median, robust = bias_and_scatter(self.residuals, robust=True)
        _, pull = bias_and_scatter(self.pulls, robust=True)
        _, spread = bias_and_scatter(self.labels.values, robust=True)
        columns = {"bias": bias, "scatter": scatter, "median": median, "robust_scatter": robust, "pull": pull}
        columns["spread"] = spread
        return Summary({"label": self.labels.names, **columns, "n": np.isfinite(self.residuals).sum(axis=0)})

    def __repr__(self) -> str:
        names, robust = self.labels.names, self.table["robust_scatter"]
        scatter = ", ".join(f"{name} {one:.3g}" for name, one in zip(names, robust, strict=True))
        return f"CrossValidation({len(self.labels)} stars, {np.count_nonzero(self.kept)} trained on; scatter {scatter})"


class Summary(Table):
    """A table that shows five digits of every number; it holds, and writes, all of them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for column in self.itercols():
            if column.dtype.kind == "f":
                column.format = ".5g"

    def write(self, *args: Any, **options: Any) -> None:
        """As `astropy.table.Table.write`."""
        whole = Table(self)
        for column in whole.itercols():
            column.format = None
        whole.write(*args, **options)


def bias_and_scatter(residuals: np.ndarray, robust: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of (N, L) residuals (fitted - reference), label by label.

    Parameters
    ----------
    residuals : (N, L) or (N,); rows with NaN are left out label by label
    robust : median and 1.48 times the median absolute deviation instead

    Returns
    -------
    bias, scatter : (L,), (L,)
    """
    residuals = np.asarray(residuals, float)
    residuals = residuals[:, None] if residuals.ndim == 1 else residuals
    bias, scatter = np.full((2, residuals.shape[1]), np.nan)
    for k, column in enumerate(residuals.T):
        known = column[np.isfinite(column)]
        if known.size and robust:
            bias[k] = np.median(known)
            scatter[k] = MAD_TO_SIGMA * np.median(np.abs(known - bias[k]))
        elif known.size:
            bias[k], scatter[k] = known.mean(), known.std()
    return bias, scatter


def trends(labels: Labels, reference: Labels, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Robust bias and scatter of labels minus reference labels, and how that difference changes with the label.

    Parameters
    ----------
    labels, reference : of the same N stars in the same order; stars that lack a label in either are left out of it
    names : the L labels to compare

    Returns
    -------
    bias, scatter, slope : (L,) each; the slope is that of a straight line through the differences against the reference
        label, of the stars within four scatters of the bias. NaN where fewer than three stars tell.
    """
    found = np.full((3, len(names)), np.nan)
    for k, name in enumerate(names):
        known = reference.column(name)
        difference = labels.column(name) - known
        (found[0, k],), (found[1, k],) = bias_and_scatter(difference, robust=True)
        typical = np.abs(difference - found[0, k]) < 4 * found[1, k]
        if typical.sum() > 2:
            found[2, k] = np.polyfit(known[typical], difference[typical], 1)[0]
    bias, scatter, slope = found
    return bias, scatter, slope


def scatter_change(before: np.ndarray, after: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Relative change of the robust scatter between two sets of residuals of the same stars, and its error.

    The error is the standard deviation over 400 resamplings of the stars with replacement, the same for both sets: what
    the sets share, such as a wrong reference label, cancels there as it does in the change.

    Parameters
    ----------
    before, after : (N, L) residuals; a star with NaN in either is left out of both, label by label

    Returns
    -------
    change, error : (L,), (L,); 0.1 is a scatter larger by ten per cent; NaN without stars
    """
    if np.ndim(before) != 2 or np.shape(before) != np.shape(after):
        raise ValueError(f"residuals have shapes {np.shape(before)} and {np.shape(after)}, wanted (N, L) twice")
    pair = np.array([before, after], float)
    pair[:, np.isnan(pair).any(axis=0)] = np.nan
    draws = [np.arange(len(before)), *rng.integers(max(len(before), 1), size=(400, len(before)))]
    old, new = np.array([[bias_and_scatter(one[rows], robust=True)[1] for rows in draws] for one in pair])
    ratio = np.divide(new, old, out=np.full(old.shape, np.nan), where=old > 0)
    return ratio[0] - 1, ratio[1:].std(axis=0)


def scatter_by_snr(
    residuals: np.ndarray, snr: np.ndarray, edges: np.ndarray, robust: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias and scatter in bins of S/N, and how many stars each bin has (Fig. 8).

    Parameters
    ----------
    residuals : (N, L)
    snr : (N,)
    edges : (B + 1,) increasing; a bin includes its lower edge

    Returns
    -------
    bias, scatter, count : (B, L), (B, L), (B,); NaN in empty bins
    """
    snr, edges = np.asarray(snr, float), np.asarray(edges, float)
    if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all():
        raise ValueError("edges: wanted at least two increasing numbers")
    bins = [(snr >= low) & (snr < high) for low, high in pairwise(edges)]
    bias, scatter = zip(*(bias_and_scatter(np.asarray(residuals)[rows], robust) for rows in bins), strict=True)
    return np.array(bias), np.array(scatter), np.array([np.count_nonzero(rows) for rows in bins])


def bootstrap(reference: ReferenceSet, n_models: int, rng: np.random.Generator, **options: Any) -> list[CannonModel]:
    """Models trained on resamplings of the reference set with replacement (section 4.2).

    Parameters
    ----------
    options : of `train_subsets`, which is not asked to be ``exact``: the scatter of labels from model to model does not
        show it
    """
    n = len(reference)
    counts = np.array([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_models)])
    return train_subsets(reference, counts, **{"exact": False, **options})


def bootstrap_errors(models: list[CannonModel], spectra: Spectra, starts: np.ndarray) -> np.ndarray:
    """(N, L) standard deviation of each star's labels over the models; NaN where fewer than two fits converged."""
    values = []
    for model in models:
        fit = infer(model, spectra, starts)
        values.append(np.where(fit.converged[:, None], fit.labels.values, np.nan))
    stack = np.ma.masked_invalid(values)
    return np.ma.filled(stack.std(axis=0, ddof=1), np.nan)


def bootstrap_scatter(models: list[CannonModel], spectra: Spectra, starts: np.ndarray) -> np.ndarray:
    """(L,) typical error of labels from the finite reference set: the median over stars of `bootstrap_errors`."""
    errors = np.ma.masked_invalid(bootstrap_errors(models, spectra, starts))
    return np.ma.filled(np.ma.median(errors, axis=0), np.nan)
