"""The ledger: every claim of the paper with our number and exactly one of three verdicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from ..files import FORMAT_VERSION, written_whole
from .claims import CLAIMS, PLAIN, Check, Claim, checks
from .quoted import NOT_AVAILABLE, Number

REPRODUCED, DIFFERS, NOT_TESTABLE = "reproduced", "differs", "not testable with this data"
VERDICTS = (REPRODUCED, DIFFERS, NOT_TESTABLE)


@dataclass(frozen=True)
class Compared:
    """One number of a claim beside ours; `in_tolerances` is (ours − paper) / tolerance."""

    what: str
    paper: str
    ours: str
    unit: str
    number: str
    in_tolerances: float | None
    agrees: bool | None


@dataclass(frozen=True)
class Row:
    """One claim with its verdict."""

    id: str
    chapter: str
    where: str
    claim: str
    data: str
    compared: tuple[Compared, ...]
    verdict: str
    reason: str
    why: str


def compare(check: Check, numbers: Mapping[str, Number]) -> Compared:
    """Put our number beside the paper's."""
    ours = numbers.get(check.number)
    value = None if ours is None else ours.value
    other = numbers.get(check.than) if check.than else None
    limit = None if other is None else other.value
    possible = value is not None and (not check.than or limit is not None)
    agrees = check.passes(value, limit) if possible and value is not None else None
    difference = None
    if check.compare == "within" and check.paper is not None and value is not None and check.tolerance:
        difference = (value - check.paper) / check.tolerance
    return Compared(
        check.what, written(check, other), NOT_AVAILABLE if ours is None else ours.text, check.unit, check.number,
        difference, agrees,
    )  # fmt: skip


def written(check: Check, other: Number | None = None) -> str:
    """What the paper claims, in words short enough for a table."""
    if check.compare == "between":
        return f"{check.low:g} … {check.high:g}"
    sign = {"at most": "≤ ", "at least": "≥ ", "within": ""}[check.compare]
    if check.than:
        return f"{sign}{check.limit} {'' if other is None else other.text}".strip()
    return sign + check.paper_text


def judge(claim: Claim, numbers: Mapping[str, Number], data: str, label_names: Sequence[str]) -> Row:
    """Verdict on one claim.

    Parameters
    ----------
    numbers : ours, by ``chapter:key``
    data : ``simulated``, ``surveys`` (LAMOST and APOGEE themselves) or ``labels`` (spectra with some table of labels)
    label_names : labels of this run
    """
    compared = tuple(compare(check, numbers) for check in claim.checks)
    needed = dict.fromkeys([*claim.labels, *(check.label for check in claim.checks if check.label)])
    lacking = [PLAIN[name] for name in needed if name not in label_names]
    missing = [c.number.split(":")[-1] for c, one in zip(claim.checks, compared, strict=True) if one.agrees is None]
    wrong = ", ".join(one.what for one in compared if one.agrees is False and one.what)
    differs = any(one.agrees is False for one in compared)
    if not any(check.number for check in claim.checks):
        verdict, reason = NOT_TESTABLE, "an input of the paper, which nothing in this book measures"
    elif claim.data == "sky" and data == "simulated":
        ours = f"ours lacks {', '.join(missing)}" if missing else "ours agrees"
        ours = f"ours differs: {wrong}".removesuffix(": ") if differs else ours
        verdict, reason = NOT_TESTABLE, f"about the sky, and the data are simulated; as a check of consistency, {ours}"
    elif claim.data == "sky" and data == "labels":
        verdict, reason = NOT_TESTABLE, "a claim about LAMOST and APOGEE, and the labels are not from APOGEE's table"
    elif lacking:
        verdict, reason = NOT_TESTABLE, f"needs {', '.join(lacking)}, not among the labels of this run"
    elif missing:
        verdict, reason = NOT_TESTABLE, f"this run has no number for {', '.join(missing)}"
    elif all(one.agrees for one in compared):
        verdict, reason = REPRODUCED, "within the tolerance"
    else:
        verdict, reason = DIFFERS, f"outside the tolerance: {wrong}".removesuffix(": ")
    return Row(claim.id, claim.chapter, claim.where, claim.statement, claim.data, compared, verdict, reason, claim.why)


@dataclass(frozen=True)
class Ledger:
    """Verdicts on all claims of a run; shown as a table by notebooks."""

    rows: tuple[Row, ...]
    data: str
    path: Path | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        numbers: Mapping[str, Number],
        data: str,
        label_names: Sequence[str],
        path: Path | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Ledger:
        """Judge every claim; see `judge`."""
        rows = tuple(judge(claim, numbers, data, label_names) for claim in CLAIMS)
        return cls(rows, data, path, dict(parameters or {}))

    def only(self, chapter: str) -> Ledger:
        """The claims of one chapter."""
        return replace(self, rows=tuple(row for row in self.rows if row.chapter == chapter))

    def totals(self) -> dict[str, int]:
        """Verdict to number of claims."""
        return {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in VERDICTS}

    def write(self, path: Path | None = None) -> Path:
        """Write the ledger as JSON, by default where it belongs among the run's data, and return that place."""
        target = path or self.path
        if target is None:
            raise ValueError("this part of the ledger has no file of its own; give a path")
        content = {
            "format_version": FORMAT_VERSION,
            "data": self.data,
            "parameters": self.parameters,
            "totals": self.totals(),
            "claims": [asdict(row) for row in self.rows],
        }
        with written_whole(target) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"Ledger({', '.join(f'{count} {verdict}' for verdict, count in self.totals().items())})"

    def _repr_html_(self) -> str:
        return _table(("Claim", "Verdict", "Quantity", "Paper", "Here"), map(_row, self.rows))


def _table(head: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    columns = "" if kind else "".join(f'<col style="width: {share}%">' for share in (30, 19, 18, 16, 17))
    start = f'<table class="ledger{kind}"><colgroup>{columns}</colgroup><thead><tr>{names}</tr></thead>'
    return f"{start}<tbody>{''.join(rows)}</tbody></table>"


def text_of(words: str) -> str:
    """Words as HTML: with subscripts, and minus signs where hyphens stand for them."""
    words = escape(words).replace("A_K", "A<sub>K</sub>").replace("Teff", "T<sub>eff</sub>")
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", words)


def _lines(first: str, identity: str, others: Sequence[str]) -> str:
    """Table rows of one claim: its own cells span the rows of its numbers."""
    start = f'<tr id="{identity}" class="first">' if identity else '<tr class="first">'
    return start + first.replace("ROWS", str(len(others))) + "</tr><tr>".join(others) + "</tr>"


def _row(row: Row) -> str:
    mark = {REPRODUCED: "reproduced", DIFFERS: "differs", NOT_TESTABLE: "not-testable"}[row.verdict]
    first = (
        f'<td rowspan="ROWS"><a href="{row.chapter}.html">{text_of(row.claim)}</a> '
        f"<small>{escape(row.where)}</small></td>"
        f'<td rowspan="ROWS"><strong class="verdict {mark}">{row.verdict}</strong></td>'
    )
    reason = text_of(f"{row.reason[:1].upper()}{row.reason[1:]}.")
    note = f'<tr class="note"><td colspan="5"><small>{reason} <em>Tolerance:</em> {text_of(row.why)}</small></td></tr>'
    return _lines(first, f"claim-{row.id}", [_numbers(one) for one in row.compared]) + note


def _numbers(one: Compared) -> str:
    unit = f"\N{NO-BREAK SPACE}{escape(one.unit)}" if one.unit else ""
    ours = text_of(one.ours) + (unit if one.ours != NOT_AVAILABLE else "")
    stem, _, key = one.number.partition(":")
    where = f'<a href="{stem}.html#key-numbers" title="{escape(key)}, printed by a checked cell">'
    cell = f"{where}{ours}</a>" if key else ours
    beside = (
        ""
        if one.in_tolerances is None
        else f" <small>({text_of(format(one.in_tolerances, '+.1f'))}\N{NO-BREAK SPACE}tol.)</small>"
    )
    return (
        f'<td class="what">{text_of(one.what)}</td><td class="paper">{text_of(one.paper)}{unit}</td>'
        f'<td class="here">{cell}{beside}</td>'
    )


@dataclass(frozen=True)
class ClaimTable:
    """What the paper claims in the part that a chapter reproduces; shown as a table by notebooks."""

    claims: tuple[Claim, ...]

    def __repr__(self) -> str:
        return "\n".join(f"{claim.where}: {claim.statement}" for claim in self.claims)

    def _repr_html_(self) -> str:
        rows = []
        for claim in self.claims:
            first = f'<td rowspan="ROWS">{text_of(claim.statement)} <small>{escape(claim.where)}</small></td>'
            values = [
                f'<td class="what">{text_of(check.what)}</td><td class="value">{text_of(written(check))} '
                f"{'' if check.than else escape(check.unit)}</td>"
                for check in claim.checks
            ]
            rows.append(_lines(first, "", values))
        return _table(("The paper claims", "Quantity", "Value"), rows, " claims")


def claim_table(stem: str) -> ClaimTable:
    """The paper's claims that a chapter checks."""
    return ClaimTable(tuple(claim for claim in CLAIMS if claim.chapter == stem))


PAPER_VALUES: dict[str, str] = {check.key: check.paper_text for _, check in checks() if check.key}
"""The paper's values that prose may quote, as the paper writes them, by key."""


def paper_values(text: str) -> dict[str, str]:
    """The paper's values that a chapter's text quotes with ``{glue:text}`paper_…```.

    Raises
    ------
    ValueError
        If it quotes one that no claim has.
    """
    keys = list(dict.fromkeys(re.findall(r"\{glue:text\}`(paper_\w+)", text)))
    unknown = [key for key in keys if key not in PAPER_VALUES]
    if unknown:
        raise ValueError(f"no claim has a value {', '.join(unknown)}; there are {', '.join(PAPER_VALUES)}")
    return {key: PAPER_VALUES[key] for key in keys}
