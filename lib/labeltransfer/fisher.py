"""How precise labels can be at best: Fisher information of spectra in the model's labels (Cramér-Rao bound)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cannon import CannonModel
from .parallel import over_blocks
from .spectra import Spectra

STARS = 64
"""Stars of a block."""


def fisher_information(
    model: CannonModel, spectra: Spectra, values: np.ndarray, windows: Sequence[tuple[float, float]] | None = None
) -> np.ndarray:
    """Fisher information Σ (∂f/∂ℓ) (∂f/∂ℓ)ᵀ / (s² + σ²) of each star about its labels.

    The flux of `spectra` plays no part, only the inverse variances do.

    Parameters
    ----------
    model : of P pixels and L labels
    spectra : N normalized spectra
    values : (N, L) labels in physical units at which the derivatives are taken, or (L,) for all stars alike
    windows : pairs of wavelengths [Å], ends included; by default one window, the whole spectrum

    Returns
    -------
    (W, N, L, L) for W windows, or (N, L, L) without windows, in inverse products of physical units; NaN for a star
    with unknown labels.

    Raises
    ------
    ValueError
        If the spectra are not normalized, or their pixels not those of the model.
    """
    if not spectra.normalized:
        raise ValueError(f"fisher_information: {spectra!r}; normalize the spectra first")
    if why := model.why_other_pixels(spectra.wavelength):
        raise ValueError(
            f"fisher_information: the pixels of {spectra!r} are not those of {model!r}: {why}; resample the spectra"
        )
    values = np.broadcast_to(np.asarray(values, float), (len(spectra), len(model.label_names)))
    wavelength = model.wavelength
    pairs = [(wavelength[0], wavelength[-1])] if windows is None else list(windows)
    columns = [(wavelength >= low) & (wavelength <= high) & model.determined for low, high in pairs]

    def one_block(rows: slice) -> np.ndarray:
        gradient = model.gradient(values[rows])
        information = np.empty((len(columns), len(gradient), *2 * (len(model.label_names),)))
        for inside, window in zip(columns, information, strict=True):
            slopes = gradient[:, :, inside]
            ivar = spectra.ivar[rows, inside].astype(float)
            weight = ivar / (1.0 + ivar * model.scatter[inside] ** 2)
            np.matmul(slopes * weight[:, None, :], slopes.transpose(0, 2, 1), out=window)
        return information

    information = np.concatenate(over_blocks(one_block, len(spectra), STARS), axis=1)
    return information[0] if windows is None else information


def cramer_rao(information: np.ndarray, jointly: bool = True) -> np.ndarray:
    """(..., L, L) Fisher information to (..., L) smallest possible standard errors, in physical units.

    Parameters
    ----------
    information : see `fisher_information`
    jointly : errors when all labels are fitted together; otherwise of each label when the others are known, which tells
        where in the spectrum a label leaves its mark

    Returns
    -------
    (..., L); infinite where a window says nothing (or, jointly, cannot tell the labels apart); NaN where the
    information is.
    """
    known = np.isfinite(information).all(axis=(-2, -1))
    information = np.where(known[..., None, None], information, 0.0)
    return np.where(known[..., None], _smallest_errors(information, jointly), np.nan)


def _smallest_errors(information: np.ndarray, jointly: bool) -> np.ndarray:
    diagonal = np.diagonal(information, axis1=-2, axis2=-1)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    if not jointly:
        return np.where(diagonal > 0, 1.0 / scale, np.inf)
    values, vectors = np.linalg.eigh(information / (scale[..., :, None] * scale[..., None, :]))
    told_apart = values[..., :1] > 1e-10
    inverse = np.where(told_apart, 1.0 / np.where(told_apart, values, 1.0), 0.0)
    return np.where(told_apart, np.sqrt((vectors**2 * inverse[..., None, :]).sum(axis=-1)) / scale, np.inf)
