"""The training step: coefficients and scatter of every pixel at the exact maximum of eq. 5 (Ho et al. 2017).

Pixels are independent, and are climbed in blocks on all cores (`ascent`). Folds and resamplings of the reference set
share the work: each starts from the maximum for all stars, with normal matrices that differ by a few stars only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import repeat

import numpy as np

from ..parallel import over_blocks
from ..reference import ReferenceSet
from .ascent import maximize
from .blocks import Design, PixelBlock
from .model import CannonModel, label_vector, label_vector_derivatives, scaling, terms
from .subsets import adjusted, subsets_of

PIXELS, STARS = 128, 256
"""Pixels of a block in training; stars of a block in fingerprints."""


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
    ridge : width⁻² of a Gaussian prior around zero on every coefficient but the constant [flux⁻²]
    label_errors : take the covariances of the reference labels into account, in this approximation: they add
        (∂f/∂ℓ) C (∂f/∂ℓ)ᵀ to σ² of each star and pixel, with the derivative of a first fit, and the fit is repeated
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
        If the spectra are not normalized, a label does not vary, or an option makes no sense.
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
    solution for all stars with normal matrices that only the stars of another count have to correct.

    Parameters
    ----------
    counts : (K, N) how often each star is taken in each of the K trainings
    order, censoring, ridge, label_errors, dtype : see `train`

    Returns
    -------
    K models, all with the pivots and scales of the whole reference set.
    """
    spectra, labels = reference.spectra, reference.labels
    if not spectra.normalized:
        raise ValueError(f"train: {spectra!r}; normalize the spectra first")
    counts = np.ascontiguousarray(counts, dtype=float)
    if counts.ndim != 2 or counts.shape[1] != len(reference) or not (counts >= 0).all():
        raise ValueError(f"counts have shape {counts.shape}, wanted (K, {len(reference)}), none negative")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge: found {ridge}, wanted a number that is not negative")
    if label_errors and labels.covariance is None:
        raise ValueError("label_errors: the reference labels have no covariances; give them or leave the option off")
    pivots, scales = scaling(labels.values, labels.names)
    scaled = (labels.values - pivots) / scales
    allowed = _allowed_terms(censoring, labels.names, spectra.wavelength.size, order)
    design = Design.of(label_vector(scaled, order), ridge, np.dtype(dtype))
    derivatives = label_vector_derivatives(scaled, order) if label_errors else None
    label_covariance = None if labels.covariance is None else labels.covariance / np.outer(scales, scales)

    subsets = subsets_of(design, counts) if (counts != 1).any() else []
    coefficients = np.zeros((len(counts), *allowed.shape))
    scatter = np.full((len(counts), len(allowed)), np.inf)

    def one_block(pixels: slice) -> None:
        block = PixelBlock.of(spectra, pixels, allowed)
        everyone = np.ones(len(reference))
        whole = maximize(block, design, everyone)
        if derivatives is not None and label_covariance is not None:
            block.ivar = _with_label_errors(block.ivar, whole.coefficients, derivatives, label_covariance)
            whole = maximize(block, design, everyone)
        solutions = adjusted(block, design, whole, subsets) if subsets else repeat(whole, len(counts))
        for k, solution in enumerate(solutions):
            coefficients[k, pixels] = solution.coefficients * solution.solved[:, None]
            scatter[k, pixels] = np.where(solution.solved, np.sqrt(solution.variance), np.inf)

    over_blocks(one_block, len(allowed), PIXELS)
    fingerprint = _fingerprint(reference, (order, ridge, label_errors, allowed.tobytes()))
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


def _allowed_terms(
    censoring: np.ndarray | Mapping[str, np.ndarray] | None, names: tuple[str, ...], n_pixels: int, order: int
) -> np.ndarray:
    """(P, M) True where every label of the term may act at the pixel."""
    acts = np.ones((n_pixels, len(names)), dtype=bool)
    if isinstance(censoring, Mapping):
        for name, pixels in censoring.items():
            if name not in names:
                raise ValueError(f"censoring: no label {name!r} among the reference labels {', '.join(names)}")
            acts[:, names.index(name)] = pixels
    elif censoring is not None:
        if np.shape(censoring) != acts.shape:
            raise ValueError(f"censoring has shape {np.shape(censoring)}, wanted (P, L) = {acts.shape}")
        acts = np.asarray(censoring, dtype=bool)
    return np.stack([acts[:, list(term)].all(axis=1) for term in terms(len(names), order)], axis=1)


def _with_label_errors(
    ivar: np.ndarray, coefficients: np.ndarray, derivatives: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """σ⁻² after adding the variance that the errors of the reference labels cause in the model flux."""
    slopes = np.einsum("pm,nlm->pnl", coefficients, derivatives, optimize=True)
    variance = np.einsum("pnl,nlk,pnk->pn", slopes, covariance, slopes, optimize=True)
    return ivar / (1.0 + ivar * variance)


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
