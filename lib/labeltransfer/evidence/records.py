"""Evidence from real data: small scripts in `evidence/`, and beside each the numbers that it gave, as JSON.

The data cannot be shipped; what was measured on them can. A script says what it needs (`INPUTS`) and with what it works
(`PARAMETERS`), measures (``measure(paths, **parameters)``) and judges (``claims(numbers)``). To check a record is to
measure again and compare. That the verdicts follow from the numbers is checked without any data.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..archive.sources import cache_folder, fingerprint
from ..files import written_whole
from ..files.sources import digest_of_contents, project_root
from ..options import check_option

DATA = "LABELTRANSFER_DATA"
"""Environment variable: the folder with the real data."""

KEYS = ("name", "title", "inputs", "date", "versions", "parameters", "claims", "numbers")
VERSIONS = ("numpy", "scipy", "astropy", "labeltransfer")


WITHIN = 0.2
"""Part of its sampling error by which a number may differ when it is measured again."""

DIGITS = 4
"""Significant digits of numbers that have no sampling error."""

ERROR = "_error"
"""``NAME_error`` is the sampling error of ``NAME``; it has two digits, and may itself differ by a fifth."""


class NotAtHand(Exception):
    """Data that are not here, and where they are to be had."""


def scripts() -> dict[str, Path]:
    """Name of each evidence to its script."""
    return {path.stem.replace("_", "-"): path for path in sorted((project_root() / "evidence").glob("*.py"))}


def load(name: str) -> SimpleNamespace:
    """The script of an evidence: what it defines, by name."""
    return SimpleNamespace(**runpy.run_path(str(scripts()[name])))


def recorded(name: str) -> dict[str, Any]:
    """The record of an evidence: name, title, inputs, date, versions, parameters, claims, numbers.

    Raises
    ------
    ValueError
        If there is no evidence of this name.
    FileNotFoundError
        If it has no record.
    """
    known = scripts()
    check_option("evidence", name, known)
    path = known[name].with_suffix(".json")
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; `labeltransfer evidence {name}` writes it where the data are")
    return json.loads(path.read_text(encoding="utf-8"))


def digest(path: Path) -> str:
    """sha256 of a file; of a folder, that of the names and contents of all its files."""
    if path.is_dir():
        return digest_of_contents((one for one in path.rglob("*") if one.is_file()), path)
    return fingerprint(path).partition(":")[2]


def folders(data: Path | None = None) -> list[Path]:
    """Where inputs are looked for: in the folder given, or in the usual ones."""
    if data is not None:
        return [Path(data)]
    named = [Path(os.environ[DATA])] if os.environ.get(DATA) else []
    return [*named, project_root().parent / "shared" / "data", cache_folder("tutorial").parent]


def find(wanted: Mapping[str, Any], places: Sequence[Path]) -> Path:
    """The file or folder that an input names, by its name and its fingerprint (if that is known).

    Raises
    ------
    NotAtHand
        If it is in none of the places.
    """
    name = Path(wanted["name"])
    there = [place / part for place in places for part in (name, name.name) if (place / part).exists()]
    right = next((path for path in there if not wanted["sha256"] or digest(path) == wanted["sha256"]), None)
    if right is None:
        seen = f"{there[0]} has other contents" if there else f"not in {' nor in '.join(map(str, places))}"
        raise NotAtHand(f"{name}: {seen}; it comes from {wanted['url']}; name its folder with --data or in ${DATA}")
    return right


def measure(name: str, data: Path | None = None, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run a script, with its own parameters or others; a record without date and versions.

    Raises
    ------
    NotAtHand
        If an input is not here.
    """
    script = load(name)
    given = dict(script.PARAMETERS if parameters is None else parameters)
    numbers = rounded(script.measure({one["name"]: find(one, folders(data)) for one in script.INPUTS}, **given))
    record = {"name": name, "title": script.TITLE, "inputs": list(script.INPUTS), "parameters": given}
    return json.loads(json.dumps({**record, "claims": script.claims(numbers), "numbers": numbers}))


def faults(name: str) -> list[str]:
    """What is wrong with a record as it stands: needs none of the data."""
    script, record = load(name), recorded(name)
    told = {"title": script.TITLE, "inputs": list(script.INPUTS), "claims": script.claims(record["numbers"])}
    lines = differences({key: record[key] for key in told}, json.loads(json.dumps(told)))
    return [*lines, *(f"{key}: missing" for key in KEYS if key not in record)]


def changes(name: str, data: Path | None = None) -> Iterator[str]:
    """Where the record differs from what is measured now with the same parameters.

    Raises
    ------
    NotAtHand
        If an input is not here.
    """
    record = recorded(name)
    yield from differences(record["numbers"], measure(name, data, record["parameters"])["numbers"], where="numbers")


def write(record: Mapping[str, Any], path: Path) -> None:
    """Write a record with its date and the versions that made it; a list of numbers takes one line."""
    versions = {"python": platform.python_version(), **{one: importlib.metadata.version(one) for one in VERSIONS}}
    whole = {**record, "date": datetime.now(UTC).date().isoformat(), "versions": versions}
    text = json.dumps({key: whole[key] for key in KEYS}, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
    with written_whole(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


# ---- numbers -------------------------------------------------------------------------------------------------------


def sampling_error(
    statistic: Callable[..., Any],
    *columns: np.ndarray,
    rng: np.random.Generator,
    resamplings: int = 200,
    most: int | None = None,
) -> np.ndarray:
    """Standard deviation of a statistic over resamplings of the stars with replacement.

    Parameters
    ----------
    statistic : of the columns, a number or an array of numbers
    columns : (N, …) of the same N stars
    most : where a statistic is slow, the stars of one resampling; the deviation is scaled by the root of most / N
    """
    stars = len(columns[0])
    drawn = min(stars, most or stars)
    rows = rng.integers(stars, size=(resamplings, drawn))
    return np.nanstd([statistic(*(column[row] for column in columns)) for row in rows], axis=0) * np.sqrt(drawn / stars)


def with_error(name: str, statistic: Callable[..., Any], *columns: np.ndarray, **options: Any) -> dict[str, Any]:
    """A statistic under its name, and its `sampling_error`, which takes the options."""
    error = sampling_error(statistic, *columns, **options)
    return {name: np.asarray(statistic(*columns)), f"{name}{ERROR}": error}


def claim(value: Any, text: str, verdict: str, on: str) -> dict[str, Any]:
    """What an evidence says of a claim: value, one sentence, reproduced / differs / inconclusive, and on which data."""
    return {"value": value, "text": text, "verdict": verdict, "on": f"real data: {on}"}


def verdict(holds: bool, otherwise: str = "differs") -> str:
    """Reproduced if it holds, else another word."""
    return "reproduced" if holds else otherwise


def rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The same numbers with the digits that mean something: two of a sampling error, as many places of its number."""
    done: dict[str, Any] = {}
    for key, value in numbers.items():
        array = np.asarray(value) if not isinstance(value, Mapping) else np.array("")
        if isinstance(value, Mapping):
            done[key] = rounded(value)
        elif array.dtype.kind != "f":
            done[key] = array.tolist()
        else:
            digits = 2 if key.endswith(ERROR) else DIGITS
            errors = np.broadcast_to(np.asarray(numbers.get(f"{key}{ERROR}", np.nan), float), array.shape)
            one = [_rounded(v, error, digits) for v, error in zip(array.flat, errors.flat, strict=True)]
            done[key] = np.array(one, dtype=object).reshape(array.shape).tolist()
    return done


def _rounded(value: float, error: float, digits: int) -> float | None:
    if not np.isfinite(value):
        return None
    last, digits = (error, 2) if np.isfinite(error) and error > 0 else (abs(value) or 1.0, digits)
    return round(value, digits - 1 - int(np.floor(np.log10(last))))


def differences(old: Any, new: Any, error: Any = None, where: str = "") -> Iterator[str]:
    """Where a record and what is measured now differ by more than they may, one line for each place."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            here = f"{where}.{key}" if where else key
            if key not in old or key not in new:
                yield f"{here}: {'not in the record' if key not in old else 'in the record, and no longer measured'}"
            else:
                own = new[key] if key.endswith(ERROR) else new.get(f"{key}{ERROR}")
                yield from differences(old[key], new[key], own, here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        errors = error if isinstance(error, list) else [error] * len(old)
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, errors[place], f"{where}[{place}]")
    elif not _agree(old, new, error):
        yield f"{where}: recorded {old!r}, now {new!r}" + (f", sampling error {error}" if error is not None else "")


def _agree(old: Any, new: Any, error: float | None) -> bool:
    if not (isinstance(old, float) and isinstance(new, float)):
        return bool(old == new)
    slack = WITHIN * error if error is not None else 10.0 ** (1 - DIGITS) * abs(new)
    return abs(old - new) <= slack + 1e-9


# ---- the command ---------------------------------------------------------------------------------------------------


def main(names: Sequence[str], say: Callable[[str], None], *, check: bool = False, data: Path | None = None) -> int:
    """Measure evidences where their data are, and record them or, with `check`, compare with the records.

    Parameters
    ----------
    names : of the evidences; empty for all of them
    say : takes each line of the report
    check : write nothing, list differences
    data : folder with the data; by default $LABELTRANSFER_DATA, `../shared/data` beside the project, or the cache

    Returns
    -------
    0; 1 if a record differs; 2 if a name is unknown, or what was asked for by its name is not at hand
    """
    known = scripts()
    unknown = [name for name in names if name not in known]
    if unknown:
        say(f"no evidence {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
        return 2
    status = 0
    for name in names or known:
        path, found = known[name].with_suffix(".json"), []
        try:
            if not check:
                write(measure(name, data), path)
            elif not path.exists():
                say(f"{name}: no record to check")
                continue
            else:
                found += faults(name)
                found += changes(name, data)
            say(f"{name}: {'differs' if found else 'as recorded' if check else 'recorded'}")
        except NotAtHand as missing:
            say(f"{name}: {'differs' if found else 'not measured'}; {missing}")
            status = max(status, 2 if names else 0)
        for line in found:
            say(f"  {line}")
        status = max(status, 1 if found else 0)
    return status
