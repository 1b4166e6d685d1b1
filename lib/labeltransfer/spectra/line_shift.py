"""Where the strong lines of cool stars lie: whether wavelengths are in vacuum and at rest, as they are said to be."""

from __future__ import annotations

import numpy as np

from .resampling import SPEED_OF_LIGHT
from .spectra import Spectra

LINES = (
    3934.78, 3969.59, 4227.92, 4862.69, 5168.76, 5174.13, 5185.05, 5891.58, 5897.56, 6564.61, 8500.36, 8544.44, 8664.52,
)  # fmt: skip
"""Å in vacuum: Ca II H and K, Ca I, Hβ, Mg b, Na D, Hα, and the Ca II triplet."""

SHIFTS = np.arange(-300.0, 301.0, 10.0)
"""km/s that are tried."""

WINDOW = 25.0
"""Å to either side of a line, whose mean is the level from which its depth is measured."""

LEAST_LINES = 5

CLEAR = 6.0
"""Least contrast for a shift to be believed; of 260 real spectra of all types, none above it is off by 50 km/s."""

LARGEST_ERROR, LARGEST_SHIFT = 55.0, 250.0
"""km/s: a clear shift between the two means wrong wavelengths or a wrong redshift; a larger one is no line's."""

AIR = -83.0
"""km/s by which lines appear to be shifted if wavelengths are in air: 1 / n of air, nearly the same at all of them."""


def why_shifted(spectra: Spectra) -> list[str]:
    """(N,) why the wavelengths of each spectrum are not what they should be; empty text if nothing is seen."""
    reasons = []
    for shift, contrast in zip(*line_shift(spectra), strict=True):
        off = contrast > CLEAR and LARGEST_ERROR < abs(shift) < LARGEST_SHIFT
        air = "wavelengths in air, wanted vacuum, or a " if AIR - 40.0 < shift < AIR + 40.0 else ""
        reasons.append(
            f"strong lines lie {shift:+.0f} km/s from their places at rest: {air}wrong redshift" if off else ""
        )
    return reasons


def line_shift(spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
    """Shift of the strong lines from their places in vacuum, and how clearly it is seen.

    Returns
    -------
    shift : (N,) km/s at which the lines together are deepest, negative to the blue
    contrast : (N,) depth there less the mean depth at all shifts, in units of its standard error; both are NaN if fewer
        than `LEAST_LINES` lines are seen
    """
    wavelength = spectra.wavelength
    lines = np.array([line for line in LINES if wavelength[0] + WINDOW < line < wavelength[-1] - WINDOW])
    depths = np.full((len(spectra), lines.size, SHIFTS.size), np.nan)
    noise = np.full((len(spectra), lines.size), np.nan)
    for n, line in enumerate(lines):
        near = slice(*np.searchsorted(wavelength, (line - WINDOW, line + WINDOW)))
        flux, ivar = spectra.flux[:, near].astype(float), spectra.ivar[:, near].astype(float)
        whole = (ivar > 0).all(axis=1) & (flux.mean(axis=1) > 0) if flux.shape[1] > 5 else np.zeros(len(spectra), bool)
        level = flux[whole].mean(axis=1, keepdims=True)
        places = line * (1.0 + SHIFTS / SPEED_OF_LIGHT)
        right = np.clip(np.searchsorted(wavelength[near], places), 1, flux.shape[1] - 1)
        share = (places - wavelength[near][right - 1]) / np.diff(wavelength[near])[right - 1]
        depths[whole, n] = 1.0 - ((1 - share) * flux[whole][:, right - 1] + share * flux[whole][:, right]) / level
        noise[whole, n] = np.sqrt((1 / ivar[whole]).mean(axis=1)) / level[:, 0]
    seen = np.isfinite(noise)
    number = np.maximum(seen.sum(axis=1), 1)
    depth = np.where(seen[..., None], depths, 0.0).sum(axis=1) / number[:, None]
    error = np.sqrt(np.where(seen, noise, 0.0) ** 2 @ np.ones(lines.size)) / number
    unknown = seen.sum(axis=1) < LEAST_LINES
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = (depth.max(axis=1) - depth.mean(axis=1)) / error
    return np.where(unknown, np.nan, SHIFTS[depth.argmax(axis=1)]), np.where(unknown, np.nan, contrast)
