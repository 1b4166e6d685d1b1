"""How well a reference set determines the coefficients, from which comes the variance of the model flux."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..matrices import inverted, unpacked
from ..parallel import over_blocks
from ..reference import ReferenceSet
from .label_errors import corrected_matrices
from .likelihood import Design, PixelBlock, weighted_products, weights
from .model import CannonModel
from .training import LabelErrorsOption, allowed_terms, label_errors_of, pixels_of_block, prior_of_terms


def coefficient_variance(
    reference: ReferenceSet,
    model: CannonModel,
    *,
    censoring: np.ndarray | Mapping[str, np.ndarray] | None = None,
    ridge: float = 0.0,
    ridge_from: int = 1,
    label_errors: LabelErrorsOption = "ignore",
    label_error_strength: float = 1.0,
) -> np.ndarray:
    """Covariance of the coefficients θ of each pixel: the inverse of the normal matrix A = Σ w v vᵀ of eq. 5.

    The variance of the model flux at the label vector v is vᵀ A⁻¹ v. With label errors ``"correct"`` it is the
    sandwich A⁻¹ (Σ w² r² v vᵀ) A⁻¹, with the corrected A and the residuals r of the model.

    Parameters
    ----------
    reference : N stars, those of the training
    model : trained on them; see `train`
    censoring, ridge, ridge_from, label_errors, label_error_strength : those of the training

    Returns
    -------
    (P, M(M+1)/2) upper triangles row by row, in squares of the normalized flux; zero at undetermined pixels.
    """
    labels = reference.labels
    scaled = model.scaled(labels.values)
    design = Design(model.label_vector(labels.values).T)
    errors = label_errors_of(labels, scaled, model.scales, model.order, label_errors, [label_error_strength])
    allowed = allowed_terms(censoring, labels.names, model.wavelength.size, model.order)
    prior = prior_of_terms(ridge, ridge_from, len(labels.names), model.order)
    upper = np.triu_indices(allowed.shape[1])
    variance = np.where(model.determined, model.scatter, 0.0) ** 2
    packed = np.zeros((len(allowed), upper[0].size))

    def one_block(pixels: slice) -> None:
        block = PixelBlock.of(reference.spectra, pixels, allowed, prior, design)
        weight = weights(block.ivar, variance[pixels], block.counts)
        normal = weighted_products(weight, design)
        inverse = inverted(normal, block.allowed, block.ridge)
        if label_errors == "correct":
            bread, *_ = corrected_matrices(block, normal, weighted_products(weight, errors[0]))
            residual = block.flux - model.coefficients[pixels] @ design.vectors
            inverse = bread @ unpacked(weighted_products((weight * residual) ** 2, design), allowed.shape[1]) @ bread
        packed[pixels] = inverse[:, *upper]

    over_blocks(one_block, len(allowed), pixels_of_block(*reference.spectra.flux.shape))
    packed[~model.determined] = 0.0
    return packed
