"""Where real data can be had: addresses, sizes and fingerprints, as ``sources.json`` lists them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

CACHE = "LABELTRANSFER_CACHE"
"""Environment variable: where fetched data are kept, instead of the user's cache folder."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """A file to fetch.

    Attributes
    ----------
    name : what it is called here
    addresses : where it is, the first that answers is taken
    fingerprint : ``sha256:…`` or, where that is what is known, ``gitblob:…``; None if nothing is known: then the
        sha256 of the first download is written beside the file and holds from then on
    size : bytes, if known
    unpack : folder into which the archive is unpacked; empty if it is none
    only : of the archive, what lies below this path
    requirement : name and version in the Python package index, through pip when the addresses do not answer
    """

    name: str
    addresses: tuple[str, ...]
    fingerprint: str | None = None
    size: int | None = None
    unpack: str = ""
    only: str = ""
    requirement: str = ""

    @property
    def place(self) -> str:
        """Where it is to be had, in a word."""
        return self.addresses[0] if self.addresses else f"the source distribution {self.requirement}"


@dataclass(frozen=True)
class DataSource:
    """Files that belong together."""

    name: str
    description: str
    credit: str
    files: tuple[SourceFile, ...]
    by_hand: str = ""


def _registry() -> dict[str, DataSource]:
    listed = json.loads(files(__package__).joinpath("sources.json").read_text(encoding="utf-8"))
    return {
        name: DataSource(
            name,
            one["description"],
            one["credit"],
            tuple(SourceFile(**{**file, "addresses": tuple(file["addresses"])}) for file in one["files"]),
            one.get("by_hand", ""),
        )
        for name, one in listed.items()
    }


SOURCES: dict[str, DataSource] = _registry()


def data_source(name: str) -> DataSource:
    """A source by its name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in SOURCES:
        raise ValueError(f"data source {name!r} is unknown; wanted one of {', '.join(SOURCES)}")
    return SOURCES[name]


def cache_folder(name: str) -> Path:
    """Where the files of a source are kept: $LABELTRANSFER_CACHE/NAME, or below the user's cache folder."""
    base = os.environ.get(CACHE)
    if base:
        return Path(base) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labeltransfer" / name


def fingerprint(path: Path, kind: str = "sha256") -> str:
    """``sha256:…`` of a file, or ``gitblob:…``, which git would store it under.

    Raises
    ------
    ValueError
        If the kind is another.
    """
    if kind == "gitblob":
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    elif kind == "sha256":
        digest = hashlib.sha256()
    else:
        raise ValueError(f"fingerprint {kind!r} is unknown; wanted sha256 or gitblob")
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def agrees(path: Path, wanted: str | None) -> bool:
    """Whether a file has the fingerprint that is wanted; always, if none is known."""
    return wanted is None or fingerprint(path, wanted.partition(":")[0]) == wanted
