"""What an assumption of the simulation says about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumed:
    """Stands beside an assumed number, in its annotation: ``NAME: Annotated[float, Assumed(...)] = value``.

    Attributes
    ----------
    meaning : what the number is
    unit : empty for a pure number
    source : where it is from, or why we chose it
    """

    meaning: str
    unit: str
    source: str
