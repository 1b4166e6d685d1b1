"""The training step: coefficients and scatter of every pixel at the exact maximum of eq. 5 (Ho et al. 2017).

At given s² the coefficients are weighted least squares, and at given coefficients s² is a search in one dimension. Both
are repeated in turn from s² = 0 until neither moves. The normal matrices of a block of pixels are one matrix product of
the weights with all products of two terms; near the solution a matrix is kept, because with exact gradients the
iteration ends at the exact maximum with any matrix close to the right one. For the same reason the matrices may be
made in single precision, and folds and resamplings of the reference set start from the solution for all stars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from . import scatter as passes
from .blocks import over_blocks
from .cannon import CannonModel, label_vector, label_vector_derivatives, scaling, terms
from .reference import ReferenceSet

PIXELS, STARS = 64, 256
"""Pixels of a block in training; stars of a block in fingerprints."""

PRODUCTS_LIMIT = 500e6
"""Bytes that the table of all products of two terms may take; beyond it normal matrices are made pixel by pixel."""

CONVERGED = 1e-8
"""Last step of the coefficients and of s², in their formal errors."""


@dataclass(frozen=True)
class _Design:
    """What all pixels share: label vectors, products of their terms, ridge."""

    vectors: np.ndarray
    products: np.ndarray | None
    ridge: np.ndarray
    dtype: np.dtype


@dataclass
class _Block:
    """B pixels of all N stars: flux and ivar (B, N), allowed (B, M)."""

    flux: np.ndarray
    ivar: np.ndarray
    allowed: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> _Block:
        return _Block(self.flux[rows], self.ivar[rows], self.allowed[rows])


@dataclass
class _Solution:
    """Coefficients (B, M), variance s² (B,), residual (B, N), packed normal matrices, and which pixels are solved."""

    coefficients: np.ndarray
    variance: np.ndarray
    residual: np.ndarray
    packed: np.ndarray
    solved: np.ndarray

    def put(self, rows: np.ndarray, other: _Solution) -> None:
        for name in ("coefficients", "variance", "residual", "packed", "solved"):
            getattr(self, name)[rows] = getattr(other, name)


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
    design = _design(label_vector(scaled, order), ridge, np.dtype(dtype))
    derivatives = label_vector_derivatives(scaled, order) if label_errors else None
    label_covariance = None if labels.covariance is None else labels.covariance / np.outer(scales, scales)

    coefficients = np.zeros((len(counts), *allowed.shape))
    scatter = np.full((len(counts), len(allowed)), np.inf)

    def one_block(pixels: slice) -> None:
        block = _Block(
            np.ascontiguousarray(spectra.flux[:, pixels].T, dtype=float),
            np.ascontiguousarray(spectra.ivar[:, pixels].T, dtype=float),
            allowed[pixels],
        )
        everyone = np.ones(len(reference))
        whole = _solve(block, design, everyone)
        if derivatives is not None and label_covariance is not None:
            block.ivar = _with_label_errors(block.ivar, whole.coefficients, derivatives, label_covariance)
            whole = _solve(block, design, everyone)
        for k, repeats in enumerate(counts):
            solution = whole if (repeats == 1).all() else _adjust(block, design, repeats, whole)
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


def _solve(block: _Block, design: _Design, counts: np.ndarray) -> _Solution:
    """The maximum of eq. 5 from s² = 0 and, where that ends at s² = 0 or fails, also from a large s²."""
    solution = _ascend(block, design, counts, np.zeros(len(block.flux)))
    again = np.flatnonzero((solution.variance == 0) | ~solution.solved)
    if again.size:
        block = block[again]
        first = _Solution(*(getattr(solution, name)[again] for name in solution.__dataclass_fields__))
        other = _ascend(block, design, counts, _flux_variance(block, counts))
        likelihood = [passes.log_likelihood(s.residual, block.ivar, counts, s.variance) for s in (first, other)]
        better = other.solved & (~first.solved | (likelihood[1] > likelihood[0]))
        solution.put(again[better], _Solution(*(getattr(other, name)[better] for name in other.__dataclass_fields__)))
    return solution


def _ascend(block: _Block, design: _Design, counts: np.ndarray, variance: np.ndarray) -> _Solution:
    """Climb eq. 5: coefficients at fixed s², s² at fixed coefficients, then both together until they rest."""
    coefficients = np.zeros(block.allowed.shape)
    residual = block.flux.copy()
    enough = _stars_with_weight(block, counts) > block.allowed.sum(axis=1)
    for attempt in range(10):
        packed = _normal_matrices(block, design, counts, variance)
        factors, regular = _factorize(block, design, counts, variance, packed)
        settled = _step(block, design, counts, factors, coefficients, variance, residual, move_variance=False)
        variance = passes.best_variance(residual, block.ivar, counts)
        if attempt > 0:
            settled = _refine(block, design, counts, factors, coefficients, variance, residual)
            if (settled | ~(enough & regular)).all():
                break
    return _Solution(coefficients, variance, residual, packed, enough & regular & settled)


def _adjust(block: _Block, design: _Design, counts: np.ndarray, whole: _Solution) -> _Solution:
    """From the solution for all stars to that for stars taken `counts` times; from scratch where that is too far."""
    coefficients, variance = whole.coefficients.copy(), whole.variance.copy()
    residual = whole.residual.copy()
    others = np.flatnonzero(counts != 1)
    packed = whole.packed + _normal_matrices(block, design, counts - 1, variance, others)
    factors, regular = _factorize(block, design, counts, variance, packed)
    settled = _refine(block, design, counts, factors, coefficients, variance, residual)
    enough = _stars_with_weight(block, counts) > block.allowed.sum(axis=1)
    solution = _Solution(coefficients, variance, residual, packed, whole.solved & enough & regular & settled)
    again = np.flatnonzero(~solution.solved & enough)
    if again.size:
        solution.put(again, _solve(block[again], design, counts))
    return solution


def _refine(
    block: _Block,
    design: _Design,
    counts: np.ndarray,
    factors: np.ndarray,
    coefficients: np.ndarray,
    variance: np.ndarray,
    residual: np.ndarray,
) -> np.ndarray:
    """Repeat steps with the same matrices, in place; True for each pixel that came to rest."""
    for _ in range(12):
        settled = _step(block, design, counts, factors, coefficients, variance, residual)
        if settled.all():
            break
    return settled


def _step(
    block: _Block,
    design: _Design,
    counts: np.ndarray,
    factors: np.ndarray,
    coefficients: np.ndarray,
    variance: np.ndarray,
    residual: np.ndarray,
    move_variance: bool = True,
) -> np.ndarray:
    """One Newton step of θ and s² with exact gradients, in place; True where it was below `CONVERGED` formal errors."""
    weighted, derivatives = np.empty_like(residual), np.empty((len(residual), 3))
    passes.weigh_residuals(residual, block.ivar, variance, counts, weighted, derivatives)
    gradient = (weighted @ design.vectors - design.ridge * coefficients) * block.allowed
    change = passes.solve(factors, gradient)
    settled = np.einsum("pm,pm->p", change, gradient) <= CONVERGED**2
    coefficients += change
    residual -= change @ design.vectors.T
    if move_variance:
        slope, curvature, information = derivatives.T
        steepness = np.where(curvature < -0.25 * information, -curvature, np.maximum(information, 1e-300))
        new = np.maximum(variance + slope / steepness, 0.0)
        settled &= np.abs(new - variance) * np.sqrt(steepness / 2) <= CONVERGED
        variance[:] = new
    return settled


def _normal_matrices(
    block: _Block, design: _Design, counts: np.ndarray, variance: np.ndarray, stars: np.ndarray | None = None
) -> np.ndarray:
    """(B, M(M+1)/2) upper triangles of Σ w v vᵀ over all or some stars: weights times products of terms."""
    ivar = block.ivar if stars is None else np.ascontiguousarray(block.ivar[:, stars])
    counts = counts if stars is None else counts[stars]
    weights = np.empty(ivar.shape, design.dtype)
    passes.weights(ivar, variance, counts, weights)
    if design.products is not None:
        return weights @ (design.products if stars is None else design.products[stars])
    vectors = design.vectors if stars is None else design.vectors[stars]
    upper = np.triu_indices(vectors.shape[1])
    return np.array([((vectors * w[:, None]).T @ vectors)[upper] for w in weights])


def _factorize(
    block: _Block, design: _Design, counts: np.ndarray, variance: np.ndarray, packed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the normal matrices; those that look singular in single precision are made again in double."""
    single = packed.dtype == np.float32
    factors, regular = passes.factorize(packed, block.allowed, design.ridge, 1e-4 if single else 1e-10)
    doubtful = np.flatnonzero(~regular)
    if single and doubtful.size:
        precise = replace(design, products=None, dtype=np.dtype(float))
        again = _normal_matrices(block[doubtful], precise, counts, variance[doubtful])
        factors[doubtful], regular[doubtful] = passes.factorize(again, block.allowed[doubtful], design.ridge, 1e-10)
    return factors, regular


def _design(vectors: np.ndarray, ridge: float, dtype: np.dtype) -> _Design:
    n_stars, n_terms = vectors.shape
    first, second = np.triu_indices(n_terms)
    products = None
    if n_stars * first.size * dtype.itemsize <= PRODUCTS_LIMIT:
        products = np.empty((n_stars, first.size), dtype)
        np.multiply(vectors[:, first], vectors[:, second], out=products, casting="same_kind")
    diagonal = np.full(n_terms, float(ridge))
    diagonal[0] = 0.0
    return _Design(vectors, products, diagonal, dtype)


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


def _flux_variance(block: _Block, counts: np.ndarray) -> np.ndarray:
    """(B,) variance of the flux over the stars with weight: an s² beside which all stars weigh alike."""
    use = (block.ivar > 0) * counts
    total = np.maximum(use.sum(axis=1), 1e-300)
    mean = (use * block.flux).sum(axis=1) / total
    return (use * (block.flux - mean[:, None]) ** 2).sum(axis=1) / total


def _stars_with_weight(block: _Block, counts: np.ndarray) -> np.ndarray:
    return ((block.ivar > 0) & (counts > 0)).sum(axis=1)


def _fingerprint(reference: ReferenceSet, options: tuple) -> bytes:
    """A digest of everything that determines the model."""
    spectra, labels = reference.spectra, reference.labels

    def one_block(rows: slice) -> bytes:
        return hashlib.sha256(spectra.flux[rows].tobytes() + spectra.ivar[rows].tobytes()).digest()

    digest = hashlib.sha256(repr((labels.names, options)).encode())
    for array in (spectra.wavelength, labels.values, labels.covariance):
        digest.update(b"" if array is None else array.tobytes())
    for part in over_blocks(one_block, len(spectra), STARS):
        digest.update(part)
    return digest.digest()
