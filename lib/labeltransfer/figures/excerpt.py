"""The catalogue's first rows as a table to read: Table 1 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from astropy.table import Column, Table

from ..labels import LABELS
from .style import record

DIGITS = {"K": ".0f", "dex": ".3f", "mag": ".3f"}
ERROR = "{}_err"
"""Name of the column of a label's formal error in the catalogue."""


@dataclass(frozen=True, repr=False, eq=False)
class Excerpt:
    """Some rows of the catalogue; a notebook shows it as HTML."""

    table: Table
    simulated: bool

    def __repr__(self) -> str:
        note = "simulated\n" if self.simulated else ""
        return note + "\n".join(self.table.pformat(max_lines=-1, max_width=-1))

    def _repr_html_(self) -> str:
        """An HTML table that scrolls sideways on a narrow screen."""
        names = self.table.colnames
        headings = "".join(f'<th scope="col">{heading(name)}</th>' for name in names)
        units = "".join(
            f"<td>({column.unit})</td>" if column.unit else "<td></td>" for column in self.table.columns.values()
        )
        columns = [self.table[name].pformat(show_name=False, show_unit=False, max_lines=-1) for name in names]
        cells = [[escape(text.strip()) for text in column] for column in columns]
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in zip(*cells, strict=True))
        note = f"First stars of the catalogue (Table 1 of the paper){', simulated' if self.simulated else ''}"
        return (
            '<div class="scroll" tabindex="0" role="region" aria-label="Excerpt of the catalogue">'
            f'<table class="table table-sm excerpt"><caption>{note}</caption>'
            f"<thead><tr>{headings}</tr><tr>{units}</tr></thead><tbody>{rows}</tbody></table></div>"
        )


def excerpt_table(catalogue: Table, rows: int = 4, *, simulated: bool, names: Sequence[str] | None = None) -> Excerpt:
    """First rows of the catalogue, labels and their formal errors: Table 1 of Ho et al. 2017.

    Parameters
    ----------
    catalogue : one row a star with columns id, ra, dec [deg], labels, their errors, reduced_chi2
    rows : how many rows to show
    names : labels to show; by default all that the catalogue has but A_K, as in the paper
    """
    if names is None:
        names = [name for name in LABELS if name in catalogue.colnames and name != "a_k"]
    wanted = ["id", "ra", "dec", *names, *(ERROR.format(name) for name in names), "reduced_chi2"]
    missing = [name for name in wanted if name not in catalogue.colnames]
    if missing:
        raise ValueError(f"catalogue: no column {', '.join(missing)}; found {', '.join(catalogue.colnames)}")
    units = {"ra": "deg", "dec": "deg", **{name: LABELS[name].unit for name in names}}
    units |= {ERROR.format(name): LABELS[name].unit for name in names}
    shown = Table({"id": [str(name) for name in catalogue["id"][:rows]]})
    for name in wanted[1:]:
        unit = units.get(name) or None
        values = np.asarray(catalogue[name][:rows], float)
        shown[name] = Column(values, unit=unit, format=DIGITS.get(unit or "", ".2f"))
    excerpt = Excerpt(shown, simulated)
    record(excerpt, dict(shown.columns))
    return excerpt


def heading(column: str) -> str:
    """A column's name as a reader of the paper expects it, in HTML."""
    written = {
        "id": "LAMOST ID",
        "ra": "RA",
        "dec": "Dec",
        "teff": "<i>T</i><sub>eff</sub>",
        "logg": "log <i>g</i>",
        "a_k": "<i>A</i><sub>K</sub>",
        "reduced_chi2": "red. χ²",
    }
    ending = ERROR.format("")
    if column.endswith(ending):
        return f"σ({heading(column.removesuffix(ending))})"
    symbol = LABELS[column].symbol.replace(r"$\alpha$", "α") if column in LABELS else column
    return written.get(column) or escape(symbol)
