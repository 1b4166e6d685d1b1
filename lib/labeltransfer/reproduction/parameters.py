"""Every choice of the reproduction: its name, type, range, default, what the paper has, and what it does.

This is the only place where parameters are described. The `parameters` cells of the chapters repeat the defaults of
those that they name, so that the notebooks can be read alone; a test keeps the two equal.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..labels import LABELS, PAPER_LABELS


@dataclass(frozen=True)
class Parameter:
    """One choice.

    Attributes
    ----------
    name, default : as in the `parameters` cells; the type of the default is the type of the parameter
    description : what it does, in one line
    paper : the paper's value in words; empty where the paper has no such choice
    low, high : smallest and largest value allowed (of numbers)
    choices : the words allowed (of text)
    """

    name: str
    default: Any
    description: str
    paper: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the type, as in the `parameters` cells: str, int, float, bool or list."""
        return type(self.default).__name__

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind in ("int", "float"):
            return f"{self.low:.10g} to {self.high:.10g}"
        return {"list": "names of labels", "bool": "true, false"}.get(self.kind, "any")

    @property
    def typed(self) -> str:
        """The default as it is typed after ``-p``."""
        if isinstance(self.default, list):
            return f"[{','.join(self.default)}]"
        return self.default if isinstance(self.default, str) and self.default else json.dumps(self.default)

    def check(self, value: Any) -> Any:
        """Return `value` in the parameter's type.

        Raises
        ------
        TypeError, ValueError
            Naming the parameter, what was found and what is allowed.
        """
        wanted = f"parameter {self.name}: found {value!r}, wanted {self.kind}"
        if self.kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.kind == "list" and isinstance(value, tuple):
            value = list(value)
        if type(value) is not type(self.default):
            raise TypeError(f"{wanted} ({self.allowed})")
        if self.kind in ("int", "float") and not self.low <= value <= self.high:
            raise ValueError(f"{wanted} in the range {self.allowed}")
        if self.choices and value not in self.choices:
            raise ValueError(f"{wanted}, one of {self.allowed}")
        if self.kind == "list":
            check_label_names(value)
        return value


def did_you_mean(word: str, known_words: Iterable[str], cutoff: float = 0.6) -> str:
    """A question that names the nearest of the known words; empty if none is near."""
    near = difflib.get_close_matches(word, list(known_words), n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}?" if near else ""


def check_label_names(names: list[Any]) -> None:
    """Labels must be text, at least one, none twice; a name that is nearly that of a known label is a slip.

    Raises
    ------
    TypeError, ValueError
        Naming the label.
    """
    if not names or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise TypeError(f"parameter label_names: found {names!r}, wanted names such as [teff, logg, fe_h]")
    if len(set(names)) < len(names):
        raise ValueError(f"parameter label_names: found {names!r}, in which a label occurs twice")
    for name in names:
        if name not in LABELS and (hint := did_you_mean(name, LABELS, 0.7)):
            raise ValueError(f"parameter label_names: no label {name!r}; {hint}")


_EVERY = (
    Parameter("run", "default", "name of the run: its results lie in _runs/<run>; it changes none of them"),
    Parameter("source", "simulated", "where the survey comes from", "LAMOST DR2 and APOGEE DR12",
              choices=("simulated", "folder")),
    Parameter("survey_dir", "", "folder of LAMOST files and tables, when the source is a folder"),
    Parameter("label_names", list(PAPER_LABELS), "labels to transfer", "the five of eq. 6"),
    Parameter("mask", "none", "which of LAMOST's pixel masks is applied", "none", choices=("none", "and", "or")),
    Parameter("smoothing_width", 50.0, "L of the Gaussian weights of the normalization [Å]", "50", 5.0, 500.0),
    Parameter("smoothing_convention", "paper", "exponent of the weights: -d²/L² (paper) or -d²/2L² (gaussian)",
              "eq. 2; the authors' code has gaussian", choices=("paper", "gaussian")),
    Parameter("alpha_m_min", -0.1, "stars with [α/M] below this are excised [dex]",
              "-0.1; the sign was lost in print", -1.0, 1.0),
    Parameter("model_order", 2, "order of the polynomial in the labels", "2", 1, 3),
    Parameter("clip_sigma", 4.0, "stars off by more than this many scatters leave the reference set", "4", 1.0, 100.0),
    Parameter("n_folds", 8, "groups of the cross-validation", "8", 2, 100),
    Parameter("n_starts", 7, "starting points of the test step", "7", 1, 100),
    Parameter("snr_min", 50.0, "scatter and bias are quoted for stars above this S/N", "50", 0.0, 1000.0),
    Parameter("distance_cut", 2.5, "largest label distance of a star that is labelled", "2.5", 0.01, 1000.0),
    Parameter("distance_root", False, "take the square root in the label distance",
              "no root in eq. 7; the authors' code has one"),
    Parameter("chi2_max", 10.0, "largest reduced χ² of a star that is kept", "10", 0.1, 1e6),
    Parameter("n_bootstrap", 20, "bootstrap models for the error from the finite reference set", "20", 2, 1000),
    Parameter("n_overlap", 11057, "stars in common, in the simulated survey", "11,057", 50, 200_000),
    Parameter("n_dr2", 45000, "further LAMOST stars in the simulated survey, dwarfs included",
              "~2.2 million", 100, 5_000_000),
    Parameter("n_apogee", 100_000, "stars APOGEE has observed, in the simulated survey", "", 100, 1_000_000),
    Parameter("seed", 2017, "every random number derives from it and from its purpose", "none", 0, 2**31 - 1),
)  # fmt: skip

PARAMETERS: dict[str, Parameter] = {parameter.name: parameter for parameter in _EVERY}


def default_values() -> dict[str, Any]:
    """Every parameter at its default."""
    return {name: parameter.default for name, parameter in PARAMETERS.items()}


def known(name: str, among: Iterable[str] = PARAMETERS) -> Parameter:
    """The parameter of this name.

    Raises
    ------
    ValueError
        If there is none; the nearest name is suggested.
    """
    names = list(among)
    if name in names:
        return PARAMETERS[name]
    hint = did_you_mean(name, names, 0.5) or f"there are {', '.join(names)}"
    reason = "no chapter of this book declares it" if name in PARAMETERS else "there is no such parameter"
    raise ValueError(f"parameter {name!r}: {reason}; {hint}")


def check_all(values: Mapping[str, Any], among: Iterable[str] = PARAMETERS) -> dict[str, Any]:
    """Check names, types and ranges of several parameters; see `Parameter.check` and `known`.

    >>> check_all({"n_folds": 4})
    {'n_folds': 4}
    """
    allowed = list(among)
    checked = {name: known(name, allowed).check(value) for name, value in values.items()}
    if checked.get("source") == "folder" and not checked.get("survey_dir", "-"):
        raise ValueError("parameter survey_dir: source is 'folder', so give the folder: -p survey_dir PATH")
    least = checked.get("n_overlap", 0) if checked.get("source") != "folder" else 0
    if checked.get("n_apogee", least) < least:
        raise ValueError(
            f"parameter n_apogee: found {checked['n_apogee']}, wanted at least n_overlap, {least}: the stars in common "
            "are among those that APOGEE observed"
        )
    return checked


UNCLEAR_NUMBER = r"^\s*[-+]?(0[\d_]|0[xob]|[\d_]+:)"
"""What YAML reads as octal, hexadecimal or sexagesimal: 010 is 8 and 1:30 is 90, which nobody means."""


def from_text(name: str, text: str) -> Any:
    """Read the value of a parameter as it is typed in a shell, in YAML: ``2.5``, ``true``, ``[teff,logg]``.

    >>> from_text("label_names", "[teff,logg]")
    ['teff', 'logg']
    """
    parameter = known(name)
    if parameter.kind == "str":
        return parameter.check(text)
    if re.search(UNCLEAR_NUMBER, text):
        raise TypeError(f"parameter {name}: found {text!r}, wanted {parameter.kind}, without leading zeros or colons")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"parameter {name}: cannot read {text!r} ({error})") from error
    if parameter.kind == "float" and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise TypeError(f"parameter {name}: found {text!r}, wanted float ({parameter.allowed})") from None
    if parameter.kind == "list" and isinstance(value, str):
        value = [word.strip() for word in value.split(",")]
    return parameter.check(value)
