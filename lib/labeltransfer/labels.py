"""What a label is, and tables of labels.

A label is any number that describes a star and is transferred from one survey to another (Ho et al. 2017, section 1).
Values and covariances are always in the physical units that `LABELS` spells out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import read_arrays, write_arrays

Rows = slice | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Label:
    """One label: the name used in code and files, its unit, and how figures write it."""

    name: str
    unit: str
    symbol: str

    @property
    def axis(self) -> str:
        """Text for an axis, for example ``$T_\\mathrm{eff}$ [K]``."""
        return f"{self.symbol} [{self.unit}]" if self.unit else self.symbol


LABELS: dict[str, Label] = {}
"""Every label that is known, by name; the only place where units of labels are spelled."""


def register_label(name: str, unit: str, symbol: str | None = None) -> Label:
    """Make a further label known, for example ``register_label("mg_fe", "dex", "[Mg/Fe]")``.

    Registering the same label again does nothing; the same name with another unit is an error.
    """
    label = Label(name, unit, symbol or name)
    known = LABELS.setdefault(name, label)
    if known.unit != unit:
        raise ValueError(f"label {name!r} is already known in {known.unit!r}, not {unit!r}; choose another name")
    return known


register_label("teff", "K", r"$T_\mathrm{eff}$")
register_label("logg", "dex", r"$\log g$")
register_label("fe_h", "dex", "[Fe/H]")
register_label("alpha_m", "dex", r"[$\alpha$/M]")
register_label("a_k", "mag", "$A_K$")

PAPER_LABELS = ("teff", "logg", "fe_h", "alpha_m", "a_k")
"""The five labels of the paper, in the order of eq. 6; `fe_h` is APOGEE's PARAM_M_H, as in the paper."""


def frozen(array: Any, dtype: Any = None) -> np.ndarray:
    """A read-only view of `array` (a copy only if the dtype must change); the caller's array stays writeable."""
    view = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def identifiers(ids: Any, what: str) -> np.ndarray:
    """Check star identifiers: one dimension, text, none twice."""
    array = np.asarray(ids)
    if array.dtype.kind != "U":
        array = array.astype(str)
    if array.ndim != 1:
        raise ValueError(f"{what}: ids have shape {array.shape}, wanted (N,)")
    unique, counts = np.unique(array, return_counts=True)
    if len(unique) < len(array):
        twice = unique[counts > 1]
        raise ValueError(
            f"{what}: {len(twice)} ids occur more than once, for example {str(twice[0])!r}; "
            "keep one row per star (highest S/N) first"
        )
    return frozen(array)


@dataclass(frozen=True, repr=False, eq=False)
class Labels:
    """Labels of N stars.

    Attributes
    ----------
    ids : (N,) text, unique
    names : (L,) names of labels, all in `LABELS`
    values : (N, L) in physical units; NaN where unknown
    covariance : (N, L, L) in products of physical units, or None where no errors are known
    """

    ids: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", identifiers(self.ids, "Labels"))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "values", frozen(self.values, float))
        check_names(self.names)
        n, n_labels = len(self.ids), len(self.names)
        if self.values.shape != (n, n_labels):
            raise ValueError(f"Labels: values have shape {self.values.shape}, wanted {(n, n_labels)} = (N, L)")
        if self.covariance is not None:
            object.__setattr__(self, "covariance", frozen(self.covariance, float))
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
        covariance = None if self.covariance is None else self.covariance[rows]
        return Labels(self.ids[rows], self.names, self.values[rows], covariance)

    def of(self, ids: Any) -> Labels:
        """Rows of these stars, in this order; a star that the table lacks is an error."""
        row_of = {name: row for row, name in enumerate(self.ids.tolist())}
        wanted = np.asarray(ids).astype(str).tolist()
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
        if name not in self.names:
            raise ValueError(f"no label {name!r} in this table; it has {', '.join(self.names)}")
        return self.names.index(name)

    def select(self, names: Iterable[str]) -> Labels:
        """The same stars with these labels, in this order."""
        names = tuple(names)
        columns = [self.index(name) for name in names]
        covariance = None if self.covariance is None else self.covariance[:, columns][:, :, columns]
        return Labels(self.ids, names, self.values[:, columns], covariance)

    @property
    def errors(self) -> np.ndarray:
        """(N, L) standard errors: roots of the covariances' diagonals; NaN where no errors are known."""
        if self.covariance is None:
            return np.full(self.values.shape, np.nan)
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    @property
    def known(self) -> np.ndarray:
        """(N,) True where every label is a finite number."""
        return np.isfinite(self.values).all(axis=1)

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


def check_names(names: Sequence[str]) -> None:
    """Refuse unknown or repeated names of labels."""
    if not names:
        raise ValueError("label names: found none, wanted at least one")
    for name in names:
        if name not in LABELS:
            raise ValueError(
                f"label name {name!r} is unknown; known are {', '.join(LABELS)}; register_label() adds others"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"label names: {', '.join(names)}: one occurs twice")
