"""The training step: coefficients and scatter of every pixel at the exact maximum of eq. 5 (Ho et al. 2017).

Pixels are independent, and are climbed in blocks on all cores (`ascent`). Folds and resamplings of the reference set
share the work: each starts from the maximum for all stars, with normal matrices that differ by a few stars only.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from ..labels import Labels
from ..parallel import check_precision, over_blocks
from ..reference import ReferenceSet
from .ascent import DID_NOT_CONVERGE, maximize, reasons
from .blocks import Design, Maximum, PixelBlock
from .model import CannonModel, label_vector, label_vector_derivatives, scaling, terms
from .subsets import adjusted, subsets_of

PIXELS, STARS = 128, 256
"""Pixels of a block in training; stars of a block in fingerprints."""

ABSURD_SCALES = 1e10
"""Scales from the pivot beyond which a label cannot be meant: its powers might overflow."""

logger = logging.getLogger(__name__)


def train(
    reference: ReferenceSet,
    *,
    order: int = 2,
    censoring: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ridge: float = 0.0,
    label_errors: bool = False,
    dtype: np.typing.DTypeLike = np.float64,
) -> CannonModel:
    """Fit the spectral model to a reference set: eqs. 3-6, at the exact maximum of eq. 5 at every pixel.

    Parameters
    ----------
    reference : N stars with normalized spectra and labels
    order : 1, 2 (the paper) or 3; highest power of the polynomial
    censoring : which labels may act where: (P, L) booleans, or label name to (P,) booleans, other labels everywhere
    ridge : width⁻² of a Gaussian prior around zero on every coefficient but the constant [flux⁻²], for labels scaled
        by the pivots and scales of the model
    label_errors : take the covariances of the reference labels into account, in this approximation: they add
        (∂f/∂ℓ) C (∂f/∂ℓ)ᵀ to σ² of each star and pixel, with the derivative of a first fit, and the fit is repeated.
        This keeps errors of the labels out of the scatter and gives uncertain stars less weight. It does not undo the
        attenuation of slopes by errors of what they are slopes of: in a simulation with errors of 0.2 (0.5) scales for
        every star, slopes come out 0.96 (0.80) times what they are
    dtype : of the normal matrices. With ``numpy.float32`` they take half the time, and the result is the same to 1e-6
        of its formal error, because gradients and residuals stay in double precision

    Returns
    -------
    CannonModel
        A pixel that no more than M stars measured, or that they do not determine, has coefficients 0 and infinite
        scatter (see `CannonModel.determined`).

    Raises
    ------
    ValueError
        If there are no stars, the spectra are not normalized, a label does not vary, or an option makes no sense.
    """
    everyone = np.ones((1, len(reference)))
    return train_subsets(
        reference, everyone, order=order, censoring=censoring, ridge=ridge, label_errors=label_errors, dtype=dtype
    )[0]


def train_subsets(
    reference: ReferenceSet,
    counts: np.ndarray,
    *,
    order: int = 2,
    censoring: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ridge: float = 0.0,
    label_errors: bool = False,
    dtype: np.typing.DTypeLike = np.float64,
) -> list[CannonModel]:
    """Train on several subsets or resamplings of one reference set, sharing what they have in common.

    Each model is at the exact maximum of eq. 5 for its own stars, as if trained alone, but it is reached from the
    solution for all stars with normal matrices that only the stars of another count have to correct. Two options
    differ: a `ridge` is that for labels scaled by the pivots and scales of the whole set, and not of the subset; with
    `label_errors`, where all weights of a subset differ, each costs a training of its own.

    Parameters
    ----------
    counts : (K, N) how often each star is taken in each of the K trainings
    order, censoring, ridge, label_errors, dtype : see `train`

    Returns
    -------
    K models, all with the pivots and scales of the whole reference set.
    """
    spectra, labels = reference.spectra, reference.labels
    counts = np.ascontiguousarray(counts, dtype=float)
    _check(reference, counts, ridge, label_errors, dtype)
    pivots, scales = scaling(labels.values, labels.names)
    scaled = (labels.values - pivots) / scales
    _check_scaled(labels, scaled)
    allowed = _allowed_terms(censoring, labels.names, spectra.wavelength.size, order)
    design = Design.of(label_vector(scaled, order), ridge, np.dtype(dtype))
    widening = _Widening.of(labels, scaled, scales, order) if label_errors else None
    subsets = subsets_of(design, counts) if (counts != 1).any() else []
    everyone = np.ones(len(reference))
    coefficients = np.zeros((len(counts), *allowed.shape))
    scatter = np.full((len(counts), len(allowed)), np.inf)

    def one_block(pixels: slice) -> Counter[str]:
        block = PixelBlock.of(spectra, pixels, allowed)
        whole = maximize(block, design, everyone)
        solutions = adjusted(block, design, whole, subsets) if subsets else repeat(whole, len(counts))
        unsolved: Counter[str] = Counter()
        for k, solution in enumerate(solutions):
            if widening is not None:
                wider = replace(block, ivar=widening.ivar(block.ivar, solution))
                solution = maximize(wider, design, counts[k])
            solved = solution.solved
            coefficients[k, pixels] = np.where(solved[:, None], solution.coefficients, 0.0)
            scatter[k, pixels] = np.where(solved, np.sqrt(np.where(solved, solution.variance, 0.0)), np.inf)
            unsolved += reasons(block, design, counts[k], solution)
        return unsolved

    _report(over_blocks(one_block, len(allowed), PIXELS))
    fingerprint = _fingerprint(reference, (order, ridge, label_errors, np.dtype(dtype).name, allowed.tobytes()))
    return [
        CannonModel(
            labels.names,
            pivots,
            scales,
            spectra.wavelength,
            coefficients[k],
            scatter[k],
            label_range=np.array([labels.values[repeats > 0].min(axis=0), labels.values[repeats > 0].max(axis=0)]),
            order=order,
            n_reference=int(repeats.sum()),
            training_hash=hashlib.sha256(fingerprint + repeats.tobytes()).hexdigest()[:16],
        )
        for k, repeats in enumerate(counts)
    ]


def _check(
    reference: ReferenceSet, counts: np.ndarray, ridge: float, label_errors: bool, dtype: np.typing.DTypeLike
) -> None:
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
    check_precision(dtype)
    if label_errors:
        _check_covariances(reference.labels)


def _check_scaled(labels: Labels, scaled: np.ndarray) -> None:
    star, label = np.unravel_index(np.abs(scaled).argmax(), scaled.shape)
    if not abs(scaled[star, label]) < ABSURD_SCALES:
        found = f"{labels.names[label]!r} of star {str(labels.ids[star])!r} is {labels.values[star, label]:g}"
        raise ValueError(f"train: {found}, absurdly far from the other stars; leave it out")


def _check_covariances(labels: Labels) -> None:
    if labels.covariance is None:
        raise ValueError("label_errors: the reference labels have no covariances; give them or leave the option off")
    known = np.isfinite(labels.covariance).all(axis=(1, 2))
    size = np.sqrt(np.abs(np.diagonal(labels.covariance, axis1=1, axis2=2)))
    unit = np.where(size > 0, size, 1.0)[known]
    known[known] = np.linalg.eigvalsh(labels.covariance[known] / (unit[:, :, None] * unit[:, None, :]))[:, 0] > -1e-6
    if not known.all():
        first = labels.ids[np.flatnonzero(~known)[0]]
        raise ValueError(
            f"label_errors: covariances of {np.count_nonzero(~known)} stars, first {str(first)!r}, "
            "are NaN or negative; leave those stars out"
        )


def _allowed_terms(
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


@dataclass(frozen=True)
class _Widening:
    """What errors of labels need: ∂v/∂x (N, L, M) and the covariances of x (N, L, L)."""

    derivatives: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, labels: Labels, scaled: np.ndarray, scales: np.ndarray, order: int) -> _Widening:
        assert labels.covariance is not None
        return cls(label_vector_derivatives(scaled, order), labels.covariance / np.outer(scales, scales))

    def ivar(self, ivar: np.ndarray, first: Maximum) -> np.ndarray:
        """(B, N) σ⁻² after adding the variance that the errors of the labels cause in the flux of a first fit."""
        coefficients = np.where(first.solved[:, None], first.coefficients, 0.0)
        slopes = np.einsum("pm,nlm->pnl", coefficients, self.derivatives, optimize=True)
        variance = np.einsum("pnl,nlk,pnk->pn", slopes, self.covariance, slopes, optimize=True)
        return ivar / (1.0 + ivar * np.maximum(variance, 0.0))


def _report(unsolved: Iterable[Counter[str]]) -> None:
    """Log how many pixels have no model, and why; loudly only where the reason lies in the numbers."""
    total: Counter[str] = sum(unsolved, Counter())
    for reason, number in total.items():
        level = logging.WARNING if reason == DID_NOT_CONVERGE else logging.INFO
        logger.log(level, "train: %d pixels are left out: %s", number, reason)


def _fingerprint(reference: ReferenceSet, options: tuple) -> bytes:
    """A digest of everything that determines the model."""
    spectra, labels = reference.spectra, reference.labels

    def one_block(rows: slice) -> bytes:
        part = hashlib.sha256(np.ascontiguousarray(spectra.flux[rows]).data)
        part.update(np.ascontiguousarray(spectra.ivar[rows]).data)
        return part.digest()

    digest = hashlib.sha256(repr((labels.names, options)).encode())
    for array in (spectra.wavelength, labels.values, labels.covariance):
        digest.update(b"" if array is None else array.tobytes())
    for part in over_blocks(one_block, len(spectra), STARS):
        digest.update(part)
    return digest.digest()
