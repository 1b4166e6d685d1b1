"""Normalization of spectra by a broad, error-weighted Gaussian average (Ho et al. 2017, eqs. 1 and 2).

This is in no sense a continuum fit: it removes the overall flux and its large-scale shape. At given inverse variances
the average is linear in the flux, so noise of any size leaves it unbiased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real

import numpy as np

from .options import CONVENTIONS, check_option
from .parallel import over_blocks
from .parallel.compiled import compiled
from .spectra import Spectra

NEGLIGIBLE = 1e-16
"""Smaller weights are dropped: they cannot change a double-precision sum, and denormal numbers are slow."""

LEAST_PIXELS, WIDEST = 2.0, 10_000.0
"""Widths that make sense: below two pixels the average is the pixel itself, which would be divided away with all lines;
above 10 000 Å, more than the optical range, it has no shape."""

STARS, PIXELS = 512, 192
"""Sizes of a block: stars per task, pixels per piece of the band of weights."""


def normalize(
    spectra: Spectra,
    width: float = 50.0,
    convention: str = "paper",
    segments: Sequence[tuple[float, float]] | None = None,
) -> Spectra:
    """Divide each spectrum by its broad average f̄, and multiply its inverse variance by f̄² (section 2.1).

    Parameters
    ----------
    spectra : (N, P) not yet normalized
    width : L of eq. 2 [Å]
    convention : ``"paper"`` for exp(-Δ²/L²) as in eq. 2, ``"gaussian"`` for exp(-Δ²/2L²) as in the authors' code
    segments : (low, high) [Å] of every detector, ends included: each is normalized by itself, and pixels between them
        are left out; None for all pixels at once

    Returns
    -------
    Spectra
        Normalized, of the same floating type. A masked pixel, or one where f̄ is not positive (nothing measured within
        some 6 L, or only noise), has flux 0 and inverse variance 0.

    Raises
    ------
    TypeError
        If they are no `Spectra`.
    ValueError
        If the spectra are normalized already, the width makes no sense (`check_smoothing`), the convention is unknown,
        or segments overlap or hold no pixel.
    """
    check_spectra("normalize", spectra)
    if spectra.normalized:
        raise ValueError(f"normalize: {spectra!r} is normalized already; give the spectra as they were observed")
    if segments is not None:
        parts = (normalize(spectra.window(*ends), width, convention) for ends in check_segments(segments))
        return Spectra.join_pixels(*parts)
    flux, ivar = np.empty(spectra.flux.shape, spectra.flux.dtype), np.empty(spectra.ivar.shape, spectra.ivar.dtype)
    band = weight_band(spectra.wavelength, width, convention, spectra.flux.dtype)

    def one_block(rows: slice) -> None:
        numerator, denominator = _weighted_sums(spectra, rows, band)
        _divide(spectra.flux[rows], spectra.ivar[rows], numerator, denominator, flux[rows], ivar[rows])

    over_blocks(one_block, len(spectra), STARS)
    return replace(spectra, flux=flux, ivar=ivar, normalized=True)


def check_segments(segments: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """(low, high) [Å] of every detector, or ValueError."""
    try:
        return tuple((float(low), float(high)) for low, high in segments)
    except (TypeError, ValueError):
        raise ValueError(
            f"segments: found {segments!r}, wanted (low, high) in Å of every detector, in a list: [(low, high), …]"
        ) from None


def check_spectra(what: str, spectra: object) -> None:
    """TypeError unless these are `Spectra`."""
    if not isinstance(spectra, Spectra):
        raise TypeError(f"{what}: found {type(spectra).__name__}, wanted Spectra (Spectra.from_arrays)")


def check_smoothing(width: float, convention: str, wavelength: np.ndarray | None = None) -> None:
    """ValueError unless the convention is known and the width [Å] is at least two pixels and at most 10 000 Å.

    Parameters
    ----------
    wavelength : (P,) Å of the pixels, if they are known already
    """
    check_option("convention", convention, CONVENTIONS)
    if not (isinstance(width, Real) and 0 < width <= WIDEST):
        raise ValueError(f"width: found {width!r}, wanted a positive length in Å, at most {WIDEST:.0f}")
    steps = np.diff(wavelength) if wavelength is not None else np.empty(0)
    if steps.size and width < LEAST_PIXELS * np.median(steps):
        raise ValueError(
            f"width: found {width!r} Å, wanted at least {LEAST_PIXELS:g} pixels of {np.median(steps):.3g} Å: a "
            "narrower average follows the lines, and divides them away"
        )


def smooth(spectra: Spectra, width: float = 50.0, convention: str = "paper") -> np.ndarray:
    """The error-weighted broad average f̄ of each spectrum, f̄(λ0) = Σ f σ⁻² w(λ0) / Σ σ⁻² w(λ0) (eq. 1).

    Returns
    -------
    (N, P) in the unit of the flux; NaN where no unmasked pixel lies within some 6 L.
    """
    check_spectra("smooth", spectra)
    average = np.empty(spectra.flux.shape, spectra.flux.dtype)
    band = weight_band(spectra.wavelength, width, convention, spectra.flux.dtype)

    def one_block(rows: slice) -> None:
        numerator, denominator = _weighted_sums(spectra, rows, band)
        denominator[denominator <= 0] = np.nan
        np.divide(numerator, denominator, out=average[rows])

    over_blocks(one_block, len(spectra), STARS)
    return average


def weight_band(
    wavelength: np.ndarray, width: float, convention: str = "paper", dtype: np.typing.DTypeLike = float
) -> list[tuple[slice, slice, np.ndarray]]:
    """The weights of eq. 2 as a band of dense pieces: (pixels averaged over, pixels of the average, weights)."""
    check_smoothing(width, convention, wavelength)
    two_variances = CONVENTIONS[convention] * width**2
    reach = np.sqrt(-np.log(NEGLIGIBLE) * two_variances)
    band = []
    for start in range(0, wavelength.size, PIXELS):
        columns = slice(start, min(start + PIXELS, wavelength.size))
        ends = wavelength[columns][[0, -1]] + [-reach, reach]
        near = slice(*(int(i) for i in np.searchsorted(wavelength, ends)))
        exponent = (wavelength[near, None] - wavelength[columns]) ** 2 / two_variances
        weights = np.where(exponent < -np.log(NEGLIGIBLE), np.exp(-exponent), 0.0)
        band.append((near, columns, weights.astype(dtype)))
    return band


def _weighted_sums(
    spectra: Spectra, rows: slice, band: list[tuple[slice, slice, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of eq. 1 for a block of stars, in units of a star's largest inverse variance."""
    weighted, ivar = np.empty((2, *spectra.flux[rows].shape), spectra.flux.dtype)
    _weigh(spectra.flux[rows], spectra.ivar[rows], weighted, ivar)
    numerator, denominator = np.empty_like(weighted), np.empty_like(weighted)
    with np.errstate(over="ignore", invalid="ignore"):  # absurd fluxes: their pixels are masked afterwards
        for near, columns, weights in band:
            np.matmul(weighted[:, near], weights, out=numerator[:, columns])
            np.matmul(ivar[:, near], weights, out=denominator[:, columns])
    return numerator, denominator


@compiled()
def _weigh(flux: np.ndarray, ivar: np.ndarray, weighted: np.ndarray, scaled: np.ndarray) -> None:
    """f σ⁻² and σ⁻² in units of a star's largest σ⁻², so that sums are finite in any unit of the flux."""
    for n in range(flux.shape[0]):
        largest = 0.0
        for p in range(flux.shape[1]):
            largest = max(largest, ivar[n, p])
        unit = 1.0 / largest if largest > 0 else 0.0
        for p in range(flux.shape[1]):
            scaled[n, p] = ivar[n, p] * unit
            weighted[n, p] = flux[n, p] * scaled[n, p] if ivar[n, p] > 0 else 0.0


@compiled()
def _divide(
    flux: np.ndarray,
    ivar: np.ndarray,
    numerator: np.ndarray,
    denominator: np.ndarray,
    new_flux: np.ndarray,
    new_ivar: np.ndarray,
) -> None:
    """f / f̄ and σ⁻² f̄² in one pass; zeros at masked pixels, where f̄ is not positive, and for results not finite."""
    for n in range(flux.shape[0]):
        for p in range(flux.shape[1]):
            new_flux[n, p] = 0.0
            new_ivar[n, p] = 0.0
            if ivar[n, p] > 0 and denominator[n, p] > 0 and numerator[n, p] > 0:
                average = numerator[n, p] / denominator[n, p]
                new_flux[n, p] = flux[n, p] / average
                new_ivar[n, p] = ivar[n, p] * average * average
                if not (np.isfinite(new_flux[n, p]) and np.isfinite(new_ivar[n, p])):
                    new_flux[n, p] = 0.0
                    new_ivar[n, p] = 0.0
