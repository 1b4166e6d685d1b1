"""The test step: labels of stars from their spectra, by the model (Ho et al. 2017, section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cannon.model import CannonModel, term_tree
from ..files import read_arrays, write_arrays
from ..labels import LABELS, Labels, Rows, frozen, register_label
from ..parallel import over_blocks
from ..parallel.compiled import check_precision
from ..spectra import Spectra
from .compression import Compressor, products_size
from .minimization import minimize
from .pixel_fit import minimize_pixels

STARS, STARS_IN_PIXELS = 256, 16
"""Stars of a block; of a block in pixel space, where each needs the derivatives of its whole spectrum."""

PRODUCTS_LIMIT = 500e6
"""Bytes the compression's table may take. Models of more labels (20 with 3,626 pixels) are fitted in pixel space."""

_PER_STAR = ("chi2", "n_pixels", "converged", "start", "rival_rise", "rival_distance")


@dataclass(frozen=True, repr=False, eq=False)
class LabelFit:
    """Labels fitted to N spectra, and how well.

    Attributes
    ----------
    labels : (N, L) with covariances; NaN where no minimum was reached
    chi2 : (N,) Σ (f - θ·v)² / (s² + σ²) over unmasked pixels
    n_pixels : (N,) pixels used
    converged : (N,) False for a star with too few pixels, without a minimum, or whose labels lie further outside the
        range of the reference labels than that range is wide
    start : (N,) number of the first starting point that led to the lowest minimum; -1 where none did
    rival_rise : (N,) how much higher χ² is at the second lowest minimum; infinite where all starts found the same one
    rival_distance : (N,) how far away, in formal errors, that minimum lies
    n_free : labels that were fitted, not held fixed
    """

    labels: Labels
    chi2: np.ndarray
    n_pixels: np.ndarray
    converged: np.ndarray
    start: np.ndarray
    rival_rise: np.ndarray
    rival_distance: np.ndarray
    n_free: int

    def __post_init__(self) -> None:
        for name, dtype in zip(_PER_STAR, (float, np.int64, bool, np.int64, float, float), strict=True):
            object.__setattr__(self, name, frozen(getattr(self, name), dtype))
            if getattr(self, name).shape != (len(self.labels),):
                found = getattr(self, name).shape
                raise ValueError(f"LabelFit: {name} has shape {found}, wanted ({len(self.labels)},)")

    def __repr__(self) -> str:
        names = ", ".join(self.labels.names)
        return f"LabelFit({len(self)} stars; {names}; {np.count_nonzero(self.converged)} converged)"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Rows) -> LabelFit:
        return replace(self, labels=self.labels[rows], **{name: getattr(self, name)[rows] for name in _PER_STAR})

    @property
    def reduced_chi2(self) -> np.ndarray:
        """(N,) χ² per degree of freedom: pixels used less labels fitted."""
        return self.chi2 / np.maximum(self.n_pixels - self.n_free, 1)

    @classmethod
    def concatenate(cls, fits: Sequence[LabelFit]) -> LabelFit:
        """The stars of several fits, one after the other."""
        first = fits[0]
        if any(fit.labels.names != first.labels.names or fit.n_free != first.n_free for fit in fits):
            raise ValueError("LabelFit.concatenate: the fits are not of the same labels")
        labels = Labels(
            np.concatenate([fit.labels.ids for fit in fits]),
            first.labels.names,
            np.concatenate([fit.labels.values for fit in fits]),
            np.concatenate([fit.labels.covariance for fit in fits]),
        )
        columns: dict[str, Any] = {name: np.concatenate([getattr(fit, name) for fit in fits]) for name in _PER_STAR}
        return replace(first, labels=labels, **columns)

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {name: getattr(self, name) for name in _PER_STAR}
        arrays |= {"ids": self.labels.ids, "values": self.labels.values, "covariance": self.labels.covariance}
        units = {name: LABELS[name].unit for name in self.labels.names}
        write_arrays(path, "LabelFit", arrays, names=self.labels.names, units=units, n_free=self.n_free)

    @classmethod
    def read(cls, path: str | Path) -> LabelFit:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "LabelFit")
        for name, unit in facts["units"].items():
            register_label(name, unit)
        labels = Labels(arrays["ids"], tuple(facts["names"]), arrays["values"], arrays["covariance"])
        return cls(labels=labels, n_free=facts["n_free"], **{name: arrays[name] for name in _PER_STAR})


def starting_points(labels: Labels, n_starts: int = 7, *, rng: np.random.Generator | int | None = None) -> np.ndarray:
    """(S, L) labels of stars drawn at random from the reference labels, in physical units (section 2.3).

    Parameters
    ----------
    rng : draws the stars, or the seed of one that does; by default always the same
    """
    rng = np.random.default_rng(0 if rng is None else rng)
    known = labels.values[labels.known]
    if not 1 <= n_starts <= len(known):
        raise ValueError(f"n_starts: found {n_starts}, wanted 1 to {len(known)}, the number of stars with all labels")
    return known[rng.choice(len(known), n_starts, replace=False)]


def infer(
    model: CannonModel,
    spectra: Spectra,
    starts: np.ndarray | None = None,
    *,
    fixed: Mapping[str, float | np.ndarray] | None = None,
    priors: Mapping[str, tuple[float | np.ndarray, float | np.ndarray]] | None = None,
    dtype: np.typing.DTypeLike | None = None,
) -> LabelFit:
    """Find the labels that minimize χ² of each star, from every starting point.

    Parameters
    ----------
    model : of P pixels and L labels
    spectra : N normalized spectra on the model's pixels
    starts : (S, L) starting points in physical units, see `starting_points`; by default the model's pivots, and in each
        label one scale to either side of them
    fixed : label name to the value(s) it is held at, one number or (N,)
    priors : label name to mean(s) and standard deviation(s) of a Gaussian prior, numbers or (N,); NaN for no prior
    dtype : of the big matrix products; by default that of the spectra. Single precision moves labels by 1e-5 of their
        formal errors in the median

    Returns
    -------
    LabelFit
        Covariances are inverses of Jᵀ A J, in physical units. A star that cannot be fitted has NaN labels and
        `converged` False; one that wandered far outside the reference labels keeps them, with `converged` False.

    Raises
    ------
    ValueError
        If spectra and model do not belong together, or starting points or options have the wrong form.
    """
    if not spectra.normalized:
        raise ValueError(f"infer: {spectra!r}; normalize the spectra first")
    if why := model.why_other_pixels(spectra.wavelength):
        raise ValueError(f"infer: the pixels of {spectra!r} are not those of {model!r}: {why}; resample the spectra")
    if starts is None:
        one_scale = np.diag(model.scales)
        starts = model.pivots + np.vstack([0.0 * one_scale[:1], one_scale, -one_scale])
    starts = np.atleast_2d(np.asarray(starts, float))
    if starts.shape != (max(len(starts), 1), len(model.label_names)) or not np.isfinite(starts).all():
        wanted = f"wanted finite (S, {len(model.label_names)}) with S >= 1"
        raise ValueError(f"starts have shape {starts.shape}, {wanted}")
    free, held, mean, weight = _conditions(model, len(spectra), fixed or {}, priors or {})
    scaled_starts = model.scaled(starts)
    parents, factors = term_tree(len(model.label_names), model.order)
    dtype = np.dtype(spectra.flux.dtype if dtype is None else dtype)
    check_precision(dtype)

    def compressed(rows: slice) -> tuple:
        packed, b, c, n_pixels = compressor.compress(spectra.flux[rows], spectra.ivar[rows])
        x, covariance, chi2, start, rise, distance = minimize(
            packed, b, scaled_starts, parents, factors, free, held[rows], mean[rows], weight[rows]
        )
        return x, covariance, np.maximum(chi2 + c, 0.0), n_pixels, start, rise, distance

    def in_pixels(rows: slice) -> tuple:
        flux, ivar = spectra.flux[rows], spectra.ivar[rows]
        x, covariance, chi2, start, rise, distance = minimize_pixels(
            model, flux, ivar, scaled_starts, free, held[rows], mean[rows], weight[rows]
        )
        n_pixels = np.count_nonzero((ivar > 0) & model.determined, axis=1)
        return x, covariance, chi2, n_pixels, start, rise, distance

    if products_size(model, dtype) <= PRODUCTS_LIMIT:
        compressor = Compressor.of(model, dtype)
        parts = over_blocks(compressed, len(spectra), STARS)
    else:
        parts = over_blocks(in_pixels, len(spectra), STARS_IN_PIXELS)
    x, covariance, chi2, n_pixels, start, rise, distance = map(np.concatenate, zip(*parts, strict=True))
    too_few = n_pixels <= np.count_nonzero(free)
    x[too_few], covariance[too_few], chi2[too_few], start[too_few] = np.nan, np.nan, np.nan, -1
    rise[too_few], distance[too_few] = np.inf, np.inf
    values = x * model.scales + model.pivots
    low, high = model.label_range
    outside = (values < low - (high - low)) | (values > high + (high - low))
    converged = (start >= 0) & ~(outside & free).any(axis=1)
    labels = Labels(spectra.ids, model.label_names, values, covariance * np.outer(model.scales, model.scales))
    return LabelFit(labels, chi2, n_pixels, converged, start, rise, distance, int(np.count_nonzero(free)))


def _conditions(
    model: CannonModel, n_stars: int, fixed: Mapping[str, Any], priors: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which labels are free (L,), where the others are held, means and weights of priors (N, L), in scaled labels."""
    for name in (*fixed, *priors):
        if name not in model.label_names:
            raise ValueError(f"fixed or prior label {name!r} is not in the model: {', '.join(model.label_names)}")
    free = np.array([name not in fixed for name in model.label_names])
    if not free.any():
        raise ValueError("fixed: every label is held fixed; leave at least one to be fitted")
    held, mean, weight = (np.zeros((n_stars, len(model.label_names))) for _ in range(3))
    for name, values in fixed.items():
        k = model.label_names.index(name)
        held[:, k] = (np.asarray(values, float) - model.pivots[k]) / model.scales[k]
    for name, (means, widths) in priors.items():
        k = model.label_names.index(name)
        width = np.broadcast_to(np.asarray(widths, float), (n_stars,))
        if (width <= 0).any():
            raise ValueError(f"prior on {name!r}: standard deviations must be positive")
        mean[:, k] = (np.asarray(means, float) - model.pivots[k]) / model.scales[k]
        weight[:, k] = (model.scales[k] / width) ** 2
        none = ~np.isfinite(mean[:, k]) | ~np.isfinite(weight[:, k])
        mean[none, k], weight[none, k] = 0.0, 0.0
    return free, held, mean, weight
