"""Arrays of any kind as what `Spectra` wants: plain, rising in wavelength, zeros where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units
from astropy.units.function import FunctionUnitBase
from astropy.units.function.mixin import FunctionMixin

from ..tables import is_missing, plain, together, unit_of, words
from ..tables.columns import LARGEST
from .resampling import resample

SENSIBLE = (0.6, 2000.0)
"""S/N of a pixel that spectra have; outside, `ivar` and `error` were mistaken for each other if that explains it."""

SEEN = (0.12, 8.0)
"""Noise that is seen, over that which the errors say; in 256 real LAMOST spectra on a new grid it is 0.16 to 3.2."""

LINES = 0.005
"""What narrow lines alone look like as noise, in units of the flux; a very bright star shows nothing else."""

UNHEARD_OF = 20_000.0
"""S/N of a pixel that no star has, however bright."""

LEAST_SEEN, LOOKED_AT = 30, 256

SHORTEST = 1000.0
"""Å; wavelengths that end below are in another unit."""

ULTRAVIOLET = 2000.0
"""Å; plain wavelengths that end below may as well be nm of the near infrared, so that their unit must be stated."""

LARGEST_WEIGHT = 1e200
"""Inverse variances from which on, up or down, double precision has no room for their products."""

NOISE = 5.0
"""Errors from zero within which −999 and the like are a flux, if the star's level is within twice as many of them."""

RANGE = 1e10
"""Between the brightest and the median flux of spectra in one unit."""

LOGARITHMS = (3.0, 5.0)
"""Logarithms of the optical and the near infrared in Å."""

UNCERTAINTIES = {"error": "std", "ivar": "ivar"}
"""What the uncertainties of `astropy.nddata` that can be given as either call their type."""


def arrays_of_spectra(
    wavelength: Any, flux: Any, ivar: Any, error: Any, ids: Any, mask: Any, unit: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """ids (N,), wavelength (P,), flux and ivar (N, P); arguments and errors are those of `Spectra.from_arrays`."""
    if (ivar is None) == (error is None):
        raise ValueError("spectra: found " + ("both" if error is not None else "neither") + ", wanted ivar or error")
    given = {"wavelength": wavelength, "flux": flux, "ivar": ivar, "error": error, "mask": mask}
    named = _index(given)
    wavelength, flux, ivar, error, mask = (_unpacked(one, name) for name, one in given.items())
    if isinstance(unit_of(flux), FunctionUnitBase | FunctionMixin):
        raise TypeError(f"flux: found {flux.unit}, a logarithm; wanted the flux itself")
    grid, hidden = _wavelengths(wavelength, unit)
    values, masked = plain(flux, "flux", unit_of(flux))
    values = np.atleast_2d(values if values.dtype == np.float32 else values.astype(float))
    fits = values.ndim == 2 and grid.ndim in (1, 2) and grid.shape[-1] == values.shape[-1] > 0
    if not fits or len(np.atleast_2d(grid)) not in (1, len(values)):
        raise ValueError(
            f"spectra: wavelength has shape {grid.shape}, flux {values.shape}; wanted (P,) and (N, P), or (N, P) twice"
        )
    if ids is None:
        ids = np.arange(len(values)) if named is None else named
    names = np.atleast_1d(words(together(ids)))
    if len(names) != len(values):
        raise ValueError(f"spectra: found {len(names)} ids and flux of {len(values)} stars, wanted one for each")
    bad = ~np.isfinite(values)
    for one in (masked, hidden, None if mask is None else plain(mask, "mask")[0] != 0):
        if one is not None:
            bad |= _shaped(one, values.shape, "mask")
    weights, bad = _weights(flux, ivar, error, values, bad)
    bad |= _no_flux(values, weights, bad)
    _refuse_mistaken(values, weights, bad, names.astype(str), error is None)
    weights = np.where(bad, 0.0, weights)
    single = np.finfo(np.float32)
    if values.dtype == np.float32 and ((weights > 0) & ~((weights > single.tiny) & (weights < single.max))).any():
        values = values.astype(
            float
        )  # flux in units so large, or small, that single precision lacks its inverse square
    weights = weights.astype(values.dtype)
    values = np.where(weights > 0, values, 0.0).astype(values.dtype)
    if grid.ndim == 2 and not (grid == grid[0]).all():
        return names, *_on_one_grid(grid, values, weights)
    grid = np.atleast_2d(grid)[0]
    if grid.size > 1 and grid[0] > grid[-1]:
        grid, values, weights = grid[::-1], values[:, ::-1], weights[:, ::-1]
    return names, grid, values, weights


def _index(given: Mapping[str, Any]) -> Any:
    """The stars that the index of pandas objects names, the same for all of them; None if there are none."""
    stars = {
        name: one.index
        for name, one in given.items()
        if hasattr(one, "iloc") and getattr(one.index, "nlevels", 1) == 1
        if hasattr(one, "columns") or np.ndim(next(iter(one), 0.0)) == 1
    }
    first = next(iter(stars), "")
    for name, index in stars.items():
        if not index.equals(stars[first]):
            raise ValueError(
                f"{name}: its index is not that of {first}; wanted the same stars in the same order, or plain arrays"
            )
    return stars.get("flux")


def _unpacked(values: Any, what: str) -> Any:
    """The array that an uncertainty, or a column of arrays, holds; a table must have columns of numbers alone."""
    if hasattr(values, "uncertainty_type"):
        if values.uncertainty_type != UNCERTAINTIES.get(what):
            raise TypeError(
                f"{what}: found {type(values).__name__}, wanted StdDevUncertainty as error=, or InverseVariance as "
                "ivar=; convert it with represent_as"
            )
        values = values.quantity
    if hasattr(values, "select_dtypes"):
        for name, column in values.select_dtypes(exclude=["number", "bool"]).items():
            try:
                column.to_numpy(float, na_value=np.nan)
            except (ValueError, TypeError):
                raise ValueError(
                    f"{what}: column {name!r} holds {type(column.iloc[0]).__name__}, wanted numbers; leave it out, and "
                    "give names of stars as ids="
                ) from None
    if getattr(values, "ndim", 0) == 1 and np.ndim(next(iter(values), 0.0)) == 1:
        values = list(values)
    return together(values)


def _wavelengths(wavelength: Any, unit: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """In Å, and where they are masked or no numbers."""
    stated = unit_of(wavelength) is not None
    grid, hidden = plain(wavelength, "wavelength", "AA")
    grid = grid.astype(float)
    if not stated and unit is not None:
        try:
            grid = units.Quantity(grid, unit).to_value("AA")
        except (ValueError, TypeError):
            raise ValueError(f"wavelength: found unit={str(unit)!r}, wanted one of length, as nm or um") from None
    if not stated and unit is None and grid.size and np.nanmax(grid) < ULTRAVIOLET:
        low, high = np.nanmin(grid), np.nanmax(grid)
        logarithm = "for a logarithm give 10**wavelength; " if LOGARITHMS[0] < low < high < LOGARITHMS[1] else ""
        raise ValueError(
            f"wavelength: found {low:g} to {high:g}, wanted Å; {logarithm}for another unit give "
            "unit='nm' or unit='um', or a Quantity; unit='AA' if it is the ultraviolet"
        )
    if grid.ndim == 1 and (hidden is not None or not np.isfinite(grid).all()):
        raise ValueError("wavelength: some are masked, NaN or infinite; leave such pixels out of all arrays")
    return grid, hidden


def _shaped(array: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    try:
        return np.broadcast_to(np.atleast_2d(array) if array.ndim else array, shape)
    except ValueError:
        raise ValueError(f"{what} has shape {array.shape}, wanted {shape} = (N, P)") from None


def _weights(flux: Any, ivar: Any, error: Any, values: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse variances (N, P) as given, and the pixels that are bad for any reason."""
    unit, given = unit_of(flux), error if ivar is None else ivar
    wanted = None if unit is None else unit if ivar is None else unit**-2
    if unit is not None and unit_of(given) is None:
        raise TypeError(f"spectra: flux is in {unit}, and its ivar or error has no unit; wanted both or neither")
    spread, hidden = plain(given, "error" if ivar is None else "ivar", wanted)
    spread = _shaped(spread.astype(float), values.shape, "error" if ivar is None else "ivar")
    bad = bad | ~np.isfinite(spread) | ~(spread > 0)
    if hidden is not None:
        bad |= _shaped(hidden, values.shape, "mask")
    with np.errstate(over="ignore", under="ignore"):
        weights = np.where(bad, 1.0, spread) ** (-2.0 if ivar is None else 1.0)
    beyond = ~((weights > 1.0 / LARGEST_WEIGHT) & (weights < LARGEST_WEIGHT))
    if 2 * np.count_nonzero(beyond) > np.count_nonzero(~bad):
        star, pixel = np.argwhere(beyond)[0]
        raise ValueError(
            f"spectra: flux {values[star, pixel]:.3g} with {'error' if ivar is None else 'ivar'} "
            f"{spread[star, pixel]:.3g}: computers hold no inverse variance of such numbers; give flux and error in "
            "another unit, so that neither is very far from 1"
        )
    return np.where(beyond, 1.0, weights), bad | beyond


def _no_flux(values: np.ndarray, weights: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """(N, P) where numbers stand for no flux: those that are no value in tables either, unless their errors and the
    level of their star say that they are a flux.
    """
    missing = is_missing(values) & ~bad
    stars, star = np.unique(np.nonzero(missing)[0], return_inverse=True)
    level = np.array([np.median(values[n][~bad[n]]) for n in stars], dtype=float)[star]
    flux, error = values[missing].astype(float), weights[missing] ** -0.5
    noise = (np.abs(flux) < NOISE * error) & (np.abs(level - flux) < 2 * NOISE * error)
    bright = (np.abs(level) > LARGEST / RANGE) & (np.abs(flux) < UNHEARD_OF * error)
    missing[missing] = ~np.where(np.abs(flux) < LARGEST, noise & ~is_missing(error, positive=True), bright)
    return missing


def _refuse_mistaken(
    values: np.ndarray, weights: np.ndarray, bad: np.ndarray, names: np.ndarray, as_ivar: bool
) -> None:
    """Refuse errors or variances given as `ivar`, or the like, if that is so of most of (at most `LOOKED_AT`) stars."""
    meant = {"an error": 1.0, "a variance": 0.5} if as_ivar else {"an inverse variance": 0.25, "a variance": -0.25}
    mistaken, n_seen = [], 0
    for n in np.unique(np.linspace(0, len(values) - 1, LOOKED_AT).astype(int)) if len(values) else ():
        good = ~bad[n]
        if good.any():
            flux, weight = values[n].astype(float), weights[n][good]
            with np.errstate(all="ignore"):
                errors = [weight**power for power in (-0.5, *meant.values())]
                read, *others = (float(np.median(np.abs(flux[good]) / error)) for error in errors)
                noise, *noises = visible_noise(flux, good) / np.array([np.median(error) for error in errors])
            for what, other, seen in zip(meant, others, noises, strict=True):
                if _is_mistaken(read, other, noise, seen):
                    mistaken.append((n, read, other, what))
                    break
            n_seen += 1
    if 2 * len(mistaken) > n_seen:
        star, read, other, what = mistaken[0]
        wanted = {"an error": "give it as error=", "an inverse variance": "give it as ivar="}
        raise ValueError(
            f"spectra: star {str(names[star])!r} would have S/N {read:.3g} a pixel, and {other:.3g} if what was given "
            f"as {'ivar' if as_ivar else 'error'} is {what}; {wanted.get(what, 'give its root as error=')}"
        )


def _is_mistaken(read: float, other: float, noise_read: float, noise_other: float) -> bool:
    """Whether one star's errors are absurd as they are read, and the other way round sensible and borne out.

    Parameters
    ----------
    read, other : S/N of both readings
    noise_read, noise_other : the noise that is seen, over the errors of both; if none is seen the S/N alone decide
    """
    low, high = SENSIBLE
    if low < read < high or not low < other < high:
        return False
    if not max(noise_read, noise_other) > SEEN[0]:
        return True
    borne_out = SEEN[0] < noise_other < SEEN[1]
    if read > high:
        return borne_out and (read > UNHEARD_OF or noise_other > LINES * other)
    return borne_out and not SEEN[0] < noise_read < SEEN[1]


def visible_noise(flux: np.ndarray, good: np.ndarray) -> float:
    """Noise of one spectrum (P,) from its fourth differences, which lines that are resolved hardly change; NaN if fewer
    than `LEAST_SEEN` pixels have four good neighbours.
    """
    whole = np.lib.stride_tricks.sliding_window_view(good, 5).all(axis=1) if good.size >= 5 else np.zeros(0, bool)
    if whole.sum() < LEAST_SEEN:
        return float("nan")
    return float(np.median(np.abs(np.diff(np.where(good, flux, 0.0), 4)[whole])) / 0.6745 / np.sqrt(70.0))


def _on_one_grid(
    grids: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every star interpolated onto the grid of the first that has one; pixels without a wavelength are left out."""
    usable = [np.flatnonzero(np.isfinite(grid) & (grid > 0)) for grid in grids]
    order = [rows[np.argsort(grid[rows])] for grid, rows in zip(grids, usable, strict=True)]
    common = next((grid[rows] for grid, rows in zip(grids, order, strict=True) if rows.size), grids[0][:0])
    flux, ivar = np.zeros((2, len(grids), common.size), values.dtype)
    for n, rows in enumerate(order):
        flux[n], ivar[n] = resample(grids[n][rows], values[n][rows], weights[n][rows], common, values.dtype)
    return common, flux, ivar
