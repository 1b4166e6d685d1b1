"""APOGEE tables and their bit masks: the only room that knows them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import tables
from .labels import LABELS, PAPER_LABELS, Labels, check_names, label_values, read_labels, usual_columns
from .labels.columns import diagonal
from .labels.registry import distinct_names
from .lamost.catalogue import best_rows

_QUANTITIES = (
    "TEFF", "LOGG", "VMICRO", "M_H", "ALPHA_M", "C_M", "N_M", "STAR", "CHI2", "COLORTE", "ROTATION", "SN",
)  # fmt: skip

ASPCAP_BITS: dict[str, int] = {
    **{f"{name}_WARN": bit for bit, name in enumerate(_QUANTITIES)},
    **{f"{name}_BAD": bit + 16 for bit, name in enumerate(_QUANTITIES)},
    "NO_ASPCAP_RESULT": 31,
}
"""Bits of ASPCAPFLAG in DR12, by name."""

UNRELIABLE = ("STAR_BAD", "M_H_WARN", "M_H_BAD", "ALPHA_M_WARN", "ALPHA_M_BAD", "NO_ASPCAP_RESULT")
"""The bits that `flagged` asks for."""

NAMES = ("apogee_id", "obj", "sdss4_apogee_id", "sdss_id")
PLACES = {
    "ra": ("ra", "raj2000"),
    "dec": ("dec", "dej2000"),
    "glon": ("glon", "l"),
    "glat": ("glat", "b"),
    "snr": ("snr",),
}


def read_allstar(path: str | Path, label_names: Iterable[str] = PAPER_LABELS) -> Table:
    """Read APOGEE's allStar table: DR12 and the releases around it, or SDSS-V's, which has it in a later HDU.

    Metallicity is PARAM_M_H (M_H in other releases), as in the paper, and never FE_H beside it; A_K is AK_WISE.

    Parameters
    ----------
    label_names : labels to read besides those of the paper, for example ``mg_h``

    Returns
    -------
    Table with columns apogee_id, ra, dec, glon, glat [deg], teff [K], logg, fe_h, alpha_m [dex], a_k [mag], snr,
    aspcapflag (int64) and, where the file has them, errors (``teff_err`` …); NaN where missing. ``meta["notes"]`` says
    which column each label came from, and how many values are missing.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, or a column is missing.
    """
    source = tables.read_table(path, extension="apogee")
    rows = len(source)
    allstar = Table({"apogee_id": _names(source, path)})
    for name, choices in PLACES.items():
        found = tables.wanted_column(source, choices, path) if name in ("ra", "dec") else None
        found = found or tables.find_column(source, choices)
        unit = "" if name == "snr" else "deg"
        allstar[name] = tables.numbers(source, found, path, unit) if found else np.full(rows, np.nan)
        if unit:
            allstar[name].unit = unit
    notes = []
    for name in dict.fromkeys((*PAPER_LABELS, *distinct_names(label_names))):
        if name == "a_k" and not tables.find_column(source, usual_columns(name)):
            allstar[name], found_error = np.full(rows, np.nan), None
            notes.append(f"a_k: no column in {Path(path).name}; all missing")
        else:
            read = read_labels(source, (name,), path)
            allstar[name], found_error = read.values[:, 0], read.covariance
            notes += read.notes
        allstar[name].unit = LABELS[name].unit
        if found_error is not None:
            allstar[f"{name}_err"] = np.sqrt(found_error[:, 0, 0])
            allstar[f"{name}_err"].unit = LABELS[name].unit
    allstar["aspcapflag"] = flags(source, path)
    allstar.meta["notes"] = notes
    return allstar


def _names(source: Table, path: str | Path) -> np.ndarray:
    """(N,) names of the stars; of a star that has none of the first kind, as in SDSS-V, another, or its row's."""
    tables.wanted_column(source, NAMES, path)
    names = np.full(len(source), "", dtype=object)
    for column in (tables.find_column(source, (name,)) for name in NAMES):
        if column:
            found = tables.text(source, column)
            names = np.where((names == "") & ~np.isin(found, ("-1", "-999", "-9999", "None")), found, names)
    rows = np.array([f"row {row}" for row in range(1, len(source) + 1)], dtype=object)
    return np.where(names == "", rows, names).astype(str)


FLAGS = ("aspcapflag", "flag_bad")
"""Columns of which APOGEE's tables have one."""


def flags(source: Table, path: str | Path) -> np.ndarray:
    """(N,) bits of ASPCAPFLAG; SDSS-V's ``flag_bad`` counts as STAR_BAD.

    Raises
    ------
    ValueError
        If there is no such column, or it holds no integers.
    """
    bad = tables.find_column(source, ("flag_bad",))
    if bad and not tables.find_column(source, ("aspcapflag",)):
        return np.isin(np.char.lower(tables.text(source, bad)), ("true", "t", "1")) * (1 << ASPCAP_BITS["STAR_BAD"])
    flag = tables.wanted_column(source, ("aspcapflag",), path)
    bits = np.nan_to_num(tables.numbers(source, flag, path))
    wrong = (bits % 1 > 0) | (np.abs(bits) >= 1 << 63)
    if wrong.any():
        raise ValueError(f"{path}: column {flag}: found {bits[wrong][0]:g}, wanted integers (a bit mask)")
    return bits.astype(np.int64) & 0xFFFF_FFFF


def best_of_duplicates(
    table: Table, key: str = "apogee_id", label_names: Iterable[str] = ("teff", "logg", "fe_h")
) -> tuple[Table, int]:
    """Keep one row per star, the best; the rows kept stay in their order.

    Parameters
    ----------
    label_names : the row that has most of these labels is the best, of several such rows that of highest S/N

    Returns
    -------
    table, n_dropped
    """
    keep = best_rows(table[key], table["snr"], *(table[name] for name in label_names if name in table.colnames))
    return table[keep], len(table) - len(keep)


def labels_of(table: Table, names: Iterable[str], ids: np.ndarray | None = None) -> Labels:
    """Labels of a table as `read_allstar` gives it; independent errors, NaN of those without.

    Parameters
    ----------
    names : labels; each must be a column of `table`
    ids : (N,) names of the stars, instead of their APOGEE ids

    Raises
    ------
    ValueError
        If a label is no column, or a star occurs twice (see `best_of_duplicates`).
    """
    names = check_names(names)
    columns = {name: tables.wanted_column(table, (name,), "allStar table") for name in names}
    values = label_values(table, columns, "allStar table")
    covariance = None
    errors = [
        table[f"{name}_err"] if f"{name}_err" in table.colnames else np.full(len(table), np.nan) for name in names
    ]
    if np.isfinite(errors).any():
        covariance = diagonal(np.array(errors, dtype=float).T)
    return Labels(np.asarray(table["apogee_id"]) if ids is None else ids, names, values, covariance)


def flagged(table: Table) -> np.ndarray:
    """(N,) True where APOGEE's own pipeline calls the labels unreliable.

    The paper says "ASPCAPFLAG set" (section 3). Any bit at all would excise 935 of the real overlap, far more than
    the paper's 677 together with all other cuts. The authors' selection script asks for a bad star, a flag on
    metallicity or on alpha, or a negative log g; that gives 572 to 575, and we read the paper so.
    """
    bits = np.asarray(table["aspcapflag"], dtype=np.int64)
    unreliable = sum(1 << ASPCAP_BITS[name] for name in UNRELIABLE)
    return ((bits & unreliable) != 0) | (np.asarray(table["logg"], dtype=float) < 0)
