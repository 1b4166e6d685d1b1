"""The catalogue's excerpt, as a table to read: Table 1 of Ho et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from astropy.table import Column, Table

from ..labels import LABELS, Labels, Rows
from .style import per_star

DIGITS = {"K": ".0f", "dex": ".3f", "mag": ".3f"}


def excerpt_table(
    labels: Labels,
    reduced_chi2: np.ndarray,
    ra: np.ndarray,
    dec: np.ndarray,
    *,
    rows: Rows = slice(0, 4),
    names: Sequence[str] | None = None,
) -> Table:
    """A few rows of the catalogue, labels and formal errors: Table 1 of Ho et al. 2017.

    Parameters
    ----------
    labels : labels of N stars with covariances
    reduced_chi2, ra, dec : (N,) reduced χ²; coordinates [deg]
    rows : rows to show
    names : labels to show; by default all but A_K, as in the paper
    """
    n = len(labels)
    names = tuple(names) if names is not None else tuple(name for name in labels.names if name != "a_k")
    shown = labels.select(names)[rows]
    table = Table({"LAMOST ID": shown.ids})
    table["RA"] = Column(per_star("ra", ra, n)[rows], unit="deg", format=".2f")
    table["Dec"] = Column(per_star("dec", dec, n)[rows], unit="deg", format=".2f")
    for name, values in zip(names, shown.values.T, strict=True):
        unit = LABELS[name].unit
        table[name] = Column(values, unit=unit or None, format=DIGITS.get(unit, ".3g"))
    for name, errors in zip(names, shown.errors.T, strict=True):
        unit = LABELS[name].unit
        table[f"{name}_error"] = Column(errors, unit=unit or None, format=DIGITS.get(unit, ".3g"))
    table["reduced_chi2"] = Column(per_star("reduced_chi2", reduced_chi2, n)[rows], format=".2f")
    return table


def heading(column: str) -> str:
    """A column's name as a reader of the paper expects it, in HTML."""
    written = {"teff": "<i>T</i><sub>eff</sub>", "logg": "log <i>g</i>", "a_k": "<i>A</i><sub>K</sub>"}
    if column == "reduced_chi2":
        return "red. χ²"
    if column.endswith("_error"):
        return f"σ({heading(column.removesuffix('_error'))})"
    symbol = LABELS[column].symbol.replace(r"$\alpha$", "α") if column in LABELS else column
    return written.get(column) or escape(symbol)


def excerpt_html(table: Table, *, simulated: bool) -> str:
    """`excerpt_table` as an HTML table that scrolls sideways on a narrow screen."""
    headings = "".join(f'<th scope="col">{heading(name)}</th>' for name in table.colnames)
    units = "".join(f"<td>{f'({table[name].unit})' if table[name].unit else ''}</td>" for name in table.colnames)
    cells = [
        [escape(text.strip()) for text in table[name].pformat(show_name=False, show_unit=False, max_lines=-1)]
        for name in table.colnames
    ]
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in zip(*cells, strict=True))
    note = "<caption>simulated</caption>" if simulated else ""
    return (
        f'<div style="overflow-x: auto"><table class="table excerpt">{note}<thead><tr>{headings}</tr><tr>{units}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
