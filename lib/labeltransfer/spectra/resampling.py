"""How an observed spectrum gets to rest and onto a grid (Ho et al. 2017, section 2.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..parallel.compiled import compiled

SPEED_OF_LIGHT = 299_792.458
"""km/s"""

GAP, SHARE, AROUND = 5.0, 0.2, 10
"""A step that is so many times longer than all but this share of those around it, so many to either side, may be a
gap, …"""

COARSE = 3.0
"""… and is one if it is so many times that of the grid, too: merged exposures have uneven steps without gaps."""


def rest_frame(wavelength: np.ndarray, redshift: float) -> np.ndarray:
    """Observed to rest-frame wavelength, λ / (1 + z); the authors' code used λ (1 - z), which differs by z²."""
    return wavelength / (1.0 + redshift)


def resample(
    wavelength: np.ndarray, flux: np.ndarray, ivar: np.ndarray, grid: np.ndarray, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate one spectrum linearly onto `grid`, flux and inverse variance alike (section 2.1).

    A pixel outside the spectrum, in a gap of it (see `GAP`), or between two pixels of which one is masked, gets flux 0
    and ivar 0. (The paper interpolates the inverse variance across masked pixels too, which lets bad flux through with
    a small weight.)

    Parameters
    ----------
    wavelength : (Q,) Å, increasing
    flux, ivar : (Q,) a pixel that is NaN, infinite or of negative ivar counts as masked; so does a result that is too
        large or too small for `dtype`
    grid : (P,) Å, increasing

    Returns
    -------
    flux, ivar : (P,) of `dtype`
    """
    new_flux = np.empty(grid.size, dtype)
    new_ivar = np.empty(grid.size, dtype)
    _interpolate(
        np.asarray(wavelength, float), np.asarray(flux, float), np.asarray(ivar, float), grid, new_flux, new_ivar
    )
    return new_flux, new_ivar


@compiled()
def _step_of(grid: np.ndarray, p: int) -> float:
    """The larger of the steps to the neighbours of a pixel; none is infinite."""
    if grid.size < 2:
        return np.inf
    return max(grid[min(p + 1, grid.size - 1)] - grid[p], grid[p] - grid[max(p - 1, 0)])


@compiled()
def _is_gap(wavelength: np.ndarray, left: int) -> bool:
    """Whether the step from a pixel to the next is `GAP` times most of those around it: uneven steps are no gaps."""
    step, long = wavelength[left + 1] - wavelength[left], 0
    first, last = max(left - AROUND, 0), min(left + 1 + AROUND, wavelength.size - 1)
    for i in range(first, last):
        long += GAP * (wavelength[i + 1] - wavelength[i]) >= step
    return long <= SHARE * (last - first - 1) and last - first > 1


@compiled()
def _interpolate(
    wavelength: np.ndarray,
    flux: np.ndarray,
    ivar: np.ndarray,
    grid: np.ndarray,
    new_flux: np.ndarray,
    new_ivar: np.ndarray,
) -> None:
    left = 0
    last = wavelength.size - 1
    for p in range(grid.size):
        while left < last - 1 and wavelength[left + 1] <= grid[p]:
            left += 1
        right = left + 1
        new_flux[p] = 0.0
        new_ivar[p] = 0.0
        if last < 1 or grid[p] < wavelength[left] or grid[p] > wavelength[right]:
            continue
        step = wavelength[right] - wavelength[left]
        share = (grid[p] - wavelength[left]) / step
        usable = not (0.0 < share < 1.0 and step > COARSE * _step_of(grid, p) and _is_gap(wavelength, left))
        f = 0.0
        w = 0.0
        if share < 1.0:
            usable &= ivar[left] > 0 and np.isfinite(ivar[left]) and np.isfinite(flux[left])
            f += (1.0 - share) * flux[left]
            w += (1.0 - share) * ivar[left]
        if share > 0.0:
            usable &= ivar[right] > 0 and np.isfinite(ivar[right]) and np.isfinite(flux[right])
            f += share * flux[right]
            w += share * ivar[right]
        if usable:
            new_flux[p] = f
            new_ivar[p] = w
            if not (np.isfinite(new_flux[p]) and np.isfinite(new_ivar[p]) and new_ivar[p] > 0):
                new_flux[p] = 0.0
                new_ivar[p] = 0.0


def air_to_vacuum(wavelength: np.ndarray) -> np.ndarray:
    """Wavelengths [Å] in air, above 2000 Å, to vacuum: n of Ciddor (1996) as N. Piskunov inverted it for VALD."""
    squared = (1e4 / np.asarray(wavelength, dtype=float)) ** 2
    return wavelength * (
        1.0
        + 8.336624212083e-5
        + 2.408926869968e-2 / (130.1065924522 - squared)
        + 1.599740894897e-4 / (38.92568793293 - squared)
    )
