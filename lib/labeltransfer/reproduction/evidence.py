"""Evidence from real data: small scripts in `evidence/`, and beside each the numbers that it gave, as JSON.

The data cannot be shipped; what was measured on them can. A script says what it needs (`INPUTS`) and with what it works
(`PARAMETERS`), measures (``measure(paths, **parameters)``) and judges (``claims(numbers)``). To check a record is to
measure again and compare (`evidence_numbers`). That the verdicts follow from the numbers is checked without any data.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from ..archive.sources import cache_folder, fingerprint
from ..files import written_whole
from ..files.sources import digest_of_contents
from .book import project_root
from .evidence_numbers import differences, rounded

DATA = "LABELTRANSFER_DATA"
"""Environment variable: the folder with the real data."""

KEYS = ("name", "title", "inputs", "date", "versions", "parameters", "claims", "numbers")
VERSIONS = ("numpy", "scipy", "astropy", "labeltransfer")


class NotAtHand(Exception):
    """Data that are not here, and where they are to be had."""


def scripts() -> dict[str, Path]:
    """Name of each evidence to its script."""
    return {path.stem.replace("_", "-"): path for path in sorted((project_root() / "evidence").glob("*.py"))}


def load(name: str) -> ModuleType:
    """The script of an evidence as a module."""
    spec = importlib.util.spec_from_file_location(f"evidence_of_{name.replace('-', '_')}", scripts()[name])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    if name not in known:
        raise ValueError(f"evidence {name!r} is unknown; wanted one of {', '.join(known)}")
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


def main(names: Sequence[str], *, check: bool = False, data: Path | None = None) -> int:
    """Measure evidences where their data are, and record them or, with `check`, compare with the records.

    Parameters
    ----------
    names : of the evidences; empty for all of them
    check : write nothing, list differences
    data : folder with the data; by default $LABELTRANSFER_DATA, `../shared/data` beside the project, or the cache

    Returns
    -------
    0; 1 if a record differs; 2 if a name is unknown, or what was asked for by its name is not at hand
    """
    known = scripts()
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no evidence {', '.join(unknown)}; there are {', '.join(known) or 'none'}")
        return 2
    status = 0
    for name in names or known:
        path, found = known[name].with_suffix(".json"), []
        try:
            if not check:
                write(measure(name, data), path)
            elif not path.exists():
                print(f"{name}: no record to check")
                continue
            else:
                found += faults(name)
                found += changes(name, data)
            print(f"{name}: {'differs' if found else 'as recorded' if check else 'recorded'}")
        except NotAtHand as missing:
            print(f"{name}: {'differs' if found else 'not measured'}; {missing}")
            status = max(status, 2 if names else 0)
        for line in found:
            print(f"  {line}")
        status = max(status, 1 if found else 0)
    return status
