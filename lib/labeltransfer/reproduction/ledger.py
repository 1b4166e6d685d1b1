"""The ledger: every claim of the paper with our number, a verdict, what that rests on, and evidence from real data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup, escape

from ..evidence.claims import Claim, claims, paper_values
from ..evidence.numbers import Number, write_json
from ..evidence.verdicts import (
    DIFFERS,
    INCONCLUSIVE,
    REPRODUCED,
    VERDICTS,
    Row,
    Spread,
    judge,
    read_evidence,
)
from .tables import Shown, html

IN_THE_PAPER = re.compile(r"Fig\. \d+|Table \d+")


@dataclass(frozen=True)
class Ledger(Shown):
    """Verdicts on claims of a run."""

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
        parameters: Mapping[str, Any] = MappingProxyType({}),
        *,
        root: Path | None = None,
        figures: Mapping[str, str] = MappingProxyType({}),
    ) -> Ledger:
        """Judge every claim; see `judge`.

        Parameters
        ----------
        root : of the project, where evidence from real data and the spread of numbers are kept
        figures : the paper's name of a figure to the address of ours
        """
        spread = Spread() if root is None else Spread.read(root / "sweeps" / "seeds.json", parameters)
        evidence = {} if root is None else read_evidence(root / "evidence")
        rows = tuple(
            replace(judge(claim, numbers, data, label_names, spread), evidence=evidence.get(claim.id, ()))
            for claim in claims()
        )
        return cls(rows, data, path, dict(parameters), figures)

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
            evidence=self.evidence_totals(), claims=self.rows,
        )  # fmt: skip

    def take_away(self) -> TakeAway:
        """The verdicts in a box, a line for each claim, in the order of verdicts."""
        rows = sorted(self.rows, key=lambda one: VERDICTS.index(one.verdict))
        return TakeAway(tuple(rows), self.counted)

    @property
    def counted(self) -> str:
        """The verdicts that occur, and how often."""
        return ", ".join(f"{count} {verdict}" for verdict, count in self.totals().items() if count)

    def __repr__(self) -> str:
        return f"Ledger({self.counted})"

    def place(self, row: Row) -> str:
        """Where a claim leads to: to its figure, or chapter; from a part of the ledger, to the whole one."""
        if len({other.chapter for other in self.rows}) == 1:
            return f"06_ledger.html#claim-{row.id}"
        names = IN_THE_PAPER.findall(row.where.replace("Figs.", "Fig."))
        return next((self.figures[name] for name in names if name in self.figures), f"{row.chapter}.html")

    def where(self, row: Row) -> Markup:
        """Where it stands in the paper; what is drawn here, too, is a link."""

        def linked(found: re.Match[str]) -> str:
            address = self.figures.get(found[0])
            return found[0] if address is None else html("link", address, found[0])

        return Markup(IN_THE_PAPER.sub(linked, str(escape(row.where))))


@dataclass(frozen=True)
class TakeAway(Shown):
    """The verdicts of a part of the ledger in a box, with links to the ledger."""

    rows: tuple[Row, ...]
    counted: str

    def __repr__(self) -> str:
        return "\n".join(f"{one.verdict}: {one.claim}" for one in self.rows)


@dataclass(frozen=True)
class ClaimTable(Shown):
    """What the paper claims in the part that a chapter reproduces."""

    claims: tuple[Claim, ...]

    @classmethod
    def of(cls, stem: str) -> ClaimTable:
        """The paper's claims that a chapter checks."""
        return cls(tuple(claim for claim in claims() if claim.chapter == stem))

    def __repr__(self) -> str:
        return "\n".join(f"{claim.where}: {claim.claim}" for claim in self.claims)


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
