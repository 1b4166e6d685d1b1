"""One LAMOST low-resolution spectrum: what its file holds, and its way to the common grid.

Two formats of spectra exist, gzipped or not. **DR1–DR7**: the primary HDU is an image of five rows, flux, inverse
variance, wavelength [Å, vacuum], AND mask, OR mask. (In files of the pilot survey the third row is the spectrum minus
its continuum instead; the wavelengths are then in COEFF0 and COEFF1 of the header.) **DR8 and later**: HDU 1 is
a table of one row with columns FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK, NORMALIZATION. Grids differ by a few pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..labels import frozen
from ..options import MASKS, check_option
from ..spectra import LEAST_GOOD, resample, rest_frame, why_unusable
from ..tables import is_missing
from ..tables.columns import is_number
from .fits_blocks import Hdu, Header, hdus, read_content

COMMON_GRID = frozen(10.0 ** (3.5682 + 1e-4 * np.arange(235, 3861)))
"""(3626,) Å, vacuum, rest frame: LAMOST's own steps from 3905 to 9000 Å (section 4.1)."""

MAX_REDSHIFT = 0.01
"""3000 km/s: no star of the Galaxy is faster; a larger |z| belongs to a galaxy or is a failed measurement."""

LEAST_WAVELENGTH = 1000.0
"""Å; the third row of an image holds no wavelengths if one is below: the pilot's files have something else there."""

SUM, ARMS = "COADD", ("COADD_B", "COADD_R")
"""Tables of all exposures together; a medium-resolution file has one for each arm."""

FINEST_STEP = 5e-5
"""Steps of low-resolution spectra are 1e-4 in log10 λ; a median step below this belongs to another spectrograph."""

WANTED = "wanted a low-resolution one (spec-*.fits, 3700-9100 Å in steps of 1e-4 in log10 λ)"

ROWS = ("flux", "ivar", "wavelength", "and_mask", "or_mask")
MOST_ROWS = 20
"""An image of more rows than this, and than pixels, lies on its side."""

COLUMNS = {"FLUX": "flux", "IVAR": "ivar", "WAVELENGTH": "wavelength", "ANDMASK": "and_mask", "ORMASK": "or_mask"}
BANDS = "ugriz"


@dataclass(frozen=True, repr=False, eq=False)
class RawSpectrum:
    """One spectrum as LAMOST delivers it.

    Attributes
    ----------
    wavelength : (Q,) Å, observed (heliocentric) frame, vacuum, increasing
    flux, ivar : (Q,) as in the file: may hold NaN or negative inverse variances
    and_mask, or_mask : (Q,) bits set in all, or in any, of the exposures
    header : obsid (int, 0 where unknown), ra, dec [deg], z, snru, snrg, snrr, snri, snrz (NaN where unknown),
        class, subclass (None where unknown)
    """

    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    and_mask: np.ndarray
    or_mask: np.ndarray
    header: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"RawSpectrum({self.wavelength.size} pixels, z = {self.header.get('z')})"


def read_spectrum(path: str | Path) -> RawSpectrum:
    """Read one LAMOST low-resolution spectrum of either format, gzipped or not.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged or not such a file; the message names the file, what was found and what was wanted.
    """
    path = Path(path)
    content = read_content(path)
    try:
        parts = hdus(content)
        primary = next(parts)
        with np.errstate(all="ignore"):  # what absurd numbers lead to is masked, or refused by check_arrays
            arrays = _from_image(primary) if primary.header.integer("NAXIS") else _from_table(parts)
            own = {name: frozen(array.astype(float)) for name, array in arrays.items()}
        check_arrays(own)
        refuse_other_wavelengths(own["wavelength"], primary.header)
        return RawSpectrum(**own, header=_facts(primary.header))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_header(path: str | Path) -> dict[str, Any]:
    """The facts of `RawSpectrum.header` alone.

    Raises
    ------
    OSError, ValueError
        As `read_spectrum`.
    """
    path = Path(path)
    content = read_content(path)
    try:
        return _facts(next(hdus(content)).header)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _from_image(primary: Hdu) -> dict[str, np.ndarray]:
    """DR1–DR7."""
    image = primary.image()
    if image.ndim != 2 or not len(ROWS) <= image.shape[0] <= max(image.shape[1], MOST_ROWS):
        raise ValueError(
            f"primary image has shape {image.shape}, wanted (5, Q): flux, inverse variance, wavelength, AND, OR mask"
        )
    arrays = dict(zip(ROWS, image, strict=False))
    third = arrays["wavelength"].astype(float)
    if image.shape[1] > 1 and not third.min() > LEAST_WAVELENGTH:
        start, step = primary.header.get("COEFF0"), primary.header.get("COEFF1")
        if isinstance(start, float) and isinstance(step, float):
            arrays["wavelength"] = 10.0 ** (start + step * np.arange(image.shape[1]))
        elif "subcontinuum" in str(primary.header.get("EXTEN0", "")).lower():
            raise ValueError("third row is no wavelength and header cards COEFF0, COEFF1 are missing")
    return arrays


def _from_table(parts: Iterable[Hdu]) -> dict[str, np.ndarray]:
    """DR8 and later."""
    hdu = _table_of_sum(parts)
    if hdu.header.get("ZIMAGE") is True:
        raise ValueError("an image packed by fpack, which is not read; unpack it with funpack")
    found = hdu.columns(COLUMNS)
    if _name(hdu) in ARMS:
        raise ValueError(f"medium-resolution file (its table is {_name(hdu)}); {WANTED}")
    if "LOGLAM" in found:
        refuse_other_wavelengths(10.0 ** found["LOGLAM"].ravel(), hdu.header)
    columns = {name: column for name, column in found.items() if name in COLUMNS}
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(
            f"table HDU has no column of numbers {', '.join(missing)}; wanted {', '.join(COLUMNS)}; it has "
            f"{', '.join(list(found)[:8]) or 'none'}"
        )
    return {COLUMNS[name]: column.ravel() for name, column in columns.items()}


def _table_of_sum(parts: Iterable[Hdu]) -> Hdu:
    """The table of all exposures together, which is called so; the first table if none is."""
    first = None
    for hdu in parts:
        if hdu.is_table:
            if _name(hdu) in (SUM, *ARMS):
                return hdu
            first = first or hdu
    if first is None:
        raise ValueError("empty primary HDU and no table HDU; wanted a table with columns " + ", ".join(COLUMNS))
    return first


def _name(hdu: Hdu) -> str:
    return str(hdu.header.get("EXTNAME", "")).upper()


def check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays of different lengths, or wavelengths that do not increase."""
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1 or sizes["flux"] < 2:
        raise ValueError(
            "found " + ", ".join(f"{size} {name}" for name, size in sizes.items()) + "; wanted the same number (>= 2)"
        )
    wavelength = arrays["wavelength"]
    rising = wavelength[1:] > wavelength[:-1]
    if not (rising.all() and wavelength[0] > 0 and np.isfinite(wavelength[-1])):
        wrong = int(np.argmin(rising)) + 1
        raise ValueError(
            f"wavelength: pixel {wrong} has {wavelength[wrong]:g} after {wavelength[wrong - 1]:g} Å; "
            "wanted positive numbers that increase from pixel to pixel"
        )


def refuse_other_wavelengths(wavelength: np.ndarray, header: Header) -> None:
    """Refuse other units than Å, steps too fine for low resolution, and wavelengths that a header says are in air."""
    low, high = wavelength[0], wavelength[-1]
    if high < LEAST_WAVELENGTH:
        raise ValueError(f"wavelengths are {low:g} to {high:g}; wanted Å, not nm, µm or a logarithm")
    step = float(np.median(np.diff(np.log10(wavelength))))
    if step < FINEST_STEP:
        raise ValueError(f"medium-resolution file ({low:.0f}-{high:.0f} Å in steps of {step:.1g} in log10 λ); {WANTED}")
    for key, in_air in (("VACUUM", ("false", "f", "0", "no")), ("AIRORVAC", ("air",)), ("CTYPE1", ("awav",))):
        found = header.get(key)
        if found is not None and str(found).lower() in in_air:
            raise ValueError(f"wavelengths are in air (header card {key} = {found}); wanted vacuum, as LAMOST gives")


def _facts(header: Header) -> dict[str, Any]:
    obsid = _number(header.get("OBSID"))
    facts: dict[str, Any] = {"obsid": int(obsid) if 0 < obsid < 1 << 53 and obsid.is_integer() else 0}
    for name in ("ra", "dec", "z"):
        facts[name] = _number(header.get(name.upper()))
    for band in BANDS:
        facts[f"snr{band}"] = _number(header.get(f"SNR{band.upper()}", header.get(f"SN_{band.upper()}")))
    for name in ("class", "subclass"):
        facts[name] = header.get(name.upper())
    return facts


def _number(value: Any) -> float:
    """A card's number, also one that is written as text; NaN if it is none, or stands for none."""
    if isinstance(value, str) and is_number(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or is_missing(np.array(float(value))):
        return float("nan")
    return float(value)


def to_rest_frame(
    raw: RawSpectrum, grid: np.ndarray = COMMON_GRID, mask: str = "none", redshift: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Shift one spectrum to rest and interpolate it onto `grid` (section 2.1).

    Parameters
    ----------
    grid : (P,) Å, rest frame
    mask : drop the pixels that are set in LAMOST's ``"and"`` or ``"or"`` mask too, or ``"none"`` of them
    redshift : instead of the header's

    Returns
    -------
    flux, ivar : (P,) float32; 0 where masked

    Raises
    ------
    ValueError
        If the redshift is unknown or absurd, or too few good pixels are left (`spectra.why_unusable`).
    """
    z = raw.header["z"] if redshift is None or not np.isfinite(redshift) else float(redshift)
    if not abs(z) <= MAX_REDSHIFT:
        found = "unknown" if np.isnan(z) else f"{z:g}"
        raise ValueError(
            f"redshift Z: found {found}, wanted a star's, at most {MAX_REDSHIFT}; if the header has none, give it in "
            "a column z or rv [km/s] of LAMOST's catalogue (`labeltransfer ingest`) or of the labels' table (to train)"
        )
    ivar = np.where(is_missing(raw.flux), 0.0, raw.ivar)
    check_option("mask", mask, MASKS)
    if mask != "none":
        ivar = np.where((raw.and_mask if mask == "and" else raw.or_mask) == 0, ivar, 0.0)
    flux, ivar = resample(rest_frame(raw.wavelength, z), raw.flux, ivar, grid)
    reason = why_unusable(flux, ivar)
    if reason:
        low, high = raw.wavelength[0], raw.wavelength[-1]
        raise ValueError(
            f"{reason}: spectrum of {low:.0f}-{high:.0f} Å with {np.count_nonzero(raw.ivar > 0)} unmasked pixels; "
            f"wanted {LEAST_GOOD:.0%} of the pixels between {grid[0]:.0f} and {grid[-1]:.0f} Å"
        )
    return flux, ivar
