"""The real APOGEE DR10 spectra, with labels, on which Ness et al. (2015) trained; see `fetching.fetch`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import tables
from ..continuum import normalize
from ..labels import Labels, check_names, label_values
from ..lamost.fits_blocks import hdus, read_content
from ..reference import ReferenceSet
from ..spectra import Spectra
from .sources import cache_folder

LABEL_COLUMNS = {"teff": "Teff_{corr}", "logg": "logg_{corr}", "fe_h": "[M/H]_{corr}"}
"""The calibrated labels of DR10's pipeline, which the authors trained on."""

STATED_ERRORS = {"teff": "e_Teff_corr", "fe_h": "e_[MH]+corr"}
"""Their uncertainties as the pipeline states them; for log g the table has none."""

SNR_LIMIT = 200.0
"""No pixel of an APOGEE spectrum is better than this: the largest S/N that the authors' code allows."""


COVERED = 0.5
"""Share of the stars in which a pixel must be good to be kept: there are gaps between the detectors."""


def read_reference(
    folder: str | Path | None = None,
    label_names: tuple[str, ...] = ("teff", "logg", "fe_h"),
    *,
    width: float = 50.0,
    convention: str = "paper",
) -> ReferenceSet:
    """Read spectra and labels that `labeltransfer fetch apogee-dr10` has fetched.

    Parameters
    ----------
    folder : that of the fetched source; by default its place in the cache
    label_names : of `LABEL_COLUMNS`
    width, convention : of the normalization, see `continuum.normalize`

    Returns
    -------
    ReferenceSet of the stars whose spectra can be read: normalized, vacuum, rest frame.

    Raises
    ------
    FileNotFoundError
        If it has not been fetched.
    ValueError
        If the table is damaged, or no spectrum can be read.
    """
    table, path = _label_table(folder)
    label_names = check_names(label_names)
    names = tables.text(table, tables.wanted_column(table, ("ID",), path))
    columns = {name: tables.wanted_column(table, (LABEL_COLUMNS[name],), path) for name in label_names}
    values = label_values(table, columns, path)
    spectra, rows = _read_all([path.parent / "Data" / name for name in names.tolist()])
    labels = Labels(spectra.ids, label_names, values[rows])
    return ReferenceSet.join(normalize(spectra, width, convention), labels)


def stated_errors(folder: str | Path | None = None) -> dict[str, float]:
    """Median over the stars of the pipeline's own uncertainties of its labels, see `STATED_ERRORS`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_reference`.
    """
    table, path = _label_table(folder)
    found = {name: tables.wanted_column(table, (column,), path) for name, column in STATED_ERRORS.items()}
    errors = {name: tables.numbers(table, column, path) for name, column in found.items()}
    return {name: float(np.nanmedian(values[values > 0])) for name, values in errors.items()}


def _label_table(folder: str | Path | None) -> tuple[Table, Path]:
    folder = Path(folder) if folder else cache_folder("apogee-dr10")
    path = folder / "spectra" / "reference_labels.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; fetch it with `labeltransfer fetch apogee-dr10`")
    return tables.read_table(path), path


def read_spectrum(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength [Å, vacuum, rest frame], flux and inverse variance, (P,) each, of an ``aspcapStar`` file.

    A pixel whose flux is not larger than its error is masked: such files mark bad pixels with enormous errors.

    Raises
    ------
    OSError, ValueError
        If the file cannot be opened, is damaged, or not such a file.
    """
    path = Path(path)
    try:
        parts = list(hdus(read_content(path)))
        if len(parts) < 3:
            raise ValueError(f"{len(parts)} HDUs, wanted flux in the second and its error in the third")
        header, flux, error = parts[1].header, parts[1].image().astype(float), parts[2].image().astype(float)
        start, step = header.get("CRVAL1"), header.get("CDELT1")
        if flux.ndim != 1 or flux.shape != error.shape or not all(isinstance(one, float) for one in (start, step)):
            raise ValueError(f"flux of shape {flux.shape}, error of {error.shape}, CRVAL1 {start}; wanted (P,), (P,)")
    except ValueError as failure:
        raise ValueError(f"{path}: {failure}") from failure
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0) & (flux > error)
    error = np.maximum(error, np.abs(flux) / SNR_LIMIT)
    ivar = np.where(good, 1.0 / np.where(good, error, 1.0) ** 2, 0.0)
    return 10.0 ** (start + step * np.arange(flux.size)), np.where(good, flux, 0.0), ivar


def _read_all(paths: list[Path]) -> tuple[Spectra, np.ndarray]:
    """All that can be read, and which of the paths they are."""
    found, rows, reason = [], [], "no file"
    for row, path in enumerate(paths):
        try:
            found.append(read_spectrum(path))
            rows.append(row)
        except (OSError, ValueError) as error:
            reason = str(error)
    if not found:
        raise ValueError(f"none of {len(paths)} APOGEE spectra could be read; {reason}")
    wavelength = found[0][0]
    alike = [k for k, one in enumerate(found) if one[0].shape == wavelength.shape]
    ids = np.array([paths[rows[k]].name.removesuffix(".fits") for k in alike])
    flux, ivar = (np.array([found[k][column] for k in alike], dtype=np.float32) for column in (1, 2))
    covered = (ivar > 0).mean(axis=0) > COVERED
    return Spectra(ids, wavelength[covered], flux[:, covered], ivar[:, covered]), np.array(rows)[alike]
