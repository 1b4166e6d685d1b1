"""APOGEE tables and their bit masks: the only room that knows them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import tables
from .labels import LABELS, Labels

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

LABEL_COLUMNS: dict[str, tuple[str, ...]] = {
    "teff": ("teff",),
    "logg": ("logg",),
    "fe_h": ("param_m_h", "fe_h", "m_h"),
    "alpha_m": ("alpha_m", "param_alpha_m"),
    "a_k": ("a_k", "ak_wise", "ak_targ"),
}
"""Where a label stands in allStar files; `fe_h` is PARAM_M_H, as in the paper, unless the table is one of ours."""

PLACE_COLUMNS = {"ra": "deg", "dec": "deg", "glon": "deg", "glat": "deg", "snr": ""}


def read_allstar(path: str | Path) -> Table:
    """Read APOGEE's allStar table (DR12 names; later releases where they differ).

    Returns
    -------
    Table with columns apogee_id, ra, dec, glon, glat [deg], teff [K], logg, fe_h, alpha_m [dex], a_k [mag], snr,
    aspcapflag (int64) and, where the file has them, errors (``teff_err`` …); −9999 becomes NaN.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is damaged, or a column is missing.
    """
    source = tables.read_table(path)
    rows = len(source)
    allstar = Table({"apogee_id": tables.text(source, tables.wanted_column(source, ("apogee_id",), path))})
    for name, unit in PLACE_COLUMNS.items():
        found = tables.wanted_column(source, (name,), path) if name in ("ra", "dec") else None
        found = found or tables.find_column(source, (name,))
        allstar[name] = tables.numbers(source, found, path, unit) if found else np.full(rows, np.nan)
        if unit:
            allstar[name].unit = unit
    for name, choices in LABEL_COLUMNS.items():
        found = tables.find_column(source, choices) if name == "a_k" else tables.wanted_column(source, choices, path)
        allstar[name] = tables.label_values(source, {name: found}, path)[:, 0] if found else np.full(rows, np.nan)
        allstar[name].unit = LABELS[name].unit
        error = tables.find_column(source, tuple(f"{choice}_err" for choice in choices))
        if error:
            allstar[f"{name}_err"] = tables.numbers(source, error, path, LABELS[name].unit)
            allstar[f"{name}_err"].unit = LABELS[name].unit
    flag = tables.wanted_column(source, ("aspcapflag",), path)
    bits = np.ma.filled(source[flag], 0)
    if bits.dtype.kind not in "iu":
        raise ValueError(f"{path}: column {flag} has type {bits.dtype}, wanted integers (a bit mask)")
    allstar["aspcapflag"] = bits.astype(np.int64) & 0xFFFF_FFFF
    return allstar


def best_of_duplicates(table: Table, key: str = "apogee_id") -> tuple[Table, int]:
    """Keep one row per star, that of highest S/N; the rows kept stay in their order.

    Returns
    -------
    table, n_dropped
    """
    snr = np.nan_to_num(np.asarray(table["snr"], dtype=float), nan=-np.inf)
    names, star = np.unique(np.asarray(table[key]), return_inverse=True)
    best_first = np.lexsort((np.arange(len(table)), -snr, star))
    is_best = np.ones(len(table), dtype=bool)
    is_best[1:] = star[best_first][1:] != star[best_first][:-1]
    keep = np.sort(best_first[is_best])
    return table[keep], len(table) - len(names)


def labels_of(table: Table, names: Iterable[str], ids: np.ndarray | None = None) -> Labels:
    """Labels of a table as `read_allstar` gives it; independent errors where the table has errors of all of them.

    Parameters
    ----------
    names : labels; each must be a column of `table`
    ids : (N,) names of the stars, instead of their APOGEE ids

    Raises
    ------
    ValueError
        If a label is no column, or a star occurs twice (see `best_of_duplicates`).
    """
    names = tuple(names)
    columns = {name: tables.wanted_column(table, (name,), "allStar table") for name in names}
    values = tables.label_values(table, columns, "allStar table")
    covariance = None
    if all(f"{name}_err" in table.colnames for name in names):
        errors = np.column_stack([np.asarray(table[f"{name}_err"], dtype=float) for name in names])
        covariance = np.zeros((*errors.shape, len(names)))
        np.einsum("nii->ni", covariance)[:] = errors**2
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
