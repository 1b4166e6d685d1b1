"""A long run kept in parts: what is finished is never lost and never done twice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import naming, put, remove_unfinished, temporary_name
from .locks import LOCK

NOTE = "run.json"
PART = re.compile(r"part-\d{5,}\.(json|npz|parquet|fits)")
"""How parts are called."""


class Parts:
    """A folder for the parts of one run, and for nothing else.

    ``run.json`` says what the parts belong to. A folder of the same run is taken up where it was left; one of another
    run is refused. Parts are written whole or not at all, so that a run may be killed at any time, and two equal runs
    in one folder write the same bytes.

    Parameters
    ----------
    folder : made if it is not there; if it is, with the parts of this run, or empty but for hidden files
    facts : all that decides the contents of the parts, as JSON can hold it

    Raises
    ------
    ValueError
        If the folder holds parts of another run, naming what differs, its ``run.json`` is damaged, or there is none but
        other files.
    """

    def __init__(self, folder: str | Path, facts: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        wanted = json.loads(json.dumps(dict(facts)))
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / NOTE
        there = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        if there and NOTE not in there:
            raise ValueError(f"{self.folder}: not empty ({there[0]}), and no parts of a run; give a new folder")
        if not note.exists():
            _write_once(note, json.dumps(wanted, indent=1))
        found = read_facts(note)
        different = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        if different:
            raise ValueError(
                f"{self.folder}: holds parts of another run (different: {', '.join(different)}); "
                "remove the folder or give another"
            )

    def remove(self) -> None:
        """Remove what this run kept or left unfinished, and the folder if it holds nothing else."""
        parts = [path for path in self.folder.iterdir() if PART.fullmatch(path.name)]
        for path in [*parts, self.folder / NOTE]:
            path.unlink(missing_ok=True)
        remove_unfinished(self.folder)
        with suppress(OSError):  # other files in it, or a system that removes no open file
            if [path.name for path in self.folder.iterdir()] == [LOCK]:
                (self.folder / LOCK).unlink()
            self.folder.rmdir()

    def path(self, number: int, suffix: str) -> Path:
        """Where a part is kept, for example ``part-00007.npz``."""
        return self.folder / f"part-{number:05d}{suffix}"


def read_facts(note: Path) -> dict[str, Any]:
    """What a note says that a run or a survey belongs to.

    Raises
    ------
    ValueError
        If it is damaged, naming it.
    """
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"found {type(found).__name__}, wanted facts")
    except ValueError as error:
        raise ValueError(f"{note}: damaged ({error}); remove the folder or give another") from error
    return found


def _write_once(path: Path, text: str) -> None:
    """Write a file unless another process or thread has just done so."""
    own = temporary_name(path)
    try:
        with naming(path):
            own.write_text(text, encoding="utf-8")
            with suppress(FileExistsError):
                put(own, path)
    finally:
        own.unlink(missing_ok=True)


def digest_of_array(array: np.ndarray) -> str:
    """Fingerprint of the values of an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """Fingerprint of names, sizes and times of writing of files; of a file that is not there, of its name."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            facts = path.stat()
            digest.update(f"{path}|{facts.st_size}|{facts.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            digest.update(f"{path}|absent\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
