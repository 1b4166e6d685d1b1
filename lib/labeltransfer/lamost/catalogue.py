"""LAMOST catalogues: one row per spectrum, with the labels of LAMOST's own pipeline."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import tables
from ..labels import LABELS, usual_columns
from ..labels.columns import error_column, read_label
from ..spectra import SPEED_OF_LIGHT

CATALOGUE_COLUMNS: dict[str, tuple[str, ...]] = {
    "ra": ("ra", "inputobjra", "raj2000", "ra_obs"),
    "dec": ("dec", "inputobjdec", "dej2000", "dec_obs"),
    "snrg": ("snrg", "sn_g", "snr_g"),
    "z": ("z", "redshift"),
    "teff": usual_columns("teff"),
    "logg": usual_columns("logg"),
    "fe_h": ("feh", "fe_h", "feh_lasp", "[fe/h]"),
}
CATALOGUE_UNITS = {"ra": "deg", "dec": "deg"}
VELOCITIES = ("rv", "rv_lasp", "hrv", "rv_b0")
KEYS = ("filename", "fits_name", "lamost_id", "file", "path", "spectrum", "id")
PACKED = (".gz", ".bz2", ".xz", ".fz", ".z", ".zst", ".zip")
"""Of packed files; the last four are found, and named as what cannot be read."""

NUMBERS = ("planid", "spid", "fiberid")
DAYS = {"lmjd": (0,), "mjd": (1, 0)}
"""How many days later than columns of these names say files are called: LMJD is the day after MJD, or is called MJD."""


def printable(path: str | Path) -> str:
    """A path as text that any file or screen takes: what is no printable character in UTF-8 is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(path))


def identifier(path: str | Path) -> str:
    """Name of a star: the file's without ``.fits``, ``.fits.gz`` and the like, printable."""
    name = Path(path).name
    for suffixes in (PACKED, (".fits", ".fit")):
        name = next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name)
    return printable(name)


def read_catalogue(path: str | Path, known: Collection[str] = ()) -> Table:
    """Read a LAMOST catalogue (text separated by ``|`` or comma, or FITS).

    Parameters
    ----------
    known : names of files, see `star_names`

    Returns
    -------
    Table with columns id (file name without suffix; made from lmjd, planid, spid and fiberid if the catalogue does not
    give file names), obsid (0 where unknown), ra, dec [deg], snrg, z, teff [K], logg, fe_h [dex] and their errors
    (``teff_err`` …), NaN where unknown; an unknown redshift is filled from the velocity. ``meta["notes"]`` says which
    column each label came from.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, no table in it, or no column that names the stars or tells their place.
    """
    source = tables.read_table(path)
    for name in ("ra", "dec"):
        tables.wanted_column(source, CATALOGUE_COLUMNS[name], path)
    return facts_of_stars(source, star_names(source, path, known), path)


def read_redshifts(path: str | Path, known: Collection[str] = ()) -> dict[str, float]:
    """From a star's id to its redshift in a LAMOST catalogue, see `read_catalogue`; NaN where unknown.

    Of several rows of a star that of highest S/N is taken, among those that have a redshift.
    """
    table = read_catalogue(path, known)
    table = table[best_rows(table["id"], table["snrg"], table["z"])]
    return dict(zip(table["id"].tolist(), table["z"].tolist(), strict=True))


def best_rows(ids: np.ndarray, snr: np.ndarray, *values: np.ndarray) -> np.ndarray:
    """Rows of a table to keep so that every star has one, in order: of a star's rows those with most of the values, of
    these that of highest S/N, or the first.
    """
    has = np.isfinite(np.array([np.ones(len(ids)), *values], dtype=float)).sum(axis=0)
    worth = np.nan_to_num(np.asarray(snr, dtype=float), nan=-np.inf)
    order = np.lexsort((np.arange(len(ids)), -worth, -has))
    return np.sort(order[np.unique(np.asarray(ids)[order], return_index=True)[1]])


def facts_of_stars(source: Table, ids: np.ndarray, where: object) -> Table:
    """What `read_catalogue` returns, of the columns that a table has, for stars of these names."""
    catalogue = unknown_stars(ids)
    obsid = tables.find_column(source, ("obsid",))
    if obsid:
        catalogue["obsid"] = np.maximum(tables.whole_numbers(source, obsid, where), 0)
    notes = []
    for name, choices in CATALOGUE_COLUMNS.items():
        found = tables.find_column(source, choices)
        if found and name in LABELS:
            catalogue[name], note = read_label(source, found, LABELS[name], where)
            notes.append(f"LAMOST's {note}")
            error = error_column(source.colnames, found, name)
            if error:
                catalogue[f"{name}_err"] = tables.numbers(source, error, where, LABELS[name].unit, found)
        elif found:
            catalogue[name] = tables.numbers(source, found, where, CATALOGUE_UNITS.get(name, ""))
    velocity = tables.find_column(source, VELOCITIES)
    if velocity:
        z = tables.numbers(source, velocity, where, "km / s") / SPEED_OF_LIGHT
        catalogue["z"] = np.where(np.isfinite(catalogue["z"]), catalogue["z"], z)
    for name, unit in {**CATALOGUE_UNITS, "teff": "K", "teff_err": "K"}.items():
        catalogue[name].unit = unit
    catalogue.meta["notes"] = notes
    return catalogue


def unknown_stars(ids: np.ndarray) -> Table:
    """Rows for stars of which nothing is known but that there is a spectrum."""
    stars = Table({"id": ids, "obsid": np.zeros(len(ids), dtype=np.int64)})
    for name in (*CATALOGUE_COLUMNS, *(f"{name}_err" for name in CATALOGUE_COLUMNS if name in LABELS)):
        stars[name] = np.full(len(ids), np.nan)
    return stars


def names_its_spectra(source: Table | Sequence[str]) -> bool:
    """Whether a table says which files its stars have, by name or by LAMOST's numbers."""
    return has_lamost_numbers(source) or tables.find_column(source, KEYS) is not None


def has_lamost_numbers(source: Table | Sequence[str]) -> bool:
    """Whether a table has the numbers of which LAMOST's file names are made."""
    return all(tables.find_column(source, (name,)) for name in NUMBERS)


def star_names(source: Table, where: object, known: Collection[str] = ()) -> np.ndarray:
    """(N,) names of the stars of a LAMOST table, as `identifier` gives them for their files.

    Parameters
    ----------
    known : names of files; of several columns that may hold names, or several days (`DAYS`), the one that knows most of
        them is taken
    """
    names = [_names_in(source, key) for key in KEYS[:3] if tables.find_column(source, (key,))]
    if has_lamost_numbers(source):
        day = next((day for day in DAYS if tables.find_column(source, (day,))), "")
        later = DAYS.get(day, ())
        names += [_names_of_numbers(source, where, day, days) for days in (later if known else later[-1:])]
    names += [_names_in(source, key) for key in KEYS[3:] if tables.find_column(source, (key,))]
    if not names:
        tables.wanted_column(source, KEYS, f"{where} (and no lmjd, planid, spid, fiberid to make it from)")
    several = known and len(names) > 1
    return max(names, key=lambda one: np.isin(one, list(known)).sum()) if several else names[0]


def _names_in(source: Table, key: str) -> np.ndarray:
    column = tables.wanted_column(source, (key,), "table")
    return np.array([identifier(_file_name(name)) for name in tables.text(source, column)], dtype=str)


def _file_name(written: str) -> str:
    """The last part of a path of any system, also where quotes, or Python's way to show bytes (``b'…'``), are left."""
    return re.split(r"[\\/]", re.sub(r"^b?(['\"])(.*)\1$", r"\2", written))[-1]


def _names_of_numbers(source: Table, where: object, column: str, later: int) -> np.ndarray:
    day, spectrograph, fibre = (
        tables.whole_numbers(source, tables.wanted_column(source, (name,), where), where)
        for name in (column, "spid", "fiberid")
    )
    plan = tables.text(source, tables.wanted_column(source, ("planid",), where))
    known = np.minimum(np.minimum(day, spectrograph), fibre) >= 0
    return np.array(
        [
            f"spec-{day[n] + later}-{plan[n]}_sp{spectrograph[n]:02d}-{fibre[n]:03d}" if known[n] else ""
            for n in range(len(source))
        ],
        dtype=str,
    )
