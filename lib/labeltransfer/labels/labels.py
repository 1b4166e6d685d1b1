"""Labels of N stars."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table

from ..files import read_arrays, write_arrays
from ..tables import find_column, is_index, of_arrow, plain, read_table, text, together, unit_of, words
from .columns import read_labels, usable_labels
from .registry import LABELS, NamesLabels, check_names, known_name, register_label

_log = logging.getLogger(__name__)

ID_COLUMNS = ("id", "ids", "star", "name", "filename", "lamost_id", "apogee_id", "sobject_id", "source_id", "obsid")
"""Columns that name the stars if none is asked for."""

Rows = slice | Sequence[int] | np.ndarray


def several(rows: Rows, what: str) -> Rows:
    """Rows that leave a table a table, or TypeError for the number of one."""
    if isinstance(rows, int | np.integer):
        raise TypeError(f"{what}: found row {rows}, wanted a slice, a mask or several rows, as {what}[[{rows}]]")
    return rows


def frozen(array: Any, dtype: Any = None) -> np.ndarray:
    """A read-only view of `array` (a copy only if the dtype must change); the caller's array stays writeable."""
    view = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def identifiers(ids: Any, what: str) -> np.ndarray:
    """Check star identifiers: one dimension, text, none twice."""
    plain_text = isinstance(ids, np.ndarray) and ids.dtype.kind == "U" and not isinstance(ids, np.ma.MaskedArray)
    array = ids if plain_text else words(ids)
    if array.ndim != 1:
        raise ValueError(f"{what}: ids have shape {array.shape}, wanted (N,)")
    if (array == "").any():
        raise ValueError(f"{what}: row {int(np.argmax(array == '')) + 1} names no star; wanted an id for each")
    unique, counts = np.unique(array, return_counts=True)
    if len(unique) < len(array):
        twice = unique[counts > 1]
        raise ValueError(
            f"{what}: {len(twice)} ids occur more than once, for example {str(twice[0])!r}; "
            "keep one row per star (highest S/N) first"
        )
    return frozen(array)


@dataclass(frozen=True, repr=False, eq=False)
class Labels(NamesLabels):
    """Labels of N stars.

    Attributes
    ----------
    ids : (N,) text, unique
    names : (L,) names of labels in any case, all in `LABELS`
    values : (N, L) in physical units; NaN where unknown. Masked values are unknown, a `Quantity` is converted
    covariance : (N, L, L) in products of physical units, or None where no errors are known
    """

    ids: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", identifiers(self.ids, "Labels"))
        object.__setattr__(self, "names", check_names(self.names))
        object.__setattr__(self, "values", frozen(_in_units(self.values, self.names), float))
        n, n_labels = len(self.ids), len(self.names)
        if self.values.shape != (n, n_labels):
            raise ValueError(f"Labels: values have shape {self.values.shape}, wanted {(n, n_labels)} = (N, L)")
        if self.covariance is not None:
            covariance, mask = plain(self.covariance, "Labels: covariance")
            object.__setattr__(self, "covariance", frozen(_nan_where(covariance, mask), float))
            if self.covariance.shape != (n, n_labels, n_labels):
                raise ValueError(
                    f"Labels: covariance has shape {self.covariance.shape}, wanted {(n, n_labels, n_labels)}"
                )

    def __repr__(self) -> str:
        errors = "with" if self.covariance is not None else "without"
        return f"Labels({len(self)} stars; {', '.join(self.names)}; {errors} covariances)"

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Rows) -> Labels:
        rows = several(rows, "labels")
        covariance = None if self.covariance is None else self.covariance[rows]
        return Labels(self.ids[rows], self.names, self.values[rows], covariance)

    def of(self, ids: Any) -> Labels:
        """Rows of these stars, in this order; a star that the table lacks is an error."""
        row_of = {name: row for row, name in enumerate(self.ids.tolist())}
        wanted = np.atleast_1d(words(ids)).tolist()
        missing = [name for name in wanted if name not in row_of]
        if missing:
            raise ValueError(f"Labels: {len(missing)} of {len(wanted)} stars are not in {self!r}, first {missing[0]!r}")
        return self[[row_of[name] for name in wanted]]

    def unknown(self) -> Labels:
        """The same stars and names with every value unknown (NaN)."""
        return Labels(self.ids, self.names, np.full(self.values.shape, np.nan))

    def column(self, name: str) -> np.ndarray:
        """(N,) values of one label."""
        return self.values[:, self.index(name)]

    def index(self, name: str) -> int:
        """Column number of one label."""
        name = known_name(name)
        if name not in self.names:
            raise ValueError(f"no label {name!r} in this table; it has {', '.join(self.names)}")
        return self.names.index(name)

    def select(self, names: Iterable[str]) -> Labels:
        """The same stars with these labels, in this order."""
        columns = [self.index(name) for name in names]
        covariance = None if self.covariance is None else self.covariance[:, columns][:, :, columns]
        return Labels(self.ids, tuple(self.names[column] for column in columns), self.values[:, columns], covariance)

    @property
    def covariance_usable(self) -> np.ndarray:
        """(N,) stars whose covariances are known, and not negative beyond rounding."""
        if self.covariance is None:
            return np.zeros(len(self), dtype=bool)
        usable = np.isfinite(self.covariance).all(axis=(1, 2))
        size = np.sqrt(np.abs(np.diagonal(self.covariance, axis1=1, axis2=2)))
        unit = np.where(size > 0, size, 1.0)[usable]
        correlation = self.covariance[usable] / (unit[:, :, None] * unit[:, None, :])
        usable[usable] = np.linalg.eigvalsh(correlation)[:, 0] > -1e-6
        return usable

    @property
    def errors(self) -> np.ndarray:
        """(N, L) standard errors: roots of the covariances' diagonals; NaN where no errors are known."""
        if self.covariance is None:
            return np.full(self.values.shape, np.nan)
        variances = np.diagonal(self.covariance, axis1=1, axis2=2)
        return np.sqrt(np.where(variances >= 0, variances, np.nan))

    @property
    def known(self) -> np.ndarray:
        """(N,) True where every label is a finite number."""
        return np.isfinite(self.values).all(axis=1)

    @classmethod
    def from_table(
        cls,
        table: Any,
        names: str | Sequence[str] | Mapping[str, str] | None = None,
        ids: Any = None,
        errors: str | None = "_err",
    ) -> Labels:
        """Take labels from a table of any kind.

        Masked values, −9999 and the like, and values outside a label's physical range are unknown (NaN). A label that
        is not known yet becomes known in the unit of its column.

        Parameters
        ----------
        table : astropy `Table`, pandas `DataFrame`, PyArrow table, mapping of names to columns, or the path of a file
        names : labels in any case, or names of columns, or a mapping of labels to columns; by default every label that
            the table has
        ids : (N,) names of the stars, or the column that holds them; by default one of `ID_COLUMNS` (an index of that
            name first), the index of the `DataFrame`, or "0", "1", …; whole numbers are written without a point
        errors : what the names of the errors' columns end with (``e_teff`` is known, too); None to leave them alone

        Raises
        ------
        ValueError
            If a column is missing, holds no numbers, or is in another unit.

        Examples
        --------
        >>> Labels.from_table({"star": ["a", "b"], "Teff": [4800.0, -9999.0], "Teff_err": [50.0, -9999.0]})
        Labels(2 stars; teff; with covariances)
        """
        where = str(table) if isinstance(table, str | Path) else "table"
        source, index = _as_table(table, (ids,) if isinstance(ids, str) else ())
        names = usable_labels(source, where) if names is None else names
        if not names:
            raise ValueError(f"{where}: no column of a label; it has {', '.join(source.colnames)}; give `names`")
        found = read_labels(source, names, where, errors)
        for note in found.notes:
            _log.info(note)
        if ids is None:
            named = find_column([index], ID_COLUMNS) if isinstance(index, str) else None
            ids = named or find_column(source, ID_COLUMNS) or index
        elif isinstance(ids, str) and find_column(source, (ids,)) is None:
            raise ValueError(f"{where}: no column {ids} of star names; it has {', '.join(source.colnames)}")
        if ids is None:
            ids = np.arange(len(source))
            written = [name for name in source.colnames if getattr(source[name], "dtype", ids.dtype).kind in "US"]
            if written:
                _log.warning(f"{where}: no column names the stars, they are numbered; ids= says if {written[0]} does")
        stars = text(source, str(find_column(source, (ids,)))) if isinstance(ids, str) else ids
        return cls(stars, found.names, found.values, found.covariance)

    def to_table(self) -> Table:
        """An astropy table: id, and for every label its values and (``teff_err``) standard errors, with units."""
        table = Table({"id": self.ids})
        for place, name in enumerate(self.names):
            unit = units.Unit(LABELS[name].unit)
            table[name] = units.Quantity(self.values[:, place], unit)
            if self.covariance is not None:
                table[f"{name}_err"] = units.Quantity(self.errors[:, place], unit)
        return table

    def write(self, path: str | Path) -> None:
        """Write to one ``.npz`` file."""
        arrays = {"ids": self.ids, "values": self.values}
        if self.covariance is not None:
            arrays["covariance"] = self.covariance
        units = {name: LABELS[name].unit for name in self.names}
        write_arrays(path, "Labels", arrays, names=self.names, units=units)

    @classmethod
    def read(cls, path: str | Path) -> Labels:
        """Read what `write` wrote."""
        arrays, facts = read_arrays(path, "Labels")
        for name, unit in facts["units"].items():
            register_label(name, unit)
        return cls(arrays["ids"], tuple(facts["names"]), arrays["values"], arrays.get("covariance"))


def _in_units(values: Any, names: Sequence[str]) -> np.ndarray:
    """Values with NaN where they are masked, in the labels' units if they have one."""
    if any(hasattr(values, kind) for kind in ("columns", "colnames")):
        raise TypeError(f"Labels: values: found a {type(values).__name__}; Labels.from_table takes it by its columns")
    values = together(values)
    unit = unit_of(values)
    array, mask = plain(values, "Labels: values", unit)
    array = _nan_where(array, mask)
    if unit is not None and array.ndim == 2 and array.shape[1] == len(names):
        columns = [units.Quantity(array[:, n], unit) for n in range(len(names))]
        pairs = zip(columns, names, strict=True)
        array = np.column_stack([plain(column, f"Labels: {name}", LABELS[name].unit)[0] for column, name in pairs])
    return array


def _nan_where(array: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return array if mask is None else np.where(mask, np.nan, array)


def _as_table(source: Any, names: Sequence[str] = ()) -> tuple[Table, Any]:
    """Any table as astropy's, and the names that an index of pandas gives, or its column if it is one.

    Parameters
    ----------
    names : columns of text that name stars
    """
    if isinstance(source, str | Path):
        source = read_table(source, names=names)
    elif hasattr(source, "column_names") and hasattr(source, "schema"):
        source = of_arrow(source)
    if isinstance(source, Table):
        return Table(source, copy=False), next((one for one in source.colnames if is_index(source, one)), None)
    if isinstance(source, np.ndarray) and source.dtype.names:
        return Table(np.atleast_1d(source)), None
    if isinstance(source, Mapping):
        columns = {name: together(column) for name, column in source.items()}
        return Table({name: column if np.ndim(column) else [column] for name, column in columns.items()}), None
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        named = source.index.name
        frame = source.reset_index(drop=named is None or named in source.columns)
        names = [str(name) for name in frame.columns] if getattr(source.index, "nlevels", 1) == 1 else []
        if len(set(names)) < frame.shape[1]:
            raise ValueError("labels: a DataFrame with columns of the same name, or an index of several levels; "
                             "reset_index() and rename first")  # fmt: skip
        return Table.from_pandas(frame.set_axis(names, axis=1)), words(source.index) if named is None else str(named)
    raise TypeError(f"labels: found {type(source).__name__}, wanted a Table, a DataFrame, a mapping, or a path")
