"""Verdicts: one claim beside our numbers, their spread from survey to survey, and evidence from real data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from .claims import PLAIN, Check, Claim, check_against, claims
from .numbers import NOT_AVAILABLE, Number, write_json

REPRODUCED, DIFFERS, INCONCLUSIVE, NOT_TESTABLE = "reproduced", "differs", "inconclusive", "not testable"
DEFINITION, CONSISTENT, INCONSISTENT = "by definition", "consistent by design", "inconsistent"
VERDICTS = (REPRODUCED, DIFFERS, INCONCLUSIVE, CONSISTENT, INCONSISTENT, DEFINITION, NOT_TESTABLE)
"""What was measured comes first, then what was assumed, then what was defined."""
OF_CHANCE = ("run", "seed")
"""Parameters that may differ between a run and the runs that told the spread of its numbers."""

BEYOND = frozenset({
    "cut-alpha-sign", "error-factor-dr10", "ness-cluster-out", "ness-rms", "real-cross-validation", "reference-bimodal",
    "reference-variances",
})  # fmt: skip
"""Findings on real data that are no claim of the paper: chapter 10 and appendix A8 tell them, not the ledger."""


@dataclass(frozen=True)
class Compared:
    """One number of a claim beside ours.

    Attributes
    ----------
    in_words : how far apart the two are, measured by the tolerance and in its unit
    spread : of ours, from survey to survey; 0 where it is not known
    agrees : None if that cannot be said
    possible : whether both numbers are there
    """

    what: str
    paper: str
    ours: str
    unit: str
    number: str
    in_words: str
    spread: float
    agrees: bool | None
    possible: bool

    @property
    def notes(self) -> list[str]:
        """What stands below our number: its spread, to two digits, and how far it is from the paper's."""
        places = max(0, 1 - math.floor(math.log10(self.spread))) if self.spread else 0
        spread = f"± {self.spread:,.{places}f} from survey to survey" if self.spread else ""
        return [note for note in (spread, self.in_words) if note]


@dataclass(frozen=True)
class Row:
    """One claim with its verdict, what that rests on, and what recorded runs on real data say of it."""

    id: str
    chapter: str
    where: str
    claim: str
    compared: tuple[Compared, ...]
    verdict: str
    reason: str
    rests_on: str
    assumes: str
    why: str
    evidence: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of numbers over surveys that differ in their seed alone, as a sweep gathered them."""

    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, parameters: Mapping[str, Any]) -> Spread:
        """The spread that a file holds, if it is that of runs with these parameters; else none."""
        if not path.exists():
            return cls()
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {name: value for name, value in content["parameters"].items() if name not in OF_CHANCE}
        fits = all(parameters.get(name, value) == value for name, value in known.items())
        return cls(content["numbers"]) if fits else cls()

    def of(self, number: str) -> float:
        """Standard deviation of a number; 0 if it is not known."""
        return float(self.numbers.get(number, {}).get("sd", 0.0) or 0.0)

    def by_label(self, number: str, label_names: Sequence[str], moment: str) -> np.ndarray:
        """(L,) the "mean", "sd" or "n" of the numbers of that name, one for each label; NaN where it is not known."""
        return np.array([self.numbers.get(f"{number}_{name}", {}).get(moment, np.nan) for name in label_names], float)


def compare(check: Check, numbers: Mapping[str, Number], spread: Spread | None = None) -> Compared:
    """Put our number beside the paper's."""
    ours, other = numbers.get(check.number), numbers.get(check.than)
    value = None if ours is None else ours.value
    limit = None if other is None else other.value
    possible = value is not None and (not check.than or limit is not None)
    sd = 0.0 if spread is None else spread.of(check.number)
    agrees = check.passes(value, limit, sd) if possible and value is not None else None
    words, tolerance = "", f"{check.tolerance:.2g}" if check.tolerance < 10 else f"{check.tolerance:,.0f}"
    if check.compare == "within" and check.tolerance and value is not None and check.paper is not None:
        words = f"{abs(value - check.paper) / check.tolerance:.1f} times the tolerance of {tolerance}"
    elif check.tolerance and possible:
        words = f"tolerance {tolerance}"
    shown = NOT_AVAILABLE if ours is None else ours.text
    return Compared(
        check.what,
        check.written("" if other is None else other.text),
        shown,
        check.unit,
        check.number,
        words,
        sd,
        agrees,
        possible,
    )


def judge(
    claim: Claim, numbers: Mapping[str, Number], data: str, label_names: Sequence[str], spread: Spread | None = None
) -> Row:
    """Verdict on one claim.

    Parameters
    ----------
    numbers : ours, by ``chapter:key``
    data : ``simulated``, ``surveys`` (LAMOST and APOGEE themselves) or ``labels`` (spectra with some table of labels)
    label_names : labels of this run
    """
    simulated = data == "simulated"
    compared = tuple(compare(check, numbers, spread if simulated else None) for check in claim.checks)
    lacking = [PLAIN[name] for name in claim.needs if name not in label_names]
    missing = [one.number.split(":")[-1] for one in compared if not one.possible]
    wrong = ", ".join(one.what for one in compared if one.agrees is False and one.what)
    good, bad = (CONSISTENT, INCONSISTENT) if claim.kind == "sky" and simulated else (REPRODUCED, DIFFERS)
    good = DEFINITION if claim.kind == "definition" else good
    rests_on = {"definition": "definition", "method": "method"}.get(
        claim.kind, "an assumption of the simulation" if simulated else "real data: the surveys of this run"
    )
    if not any(check.number for check in claim.checks):
        verdict, reason = NOT_TESTABLE, "an input of the paper, which nothing in this book measures"
    elif claim.kind == "sky" and data == "labels":
        verdict, reason = NOT_TESTABLE, "a claim about LAMOST and APOGEE, and the labels are not from APOGEE's table"
    elif lacking:
        verdict, reason = NOT_TESTABLE, f"needs {', '.join(lacking)}, not among the labels of this run"
    elif missing:
        verdict, reason = NOT_TESTABLE, f"this run has no number for {', '.join(missing)}"
    elif any(one.agrees is False for one in compared):
        verdict, reason = bad, f"outside the tolerance: {wrong}".removesuffix(": ")
    elif any(one.agrees is None for one in compared):
        unsure = ", ".join(one.what for one in compared if one.agrees is None and one.what)
        verdict, reason = INCONCLUSIVE, f"within the spread from survey to survey: {unsure}".removesuffix(": ")
    else:
        verdict, reason = good, "within the tolerance" if claim.kind != "definition" else "as the paper sets it"
    assumes = claim.assumes if simulated and claim.kind == "sky" else ""
    return Row(
        claim.id, claim.chapter, claim.where, claim.claim, compared, verdict, reason,
        "nothing" if verdict == NOT_TESTABLE else rests_on, assumes, claim.why,
    )  # fmt: skip


def read_evidence(folder: Path) -> dict[str, tuple[dict[str, Any], ...]]:
    """What recorded runs on real data say, by claim: the files ``*.json`` of a folder, which may not exist.

    Raises
    ------
    ValueError
        Naming the file and the entry that is not as it should be.
    """
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    known = {claim.id for claim in claims()}
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path.name}: not JSON ({error})") from error
        check_against("evidence", content, path.name)
        for claim, said in content["claims"].items():
            if claim in BEYOND:
                continue
            if claim not in known:
                raise ValueError(f"{path.name}: claims.{claim}: no such claim in the ledger")
            facts = {"name": content["name"], "title": content["title"], "date": content["date"]}
            found[claim] = (*found.get(claim, ()), {**facts, **said})
    return found


@dataclass(frozen=True)
class Ledger:
    """Verdicts on claims of a run, the data and the parameters of it, and the file where they belong."""

    rows: tuple[Row, ...]
    data: str
    path: Path | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        numbers: Mapping[str, Number],
        data: str,
        label_names: Sequence[str],
        path: Path | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        root: Path | None = None,
        **more: Any,
    ) -> Self:
        """Judge every claim; see `judge`.

        Parameters
        ----------
        root : of the project, where evidence from real data and the spread of numbers are kept
        more : what a subclass has
        """
        given = dict(parameters or {})
        spread = Spread() if root is None else Spread.read(root / "sweeps" / "seeds.json", given)
        evidence = {} if root is None else read_evidence(root / "evidence")
        rows = tuple(
            replace(judge(claim, numbers, data, label_names, spread), evidence=evidence.get(claim.id, ()))
            for claim in claims()
        )
        return cls(rows, data, path, given, **more)

    def only(self, chapter: str) -> Self:
        """The claims of one chapter."""
        return replace(self, rows=tuple(one for one in self.rows if one.chapter == chapter))

    def totals(self) -> dict[str, int]:
        """Verdict to number of claims."""
        return {verdict: sum(one.verdict == verdict for one in self.rows) for verdict in VERDICTS}

    @property
    def counted(self) -> str:
        """The verdicts that occur, and how often."""
        return ", ".join(f"{count} {verdict}" for verdict, count in self.totals().items() if count)

    def evidence_totals(self) -> dict[str, int]:
        """Verdict to number of claims on which recorded runs on real data say so; a claim counts once for each."""
        said = [{one["verdict"] for one in row.evidence} for row in self.rows]
        return {verdict: sum(verdict in one for one in said) for verdict in (REPRODUCED, DIFFERS, INCONCLUSIVE)}

    def write(self, path: Path | None = None) -> Path:
        """Write it as JSON, by default where it belongs among the run's data, and return that place."""
        target = path or self.path
        if target is None:
            raise ValueError("this part of the ledger has no file of its own; give a path")
        return write_json(
            target, data=self.data, parameters=self.parameters, totals=self.totals(),
            evidence=self.evidence_totals(), claims=self.rows,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Ledger({self.counted})"
