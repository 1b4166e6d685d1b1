"""The ledger: every claim of the paper with our number, a verdict, what that rests on, and evidence from real data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from .claims import Claim, claims, paper_values
from .numbers import NOT_AVAILABLE, Number, write_json
from .tables import cell, grouped, link, row, table, text_of
from .verdicts import (
    DIFFERS,
    INCONCLUSIVE,
    NOT_TESTABLE,
    REPRODUCED,
    VERDICTS,
    Compared,
    Row,
    Spread,
    judge,
    read_evidence,
    written,
)


@dataclass(frozen=True)
class Ledger:
    """Verdicts on claims of a run; shown as a table by notebooks."""

    rows: tuple[Row, ...]
    data: str
    path: Path | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)

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
        figures: Mapping[str, str] | None = None,
    ) -> Ledger:
        """Judge every claim; see `judge`.

        Parameters
        ----------
        root : of the project, where evidence from real data and the spread of numbers are kept
        figures : the paper's name of a figure to the address of ours
        """
        given = dict(parameters or {})
        spread = Spread() if root is None else Spread.read(root / "sweeps" / "seeds.json", given)
        evidence = {} if root is None else read_evidence(root / "evidence")
        rows = tuple(
            replace(judge(claim, numbers, data, label_names, spread), evidence=evidence.get(claim.id, ()))
            for claim in claims()
        )
        return cls(rows, data, path, given, dict(figures or {}))

    def only(self, chapter: str) -> Ledger:
        """The claims of one chapter."""
        return replace(self, rows=tuple(one for one in self.rows if one.chapter == chapter))

    def totals(self) -> dict[str, int]:
        """Verdict to number of claims."""
        return {verdict: sum(one.verdict == verdict for one in self.rows) for verdict in VERDICTS}

    def evidence_totals(self) -> dict[str, int]:
        """Verdict to number of claims on which recorded runs on real data say so; a claim counts once for each."""
        said = [{one["verdict"] for one in row.evidence} for row in self.rows]
        return {verdict: sum(verdict in one for one in said) for verdict in (REPRODUCED, DIFFERS, INCONCLUSIVE)}

    def write(self, path: Path | None = None) -> Path:
        """Write the ledger as JSON, by default where it belongs among the run's data, and return that place."""
        target = path or self.path
        if target is None:
            raise ValueError("this part of the ledger has no file of its own; give a path")
        return write_json(
            target, data=self.data, parameters=self.parameters, totals=self.totals(),
            evidence=self.evidence_totals(), claims=[asdict(one) for one in self.rows],
        )  # fmt: skip

    def take_away(self) -> TakeAway:
        """The verdicts in a box."""
        return TakeAway(self)

    def __repr__(self) -> str:
        return f"Ledger({_counted(self.totals())})"

    def _repr_html_(self) -> str:
        names = ("Claim", "Verdict", "Quantity", "Paper", "Here", "Real data")
        return table(names, map(self._row, self.rows), widths=(25, 16, 14, 14, 15, 16))

    def _row(self, one: Row) -> str:
        place = "" if len({other.chapter for other in self.rows}) > 1 else f"06_ledger.html#claim-{one.id}"
        first = [
            ("", f"{link(place or self._figure(one), text_of(one.claim))} <small>{self._where(one)}</small>"),
            ("", f"{verdict_mark(one.verdict)}<br><small>{_rests_on(one)}</small>"),
        ]
        others = [[*_numbers(compared)] for compared in one.compared]
        others[0].append(cell(_evidence(one), "evidence", rows=len(others)))
        reason = text_of(f"{one.reason[:1].upper()}{one.reason[1:]}.")
        note = f"<small>{reason} <em>Tolerance:</em> {text_of(one.why)}</small>"
        return grouped(first, others, f"claim-{one.id}") + row([cell(note, columns=6)], "note")

    def _figure(self, one: Row) -> str:
        """Address of the figure that shows a claim, or of its chapter."""
        names = re.findall(r"Fig\. \d+|Table \d+", one.where.replace("Figs.", "Fig."))
        return next((self.figures[name] for name in names if name in self.figures), f"{one.chapter}.html")

    def _where(self, one: Row) -> str:
        return re.sub(
            r"Fig\. \d+|Table \d+",
            lambda name: link(self.figures[name[0]], name[0]) if name[0] in self.figures else name[0],
            escape(one.where),
        )


@dataclass(frozen=True)
class TakeAway:
    """The verdicts of a part of the ledger, one line each, in a box; shown by notebooks."""

    ledger: Ledger

    def __repr__(self) -> str:
        return "\n".join(f"{one.verdict}: {one.claim}" for one in self._rows())

    def _rows(self) -> list[Row]:
        return sorted(self.ledger.rows, key=lambda one: VERDICTS.index(one.verdict))

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<li>{verdict_mark(one.verdict)} {link(f'06_ledger.html#claim-{one.id}', text_of(one.claim))}"
            + "".join(f" <small>On {escape(said['on'])}: {escape(said['verdict'])}.</small>" for said in one.evidence)
            + "</li>"
            for one in self._rows()
        )
        return f'<div class="take-away"><p>{_counted(self.ledger.totals())}</p><ul>{lines}</ul></div>'


def _counted(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in totals.items() if count)


def verdict_mark(verdict: str) -> str:
    """A verdict as the pages show it."""
    return f'<strong class="verdict {verdict.replace(" ", "-")}">{verdict}</strong>'


def _rests_on(one: Row) -> str:
    """What a verdict rests on, with a link to the assumption or parameter that decides."""
    if not one.assumes:
        return "" if one.verdict == NOT_TESTABLE else f"on {one.rests_on}"
    is_parameter = "." not in one.assumes
    page = (
        f"A2_parameters.html#parameter-{one.assumes}"
        if is_parameter
        else f"A1_simulated_survey.html#assumed-{one.assumes}"
    )
    return (
        f"on {'a parameter' if is_parameter else 'an assumption'}: {link(page, f'<code>{escape(one.assumes)}</code>')}"
    )


def _evidence(one: Row) -> str:
    return "<br>".join(
        f"{verdict_mark(said['verdict'])} <small>{text_of(said['text'])} {escape(said['on'])} "
        f"(recorded run, {escape(str(said['date']))})</small>"
        for said in one.evidence
    )


def _numbers(one: Compared) -> Iterable[str]:
    unit = f"\N{NO-BREAK SPACE}{escape(one.unit)}" if one.unit else ""
    ours = text_of(one.ours) + (unit if one.ours != NOT_AVAILABLE else "")
    stem, _, key = one.number.partition(":")
    shown = link(f"{stem}.html#key-numbers", ours, f"{key}, printed by a checked cell") if key else ours
    told = [f"± {_rounded(one.spread)} from survey to survey" if one.spread else "", one.in_words]
    return (
        cell(text_of(one.what), "what"),
        cell(f"{text_of(one.paper)}{unit if one.paper[-1:].isdigit() else ''}", "paper"),
        cell(shown + (f"<br><small>{text_of('; '.join(filter(None, told)))}</small>" if any(told) else ""), "here"),
    )


def _rounded(value: float) -> str:
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"


@dataclass(frozen=True)
class ClaimTable:
    """What the paper claims in the part that a chapter reproduces; shown as a table by notebooks."""

    claims: tuple[Claim, ...]

    @classmethod
    def of(cls, stem: str) -> ClaimTable:
        """The paper's claims that a chapter checks."""
        return cls(tuple(claim for claim in claims() if claim.chapter == stem))

    def __repr__(self) -> str:
        return "\n".join(f"{claim.where}: {claim.claim}" for claim in self.claims)

    def _repr_html_(self) -> str:
        return table(("The paper claims", "Quantity", "Value"), map(self._rows, self.claims), "ledger claims")

    def _rows(self, claim: Claim) -> str:
        words = link(f"06_ledger.html#claim-{claim.id}", text_of(claim.claim))
        values = [
            [cell(text_of(check.what), "what"),
             cell(f"{text_of(written(check))} {'' if check.than else escape(check.unit)}", "value")]
            for check in claim.checks
        ]  # fmt: skip
        return grouped([("", f"{words} <small>{escape(claim.where)}</small>")], values)


def quoted_values(text: str) -> dict[str, str]:
    """The paper's values that a chapter's text quotes with ``{glue:text}`paper_…```.

    Raises
    ------
    ValueError
        If it quotes one that no claim has.
    """
    keys = list(dict.fromkeys(re.findall(r"\{glue:text\}`(paper_\w+)", text)))
    there = paper_values()
    unknown = [key for key in keys if key not in there]
    if unknown:
        raise ValueError(f"no claim has a value {', '.join(unknown)}; there are {', '.join(there)}")
    return {key: there[key] for key in keys}
