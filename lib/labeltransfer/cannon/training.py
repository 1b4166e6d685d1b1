"""The training step: coefficients and scatter of every pixel at the maximum of eq. 5 (Ho et al. 2017)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from ..labels import Labels
from ..parallel import over_blocks
from ..reference import ReferenceSet
from .label_errors import SHORTENED, LabelErrors, correct, corrected_inverses
from .likelihood import ABSURD, REASONS, PixelBlock, adjust, maximize
from .model import CannonModel, label_vector, scaling, terms
from .normal_matrices import Design, inverted

BLOCK = 128
"""Pixels done at a time by one core. With more, memory grows and cores wait at the end; with fewer, calls add up."""

Censoring = np.ndarray | Mapping[str, np.ndarray] | None
LabelErrorsOption = Literal["ignore", "weight", "correct"]

logger = logging.getLogger(__name__)


def train(
    reference: ReferenceSet,
    *,
    order: int = 2,
    censoring: Censoring = None,
    ridge: float = 0.0,
    label_errors: LabelErrorsOption = "ignore",
    label_error_strength: float = 1.0,
) -> CannonModel:
    """Fit the spectral model to a reference set: eqs. 3-6, at the exact maximum of eq. 5 at every pixel.

    Parameters
    ----------
    reference : N stars with normalized spectra and labels
    order : 1, 2 (the paper) or 3; highest power of the polynomial
    censoring : which labels may act where: (P, L) booleans, or label name to (P,) booleans, other labels everywhere
    ridge : width⁻² of a Gaussian prior around zero on every coefficient but the constant [flux⁻²], for labels scaled
        by the pivots and scales of the model
    label_errors : what is done about the covariances of the reference labels; their errors flatten the slopes, those of
        0.2 (0.5) scales to 0.96 (0.80). ``"ignore"``, the paper: nothing. ``"weight"``: fits again with the variance
        that they cause in the flux added to σ²; the scatter is free of them, the slopes stay flat. ``"correct"``: the
        corrected score (see `cannon.label_errors`), unbiased but noisier: few stars with large errors may lose by it
    label_error_strength : factor of the covariances, 0 to ignore them

    Returns
    -------
    CannonModel
        A pixel that no more than M stars measured, or that they do not determine, has coefficients 0 and infinite
        scatter (`CannonModel.determined`). How many there are is logged, and at how many ``"correct"`` was shortened.

    Raises
    ------
    ValueError
        If there are no stars, the spectra are not normalized, a label does not vary, covariances are missing where
        they are asked for, or an option makes no sense.
    """
    options: dict[str, Any] = {"label_errors": label_errors, "label_error_strength": label_error_strength}
    everyone = np.ones((1, len(reference)))
    return train_subsets(reference, everyone, order=order, censoring=censoring, ridge=ridge, **options)[0]


def train_subsets(
    reference: ReferenceSet,
    counts: np.ndarray,
    *,
    order: int = 2,
    censoring: Censoring = None,
    ridge: float = 0.0,
    label_errors: LabelErrorsOption = "ignore",
    label_error_strength: float = 1.0,
) -> list[CannonModel]:
    """Train K models on subsets or resamplings of a reference set: counts (K, N) says how often each star is taken.

    Each model is at the exact maximum of eq. 5 for its own stars, as if trained alone, but it is reached from the
    solution for all stars. All have the pivots and scales of the whole set, for which the `ridge` is meant. Other
    parameters and errors: see `train`.
    """
    spectra, labels = reference.spectra, reference.labels
    counts = np.ascontiguousarray(counts, dtype=float)
    _check(reference, counts, ridge)
    pivots, scales = scaling(labels.values, labels.names)
    scaled = (labels.values - pivots) / scales
    design = Design(label_vector(scaled, order).T)
    if not np.abs(design.vectors).max() < ABSURD:
        star, label = np.unravel_index(np.abs(scaled).argmax(), scaled.shape)
        found = f"{labels.names[label]!r} of star {str(labels.ids[star])!r} is {labels.values[star, label]:g}"
        raise ValueError(f"train: {found}, absurdly far from the other stars; leave it out")
    errors = label_errors_of(labels, scaled, scales, order, label_errors, label_error_strength)
    allowed = allowed_terms(censoring, labels.names, spectra.wavelength.size, order)
    coefficients, share = np.zeros((len(counts), *allowed.shape)), np.ones((len(counts), len(allowed)))
    scatter, n_maxima = np.full(share.shape, np.inf), np.zeros(share.shape, dtype=int)

    def one_block(pixels: slice) -> None:
        block = PixelBlock.of(spectra, pixels, design, allowed, ridge)
        whole = maximize(block)
        matrices = block.normal_matrices(whole.variance) if (counts != 1).any() else None
        for k, taken in enumerate(counts):
            part = replace(block, counts=taken)
            best = whole if matrices is None else adjust(part, whole, matrices)
            if errors is not None and label_errors == "weight":
                best = maximize(errors.widened(part, best.theta))
            theta, variance, n_maxima[k, pixels] = best
            if errors is not None and label_errors == "correct":
                theta, variance, share[k, pixels] = correct(part, errors, theta, variance)
            solved = best.n_maxima > 0
            coefficients[k, pixels][solved], scatter[k, pixels][solved] = theta[solved], np.sqrt(variance[solved])

    over_blocks(one_block, len(allowed), BLOCK)
    _report(n_maxima, share)
    covariance = () if labels.covariance is None else (labels.covariance,)
    arrays = (spectra.flux, spectra.ivar, spectra.wavelength, labels.values, *covariance, allowed)
    digests = over_blocks(lambda k: hashlib.sha256(np.ascontiguousarray(arrays[k.start]).data).digest(), len(arrays), 1)
    made_from = repr((labels.names, order, ridge, label_errors, label_error_strength, digests)).encode()
    models = []
    for k, taken in enumerate(counts):
        values = labels.values[taken > 0]
        span = np.array([values.min(axis=0), values.max(axis=0)])
        facts = (span, order, int(taken.sum()), hashlib.sha256(made_from + taken.tobytes()).hexdigest()[:16])
        trained = (pivots, scales, spectra.wavelength, coefficients[k], scatter[k])
        models.append(CannonModel(labels.names, *trained, *facts))
    return models


def coefficient_variance(
    reference: ReferenceSet,
    model: CannonModel,
    *,
    censoring: Censoring = None,
    ridge: float = 0.0,
    label_errors: LabelErrorsOption = "ignore",
    label_error_strength: float = 1.0,
) -> np.ndarray:
    """Covariance of the coefficients θ of each pixel: the inverse of the normal matrix A = Σ w v vᵀ of eq. 5.

    (P, M(M+1)/2), upper triangles row by row, in squares of the normalized flux; zero at undetermined pixels. The
    variance of the model flux at the label vector v is vᵀ A⁻¹ v. With label errors ``"correct"`` it is the sandwich
    A⁻¹ (Σ w² r² v vᵀ) A⁻¹, with the corrected A and the residuals r of the model. Everything but the model is as it was
    trained, see `train`.
    """
    labels, scaled = reference.labels, model.scaled(reference.labels.values)
    design = Design(label_vector(scaled, model.order).T)
    errors = label_errors_of(labels, scaled, model.scales, model.order, label_errors, label_error_strength)
    allowed = allowed_terms(censoring, labels.names, model.wavelength.size, model.order)
    s2 = np.where(model.determined, model.scatter, 0.0) ** 2

    def one_block(pixels: slice) -> np.ndarray:
        block = PixelBlock.of(reference.spectra, pixels, design, allowed, ridge)
        if errors is not None and label_errors == "correct":
            bread, *_ = corrected_inverses(block, errors, s2[pixels])
            weighted = block.weights(s2[pixels]) * (block.flux - model.coefficients[pixels] @ design.vectors)
            inverse = bread @ design.normal_matrices(weighted**2) @ bread
        else:
            inverse = inverted(block.normal_matrices(s2[pixels]), block.allowed)
        return np.where(model.determined[pixels, None], inverse[:, *np.triu_indices(allowed.shape[1])], 0.0)

    return np.concatenate(over_blocks(one_block, len(allowed), BLOCK))


def _check(reference: ReferenceSet, counts: np.ndarray, ridge: float) -> None:
    if not len(reference):
        raise ValueError("train: the reference set has no stars")
    if not reference.spectra.normalized:
        raise ValueError(f"train: {reference.spectra!r}; normalize the spectra first")
    if counts.ndim != 2 or counts.shape[1] != len(reference) or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts have shape {counts.shape}, wanted (K, {len(reference)}), finite and none negative")
    empty = np.flatnonzero(~(counts > 0).any(axis=1))
    if empty.size:
        raise ValueError(f"counts: training {empty[0]} of {len(counts)} takes no star; leave it out")
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge: found {ridge}, wanted a number that is not negative")


def label_errors_of(
    labels: Labels, scaled: np.ndarray, scales: np.ndarray, order: int, option: str, strength: float
) -> LabelErrors | None:
    """What errors of the labels change, or None where they are ignored."""
    if option not in get_args(LabelErrorsOption):
        raise ValueError(f"label_errors: found {option!r}, wanted 'ignore', 'weight' or 'correct'")
    if not 0 <= strength < np.inf:
        raise ValueError(f"label_error_strength: found {strength}, wanted a number that is not negative")
    if option == "ignore":
        return None
    if labels.covariance is None:
        raise ValueError("label_errors: the reference labels have no covariances; give `Labels` their errors")
    covariance = np.where(np.isfinite(labels.covariance), labels.covariance, np.nan)
    size = np.sqrt(np.abs(np.diagonal(covariance, axis1=1, axis2=2)))
    unit = np.where(size > 0, size, 1.0)
    correlations = covariance / (unit[:, :, None] * unit[:, None, :])
    wrong = np.linalg.eigvalsh(np.nan_to_num(correlations, nan=-9.0))[:, 0] < -1e-6
    if wrong.any():
        raise ValueError(
            f"label_errors: covariances of {np.count_nonzero(wrong)} stars, first {str(labels.ids[wrong][0])!r}, "
            "are NaN or negative; leave those stars out, or state the errors of every label (0 if they are small)"
        )
    return LabelErrors(scaled, strength * labels.covariance / np.outer(scales, scales), order)


def allowed_terms(censoring: Censoring, names: tuple[str, ...], n_pixels: int, order: int) -> np.ndarray:
    """(P, M) True where every label of the term may act at the pixel."""
    acts = np.ones((n_pixels, len(names)), dtype=bool)
    if isinstance(censoring, Mapping):
        for name, pixels in censoring.items():
            if name not in names:
                raise ValueError(f"censoring: no label {name!r} among the reference labels {', '.join(names)}")
            if np.shape(pixels) != (n_pixels,) or np.asarray(pixels).dtype != bool:
                found = f"{np.asarray(pixels).dtype} of shape {np.shape(pixels)}"
                raise ValueError(f"censoring of {name!r}: found {found}, wanted booleans of shape ({n_pixels},)")
            acts[:, names.index(name)] = pixels
    elif censoring is not None:
        if np.shape(censoring) != acts.shape:
            raise ValueError(f"censoring has shape {np.shape(censoring)}, wanted (P, L) = {acts.shape}")
        acts = np.asarray(censoring, dtype=bool)
    return np.stack([acts[:, list(term)].all(axis=1) for term in terms(len(names), order)], axis=1)


def _report(n_maxima: np.ndarray, share: np.ndarray) -> None:
    """Log at how many pixels there is no model, or a correction was shortened; loudly where it is not known why."""
    found = {f" are left out: {reason}": n_maxima == code for code, reason in REASONS.items()}
    for text, pixels in {**found, f": {SHORTENED}": (share < 1) & (n_maxima > 0)}.items():
        if pixels.any():
            level = logging.WARNING if REASONS[0] in text else logging.INFO
            logger.log(level, "train: %d pixels%s", pixels.sum(), text)
