"""LAMOST catalogues: one row per spectrum, with the labels of LAMOST's own pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import tables
from ..spectra import SPEED_OF_LIGHT

CATALOGUE_COLUMNS: dict[str, tuple[str, ...]] = {
    "ra": ("ra", "inputobjra", "raj2000", "ra_obs"),
    "dec": ("dec", "inputobjdec", "dej2000", "dec_obs"),
    "snrg": ("snrg", "sn_g", "snr_g"),
    "z": ("z", "redshift"),
    "teff": ("teff", "teff_lasp"),
    "logg": ("logg", "logg_lasp"),
    "fe_h": ("fe_h", "feh", "feh_lasp", "[fe/h]"),
    "teff_err": ("teff_err", "e_teff"),
    "logg_err": ("logg_err", "e_logg"),
    "fe_h_err": ("fe_h_err", "feh_err", "e_feh", "e_[fe/h]"),
}
CATALOGUE_UNITS = {"ra": "deg", "dec": "deg", "teff": "K", "teff_err": "K"}
KEYS = ("id", "filename", "file", "fits_name", "lamost_id")


def identifier(path: str | Path) -> str:
    """Name of a star: the file's without ``.fits`` or ``.fits.gz``."""
    name = Path(path).name
    for suffix in (".gz", ".fits", ".fit"):
        name = name.removesuffix(suffix)
    return name


def read_catalogue(path: str | Path) -> Table:
    """Read a LAMOST catalogue (text separated by ``|`` or comma, or FITS).

    Returns
    -------
    Table with columns id (file name without suffix; made from mjd, planid, spid and fiberid if the catalogue does not
    give file names), obsid (0 where unknown), ra, dec [deg], snrg, z, teff [K], logg, fe_h [dex] and their errors
    (``teff_err`` …), NaN where unknown.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, no table in it, or no column that names the stars or tells their place.
    """
    source = tables.read_table(path)
    catalogue = Table({"id": star_names(source, path)})
    obsid = tables.find_column(source, ("obsid",))
    catalogue["obsid"] = (
        np.nan_to_num(tables.numbers(source, obsid, path)).astype(np.int64) if obsid else np.zeros(len(source), int)
    )
    for name, choices in CATALOGUE_COLUMNS.items():
        if name in ("ra", "dec"):
            found: str | None = tables.wanted_column(source, choices, path)
        else:
            found = tables.find_column(source, choices)
        if found is None:
            catalogue[name] = np.full(len(source), np.nan)
        elif name in ("teff", "logg", "fe_h"):
            catalogue[name] = tables.label_values(source, {name: found}, path)[:, 0]
        else:
            catalogue[name] = tables.numbers(source, found, path, CATALOGUE_UNITS.get(name, ""))
        if name in CATALOGUE_UNITS:
            catalogue[name].unit = CATALOGUE_UNITS[name]
    velocity = tables.find_column(source, ("rv", "rv_lasp"))
    if tables.find_column(source, CATALOGUE_COLUMNS["z"]) is None and velocity:
        catalogue["z"] = tables.numbers(source, velocity, path, "km / s") / SPEED_OF_LIGHT
    return catalogue


def names_its_spectra(source: Table) -> bool:
    """Whether a table says which files its stars have, by name or by LAMOST's numbers."""
    numbers = all(tables.find_column(source, (name,)) for name in ("planid", "spid", "fiberid"))
    return numbers or tables.find_column(source, KEYS) is not None


def star_names(source: Table, where: object) -> np.ndarray:
    """(N,) names of the stars of a LAMOST table, as `identifier` gives them for their files."""
    key = tables.find_column(source, KEYS)
    if key is not None:
        return np.array([identifier(name) for name in tables.text(source, key)], dtype=str)
    day = tables.find_column(source, ("lmjd", "mjd"))
    parts = [tables.find_column(source, (name,)) for name in ("planid", "spid", "fiberid")]
    if day is None or None in parts:
        tables.wanted_column(source, KEYS, f"{where} (and no lmjd, planid, spid, fiberid to make it from)")
    columns = [tables.text(source, name) for name in (day, *parts) if name]
    return np.array(
        [
            f"spec-{mjd}-{plan}_sp{int(spid):02d}-{int(fiber):03d}"
            for mjd, plan, spid, fiber in zip(*columns, strict=True)
        ],
        dtype=str,
    )
