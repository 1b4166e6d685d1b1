"""Labels in other people's tables: which columns hold them, in which unit, and which values are none."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units
from astropy.table import Table

from ..tables import find_column, is_missing, numbers, plain_name, wanted_column
from ..tables.columns import unit_in_name
from .registry import (
    COLUMNS,
    LABELS,
    OTHER_UNITS,
    USUAL_UNITS,
    Label,
    abundance_name,
    distinct_names,
    make_label,
    remember,
    usual_columns,
)

_log = logging.getLogger(__name__)

APOGEES = (
    "param_m_h", "param_alpha_m", "m_h_atm", "aspcapflag", "starflag", "apogee_id", "sdss4_apogee_id", "apstar_id",
    "aspcap_id", "location_id",
)  # fmt: skip
"""Columns by one of which a table is known to be APOGEE's, whose FE_H is not what the paper calls [Fe/H]."""

ERRORS = "e_* *_error *_err *_unc sigma_* err_* error_* unc_* *_uncertainty uncertainty_* *_std std_* *_sigma"
"""How columns of errors are called; ``*`` stands for the label, or its column."""

SHORT_ERRORS = "*_sig sig_* d_* u_* s_* *_e"
"""The same, if the name is spelled just so: without its marks it may be that of another label."""

_ERROR = re.compile(r"(^|[\W_])(e|d|u|s|\w*err(or)?s?|unc\w*|sig(ma)?|std\w*|sd|rms)($|[\W_])")

MOSTLY = 0.5
"""If more than this share of the numbers of a column lies outside a label's physical range, it is in another unit."""


@dataclass(frozen=True)
class LabelColumns:
    """Labels of N rows of a table.

    Attributes
    ----------
    names : (L,) labels, all known
    values : (N, L) in the units of `LABELS`; NaN where missing
    covariance : (N, L, L) of independent errors, NaN for labels that have none; None if none has
    notes : for every label its column, and how many values are missing or outside its physical range
    """

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray | None
    notes: tuple[str, ...]


def labels_in(table: Table | Sequence[str]) -> tuple[str, ...]:
    """The labels that a table with these columns has: those known, the usual ones, and every abundance.

    Parameters
    ----------
    table : a table, or the names of its columns, which do not tell magnitudes

    Examples
    --------
    >>> labels_in(["filename", "Teff", "e_Teff", "LOGG", "[Mg/Fe]", "snr"])
    ('teff', 'logg', 'mg_fe')
    """
    names = list(dict.fromkeys([*LABELS, *COLUMNS]))
    columns = table.colnames if isinstance(table, Table) else table
    found = {name: label_column(table, name) for name in names}
    taken = {name for name in found if found[name]}
    others = [
        abundance_name(column)
        for column in columns
        if column not in found.values() and "mag" not in _stated_unit(table, column)
    ]
    return tuple(dict.fromkeys([name for name in names if name in taken] + [name for name in others if name]))


def label_column(table: Table | Sequence[str], name: str) -> str | None:
    """The column that holds a label; None if there is none, or only magnitudes (``M_H`` may be one) of a label in dex.

    A column of the label's very name is taken before the other usual ones, except from APOGEE's tables.
    """
    columns = table.colnames if isinstance(table, Table) else list(table)
    if name in LABELS and "mag" not in LABELS[name].unit:
        columns = [column for column in columns if "mag" not in _stated_unit(table, column)]
    return find_column(columns, usual_columns(name) if find_column(table, APOGEES) else (name, *usual_columns(name)))


def _stated_unit(table: Table | Sequence[str], column: str) -> str:
    """The unit that a column has, or else its name; empty if none is stated."""
    unit = getattr(table[column], "unit", None) if isinstance(table, Table) else None
    stated = str(unit or unit_in_name(column) or "")
    return stated if "%" in stated or any(map(str.isalnum, stated)) else ""


def error_column(columns: Sequence[str], column: str, label: str, suffix: str = "_err") -> str | None:
    """The column that holds the errors of another: ``TEFF_ERR``, ``e_teff``, ``teff_error`` …

    Errors that are called after the label belong to the column of the label's very name, if there is one.
    """
    alone = find_column(columns, (label,)) in (None, column)
    names = tuple(dict.fromkeys((column, label) if alone else (column,)))
    found = find_column(columns, [f"{name}{suffix}" for name in names] + _spelled(names, ERRORS))
    exact = {name.lower(): name for name in reversed(columns)}  # for Sc_H is no error of C_H
    return found or next((exact[one.lower()] for one in _spelled(names, SHORT_ERRORS) if one.lower() in exact), None)


def _spelled(names: Sequence[str], ways: str) -> list[str]:
    return [way.replace("*", name) for name in names for way in ways.split()]


def unused_errors(columns: Sequence[str], column: str, label: str, used: Sequence[str]) -> list[str]:
    """Columns that are called as if they were errors of a label, but not so that it is sure, and are not `used`."""
    names = "|".join(re.escape(name.lower()) for name in (column, label))
    return [
        one
        for one in columns
        if one not in used and re.search(rf"(^|[\W_])({names})($|[\W_])", one.lower()) and _ERROR.search(one.lower())
    ]


def read_labels(
    table: Table, names: Sequence[str] | Mapping[str, str], where: object, errors: str | None = "_err"
) -> LabelColumns:
    """Read labels from any table; a label that is not yet known becomes known in the unit of its column.

    Parameters
    ----------
    names : labels in any case, or names of further columns; or a mapping of labels to the columns that hold them
    where : what the table is, for messages
    errors : what the name of an error's column ends with; None to leave errors alone

    Raises
    ------
    ValueError
        If a column is not there, is no column of numbers, has a unit that cannot be converted, or has more than half of
        its numbers outside the label's physical range. No label becomes known then.
    """
    columns = _columns_of(table, names, where)
    labels = {name: _label_of(table, name, column) for name, column in columns.items()}
    notes = []
    values = np.empty((len(table), len(labels)))
    for place, (name, column) in enumerate(columns.items()):
        values[:, place], note = read_label(table, column, labels[name], where)
        notes.append(note)
    covariance = None
    if errors is not None:
        found = {name: error_column(table.colnames, column, name, errors) for name, column in columns.items()}
        none = np.full(len(table), np.nan)
        spread = [
            numbers(table, one, where, labels[name].unit, columns[name]) if one else none for name, one in found.items()
        ]
        lacking = [name for name in found if not found[name]]
        if len(lacking) < len(found):
            covariance = diagonal(np.column_stack(spread))
            notes += [f"no errors of {', '.join(lacking)} in {where}"] if lacking else []
        used = [*columns.values(), *filter(None, found.values())]
        left = {name: unused_errors(table.colnames, column, name, used) for name, column in columns.items()}
        notes += [f"{', '.join(left[name])} may be errors of {name}: not used" for name in left if left[name]]
    names = tuple(remember(label).name for label in labels.values())
    return LabelColumns(names, values, covariance, tuple(notes))


def _columns_of(table: Table, names: Sequence[str] | Mapping[str, str], where: object) -> dict[str, str]:
    """The column of every label; one that is asked for by its own name is taken before others of the label."""
    asked = [str(name).strip() for name in (names.split(",") if isinstance(names, str) else names)]
    labels = distinct_names(asked)
    if isinstance(names, Mapping):
        return {name: wanted_column(table, (one,), where) for name, one in zip(labels, names.values(), strict=True)}
    found = {}
    for name, one in zip(labels, asked, strict=True):
        by_name = None if plain_name(one) in ("", plain_name(name)) else find_column(table, (one,))
        found[name] = by_name or label_column(table, name) or wanted_column(table, usual_columns(name), where)
    return found


def usable_labels(table: Table, where: object) -> tuple[str, ...]:
    """The labels that a table has, see `labels_in`, without abundances that its columns do not hold.

    A column that is called like one may be another thing, as right ascension or a column density: it is left out, and
    a warning of the log says why.
    """
    usable = []
    for name in labels_in(table):
        column = label_column(table, name) or name
        try:
            if abundance_name(name):
                _in_range(table, column, _label_of(table, name, column), where)
        except ValueError as error:
            _log.warning("%s left out, for its column is taken for another thing: %s", name, error)
        else:
            usable.append(name)
    return tuple(usable)


def diagonal(errors: np.ndarray) -> np.ndarray:
    """(N, L, L) covariances of independent errors (N, L); an error that is not positive is unknown (NaN)."""
    variances = np.where(errors > 0, errors, np.nan) ** 2
    covariance = np.zeros((*errors.shape, errors.shape[1]))
    np.einsum("nii->ni", covariance)[:] = variances
    return covariance


def _label_of(table: Table, name: str, column: str) -> Label:
    """The label as it is known; a new one, or one that came without a unit before, in that of the column."""
    known, stated = LABELS.get(name), _stated_unit(table, column)
    if known and (known.unit or not stated):
        return known
    usual = "dex" if abundance_name(column) else OTHER_UNITS.get(name, "")
    return make_label(name, usual or next((unit for unit in USUAL_UNITS if _alike(unit, stated)), stated))


def _alike(first: str, second: str) -> bool:
    try:
        return units.Unit(first).is_equivalent(units.Unit(second))
    except ValueError:
        return False


def read_label(table: Table, column: str, label: Label, where: object) -> tuple[np.ndarray, str]:
    """(N,) one label from one column, NaN where missing, and a note that says so.

    Raises
    ------
    ValueError
        As `read_labels`.
    """
    values, outside = _in_range(table, column, label, where)
    known = np.isfinite(values)
    low, high = label.bounds
    note = f"{label.name} from {column} of {_name(where)}; {(~known).sum():,} of {len(values):,} missing"
    if outside.any():
        note += f", {outside.sum():,} more outside {low:g} to {high:g} (for example {values[outside][0]:g})"
        _log.warning(note)
    _refuse_namesakes(table, column, label, where)
    usual = [find_column(table, (name,)) for name in usual_columns(label.name)]
    rivals = [name for name in dict.fromkeys(usual) if name and name != column]
    if rivals:
        note += f"; {', '.join(rivals)} left alone"
    values[outside] = np.nan
    return values, note


def _in_range(table: Table, column: str, label: Label, where: object) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the values of a column, and which of them are outside the label's range; refused if most of them are."""
    values = numbers(table, column, where, label.unit)
    values[is_missing(values, positive=True)] = np.nan
    known = np.isfinite(values)
    low, high = label.bounds
    outside = known & ((values < low) | (values > high))
    if outside.sum() > MOSTLY * known.sum():
        raise ValueError(
            f"{where}: column {column}: {outside.sum()} of {known.sum()} values of {label.name} lie outside "
            f"{low:g} to {high:g} {label.unit}, for example {values[outside][0]:g}; wanted {label.name} in "
            f"{label.unit or 'plain numbers'}: convert the column, or state its unit in the table"
        )
    return values, outside


def _refuse_namesakes(table: Table, column: str, label: Label, where: object) -> None:
    """Refuse to choose between columns of one name that differ: ``TEFF`` and ``teff`` of two surveys in one table."""
    same = {plain_name(column), plain_name(f"{column}_1")}
    for other in table.colnames:
        if other != column and plain_name(other) in same:
            first, second = (numbers(table, name, where, label.unit) for name in (column, other))
            if not np.allclose(first, second, rtol=1e-5, atol=1e-8, equal_nan=True):
                raise ValueError(
                    f"{where}: columns {column} and {other} could both be {label.name}, and differ; rename "
                    "the one that is not meant, or leave it out"
                )


def _name(where: object) -> str:
    return str(where).rsplit("/", 1)[-1]


def label_values(table: Table, columns: Mapping[str, str], where: object) -> np.ndarray:
    """(N, L) known labels in the units of `LABELS`, NaN where unknown; `columns` is label to column name.

    Raises
    ------
    ValueError
        As `read_labels`.
    """
    pairs = [read_label(table, column, LABELS[label], where)[0] for label, column in columns.items()]
    return np.column_stack(pairs) if pairs else np.empty((len(table), 0))
