"""LAMOST low-resolution spectra and catalogues, many files at once; nothing else knows their formats.

`lamost_spectrum` reads a single file, `lamost_catalogue` the tables; their functions are offered here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from ..options import MASKS, check_option
from ..parallel import over_files
from ..spectra import Spectra, why_shifted
from .catalogue import identifier, printable, read_catalogue, star_names
from .spectrum import (
    COMMON_GRID,
    MAX_REDSHIFT,
    RawSpectrum,
    read_header,
    read_spectrum,
    to_rest_frame,
)

__all__ = [
    "COMMON_GRID",
    "MAX_REDSHIFT",
    "RawSpectrum",
    "Reading",
    "Unreadable",
    "identifier",
    "printable",
    "read_catalogue",
    "read_header",
    "read_places",
    "read_spectra",
    "read_spectrum",
    "repeats",
    "star_names",
    "to_rest_frame",
]


BLOCK = 500
"""Spectra whose lines are looked at together."""


@dataclass(frozen=True)
class Unreadable:
    """A file that gave no spectrum, and why."""

    path: str
    reason: str


def repeats(path: str | Path, first: str | Path) -> Unreadable:
    """Of several files of one name the first is used."""
    return Unreadable(printable(path), f"same file name as {printable(first)}; the first is used")


@dataclass(frozen=True, repr=False)
class Reading:
    """What came of reading many files: spectra, one row of `stars` for each, and the files that gave none.

    Attributes
    ----------
    spectra : rest frame, one grid, not normalized
    stars : columns id, obsid, ra, dec [deg], z (that was used), snr_g, snr (median of flux / uncertainty), n_good, file
    unreadable : the other files; `len(spectra) + len(unreadable)` is the number of paths
    without_redshift : ids of the stars, in either, whose headers give no redshift
    """

    spectra: Spectra
    stars: Table
    unreadable: list[Unreadable]
    without_redshift: Collection[str] = ()

    def __repr__(self) -> str:
        return f"Reading({len(self.spectra)} spectra, {len(self.unreadable)} unreadable files)"


def read_spectra(
    paths: Iterable[str | Path] | str | Path,
    *,
    grid: np.ndarray = COMMON_GRID,
    mask: str = "none",
    redshifts: Mapping[str, float] | None = None,
    progress: bool = True,
) -> Reading:
    """Read many LAMOST files, in the order of `paths`; a file that fails is named in `unreadable` and left out.

    Parameters
    ----------
    paths : files, or a folder: the FITS files in it and below, by name
    redshifts : from a star's id (`identifier`) to its redshift, used where the header gives none
    progress : show a bar while reading, if there is a terminal

    Raises
    ------
    ValueError
        Only if `mask` is unknown.
    """
    check_option("mask", mask, MASKS)
    if isinstance(paths, str | Path):
        paths = sorted(Path(paths).rglob("*.fits*")) if Path(paths).is_dir() else [paths]
    paths = [Path(path) for path in paths]
    ids = [identifier(path) for path in paths]
    first: dict[str, int] = {}
    for n, name in enumerate(ids):
        first.setdefault(name, n)
    known, without = redshifts or {}, set[str]()
    flux = np.zeros((len(paths), grid.size), np.float32)
    ivar = np.zeros_like(flux)

    def read(n: int) -> dict[str, Any] | Unreadable:
        if first[ids[n]] != n:
            return repeats(paths[n], paths[first[ids[n]]])
        try:
            raw = read_spectrum(paths[n])
            redshift = raw.header["z"]
            if not np.isfinite(redshift):
                redshift = known.get(ids[n])
                without.add(ids[n])
            flux[n], ivar[n] = to_rest_frame(raw, grid, mask, redshift)
        except (OSError, ValueError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            return Unreadable(printable(paths[n]), printable(reason.removeprefix(f"{paths[n]}: ")))
        return {**raw.header, "z": raw.header["z"] if redshift is None else float(redshift)}

    shown = {"desc": "reading spectra", "unit": "file", "disable": None if progress else True}
    results = list(tqdm(over_files(read, range(len(paths))), total=len(paths), **shown))
    _refuse_shifted(flux, ivar, grid, results, paths)
    good = np.array([isinstance(result, dict) for result in results], dtype=bool)
    if not good.all():
        flux, ivar = flux[good], ivar[good]
    rows = [n for n in range(len(paths)) if good[n]]
    spectra = Spectra(np.array([ids[n] for n in rows], dtype=str), grid, flux, ivar)
    facts = [result for result in results if isinstance(result, dict)]
    stars = _stars(spectra, facts, [printable(paths[n]) for n in rows])
    return Reading(spectra, stars, [result for result in results if isinstance(result, Unreadable)], without)


def _refuse_shifted(
    flux: np.ndarray,
    ivar: np.ndarray,
    grid: np.ndarray,
    results: list[dict[str, Any] | Unreadable],
    paths: Sequence[str | Path],
) -> None:
    """Put a reason in the place of every spectrum whose lines are not where vacuum and its redshift put them."""
    for start in range(0, len(paths), BLOCK):
        rows = [n for n in range(start, min(start + BLOCK, len(paths))) if isinstance(results[n], dict)]
        spectra = Spectra(np.array(rows), grid, flux[rows], ivar[rows])
        for n, reason in zip(rows, why_shifted(spectra), strict=True):
            if reason:
                results[n] = Unreadable(printable(paths[n]), reason)


def _stars(spectra: Spectra, facts: Sequence[Mapping[str, Any]], files: Sequence[str]) -> Table:
    stars = Table({"id": spectra.ids})
    stars["obsid"] = np.array([fact["obsid"] for fact in facts], dtype=np.int64)
    for name, key in (("ra", "ra"), ("dec", "dec"), ("z", "z"), ("snr_g", "snrg")):
        stars[name] = np.array([fact[key] for fact in facts], dtype=float)
    stars["ra"].unit = stars["dec"].unit = "deg"
    stars["snr"] = spectra.signal_to_noise()
    stars["n_good"] = spectra.good_pixels
    stars["file"] = np.array(files, dtype=str)
    return stars


def read_places(paths: Iterable[str | Path], *, progress: bool = True) -> Table:
    """Which stars many files are of, and where they stand, from their headers alone.

    Returns
    -------
    Table with columns id, obsid, ra, dec [deg], snr_g, in the order of `paths`; 0 and NaN where a header does not say,
    or the file cannot be read.
    """
    files = [Path(path) for path in paths]

    def read(path: Path) -> tuple[int, float, float, float]:
        try:
            header = read_header(path)
        except (OSError, ValueError):
            return 0, np.nan, np.nan, np.nan
        return header["obsid"], header["ra"], header["dec"], header["snrg"]

    shown = {"desc": "reading headers", "unit": "file", "disable": None if progress else True}
    facts = list(tqdm(over_files(read, files), total=len(files), **shown))
    places = Table({"id": np.array([identifier(path) for path in files], dtype=str)})
    places["obsid"] = np.array([fact[0] for fact in facts], dtype=np.int64)
    for column, name in enumerate(("ra", "dec", "snr_g"), start=1):
        places[name] = np.array([fact[column] for fact in facts], dtype=float)
    return places
