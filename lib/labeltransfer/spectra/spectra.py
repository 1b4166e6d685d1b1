"""N spectra on one wavelength grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files import read_arrays, write_arrays
from ..labels import Rows, frozen, identifiers, several
from ..tables import plain, together, unit_of
from .arrays import LOOKED_AT, arrays_of_spectra

NORMAL = (0.2, 5.0)
"""Median flux of spectra that have been divided by their continuum or broad average."""

CONSTANT, NOT_POSITIVE = "constant flux", "flux is not positive in the mean"
"""Why there is no star in a spectrum."""

LEAST_GOOD = 0.3
"""Least share of the pixels that must be good: one of LAMOST's two arms is enough, a tenth of the range is not."""


@dataclass(frozen=True, repr=False, eq=False)
class Spectra:
    """N spectra on one grid of P pixels.

    Attributes
    ----------
    ids : (N,) text, unique
    wavelength : (P,) Å, vacuum, rest frame, increasing; a `Quantity` is converted
    flux : (N, P) float32 or float64, finite; where a masked array is masked, flux and ivar become 0
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
        wavelength, hidden = plain(self.wavelength, "Spectra: wavelength", "AA")
        object.__setattr__(self, "wavelength", frozen(wavelength, float))
        shape = (len(self.ids), *self.wavelength.shape)
        if self.wavelength.ndim != 1 or hidden is not None or not (np.diff(self.wavelength) > 0).all():
            raise ValueError("Spectra: wavelength must be (P,) and increase from pixel to pixel")
        flux, ivar, masked = _flux_and_ivar(self.flux, self.ivar)
        for name, array in (("flux", flux), ("ivar", ivar)):
            if array.shape != shape:
                raise ValueError(f"Spectra: {name} has shape {array.shape}, wanted {shape} = (N, P)")
            if masked is not None:
                array = np.where(masked, array.dtype.type(0), array)
            object.__setattr__(self, name, frozen(array))
            if not _all_finite(array):
                raise ValueError(f"Spectra: {name} holds NaN or infinity; give such pixels flux 0 and ivar 0")
        if self.ivar.size and self.ivar.min() < 0:
            raise ValueError("Spectra: ivar holds negative values; a masked pixel has ivar 0")

    @classmethod
    def from_arrays(
        cls,
        wavelength: Any,
        flux: Any,
        ivar: Any = None,
        *,
        error: Any = None,
        ids: Any = None,
        mask: Any = None,
        unit: str | None = None,
        normalized: bool = False,
    ) -> Spectra:
        """Spectra of any survey, from arrays of any kind.

        A pixel that is masked, NaN or infinite in any of the arrays, or has no positive `ivar` or `error`, is masked;
        a flux of −999, −9999 and the like, or beyond 1e30, too, unless its error and the other pixels speak for it.

        Parameters
        ----------
        wavelength : (P,) rising or falling, vacuum, rest frame; or (N, P), a grid for each star: all are then
            interpolated onto the first star's
        flux : (N, P), or (P,) for one star; masked arrays, `Quantity` and pandas objects are understood, a column that
            holds an array for each star, too
        ivar, error : as `flux`: inverse variance or standard error, one of the two; also astropy's `InverseVariance`,
            or `StdDevUncertainty`
        ids : (N,) names of the stars, by default the index of a pandas `flux`, or "0", "1", …
        mask : as `flux`: True, or any bit set, where a pixel is bad
        unit : of plain wavelengths, Å by default; wanted if all are below 2000. A `Quantity` knows its own
        normalized : whether `flux` has been divided by its broad average or continuum already

        Raises
        ------
        ValueError, TypeError
            If shapes do not fit, the numbers are so large or small that inverse variances cannot be held, or it seems
            that errors were given as `ivar`, or inverse variances as `error`: the S/N that follows is absurd, and the
            other way round it is not.

        Examples
        --------
        >>> Spectra.from_arrays([400.0, 400.1, 400.2], [1.0, 0.9, np.nan], error=0.01, unit="nm")
        Spectra(1 stars, 3 pixels, 4000-4002 Å, not normalized)
        """
        spectra = cls(*arrays_of_spectra(wavelength, flux, ivar, error, ids, mask, unit), normalized)
        some = spectra[:: max(len(spectra) // LOOKED_AT, 1)]
        levels = [np.median(flux[ivar > 0]) for flux, ivar in zip(some.flux, some.ivar, strict=True) if ivar.any()]
        if normalized and levels and not NORMAL[0] < np.median(levels) < NORMAL[1]:
            raise ValueError(
                f"spectra: said to be normalized, but their flux is {np.median(levels):.3g}, wanted about 1; leave "
                "`normalized` out, or divide"
            )
        return spectra

    @classmethod
    def join_pixels(cls, *parts: Spectra) -> Spectra:
        """The same stars, seen by several detectors, as one set: normalize each part first, then join.

        Raises
        ------
        ValueError
            If the stars, or whether they are normalized, differ, or a wavelength occurs in two parts.
        """
        if not parts:
            raise ValueError("join_pixels: found no spectra, wanted one set for each detector")
        first = parts[0]
        for part in parts[1:]:
            if not np.array_equal(part.ids, first.ids) or part.normalized != first.normalized:
                raise ValueError(
                    f"join_pixels: {first!r} and {part!r}: wanted the same stars in the same order, "
                    "and all normalized or none"
                )
        wavelength = np.concatenate([part.wavelength for part in parts])
        order = np.argsort(wavelength, kind="stable")
        if (np.diff(wavelength[order]) == 0).any():
            raise ValueError("join_pixels: a wavelength occurs in two parts; cut the overlap with window() first")
        flux, ivar = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("flux", "ivar"))
        return cls(first.ids, wavelength[order], flux[:, order], ivar[:, order], first.normalized)

    def __repr__(self) -> str:
        low, high = (self.wavelength[0], self.wavelength[-1]) if self.wavelength.size else (np.nan, np.nan)
        state = "normalized" if self.normalized else "not normalized"
        return f"Spectra({len(self)} stars, {self.wavelength.size} pixels, {low:.0f}-{high:.0f} Å, {state})"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Rows) -> Spectra:
        rows = several(rows, "spectra")
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

    def unusable(self) -> list[str]:
        """(N,) why each spectrum must not be labelled, see `why_unusable`; empty text if nothing speaks against it."""
        return [why_unusable(flux, ivar) for flux, ivar in zip(self.flux, self.ivar, strict=True)]

    def masked_without_star(self) -> Spectra:
        """The same spectra; one that is constant, or not positive in the mean, has every pixel masked."""
        wrong = np.isin(self.unusable(), (CONSTANT, NOT_POSITIVE))
        return replace(self, ivar=np.where(wrong[:, None], self.ivar.dtype.type(0), self.ivar)) if wrong.any() else self

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


def why_unusable(flux: np.ndarray, ivar: np.ndarray) -> str:
    """Why one spectrum (P,) must not be labelled: too few good pixels, or no lines in it; empty if it may."""
    good = ivar > 0
    n_good = np.count_nonzero(good)
    if not n_good:
        return "no good pixel"
    if n_good < LEAST_GOOD * flux.size:
        return f"only {n_good} of {flux.size} pixels are good"
    values = flux[good]
    low, high = values.min(), values.max()
    if high - low <= 1e-6 * max(abs(high), abs(low)):
        return CONSTANT
    return NOT_POSITIVE if values.mean(dtype=float) <= 0 else ""


def _flux_and_ivar(flux: Any, ivar: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Plain arrays of single or double precision, and where either is masked; a unit must be that of both."""
    flux, ivar = together(flux), together(ivar)
    unit = unit_of(flux)
    values, masked = plain(flux, "Spectra: flux", unit)
    weights, hidden = plain(ivar, "Spectra: ivar", None if unit is None else unit**-2)
    if unit is not None and unit_of(ivar) is None:
        raise TypeError(f"Spectra: flux is in {unit} and ivar has no unit; wanted both with units, or neither")
    if hidden is not None:
        masked = hidden if masked is None else masked | hidden
    arrays = [array if array.dtype in (np.float32, np.float64) else array.astype(float) for array in (values, weights)]
    return arrays[0], arrays[1], masked


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; a finite sum says so without an array of booleans."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum(dtype=float))) or bool(np.isfinite(array).all())
