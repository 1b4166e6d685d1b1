"""Every claim of Ho et al. 2017 that can be tested, read from ``claims.yml``: where it stands, values, tolerances."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of YAML's safe loaders the one in C, where there is one: ten times as quick."""

PLAIN = {"teff": "Teff", "logg": "log g", "fe_h": "[Fe/H]", "alpha_m": "[α/M]", "a_k": "A_K"}


@dataclass(frozen=True)
class Check:
    """One number of a claim; fields as ``claims.yml`` explains them, but `number` and `than` as ``chapter:key``."""

    number: str = ""
    paper: float | None = None
    form: str = "g"
    compare: str = "within"
    tolerance: float = 0.0
    than: str = ""
    limit: str = ""
    low: float = -math.inf
    high: float = math.inf
    what: str = ""
    unit: str = ""
    label: str = ""
    key: str = ""

    @property
    def paper_text(self) -> str:
        """The paper's value as it is written."""
        if self.paper is None:
            return ""
        return format(int(self.paper) if self.form.endswith("d") else self.paper, self.form)

    def written(self, limit: str = "") -> str:
        """What the paper claims, in words short enough for a table; `limit` is the text of the number of `than`."""
        if self.compare == "between":
            return f"{self.low:g} … {self.high:g}"
        if self.compare == "sign" and self.paper is not None:
            return "negative" if self.paper < 0 else "positive"
        sign = {"at most": "≤ ", "at least": "≥ "}.get(self.compare, "")
        return sign + (f"{self.limit} {limit}".strip() if self.than else self.paper_text)

    def passes(self, value: float, limit: float | None = None, spread: float = 0.0) -> bool | None:
        """Whether our value agrees with the paper's; None if that cannot be said for its spread.

        Parameters
        ----------
        limit : the value of `than`
        spread : standard deviation of the number between surveys that differ by chance alone. It counts with the
            tolerance, in quadrature; beyond both, the verdict is open if the spread is larger than the tolerance and
            two of it cover the difference. A limit or a sign that two of it do not clear leaves the verdict open.
        """
        wanted = self.paper if limit is None else limit
        if self.compare == "between":
            excess = max(self.low - value, value - self.high)
        elif wanted is None:
            raise ValueError(f"{self.number}: a check without a value to compare with")
        elif self.compare == "within":
            excess = abs(value - wanted)
        elif self.compare == "sign":
            if abs(value) < 2 * spread:
                return None
            return value * wanted > 0
        elif self.compare in ("at most", "at least"):
            excess = value - wanted if self.compare == "at most" else wanted - value
        else:
            raise ValueError(f"{self.number}: unknown comparison {self.compare!r}")
        slack = self.tolerance * (1 + 1e-9) + 1e-12
        if self.compare != "within":
            return None if abs(excess - slack) < 2 * spread else excess <= slack
        if excess <= math.hypot(slack, spread):
            return True
        return None if spread > self.tolerance and excess <= 2 * spread else False


@dataclass(frozen=True)
class Claim:
    """One row of the ledger; the fields are those that ``claims.yml`` explains."""

    id: str
    chapter: str
    where: str
    claim: str
    kind: str
    checks: tuple[Check, ...]
    why: str
    assumes: str = ""
    labels: tuple[str, ...] = ()

    @property
    def needs(self) -> list[str]:
        """Labels without which it cannot be tested."""
        return list(dict.fromkeys([*self.labels, *(check.label for check in self.checks if check.label)]))


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Read a file of claims.

    Raises
    ------
    ValueError
        Naming the claim and the entry that is not as it should be.
    """
    content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    check_against("claims", content, path.name)
    return tuple(_claim(entry) for entry in content)


def _claim(entry: Mapping[str, Any]) -> Claim:
    def check(given: Mapping[str, Any]) -> Check:
        place = {name: f"{entry['chapter']}:{given[name]}" for name in ("number", "than") if name in given}
        return Check(**{**given, **place})

    more = {"checks": tuple(map(check, entry["checks"])), "labels": tuple(entry.get("labels", ()))}
    return Claim(**{**entry, **more})


def check_against(schema: str, content: Any, name: str) -> None:
    """Raise a ValueError that names the file, the entry and what is wrong, if `content` breaks a schema of ours."""
    wanted = yaml.load(Path(__file__).with_name("schemas.yml").read_text(encoding="utf-8"), LOADER)[schema]
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(wanted).iter_errors(content))
    if error is not None:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise ValueError(f"{name}: {place.lstrip('.') or 'whole file'}: {error.message}")


@functools.cache
def claims() -> tuple[Claim, ...]:
    """All claims, in the order of the paper's sections."""
    return read_claims(Path(__file__).with_name("claims.yml"))


def checks() -> Iterator[tuple[Claim, Check]]:
    """Every check with its claim."""
    for claim in claims():
        for check in claim.checks:
            yield claim, check


def paper_values() -> dict[str, str]:
    """The paper's values that prose may quote, as the paper writes them, by key."""
    return {check.key: check.paper_text for _, check in checks() if check.key}
