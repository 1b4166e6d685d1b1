"""What a label is: its name, unit, symbol and physical range, and the columns that usually hold it."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from astropy import units

from ..tables import plain_name

_log = logging.getLogger(__name__)

BOUNDS_OF_UNITS = {"dex": (-20.0, 20.0), "mag": (-20.0, 50.0), "K": (0.0, 1e6)}
"""Physical range of a label that states none, by its unit; a label in another unit may have any value."""

BOUNDS_OF_ABUNDANCES = (-8.0, 8.0)
"""The same for an abundance relative to the Sun's."""


RESERVED = re.compile(
    r"id|obsid|ra|dec|glon|glat|snr|snr_g|z|reduced_chi2|n_pixels|label_distance|outside|converged|good|cool|edge"
    r"|reference|cov_.*|.*_err(_formal)?"
)
"""Columns of a catalogue that are none of labels, or only of their errors: no label can be called so."""


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes
    ----------
    name : used in code and files
    unit : as astropy spells it; empty for a plain number
    symbol : how figures write it
    bounds : physical range in `unit`; what a table gives outside it counts as missing
    """

    name: str
    unit: str
    symbol: str
    bounds: tuple[float, float] = (-float("inf"), float("inf"))

    @property
    def axis(self) -> str:
        """Text for an axis, for example ``$T_\\mathrm{eff}$ [K]``."""
        return f"{self.symbol} [{self.unit}]" if self.unit else self.symbol


LABELS: dict[str, Label] = {}
"""Every label that is known, by name; the only place where units of labels are spelled."""


def make_label(name: str, unit: str, symbol: str | None = None, bounds: tuple[float, float] | None = None) -> Label:
    """A label that is not yet known to the session; arguments and errors as of `register_label`."""
    name, unit = str(name).strip(), str(unit).strip()
    if not name or "," in name:
        raise ValueError(f"label name {name!r}: wanted one word, for example mg_fe")
    if RESERVED.fullmatch(name.casefold()):
        raise ValueError(
            f"label name {name!r}: a column of catalogues is called so, and one of both would be lost; wanted another "
            f"name, for example {name}_star: rename the column of the table"
        )
    try:
        units.Unit(unit)
    except (ValueError, TypeError) as error:
        raise ValueError(f"label {name!r}: unit {unit!r} is unknown to astropy ({error}); for example km/s") from None
    by_name = BOUNDS_OF_ABUNDANCES if abundance_name(name) and unit == "dex" else BOUNDS_OF_LABELS.get(name)
    low, high = bounds or by_name or BOUNDS_OF_UNITS.get(unit, (-float("inf"), float("inf")))
    if not low < high:
        raise ValueError(f"label {name!r}: bounds {low:g}, {high:g}; wanted a smaller and a larger number")
    return Label(name, unit, symbol or abundance_symbol(name) or name, (float(low), float(high)))


def register_label(name: str, unit: str, symbol: str | None = None, bounds: tuple[float, float] | None = None) -> Label:
    """Make a further label known, for example ``register_label("mg_fe", "dex")``.

    Registering the same label again does nothing, without a unit, too; a label that was met without a unit gets it. A
    call that fails changes nothing.

    Parameters
    ----------
    unit : as astropy spells it, or empty
    symbol : how figures write it; by default the name, or ``[Mg/Fe]`` for an abundance
    bounds : physical range in `unit`; by default that of `BOUNDS_OF_UNITS`

    Raises
    ------
    ValueError
        If the unit is unknown, or the name is known in another unit.

    Examples
    --------
    >>> register_label("mg_fe", "dex").axis
    '[Mg/Fe] [dex]'
    """
    return remember(make_label(name, unit, symbol, bounds))


def remember(label: Label) -> Label:
    """Make a label known, and give it as it is known then; errors as of `register_label`."""
    name = known_name(label.name)
    known = LABELS.get(name)
    if known is None or (label.unit and not known.unit):
        if known is not None:
            _log.warning("label %s is in %s from now on; what came without a unit is taken for it", name, label.unit)
        LABELS[name] = replace(label, name=name)
    elif not label.unit and known.unit:
        _log.warning("label %s comes without a unit; it is taken for %s, in which it is known", name, known.unit)
    elif known.unit != label.unit and units.Unit(known.unit) != units.Unit(label.unit):
        raise ValueError(
            f"label {label.name!r} is already known in {known.unit!r}, not {label.unit!r}; choose another name, or use "
            "what is in another unit in a session of its own"
        )
    return LABELS[name]


class NamesLabels:
    """What names labels is pickled with all that is known of them: another process need not have met them."""

    def __getstate__(self) -> dict[str, Any]:
        names = self.__dict__.get("names") or self.__dict__["label_names"]
        return {**self.__dict__, "known labels": [LABELS[name] for name in names]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for label in state.pop("known labels", ()):
            register_label(label.name, label.unit, label.symbol, label.bounds)
        self.__dict__.update(state)


def known_name(name: str) -> str:
    """The name under which a label is known, whatever the case and the blanks around it; else the name stripped."""
    name = str(name).strip()
    if name in LABELS:
        return name
    return next((known for known in LABELS if known.casefold() == name.casefold()), name)


def check_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Names of labels as they are known, in the order given; refuse unknown or repeated ones."""
    names = distinct_names(names)
    for name in names:
        if name not in LABELS:
            raise ValueError(
                f"label name {name!r} is unknown; known are {', '.join(LABELS)}; register_label() adds others"
            )
    return names


def distinct_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Names of labels, known or not, as they are spelled here: ``" TEFF"`` is teff, ``"[Mg/Fe]"`` is mg_fe.

    Parameters
    ----------
    names : several, or one text with commas between them

    Raises
    ------
    ValueError
        If there is none, or one occurs twice.
    """
    if isinstance(names, Mapping):
        raise ValueError(f"label names: found a mapping of {', '.join(map(str, names))}, wanted names alone, as a list")
    spelled = [known_name(name) for name in (names.split(",") if isinstance(names, str) else names)]
    spelled = [name if name in LABELS else abundance_name(name) or name.lower() for name in spelled]
    meant = [name if name in LABELS or abundance_name(name) else _USUAL.get(plain_name(name), name) for name in spelled]
    often = Counter(meant)
    spelled = [name if often[known] > 1 else known for name, known in zip(spelled, meant, strict=True)]
    if not all(spelled) or not spelled:
        raise ValueError("label names: found none, or an empty one; wanted for example teff,logg")
    if len(set(spelled)) < len(spelled):
        raise ValueError(f"label names: {', '.join(spelled)}: one occurs twice")
    return tuple(spelled)


OTHER_UNITS = {"vmic": "km/s", "vsini": "km/s", "age": "Gyr", "mass": "solMass"}
"""Units of labels that become known when a table has them, whatever the unit of the column."""

USUAL_UNITS = ("K", "km/s")
"""Units of further labels whose columns are in one that can be converted to it, so that all tables agree."""

BOUNDS_OF_LABELS = {"vmic": (0.0, 50.0), "vsini": (0.0, 1000.0), "age": (0.0, 50.0), "mass": (0.0, 500.0)}
"""Physical ranges of these labels."""

ELEMENTS = """
h he li be b c n o f ne na mg al si p s cl ar k ca sc ti v cr mn fe co ni cu zn ga ge as se rb sr y zr nb mo ru rh pd
ag cd in sn sb te ba la ce pr nd sm eu gd tb dy ho er tm yb lu hf ta w re os ir pt au tl pb bi th u alpha
""".split()  # noqa: SIM905

_ABUNDANCE = re.compile(r"\[?\s*(?P<element>[a-z]{1,2}|alpha|α)(?P<ion>i{1,2})?\s*[/_]\s*(?P<relative>h|fe|m)\s*\]?")

_NO_ABUNDANCE = re.compile(r"[bfhikpsuvwy]_m")
"""What no survey calls an abundance, but others a probability of membership, or a magnitude: ``P_M``, ``V_M``."""

PAPER_LABELS = ("teff", "logg", "fe_h", "alpha_m", "a_k")
"""The five labels of the paper, in the order of eq. 6; `fe_h` is APOGEE's PARAM_M_H, as in the paper."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "teff": ("teff", "t_eff", "temperature", "teff_lasp"),
    "logg": ("logg", "log_g", "logg_lasp"),
    "fe_h": ("param_m_h", "m_h", "m_h_atm", "metals", "fe_h", "feh", "feh_lasp"),
    "alpha_m": ("param_alpha_m", "alpha_m", "alpha_m_atm", "alphafe", "alpha"),
    "a_k": ("ak_wise", "a_k", "ak_targ"),
    "vmic": ("vmic", "vmicro"),
    "vsini": ("vsini",),
    "age": ("age",),
    "mass": ("mass",),
}
"""Columns that usually hold a label, APOGEE's before LAMOST's, whose have other names; see `label_column`."""


_USUAL = {plain_name(column): label for label, columns in COLUMNS.items() for column in columns}
"""The label that a column of a usual name holds, whatever its brackets and blanks: ``log g``, ``[M/H]``."""


def usual_columns(name: str) -> tuple[str, ...]:
    """The columns that usually hold a label, the one that is taken first."""
    return COLUMNS.get(name, (name,))


def abundance_symbol(name: str) -> str | None:
    """How figures write an abundance, ``[Mg/Fe]`` for ``mg_fe``, or None for another label."""
    found = _ABUNDANCE.fullmatch(name) if abundance_name(name) else None
    if found is None:
        return None
    element = r"$\alpha$" if found["element"] == "alpha" else found["element"].capitalize()
    ion = f" {found['ion'].upper()}" if found["ion"] else ""
    return f"[{element}{ion}/{found['relative'].capitalize()}]"


def abundance_name(column: str) -> str | None:
    """The label's name if a column is called like an abundance (``MG_FE``, ``[Mg/Fe]``, ``O_H``), or None."""
    found = None if _NO_ABUNDANCE.fullmatch(column.strip().lower()) else _ABUNDANCE.fullmatch(column.strip().lower())
    if found is None or found["element"].replace("α", "alpha") not in ELEMENTS or found["element"] == found["relative"]:
        return None
    return f"{found['element'].replace('α', 'alpha')}{found['ion'] or ''}_{found['relative']}"


register_label("teff", "K", r"$T_\mathrm{eff}$", (1500.0, 60000.0))
register_label("logg", "dex", r"$\log g$", (-2.0, 8.0))
register_label("fe_h", "dex", "[Fe/H]", (-6.0, 2.0))
register_label("alpha_m", "dex", r"[$\alpha$/M]", (-2.0, 2.0))
register_label("a_k", "mag", "$A_K$", (-1.0, 10.0))
