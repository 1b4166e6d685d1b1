"""N spectra on one wavelength grid, and how observed spectra get there (Ho et al. 2017, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .files import read_arrays, write_arrays
from .labels import Rows, frozen, identifiers
from .parallel import compiled

SPEED_OF_LIGHT = 299_792.458
"""km/s"""


@dataclass(frozen=True, repr=False, eq=False)
class Spectra:
    """N spectra on one grid of P pixels.

    Attributes
    ----------
    ids : (N,) text, unique
    wavelength : (P,) Å, vacuum, rest frame, increasing
    flux : (N, P) float32 or float64, finite
    ivar : (N, P) inverse variance of `flux`, >= 0; **zero is the only mask**
    normalized : whether `flux` has been divided by its broad average
    """

    ids: np.ndarray
    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    normalized: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", identifiers(self.ids, "Spectra"))
        object.__setattr__(self, "wavelength", frozen(self.wavelength, float))
        shape = (len(self.ids), *self.wavelength.shape)
        if self.wavelength.ndim != 1 or not (np.diff(self.wavelength) > 0).all():
            raise ValueError("Spectra: wavelength must be (P,) and increase from pixel to pixel")
        for name in ("flux", "ivar"):
            array = np.asarray(getattr(self, name))
            dtype = array.dtype if array.dtype in (np.float32, np.float64) else float
            object.__setattr__(self, name, frozen(array, dtype))
            if array.shape != shape:
                raise ValueError(f"Spectra: {name} has shape {array.shape}, wanted {shape} = (N, P)")
            if not _all_finite(array):
                raise ValueError(f"Spectra: {name} holds NaN or infinity; give such pixels flux 0 and ivar 0")
        if self.ivar.size and self.ivar.min() < 0:
            raise ValueError("Spectra: ivar holds negative values; a masked pixel has ivar 0")

    def __repr__(self) -> str:
        low, high = (self.wavelength[0], self.wavelength[-1]) if self.wavelength.size else (np.nan, np.nan)
        state = "normalized" if self.normalized else "not normalized"
        return f"Spectra({len(self)} stars, {self.wavelength.size} pixels, {low:.0f}-{high:.0f} Å, {state})"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Rows) -> Spectra:
        return replace(self, ids=self.ids[rows], flux=self.flux[rows], ivar=self.ivar[rows])

    def window(self, low: float, high: float) -> Spectra:
        """The same stars between two wavelengths [Å], ends included."""
        columns = (self.wavelength >= low) & (self.wavelength <= high)
        if not columns.any():
            raise ValueError(f"no pixel between {low} and {high} Å; {self!r}")
        return replace(
            self, wavelength=self.wavelength[columns], flux=self.flux[:, columns], ivar=self.ivar[:, columns]
        )

    @property
    def good_pixels(self) -> np.ndarray:
        """(N,) how many pixels of each spectrum are not masked."""
        return np.count_nonzero(self.ivar, axis=1)

    def signal_to_noise(self) -> np.ndarray:
        """(N,) median over unmasked pixels of flux / uncertainty (the S/N of Fig. 1); NaN where there is none."""
        ratio = np.full(len(self), np.nan)
        for n, (flux, ivar) in enumerate(zip(self.flux, self.ivar, strict=True)):
            good = ivar > 0
            if good.any():
                ratio[n] = np.median(flux[good].astype(float) * np.sqrt(ivar[good].astype(float)))
        return ratio

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {"ids": self.ids, "wavelength": self.wavelength, "flux": self.flux, "ivar": self.ivar}
        write_arrays(path, "Spectra", arrays, normalized=self.normalized)

    @classmethod
    def read(cls, path: str | Path) -> Spectra:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "Spectra")
        return cls(**arrays, normalized=facts["normalized"])


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; a finite sum says so without an array of booleans."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum(dtype=float))) or bool(np.isfinite(array).all())


def rest_frame(wavelength: np.ndarray, redshift: float) -> np.ndarray:
    """Observed to rest-frame wavelength, λ / (1 + z); the authors' code used λ (1 - z), which differs by z²."""
    return wavelength / (1.0 + redshift)


def resample(
    wavelength: np.ndarray, flux: np.ndarray, ivar: np.ndarray, grid: np.ndarray, dtype: Any = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate one spectrum linearly onto `grid`, flux and inverse variance alike (section 2.1).

    A pixel outside the spectrum, or between two pixels of which one is masked, gets flux 0 and ivar 0. (The paper
    interpolates the inverse variance across masked pixels too, which lets bad flux through with a small weight.)

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
        share = (grid[p] - wavelength[left]) / (wavelength[right] - wavelength[left])
        usable = True
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
