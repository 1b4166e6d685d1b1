"""Tables that name spectra and give their labels."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import apogee, tables
from ..labels import Labels, label_column, read_labels, usable_labels, usual_columns
from ..labels.columns import error_column
from ..labels.registry import abundance_name
from ..lamost.catalogue import (
    CATALOGUE_COLUMNS,
    DAYS,
    KEYS,
    NUMBERS,
    VELOCITIES,
    best_rows,
    facts_of_stars,
    names_its_spectra,
    star_names,
)
from ..reference import cross_match
from .overlap import PIPELINE_LABELS

SHOWN = 10
"""Columns that are not used, named one by one."""

SNR_COLUMNS = (*CATALOGUE_COLUMNS["snrg"], "snr", "sn", "s_n")
"""What tells the best of several rows of a star."""

_log = logging.getLogger(__name__)


def read_label_table(path: str | Path, label_names: Sequence[str], known: Collection[str] = ()) -> tuple[Table, Labels]:
    """Read any table that names spectra and gives their labels.

    The stars are named in a column ``filename``, ``lamost_id``, ``file`` or ``id`` (with or without ``.fits``), the
    labels in columns of their usual names (``fe_h`` also as ``feh`` …; errors as ``teff_err`` …). Missing: NaN, −9999
    and the like, or nothing. A label that is not known yet becomes known in the unit of its column. A table without
    file names must give ``obsid``, or ``ra`` and ``dec``; its stars are called by these until `named_by_headers`
    finds them. Of several rows of a star that with most of the labels is taken, and then that of highest S/N.

    Parameters
    ----------
    known : names of spectra; of several columns with names, the one that knows most of them is taken

    Returns
    -------
    stars : Table with id, obsid, ra, dec, snrg, z, teff, logg, fe_h, as far as the table has them (else NaN);
        ``meta["notes"]`` says which column each label came from. And aspcapflag, if the table has APOGEE's flags
    labels : the same stars' labels

    Raises
    ------
    FileNotFoundError, ValueError
        Naming the file, the column, what was found and what was wanted; also if a star has several rows that differ,
        and no S/N tells which is best.
    """
    source = tables.read_table(path)
    if not len(source):
        raise ValueError(f"{path}: no rows below the columns {', '.join(source.colnames)}; wanted one for each star")
    ids = star_names(source, path, known) if names_its_spectra(source) else _row_names(source, path)
    if (ids == "").any():
        raise ValueError(f"{path}: row {int(np.argmax(ids == '')) + 1} does not name a star; wanted a file name")
    found = read_labels(source, label_names, path)
    stars = facts_of_stars(source, ids, path)
    if tables.find_column(source, apogee.FLAGS):
        stars["aspcapflag"] = apogee.flags(source, path)
    snr = tables.find_column(source, SNR_COLUMNS)
    worth = tables.numbers(source, snr, path) if snr else np.full(len(ids), np.nan)
    best = best_rows(ids, worth, *found.values.T)
    _refuse_undecided(ids, worth, found.values, best, path)
    covariance = None if found.covariance is None else found.covariance[best]
    repeats = len(ids) - len(best)
    notes = (
        [f"{repeats} further rows of stars that {Path(path).name} has more than once: left alone"] if repeats else []
    )
    stars.meta["notes"] = [*found.notes, *notes, *_unused(source, found.names, path)]
    return stars[best], Labels(ids[best], found.names, found.values[best], covariance)


def _unused(source: Table, names: Sequence[str], path: str | Path) -> list[str]:
    """A note of the columns of numbers that are neither labels nor facts of the stars, so that none is missed."""
    known = ["obsid", *apogee.FLAGS, *KEYS, *SNR_COLUMNS, *VELOCITIES, *NUMBERS, *DAYS]
    known += sum(CATALOGUE_COLUMNS.values(), ())
    known += [column for name in names for column in usual_columns(name)]
    known += [column for name in source.colnames if (column := error_column(source.colnames, name, name))]
    used = {tables.plain_name(name) for name in known}
    numeric = [name for name in source.colnames if getattr(source[name], "dtype", np.dtype(str)).kind in "fiu"]
    others = [name for name in numeric if tables.plain_name(name) not in used and abundance_name(name) not in names]
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return [f"columns of {Path(path).name} that are not used: {', '.join(others[:SHOWN])}{more}"] if others else []


def _row_names(source: Table, path: str | Path) -> np.ndarray:
    """Names of stars that have none: LAMOST's number or places on the sky will tell which spectra are theirs."""
    given = [
        tables.find_column(source, names) for names in (("obsid",), CATALOGUE_COLUMNS["ra"], CATALOGUE_COLUMNS["dec"])
    ]
    if given[0] is None and None in given[1:]:
        tables.wanted_column(source, KEYS, f"{path} (and no obsid, nor ra and dec, to find the stars by)")
    obsid = tables.whole_numbers(source, given[0], path) if given[0] else np.full(len(source), -1)
    ra, dec = (tables.numbers(source, one, path) if one else np.full(len(source), np.nan) for one in given[1:])
    places = np.isfinite(ra) & np.isfinite(dec)
    return np.array(
        [
            f"obsid {obsid[n]}" if obsid[n] > 0
            else f"star at {ra[n]:.4f}, {dec[n]:+.4f}" if places[n]
            else f"row {n + 1}"
            for n in range(len(source))
        ],
        dtype=str,
    )  # fmt: skip


def named_by_headers(
    stars: Table, labels: Labels, places: Table, nameless: np.ndarray, radius: float = 3.0
) -> tuple[Table, Labels]:
    """Name stars of a label table after the spectra that have their LAMOST number, or else lie where they are.

    Of several spectra of a star on the sky, that of highest S/N is taken.

    Parameters
    ----------
    stars, labels : as `read_label_table` gives them
    places : of the spectra that no star is named after, as `lamost.read_places` gives them
    nameless : (N,) whether a star's name is that of no spectrum
    radius : arcsec

    Returns
    -------
    stars, labels
        With a note in ``stars.meta["notes"]`` of how many were found by number and by place.
    """
    numbers, wanted = np.asarray(places["obsid"]), np.where(nameless, stars["obsid"], 0)
    _, rows, spectra = np.intersect1d(wanted, numbers[numbers > 0], return_indices=True)
    spectra = np.flatnonzero(numbers > 0)[spectra]
    left, free = np.setdiff1d(np.flatnonzero(nameless), rows), np.setdiff1d(np.arange(len(places)), spectra)
    first, second = places[free], stars[left]
    near, here = cross_match(first["ra"], first["dec"], second["ra"], second["dec"], radius, snr1=first["snr_g"])
    ids = np.asarray(stars["id"]).astype(object)
    ids[rows], ids[left[here]] = np.asarray(places["id"])[spectra], np.asarray(first["id"])[near]
    stars = stars.copy()
    stars["id"] = ids.astype(str)
    found = f"{rows.size} found by obsid, {near.size} by their place, {left.size - near.size} not at all"
    stars.meta["notes"] = [*stars.meta["notes"], f"{nameless.sum()} stars whose name is that of no file: {found}"]
    return stars, Labels(stars["id"], labels.names, labels.values, labels.covariance)


def labels_in_table(path: str | Path) -> tuple[str, ...]:
    """The labels that a label table has: every one that is known, usual or an abundance, and has a value in some row.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table, or it has none of them.
    """
    source = tables.read_table(path)
    names = usable_labels(source, path)
    columns = {name: label_column(source, name) or name for name in names}
    empty = [
        name
        for name, column in columns.items()
        if len(source) and not np.isfinite(tables.numbers(source, column, path)).any()
    ]
    if empty:
        _log.warning("%s: no value at all of %s: not taken", path, ", ".join(empty))
    found = tuple(name for name in names if name not in empty)
    if not found:
        raise ValueError(
            f"{path}: no column of teff, logg, fe_h, an abundance, or another label; the table has "
            f"{', '.join(source.colnames)}; name the labels (label_names), or rename the columns"
        )
    return found


def one_row_per_star(catalogue: Table) -> Table:
    """Keep one row of a LAMOST catalogue for every spectrum, as `best_rows`; what it should have is z and labels."""
    wanted = (catalogue[name] for name in ("z", *PIPELINE_LABELS))
    return catalogue[best_rows(catalogue["id"], catalogue["snrg"], *wanted)]


def _refuse_undecided(ids: np.ndarray, snr: np.ndarray, values: np.ndarray, keep: np.ndarray, where: object) -> None:
    """Refuse rows of one star that differ in their labels although neither has more of them, or a higher S/N."""
    kept = keep[np.argsort(ids[keep])][np.unique(ids, return_inverse=True)[1]]
    same = np.isclose(values, values[kept], rtol=1e-6, atol=1e-9, equal_nan=True).all(axis=1)
    fewer = np.isfinite(values).sum(axis=1) < np.isfinite(values[kept]).sum(axis=1)
    undecided = ~same & ~fewer & ~(np.nan_to_num(snr, nan=-np.inf) < snr[kept])
    if undecided.any():
        name = str(ids[undecided][0])
        raise ValueError(
            f"{where}: star {name!r} has {np.count_nonzero(ids == name)} rows with different labels, and no column "
            f"{' or '.join(SNR_COLUMNS)} says which is best (none, or the same); keep one row per star"
        )
