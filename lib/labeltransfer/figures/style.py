"""How every figure looks, how "simulated" gets onto it, and how it gives back the data it shows.

Colours are safe for the colour-blind and keep the paper's meaning: APOGEE purple, LAMOST yellow, the LAMOST pipeline
blue where it competes with The Cannon, The Cannon red.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..files import written_whole
from ..labels import LABELS, Labels

APOGEE = "#5B2A86"
LAMOST = "#E8B008"
DARK_YELLOW = "#8A6A00"
CANNON = "#CB3B23"
PIPELINE = "#0072B2"
INK = "#222222"
FAINT = "#6B6B6B"
PALE = "#D9D9D9"
STAMP = "#FFE08A"
"""Ground on which the word stands that says so."""

DENSITY_MAP = "viridis"
VALUE_MAP = "plasma"

WIDTH = 5.6
"""inches; with 11-point text a figure stays legible when it is shrunk to a phone's 350 pixels. At 240 dots an inch it
has twice as many pixels as a column of text is wide"""

STYLE: dict[Any, Any] = {
    "figure.dpi": 240,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": "figure",
    "axes.facecolor": "white",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelsize": 11,
    "axes.unicode_minus": True,
    "text.color": INK,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "mathtext.fontset": "dejavusans",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.2,
    "image.cmap": DENSITY_MAP,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.05,
}

_DATA: WeakKeyDictionary[object, Table] = WeakKeyDictionary()

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def drawing(function: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Run a drawing function in the style of this book; the caller's matplotlib settings stay as they were."""

    @functools.wraps(function)
    def drawn(*arguments: Arguments.args, **options: Arguments.kwargs) -> Drawn:
        with plt.rc_context(STYLE):
            result = function(*arguments, **options)
            interactive = plt.isinteractive()
        # The first figure of a notebook loads its backend, which turns interactive mode on; keep that.
        matplotlib.interactive(interactive)
        return result

    return drawn


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A new figure of the common width with (rows, columns) panels."""
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options)
    return figure, axes


def one_panel(ax: Axes | None, height: float = 4.4) -> Axes:
    """The given panel, or that of a new figure."""
    return panels(1, 1, height)[1][0, 0] if ax is None else ax


def label_panels(n: int, height: float, columns: int = 2, **options: Any) -> tuple[Figure, np.ndarray]:
    """A new figure with one panel for each of n labels, filled row by row; (n,) panels."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure, axes = panels(rows, columns, height * rows, **options)
    for ax in axes.flat[n:]:
        ax.remove()
    return figure, axes.flat[:n]


def mark_simulated(artist: Figure | Axes, simulated: bool, note: str = "") -> None:
    """Write "simulated" above the upper right corner of a panel, or of a figure, if its data are; and a note."""
    text = " · ".join(part for part in (note, "simulated" if simulated else "") if part)
    look: dict[str, Any] = {"fontsize": 9.5, "fontweight": "normal", "color": INK}
    if simulated:
        look["bbox"] = {"facecolor": STAMP, "edgecolor": "none", "boxstyle": "round,pad=0.2"}
    if text and isinstance(artist, Axes):
        artist.set_title(text, loc="right", **look)
    elif text and isinstance(artist, Figure):
        artist.suptitle(text, x=0.99, ha="right", **look)


def ticks(ax: Axes, across: int | None = None, up: int | None = None) -> None:
    """At most so many round ticks on the axes of a panel."""
    for axis, most in ((ax.xaxis, across), (ax.yaxis, up)):
        if most is not None:
            axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))


def plain_logarithm(ax: Axes, which: str) -> None:
    """A logarithmic axis, "x" or "y", whose ticks are plain numbers: 0.5, 20, 3000."""
    getattr(ax, f"set_{which}scale")("log")
    axis = getattr(ax, f"{which}axis")
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 20 * low else (1.0, 3.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def record(shown: object, columns: Mapping[str, Any], **facts: Any) -> None:
    """Keep what a figure, a panel or an excerpt shows, for `data_of`; `facts` become the table's ``meta``."""
    table = Table({name: np.asarray(values) for name, values in columns.items()})
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            table[name].info.format = ".6g"
    table.meta.update(facts)
    _DATA[shown] = table


def data_of(shown: object) -> Table:
    """What a figure of this package shows, as a table; ``meta`` says how many rows were ignored.

    Clouds of stars too dense to tell apart are given as they are drawn: centres of bins and their counts.

    Raises
    ------
    ValueError
        If the figure was not drawn by this package.
    """
    others = [shown.figure] if isinstance(shown, Axes) else getattr(shown, "axes", [])
    candidates: list[Any] = [shown, *others]
    for candidate in candidates:
        if candidate in _DATA:
            return _DATA[candidate].copy()
    raise ValueError("no data recorded for this figure; wanted one drawn by labeltransfer.figures")


def recorded() -> list[Any]:
    """Figures and panels drawn so far whose data `data_of` can give; those no longer in use are forgotten."""
    return list(_DATA)


def write_data(shown: object, path: str | Path) -> Path:
    """Write `data_of` a figure as CSV and return the path."""
    with written_whole(path) as temporary:
        data_of(shown).write(temporary, format="ascii.csv", overwrite=True)
    return Path(path)


def stacked(parts: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of several panels, one below the other; scalars are repeated, missing numbers become NaN."""
    lengths = [next((len(values) for values in part.values() if np.ndim(values)), 1) for part in parts]
    names = list(dict.fromkeys(name for part in parts for name in part))
    return {
        name: np.concatenate(
            [
                np.broadcast_to(np.asarray(part.get(name, np.nan)), (length,))
                for part, length in zip(parts, lengths, strict=True)
            ]
        )
        for name in names
    }


def same_stars(**tables: Labels) -> None:
    """Refuse tables of labels that do not hold the same stars in the same order."""
    (first, reference), *others = tables.items()
    for name, other in others:
        if not np.array_equal(reference.ids, other.ids):
            raise ValueError(
                f"{name} ({len(other)} stars) and {first} ({len(reference)} stars) do not hold the same stars in the "
                "same order; select rows by the same mask or index first"
            )


def shared_names(names: Sequence[str] | None, *tables: Labels) -> tuple[str, ...]:
    """The given names of labels, or those that all tables have, in the order of the first."""
    wanted = tables[0].names if names is None else tuple(names)
    shared = tuple(name for name in wanted if all(name in table.names for table in tables))
    missing = [name for name in wanted if name not in shared]
    if not shared or (names is not None and missing):
        raise ValueError(f"labels {', '.join(missing)}: not in every table; found {[table.names for table in tables]}")
    return shared


def per_star(what: str, values: Any, n: int) -> np.ndarray:
    """(n,) float array, or an error that names it."""
    array = np.asarray(values, float)
    if array.shape != (n,):
        raise ValueError(f"{what}: found shape {array.shape}, wanted ({n},), one value a star")
    return array


def span(*arrays: np.ndarray, outside: float = 0.1, margin: float = 0.04) -> tuple[float, float]:
    """Axis limits that leave out `outside` percent of the finite values at each end; (0, 1) if there are none."""
    values = np.concatenate([np.ravel(array) for array in arrays])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [outside, 100 - outside])
    room = margin * (high - low) if high > low else 0.5
    return float(low - room), float(high + room)


def bias_and_scatter_text(name: str, bias: float, scatter: float, form: str = "{} ± {}") -> str:
    """Bias and scatter of a label in one short line, the unit once; "no stars" if there are none."""
    if not np.isfinite(bias):
        return "no stars"
    return form.format(quantity(name, bias, signed=True).split(" ")[0], quantity(name, scatter))


def quantity(name: str, value: float, signed: bool = False) -> str:
    """A value of a label with its unit, for example ``-12 K`` or ``0.039 dex``, rounded to what is worth reading."""
    unit = LABELS[name].unit
    digits = ".0f" if unit == "K" else ".3f"
    text = format(value, f"+{digits}" if signed else digits).replace("-", "\N{MINUS SIGN}")
    text = text if float(format(value, digits)) else format(0.0, digits)
    return f"{text} {unit}"
