"""All assumptions of the simulated survey in one table, read from the code that uses them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

import numpy as np
from astropy.table import Table

from . import (
    allstar_file,
    apogee_table,
    detector,
    elements,
    lamost_instrument,
    observing,
    other_survey,
    pipelines,
    pointings,
    simulated_survey,
    sky,
    stars,
)
from .assumed import Assumed

PLACES = (
    simulated_survey.SimulatedSurvey, stars, elements, sky, pointings, observing, simulated_survey, apogee_table,
    allstar_file, other_survey, pipelines, pipelines.ApogeeAccuracy, pipelines.LamostAccuracy,
)  # fmt: skip
"""Modules with assumed constants, and classes with assumed fields or arguments."""

DOCUMENTED = (detector, lamost_instrument)
"""Modules whose constants have a docstring that says unit and source."""


def assumptions() -> Table:
    """Every number that was assumed: columns where, name, value, unit, meaning, source, all of them text."""
    rows = [(_where(place), *row) for place in PLACES for row in _assumed(place)]
    rows += [(_where(module), *row) for module in DOCUMENTED for row in _documented(module)]
    return Table(rows=rows, names=("where", "name", "value", "unit", "meaning", "source"))


def _assumed(place: Any) -> Iterator[tuple[str, str, str, str, str]]:
    owner = place.__init__ if place is simulated_survey.SimulatedSurvey else place
    defaults = {name: argument.default for name, argument in _arguments(owner).items()}
    for name, hint in get_type_hints(owner, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Assumed):
                value = defaults[name] if name in defaults else getattr(place, name)
                yield name, written(value), note.unit, note.meaning, note.source


def _documented(module: Any) -> Iterator[tuple[str, str, str, str, str]]:
    """Constants with the string that follows them in the source, or that follows the last of their block."""
    names: list[str] = []
    end = 0
    for statement in ast.parse(inspect.getsource(module)).body:
        if statement.lineno > end + 1:
            names = []
        end = statement.end_lineno or statement.lineno
        if isinstance(statement, ast.Assign):
            names += [node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name)]
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and names:
            values = "; ".join(written(getattr(module, one)) for one in dict.fromkeys(names))
            yield ", ".join(dict.fromkeys(names)), values, "", " ".join(str(statement.value.value).split()), ""


def _arguments(owner: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(owner).parameters) if inspect.isfunction(owner) else {}


def _where(place: Any) -> str:
    return place.__name__.rpartition(".")[2]


def written(value: Any) -> str:
    """A value as text: numbers as short as they can be, of sequences every element."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {written(one)}" for name, one in value.items())
    if isinstance(value, str | bytes) or np.ndim(value) == 0:
        return str(value) if isinstance(value, str) else f"{value:.6g}"
    parts = [written(one) for one in value]
    return "; ".join(parts) if np.ndim(value) > 1 else ", ".join(parts)
