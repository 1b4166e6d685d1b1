"""The training step: coefficients and scatter of every pixel at the maximum of eq. 5 (Ho et al. 2017).

Pixels are independent, and are done in blocks on all cores: `maximum.maximize`. Folds and resamplings of the reference
set start from the maximum for all stars, with normal matrices that differ by a few stars only: `maximum.adjust`.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from ..labels import Labels
from ..parallel import over_blocks
from ..reference import ReferenceSet
from .label_errors import SHORTENED, CorrectedScore, LabelErrors
from .likelihood import ABSURD, Design, PixelBlock
from .maximum import DID_NOT_CONVERGE, adjust, maximize, reasons
from .model import CannonModel, label_vector, scaling, terms

BLOCK = 128
"""Pixels of a block of ten thousand stars. With many more, memory grows and cores wait."""

SMALLEST = 1_000_000
"""Fluxes of a block of fewer stars. In smaller ones calls take longer than what they compute."""

LabelErrorsOption = Literal["ignore", "weight", "correct"]

logger = logging.getLogger(__name__)


def train(
    reference: ReferenceSet,
    *,
    order: int = 2,
    censoring: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ridge: float = 0.0,
    ridge_from: int = 1,
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
    ridge_from : degree of the terms from which on the ridge acts: 2 spares the slopes, and draws a quadratic towards a
        straight line
    label_errors : what is done about the covariances of the reference labels. Errors of the labels flatten the slopes:
        errors of 0.2 (0.5) scales for every star leave 0.96 (0.80) of them.

        ``"ignore"``, the paper: nothing. ``"weight"``: they add (∂f/∂ℓ) C (∂f/∂ℓ)ᵀ to σ² of each star and pixel, with
        the derivative of a first fit, and the fit is repeated; this keeps them out of the scatter and gives uncertain
        stars less weight, but leaves the slopes flat. ``"correct"``: the corrected score (see `cannon.label_errors`),
        from which the slopes come out unbiased, and the scatter without the label errors' part; they become noisier,
        so that few stars with large errors may lose more than they win
    label_error_strength : factor of the covariances, 0 to ignore them

    Returns
    -------
    CannonModel
        A pixel that no more than M stars measured, or that they do not determine, has coefficients 0 and infinite
        scatter (see `CannonModel.determined`). How many there are is logged, and at how many pixels ``"correct"`` was
        shortened.

    Raises
    ------
    ValueError
        If there are no stars, the spectra are not normalized, a label does not vary, covariances are missing where
        they are asked for, or an option makes no sense.
    """
    options: dict[str, Any] = {"label_errors": label_errors, "label_error_strength": label_error_strength}
    everyone = np.ones((1, len(reference)))
    return train_subsets(
        reference, everyone, order=order, censoring=censoring, ridge=ridge, ridge_from=ridge_from, **options
    )[0]


def train_subsets(
    reference: ReferenceSet,
    counts: np.ndarray,
    *,
    order: int = 2,
    censoring: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ridge: float = 0.0,
    ridge_from: int = 1,
    label_errors: LabelErrorsOption = "ignore",
    label_error_strength: float | Sequence[float] = 1.0,
    exact: bool | Sequence[bool] | np.ndarray = True,
) -> list[CannonModel]:
    """Train on several subsets or resamplings of one reference set, sharing what they have in common.

    Each model is at the exact maximum of eq. 5 for its own stars, as if trained alone, but it is reached from the
    solution for all stars. A `ridge` differs: it is that for labels scaled by the pivots and scales of the whole set.
    With label errors ``"weight"``, where all weights of a subset differ, each costs a training of its own.

    Parameters
    ----------
    counts : (K, N) how often each star is taken in each of the K trainings
    order, censoring, ridge, ridge_from, label_errors : see `train`
    label_error_strength : see `train`; of several, each is applied to all K trainings, which are made once
    exact : of all trainings, or (K,) of each. If not, the maximum is reached to a tenth of the formal errors, which is
        enough to compare options, other maxima are searched for less closely (of 65 stars one pixel in seventy has a
        scatter that differs by a third or more, of 300 one in two thousand), and label errors are corrected at the
        weights of the solution for all stars. It takes half the time

    Returns
    -------
    K models, all with the pivots and scales of the whole reference set; of S strengths S times K, strength by strength.
    """
    counts = np.ascontiguousarray(counts, dtype=float)
    _check(reference, counts, ridge)
    spectra, labels = reference.spectra, reference.labels
    pivots, scales = scaling(labels.values, labels.names)
    scaled = (labels.values - pivots) / scales
    design = _design(labels, scaled, order)
    strengths = [float(strength) for strength in np.atleast_1d(label_error_strength)]
    errors = label_errors_of(labels, scaled, scales, order, label_errors, strengths)
    allowed = allowed_terms(censoring, labels.names, spectra.wavelength.size, order)
    prior = prior_of_terms(ridge, ridge_from, len(labels.names), order)
    exactly = np.broadcast_to(exact, len(counts))
    coefficients = np.zeros((len(strengths), len(counts), *allowed.shape))
    scatter = np.full(coefficients.shape[:3], np.inf)

    def one_block(pixels: slice) -> Counter[str]:
        block, found = PixelBlock.of(spectra, pixels, allowed, prior, design), Counter[str]()
        whole = maximize(block, rough=not exactly.any())
        maxima = adjust(block, counts, whole, exactly) if (counts != 1).any() else [whole] * len(counts)
        shared = CorrectedScore(block, errors, whole.variance) if label_errors == "correct" else None
        for k, (taken, at) in enumerate(zip(counts, maxima, strict=True)):
            of_strengths = [at] * len(strengths)
            if shared:
                own = exactly[k] and (taken != 1).any()
                score = CorrectedScore(block, errors, at.variance) if own else shared
                of_strengths, shortened = score.correct(at, taken)
                found[SHORTENED] += shortened
            elif label_errors == "weight":
                of_strengths = [maximize(one.widened(block.taking(taken), at)) for one in errors]
            for s, at in enumerate(of_strengths):
                coefficients[s, k, pixels] = np.where(at.solved[:, None], at.coefficients, 0.0)
                scatter[s, k, pixels] = np.where(at.solved, np.sqrt(at.variance), np.inf)
                found += reasons(block.taking(taken), at)
        return found

    _report(over_blocks(one_block, len(allowed), pixels_of_block(*spectra.flux.shape)))
    fingerprint = reference.fingerprint() + repr((order, prior.tobytes(), label_errors, allowed.tobytes())).encode()
    return [
        CannonModel(
            labels.names,
            pivots,
            scales,
            spectra.wavelength,
            coefficients[s, k],
            scatter[s, k],
            label_range=np.array([labels.values[repeats > 0].min(axis=0), labels.values[repeats > 0].max(axis=0)]),
            order=order,
            n_reference=int(repeats.sum()),
            training_hash=hashlib.sha256(fingerprint + b"%r" % strength + repeats.tobytes()).hexdigest()[:16],
        )
        for s, strength in enumerate(strengths)
        for k, repeats in enumerate(counts)
    ]


def pixels_of_block(n_stars: int, n_pixels: int) -> int:
    """How many pixels are done at a time; of few stars many, but no more than a fourth of all, for all cores."""
    return max(BLOCK, min(SMALLEST // n_stars, -(-n_pixels // 4)))


def _check(reference: ReferenceSet, counts: np.ndarray, ridge: float) -> None:
    if not isinstance(reference, ReferenceSet):
        found = type(reference).__name__
        raise TypeError(f"train: found {found}, wanted a ReferenceSet (ReferenceSet.join(spectra, labels))")
    if not len(reference):
        raise ValueError("train: the reference set has no stars")
    if not reference.spectra.normalized:
        raise ValueError(f"train: {reference.spectra!r}; normalize the spectra first")
    if counts.ndim != 2 or counts.shape[1] != len(reference) or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts have shape {counts.shape}, wanted (K, {len(reference)}), finite and none negative")
    empty = np.flatnonzero(~(counts > 0).any(axis=1))
    if empty.size:
        raise ValueError(f"counts: training {empty[0]} of {len(counts)} takes no star; leave it out")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge: found {ridge}, wanted a number that is not negative")


def _design(labels: Labels, scaled: np.ndarray, order: int) -> Design:
    vectors = label_vector(scaled, order)
    if not np.abs(vectors).max() < ABSURD:
        star, label = np.unravel_index(np.abs(scaled).argmax(), scaled.shape)
        found = f"{labels.names[label]!r} of star {str(labels.ids[star])!r} is {labels.values[star, label]:g}"
        raise ValueError(f"train: {found}, absurdly far from the other stars; leave it out")
    return Design(vectors.T)


def label_errors_of(
    labels: Labels, scaled: np.ndarray, scales: np.ndarray, order: int, option: str, strengths: Sequence[float]
) -> list[LabelErrors]:
    """What errors of the labels change, for each strength; none where they are ignored."""
    if option not in get_args(LabelErrorsOption):
        raise ValueError(f"label_errors: found {option!r}, wanted 'ignore', 'weight' or 'correct'")
    for strength in strengths:
        if not (np.isfinite(strength) and strength >= 0):
            raise ValueError(f"label_error_strength: found {strength}, wanted a number that is not negative")
    if option == "ignore":
        return []
    if labels.covariance is None:
        raise ValueError(
            "label_errors: the reference labels have no covariances; give `Labels` their errors or covariances, "
            "or train with label_errors='ignore'"
        )
    if (wrong := ~labels.covariance_usable).any():
        raise ValueError(
            f"label_errors: covariances of {np.count_nonzero(wrong)} stars, first {str(labels.ids[wrong][0])!r}, "
            "are NaN or negative; leave those stars out, or state the errors of every label (0 if they are small)"
        )
    covariance = labels.covariance / np.outer(scales, scales)
    return [LabelErrors(scaled, strength * covariance, order) for strength in strengths]


def allowed_terms(
    censoring: np.ndarray | Mapping[str, np.ndarray] | None, names: tuple[str, ...], n_pixels: int, order: int
) -> np.ndarray:
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


def prior_of_terms(ridge: float, ridge_from: int, n_labels: int, order: int) -> np.ndarray:
    """(M,) the ridge on every term, from a degree on."""
    return ridge * np.array([len(term) >= max(1, ridge_from) for term in terms(n_labels, order)])


def _report(found: list[Counter[str]]) -> None:
    """Log how many pixels have no model, and why; loudly only where the reason lies in the numbers."""
    for reason, number in sum(found, Counter()).items():
        level = logging.WARNING if reason == DID_NOT_CONVERGE else logging.INFO
        logger.log(level, "train: %d pixels%s: %s", number, "" if reason == SHORTENED else " are left out", reason)
